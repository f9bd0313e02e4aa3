//! What was acknowledged, and to whom; what each workstation believes to hold, by the boot clock that all share.
//!
//! Decides what counts as acknowledged: an answer that came, whatever was on its way. Must not ask the daemon.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use usher_protocol::envelope::Signed;
use usher_protocol::ids::{LeaseId, Nonce, Token};

use super::POOLS;

/// Everything remembered; a copy of it is what was known at one moment.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Every checkout by its tag, which the daemon knows as the holder's process.
    pub seats: BTreeMap<u32, Seat>,
    /// What the administrator did.
    pub acts: Acts,
    /// Answers that came.
    pub acknowledgements: u64,
    /// What was answered that must not be.
    pub faults: Vec<String>,
}

/// One checkout and what became of it.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Whose.
    pub workstation: u32,
    /// Index in [`POOLS`].
    pub pool: usize,
    /// How far it is.
    pub stage: Stage,
    /// Since it was acknowledged.
    pub proof: Option<Proof>,
    /// When it was believed to be held.
    pub beliefs: Vec<Belief>,
    /// Whether the administrator took it back.
    pub evicted: Fate,
}

/// How far a checkout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Asked for: the daemon may have granted it or not.
    Asked,
    /// Acknowledged.
    Held,
    /// Being given back: the daemon may have it or not.
    Releasing,
    /// The release was acknowledged, or the lease is said to be over after its right had ended.
    Over,
    /// Never granted.
    Refused,
}

/// What shows a lease (T6).
#[derive(Debug, Clone)]
pub struct Proof {
    /// Its name.
    pub lease: LeaseId,
    /// As signed.
    pub signed: Signed,
    /// The checkout's secret.
    pub nonce: Nonce,
    /// The last acknowledged step.
    pub token: Token,
}

/// From the answer up to, not including, the end of the right: boot milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Belief {
    /// When the answer was there.
    pub from: u64,
    /// `c0 + R`, or when it was let go.
    pub to: u64,
}

/// Whether something is so, as far as answers tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fate {
    /// It is not.
    #[default]
    No,
    /// Asked for and not answered.
    Maybe,
    /// It is.
    Yes,
}

/// What the administrator did.
#[derive(Debug, Clone, Default)]
pub struct Acts {
    /// The highest license serial that was acknowledged.
    pub serial: u64,
    /// The highest that was asked for.
    pub serial_asked: u64,
    /// Whether the spare feature is suspended.
    pub suspended: Fate,
    /// Client keys that are accepted, by name.
    pub accepted: BTreeMap<String, Fate>,
    /// How often files of the usage log were moved away (S2).
    pub retirements: u64,
    /// Of such commands, those that were killed before they said so.
    pub retirements_killed: u64,
    /// Acts that were acknowledged.
    pub acknowledged: u64,
}

impl Memory {
    /// The newest right to a seat runs at this moment.
    pub fn is_believed(&self, tag: u32, at: u64) -> bool {
        let last = self.seats.get(&tag).and_then(|seat| seat.beliefs.last());
        last.is_some_and(|belief| at < belief.to)
    }

    /// Leases that were acknowledged.
    pub fn leases(&self) -> impl Iterator<Item = (u32, &Seat, &Proof)> {
        let all = self.seats.iter();
        all.filter_map(|(tag, seat)| Some((*tag, seat, seat.proof.as_ref()?)))
    }

    /// A checkout is about to be sent.
    pub(super) fn asked(&mut self, tag: u32, workstation: u32, pool: usize) {
        let seat = Seat {
            workstation,
            pool,
            stage: Stage::Asked,
            proof: None,
            beliefs: Vec::new(),
            evicted: Fate::No,
        };
        self.seats.insert(tag, seat);
    }

    /// A lease came, granted or extended; it was asked for at `c0` and lasts `length` from then (L1).
    pub(super) fn told(&mut self, tag: u32, proof: Proof, belief: Belief, c0: u64) {
        self.acknowledgements += 1;
        let seat = self.seats.get_mut(&tag).unwrap();
        if seat.stage == Stage::Asked {
            seat.stage = Stage::Held;
        }
        seat.proof = Some(proof);
        match seat.beliefs.last_mut() {
            Some(last) if c0 <= last.to => last.to = belief.to,
            _ => seat.beliefs.push(belief),
        }
    }

    /// The seat is let go from here on.
    pub(super) fn releasing(&mut self, tag: u32, now: u64) {
        let seat = self.seats.get_mut(&tag).unwrap();
        seat.stage = Stage::Releasing;
        if let Some(last) = seat.beliefs.last_mut() {
            last.to = last.to.min(now);
        }
    }

    /// The daemon said that this is how it ended.
    pub(super) fn ended(&mut self, tag: u32, stage: Stage) {
        self.acknowledgements += 1;
        self.seats.get_mut(&tag).unwrap().stage = stage;
    }

    /// Instants at which more seats of a pool were believed to be held than it has.
    pub fn double_uses(&self) -> Vec<String> {
        let pools = POOLS.iter().enumerate();
        let over = pools.filter_map(|(index, pool)| {
            let mine = self.seats.values().filter(|seat| seat.pool == index);
            let (most, at) = most_at_once(mine.flat_map(|seat| &seat.beliefs));
            let (feature, seats) = (pool.feature, pool.seats);
            (most > seats).then(|| {
                format!("{most} believe to hold one of {seats} seats of {feature}, boot {at} ms")
            })
        });
        over.collect()
    }
}

/// The most beliefs at one instant, and when.
fn most_at_once<'a>(beliefs: impl Iterator<Item = &'a Belief>) -> (u32, u64) {
    // Ends sort before starts: `to` itself is not believed any more.
    let real = beliefs.filter(|it| it.from < it.to);
    let mut steps: Vec<_> = real.flat_map(|it| [(it.from, 1), (it.to, 0)]).collect();
    steps.sort_unstable();
    let (mut now, mut most) = (0, (0, 0));
    for (at, is_start) in steps {
        now = if is_start == 1 { now + 1 } else { now - 1 };
        most = most.max((now, at));
    }
    most
}

/// A memory that all share, and can wait for.
#[derive(Debug, Clone, Default)]
pub struct Book(Arc<(Mutex<Memory>, Condvar)>);

impl Book {
    /// Writes something down.
    pub(super) fn note<T>(&self, note: impl FnOnce(&mut Memory) -> T) -> T {
        let noted = note(&mut self.lock());
        self.0.1.notify_all();
        noted
    }

    /// What is known now.
    pub fn copy(&self) -> Memory {
        self.lock().clone()
    }

    /// Answers that have come.
    pub fn acknowledgements(&self) -> u64 {
        self.lock().acknowledgements
    }

    /// Waits until so many answers have come; false where they do not.
    pub fn wait_acknowledgements(&self, count: u64) -> bool {
        let memory = self.lock();
        let enough = |memory: &mut Memory| memory.acknowledgements < count;
        let waited = self.0.1.wait_timeout_while(memory, PATIENCE, enough);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const PATIENCE: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beliefs_that_touch_do_not_overlap() {
        let beliefs = [(0, 10), (10, 20), (5, 12), (30, 30)].map(|(from, to)| Belief { from, to });
        assert_eq!(most_at_once(beliefs.iter()), (2, 10));
        assert_eq!(most_at_once(beliefs[..2].iter()).0, 1);
    }
}
