//! The one suite that every journal passes. A case names what a backend promises, not how it keeps it.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;

/// A place that outlives the journals opened on it.
pub(super) trait Place {
    /// The backend.
    type Opened: Journal;
    /// A new, empty place.
    fn new() -> Self;
    /// Opens a journal there, as a new daemon life does.
    fn open(&self) -> Self::Opened;
    /// Bodies of all events that are in the usage log: those a journal was waited for, all of them once
    /// none is open.
    fn events(&self) -> Vec<Vec<u8>>;
}

/// Makes one test of each case for the place `$place`.
macro_rules! contract_tests {
    ($place:ty) => {
        $crate::journal::contract::contract_tests!($place:
            a_new_store_is_fresh
            what_was_committed_is_there_after_reopening
            later_writes_win_and_removals_remove
            an_empty_batch_moves_the_commit_number
            epochs_rise_and_respect_the_floor
            a_foreign_epoch_is_fenced
            a_new_life_fences_the_one_before
            nothing_can_be_committed_before_taking_office
            nothing_can_be_committed_after_resigning
            the_commit_number_never_goes_back
            a_refused_batch_leaves_no_trace
            after_an_error_every_call_fails
            values_of_every_length_come_back
            ten_thousand_writes_ride_in_one_batch
            events_are_logged_once_and_in_order_across_lives
            events_that_are_waited_for_are_logged_when_the_commit_returns
            waiting_for_the_log_of_nothing_new_waits_for_what_came_before
            snapshots_hold_the_last_commit
            a_snapshot_overwrites_nothing
            any_history_reads_as_its_model
        );
    };
    ($place:ty: $($case:ident)*) => {
        $(#[test] fn $case() { $crate::journal::contract::$case::<$place>(); })*
    };
}
pub(super) use contract_tests;

pub(super) fn a_new_store_is_fresh<P: Place>() {
    let place = P::new();
    let mut journal = place.open();
    let epoch = journal.acquire(0).unwrap();
    assert_eq!(epoch, 1);
    assert_eq!(
        journal.load(epoch).unwrap(),
        Loaded {
            fresh: true,
            ..Loaded::default()
        }
    );
    drop(journal);
    assert!(life(&place).1.fresh, "an acquisition is not a batch");
}

pub(super) fn what_was_committed_is_there_after_reopening<P: Place>() {
    let place = P::new();
    let (mut journal, _) = life(&place);
    journal
        .commit(1, 5, &sets(&[("b", "2"), ("a", "1")]))
        .unwrap();
    // No resignation: the life just ends.
    drop(journal);
    let (mut journal, loaded) = life(&place);
    assert_eq!(loaded.head, 5);
    assert!(!loaded.fresh);
    assert_eq!(
        journal.all_records(2).unwrap(),
        records(&[("a", "1"), ("b", "2")]),
        "in the order of the keys"
    );
}

pub(super) fn later_writes_win_and_removals_remove<P: Place>() {
    let place = P::new();
    let (mut journal, _) = life(&place);
    journal
        .commit(1, 1, &sets(&[("gone", "1"), ("kept", "1"), ("twice", "1")]))
        .unwrap();
    let batch = Batch {
        writes: vec![
            removal("gone"),
            removal("never-there"),
            set("twice", "2"),
            set("twice", "3"),
            set("brief", "1"),
            removal("brief"),
            removal("again"),
            set("again", "1"),
        ],
        ..Batch::default()
    };
    journal.commit(1, 2, &batch).unwrap();
    drop(journal);
    let expected = records(&[("again", "1"), ("kept", "1"), ("twice", "3")]);
    assert_eq!(stored(&place), expected);
}

pub(super) fn an_empty_batch_moves_the_commit_number<P: Place>() {
    let place = P::new();
    let (mut journal, _) = life(&place);
    journal.commit(1, 7, &Batch::default()).unwrap();
    journal.commit(1, 7, &Batch::default()).unwrap();
    drop(journal);
    assert_eq!(life(&place).1.head, 7);
}

pub(super) fn epochs_rise_and_respect_the_floor<P: Place>() {
    let place = P::new();
    assert_eq!(place.open().acquire(1000).unwrap(), 1000);
    assert_eq!(place.open().acquire(7).unwrap(), 1001);
    assert_eq!(place.open().acquire(2000).unwrap(), 2000);
    assert_eq!(place.open().acquire(2000).unwrap(), 2001);
}

pub(super) fn a_foreign_epoch_is_fenced<P: Place>() {
    for foreign in [0, 1, 9, 11, u64::MAX] {
        let place = P::new();
        let mut journal = place.open();
        assert_eq!(journal.acquire(10).unwrap(), 10);
        let outcome = journal.commit(foreign, 1, &sets(&[("a", "1")]));
        assert!(
            matches!(outcome, Err(JournalError::Fenced { .. })),
            "{outcome:?}"
        );
        drop(journal);
        let mut journal = place.open();
        journal.acquire(10).unwrap();
        assert!(matches!(
            journal.load(foreign.min(9)),
            Err(JournalError::Fenced { .. })
        ));
        drop(journal);
        assert!(life(&place).1.fresh);
    }
}

pub(super) fn a_new_life_fences_the_one_before<P: Place>() {
    let place = P::new();
    let mut journal = place.open();
    let old = journal.acquire(0).unwrap();
    let new = journal.acquire(0).unwrap();
    journal.commit(new, 1, &sets(&[("a", "new")])).unwrap();
    let outcome = journal.commit(old, 2, &sets(&[("a", "old")]));
    assert!(
        matches!(outcome, Err(JournalError::Fenced { .. })),
        "{outcome:?}"
    );
    drop(journal);
    assert_eq!(stored(&place), records(&[("a", "new")]));
}

pub(super) fn nothing_can_be_committed_before_taking_office<P: Place>() {
    let place = P::new();
    let mut journal = place.open();
    let outcome = journal.commit(0, 1, &sets(&[("a", "1")]));
    assert!(
        matches!(outcome, Err(JournalError::Fenced { .. })),
        "{outcome:?}"
    );
}

pub(super) fn nothing_can_be_committed_after_resigning<P: Place>() {
    let place = P::new();
    let (mut journal, _) = life(&place);
    journal.commit(1, 1, &sets(&[("a", "1")])).unwrap();
    journal.resign().unwrap();
    let outcome = journal.commit(1, 2, &sets(&[("a", "2")]));
    assert!(
        matches!(outcome, Err(JournalError::Fenced { .. })),
        "{outcome:?}"
    );
    drop(journal);
    assert_eq!(stored(&place), records(&[("a", "1")]));
}

pub(super) fn the_commit_number_never_goes_back<P: Place>() {
    let place = P::new();
    let (mut journal, _) = life(&place);
    journal.commit(1, 5, &sets(&[("a", "1")])).unwrap();
    drop(journal);
    let (mut journal, loaded) = life(&place);
    assert_eq!(loaded.head, 5);
    let outcome = journal.commit(2, 4, &sets(&[("a", "2")]));
    assert!(
        matches!(outcome, Err(JournalError::Corrupt { .. })),
        "{outcome:?}"
    );
    drop(journal);
    assert_eq!(stored(&place), records(&[("a", "1")]));
}

pub(super) fn a_refused_batch_leaves_no_trace<P: Place>() {
    let long_key = "k".repeat(KEY_BYTES_MAX + 1);
    let long_value = "v".repeat(VALUE_BYTES_MAX + 1);
    let refused = [
        Batch {
            writes: vec![set("ok", "1"), set("", "1")],
            ..Batch::default()
        },
        Batch {
            writes: vec![set("ok", "1"), set(&long_key, "1")],
            ..Batch::default()
        },
        Batch {
            writes: vec![set("ok", "1"), set("a", &long_value)],
            ..Batch::default()
        },
        Batch {
            writes: vec![set("ok", "1")],
            events: vec![
                event("fine"),
                Event {
                    body: vec![0; BODY_BYTES_MAX + 1],
                },
            ],
            ..Batch::default()
        },
    ];
    for batch in refused {
        let place = P::new();
        let (mut journal, _) = life(&place);
        assert!(journal.commit(1, 1, &batch).is_err());
        drop(journal);
        assert_eq!(
            life(&place).1,
            Loaded {
                fresh: true,
                ..Loaded::default()
            }
        );
        assert_eq!(place.events(), Vec::<Vec<u8>>::new());
    }
}

pub(super) fn after_an_error_every_call_fails<P: Place>() {
    let place = P::new();
    let (mut journal, _) = life(&place);
    assert!(journal.commit(99, 1, &Batch::default()).is_err());
    let target = tempfile::tempdir().unwrap();
    assert!(journal.commit(1, 1, &Batch::default()).is_err());
    assert!(journal.load(1).is_err());
    assert!(journal.snapshot(&target.path().join("copy")).is_err());
    assert!(journal.acquire(0).is_err());
    let message = journal.resign().unwrap_err().to_string();
    assert!(
        message.contains("stopped after an earlier error: epoch 99"),
        "{message}"
    );
}

pub(super) fn values_of_every_length_come_back<P: Place>() {
    let place = P::new();
    let (mut journal, _) = life(&place);
    let lengths = [
        0,
        1,
        6143,
        6144,
        6145,
        12_288,
        20_000,
        200_000,
        VALUE_BYTES_MAX,
    ];
    let value = |length: usize, salt: u8| vec![salt; length];
    let write = |length: usize, key: usize| Write {
        key: format!("{key:0>KEY_BYTES_MAX$}").into_bytes(),
        value: Some(value(length, 1)),
    };
    let writes = lengths
        .iter()
        .enumerate()
        .map(|(key, length)| write(*length, key))
        .collect();
    journal
        .commit(
            1,
            1,
            &Batch {
                writes,
                ..Batch::default()
            },
        )
        .unwrap();
    // Each now takes the length of its neighbor: grows, shrinks, and the last is removed.
    let mut writes: Vec<_> = lengths
        .iter()
        .skip(1)
        .enumerate()
        .map(|(key, length)| write(*length, key))
        .collect();
    writes.push(Write {
        value: None,
        ..write(0, lengths.len() - 1)
    });
    journal
        .commit(
            1,
            2,
            &Batch {
                writes,
                ..Batch::default()
            },
        )
        .unwrap();
    drop(journal);
    let loaded = stored(&place);
    let found: Vec<_> = loaded.iter().map(|(_, value)| value.clone()).collect();
    let expected: Vec<_> = lengths
        .iter()
        .skip(1)
        .map(|length| value(*length, 1))
        .collect();
    assert!(
        found == expected,
        "{:?}",
        found.iter().map(Vec::len).collect::<Vec<_>>()
    );
}

pub(super) fn ten_thousand_writes_ride_in_one_batch<P: Place>() {
    let place = P::new();
    let (mut journal, _) = life(&place);
    let writes = (0..10_000)
        .map(|n| set(&format!("lease/{n:05}"), &"x".repeat(300)))
        .collect();
    let events = (0..1000).map(|n| event(&n.to_string())).collect();
    journal
        .commit(
            1,
            1,
            &Batch {
                writes,
                events,
                ..Batch::default()
            },
        )
        .unwrap();
    drop(journal);
    assert_eq!(stored(&place).len(), 10_000);
    assert_eq!(place.events().len(), 1000);
}

pub(super) fn events_are_logged_once_and_in_order_across_lives<P: Place>() {
    let place = P::new();
    let mut expected = Vec::new();
    for round in 1..=6_u64 {
        let (mut journal, _) = life(&place);
        for commit in 0..20 {
            let bodies = [format!("{round}/{commit}/a"), format!("{round}/{commit}/b")];
            let events = bodies.iter().map(|body| event(body)).collect();
            expected.extend(bodies.map(String::into_bytes));
            let batch = Batch {
                writes: vec![set("n", "1")],
                events,
                ..Batch::default()
            };
            journal.commit(round, round * 100 + commit, &batch).unwrap();
        }
        if round % 2 == 0 {
            journal.resign().unwrap();
        }
    }
    assert_eq!(place.events(), expected);
}

pub(super) fn events_that_are_waited_for_are_logged_when_the_commit_returns<P: Place>() {
    let place = P::new();
    let (mut journal, _) = life(&place);
    let mut expected = Vec::new();
    for head in 1..=20 {
        let bodies = [format!("{head}/a"), format!("{head}/b")];
        let batch = Batch {
            events: bodies.iter().map(|body| event(body)).collect(),
            wait_for_log: true,
            ..sets(&[("n", "1")])
        };
        expected.extend(bodies.map(String::into_bytes));
        journal.commit(1, head, &batch).unwrap();
        // The journal is still open: nothing but the commit itself has brought them there.
        assert_eq!(place.events(), expected);
    }
}

pub(super) fn waiting_for_the_log_of_nothing_new_waits_for_what_came_before<P: Place>() {
    let place = P::new();
    let (mut journal, _) = life(&place);
    let batch = Batch {
        events: vec![event("before")],
        ..Batch::default()
    };
    journal.commit(1, 1, &batch).unwrap();
    let batch = Batch {
        wait_for_log: true,
        ..sets(&[("n", "1")])
    };
    journal.commit(1, 2, &batch).unwrap();
    assert_eq!(place.events(), [b"before".to_vec()]);
}

pub(super) fn snapshots_hold_the_last_commit<P: Place>() {
    let place = P::new();
    let (mut journal, _) = life(&place);
    let target = tempfile::tempdir().unwrap();
    let batch = Batch {
        events: vec![event("one")],
        ..sets(&[("a", "1"), ("b", "2")])
    };
    journal.commit(1, 9, &batch).unwrap();
    let info = journal.snapshot(&target.path().join("copy")).unwrap();
    journal.commit(1, 10, &sets(&[("a", "later")])).unwrap();
    let mut found = Vec::new();
    let read = backup::read_snapshot(&info.path, |record| {
        found.push(record);
        Ok(())
    });
    assert_eq!(read.unwrap(), info);
    assert_eq!(found, records(&[("a", "1"), ("b", "2")]));
    assert_eq!(
        (info.records, info.header.epoch, info.header.head),
        (2, 1, 9)
    );
    assert_eq!(info.header.log.number, 1);
}

pub(super) fn a_snapshot_overwrites_nothing<P: Place>() {
    let place = P::new();
    let (mut journal, _) = life(&place);
    let target = tempfile::tempdir().unwrap();
    let path = target.path().join("precious");
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(
        journal.snapshot(&path),
        Err(JournalError::Io { .. })
    ));
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

pub(super) fn any_history_reads_as_its_model<P: Place>() {
    let write = (0_u8..12, proptest::option::of(0_usize..9000));
    let batches = proptest::collection::vec(
        (proptest::collection::vec(write, 0..8), any::<bool>()),
        1..8,
    );
    let config = Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&batches, |batches| check_history::<P>(&batches))
        .unwrap();
}

type Step = (Vec<(u8, Option<usize>)>, bool);

fn check_history<P: Place>(batches: &[Step]) -> Result<(), TestCaseError> {
    let place = P::new();
    let (mut journal, mut epoch, mut head) = (life(&place).0, 1, 0);
    let mut model = std::collections::BTreeMap::new();
    for (writes, reopen) in batches {
        let mut batch = Batch::default();
        head += 1;
        for (key, length) in writes {
            let value = length.map(|length| vec![*key; length]);
            match &value {
                Some(value) => model.insert(vec![*key], value.clone()),
                None => model.remove(&vec![*key]),
            };
            batch.writes.push(Write {
                key: vec![*key],
                value,
            });
        }
        journal.commit(epoch, head, &batch).unwrap();
        if *reopen {
            drop(journal);
            (journal, _) = life(&place);
            epoch += 1;
        }
        prop_assert_eq!(journal.load(epoch).unwrap().head, head);
        prop_assert_eq!(
            journal.all_records(epoch).unwrap(),
            model.clone().into_iter().collect::<Vec<_>>()
        );
    }
    Ok(())
}

/// What a new life finds stored.
fn stored<P: Place>(place: &P) -> Vec<Stored> {
    let mut journal = place.open();
    let epoch = journal.acquire(0).unwrap();
    journal.all_records(epoch).unwrap()
}

/// A new life: opened, in office, loaded.
pub(super) fn life<P: Place>(place: &P) -> (P::Opened, Loaded) {
    let mut journal = place.open();
    let epoch = journal.acquire(0).unwrap();
    let loaded = journal.load(epoch).unwrap();
    (journal, loaded)
}

pub(super) fn set(key: &str, value: &str) -> Write {
    Write {
        key: key.as_bytes().to_vec(),
        value: Some(value.as_bytes().to_vec()),
    }
}

pub(super) fn removal(key: &str) -> Write {
    Write {
        key: key.as_bytes().to_vec(),
        value: None,
    }
}

pub(super) fn sets(pairs: &[(&str, &str)]) -> Batch {
    let writes = pairs.iter().map(|(key, value)| set(key, value)).collect();
    Batch {
        writes,
        ..Batch::default()
    }
}

pub(super) fn event(body: &str) -> Event {
    Event {
        body: body.as_bytes().to_vec(),
    }
}

pub(super) fn records(pairs: &[(&str, &str)]) -> Vec<(Vec<u8>, Vec<u8>)> {
    pairs
        .iter()
        .map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect()
}
