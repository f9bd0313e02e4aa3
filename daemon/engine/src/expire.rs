//! Expiry: what is not given back is taken back at its deadline, as an input like any other (A1).

use usher_protocol::{
    ids::{LeaseId, PublicKey},
    time::BootMs,
};

use crate::{
    engine::Engine,
    pool::PoolIndex,
    record::{Record, What},
    step::{DAEMON, Step},
};

impl Engine {
    /// Reclaims up to `count_max` leases whose deadlines have passed. The rest stay counted as out,
    /// which is safe, until the next turn.
    pub(crate) fn reclaim_due(&mut self, step: &mut Step, count_max: usize) {
        for _ in 0..count_max {
            match self.state.deadlines.first() {
                Some((deadline, id)) if has_passed(deadline, step.now.boot) => {
                    self.reclaim(step, id);
                }
                _ => return,
            }
        }
    }

    /// Reclaims what is due in one pool until `seats` are free: a queue of expiries must not refuse
    /// a seat that is free already.
    pub(crate) fn reclaim_for(&mut self, step: &mut Step, pool: PoolIndex, seats: u32) {
        for _ in 0..crate::limits::RECLAIMS_PER_INPUT {
            let first = self.state.deadlines.of_pool(pool).next();
            match first {
                Some((deadline, id))
                    if has_passed(deadline, step.now.boot)
                        && self.state.pool(pool).free() < u64::from(seats) =>
                {
                    self.reclaim(step, id);
                }
                _ => return,
            }
        }
    }

    /// Takes back a lease whose deadline has passed.
    pub(crate) fn reclaim(&mut self, step: &mut Step, id: LeaseId) {
        // L11: a borrow ends by license time, which a newer license may have lowered since.
        if self.place_borrowed(step.now, id) && !self.is_due(step, id) {
            return;
        }
        let lapse = self.lapse(id);
        self.end_lease(step, id);
        self.event(step, DAEMON, What::Reclaimed(id));
        if let Some((client, pool, out)) = lapse {
            let pool = self.state.pool(pool);
            // A share's seats come back, and are missed, with its last lease.
            let seats = u32::try_from(out.saturating_sub(pool.out)).unwrap_or(u32::MAX);
            if seats > 0 {
                let key = pool.key.feature_key();
                self.lapses.remember(step.now.boot, client, key, seats);
            }
        }
    }

    /// L6: who fell silent and was not told to give its seats back is served first for a while: its key,
    /// its pool, and what is out of that as long as it counts.
    fn lapse(&self, id: LeaseId) -> Option<(PublicKey, PoolIndex, u64)> {
        let entry = self.state.leases.get(&id)?;
        let silent = entry.evicted.is_none() && !entry.forked && entry.borrowed.is_none();
        silent.then(|| (entry.client, entry.pool, self.state.pool(entry.pool).out))
    }

    /// Whether the deadline of any lease has passed.
    pub(crate) fn is_any_due(&self, step: &Step) -> bool {
        let first = self.state.deadlines.first();
        first.is_some_and(|(deadline, _)| has_passed(deadline, step.now.boot))
    }

    /// Whether its deadline has passed.
    pub(crate) fn is_due(&self, step: &Step, id: LeaseId) -> bool {
        let entry = self.state.leases.get(&id);
        let deadline = entry.and_then(|entry| entry.deadline);
        deadline.is_some_and(|deadline| has_passed(deadline, step.now.boot))
    }

    /// A lease is over: its seats are back, its nonce is remembered (L5).
    pub(crate) fn end_lease(&mut self, step: &mut Step, id: LeaseId) {
        self.begin_cool_down(step, id);
        if let Some(entry) = self.state.leases.get(&id) {
            self.ended
                .remember(step.now.boot, entry.client, entry.nonce);
        }
        self.record(step, Record::DropLease(id));
    }
}

/// A right that ends at `c0 + R` is over at its deadline, so the deadline itself is past it.
fn has_passed(deadline: BootMs, now: BootMs) -> bool {
    deadline <= now
}
