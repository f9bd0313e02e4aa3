//! Which pool has room for this asker: the one that expires first among those that are valid now, serve
//! the version and have enough seats. Its cost does not grow with the number of leases.
//!
//! It counts what others decided: seats out (`pool.rs`), seats reserved (`tally.rs`), who waits
//! (`queue.rs`). It changes nothing.

use usher_protocol::refusal::{Refusal, RefusalCode};

use crate::{
    decide::{Asker, Verdict, Wish},
    engine::Engine,
    explain::Why,
    pool::{Pool, PoolIndex},
    step::Step,
};

impl Engine {
    /// A pool with room; or why there is none, of the nearest reason.
    pub(crate) fn find_room(
        &self,
        step: &Step,
        asker: &Asker<'_>,
        wish: &Wish,
    ) -> Result<Verdict, Box<Refusal>> {
        let pools = self.state.serving(&wish.key);
        let mut reasons = Vec::with_capacity(pools.len());
        for index in pools.iter().copied() {
            match self.why_not(step, index, wish) {
                None => return Ok(Verdict::Seats(index)),
                Some(why) => reasons.push((why, index)),
            }
        }
        let refusal = self.explain(step, asker, wish, &reasons);
        if passes(refusal.code) {
            Ok(Verdict::Wait(refusal))
        } else {
            Err(refusal)
        }
    }

    /// What keeps a pool from granting this, if anything.
    fn why_not(&self, step: &Step, index: PoolIndex, wish: &Wish) -> Option<Why> {
        let pool = self.state.pool(index);
        self.why_closed(step, pool, wish.version)
            .or_else(|| Self::why_not_borrowed(pool, wish))
            .or_else(|| no_room(pool, self.borrows_held(step.now.boot, pool), wish.seats))
    }
}

/// `held`: free seats that may be out on borrowed leases nobody here knows of (L12).
fn no_room(pool: &Pool, held: u64, seats: u32) -> Option<Why> {
    let total = pool.seats()?;
    if seats > total {
        Some(Why::TooMany)
    } else if pool.excess.is_some() {
        Some(Why::Overcommitted)
    } else if pool.free().saturating_sub(held) < u64::from(seats) {
        Some(Why::Full)
    } else {
        None
    }
}

/// Whether waiting helps: seats come back by themselves.
fn passes(code: RefusalCode) -> bool {
    matches!(
        code,
        RefusalCode::NoSeat | RefusalCode::Overcommitted | RefusalCode::Reserved
    )
}
