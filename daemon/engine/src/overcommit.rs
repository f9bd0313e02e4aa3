//! Which leases must go when a pool has more out than it has (L7): the newest, as many as needed.
//!
//! It only names them; nothing here cuts a running lease.

use std::collections::BTreeMap;

use usher_protocol::ids::LeaseId;

/// The leases of an overcommitted pool by age, and from which one on renewals are refused.
///
/// It stands only while the pool is overcommitted; each step is O(log n), amortized.
#[derive(Debug, Default)]
pub(crate) struct Excess {
    seats_by_lease: BTreeMap<LeaseId, u32>,
    refused_from: Option<LeaseId>,
    refused_seats: u64,
}

impl Excess {
    /// Whether the renewal of this lease is refused.
    pub(crate) fn refuses(&self, lease: LeaseId) -> bool {
        self.refused_from.is_some_and(|from| lease >= from)
    }

    /// A lease that is out.
    pub(crate) fn add(&mut self, lease: LeaseId, seats: u32) {
        self.seats_by_lease.insert(lease, seats);
        if self.refuses(lease) {
            self.refused_seats += u64::from(seats);
        }
    }

    /// A lease that is over.
    pub(crate) fn remove(&mut self, lease: LeaseId) {
        let Some(seats) = self.seats_by_lease.get(&lease).copied() else {
            return;
        };
        if self.refuses(lease) {
            self.refused_seats -= u64::from(seats);
        }
        if self.refused_from == Some(lease) {
            self.refused_from = self.after(lease);
        }
        self.seats_by_lease.remove(&lease);
    }

    /// Refuses the newest leases until they cover `seats_over`, and no more of them than that takes.
    pub(crate) fn settle(&mut self, seats_over: u64) {
        while self.refused_seats < seats_over {
            let older = match self.refused_from {
                Some(from) => self.seats_by_lease.range(..from).next_back(),
                None => self.seats_by_lease.last_key_value(),
            };
            let Some((lease, seats)) = older else { return };
            self.refused_from = Some(*lease);
            self.refused_seats += u64::from(*seats);
        }
        while let Some(from) = self.refused_from {
            let seats = self.seats_by_lease.get(&from).map_or(0, |s| u64::from(*s));
            if self.refused_seats < seats_over + seats {
                return;
            }
            self.refused_seats -= seats;
            self.refused_from = self.after(from);
        }
    }

    fn after(&self, lease: LeaseId) -> Option<LeaseId> {
        use std::ops::Bound::{Excluded, Unbounded};
        let mut newer = self.seats_by_lease.range((Excluded(lease), Unbounded));
        newer.next().map(|(id, _)| *id)
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
    fn l7_the_newest_are_refused_and_no_more_than_needed() {
        let mut excess = Excess::default();
        (1..=5).for_each(|number| excess.add(lease(number), 2));
        let refused = |excess: &Excess| {
            let leases = excess.seats_by_lease.keys();
            let refused = leases.filter(|lease| excess.refuses(**lease));
            refused.map(|lease| lease.commit.0).collect::<Vec<_>>()
        };
        excess.settle(3);
        assert_eq!(refused(&excess), [4, 5]);
        excess.remove(lease(1));
        excess.settle(1);
        assert_eq!(refused(&excess), [5]);
        excess.remove(lease(5));
        excess.add(lease(0), 2);
        excess.settle(1);
        assert_eq!(refused(&excess), [4]);
        excess.settle(0);
        assert_eq!(refused(&excess), [0; 0]);
    }

    /// What it must come to, counted plainly: from the newest on, until they cover what is over.
    fn plainly(seats_by_lease: &BTreeMap<LeaseId, u32>, seats_over: u64) -> Vec<LeaseId> {
        let mut covered = 0;
        let newest_first = seats_by_lease.iter().rev();
        let needed = newest_first.take_while(|(_, seats)| {
            let is_needed = covered < seats_over;
            covered += u64::from(**seats);
            is_needed
        });
        needed.map(|(lease, _)| *lease).collect()
    }

    #[test]
    fn l7_whatever_came_and_went_exactly_the_newest_that_are_needed_are_refused() {
        let mut excess = Excess::default();
        let mut dice = 7_u64;
        let mut roll = |end: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (dice >> 33) % end
        };
        for _ in 0..5_000 {
            let id = lease(roll(12));
            if roll(2) == 0 {
                let seats = u32::try_from(1 + roll(4)).unwrap();
                excess.remove(id);
                excess.add(id, seats);
            } else {
                excess.remove(id);
            }
            let seats_over = roll(20);
            excess.settle(seats_over);
            let refused = excess.seats_by_lease.keys().rev();
            let refused: Vec<_> = refused.filter(|id| excess.refuses(**id)).copied().collect();
            assert_eq!(refused, plainly(&excess.seats_by_lease, seats_over));
        }
    }
}
