//! S1: whatever a crash leaves of the bytes of a small step, the next start finds the step whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use super::contract::{event, set, sets};
use super::crash_tests::{copy_tree, load_all};
use super::*;

/// Every beginning of the bytes is a crash that the kernel survived; any choice of sectors is a power cut, for nothing
/// orders them before the sync.
#[test]
fn s1_a_step_of_which_only_some_bytes_were_written_is_there_whole_or_not_at_all() {
    let ground = tempfile::tempdir().unwrap();
    let state = ground.path().join("state");
    let mut journal = SledJournal::open(&state, &SledOptions::default()).unwrap();
    let epoch = journal.acquire(0).unwrap();
    journal.load(epoch).unwrap();
    let mut dice = 1_u64;
    let mut seen = Seen::default();
    for head in 1..=STEPS {
        let mut before = Picture::of(&state);
        journal.commit(epoch, head, &small_batch(head)).unwrap();
        let after = fs::read(state.join("store/db")).unwrap();
        before.db.resize(after.len(), 0);
        let written = before.differs(&after);
        let straddles = written.start / SEGMENT_BYTES != (written.end - 1) / SEGMENT_BYTES;
        seen.straddling += u32::from(straddles);
        // What most steps have in common was tried by then.
        let tries = if straddles {
            12
        } else {
            u64::from(head % 60 == 5) * 6
        };
        for number in 0..tries {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let image = if number % 2 == 0 {
                let cut = written.start + (dice >> 33) as usize % written.len();
                before.with(&after, |at| at < cut)
            } else {
                before.with(&after, |at| dice >> (at / 512 % 64) & 1 == 1)
            };
            seen.note(head, before.opened_with(image, head));
        }
    }
    drop(journal);
    assert!(
        seen.straddling > 0,
        "no step went over the end of a segment"
    );
    assert!(seen.undone > 0 && seen.finished > 0, "{seen:?}");
}

/// What the images showed.
#[derive(Debug, Default)]
struct Seen {
    straddling: u32,
    undone: u32,
    finished: u32,
}

impl Seen {
    fn note(&mut self, head: u64, found: u64) {
        if found == head {
            self.finished += 1;
        } else {
            self.undone += 1;
        }
    }
}

/// A state directory as it was before a step.
struct Picture {
    aside: tempfile::TempDir,
    db: Vec<u8>,
}

impl Picture {
    fn of(state: &Path) -> Self {
        let aside = tempfile::tempdir().unwrap();
        copy_tree(state, aside.path());
        let db = fs::read(aside.path().join("store/db")).unwrap();
        Self { aside, db }
    }

    fn differs(&self, after: &[u8]) -> Range<usize> {
        let mut others = (self.db.chunks(PAGE_BYTES).zip(after.chunks(PAGE_BYTES)))
            .enumerate()
            .filter(|(_, (old, new))| old != new)
            .map(|(page, _)| page * PAGE_BYTES);
        let first = others.next().unwrap();
        let last = others.next_back().unwrap_or(first);
        let other = |at: &usize| self.db[*at] != after[*at];
        let start = (first..after.len()).find(other).unwrap();
        let end = after.len().min(last + PAGE_BYTES);
        start..(start..end).rfind(other).unwrap() + 1
    }

    /// The bytes before, and those after where `is_written`.
    fn with(&self, after: &[u8], is_written: impl Fn(usize) -> bool) -> Vec<u8> {
        let mut image = self.db.clone();
        for at in self.differs(after) {
            if is_written(at) {
                image[at] = after[at];
            }
        }
        image
    }

    /// Opens such an image as a new life, checks all of it, and gives the commit number it has.
    fn opened_with(&self, db: Vec<u8>, head: u64) -> u64 {
        fs::write(self.aside.path().join("store/db"), db).unwrap();
        let image = tempfile::tempdir().unwrap();
        copy_tree(self.aside.path(), image.path());
        let mut journal = SledJournal::open(image.path(), &SledOptions::default()).unwrap();
        let epoch = journal.acquire(0).unwrap();
        let found = journal.load(epoch).unwrap().head;
        journal.resign().unwrap();
        drop(journal);
        assert!(found == head || found == head - 1, "{found} at {head}");
        assert_eq!(load_all(image.path()).unwrap(), expected(found));
        let log = crate::usage::Reader::open(&StorePaths::new(image.path()).usage, None).unwrap();
        let logged: Vec<_> = log.map(|entry| entry.unwrap().body).collect();
        let due: Vec<_> = (1..=found)
            .map(|head| head.to_string().into_bytes())
            .collect();
        assert!(logged == due, "{} of {} events", logged.len(), due.len());
        found
    }
}

/// Two writes that belong together, one that stays for a while, and an event.
fn small_batch(head: u64) -> Batch {
    let text = head.to_string();
    let mut batch = sets(&[("left", &text), ("right", &text)]);
    batch
        .writes
        .push(set(&format!("n/{head:08}"), &text.repeat(300)));
    if head > 20 {
        let key = format!("n/{:08}", head - 20).into_bytes();
        batch.writes.push(Write { key, value: None });
    }
    batch.events = vec![event(&text)];
    // So that a picture's log is neither behind what its store knows of it nor ahead of its store.
    batch.wait_for_log = true;
    batch
}

fn expected(head: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut expected = BTreeMap::new();
    for Write { key, value } in (1..=head).flat_map(|head| small_batch(head).writes) {
        match value {
            Some(value) => expected.insert(key, value),
            None => expected.remove(&key),
        };
    }
    expected
}

/// So many that their bytes fill a segment of sled's log.
const STEPS: u64 = 400;
/// sled's default.
const SEGMENT_BYTES: usize = 512 << 10;
const PAGE_BYTES: usize = 4096;
