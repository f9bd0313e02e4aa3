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
    share::{Share, ShareKey},
    step::Step,
};

/// A pool as it stands to one asker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
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
        let places = self.places(asker, wish);
        let mut reasons = Vec::with_capacity(places.len());
        for place in places {
            match self.why_not(step, asker, wish, place) {
                None => return Ok(Verdict::Seats(place.pool)),
                Some(why) => reasons.push((why, place.pool)),
            }
        }
        let refusal = self.explain(step, asker, wish, &reasons);
        if passes(refusal.code) {
            Ok(Verdict::Wait(refusal))
        } else {
            Err(refusal)
        }
    }

    /// How many seats a wish takes beyond those of the asker's own share: none where it fits in. What
    /// counts seats for a rule counts these.
    pub(crate) fn seats_new(&self, step: &Step, asker: &Asker<'_>, wish: &Wish) -> u32 {
        let open = |it: &Place| {
            let pool = self.state.pool(it.pool);
            self.why_closed(step, pool, wish.version).is_none()
        };
        let places = self.places(asker, wish);
        let open = places.into_iter().find(open);
        open.map_or(wish.seats, |it| it.seats_new)
    }

    /// The pools of a feature: those in front where the asker's own share leaves less to take, then
    /// those that expire first.
    fn places(&self, asker: &Asker<'_>, wish: &Wish) -> Vec<Place> {
        let pools = self.state.serving(&wish.key).iter();
        let mut places: Vec<_> = pools
            .map(|index| Place {
                pool: *index,
                seats_new: beyond(self.own_share(asker, *index), wish.seats),
            })
            .collect();
        places.sort_by_key(|it| it.seats_new);
        places
    }

    /// The share that a lease of this asker would join.
    fn own_share(&self, asker: &Asker<'_>, index: PoolIndex) -> Option<&Share> {
        let pool = self.state.pool(index);
        let grouping = pool.terms.as_ref()?.feature().grouping;
        let key = ShareKey::of(grouping, asker.client, asker.holder);
        pool.share(key.as_ref())
    }

    /// What keeps a pool from granting this, if anything.
    fn why_not(&self, step: &Step, asker: &Asker<'_>, wish: &Wish, place: Place) -> Option<Why> {
        let pool = self.state.pool(place.pool);
        self.why_closed(step, pool, wish.version)
            .or_else(|| closes(pool, self.own_share(asker, place.pool)?))
            .or_else(|| Self::why_not_borrowed(pool, wish))
            .or_else(|| {
                no_room(
                    pool,
                    self.borrows_held(step.now.boot, pool),
                    wish.seats,
                    place.seats_new,
                )
            })
    }
}

/// L7: a share that is to go takes nobody in; it would never end.
fn closes(pool: &Pool, share: &Share) -> Option<Why> {
    if share.is_evicted() {
        return Some(Why::Evicted);
    }
    let oldest = share.sum().standing?.oldest;
    pool.refuses(oldest).then_some(Why::Overcommitted)
}

/// `held`: free seats that may be out on borrowed leases nobody here knows of (L12).
fn no_room(pool: &Pool, held: u64, seats: u32, seats_new: u32) -> Option<Why> {
    let total = pool.seats_and_overdraft()?;
    if seats_new == 0 {
        None
    } else if u64::from(seats) > total {
        Some(Why::TooMany)
    } else if pool.excess.is_some() {
        Some(Why::Overcommitted)
    } else if pool.free().saturating_sub(held) < u64::from(seats_new) {
        Some(Why::Full)
    } else {
        None
    }
}

fn beyond(share: Option<&Share>, seats: u32) -> u32 {
    seats.saturating_sub(share.map_or(0, |share| share.sum().seats()))
}

/// Whether waiting helps: seats come back by themselves.
fn passes(code: RefusalCode) -> bool {
    matches!(
        code,
        RefusalCode::NoSeat | RefusalCode::Overcommitted | RefusalCode::Reserved
    )
}
