//! The server's storage: a store and a usage log on a simulated disk, and what befalls them.
//!
//! It outlives daemon lives as a disk does, and is where a write fails, the power goes between two of
//! them, or an administrator puts an old copy back. What a journal must do with it stands in `journal.rs`.

use std::collections::{BTreeMap, VecDeque};

use usher_tests::proof::Dice;
use usherd::{
    journal::{RestoreSource, Restored},
    records,
    usage::{Entry, LogHead},
};

use crate::{
    disk::File,
    frames::{self, Frame, State},
    planted::Planted,
};

/// What a disk holds, and the daemon that has it open.
#[derive(Debug, Clone, Default)]
pub struct Storage {
    pub(crate) store: File,
    pub(crate) log: File,
    /// A life in office. None between two lives.
    pub(crate) open: Option<Open>,
    /// So many more disk operations succeed; then `mishap` happens. None: all do.
    pub(crate) fuse: Option<u32>,
    /// The fuse has blown: nothing of this life reaches the disk any more.
    pub(crate) has_blown: bool,
    pub(crate) planted: Option<Planted>,
    /// A defect: acknowledged, and not written yet (A2).
    pub(crate) late: Option<Frame>,
    /// Frames in the store's file.
    pub(crate) frames: usize,
    /// How many bytes of the log were proved, and where its chain then was.
    proved: (usize, LogHead),
    /// What happened, whatever the disk says.
    pub(crate) witness: Witness,
}

/// The events that a journal was given, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Witness {
    /// Acknowledged as durable.
    pub(crate) events: Vec<Vec<u8>>,
    /// Of the batch whose commit did not return: they are there all or not at all.
    maybe: Vec<Vec<u8>>,
}

impl Witness {
    /// A commit begins.
    pub(crate) fn begin(&mut self, events: &[usherd::journal::Event]) {
        self.maybe = events.iter().map(|event| event.body.clone()).collect();
    }

    /// It returned.
    pub(crate) fn acknowledge(&mut self) {
        self.events.append(&mut self.maybe);
    }

    /// A new life has so many: the batch in question is among them, or is not.
    fn resolve(&mut self, events: u64) {
        let with = self.events.len() + self.maybe.len();
        if events == with as u64 {
            self.acknowledge();
        }
        self.maybe.clear();
    }
}

/// What a life in office knows.
#[derive(Debug, Clone)]
pub(crate) struct Open {
    pub(crate) state: State,
    pub(crate) logged: LogHead,
    /// Events on their way from the outbox to the log.
    pub(crate) waiting: VecDeque<Entry>,
}

/// A copy of the live state, as `usherd backup` writes it (S6).
#[derive(Debug, Clone)]
pub struct Copy {
    pub(crate) epoch: u64,
    pub(crate) head: u64,
    pub(crate) log: LogHead,
    pub(crate) live: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// The operation did not happen, or not wholly; the disk keeps what it then had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed;

/// The disk is not as its own rules say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damaged(pub(crate) String);

impl Storage {
    /// Counts one disk operation; an error when this is the one that fails.
    pub(crate) fn operate(&mut self) -> Result<(), Failed> {
        match &mut self.fuse {
            _ if self.has_blown => Err(Failed),
            None => Ok(()),
            Some(0) => {
                self.has_blown = true;
                Err(Failed)
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    /// The life is over, however it ended; what it wrote is in the page cache.
    pub fn close(&mut self) {
        self.open = None;
        self.fuse = None;
        self.has_blown = false;
        self.late = None;
    }

    /// The power goes: what was not synced may be lost.
    pub fn lose_power(&mut self, dice: &mut Dice) {
        self.close();
        self.store.lose_power(dice);
        self.log.lose_power(dice);
    }

    /// A life opens: makes durable what it finds, cuts torn tails, and finds what is still to be logged.
    pub(crate) fn reopen(&mut self) -> Result<(), Damaged> {
        let (frames, whole) = frames::decode(self.store.synced_from(0));
        self.store.cut(whole);
        self.frames = frames.len();
        let (state, mut events) = play(frames);
        let (_, logged) = self.read_log(false)?;
        events.retain(|entry| entry.number > logged.number);
        let gap = events
            .front()
            .is_some_and(|first| first.number != logged.number + 1);
        let behind = events.is_empty() && logged.number < state.events;
        if gap || behind || logged.number > state.events {
            let what = format!(
                "the log ends at {}, the store at {}",
                logged.number, state.events
            );
            return Err(Damaged(what));
        }
        self.witness.resolve(state.events);
        self.open = Some(Open {
            state,
            logged,
            waiting: events,
        });
        Ok(())
    }

    /// Replaces a long store by what it says, once its outbox is empty.
    pub(crate) fn compact(&mut self) {
        if let Some(open) = &self.open
            && open.waiting.is_empty()
            && self.frames > FRAMES_MAX
        {
            self.store
                .replace(frames::encode(&Frame::State(open.state.clone())));
            self.frames = 1;
        }
    }

    /// The entries of the log with their places proved, and where the chain ends: all of them, or
    /// those that were not proved before.
    pub(crate) fn read_log(&mut self, all: bool) -> Result<(Vec<Entry>, LogHead), Damaged> {
        let (from, mut head) = if all {
            (0, LogHead::default())
        } else {
            self.proved
        };
        let (entries, whole) = frames::decode_entries(self.log.synced_from(from));
        self.log.cut(from + whole);
        let mut proved = Vec::with_capacity(entries.len());
        for (entry, hash) in entries {
            let next = head.after(&entry);
            if entry.number != head.number + 1 || next.hash != hash {
                let what = format!("the chain breaks at entry {}", entry.number);
                return Err(Damaged(what));
            }
            head = next;
            proved.push(entry);
        }
        self.proved = (from + whole, head);
        Ok((proved, head))
    }

    /// Carries what waits in the outbox to the log (S2).
    pub(crate) fn carry(&mut self) -> Result<(), Failed> {
        let waiting = match &mut self.open {
            Some(open) if !open.waiting.is_empty() => std::mem::take(&mut open.waiting),
            _ => return Ok(()),
        };
        let mut head = self
            .open
            .as_ref()
            .map(|open| open.logged)
            .unwrap_or_default();
        for entry in waiting {
            self.operate()?;
            head = head.after(&entry);
            self.log.append(frames::encode_entry(&entry, &head));
            if self.planted == Some(Planted::LogTwice) && entry.number % 16 == 0 {
                self.log.append(frames::encode_entry(&entry, &head));
            }
        }
        self.operate()?;
        self.log.sync();
        if let Some(open) = &mut self.open {
            open.logged = head;
        }
        Ok(())
    }

    /// A copy of the live state between two batches.
    pub(crate) fn copy(&self) -> Option<Copy> {
        let open = self.open.as_ref()?;
        Some(Copy {
            epoch: open.state.epoch,
            head: open.state.head,
            log: open.logged,
            live: open.state.live.clone(),
        })
    }

    /// `usherd restore`: puts the state back to the copy, plays the log since then on top where
    /// `replays`, and marks the store as restored (L12). As `journal/restore.rs` does on a real disk.
    pub(crate) fn restore(
        &mut self,
        copy: &Copy,
        replays: bool,
        epoch_floor: u64,
    ) -> Result<(), Damaged> {
        self.close();
        self.reopen()?;
        self.carry().map_err(|Failed| Damaged("carry".to_owned()))?;
        let old = self.open.take().map(|open| open.state).unwrap_or_default();
        let (entries, end) = self.read_log(true)?;
        let mut live = copy.live.clone();
        let (mut head, mut replayed_number) = (copy.head.max(old.head), 0);
        for entry in entries
            .iter()
            .filter(|entry| entry.number > copy.log.number)
        {
            head = head.max(entry.head);
            if replays {
                replay(&mut live, entry)?;
                replayed_number = entry.number;
            }
        }
        let complete = (replays || end == copy.log) && old.events == end.number;
        let state = State {
            epoch: epoch_floor.max(old.epoch.max(copy.epoch) + 1),
            head,
            committed: true,
            live,
            events: end.number,
            restored: Some(Restored {
                source: RestoreSource::Snapshot,
                copy_head: copy.head,
                replayed_number,
                complete,
            }),
        };
        self.store.replace(frames::encode(&Frame::State(state)));
        Ok(())
    }

    /// What the store holds now, page cache included.
    pub(crate) fn state(&self) -> State {
        match &self.open {
            Some(open) => open.state.clone(),
            None => play(frames::decode(&self.store.read()).0).0,
        }
    }
}

/// Frames after which a store is written anew.
const FRAMES_MAX: usize = 256;

/// Plays one log entry on top of live records (L12).
pub(crate) fn replay(live: &mut BTreeMap<Vec<u8>, Vec<u8>>, entry: &Entry) -> Result<(), Damaged> {
    let damaged = |error: usher_protocol::codec::CodecError| Damaged(error.to_string());
    let event = records::read_event(&entry.body).map_err(damaged)?;
    if let Some(write) = records::replay(&event).map_err(damaged)? {
        put(live, write);
    }
    Ok(())
}

/// The state that the frames make, and the events in them.
fn play(frames: Vec<Frame>) -> (State, VecDeque<Entry>) {
    let mut state = State::default();
    let mut events = VecDeque::new();
    for frame in frames {
        match frame {
            Frame::Epoch(epoch) => state.epoch = epoch,
            Frame::State(whole) => state = whole,
            Frame::Batch(head, batch) => {
                events.extend(entries(&state, head, &batch.events));
                apply(&mut state, head, batch);
            }
        }
    }
    (state, events)
}

/// The log entries of a batch that is about to be applied.
pub(crate) fn entries(state: &State, head: u64, events: &[usherd::journal::Event]) -> Vec<Entry> {
    let numbered = (state.events + 1..).zip(events);
    let entries = numbered.map(|(number, event)| Entry {
        number,
        epoch: state.epoch,
        head,
        body: event.body.clone(),
    });
    entries.collect()
}

pub(crate) fn apply(state: &mut State, head: u64, batch: usherd::journal::Batch) {
    state.events += batch.events.len() as u64;
    for write in batch.writes {
        put(&mut state.live, write);
    }
    if batch.restored_settled {
        state.restored = None;
    }
    state.head = head;
    state.committed = true;
}

fn put(live: &mut BTreeMap<Vec<u8>, Vec<u8>>, write: usherd::journal::Write) {
    match write.value {
        Some(value) => live.insert(write.key, value),
        None => live.remove(&write.key),
    };
}
