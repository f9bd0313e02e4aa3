//! Other people's words, made safe to show: the one place that decides which characters may reach a
//! terminal. What comes over the wire passes here as it is decoded.

use serde::{Deserialize, Deserializer};

/// `text` with a mark in the place of every character that steers a terminal or reorders what stands
/// around it.
pub fn printable(text: &str) -> String {
    text.chars().map(printable_char).collect()
}

/// The character, or a mark in its place.
pub fn printable_char(c: char) -> char {
    let steers = c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    if steers { '\u{fffd}' } else { c }
}

pub(crate) fn received<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    String::deserialize(from).map(made_printable)
}

pub(crate) fn received_option<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<String>, D::Error> {
    Option::<String>::deserialize(from).map(|text| text.map(made_printable))
}

/// Nearly every text is as it should be; it is kept then.
fn made_printable(text: String) -> String {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~');
    if text.bytes().all(is_plain) {
        text
    } else {
        printable(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::{Commit, Epoch, LeaseId},
        refusal::{HolderView, Refusal, RefusalCode, RuleRef},
        time::{DurationMs, WallMs},
        wire::{Push, Reply, ServerFrame},
    };

    #[test]
    fn what_steers_a_terminal_is_marked_and_languages_are_not() {
        assert_eq!(
            printable("a\u{1b}[31mb\u{202e}c\nd"),
            "a\u{fffd}[31mb\u{fffd}c\u{fffd}d"
        );
        assert_eq!(printable("Jörg 日本 🙂"), "Jörg 日本 🙂");
    }

    #[test]
    fn no_word_of_a_server_reaches_a_terminal_with_its_controls() {
        let evil = || "x\u{1b}]0;owned\u{7}".to_owned();
        let mut refusal = Refusal::new(RefusalCode::NoSeat, evil());
        refusal.support = Some(evil());
        refusal.rule = Some(RuleRef {
            text: evil(),
            file: evil(),
            line: 1,
        });
        let holder = HolderView {
            borrowed: false,
            user: evil(),
            host: evil(),
            display: Some(evil()),
            process: 1,
            seats: 1,
            since: WallMs(0),
            free_in_ms: DurationMs::ZERO,
        };
        refusal.holders.push(holder.clone());
        let lease = LeaseId {
            epoch: Epoch(1),
            commit: Commit(1),
        };
        for frame in [
            ServerFrame::Reply(1, Reply::Refused(refusal)),
            ServerFrame::Reply(1, Reply::Holders(vec![holder], 0)),
            ServerFrame::Push(Push::Evicted(lease, evil())),
        ] {
            let bytes = frame.encode().unwrap();
            let read = format!("{:?}", ServerFrame::decode(&bytes[4..]).unwrap());
            assert!(
                !read.contains("\\u{1b}") && !read.contains("\\u{7}"),
                "{read}"
            );
            assert!(read.contains("]0;owned"), "{read}");
        }
    }
}
