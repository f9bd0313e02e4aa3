//! Doors for `fuzz/`, which is built with `--cfg fuzzing`: the segment's bytes without its file. Decides nothing.

use std::path::Path;

use super::{
    Entry, LogHead,
    segment::{self, Found, Header, Origin, SegmentReader},
};

/// Reads a segment to its end, and says how it ended.
pub fn read(bytes: &[u8], mut each: impl FnMut(Entry)) -> String {
    let mut reader = match SegmentReader::of(Path::new("usage.log"), bytes) {
        Ok(Ok(reader)) => reader,
        Ok(Err(found)) => return end(found),
        Err(error) => return error.to_string(),
    };
    loop {
        match reader.next() {
            Ok(Found::Entry(entry)) => each(entry),
            Ok(found) => return end(found),
            Err(error) => return error.to_string(),
        }
    }
}

/// A segment of these entries, every checksum and hash in order, whatever they say.
pub fn write(origin: u8, after: LogHead, entries: &[Entry]) -> Vec<u8> {
    let origin = match origin % 3 {
        0 => Origin::Continues,
        1 => Origin::Begins,
        _ => Origin::BeginsAfterRestore,
    };
    let mut bytes = Header { origin, after }.encode().to_vec();
    let mut at = after;
    for entry in entries {
        let encoded = entry.encode();
        at = segment::link(&at, entry.number, &encoded);
        bytes.extend_from_slice(&encoded);
        bytes.extend_from_slice(&at.hash);
    }
    bytes
}

fn end(found: Found) -> String {
    match found {
        Found::Entry(_) | Found::End => "end".to_owned(),
        Found::Torn => "torn".to_owned(),
        Found::Damaged { number, detail } => format!("{number}: {detail}"),
    }
}
