//! A crash between two pieces of what sled takes in: it holds the state of fewer steps, and everything else is where it was.

use std::fs;
use std::path::Path;

use super::contract::{event, sets};
use super::crash_tests::{filled, load_all};
use super::pieces::pieces;
use super::steps::{Place, StepRecord, Steps};
use super::survey::read_store;
use super::*;
use crate::usage::{Entry, LogHead, Reader, Writer, verify};

#[test]
fn s1_a_crash_between_two_pieces_loses_nothing() {
    let state = tempfile::tempdir().unwrap();
    let mut expected = filled(state.path(), 3);
    torn_between_pieces(state.path());
    for number in 1..=STEPS {
        expected.extend(keys(number).map(|key| (key.into_bytes(), b"set".to_vec())));
    }
    assert_eq!(load_all(state.path()).unwrap(), expected);
    verify(&StorePaths::new(state.path()).usage, None).unwrap();
}

/// S6: each piece knows of as much of the usage log as of steps; the store refuses another.
#[test]
fn s6_a_journal_settles_in_pieces_that_are_whole() {
    let state = tempfile::tempdir().unwrap();
    let mut journal = SledJournal::open(state.path(), &SledOptions::default()).unwrap();
    let epoch = journal.acquire(0).unwrap();
    let mut expected = Vec::new();
    for number in 1..=STEPS {
        journal.commit(epoch, number, &batch(number)).unwrap();
        expected.extend(keys(number).map(|key| (key.into_bytes(), b"set".to_vec())));
    }
    journal.resign().unwrap();
    drop(journal);
    let found: Vec<_> = load_all(state.path()).unwrap().into_iter().collect();
    assert_eq!(found, expected);
}

/// S6: the store never knows of more of the usage log than of steps. Whoever repairs it without the steps has all that the
/// log tells beyond them.
#[test]
fn s6_a_repair_without_the_steps_replays_what_sled_had_not_taken_in() {
    let state = tempfile::tempdir().unwrap();
    filled(state.path(), 3);
    let first = torn_between_pieces(state.path());
    let paths = StorePaths::new(state.path());
    for path in steps::paths(&paths.store) {
        fs::remove_file(path).unwrap();
    }
    let left = read_store(&paths, &Format::current()).unwrap();
    assert_eq!(left.meta.last_number, first.number);
    assert_eq!(left.meta.logged, first);
    let message = load_all(state.path()).unwrap_err().to_string();
    assert!(message.contains("`usherd repair`"), "{message}");

    let mut replayed = Vec::new();
    let mut replay = |entry: &Entry, _: &Live| {
        replayed.push(entry.number);
        Ok(Vec::new())
    };
    let options = SledOptions::default();
    repair(state.path(), None, 0, Some(&mut replay), &options).unwrap();
    let due: Vec<_> = (first.number + 1..=6 + STEPS).collect();
    assert_eq!(replayed, due);
}

/// S6: where the log is whole, what the store still kept for it joins it, for the state that is gone on from has it.
#[test]
fn s6_a_repair_brings_what_waits_in_the_store_to_a_whole_log() {
    let state = tempfile::tempdir().unwrap();
    filled(state.path(), 3);
    let paths = StorePaths::new(state.path());
    let mut store = open::open(&paths, &Format::current()).unwrap();
    let files = Steps::prepare(&paths.store, 1 << 20).unwrap();
    let steps: Vec<_> = (1..=3).map(|number| step(&files, &store, number)).collect();
    store.take_in(&steps, store.meta.logged).unwrap();
    store.sync().unwrap();
    let ahead = store.meta.sequence + 1;
    drop(store);
    // A step that is gone with its file: no daemon starts on this.
    witness::Witness::open(&paths.witness)
        .and_then(|witness| witness.write(ahead))
        .unwrap();
    let message = load_all(state.path()).unwrap_err().to_string();
    assert!(message.contains("`usherd repair`"), "{message}");

    let options = SledOptions::default();
    repair(
        state.path(),
        None,
        0,
        Some(&mut |_, _| Ok(Vec::new())),
        &options,
    )
    .unwrap();
    let found = load_all(state.path()).unwrap();
    assert!(
        (1..=3)
            .flat_map(keys)
            .all(|key| found.contains_key(key.as_bytes()))
    );
    let told: Vec<_> = Reader::open(&paths.usage, None)
        .unwrap()
        .map(|entry| String::from_utf8(entry.unwrap().body).unwrap())
        .collect();
    assert_eq!(told[6..], ["piece/1", "piece/2", "piece/3"]);
    let proof = log_head(state.path(), &Format::current()).unwrap();
    verify(&paths.usage, Some(proof)).unwrap();
}

/// Makes a life's last steps durable and logs them, and lets sled take in the first piece alone; gives where the log was after it.
fn torn_between_pieces(state: &Path) -> LogHead {
    let paths = StorePaths::new(state);
    let mut store = open::open(&paths, &Format::current()).unwrap();
    let (steps, heads) = logged(&paths, &store);
    let pieces = pieces(&steps);
    assert!(pieces.len() > 2, "{pieces:?}");
    let first = heads[pieces[0].end - 1];
    store.take_in(&steps[pieces[0].clone()], first).unwrap();
    store.sync().unwrap();
    first
}

fn logged(paths: &StorePaths, store: &store::Store) -> (Vec<StepRecord>, Vec<LogHead>) {
    let mut writer = Writer::open(&paths.usage, store.meta.known(), 1 << 20).unwrap();
    let mut files = Steps::prepare(&paths.store, 1 << 20).unwrap();
    let steps: Vec<_> = (1..=STEPS)
        .map(|number| step(&files, store, number))
        .collect();
    for step in &steps {
        files.append(step, store.meta.sequence).unwrap();
    }
    let heads = writer.append_groups(steps.iter().map(StepRecord::entries));
    (steps, heads.unwrap())
}

fn step(files: &Steps, store: &store::Store, number: u64) -> StepRecord {
    let place = Place {
        sequence: store.meta.sequence + number,
        epoch: store.meta.epoch,
        head: store.meta.head + number,
        last_number: store.meta.last_number + number,
    };
    let batch = batch(number);
    let entry = Entry {
        number: place.last_number,
        epoch: place.epoch,
        head: place.head,
        body: batch.events[0].body.clone(),
    };
    files.step(place, &batch, &[entry.encode()]).unwrap()
}

/// Ten keys and an event.
fn batch(number: u64) -> Batch {
    let keys: Vec<_> = keys(number).collect();
    let pairs: Vec<_> = keys.iter().map(|key| (key.as_str(), "set")).collect();
    let mut batch = sets(&pairs);
    batch.events = vec![event(&format!("piece/{number}"))];
    batch
}

fn keys(number: u64) -> impl Iterator<Item = String> {
    (0..10).map(move |key| format!("piece/{number:02}/{key}"))
}

const STEPS: u64 = 20;
