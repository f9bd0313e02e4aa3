//! `log_segment`: a segment of the usage log, cut, changed, or forged with a chain that holds (S2).

use usher_engine::record::Event;
use usherd::{
    records,
    usage::{Entry, LogHead, fuzzing},
};

use crate::feed::Feed;

/// Reads a segment, and what its entries say.
pub fn run(data: &[u8]) {
    let mut feed = Feed::new(data);
    match feed.byte() % 3 {
        0 => read(feed.rest()),
        1 => read(&forged(feed)),
        _ => event(feed.rest()),
    }
}

fn read(segment: &[u8]) {
    let end = fuzzing::read(segment, |entry| event(&entry.body));
    super::shown(&end);
}

fn forged(mut feed: Feed<'_>) -> Vec<u8> {
    let origin = feed.byte();
    let mut number = feed.number().min(u64::MAX - 1);
    let after = LogHead {
        number,
        hash: [feed.byte(); 32],
    };
    let mut entries = Vec::new();
    while !feed.is_empty() {
        number = match feed.byte() {
            0 => feed.number(),
            _ => number.wrapping_add(1),
        };
        entries.push(Entry {
            number,
            epoch: feed.number(),
            head: feed.number(),
            body: feed.counted().to_vec(),
        });
    }
    fuzzing::write(origin, after, &entries)
}

/// What is replayed reads back as what is stored (S6).
fn event(body: &[u8]) {
    let event: Event = match records::read_event(body) {
        Ok(event) => event,
        Err(error) => return super::shown(&error.to_string()),
    };
    let again = records::event_body(&event).unwrap();
    assert_eq!(records::read_event(&again.body), Ok(event.clone()));
    let Some(write) = records::replay(&event).unwrap() else {
        return;
    };
    if let Some(value) = &write.value {
        let record = records::read(&write.key, value).unwrap();
        assert_eq!(records::write(&record), Ok(write));
    }
}
