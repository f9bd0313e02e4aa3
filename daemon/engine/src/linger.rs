//! Seats that stay with their last holder for a while after a release, by policy, so that a tool that
//! ends and starts again finds its seat.
//!
//! Volatile: a restart ends it, and so do an eviction, a suspension and the end of a license. The
//! holder takes these seats back before anything else and without a queue; `room.rs` asks here.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use usher_protocol::{
    ids::{LeaseId, PublicKey},
    time::{BootMs, DurationMs},
    wire::Holder,
};

use crate::{
    api::Caller,
    decide::Asker,
    engine::Engine,
    limits::LINGERS_MAX,
    policy::{Subject, fold},
    pool::PoolIndex,
    share::Share,
    step::Step,
};

/// Who had the seats: a key and a user on it, names that differ in case being one.
type LastHolder = (PublicKey, String);

fn last_holder(client: PublicKey, holder: &Holder) -> LastHolder {
    (client, fold(&holder.user).into_owned())
}

/// Lingering seats by holder and by end. Each step is O(log n); whoever ends many pays for each.
#[derive(Debug, Default)]
pub(crate) struct Lingering {
    kept: BTreeMap<PoolIndex, BTreeMap<LastHolder, Kept>>,
    ends: BTreeSet<(BootMs, PoolIndex, LastHolder)>,
    /// Seats that linger with the holders of a reservation, by its index: they are kept once.
    reserved: BTreeMap<(PoolIndex, usize), u64>,
}

#[derive(Debug, Default)]
struct Kept {
    seats: u64,
    by_end: BTreeMap<BootMs, u64>,
    seen: Seen,
}

/// The rest of who had them, as it was last seen.
#[derive(Debug, Default, Clone)]
struct Seen {
    host: String,
    address: Option<IpAddr>,
    /// Its reservation, by the policy in force.
    reservation: Option<usize>,
}

/// Seats that their last holder took back, so that it can be undone.
#[derive(Debug)]
pub(crate) struct Taken {
    pool: PoolIndex,
    holder: LastHolder,
    seen: Seen,
    by_end: Vec<(BootMs, u64)>,
}

impl Taken {
    fn seats(&self) -> u64 {
        self.by_end.iter().map(|(_, seats)| seats).sum()
    }
}

impl Lingering {
    /// When the next ones end.
    pub(crate) fn next_end(&self) -> Option<BootMs> {
        self.ends.first().map(|(end, ..)| *end)
    }

    fn of(&self, pool: PoolIndex, holder: &LastHolder) -> u64 {
        let kept = self.kept.get(&pool).and_then(|kept| kept.get(holder));
        kept.map_or(0, |kept| kept.seats)
    }

    fn first_of(&self, pool: PoolIndex) -> Option<LastHolder> {
        let (holder, _) = self.kept.get(&pool)?.first_key_value()?;
        Some(holder.clone())
    }

    /// Those that count for a reservation.
    pub(crate) fn of_reservation(&self, pool: PoolIndex, index: usize) -> u64 {
        let seats = self.reserved.get(&(pool, index));
        seats.copied().unwrap_or_default()
    }

    fn keep(&mut self, pool: PoolIndex, holder: LastHolder, seen: Seen, end: BootMs, seats: u64) {
        let of_pool = self.kept.entry(pool).or_default();
        let kept = of_pool.entry(holder.clone()).or_default();
        count(
            &mut self.reserved,
            pool,
            kept.seen.reservation,
            kept.seats,
            0,
        );
        kept.seen = seen;
        kept.seats += seats;
        count(
            &mut self.reserved,
            pool,
            kept.seen.reservation,
            0,
            kept.seats,
        );
        *kept.by_end.entry(end).or_default() += seats;
        self.ends.insert((end, pool, holder));
    }

    /// Takes up to so many, those that end last first: the others are free again sooner.
    fn take(&mut self, pool: PoolIndex, holder: LastHolder, seats: u64) -> Taken {
        let mut by_end = Vec::new();
        let mut left = seats;
        let mut seen = Seen::default();
        let of_pool = self.kept.entry(pool).or_default();
        if let Some(kept) = of_pool.get_mut(&holder) {
            seen = kept.seen.clone();
            let before = kept.seats;
            while let Some(mut last) = kept.by_end.last_entry().filter(|_| left > 0) {
                let (end, some) = (*last.key(), left.min(*last.get()));
                *last.get_mut() -= some;
                if *last.get() == 0 {
                    last.remove();
                    self.ends.remove(&(end, pool, holder.clone()));
                }
                kept.seats -= some;
                left -= some;
                by_end.push((end, some));
            }
            count(
                &mut self.reserved,
                pool,
                seen.reservation,
                before,
                kept.seats,
            );
            if kept.seats == 0 {
                of_pool.remove(&holder);
            }
        }
        Taken {
            pool,
            holder,
            seen,
            by_end,
        }
    }

    /// Takes what is over.
    fn take_due(&mut self, now: BootMs) -> Option<(PoolIndex, u64)> {
        let due = self.ends.first().filter(|(end, ..)| *end <= now)?;
        let (end, pool, holder) = due.clone();
        self.ends.pop_first();
        let of_pool = self.kept.get_mut(&pool)?;
        let kept = of_pool.get_mut(&holder)?;
        let seats = kept.by_end.remove(&end)?;
        kept.seats -= seats;
        count(&mut self.reserved, pool, kept.seen.reservation, seats, 0);
        if kept.seats == 0 {
            of_pool.remove(&holder);
        }
        Some((pool, seats))
    }
}

/// So many seats of a reservation's holders lingered, and so many do now.
fn count(
    reserved: &mut BTreeMap<(PoolIndex, usize), u64>,
    pool: PoolIndex,
    reservation: Option<usize>,
    before: u64,
    after: u64,
) {
    if let Some(index) = reservation {
        let seats = reserved.entry((pool, index)).or_default();
        *seats = (*seats + after).saturating_sub(before);
        if *seats == 0 {
            reserved.remove(&(pool, index));
        }
    }
}

impl Engine {
    /// Another policy has other reservations.
    pub(crate) fn recount_lingering(&mut self) {
        let mut lingering = std::mem::take(&mut self.lingering);
        lingering.reserved.clear();
        for (pool, holders) in &mut lingering.kept {
            for (holder, kept) in holders {
                kept.seen.reservation = self.reservation_of_last(*pool, holder, &kept.seen);
                let reserved = &mut lingering.reserved;
                count(reserved, *pool, kept.seen.reservation, 0, kept.seats);
            }
        }
        self.lingering = lingering;
    }

    /// How many of a pool's seats linger with this asker.
    pub(crate) fn lingering_with(&self, asker: &Asker<'_>, pool: PoolIndex) -> u64 {
        if self.state.pool(pool).lingering == 0 {
            return 0;
        }
        asker.client.map_or(0, |client| {
            self.lingering.of(pool, &last_holder(client, asker.holder))
        })
    }

    /// A grant takes back what lingers with its holder, before anything else. Nothing comes free by that, so
    /// nobody's turn does: a look at a waiter takes and puts back, and must not call for the next look.
    pub(crate) fn take_lingering(
        &mut self,
        client: PublicKey,
        holder: &Holder,
        pool: PoolIndex,
        seats_new: u32,
    ) -> Option<Taken> {
        if self.state.pool(pool).lingering == 0 {
            return None;
        }
        let holder = last_holder(client, holder);
        Some(self.take_from_lingering(pool, holder, u64::from(seats_new)))
    }

    /// They were not granted after all.
    pub(crate) fn put_lingering_back(&mut self, taken: Taken) {
        self.state.pool_mut(taken.pool).lingering += taken.seats();
        for (end, seats) in taken.by_end {
            let (holder, seen) = (taken.holder.clone(), taken.seen.clone());
            self.lingering.keep(taken.pool, holder, seen, end, seats);
        }
    }

    /// Ends a lease at its holder's word. The seats that this frees linger, where the policy says so.
    pub(crate) fn end_and_linger(&mut self, step: &mut Step, caller: &Caller, id: LeaseId) {
        let Some((pool, holder, length)) = self.lingers(caller, id) else {
            return self.end_lease(step, id);
        };
        let host = self.state.leases.get(&id).map(|it| it.holder.host.clone());
        let mut seen = Seen {
            host: host.unwrap_or_default(),
            address: Some(caller.address),
            reservation: None,
        };
        seen.reservation = self.reservation_of_last(pool, &holder, &seen);
        let out_before = self.state.pool(pool).out;
        self.end_lease(step, id);
        let after = self.state.pool(pool);
        let seats = (out_before - after.out).min(after.free());
        if seats > 0 && self.lingering.ends.len() < LINGERS_MAX {
            self.state.pool_mut(pool).lingering += seats;
            let end = step.now.boot.plus(length);
            self.lingering.keep(pool, holder, seen, end, seats);
        }
    }

    /// Ends what is over.
    pub(crate) fn end_lingering(&mut self, now: BootMs) {
        while let Some((pool, seats)) = self.lingering.take_due(now) {
            self.state.pool_mut(pool).lingering -= seats;
            self.touch_pool(pool);
        }
    }

    /// Ends what lingers with the holder of a lease: it is evicted.
    pub(crate) fn stop_lingering_with(&mut self, id: LeaseId) {
        if let Some(entry) = self.state.leases.get(&id) {
            let (pool, holder) = (entry.pool, last_holder(entry.client, &entry.holder));
            self.free_lingering(pool, holder);
        }
    }

    /// Ends what a pool may no longer keep after a record: its license is gone or smaller, it is
    /// suspended, or more is out than was known.
    pub(crate) fn settle_lingering(&mut self) {
        if self.lingering.ends.is_empty() {
            return;
        }
        let pools: Vec<_> = self.lingering.kept.keys().copied().collect();
        for pool in pools {
            while !self.may_linger(pool) {
                let Some(holder) = self.lingering.first_of(pool) else {
                    break;
                };
                self.free_lingering(pool, holder);
            }
        }
    }

    /// Every counter against what it counts (A1).
    pub(crate) fn check_lingering(&self) {
        if cfg!(debug_assertions) && self.lingering.ends.len() <= CHECKED_MAX {
            for (index, pool) in self.state.pools() {
                let kept = self.lingering.kept.get(&index).into_iter().flatten();
                let seats: u64 = kept
                    .map(|(_, kept)| kept.by_end.values().sum::<u64>())
                    .sum();
                assert_eq!(pool.lingering, seats, "lingering of {:?}", pool.key);
            }
            let kept = self.lingering.kept.values().flat_map(BTreeMap::values);
            let reserved = kept.filter(|kept| kept.seen.reservation.is_some());
            let reserved: u64 = reserved.map(|kept| kept.seats).sum();
            assert_eq!(reserved, self.lingering.reserved.values().sum::<u64>());
        }
    }

    fn reservation_of_last(
        &self,
        pool: PoolIndex,
        (client, user): &LastHolder,
        seen: &Seen,
    ) -> Option<usize> {
        if self.policy.reserve.is_empty() {
            return None;
        }
        let key = self.state.pool(pool).key.feature_key();
        let who = Subject {
            client: (*client).into(),
            user,
            host: &seen.host,
            address: seen.address,
        };
        let feature = self.state.feature_path(&key);
        self.policy.reservation_of(&feature, &who)
    }

    fn may_linger(&self, index: PoolIndex) -> bool {
        let pool = self.state.pool(index);
        let kept = pool.out + pool.offered + pool.lingering;
        let fits = pool.seats_and_overdraft().is_none_or(|seats| kept <= seats);
        fits && pool.terms.is_some() && self.suspension_of(pool).is_none()
    }

    /// Where, with whom and for how long the seats of a lease linger that is given back now.
    fn lingers(&self, caller: &Caller, id: LeaseId) -> Option<(PoolIndex, LastHolder, DurationMs)> {
        let entry = self.state.leases.get(&id)?;
        let pool = self.state.pool(entry.pool);
        let share = pool.share(entry.share_key().as_ref());
        let is_evicted = entry.evicted.is_some() || share.is_some_and(Share::is_evicted);
        // An unlimited pool has a seat for it anyhow.
        pool.seats()?;
        if self.policy.linger.is_empty() || is_evicted || self.suspension_of(pool).is_some() {
            return None;
        }
        let feature = self.state.feature_path(&pool.key.feature_key());
        let who = Subject {
            address: Some(caller.address),
            ..entry.subject()
        };
        let length = self.policy.linger(&feature, &who);
        let holder = last_holder(entry.client, &entry.holder);
        (length > DurationMs::ZERO).then_some((entry.pool, holder, length))
    }

    fn free_lingering(&mut self, pool: PoolIndex, holder: LastHolder) {
        let taken = self.take_from_lingering(pool, holder, u64::MAX);
        if !taken.by_end.is_empty() {
            self.touch_pool(pool);
        }
    }

    fn take_from_lingering(&mut self, pool: PoolIndex, holder: LastHolder, seats: u64) -> Taken {
        let taken = self.lingering.take(pool, holder, seats);
        self.state.pool_mut(pool).lingering -= taken.seats();
        taken
    }
}

/// Above this the full count would make tests quadratic.
const CHECKED_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{World, wants};

    /// A3: what is released beyond that is free at once.
    #[test]
    fn a3_so_many_releases_linger_and_no_more() {
        let mut world = World::lingering(3);
        let lease = |world: &mut World, nonce| world.checkout(10, nonce).unwrap().lease;
        let leases = [1, 2].map(|nonce| lease(&mut world, nonce));
        let pool = PoolIndex(0);
        let before = world.engine.lingering.ends.len();
        for number in before..LINGERS_MAX - 1 {
            let holder = (leases[0].client, format!("nobody-{number}"));
            let lingering = &mut world.engine.lingering;
            lingering.keep(pool, holder, Seen::default(), BootMs(u64::MAX), 0);
        }
        for (nonce, lease) in (1..).zip(&leases) {
            let link = crate::tests::link(nonce, 9);
            world.release(10, lease, nonce, link).unwrap();
            assert_eq!(world.engine.state.pool(pool).lingering, 1);
        }
        let own = world.checkout_with(10, wants(5));
        assert_eq!(own.unwrap().seats_out, 1);
    }
}
