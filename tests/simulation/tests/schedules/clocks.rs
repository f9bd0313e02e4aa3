//! Wall clocks that lie, and machines that stood still (L1, L10, L11).

use super::*;
use usher_protocol::{ids::Nonce, time::WallMs};
use usher_simulation::{Crash, Machine};

const LEASE: DurationMs = DurationMs::minutes(10);
const BORROWED: DurationMs = DurationMs::days(2);
/// A borrowed seat comes back so long after its end (L10).
const TOLERANCE: DurationMs = DurationMs::hours(1);
const DAY_MS: i64 = 86_400_000;

/// Two seats, one of them borrowed for two days.
fn with_borrow(seed: u64) -> World {
    let mut knobs = knobs(2, LEASE);
    knobs.stations = 3;
    knobs.terms.borrow_ms_max = DurationMs::days(30);
    let mut world = World::new(seed, knobs);
    let ticket = world.borrow(2, Nonce([7; 16]), BORROWED);
    let Answer::Promised(promise) = answer(&mut world, ticket) else {
        panic!("nothing is lent");
    };
    assert!(promise.lease.borrowed);
    world
}

/// The daemon's machine comes up again with its wall clock that far off.
fn boots_with_a_clock_off_by(world: &mut World, by_ms: i64) {
    world.stop_server(Crash::Power);
    run(world, DurationMs::minutes(1));
    world.jump_server_wall(by_ms);
    world.start_server();
    run(world, DurationMs::minutes(2));
}

fn off_until(world: &World, wall: WallMs) -> i64 {
    wall.0.cast_signed() - world.server_now().wall.0.cast_signed()
}

/// Whoever is on line goes on and others get seats; the borrowed one is out until its own time.
fn serves_on(mut world: World, off_by_ms: i64) {
    let first = held(&mut world, 0);
    let borrowed_at = world.now();
    boots_with_a_clock_off_by(&mut world, off_by_ms);
    assert!(world.holds(first), "its lease stands");
    let degraded = status(&mut world).degraded;
    assert!(
        degraded.iter().any(|it| it.starts_with("clock")),
        "{degraded:?}"
    );
    // Renewed by the daemon with the wrong clock, and given back to it.
    run(&mut world, DurationMs::hours(1));
    assert!(world.holds(first), "renewals work");
    let heir = world.check_out(1, &waits());
    run(&mut world, DurationMs::hours(1));
    assert!(!world.holds(heir), "the borrowed seat was lent twice");
    world.release(first);
    assert!(comes(&mut world, LEASE, |it| it.holds(heir)));
    // Nothing new goes home under such a clock.
    let ticket = world.borrow(0, Nonce([8; 16]), BORROWED);
    let no = answer(&mut world, ticket);
    assert!(matches!(no, Answer::Refused(_)), "{no:?}");
    let last = world.check_out(0, &waits());
    let out_until = borrowed_at.plus(BORROWED);
    while world.now() < out_until {
        assert!(!world.holds(last), "the borrowed seat came back early");
        run(&mut world, DurationMs::minutes(30));
    }
    // It comes back, whatever the wall clock says: license time goes by the boot clock then.
    let late = DurationMs(TOLERANCE.0 + 6 * 3_600_000);
    assert!(comes(&mut world, late, |it| it.holds(last)));
}

#[test]
fn l11_a_server_boots_in_2030() {
    let world = with_borrow(1);
    let off = off_until(&world, WallMs(1_893_456_000_000));
    serves_on(world, off);
}

#[test]
fn l11_a_server_boots_in_1970() {
    let world = with_borrow(2);
    let off = off_until(&world, WallMs(0));
    serves_on(world, off);
}

/// Every day somebody sets the server's clock a day back, and now and then the daemon starts anew.
#[test]
fn l11_a_clock_is_set_back_daily() {
    let mut world = with_borrow(3);
    let first = held(&mut world, 0);
    let borrowed_at = world.now();
    let heir = world.check_out(1, &waits());
    for day in 1..=7 {
        world.jump_server_wall(-DAY_MS);
        if day % 2 == 0 {
            world.crash(Crash::Power);
        }
        let morning = world.now();
        let due = borrowed_at.plus(BORROWED);
        while world.now() < morning.plus(DurationMs::hours(24)) {
            run(&mut world, DurationMs::minutes(30));
            assert!(world.holds(first), "day {day}: the lease on line is lost");
            let is_out = world.now() < due;
            assert!(
                !(is_out && world.holds(heir)),
                "day {day}: it came back early"
            );
        }
    }
    assert!(world.holds(heir), "the borrowed seat never came back");
}

/// The hypervisor stops a client for longer than its lease: its boot clock stood still, its wall clock is
/// right when it goes on, and somebody else has its seat (L1).
#[test]
fn l1_a_client_is_paused_by_its_hypervisor_for_longer_than_its_lease() {
    for seed in 1..20 {
        let mut world = world(seed, 1, LEASE);
        let paused = held(&mut world, 0);
        let heir = world.check_out(1, &waits());
        run(&mut world, DurationMs::minutes(2));
        world.pause(Machine::Station(0), DurationMs::minutes(30));
        assert!(comes(&mut world, DurationMs::minutes(15), |it| it.holds(heir)));
        run(&mut world, DurationMs::minutes(30));
        assert!(
            !world.holds(paused),
            "seed {seed}: it believes what is another's"
        );
        assert!(world.holds(heir));
        world.release(heir);
        assert!(
            comes(&mut world, LEASE, |it| it.holds(paused)),
            "seed {seed}"
        );
    }
}

/// Paused for less than its lease: it goes on only when the server has confirmed it (L1).
#[test]
fn l1_a_client_is_paused_by_its_hypervisor_for_less_than_its_lease() {
    let mut world = world(1, 1, LEASE);
    let paused = held(&mut world, 0);
    let heir = world.check_out(1, &waits());
    run(&mut world, DurationMs::seconds(10));
    world.pause(Machine::Station(0), DurationMs::minutes(5));
    run(&mut world, DurationMs::minutes(5));
    let now = world.station_now(0);
    let state = world.session(paused).unwrap().state(now).unwrap();
    assert_ne!(
        state,
        usher_client::session::State::Active,
        "nobody confirmed it"
    );
    assert!(comes(&mut world, LEASE, |it| {
        let now = it.station_now(0);
        let state = it.session(paused).and_then(|it| it.state(now));
        state == Some(usher_client::session::State::Active)
    }));
    assert!(!world.holds(heir));
}
