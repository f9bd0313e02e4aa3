//! Which pool has room for this asker: the one that expires first among those that are valid now, serve
//! the version and have enough seats. Its cost does not grow with the number of leases.
//!
//! It counts what others decided: seats out (`pool.rs`), seats reserved (`tally.rs`), who waits
//! (`queue.rs`). It changes nothing.

use usher_protocol::refusal::Refusal;

use crate::{
    decide::{Asker, Verdict, Wish},
    engine::Engine,
    explain::Why,
    pool::{Pool, PoolIndex},
    share::{Share, ShareKey},
    step::Step,
};

/// A pool as it stands to one asker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    pub(crate) pool: PoolIndex,
    /// Seats that the wish takes beyond those of the asker's own share in this pool.
    pub(crate) seats_new: u32,
}

impl Engine {
    /// A pool with room; or why there is none, of the nearest reason.
    pub(crate) fn find_room(
        &self,
        step: &Step,
        asker: &Asker<'_>,
        wish: &Wish,
    ) -> Result<Verdict, Box<Refusal>> {
        let candidates = self.candidates(asker, wish);
        let mut reasons = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            match self.why_not(step, asker, wish, candidate) {
                None => return Ok(Verdict::Seats(candidate.pool)),
                Some(why) => reasons.push((why, candidate.pool)),
            }
        }
        let nearest = reasons.iter().map(|(why, _)| *why).max();
        if nearest.is_some_and(Why::passes) {
            Ok(Verdict::Wait(reasons))
        } else {
            Err(self.explain(step, asker, wish, &reasons))
        }
    }

    /// How many seats a wish takes beyond those of the asker's own share: none where it fits in. What
    /// counts seats for a rule counts these.
    pub(crate) fn seats_new(&self, step: &Step, asker: &Asker<'_>, wish: &Wish) -> u32 {
        let open = |it: &Candidate| {
            let pool = self.state.pool(it.pool);
            self.why_closed(step, pool, wish.version).is_none()
        };
        let candidates = self.candidates(asker, wish);
        let open = candidates.into_iter().find(open);
        open.map_or(wish.seats, |it| it.seats_new)
    }

    /// The same in one pool.
    pub(crate) fn seats_new_in(&self, asker: &Asker<'_>, pool: PoolIndex, seats: u32) -> u32 {
        beyond(self.own_share(asker, pool), seats)
    }

    /// The pools of a feature: those in front where the asker's own share leaves less to take, then
    /// those that expire first.
    fn candidates(&self, asker: &Asker<'_>, wish: &Wish) -> Vec<Candidate> {
        let pools = self.state.serving(&wish.key).iter();
        let mut candidates: Vec<_> = pools
            .map(|index| Candidate {
                pool: *index,
                seats_new: self.seats_new_in(asker, *index, wish.seats),
            })
            .collect();
        candidates.sort_by_key(|it| it.seats_new);
        candidates
    }

    /// The share that a lease of this asker would join.
    fn own_share(&self, asker: &Asker<'_>, index: PoolIndex) -> Option<&Share> {
        let pool = self.state.pool(index);
        let grouping = pool.terms.as_ref()?.feature().grouping;
        let key = ShareKey::of(grouping, asker.client, asker.holder);
        pool.share(key.as_ref())
    }

    /// What keeps a pool from granting this, if anything.
    fn why_not(
        &self,
        step: &Step,
        asker: &Asker<'_>,
        wish: &Wish,
        candidate: Candidate,
    ) -> Option<Why> {
        let pool = self.state.pool(candidate.pool);
        self.why_closed(step, pool, wish.version)
            .or_else(|| closes(pool, self.own_share(asker, candidate.pool)?))
            .or_else(|| Self::why_not_borrowed(pool, wish))
            .or_else(|| self.no_room(step, asker, wish, candidate))
    }

    fn no_room(
        &self,
        step: &Step,
        asker: &Asker<'_>,
        wish: &Wish,
        candidate: Candidate,
    ) -> Option<Why> {
        let pool = self.state.pool(candidate.pool);
        let total = pool.seats_and_overdraft()?;
        let own = self.lingering_with(asker, candidate.pool);
        let seats_shared = u64::from(candidate.seats_new).saturating_sub(own);
        if candidate.seats_new == 0 {
            None
        } else if u64::from(wish.seats) > total {
            Some(Why::TooMany)
        } else if pool.excess.is_some() {
            Some(Why::Overcommitted)
        } else if seats_shared > self.free_of(step, pool) {
            Some(Why::Full)
        } else if self.is_behind(candidate.pool, asker, wish, seats_shared) {
            Some(Why::Behind)
        } else {
            let kept = self.reserved_away(step, asker, wish, seats_shared);
            kept.map(|_| Why::Reserved)
        }
    }

    /// Seats that anybody may have.
    pub(crate) fn free_of(&self, step: &Step, pool: &Pool) -> u64 {
        let held = self.borrows_held(step.now.boot, pool);
        pool.free().saturating_sub(held)
    }
}

/// L7: a share that is to go takes nobody in; it would never end.
fn closes(pool: &Pool, share: &Share) -> Option<Why> {
    if share.is_evicted() {
        return Some(Why::Evicted);
    }
    let standing = share.sum().standing?;
    pool.refuses(standing).then_some(Why::Overcommitted)
}

fn beyond(share: Option<&Share>, seats: u32) -> u32 {
    seats.saturating_sub(share.map_or(0, |share| share.sum().seats()))
}
