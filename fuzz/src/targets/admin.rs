//! `admin`: lines on the admin socket, in both directions.

use usherd::admin::protocol::{ADMIN_VERSION, Question, Reply};

/// Reads a question, or a reply; what is taken reads back.
pub fn run(data: &[u8]) {
    let Some((side, line)) = data.split_first() else {
        return;
    };
    if side & 1 == 0 {
        match Question::read(line) {
            Ok(ask) => {
                let version = ADMIN_VERSION;
                let question = Question { version, ask };
                let again = serde_json::to_vec(&question).unwrap();
                assert_eq!(Question::read(&again), Ok(question.ask));
            }
            Err(message) => drop(message),
        }
    } else if let Ok(reply) = serde_json::from_slice::<Reply>(line) {
        let again = serde_json::to_vec(&reply).unwrap();
        assert_eq!(serde_json::from_slice::<Reply>(&again).ok(), Some(reply));
    }
}
