//! What was retired is vouched for, what was removed is found (S2).

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use usher_engine::record::{Event, Retirement, What};
use usher_protocol::{ids::Epoch, time::WallMs};

use super::segment::list;
use super::*;
use crate::records;

/// Five segments of four entries each; the last one is open.
fn a_log() -> (TempDir, Vec<LogHead>) {
    let log = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(log.path(), nothing(), 1 << 20).unwrap();
    let mut ends = Vec::new();
    for _ in 0..5 {
        for _ in 0..4 {
            append(&mut writer, What::Clock("a step".to_owned()));
        }
        ends.push(writer.at());
        writer.end_segment().unwrap();
        // Once more is no more: an empty segment is not followed by another.
        writer.end_segment().unwrap();
    }
    (log, ends)
}

fn nothing() -> Known {
    Known {
        logged: LogHead::default(),
        last_number: 0,
    }
}

fn append(writer: &mut Writer, what: What) -> LogHead {
    let event = Event {
        at: WallMs(1_795_348_800_000),
        license_time: WallMs(1_795_348_800_000),
        epoch: Epoch(7),
        actor: "root(0)".to_owned(),
        what,
    };
    let entry = Entry {
        number: writer.at().number + 1,
        epoch: 7,
        head: writer.at().number + 1,
        body: records::event_body(&event).unwrap().body,
    };
    writer.append([entry.encode()]).unwrap()
}

fn retire(log: &Path, head: LogHead, through: LogHead) -> LogHead {
    let known = Known {
        logged: head,
        last_number: head.number,
    };
    let mut writer = Writer::open(log, known, 1 << 20).unwrap();
    append(
        &mut writer,
        What::LogRetired(Retirement {
            through: through.number,
            hash: through.hash,
            base: head.number,
            base_digest: [9; 32],
        }),
    )
}

fn broken(outcome: Result<Verified, UsageError>) -> String {
    match outcome {
        Err(error @ UsageError::Broken { .. }) => error.to_string(),
        other => panic!("the damage was not found: {other:?}"),
    }
}

fn moved(segments: &[PathBuf], to: &Path) {
    for segment in segments {
        relocate(segment, to).unwrap();
    }
}

/// After each single step of a retirement, up to its end, the log verifies; one file more does not.
#[test]
fn s2_a_retirement_that_is_cut_short_anywhere_leaves_a_log_that_verifies() {
    let (log, ends) = a_log();
    let parts = tempfile::tempdir().unwrap();
    let head = retire(log.path(), ends[4], ends[2]);
    let segments = list(log.path()).unwrap();
    assert_eq!(segments.len(), 6);
    for (gone, segment) in (0..).zip(&segments[..3]) {
        let found = verify(log.path(), Some(head)).unwrap();
        assert_eq!((found.begin.number, found.head), (4 * gone, head));
        assert_eq!(found.retirement().is_some(), gone > 0);
        moved(std::slice::from_ref(segment), parts.path());
    }
    let found = verify(log.path(), Some(head)).unwrap();
    assert_eq!((found.begin, found.first_number), (ends[2], 13));
    assert_eq!(found.retirement().map(|it| it.through), Some(12));
    // What was moved is a chain that ends where the log begins.
    assert_eq!(verify(parts.path(), None).unwrap().head, ends[2]);
    // One file more than was told.
    moved(&segments[3..4], parts.path());
    let why = broken(verify(log.path(), Some(head)));
    assert!(why.contains("no entry tells"), "{why}");
    // Given back, the log is whole again.
    for segment in list(parts.path()).unwrap() {
        relocate(&segment, log.path()).unwrap();
    }
    let found = verify(log.path(), Some(head)).unwrap();
    assert_eq!((found.first_number, found.retirement()), (1, None));
}

#[test]
fn s2_a_missing_file_that_nobody_retired_is_tampering() {
    let (log, ends) = a_log();
    let segments = list(log.path()).unwrap();
    fs::remove_file(&segments[0]).unwrap();
    let why = broken(verify(log.path(), Some(ends[4])));
    assert!(why.contains("up to entry 4"), "{why}");
    // Nor does a retirement of something else vouch for it: of less, or of another hash.
    let other = LogHead {
        hash: [1; 32],
        ..ends[0]
    };
    let head = retire(log.path(), ends[4], other);
    broken(verify(log.path(), Some(head)));
    let head = retire(log.path(), head, LogHead::default());
    broken(verify(log.path(), Some(head)));
    // A part alone is not asked for what came before it.
    let mut part = Reader::open_part(log.path()).unwrap();
    assert_eq!(part.by_ref().map(Result::unwrap).count(), 18);
    assert_eq!(part.verified().begin, ends[0]);
}

/// The next retirement takes the entry along that told of the last one.
#[test]
fn s2_a_second_retirement_vouches_in_place_of_the_first() {
    let (log, ends) = a_log();
    let parts = tempfile::tempdir().unwrap();
    let head = retire(log.path(), ends[4], ends[0]);
    moved(&list(log.path()).unwrap()[..1], parts.path());
    let known = Known {
        logged: head,
        last_number: head.number,
    };
    let mut writer = Writer::open(log.path(), known, 1 << 20).unwrap();
    writer.end_segment().unwrap();
    drop(writer);
    let last = retire(log.path(), head, head);
    let segments = list(log.path()).unwrap();
    moved(&segments[..segments.len() - 1], parts.path());
    let found = verify(log.path(), Some(last)).unwrap();
    assert_eq!((found.begin, found.entries), (head, 1));
    assert_eq!(verify(parts.path(), None).unwrap().head, head);
}

#[test]
fn s2_files_end_only_where_a_segment_begins() {
    let (log, ends) = a_log();
    for end in &ends {
        assert!(is_joint(log.path(), *end).unwrap());
        let within = LogHead {
            number: end.number - 1,
            ..*end
        };
        assert!(!is_joint(log.path(), within).unwrap());
        let other = LogHead {
            hash: [1; 32],
            ..*end
        };
        assert!(!is_joint(log.path(), other).unwrap());
    }
    assert!(!is_joint(log.path(), LogHead::default()).unwrap());
}

/// L12: a daemon goes on with what is left, and with one entry more proves that it did.
#[test]
fn s2_the_writer_goes_on_after_a_retirement() {
    let (log, ends) = a_log();
    let parts = tempfile::tempdir().unwrap();
    let head = retire(log.path(), ends[4], ends[3]);
    moved(&list(log.path()).unwrap()[..4], parts.path());
    let known = Known {
        logged: head,
        last_number: head.number,
    };
    let mut writer = Writer::open(log.path(), known, 1 << 20).unwrap();
    let head = append(&mut writer, What::Clock("another step".to_owned()));
    assert_eq!(verify(log.path(), Some(head)).unwrap().entries, 6);
}
