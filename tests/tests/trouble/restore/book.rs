//! What everybody at the desks was granted and believes, by the boot clock that all share. Must not ask the daemon.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use usher_tests::holder::{Held, most_at_once};

/// One feature that is quarreled about.
pub(super) struct Pool {
    pub(super) feature: &'static str,
    pub(super) seats: usize,
    pub(super) terms: &'static str,
    /// In the next serial of the license.
    pub(super) newer: &'static str,
}

/// Rights by feature, and what came of them.
#[derive(Default)]
pub(super) struct Book(Mutex<Vec<Right>>);

struct Right {
    pool: usize,
    borrowed: bool,
    held: Held,
}

/// Names a right in the book.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place(usize);

impl Book {
    /// A grant came at `from`, good until before `to`.
    pub(super) fn granted(
        &self,
        pool: usize,
        lease: String,
        borrowed: bool,
        from: u64,
        to: u64,
    ) -> Place {
        let mut rights = self.rights();
        let held = Held { lease, from, to };
        rights.push(Right {
            pool,
            borrowed,
            held,
        });
        Place(rights.len() - 1)
    }

    /// It was extended; what had run out by then is believed anew from `from` on.
    pub(super) fn extended(&self, place: &mut Place, asked: u64, from: u64, to: u64) {
        let mut rights = self.rights();
        let right = &mut rights[place.0];
        if asked <= right.held.to {
            right.held.to = to;
            return;
        }
        let held = Held {
            lease: right.held.lease.clone(),
            from,
            to,
        };
        let (pool, borrowed) = (right.pool, right.borrowed);
        rights.push(Right {
            pool,
            borrowed,
            held,
        });
        *place = Place(rights.len() - 1);
    }

    /// It is let go from here on.
    pub(super) fn ended(&self, place: Place, at: u64) {
        let held = &mut self.rights()[place.0].held;
        held.to = held.to.min(at);
    }

    /// The right runs at this moment.
    pub(super) fn is_believed(&self, place: Place, at: u64) -> bool {
        at < self.rights()[place.0].held.to
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.rights().len() as u64
    }

    /// Borrowed leases that are still believed in.
    pub(super) fn borrowed(&self) -> BTreeSet<String> {
        let now = super::desk::boot();
        let rights = self.rights();
        let out = rights.iter().filter(|it| it.borrowed && now < it.held.to);
        out.map(|it| it.held.lease.clone()).collect()
    }

    /// Moments at which more believed than there are seats.
    pub(super) fn double_uses(&self) -> Vec<String> {
        let rights = self.rights();
        let pools = POOLS.iter().enumerate();
        let over = pools.filter_map(|(index, pool)| {
            let mine = rights
                .iter()
                .filter(|it| it.pool == index && it.held.from < it.held.to);
            let mine: Vec<Held> = mine.map(|it| it.held.clone()).collect();
            let (most, at) = most_at_once(&mine);
            (most > pool.seats).then(|| {
                let at_once: Vec<_> = mine
                    .iter()
                    .filter(|it| it.from <= at && at < it.to)
                    .collect();
                format!(
                    "{most} believe in {} seats of {} at {at}: {at_once:?}",
                    pool.seats, pool.feature
                )
            })
        });
        over.collect()
    }

    fn rights(&self) -> MutexGuard<'_, Vec<Right>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The newer license lends longer: what is held after a restore must last for that as well.
pub(super) const POOLS: [Pool; 2] = [
    Pool {
        feature: "solver",
        seats: 4,
        terms: "solver:4,lease-min=2s,lease-default=2s,lease-max=2s",
        newer: "solver:4,lease-min=2s,lease-default=5s,lease-max=5s",
    },
    Pool {
        feature: "laptop",
        seats: 3,
        terms: "laptop:3,lease-min=2s,lease-default=2s,lease-max=2s,borrow-max=2h,early-return=true",
        newer: "laptop:3,lease-min=2s,lease-default=5s,lease-max=5s,borrow-max=2h,early-return=true",
    },
];
