//! What must hold after every record (A1). Cheap checks always run; the full count where debug
//! assertions are on.
//!
//! A broken invariant is a defect of this crate: the engine must not go on lending on a wrong count.

use std::collections::BTreeMap;

use usher_protocol::ids::{LeaseId, Nonce, PublicKey};

use crate::state::{LeaseEntry, State};

/// Checks what the record of this lease may have broken.
pub(crate) fn after_lease(state: &State, id: LeaseId, nonce: &(PublicKey, Nonce)) {
    assert!(
        state.by_nonce.get(nonce) == Some(&id),
        "a nonce names its lease (L5)"
    );
    after_apply(state);
}

/// Checks what any record may have broken.
pub(crate) fn after_apply(state: &State) {
    assert!(
        state.by_nonce.len() == state.leases.len(),
        "every lease has its own nonce (L5)"
    );
    if cfg!(debug_assertions) && state.leases.len() <= FULL_COUNT_MAX {
        full_count(state);
    }
}

/// Every counter against what it counts.
fn full_count(state: &State) {
    for (index, pool) in state.pools() {
        let of_pool = || state.leases.iter().filter(|(_, it)| it.pool == index);
        let (mut held, mut timed) = (0, 0);
        for (_, entry) in of_pool() {
            held += u32::from(!entry.heard);
            timed += usize::from(entry.deadline.is_some());
        }
        let counts = (pool.out, pool.borrowed, pool.written_off);
        assert_eq!(counts, counted(of_pool()), "seats of {:?}", pool.key);
        let shared: usize = pool.shares.values().map(|it| it.leases().count()).sum();
        let grouped = of_pool().filter(|(_, it)| it.share_key().is_some());
        assert_eq!(shared, grouped.count(), "shares of {:?}", pool.key);
        assert_eq!(pool.held, held, "leases held of {:?}", pool.key);
        assert_eq!(
            state.deadlines.count(index),
            timed,
            "deadlines of {:?}",
            pool.key
        );
        assert_eq!(pool.excess.is_some(), pool.seats_over() > 0, "excess (L7)");
    }
    let anew = state.counted_anew(state.counted_for());
    assert!(state.tally == anew, "seats that count for the policy");
    let by_client: usize = state.leases_by_client.values().sum();
    assert_eq!(by_client, state.leases.len(), "leases per client");
}

/// Seats out, borrowed and written off, from the leases alone: of each group the largest (L10).
fn counted<'a>(
    leases: impl Iterator<Item = (&'a LeaseId, &'a Box<LeaseEntry>)>,
) -> (u64, u64, u64) {
    let mut groups: BTreeMap<_, [u32; 3]> = BTreeMap::new();
    for (id, entry) in leases {
        let group = match entry.share_key() {
            Some(key) => Ok(key),
            None => Err(*id),
        };
        let largest = groups.entry(group).or_default();
        let counts = match entry.borrowed {
            Some(it) if it.written_off => [false, false, true],
            it => [true, it.is_some(), false],
        };
        for (largest, counts) in largest.iter_mut().zip(counts) {
            *largest = (*largest).max(if counts { entry.seats } else { 0 });
        }
    }
    let sum = |of: usize| groups.values().map(|largest| u64::from(largest[of])).sum();
    (sum(0), sum(1), sum(2))
}

/// Above this the full count would make tests of large pools quadratic.
const FULL_COUNT_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use crate::tests::World;

    /// A world in which one more record is looked at.
    fn broken(change: impl FnOnce(&mut World)) {
        let mut world = World::with_seats(9);
        world.checkout(10, 1).unwrap();
        change(&mut world);
        let _ = world.checkout(11, 2);
    }

    #[test]
    fn a1_the_state_as_it_is_breaks_nothing() {
        broken(|_| {});
    }

    #[test]
    #[should_panic(expected = "every lease has its own nonce")]
    fn a1_a_lost_nonce_is_noticed() {
        broken(|world| world.engine.state.by_nonce.clear());
    }

    #[test]
    #[should_panic(expected = "leases per client")]
    fn a1_a_wrong_count_is_noticed() {
        broken(|world| world.engine.state.leases_by_client.clear());
    }
}
