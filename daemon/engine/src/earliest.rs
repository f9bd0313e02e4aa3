//! When seats can come free if nobody renews, and whose end that moment waits for (A4).
//!
//! It looks at a bounded number of leases, those that end first. It foretells and promises nothing.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use usher_protocol::{ids::LeaseId, refusal::Refusal, time::BootMs};

use crate::{
    decide::{Asker, Wish},
    engine::Engine,
    limits::EXPLAIN_STEPS_MAX,
    policy::Reservation,
    pool::{Pool, PoolIndex},
    record::Borrowed,
    share::{ShareKey, Standing},
    state::{LeaseEntry, State},
    step::Step,
};

/// A moment, and the lease whose end it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Earliest {
    pub(crate) at: BootMs,
    pub(crate) lease: LeaseId,
}

impl Engine {
    /// When one of these pools can have room for the wish; none when that takes more leases than are
    /// worth counting for an answer.
    pub(crate) fn earliest_room(
        &self,
        step: &Step,
        asker: &Asker<'_>,
        wish: &Wish,
        pools: &[PoolIndex],
    ) -> Option<Earliest> {
        let serving = self.state.serving(&wish.key);
        let path = self.state.feature_path(&wish.key);
        let mut foretold = Foretold::new(&self.state, serving);
        foretold.kept = self.reserved_for_others(asker, &wish.key);
        let seats = i64::from(self.seats_new(step, asker, wish).max(1));
        for (at, lease) in self.first_ends(serving) {
            let Some(entry) = self.state.leases.get(&lease) else {
                continue;
            };
            let Some(over) = foretold.ends(&self.state, lease, entry) else {
                continue;
            };
            let oldest = self.state.leases.get(&over.oldest);
            let freed = i64::from(over.seats);
            let of = oldest.and_then(|it| self.policy.reservation_of(&path, &it.subject()));
            foretold.free(entry.pool, of, freed);
            if foretold.has_room(pools, seats) {
                return Some(Earliest { at, lease });
            }
        }
        None
    }

    /// When so many seats of shares that end so are free again.
    pub(crate) fn earliest_of(&self, ends: Vec<Earliest>, seats: u64) -> Option<Earliest> {
        // In the order of their ends, of which mostly one is asked for.
        let mut ends: BinaryHeap<_> = ends.into_iter().map(Reverse).collect();
        let mut missing = seats;
        while let Some(Reverse(end)) = ends.pop() {
            let share = self.state.standing(end.lease);
            missing = missing.saturating_sub(share.map_or(0, |it| u64::from(it.seats)));
            if missing == 0 {
                return Some(end);
            }
        }
        None
    }

    /// Puts it into a refusal.
    pub(crate) fn tell_earliest(
        &self,
        step: &Step,
        refusal: &mut Refusal,
        earliest: Option<Earliest>,
    ) {
        let Some(earliest) = earliest else { return };
        refusal.earliest_free_ms = Some(earliest.at.since(step.now.boot));
        let entry = self.state.leases.get(&earliest.lease);
        refusal.earliest_because = entry.map(|entry| because(step, entry, earliest.at));
    }

    /// The leases of these pools that end first.
    fn first_ends(&self, pools: &[PoolIndex]) -> Vec<(BootMs, LeaseId)> {
        let of_pool = |index: &PoolIndex| {
            let ends = self.state.deadlines.of_pool(*index);
            ends.take(EXPLAIN_STEPS_MAX)
        };
        let mut ends: Vec<_> = pools.iter().flat_map(of_pool).collect();
        ends.sort_unstable();
        ends.truncate(EXPLAIN_STEPS_MAX);
        ends
    }
}

impl State {
    /// When the last lease of a share ends.
    pub(crate) fn share_end(&self, oldest: LeaseId) -> Option<Earliest> {
        let end = |lease| {
            let at = self.leases.get(&lease)?.deadline?;
            Some(Earliest { at, lease })
        };
        let entry = self.leases.get(&oldest)?;
        match self.pool(entry.pool).share(entry.share_key().as_ref()) {
            Some(share) => share.leases().filter_map(end).max(),
            None => entry.deadline.map(|at| Earliest { at, lease: oldest }),
        }
    }
}

/// The pools of one feature as they will be, lease after lease.
struct Foretold {
    /// Seats free; negative where more is out than may be (L7).
    free: BTreeMap<PoolIndex, i64>,
    /// Reservations of others, each with its idle seats.
    kept: Vec<(Reservation, u64)>,
    /// Leases of shares that are over: a seat comes free with the last of its share.
    over: BTreeMap<(PoolIndex, ShareKey), usize>,
}

impl Foretold {
    fn new(state: &State, pools: &[PoolIndex]) -> Self {
        let free = pools
            .iter()
            .map(|index| (*index, balance(state.pool(*index))));
        Self {
            free: free.collect(),
            kept: Vec::new(),
            over: BTreeMap::new(),
        }
    }

    /// The share that is over once this lease ends too, if it is.
    fn ends(&mut self, state: &State, id: LeaseId, entry: &LeaseEntry) -> Option<Standing> {
        if entry.borrowed.is_some_and(|it| it.written_off) {
            return None;
        }
        let standing = state.standing(id)?;
        let Some(key) = entry.share_key() else {
            return Some(standing);
        };
        let leases = state.pool(entry.pool).share(Some(&key))?.count();
        let over = self.over.entry((entry.pool, key)).or_default();
        *over += 1;
        (*over == leases).then_some(standing)
    }

    /// What a reservation gets back, it keeps.
    fn free(&mut self, pool: PoolIndex, reservation: Option<usize>, seats: i64) {
        let free = self.free.entry(pool).or_default();
        // An unlimited pool, which another version or a suspension closes, has them all already.
        *free = free.saturating_add(seats);
        for (kept, idle) in &mut self.kept {
            if Some(kept.index) == reservation {
                let most = u64::from(kept.seats);
                *idle = idle.saturating_add_signed(seats).min(most);
            }
        }
    }

    fn has_room(&self, pools: &[PoolIndex], seats: i64) -> bool {
        let kept: u64 = self.kept.iter().map(|(_, idle)| idle).sum();
        let all = self.free.values().map(|free| (*free).max(0));
        let shared = all.fold(0, i64::saturating_add);
        let enough = shared.saturating_sub_unsigned(kept) >= seats;
        let fits = |pool| self.free.get(pool).is_some_and(|free| *free >= seats);
        enough && pools.iter().any(fits)
    }
}

fn balance(pool: &Pool) -> i64 {
    let signed = |seats: u64| i64::try_from(seats).unwrap_or(i64::MAX);
    match pool.seats_and_overdraft() {
        Some(seats) => signed(seats) - signed(pool.out + pool.offered + pool.lingering),
        None => i64::MAX,
    }
}

/// In words, so that a person can ask the holder.
fn because(step: &Step, entry: &LeaseEntry, at: BootMs) -> String {
    let left = at.since(step.now.boot);
    let holder = &entry.holder;
    let seats = match entry.seats {
        1 => "1 seat".to_owned(),
        count => format!("{count} seats"),
    };
    let (verb, unless) = match entry {
        // A return that frees no seat was one already.
        LeaseEntry {
            borrowed: Some(Borrowed { returned: true, .. }),
            ..
        } => ("borrowed", "though returned early"),
        LeaseEntry {
            borrowed: Some(_), ..
        } => ("borrowed", "unless returned"),
        LeaseEntry {
            evicted: Some(_), ..
        }
        | LeaseEntry { forked: true, .. } => ("holds", "and is not renewed"),
        _ => ("holds", "unless renewed"),
    };
    format!(
        "{} on {} {verb} {seats} for {left} more {unless}",
        holder.user, holder.host
    )
}
