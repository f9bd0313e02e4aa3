//! Backup, restore and repair on real directories.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use super::crash_tests::{copy_tree, filled, load_all};
use super::*;
use crate::usage::{Entry, verify};

#[test]
fn a_restore_goes_back_raises_the_epoch_and_keeps_the_old_store() {
    let (state, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let then = filled(state.path(), 10);
    let copy = copies.path().join("copy");
    let info = backup_stopped(state.path(), &copy, &SledOptions::default()).unwrap();
    assert_eq!(info.header.log.number, 20);
    filled(state.path(), 10);
    let rebuilt = restore(state.path(), &copy, 5000, None, &SledOptions::default()).unwrap();
    assert_eq!((rebuilt.epoch, rebuilt.restored.copy_head), (5000, 10));
    assert_eq!(
        rebuilt.head, 20,
        "the log has seen commit 20: numbers never go back"
    );
    assert!(!rebuilt.restored.complete, "ten batches were not replayed");
    assert_eq!(rebuilt.replaced_log, None);
    assert!(rebuilt.replaced_store.unwrap().join("db").exists());

    let mut journal = SledJournal::open(state.path(), &SledOptions::default()).unwrap();
    let epoch = journal.acquire(0).unwrap();
    assert_eq!(epoch, 5001);
    let loaded = journal.load(epoch).unwrap();
    let stored = journal.all_records(epoch).unwrap();
    assert_eq!(stored, then.into_iter().collect::<Vec<_>>());
    assert_eq!(loaded.restored, Some(rebuilt.restored.clone()));
    // The mark stays until a batch settles it, over any number of lives.
    drop(journal);
    let mut journal = SledJournal::open(state.path(), &SledOptions::default()).unwrap();
    let epoch = journal.acquire(0).unwrap();
    assert_eq!(
        journal.load(epoch).unwrap().restored,
        Some(rebuilt.restored)
    );
    let settled = Batch {
        restored_settled: true,
        ..Batch::default()
    };
    journal.commit(epoch, 21, &settled).unwrap();
    drop(journal);
    assert_eq!(mark_of(state.path()), None);
    whole_log(state.path(), 40);
}

#[test]
fn a_restore_that_replays_the_whole_log_is_complete() {
    let (state, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(state.path(), 5);
    let copy = copies.path().join("copy");
    backup_stopped(state.path(), &copy, &SledOptions::default()).unwrap();
    filled(state.path(), 5);
    let mut numbers = Vec::new();
    let mut replay = |entry: &Entry, _: &Live| {
        numbers.push(entry.number);
        Ok(vec![Write {
            key: b"replayed".to_vec(),
            value: Some(entry.body.clone()),
        }])
    };
    let options = SledOptions::default();
    let rebuilt = restore(state.path(), &copy, 0, Some(&mut replay), &options).unwrap();
    assert_eq!(numbers, (11..=20).collect::<Vec<_>>());
    assert!(rebuilt.restored.complete);
    assert_eq!((rebuilt.restored.replayed_number, rebuilt.head), (20, 10));
    assert_eq!(
        load_all(state.path()).unwrap()[&b"replayed".to_vec()],
        b"10/b"
    );
}

#[test]
fn a_restore_onto_a_new_machine_begins_a_log_of_its_own() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let then = filled(old.path(), 10);
    let copy = new.path().join("copy");
    backup_stopped(old.path(), &copy, &SledOptions::default()).unwrap();
    let rebuilt = restore(new.path(), &copy, 0, None, &SledOptions::default()).unwrap();
    assert!(!rebuilt.restored.complete);
    assert_eq!(load_all(new.path()).unwrap(), then);
    filled(new.path(), 3);
    let proof = log_head(new.path(), &Format::current()).unwrap();
    let found = verify(&StorePaths::new(new.path()).usage, Some(proof)).unwrap();
    assert_eq!((found.first_number, found.head.number), (21, 26));
}

#[test]
fn a_running_daemon_is_never_overwritten() {
    let (state, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(state.path(), 2);
    let copy = copies.path().join("copy");
    backup_stopped(state.path(), &copy, &SledOptions::default()).unwrap();
    let running = SledJournal::open(state.path(), &SledOptions::default()).unwrap();
    let options = SledOptions::default();
    let outcomes = [
        restore(state.path(), &copy, 0, None, &options).err(),
        repair(state.path(), None, 0, None, &options).err(),
        backup_stopped(state.path(), &copies.path().join("other"), &options).err(),
        log_head(state.path(), &Format::current()).err(),
    ];
    for outcome in outcomes {
        assert!(
            matches!(outcome, Some(JournalError::Fenced { .. })),
            "{outcome:?}"
        );
    }
    drop(running);
}

#[test]
fn each_flipped_bit_and_each_cut_of_a_snapshot_is_found_before_anything_is_touched() {
    let (state, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let then = filled(state.path(), 1);
    let copy = copies.path().join("copy");
    backup_stopped(state.path(), &copy, &SledOptions::default()).unwrap();
    let good = fs::read(&copy).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&copy, &bad).unwrap();
        assert!(backup::verify_snapshot(&copy).is_err(), "byte {at}");
        fs::write(&copy, &good[..at]).unwrap();
        assert!(backup::verify_snapshot(&copy).is_err(), "cut to {at}");
    }
    assert!(restore(state.path(), &copy, 0, None, &SledOptions::default()).is_err());
    assert_eq!(load_all(state.path()).unwrap(), then);
}

#[test]
fn a_repair_without_a_store_uses_the_snapshot_then_the_log_then_nothing() {
    let (good, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let then = filled(good.path(), 10);
    let copy = copies.path().join("copy");
    let options = SledOptions::default();
    backup_stopped(good.path(), &copy, &options).unwrap();
    fs::write(good.path().join("store/db"), b"garbage").unwrap();
    let broken = || {
        let state = tempfile::tempdir().unwrap();
        copy_tree(good.path(), state.path());
        state
    };

    let state = broken();
    let rebuilt = repair(state.path(), Some(&copy), 0, None, &options).unwrap();
    assert_eq!(
        (rebuilt.restored.source, rebuilt.head),
        (RestoreSource::Snapshot, 10)
    );
    assert!(!rebuilt.findings.is_empty());
    assert_eq!(load_all(state.path()).unwrap(), then);

    let state = broken();
    let mut replay = |entry: &Entry, _: &Live| {
        Ok(vec![Write {
            key: entry.body.clone(),
            value: Some(Vec::new()),
        }])
    };
    let rebuilt = repair(state.path(), None, 0, Some(&mut replay), &options).unwrap();
    assert_eq!(
        (rebuilt.restored.source, rebuilt.records),
        (RestoreSource::UsageLog, 20)
    );
    assert_eq!((rebuilt.head, rebuilt.restored.complete), (10, false));
    whole_log(state.path(), 20);

    let state = broken();
    fs::remove_dir_all(state.path().join("usage")).unwrap();
    let rebuilt = repair(state.path(), None, 7000, None, &options).unwrap();
    assert_eq!(
        (rebuilt.restored.source, rebuilt.epoch),
        (RestoreSource::Nothing, 7000)
    );
    assert_eq!(load_all(state.path()).unwrap().len(), 0);
}

#[test]
fn a_repair_keeps_a_sound_store_and_replaces_a_broken_log() {
    let state = tempfile::tempdir().unwrap();
    let then = filled(state.path(), 10);
    let log = state.path().join("usage/usage-00000000000000000001.log");
    let mut bytes = fs::read(&log).unwrap();
    bytes[100] ^= 1;
    fs::write(&log, bytes).unwrap();
    assert!(load_all(state.path()).is_err());
    let rebuilt = repair(state.path(), None, 0, None, &SledOptions::default()).unwrap();
    assert!(
        rebuilt
            .replaced_log
            .unwrap()
            .join("usage-00000000000000000001.log")
            .exists()
    );
    assert!(!rebuilt.restored.complete);
    assert_eq!(load_all(state.path()).unwrap(), then);
    let proof = log_head(state.path(), &Format::current()).unwrap();
    let found = verify(&StorePaths::new(state.path()).usage, Some(proof)).unwrap();
    assert_eq!(
        (found.first_number, found.entries, proof.number),
        (21, 0, 20)
    );
}

#[test]
fn a_repair_of_a_store_that_went_back_replays_what_its_log_has_more() {
    let state = tempfile::tempdir().unwrap();
    filled(state.path(), 5);
    let aside = tempfile::tempdir().unwrap();
    copy_tree(&state.path().join("store"), aside.path());
    filled(state.path(), 5);
    fs::remove_dir_all(state.path().join("store")).unwrap();
    copy_tree(aside.path(), &state.path().join("store"));
    let mut numbers = Vec::new();
    let mut replay = |entry: &Entry, _: &Live| {
        numbers.push(entry.number);
        Ok(Vec::new())
    };
    let rebuilt = repair(
        state.path(),
        None,
        0,
        Some(&mut replay),
        &SledOptions::default(),
    )
    .unwrap();
    assert_eq!(numbers, (11..=20).collect::<Vec<_>>());
    assert_eq!((rebuilt.head, rebuilt.restored.copy_head), (10, 5));
    load_all(state.path()).unwrap();
    whole_log(state.path(), 20);
}

/// A store that went back may be older than the backup that is at hand.
#[test]
fn a_repair_goes_on_from_the_newer_one_of_store_and_snapshot() {
    let (state, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(state.path(), 3);
    copy_tree(&state.path().join("store"), &copies.path().join("old"));
    let expected = filled(state.path(), 4);
    let copy = copies.path().join("copy");
    backup_stopped(state.path(), &copy, &SledOptions::default()).unwrap();
    fs::remove_dir_all(state.path().join("store")).unwrap();
    copy_tree(&copies.path().join("old"), &state.path().join("store"));
    let options = SledOptions::default();
    let rebuilt = repair(state.path(), Some(&copy), 0, None, &options).unwrap();
    assert_eq!(rebuilt.restored.copy_head, 7);
    assert_eq!(load_all(state.path()).unwrap(), expected);
}

/// What the outbox has not brought to the log is in the store: an entry before it must not undo it.
#[test]
fn a_repair_plays_nothing_that_the_store_has_in_it() {
    let (live, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut expected = filled(live.path(), 5);
    let mut journal = SledJournal::open(live.path(), &SledOptions::default()).unwrap();
    let epoch = journal.acquire(0).unwrap();
    let batch = Batch {
        writes: vec![Write {
            key: b"last".to_vec(),
            value: Some(b"word".to_vec()),
        }],
        events: vec![Event { body: vec![1] }],
        wait_for_log: true,
        ..Batch::default()
    };
    journal.commit(epoch, 6, &batch).unwrap();
    expected.insert(b"last".to_vec(), b"word".to_vec());
    // The entry is in the log, and the store does not know that yet.
    copy_tree(live.path(), state.path());
    let mut played = Vec::new();
    let mut replay = |entry: &Entry, _: &Live| {
        played.push(entry.number);
        Ok(Vec::new())
    };
    repair(
        state.path(),
        None,
        0,
        Some(&mut replay),
        &SledOptions::default(),
    )
    .unwrap();
    assert_eq!(played, Vec::<u64>::new());
    assert_eq!(load_all(state.path()).unwrap(), expected);
}

#[test]
fn an_older_version_is_converted_after_a_copy_and_a_newer_one_refused() {
    let state = tempfile::tempdir().unwrap();
    let then = filled(state.path(), 5);
    let format = Format {
        version: STORE_VERSION + 1,
        convert: |version, key, value| {
            assert_eq!(version, STORE_VERSION);
            Ok(vec![([b"new/", key].concat(), value.to_vec())])
        },
    };
    let newer = SledOptions {
        format,
        ..SledOptions::default()
    };
    for _ in 0..2 {
        let mut journal = SledJournal::open(state.path(), &newer).unwrap();
        let epoch = journal.acquire(0).unwrap();
        let loaded = journal.all_records(epoch).unwrap();
        assert_eq!(loaded.len(), then.len());
        for (key, value) in loaded {
            assert_eq!(then[key.strip_prefix(b"new/").unwrap()], value);
        }
    }
    let copies: Vec<_> = fs::read_dir(state.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "snapshot")
        })
        .collect();
    assert_eq!(copies.len(), 1);
    assert_eq!(
        backup::verify_snapshot(&copies[0]).unwrap().records,
        then.len() as u64
    );

    let error = load_all(state.path()).unwrap_err().to_string();
    assert!(
        error.contains("store version 2 was written by a newer usherd"),
        "{error}"
    );
    let new_copy = state.path().join("new-copy");
    backup_stopped(state.path(), &new_copy, &newer).unwrap();
    assert!(restore(state.path(), &new_copy, 0, None, &SledOptions::default()).is_err());
    // The copy of the old version can be restored by the new usherd.
    restore(state.path(), &copies[0], 0, None, &newer).unwrap();
    let mut journal = SledJournal::open(state.path(), &newer).unwrap();
    let epoch = journal.acquire(0).unwrap();
    assert_eq!(journal.all_records(epoch).unwrap().len(), then.len());
}

/// S7; without root there is nobody to give to, and nothing to show.
#[test]
fn what_root_writes_belongs_to_the_directory_owner() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    filled(state.path(), 3);
    chown(state.path(), Some(65_534), Some(65_534)).unwrap();
    let rebuilt = repair(state.path(), None, 0, None, &SledOptions::default()).unwrap();
    let mut paths = vec![rebuilt.replaced_store.unwrap()];
    let mut seen = 0;
    paths.push(state.path().to_owned());
    while let Some(path) = paths.pop() {
        assert_eq!(
            fs::metadata(&path).unwrap().uid(),
            65_534,
            "{}",
            path.display()
        );
        seen += 1;
        if path.is_dir() {
            paths.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
    }
    assert!(seen > 10);
}

fn mark_of(state: &Path) -> Option<Restored> {
    let mut journal = SledJournal::open(state, &SledOptions::default()).unwrap();
    let epoch = journal.acquire(0).unwrap();
    journal.load(epoch).unwrap().restored
}

fn whole_log(state: &Path, entries: u64) {
    let proof = log_head(state, &Format::current()).unwrap();
    let found = verify(&StorePaths::new(state).usage, Some(proof)).unwrap();
    assert_eq!((found.first_number, found.entries), (1, entries));
}
