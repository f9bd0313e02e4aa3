//! Random worlds in the short form, and the proof that they can fail.

use usher_protocol::{time::DurationMs, wire::Environment};
use usher_simulation::{FaultKnobs, Knobs, Planted, campaign, find};
use usher_tests::proof;

#[test]
fn no_seat_is_used_twice_and_no_acknowledged_lease_is_lost() {
    let (figures, found) = campaign(proof::seeds(WORLDS));
    proof::tell("simulation", &figures.named());
    assert!(found.is_empty(), "{} worlds went wrong", found.len());
}

#[test]
fn a1_a_seed_makes_one_world() {
    let lives = [
        usher_simulation::tell(1, 1000),
        usher_simulation::tell(1, 1000),
    ];
    assert!(lives[0].lines().count() > 100);
    assert_eq!(lives[0], lives[1]);
}

#[test]
fn s1_a_missing_sync_is_found() {
    told(Planted::NoSync, &|_| {});
}

#[test]
fn l1_a_right_counted_from_receipt_is_found() {
    told(Planted::RightFromReceipt, &|knobs| {
        knobs.terms.lease_ms = DurationMs::minutes(1);
        knobs.terms.environment = Environment::Live;
        knobs.terms.seats = 1;
        knobs.network.long_permille = 300;
        knobs.network.long_ms_max = 90_000;
        knobs.faults = FaultKnobs {
            block: Some(DurationMs::minutes(1)),
            ..FaultKnobs::default()
        };
        knobs.work.think = Some(DurationMs::seconds(10));
        knobs.work.hold = DurationMs::minutes(20);
        knobs.work.wait_permille = 1000;
    });
}

fn told(planted: Planted, adapt: &dyn Fn(&mut Knobs)) {
    let Some((worlds, found)) = find(planted, 300, adapt) else {
        panic!("{planted:?} is not found");
    };
    println!(
        "{planted:?} is found in world {worlds}: {}",
        found.violation
    );
}

/// Worlds of the short form.
const WORLDS: u64 = 60;
