//! What must hold after every record (A1). Cheap checks always run; the full count where debug
//! assertions are on.
//!
//! A broken invariant is a defect of this crate: the engine must not go on lending on a wrong count.

use crate::{record::Record, state::State};

/// Checks what one record may have broken.
pub(crate) fn after_apply(state: &State, record: &Record) {
    assert!(
        state.by_nonce.len() == state.leases.len(),
        "every lease has its own nonce (L5)"
    );
    if let Record::PutLease(lease) = record {
        let nonce = (lease.client, lease.nonce);
        assert!(
            state.by_nonce.get(&nonce) == Some(&lease.id),
            "a nonce names its lease (L5)"
        );
    }
    if cfg!(debug_assertions) && state.leases.len() <= FULL_COUNT_MAX {
        full_count(state);
    }
}

/// Every counter against what it counts.
fn full_count(state: &State) {
    for (index, pool) in state.pools() {
        let leases = state.leases.values().filter(|entry| entry.pool == index);
        let (mut out, mut held, mut timed) = (0, 0, 0);
        let (mut borrowed, mut written_off) = (0, 0);
        for entry in leases {
            let seats = u64::from(entry.seats);
            match entry.borrowed {
                Some(it) if it.written_off => written_off += seats,
                other => {
                    out += seats;
                    borrowed += other.map_or(0, |_| seats);
                }
            }
            held += u32::from(!entry.heard);
            timed += usize::from(entry.deadline.is_some());
        }
        assert_eq!(pool.out, out, "seats out of {:?}", pool.key);
        let counts = (pool.borrowed, pool.written_off);
        assert_eq!(
            counts,
            (borrowed, written_off),
            "borrowed of {:?}",
            pool.key
        );
        assert_eq!(pool.held, held, "leases held of {:?}", pool.key);
        assert_eq!(
            state.deadlines.count(index),
            timed,
            "deadlines of {:?}",
            pool.key
        );
        assert_eq!(pool.excess.is_some(), pool.seats_over() > 0, "excess (L7)");
    }
    let by_client: usize = state.leases_by_client.values().sum();
    assert_eq!(by_client, state.leases.len(), "leases per client");
}

/// Above this the full count would make tests of large pools quadratic.
const FULL_COUNT_MAX: usize = 64;
