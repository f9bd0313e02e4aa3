//! `store`: what stands in the store, in its files of steps or in a snapshot: records, their frames, the journal's own
//! numbers (S1, S3, S5, S6).

use usherd::{journal::fuzzing, records};

use crate::feed::Feed;

/// Reads one of them, chosen by the first byte.
pub fn run(data: &[u8]) {
    let mut feed = Feed::new(data);
    match feed.byte() % 7 {
        0 => {
            let key = feed.counted();
            record(key, feed.rest());
        }
        1 => {
            let key = feed.counted();
            fuzzing::read(key, feed.rest());
        }
        2 => {
            let version = feed.byte();
            fuzzing::read(b"j/meta", &fuzzing::write_meta(version, feed.rest()));
        }
        3 => snapshot(feed.rest()),
        5 => fuzzing::read_steps(feed.rest()),
        6 => {
            let numbers = feed.counted();
            fuzzing::read_steps(&fuzzing::write_steps(numbers, feed.rest()));
        }
        _ => snapshot(&fuzzing::write_snapshot(feed.rest())),
    }
}

fn record(key: &[u8], value: &[u8]) {
    match records::read(key, value) {
        Ok(record) => {
            let write = records::write(&record).unwrap();
            assert_eq!(write.key, key);
            let again = records::read(key, &write.value.unwrap()).unwrap();
            assert_eq!(again, record);
        }
        Err(error) => drop(error.to_string()),
    }
}

fn snapshot(bytes: &[u8]) {
    let read = fuzzing::read_snapshot(bytes, |(key, value)| {
        record(&key, &value);
        Ok(())
    });
    match read {
        Ok(info) => assert_eq!(info.bytes, bytes.len() as u64),
        Err(error) => drop(error.to_string()),
    }
}
