//! Random worlds in the short form, and the proof that they can fail.

use usher_protocol::{time::DurationMs, wire::Environment};
use usher_simulation::{FaultKnobs, Knobs, Planted, campaign, clock::WALL_AT_BEGINNING, find};
use usher_tests::proof;

#[test]
fn no_seat_is_used_twice_and_no_acknowledged_lease_is_lost() {
    let (figures, found) = campaign(proof::seeds(WORLDS));
    proof::tell("simulation", &figures.named());
    assert!(found.is_empty(), "{} worlds went wrong", found.len());
    // What does not come to pass proves nothing.
    let missing: Vec<_> = figures.named().into_iter().filter(never).collect();
    assert!(
        figures.worlds < WORLDS || missing.is_empty(),
        "never happened in {} worlds: {missing:?}",
        figures.worlds
    );
}

/// Everything that is counted happens in the short form, but for violations.
fn never((name, count): &(&str, u64)) -> bool {
    *count == 0 && *name != "violations"
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

/// Seats at home, and a daemon that forgets them at its next start.
#[test]
fn l10_borrows_forgotten_at_a_restart_are_found() {
    told(Planted::BorrowsForgotten, &|knobs| {
        knobs.terms.environment = Environment::Live;
        knobs.terms.lease_ms = DurationMs::minutes(30);
        knobs.terms.borrow_ms_max = DurationMs::hours(8);
        knobs.drift_ppm_max = 100;
        knobs.work.home = Some(DurationMs::minutes(20));
        knobs.faults.server_crash = Some(DurationMs::hours(1));
        knobs.faults.mixup = None;
    });
}

/// Licenses that shrink below what is out, seats at home among it.
#[test]
fn l7_a_renewal_although_too_many_are_out_is_found() {
    told(Planted::RenewedAlthoughTooMany, &|knobs| {
        knobs.faults.admin = Some(knobs.terms.lease_ms);
        knobs.faults.fewer_permille = 700;
    });
}

#[test]
fn l8_an_end_not_looked_at_is_found() {
    told(Planted::EndIgnored, &|knobs| {
        let soon = DurationMs(knobs.terms.lease_ms.0 * 5);
        knobs.terms.expires = Some(WALL_AT_BEGINNING.plus(soon));
    });
}

#[test]
fn a_set_in_pieces_is_found() {
    told(Planted::SetInPieces, &|knobs| {
        knobs.terms.seats_second = Some(1);
        knobs.work.set_permille = 500;
        knobs.network.twice_permille = 0;
    });
}

/// Old copies of the server's machine that are started by mistake, and clients that believe them.
#[test]
fn l12_an_epoch_not_compared_is_found_in_random_worlds() {
    told(Planted::EpochIgnored, &|knobs| {
        knobs.faults = FaultKnobs {
            mixup: Some(DurationMs(knobs.terms.lease_ms.0 / 2)),
            server_crash: knobs.faults.server_crash,
            down_ms_max: 1_000,
            ..FaultKnobs::default()
        };
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
