//! Defects on purpose, each at a seam of the simulator: every one is found within so many worlds, and each
//! test says how many it took. A defect that is not found any more means that the invariants, or the worlds,
//! have become blind to it.
//!
//! Each is looked for in worlds in which its occasion comes often: short leases, few seats, many who want
//! them, and the fault that the rule is there for; two in a story told to one world after the other. The
//! random worlds of `worlds.rs` have all of these, more rarely.

#![expect(
    clippy::unwrap_used,
    reason = "what cannot be set up must fail the test that asked for it"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use usher_protocol::time::DurationMs;
use usher_simulation::{
    Crash, FaultKnobs, Knobs, Machine, Planted, Terms, Violation, Wish, World, invariants,
};
use usher_tests::proof;

/// Worlds looked at before a defect counts as missed.
const WORLDS_MAX: u64 = 200;

/// How long each of them lasts.
const LENGTH: DurationMs = DurationMs::hours(1);

/// Five workstations that want two seats all the time, leases of a minute.
fn busy() -> Knobs {
    let mut knobs = Knobs {
        stations: 5,
        terms: Terms {
            seats: 2,
            lease_ms: DurationMs::minutes(1),
            ..Terms::default()
        },
        ..Knobs::default()
    };
    knobs.work.think = Some(DurationMs::seconds(10));
    knobs.work.hold = DurationMs::minutes(2);
    knobs.work.wait_permille = 700;
    knobs
}

fn with_faults(faults: FaultKnobs) -> Knobs {
    Knobs { faults, ..busy() }
}

/// The daemon dies every few minutes, of power cuts so often.
fn with_crashes(power_permille: u64) -> Knobs {
    with_faults(FaultKnobs {
        server_crash: Some(DurationMs::minutes(2)),
        power_permille,
        commit_crash_permille: 50,
        down_ms_max: 1_000,
        block: Some(DurationMs::minutes(1)),
        ..FaultKnobs::default()
    })
}

/// What is wrong with one world, if anything.
fn judge(seed: u64, knobs: Knobs, planted: Planted) -> Option<String> {
    let mut world = World::with_planted(seed, knobs, Some(planted));
    let lived = catch_unwind(AssertUnwindSafe(|| {
        world.run_for(LENGTH)?;
        world.calm()?;
        invariants::at_end(&mut world)
    }));
    match lived {
        Ok(outcome) => outcome.err().map(|violation| violation.to_string()),
        Err(_) => Some("the engine stopped on a broken count".to_owned()),
    }
}

#[track_caller]
fn is_found(planted: Planted, knobs: &Knobs) {
    let found =
        (1..=WORLDS_MAX).find_map(|seed| Some((seed, judge(seed, knobs.clone(), planted)?)));
    tell(planted, found);
}

#[track_caller]
fn tell(planted: Planted, found: Option<(u64, String)>) {
    let Some((worlds, violation)) = found else {
        panic!("{planted:?} is not found in {WORLDS_MAX} worlds");
    };
    println!("{planted:?}: {violation}");
    proof::tell(
        &format!("planted: {planted:?}"),
        &[("searches", 1), ("worlds until found", worlds)],
    );
}

/// The same worlds without a defect: what is found is the defect.
#[test]
fn without_a_defect_nothing_is_found() {
    for (seed, knobs) in (1..).zip([busy(), with_crashes(500), drifting(), asleep(), restored()]) {
        let mut world = World::new(seed, knobs);
        world.run_for(LENGTH).unwrap();
        world.calm().unwrap();
        invariants::at_end(&mut world).unwrap();
    }
}

/// Workstations that sleep or are paused, and of which some have wall clocks that jump.
fn asleep() -> Knobs {
    with_faults(FaultKnobs {
        suspend: Some(DurationMs::seconds(40)),
        pause: Some(DurationMs::seconds(60)),
        wall_jump: Some(DurationMs::seconds(30)),
        ..FaultKnobs::default()
    })
}

/// Backups are taken and put back.
fn restored() -> Knobs {
    with_faults(FaultKnobs {
        restore: Some(DurationMs::minutes(3)),
        block: Some(DurationMs::minutes(1)),
        down_ms_max: 1_000,
        ..FaultKnobs::default()
    })
}

/// The daemon's clock is fast and the clients' are slow, and who has a seat is often cut off.
fn drifting() -> Knobs {
    Knobs {
        drift_ppm_max: 10_000,
        drifts_apart: true,
        ..with_faults(FaultKnobs {
            block: Some(DurationMs::seconds(30)),
            ..FaultKnobs::default()
        })
    }
}

#[test]
fn s1_a_commit_without_a_sync_is_found() {
    is_found(Planted::NoSync, &with_crashes(1000));
}

/// Random worlds come upon this one too rarely to wait for: somebody sleeps over the reply, wakes to it, and
/// then loses the server.
#[test]
fn l1_a_right_from_the_receipt_is_found() {
    let planted = Some(Planted::RightFromReceipt);
    let sleeps = |seed, planted| {
        sleeps_over_the_reply(seed, planted)
            .err()
            .map(|it| it.to_string())
    };
    assert_eq!((1..20).find_map(|seed| sleeps(seed, None)), None);
    let found = (1..=WORLDS_MAX).find_map(|seed| Some((seed, sleeps(seed, planted)?)));
    tell(Planted::RightFromReceipt, found);
}

fn sleeps_over_the_reply(seed: u64, planted: Option<Planted>) -> Result<(), Violation> {
    let mut knobs = busy();
    knobs.terms.seats = 1;
    knobs.work.think = None;
    knobs.queue_ms_max = 200;
    let mut world = World::with_planted(seed, knobs, planted);
    let seat = world.check_out(0, &Wish::default());
    world.run_until(DurationMs::minutes(1), |it| {
        it.session(seat)
            .is_some_and(usher_client::session::Session::has_asked)
    })?;
    world.suspend(Machine::Station(0), DurationMs::seconds(40));
    let waits = Wish {
        waits: true,
        ..Wish::default()
    };
    world.check_out(1, &waits);
    world.run_for(DurationMs::seconds(30))?;
    // What came is there when it wakes; what it sends then is lost.
    world.block(0, DurationMs::minutes(5));
    world.run_for(DurationMs::minutes(5))
}

#[test]
fn s2_an_entry_logged_twice_is_found() {
    is_found(Planted::LogTwice, &with_crashes(0));
}

#[test]
fn s2_an_outbox_forgotten_at_a_crash_is_found() {
    is_found(Planted::OutboxForgotten, &with_crashes(500));
}

#[test]
fn a2_an_answer_before_the_commit_is_found() {
    is_found(Planted::AnswerBeforeCommit, &with_crashes(500));
}

#[test]
fn l2_the_guard_time_left_out_is_found() {
    is_found(Planted::NoGuard, &drifting());
}

#[test]
fn l4_no_hold_after_a_restart_is_found() {
    is_found(Planted::NoHoldAtStart, &with_crashes(500));
}

#[test]
fn l3_a_boot_clock_that_stops_in_suspend_is_found() {
    is_found(Planted::BootStopsInSuspend, &asleep());
}

#[test]
fn l1_a_wall_clock_not_looked_at_is_found() {
    is_found(Planted::WallIgnored, &asleep());
}

#[test]
fn l12_no_hold_after_a_restore_is_found() {
    is_found(Planted::NoHoldAfterRestore, &restored());
}

/// Random worlds do not come upon this one: the server's machine goes back to an image and its clock with
/// it, so that the next life has an epoch that was there before.
#[test]
fn l12_an_epoch_not_compared_is_found() {
    assert_eq!(goes_back(3, None), None);
    let found = goes_back(3, Some(Planted::EpochIgnored)).map(|violation| (1, violation));
    tell(Planted::EpochIgnored, found);
}

/// The same, and the life that comes back has the very epoch that was seen last: only its name differs.
#[test]
fn l12_a_life_not_compared_is_found() {
    assert_eq!(goes_back(1, None), None);
    let found = goes_back(1, Some(Planted::LifeIgnored)).map(|violation| (1, violation));
    tell(Planted::LifeIgnored, found);
}

fn goes_back(lives: u32, planted: Option<Planted>) -> Option<String> {
    let knobs = Knobs {
        stations: 3,
        ..Knobs::default()
    };
    let mut world = World::with_planted(1, knobs, planted);
    let image = world.image();
    let minute = DurationMs::minutes(1);
    // More lives, of whose epochs the third station has seen the last.
    for _ in 0..lives {
        world.crash(Crash::Process);
        world.run_for(minute).unwrap();
    }
    let third = world.check_out(2, &Wish::default());
    world.run_for(minute).unwrap();
    world.release(third);
    world.run_for(minute).unwrap();
    let seats = [0, 1].map(|station| world.check_out(station, &Wish::default()));
    world.run_for(minute).unwrap();
    assert!(seats.iter().all(|seat| world.holds(*seat)));
    for station in [0, 1] {
        world.block(station, DurationMs::hours(1));
    }
    world.jump_server_wall(-3_600_000);
    world.revert(&image);
    world.check_out(2, &Wish::default());
    world.run_for(minute).err().map(|it| it.to_string())
}

#[test]
fn l7_a_renewal_after_an_eviction_is_found() {
    let evictions = FaultKnobs {
        admin: Some(DurationMs::seconds(20)),
        ..FaultKnobs::default()
    };
    let mut knobs = with_faults(evictions);
    // Who hears of its eviction asks no more.
    knobs.network.loss_permille = 300;
    is_found(Planted::RenewedAfterEviction, &knobs);
}
