//! When leases come free: the one index of deadlines (L2).
//!
//! It orders and finds; whether a deadline may move is decided where it is set, in `length.rs`.

use std::collections::BTreeSet;

use usher_protocol::{ids::LeaseId, time::BootMs};

use crate::pool::PoolIndex;

/// Leases by deadline, per pool, and the pools by their next one: O(log n) for each step.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct DeadlineIndex {
    pools: Vec<BTreeSet<(BootMs, LeaseId)>>,
    next: BTreeSet<(BootMs, PoolIndex)>,
}

impl DeadlineIndex {
    /// The leases of each pool with their deadlines.
    pub(crate) fn of(pools: Vec<Vec<(BootMs, LeaseId)>>) -> Self {
        let pools: Vec<_> = pools.into_iter().map(BTreeSet::from_iter).collect();
        let next = |(index, leases): (usize, &BTreeSet<(BootMs, LeaseId)>)| {
            leases.first().map(|first| (first.0, PoolIndex(index)))
        };
        Self {
            next: pools.iter().enumerate().filter_map(next).collect(),
            pools,
        }
    }

    /// Puts a lease where its deadline says, or takes it out.
    pub(crate) fn place(
        &mut self,
        pool: PoolIndex,
        lease: LeaseId,
        old: Option<BootMs>,
        new: Option<BootMs>,
    ) {
        if self.pools.len() <= pool.0 {
            self.pools.resize_with(pool.0 + 1, BTreeSet::new);
        }
        let leases = &mut self.pools[pool.0];
        let first_before = leases.first().map(|first| first.0);
        if let Some(old) = old {
            leases.remove(&(old, lease));
        }
        if let Some(new) = new {
            leases.insert((new, lease));
        }
        let first_after = leases.first().map(|first| first.0);
        if first_before != first_after {
            first_before.map(|at| self.next.remove(&(at, pool)));
            first_after.map(|at| self.next.insert((at, pool)));
        }
    }

    /// The lease that comes free first of all.
    pub(crate) fn first(&self) -> Option<(BootMs, LeaseId)> {
        let (_, pool) = self.next.first()?;
        self.pools.get(pool.0)?.first().copied()
    }

    /// The leases of one pool, those that come free first in front.
    pub(crate) fn of_pool(&self, pool: PoolIndex) -> impl Iterator<Item = (BootMs, LeaseId)> + '_ {
        self.pools.get(pool.0).into_iter().flatten().copied()
    }

    /// How many leases of one pool have a deadline.
    pub(crate) fn count(&self, pool: PoolIndex) -> usize {
        self.pools.get(pool.0).map_or(0, BTreeSet::len)
    }
}

#[cfg(test)]
mod tests {
    use usher_protocol::ids::{Commit, Epoch};

    use super::*;

    fn lease(number: u64) -> LeaseId {
        LeaseId {
            epoch: Epoch(1),
            commit: Commit(number),
        }
    }

    #[test]
    fn the_first_of_all_pools_is_found_as_deadlines_move() {
        let mut index = DeadlineIndex::default();
        let (a, b) = (PoolIndex(0), PoolIndex(3));
        index.place(a, lease(1), None, Some(BootMs(50)));
        index.place(b, lease(2), None, Some(BootMs(40)));
        assert_eq!(index.first(), Some((BootMs(40), lease(2))));
        index.place(b, lease(2), Some(BootMs(40)), Some(BootMs(90)));
        assert_eq!(index.first(), Some((BootMs(50), lease(1))));
        index.place(a, lease(1), Some(BootMs(50)), None);
        assert_eq!(index.first(), Some((BootMs(90), lease(2))));
        assert_eq!((index.count(a), index.count(b)), (0, 1));
    }

    #[test]
    fn made_at_once_it_is_as_if_each_was_placed() {
        let (a, c) = (PoolIndex(0), PoolIndex(2));
        let mut placed = DeadlineIndex::default();
        placed.place(c, lease(3), None, Some(BootMs(30)));
        placed.place(a, lease(1), None, Some(BootMs(50)));
        placed.place(a, lease(2), None, Some(BootMs(20)));
        let at_once = DeadlineIndex::of(vec![
            vec![(BootMs(50), lease(1)), (BootMs(20), lease(2))],
            vec![],
            vec![(BootMs(30), lease(3))],
        ]);
        assert_eq!(at_once, placed);
    }
}
