//! Random worlds in the short form, and the proof that they can fail.

use usher_simulation::{Planted, campaign, find};
use usher_tests::proof;

#[test]
fn no_seat_is_used_twice_and_no_acknowledged_lease_is_lost() {
    let (figures, found) = campaign(proof::seeds(WORLDS));
    proof::tell("simulation", &figures.named());
    assert!(found.is_empty(), "{} worlds went wrong", found.len());
}

#[test]
fn s1_a_missing_sync_is_found() {
    told(Planted::NoSync);
}

#[test]
fn l1_a_right_counted_from_receipt_is_found() {
    told(Planted::RightFromReceipt);
}

fn told(planted: Planted) {
    let Some((worlds, found)) = find(planted, 500) else {
        panic!("{planted:?} is not found");
    };
    println!(
        "{planted:?} is found in world {worlds}: {}",
        found.violation
    );
}

/// Worlds of the short form.
const WORLDS: u64 = 20;
