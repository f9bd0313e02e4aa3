//! Seats that may be out on borrowed leases which a lost or restored store does not know (L12): they
//! stay home until the longest borrow is over, however soon on-line leases are lent again.

use usher_protocol::time::{BootMs, DurationMs, WallMs};

use crate::{borrow::tolerance, engine::Engine, pool::Pool};

impl Engine {
    /// Free seats of a pool that are held so: all that its license lets be borrowed. What a policy keeps
    /// at home counts for nothing here, for it may have said otherwise when they were lent.
    pub(crate) fn borrows_held(&self, now: BootMs, pool: &Pool) -> u64 {
        let Some(terms) = pool.terms.as_ref() else {
            return 0;
        };
        let (Some(seats), Some(_)) = (terms.feature().seats, self.borrows_held_for(now, pool))
        else {
            return 0;
        };
        let known = pool.borrowed + pool.written_off;
        u64::from(seats).saturating_sub(known)
    }

    /// How much longer, when they are held.
    pub(crate) fn borrows_held_for(&self, now: BootMs, pool: &Pool) -> Option<DurationMs> {
        let lost = self.state.trouble.borrows_lost?;
        let longest = pool.terms.as_ref()?.feature().borrow_ms_max;
        let end = hold_end(lost, longest, tolerance(pool.key.environment))?;
        Some(end.since(self.time.at(now))).filter(|left| *left > DurationMs::ZERO)
    }

    /// When the next of these holds ends, if seats wait for it.
    pub(crate) fn borrows_held_until(&self, now: BootMs) -> Option<BootMs> {
        let pools = self.state.pools();
        let left = pools.filter_map(|(_, pool)| self.borrows_held_for(now, pool));
        left.min().map(|left| now.plus(left))
    }
}

fn hold_end(lost: WallMs, longest: DurationMs, tolerance: DurationMs) -> Option<WallMs> {
    (longest > DurationMs::ZERO).then(|| lost.plus(longest).plus(tolerance))
}
