//! Every way to tamper with a log is found, every way to crash while writing it is mended.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::segment::{
    Found, HASH_BYTES, HEADER_BYTES, Header, NUMBER_MAX, Origin, SegmentReader, link, list,
};
use super::*;

const SMALL: u64 = 400;

fn entry(number: u64) -> Entry {
    Entry {
        number,
        epoch: 7,
        head: number * 3,
        body: format!("event {number}").into_bytes(),
    }
}

fn write_log(directory: &Path, count: u64, segment_bytes_max: u64) -> LogHead {
    let known = Known {
        logged: LogHead::default(),
        last_number: 0,
    };
    let mut writer = Writer::open(directory, known, segment_bytes_max).unwrap();
    for number in 1..=count {
        writer.append([entry(number).encode()]).unwrap();
    }
    writer.at()
}

fn a_log(count: u64, segment_bytes_max: u64) -> (TempDir, LogHead) {
    let directory = tempfile::tempdir().unwrap();
    let head = write_log(directory.path(), count, segment_bytes_max);
    (directory, head)
}

fn broken_number(outcome: Result<Verified, UsageError>) -> u64 {
    match outcome {
        Err(UsageError::Broken { number, .. }) => number,
        other => panic!("the damage was not found: {other:?}"),
    }
}

#[test]
fn entries_come_back_in_order_across_segments() {
    let (log, head) = a_log(50, SMALL);
    let read: Vec<_> = Reader::open(log.path(), Some(head))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(read, (1..=50).map(entry).collect::<Vec<_>>());
    let verified = verify(log.path(), Some(head)).unwrap();
    assert!(verified.segments > 5, "{verified:?}");
    assert_eq!(
        (verified.first_number, verified.head, verified.entries),
        (1, head, 50)
    );
}

#[test]
fn one_append_fills_many_segments() {
    let log = tempfile::tempdir().unwrap();
    let known = Known {
        logged: LogHead::default(),
        last_number: 0,
    };
    let mut writer = Writer::open(log.path(), known, SMALL).unwrap();
    let head = writer
        .append((1..=50).map(|number| entry(number).encode()))
        .unwrap();
    let (same, same_head) = a_log(50, SMALL);
    assert_eq!(head, same_head);
    assert_eq!(
        list(log.path()).unwrap().len(),
        list(same.path()).unwrap().len()
    );
}

#[test]
fn the_chain_is_frozen() {
    let (log, head) = a_log(1, SMALL);
    let bytes = fs::read(log.path().join("usage-00000000000000000001.log")).unwrap();
    insta::assert_snapshot!(data_encoding::HEXLOWER.encode(&bytes), @"55534845524c4f47010100000000000001000000000000000000000000000000000000000000000000000000000000000000000000000000178297da07000000010100000100000000000000070000000000000003000000000000006576656e742031a63f1e040af4105cccbf8dedc8afa472337697b1b87eb161d00b4649113a9557");
    assert_eq!(bytes[bytes.len() - HASH_BYTES..], head.hash);
}

#[test]
fn each_flipped_bit_is_found() {
    let (log, head) = a_log(4, SMALL);
    for path in list(log.path()).unwrap() {
        let good = fs::read(&path).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &bad).unwrap();
            let outcome = verify(log.path(), Some(head));
            // Bytes 10 to 15 of a header are unused, yet covered by its checksum.
            assert!(outcome.is_err(), "bit {bit} of {}", path.display());
        }
        fs::write(&path, &good).unwrap();
    }
    assert!(verify(log.path(), Some(head)).is_ok());
}

#[test]
fn edited_removed_reordered_and_cut_off_entries_are_named() {
    let (log, head) = a_log(5, 1 << 20);
    let path = log.path().join("usage-00000000000000000001.log");
    let good = fs::read(&path).unwrap();
    let size = (good.len() - HEADER_BYTES) / 5;
    let at = |number: usize| HEADER_BYTES + (number - 1) * size;
    let try_bytes = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        broken_number(verify(log.path(), Some(head)))
    };

    let mut edited = good.clone();
    edited[at(3) + size - HASH_BYTES - 1] ^= 1;
    assert_eq!(try_bytes(&edited), 3);
    assert_eq!(
        try_bytes(&[&good[..at(2)], &good[at(3)..]].concat()),
        2,
        "removed"
    );
    let reordered = [
        &good[..at(2)],
        &good[at(3)..at(4)],
        &good[at(2)..at(3)],
        &good[at(4)..],
    ]
    .concat();
    assert_eq!(try_bytes(&reordered), 2, "reordered");
    assert_eq!(try_bytes(&good[..at(5)]), 5, "cut off at an entry");
    assert_eq!(try_bytes(&good[..at(5) + 3]), 5, "cut off inside an entry");
    // Without the store's proof a clean cut cannot be told from a shorter log.
    assert!(verify(log.path(), None).is_ok());
}

#[test]
fn removed_and_swapped_segments_are_found() {
    let (log, head) = a_log(30, SMALL);
    let segments = list(log.path()).unwrap();
    let aside = log.path().join("aside");
    for gone in &segments {
        fs::rename(gone, &aside).unwrap();
        assert!(
            verify(log.path(), Some(head)).is_err(),
            "{} was removed",
            gone.display()
        );
        fs::rename(&aside, gone).unwrap();
    }
    let (one, two) = (
        fs::read(&segments[1]).unwrap(),
        fs::read(&segments[2]).unwrap(),
    );
    fs::write(&segments[1], &two).unwrap();
    fs::write(&segments[2], &one).unwrap();
    assert!(verify(log.path(), Some(head)).is_err());
}

#[test]
fn a_log_rewritten_from_scratch_differs_from_the_proof() {
    let (log, _) = a_log(5, SMALL);
    let other = LogHead {
        number: 5,
        hash: [9; 32],
    };
    assert_eq!(broken_number(verify(log.path(), Some(other))), 5);
    let known = Known {
        logged: other,
        last_number: 5,
    };
    assert!(Writer::open(log.path(), known, SMALL).is_err());
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_written_again() {
    let (good, head) = a_log(6, SMALL);
    let segments = list(good.path()).unwrap();
    let (before, last) = segments.split_at(segments.len() - 1);
    let whole = fs::read(&last[0]).unwrap();
    let logged = place(
        good.path(),
        super::segment::first_number(&last[0]).unwrap() - 1,
    );
    for length in 0..=whole.len() {
        for garbage in [0, 1, 40] {
            let log = tempfile::tempdir().unwrap();
            copy(before, log.path());
            let mut torn = whole[..length].to_vec();
            torn.extend(vec![0xa5; garbage]);
            fs::write(log.path().join(last[0].file_name().unwrap()), torn).unwrap();
            let known = Known {
                logged,
                last_number: 6,
            };
            let mut writer = Writer::open(log.path(), known, SMALL).unwrap();
            let next = writer.at().number + 1;
            writer
                .append((next..=6).map(|number| entry(number).encode()))
                .unwrap();
            assert_eq!(
                verify(log.path(), Some(head)).unwrap().entries,
                6,
                "cut at {length}"
            );
        }
    }
}

#[test]
fn damage_to_what_the_store_no_longer_holds_is_never_cut() {
    let (log, head) = a_log(6, 1 << 20);
    let path: PathBuf = list(log.path()).unwrap().remove(0);
    let good = fs::read(&path).unwrap();
    let known = Known {
        logged: head,
        last_number: 6,
    };
    for length in 0..good.len() {
        fs::write(&path, &good[..length]).unwrap();
        assert!(
            Writer::open(log.path(), known, SMALL).is_err(),
            "cut at {length}"
        );
        assert_eq!(
            fs::metadata(&path).unwrap().len(),
            length as u64,
            "nothing was touched"
        );
    }
}

#[test]
fn a_log_ahead_of_its_store_is_refused() {
    let (log, _) = a_log(6, SMALL);
    let known = Known {
        logged: place(log.path(), 3),
        last_number: 4,
    };
    match Writer::open(log.path(), known, SMALL).map(|_| ()) {
        Err(UsageError::Broken {
            number: 5, detail, ..
        }) => assert!(detail.contains("older")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_log_that_begins_after_a_restore_is_whole() {
    let (old, head) = a_log(6, SMALL);
    let log = tempfile::tempdir().unwrap();
    let mut writer = Writer::begin(log.path(), head, SMALL).unwrap();
    let end = writer.append([entry(7).encode()]).unwrap();
    assert_eq!(verify(log.path(), Some(end)).unwrap().first_number, 7);
    drop(writer);
    let known = Known {
        logged: head,
        last_number: 7,
    };
    assert_eq!(Writer::open(log.path(), known, SMALL).unwrap().at(), end);
    copy(&list(log.path()).unwrap(), old.path());
    assert!(
        verify(old.path(), Some(end)).is_err(),
        "its origin says that nothing precedes it"
    );
}

proptest! {
    #[test]
    fn entries_round_trip(number: u64, epoch: u64, head: u64, body: Vec<u8>) {
        let entry = Entry { number, epoch, head, body };
        let mut bytes = entry.encode();
        prop_assert_eq!(Entry::decode(&bytes), Some(entry));
        bytes.push(0);
        prop_assert_eq!(Entry::decode(&bytes), None);
    }
}

/// The place in the chain after entry `number`.
fn place(log: &Path, number: u64) -> LogHead {
    let mut reader = Reader::open(log, None).unwrap();
    for _ in 0..number {
        reader.next().unwrap().unwrap();
    }
    reader.verified().head
}

fn copy(files: &[PathBuf], to: &Path) {
    for file in files {
        fs::copy(file, to.join(file.file_name().unwrap())).unwrap();
    }
}

/// A segment whose chain holds from this number on, however it came to be.
fn forged(after: u64, numbers: &[u64]) -> Vec<u8> {
    let origin = Origin::BeginsAfterRestore;
    let hash = [0; 32];
    let mut at = LogHead {
        number: after,
        hash,
    };
    let mut bytes = Header { origin, after: at }.encode().to_vec();
    for number in numbers {
        let entry = Entry {
            number: *number,
            ..entry(1)
        };
        let encoded = entry.encode();
        at = link(&at, *number, &encoded);
        bytes.extend_from_slice(&encoded);
        bytes.extend_from_slice(&at.hash);
    }
    bytes
}

#[test]
fn a_forged_log_at_the_end_of_all_numbers_is_damaged() {
    let open = |bytes: &[u8]| SegmentReader::of(Path::new("forged"), bytes).map(Result::err);
    for after in [u64::MAX - 1, NUMBER_MAX] {
        assert!(
            matches!(open(&forged(after, &[])), Ok(Some(Found::Damaged { .. }))),
            "{after}"
        );
    }
    let bytes = forged(NUMBER_MAX - 1, &[NUMBER_MAX, NUMBER_MAX + 1]);
    let opened = SegmentReader::of(Path::new("forged"), bytes.as_slice()).unwrap();
    let mut reader = opened.ok().unwrap();
    assert!(matches!(reader.next(), Ok(Found::Entry(_))));
    assert!(matches!(reader.next(), Ok(Found::Damaged { .. })));
}
