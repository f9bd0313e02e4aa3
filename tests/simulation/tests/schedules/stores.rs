//! A store that knows less than it knew, and a license that came back (L12, T7).

use super::*;
use usher_simulation::{Crash, Machine};

const LEASE: DurationMs = DurationMs::minutes(10);
const BORROWED: DurationMs = DurationMs::days(7);
const BORROWED_MAX: DurationMs = DurationMs::days(10);

/// The server's machine is reverted to a snapshot taken before eight of its ten seats were borrowed. Nobody
/// can know before a lease is shown that the store does not know; from then on nothing is granted until
/// an administrator says so, and then the seats that may be at home stay there (L12).
#[test]
fn l12_a_machine_is_reverted_to_a_snapshot_before_eight_of_ten_seats_were_borrowed() {
    let mut knobs = knobs(10, LEASE);
    knobs.stations = 12;
    knobs.terms.borrow_ms_max = BORROWED_MAX;
    let mut world = World::new(1, knobs);
    let image = world.image();
    let borrowed: Vec<Lease> = (0..8)
        .map(|station| borrow(&mut world, station, BORROWED))
        .collect();
    let online = [held(&mut world, 8), held(&mut world, 9)];
    run(&mut world, DurationMs::minutes(1));
    world.revert(&image);
    // Who was on line shows its lease as soon as it is back.
    assert!(comes(&mut world, LEASE, |it| it.life().is_some()));
    run(&mut world, DurationMs::minutes(5));
    let stopped = status(&mut world).stopped;
    assert!(
        stopped
            .iter()
            .any(|it| it.contains("rolled-back") || it.contains("rollback")),
        "{stopped:?}"
    );
    let newcomers = [world.check_out(10, &waits()), world.check_out(11, &waits())];
    run(&mut world, DurationMs::hours(2));
    assert!(
        online.iter().all(|it| world.holds(*it)),
        "who is known goes on"
    );
    assert!(newcomers.iter().all(|it| !world.holds(*it)));
    world.admin(AdminAsk::AcceptRollback);
    let newcomers = [world.check_out(10, &waits()), world.check_out(11, &waits())];
    // One of the laptops comes home in between, and is known again.
    let shown = &borrowed[3];
    comes_home(&mut world, 3, shown);
    let wall_end = borrowed.iter().map(|it| it.not_after).max().unwrap();
    while world.server_now().wall < wall_end {
        let out = 8 + holding(&world, &online) + holding(&world, &newcomers);
        assert!(out <= 10, "{out} seats of ten are believed in");
        run(&mut world, DurationMs::hours(1));
    }
    let home = DurationMs::days(4);
    let all = |it: &World| newcomers.iter().all(|seat| it.holds(*seat));
    assert!(comes(&mut world, home, all), "they wait for ever");
}

/// The same without anybody on line: the first laptop to come home tells.
#[test]
fn l12_a_laptop_that_comes_home_tells_that_the_store_went_back() {
    let mut knobs = knobs(10, LEASE);
    knobs.stations = 12;
    knobs.terms.borrow_ms_max = BORROWED_MAX;
    let mut world = World::new(2, knobs);
    let image = world.image();
    let borrowed: Vec<Lease> = (0..8)
        .map(|station| borrow(&mut world, station, BORROWED))
        .collect();
    world.revert(&image);
    assert!(comes(&mut world, LEASE, |it| it.life().is_some()));
    comes_home(&mut world, 0, &borrowed[0]);
    let stopped = status(&mut world).stopped;
    assert!(
        stopped.iter().any(|it| it.contains("rollback")),
        "{stopped:?}"
    );
    let newcomer = world.check_out(10, &waits());
    run(&mut world, DurationMs::hours(2));
    assert!(
        !world.holds(newcomer),
        "granted from a store that went back"
    );
}

/// A copy is restored without the usage log, and a license with longer leases that came after it is not
/// added again: the copy's own license says ten minutes, and somebody off line believes for eight hours.
/// Nobody but the administrator can know of that, so nothing is lent before the longest lease there can
/// be is over (S6); with the newest license added again, before the longest one that it allows is.
#[test]
fn l12_a_copy_older_than_a_license_with_longer_leases_is_restored_without_its_log() {
    for is_added_again in [false, true] {
        let mut world = World::new(3, knobs(1, LEASE));
        let copy = world.backup().unwrap();
        let longer = Terms {
            serial: 2,
            ..terms(1, DurationMs::hours(8))
        };
        install(&mut world, &longer);
        let away = held(&mut world, 0);
        lose(&mut world, 0);
        world.restore(&copy, false);
        assert!(comes(&mut world, LEASE, |it| it.life().is_some()));
        if is_added_again {
            run(&mut world, DurationMs::minutes(1));
            install(&mut world, &longer);
        }
        let heir = world.check_out(1, &waits());
        let within = DurationMs::hours(if is_added_again { 9 } else { 25 });
        inherits(&mut world, heir, away, within);
    }
}

/// A copy is restored without its log, and the newest license, which is added again, has shorter leases than the
/// copy's: what was lent in between may run as long as the copy's allowed.
#[test]
fn l12_a_copy_older_than_a_license_with_shorter_leases_is_restored_without_its_log() {
    let mut world = World::new(4, knobs(1, DurationMs::hours(8)));
    let copy = world.backup().unwrap();
    let away = held(&mut world, 0);
    lose(&mut world, 0);
    let shorter = Terms {
        serial: 2,
        ..terms(1, LEASE)
    };
    install(&mut world, &shorter);
    world.restore(&copy, false);
    assert!(comes(&mut world, LEASE, |it| it.life().is_some()));
    install(&mut world, &shorter);
    let heir = world.check_out(1, &waits());
    inherits(&mut world, heir, away, DurationMs::hours(9));
}

/// A copy is restored without its log, and a license with fewer seats is added while seats are held. Of two
/// leases that the store lost the newer one is shown first, and is renewed as the oldest that is known; the
/// older one comes too late for the seat (L7).
#[test]
fn l12_a_license_with_fewer_seats_is_added_before_every_lost_lease_was_shown() {
    let hours = DurationMs::hours(4);
    let mut world = World::new(5, knobs(3, hours));
    let copy = world.backup().unwrap();
    let [older, newer] = [0, 1].map(|station| held(&mut world, station));
    run(&mut world, DurationMs::minutes(1));
    world.block(0, DurationMs::hours(3));
    world.restore(&copy, false);
    assert!(comes(&mut world, LEASE, |it| it.life().is_some()));
    run(&mut world, DurationMs::hours(2));
    let fewer = Terms {
        serial: 2,
        ..terms(1, hours)
    };
    install(&mut world, &fewer);
    // The newer one is renewed under the smaller license, then the older one is shown.
    run(&mut world, DurationMs::hours(8));
    assert!(world.holds(newer) && !world.holds(older));
}

/// A license with fewer seats was in force before the loss, is lost with the store, and is added again while seats
/// are held. Somebody off line was renewed under it, and another, who was not, shows a lease of the old one: it is
/// not extended under fewer seats than it believes by, for who else believes by those cannot be known (L12).
#[test]
fn l12_a_license_with_fewer_seats_is_lost_with_the_store_and_added_again() {
    let hours = DurationMs::hours(4);
    let mut world = World::new(6, knobs(3, hours));
    let copy = world.backup().unwrap();
    let [older, newer] = [0, 1].map(|station| held(&mut world, station));
    let fewer = Terms {
        serial: 2,
        ..terms(1, hours)
    };
    install(&mut world, &fewer);
    run(&mut world, DurationMs::hours(2));
    lose(&mut world, 0);
    world.restore(&copy, false);
    assert!(comes(&mut world, LEASE, |it| it.life().is_some()));
    install(&mut world, &fewer);
    run(&mut world, DurationMs::minutes(1));
    let all = [older, newer];
    assert_eq!(holding(&world, &all), 2, "nobody is cut off");
    assert!(comes(&mut world, hours, |it| !it.holds(newer)));
    assert!(comes(&mut world, hours, |it| it.holds(newer)));
    assert!(!world.holds(older));
}

/// The other way round: a license with more seats is lost. Who was lent a seat under it is not extended under the
/// copy's one seat, by which somebody else may believe; once the license is added again, at once.
#[test]
fn l12_a_license_with_more_seats_is_lost_with_the_store() {
    for is_added_again in [false, true] {
        let hours = DurationMs::hours(4);
        let mut world = World::new(7, knobs(1, hours));
        let copy = world.backup().unwrap();
        let alone = held(&mut world, 0);
        lose(&mut world, 0);
        let more = Terms {
            serial: 2,
            ..terms(3, hours)
        };
        install(&mut world, &more);
        let other = held(&mut world, 1);
        world.restore(&copy, false);
        assert!(comes(&mut world, LEASE, |it| it.life().is_some()));
        run(&mut world, DurationMs::minutes(2));
        if is_added_again {
            install(&mut world, &more);
        }
        run(&mut world, DurationMs::hours(3));
        assert!(world.holds(alone) && world.holds(other));
        run(&mut world, DurationMs::hours(3));
        assert_eq!(world.holds(other), is_added_again, "extended");
    }
}

/// A grant whose answer was lost is in the copy; it ran out since, and its seat was lent to somebody who is off line.
/// After the restore its holder asks for it again by its nonce, and shows nothing (L5, L12).
#[test]
fn l12_a_lost_grant_is_asked_for_again_after_its_seat_was_lent_on() {
    for seed in 1..5 {
        let mut world = world(seed, 1, LEASE);
        let asleep = world.check_out(0, &waits());
        let asked = |it: &World| {
            it.session(asleep)
                .is_some_and(usher_client::session::Session::has_asked)
        };
        assert!(comes(&mut world, LEASE, asked));
        world.deafen(0, true);
        run(&mut world, DurationMs::seconds(2));
        world.suspend(Machine::Station(0), DurationMs::minutes(22));
        let copy = world.backup().unwrap();
        run(&mut world, DurationMs::minutes(12));
        let heir = held(&mut world, 1);
        run(&mut world, DurationMs::minutes(7));
        lose(&mut world, 1);
        world.restore(&copy, false);
        world.deafen(0, false);
        assert!(comes(&mut world, LEASE, |it| it.life().is_some()));
        world.install(&terms(1, LEASE));
        inherits(&mut world, asleep, heir, DurationMs::hours(1));
    }
}

/// A license is replaced by a higher serial and removed; the old one, and the very one that was removed, are
/// not taken again, not even by another life (T7).
#[test]
fn t7_an_old_serial_is_installed_again_after_a_removal() {
    let mut world = world(1, 2, LEASE);
    let first = held(&mut world, 0);
    let serial = |serial, seats| Terms {
        serial,
        ..terms(seats, LEASE)
    };
    install(&mut world, &serial(2, 1));
    let ticket = world.remove_license();
    answer(&mut world, ticket);
    for crash in [None, Some(Crash::Power)] {
        if let Some(crash) = crash {
            world.crash(crash);
            run(&mut world, DurationMs::minutes(1));
        }
        for old in [serial(1, 2), serial(2, 1)] {
            let ticket = world.install(&old);
            let no = answer(&mut world, ticket);
            assert!(
                matches!(no, Answer::Refused(_)),
                "serial {}: {no:?}",
                old.serial
            );
        }
    }
    // Its lease runs to its end, is renewed no more, and nothing is lent.
    let second = world.check_out(1, &waits());
    run(&mut world, DurationMs::minutes(15));
    assert!(!world.holds(first) && !world.holds(second));
    install(&mut world, &serial(3, 1));
    let third = world.check_out(1, &waits());
    let all = [first, second, third];
    assert!(comes(&mut world, LEASE, |it| holding(it, &all) == 1));
}

/// An administrator adds this license, and the daemon takes it.
fn install(world: &mut World, license: &Terms) {
    let ticket = world.install(license);
    assert!(matches!(answer(world, ticket), Answer::Installed(_)));
}

/// A borrowed lease is taken in, and not extended.
fn comes_home(world: &mut World, station: usize, lease: &Lease) {
    let ticket = world.show(station, lease, nonce(station), link(lease, 0xEE));
    refused(answer(world, ticket), RefusalCode::LeaseBorrowed);
    let ask = AdminAsk::Leases {
        after: None,
        count_max: 100,
    };
    let ticket = world.admin(ask);
    let Answer::Leases(leases) = answer(world, ticket) else {
        panic!("no leases");
    };
    assert!(leases.iter().any(|it| it.id == lease.id), "it is not known");
}

fn holding(world: &World, seats: &[SeatId]) -> usize {
    seats.iter().filter(|it| world.holds(**it)).count()
}
