//! Rollbacks, clones, holds and endings (L12, L13).

use super::*;
use crate::record::What;

/// A world whose store forgets what happened in `lost`, as after a restored backup.
pub(crate) fn rolled_back<T>(hold_all: bool, lost: impl FnOnce(&mut World) -> T) -> (World, T) {
    let mut world = World::with_seats(2);
    let (store, head) = (world.store.clone(), world.engine.head());
    let it = lost(&mut world);
    world.store = store;
    let life = Life {
        epoch: Epoch(101),
        life: LifeId([2; 16]),
        hold_all,
        head,
        ..world.life
    };
    world.restart_as(life);
    (world, it)
}

/// The longest hold where nobody says what the newest license is, and the one of `solver`.
const A_DAY: u64 = DAY + 3 * DAY / 100;
const AN_HOUR: u64 = 3_600_000 + 108_000;

#[test]
fn l12_a_lease_from_beyond_the_head_is_adopted_and_stops_granting() {
    let (mut world, lease) = rolled_back(false, |world| world.checkout(10, 1).unwrap().lease);
    let stays = world.checkout(11, 5).unwrap().lease;
    refused(
        world.renew(10, &lease, 1, link(1, 2)),
        RefusalCode::LeaseUnknown,
    );
    let attached = world.attach(10, &lease, 1, link(1, 2)).unwrap();
    assert_eq!(attached.lease.id, lease.id);
    refused(world.checkout(12, 6), RefusalCode::StoreRolledBack);
    world.renew(11, &stays, 5, link(5, 6)).unwrap();
    assert!(world.status().stopped[0].starts_with("store-rolled-back"));
    world.restart();
    refused(world.checkout(12, 6), RefusalCode::StoreRolledBack);

    world.admin(AdminAsk::AcceptRollback).unwrap();
    refused(world.checkout(12, 6), RefusalCode::Holding);
    world.add_licenses_again();
    world.run(AN_HOUR);
    world.checkout(12, 6).unwrap();
}

#[test]
fn l12_a_lease_from_beyond_the_head_that_is_over_is_a_proof_and_no_seat() {
    let (mut world, lease) = rolled_back(false, |world| world.checkout(10, 1).unwrap().lease);
    world.pass(R);
    world.checkout(11, 5).unwrap();
    world.checkout(12, 6).unwrap();
    // Both seats are believed in by others: a third believer would be one too many.
    refused(
        world.attach(10, &lease, 1, link(1, 2)),
        RefusalCode::LeaseEnded,
    );
    assert_eq!(world.seats_out(), 2);
    assert!(world.status().stopped[0].starts_with("store-rolled-back"));
}

#[test]
fn l12_who_comes_late_after_a_known_restore_stops_nobody() {
    let (mut world, lease) = rolled_back(true, |world| world.checkout(10, 1).unwrap().lease);
    world.add_licenses_again();
    world.run(AN_HOUR);
    refused(
        world.attach(10, &lease, 1, link(1, 2)),
        RefusalCode::LeaseEnded,
    );
    world.restart();
    refused(
        world.attach(10, &lease, 1, link(1, 2)),
        RefusalCode::LeaseEnded,
    );
    world.checkout(11, 5).unwrap();
}

/// The copy knows a lease that ended after it, and not whom its seat was lent to then: found by the simulator.
#[test]
fn l12_a_known_lease_that_is_over_is_not_promised_again_after_a_loss() {
    for hold_all in [true, false] {
        let mut world = World::with_seats(2);
        let over = world.checkout(10, 1).unwrap().lease;
        world.pass(R / 2);
        let running = world.checkout(11, 2).unwrap().lease;
        world.pass(R / 2);
        let life = Life {
            epoch: Epoch(101),
            life: LifeId([2; 16]),
            hold_all,
            head: world.engine.head(),
            ..world.life
        };
        world.restart_as(life);
        let shown = world.attach(10, &over, 1, link(1, 2));
        if hold_all {
            refused(shown, RefusalCode::LeaseEnded);
        } else {
            // Nothing was lost, so the seat is still kept for it (L4).
            shown.unwrap();
        }
        world.attach(11, &running, 2, link(1, 2)).unwrap();
    }
}

#[test]
fn l12_a_lease_is_ahead_although_the_new_life_has_caught_up() {
    let (mut world, lease) = rolled_back(false, |world| world.checkout(10, 1).unwrap().lease);
    for nonce in 20..30 {
        let it = world.checkout(11, nonce).unwrap().lease;
        world.release(11, &it, nonce, link(nonce, 99)).unwrap();
    }
    assert!(world.engine.head() > lease.commit);
    world.attach(10, &lease, 1, link(1, 2)).unwrap();
    refused(world.checkout(12, 6), RefusalCode::StoreRolledBack);
}

#[test]
fn l12_a_known_restore_holds_all_seats_and_adopts_without_alarm() {
    let (mut world, lease) = rolled_back(true, |world| world.checkout(10, 1).unwrap().lease);
    refused(world.checkout(11, 5), RefusalCode::Holding);
    world.pass(1000);
    world.attach(10, &lease, 1, link(1, 2)).unwrap();
    assert_eq!(world.seats_out(), 1);
    assert!(!world.engine.state.trouble.rolled_back);
    // Counted anew in each life until it has run out in one.
    world.run(3_000_000);
    world.restart();
    world.add_licenses_again();
    let refusal = refused(world.checkout(11, 5), RefusalCode::Holding);
    assert_eq!(refusal.retry_after_ms, Some(DurationMs(AN_HOUR)));
    world.run(AN_HOUR);
    world.checkout(11, 5).unwrap();
    world.restart();
    world.checkout(11, 6).unwrap();
}

#[test]
fn l12_a_hold_without_a_license_waits_for_one() {
    let mut world = World::new();
    let life = Life {
        epoch: Epoch(101),
        hold_all: true,
        head: world.engine.head(),
        ..world.life
    };
    world.restart_as(life);
    world.run(100 * DAY / 1000);
    world.install(&solver(2, 1)).unwrap();
    world.run(3_600_000);
    world.checkout(11, 5).unwrap();
}

#[test]
fn l12_a_longer_license_resumes_a_hold_that_ran_out() {
    let (mut world, ()) = rolled_back(true, |_: &mut World| {});
    world.add_licenses_again();
    world.run(AN_HOUR);
    world.checkout(11, 5).unwrap();
    let longer = license("acme-9", 1, vec![feature("mesher", Some(1))]);
    world.install(&signed(&longer)).unwrap();
    refused(world.checkout(11, 6), RefusalCode::Holding);
}

#[test]
fn l12_a_lease_that_was_released_is_not_adopted() {
    let mut world = World::with_seats(2);
    let lease = world.checkout(10, 1).unwrap().lease;
    world.release(10, &lease, 1, link(1, 2)).unwrap();
    refused(
        world.attach(10, &lease, 1, link(2, 3)),
        RefusalCode::LeaseEnded,
    );
    world.restart();
    refused(
        world.attach(10, &lease, 1, link(2, 3)),
        RefusalCode::LeaseEnded,
    );
    assert!(world.status().stopped.is_empty());
}

#[test]
fn l12_a_clone_stops_granting_until_one_is_named() {
    let mut world = World::with_seats(2);
    let lease = world.checkout(10, 1).unwrap().lease;
    let found = |life| Input::CloneFound {
        life,
        address: "10.0.0.9".to_owned(),
    };
    world.input(found(world.life.life));
    let own = world.checkout(11, 2).unwrap();
    world.input(found(LifeId([9; 16])));
    let refusal = refused(world.checkout(11, 3), RefusalCode::CloneFound);
    assert!(refusal.detail.contains("10.0.0.9"));
    world.renew(10, &lease, 1, link(1, 2)).unwrap();
    world.release(11, &own.lease, 2, link(2, 3)).unwrap();
    world.admin(AdminAsk::KeepThisClone).unwrap();
    refused(world.checkout(11, 3), RefusalCode::Holding);
    world.add_licenses_again();
    world.run(AN_HOUR);
    world.checkout(11, 3).unwrap();
}

#[test]
fn draining_grants_and_renews_nothing_and_takes_back() {
    let mut world = World::with_seats(2);
    let lease = world.checkout(10, 1).unwrap().lease;
    world.admin(AdminAsk::Drain).unwrap();
    refused(world.checkout(11, 2), RefusalCode::Draining);
    refused(
        world.renew(10, &lease, 1, link(1, 2)),
        RefusalCode::Draining,
    );
    world.release(10, &lease, 1, link(1, 2)).unwrap();
}

#[test]
fn l12_a_hold_takes_in_what_earlier_lives_lost_although_the_head_has_passed_it() {
    let (mut world, lease) = rolled_back(true, |world| world.checkout(10, 1).unwrap().lease);
    for serial in 1..=3 {
        world.install(&an_hour_at_most("acme-7", serial)).unwrap();
    }
    assert!(world.engine.head() > lease.commit);
    world.restart();
    world.attach(10, &lease, 1, link(1, 2)).unwrap();
    assert_eq!(world.seats_out(), 1);
    assert!(!world.engine.state.trouble.rolled_back);
}

#[test]
fn l12_what_came_home_and_was_released_is_not_taken_in_again() {
    let (mut world, lease) = rolled_back(true, |world| world.checkout(10, 1).unwrap().lease);
    world.attach(10, &lease, 1, link(1, 2)).unwrap();
    world.restart();
    let kept = world.attach(10, &lease, 1, link(5, 6)).unwrap().lease;
    assert_eq!(kept.epoch, world.life.epoch);
    world.release(10, &kept, 1, link(6, 7)).unwrap();
    world.restart();
    refused(world.checkout(11, 5), RefusalCode::Holding);
    let shown = world.attach(10, &kept, 1, link(8, 9));
    refused(shown, RefusalCode::LeaseEnded);
    assert_eq!(world.seats_out(), 0);
    assert!(!world.engine.state.trouble.rolled_back);
}

#[test]
fn l12_a_second_loss_is_seen_although_the_first_was_known() {
    let (mut world, ()) = rolled_back(true, |_: &mut World| {});
    world.add_licenses_again();
    world.run(AN_HOUR);
    world.restart();
    let (store, head) = (world.store.clone(), world.engine.head());
    let lease = world.checkout(10, 1).unwrap().lease;
    world.store = store;
    world.restart_as(Life {
        epoch: Epoch(world.life.epoch.0 + 1),
        head,
        ..world.life
    });
    world.pass(R);
    // It is over, and lent after the first loss: a proof all the same.
    refused(
        world.attach(10, &lease, 1, link(1, 2)),
        RefusalCode::LeaseEnded,
    );
    assert!(world.status().stopped[0].starts_with("store-rolled-back"));
}

#[test]
fn l12_who_restores_has_looked_at_the_store_that_went_back() {
    let (mut world, lease) = rolled_back(false, |world| world.checkout(10, 1).unwrap().lease);
    world.attach(10, &lease, 1, link(1, 2)).unwrap();
    refused(world.checkout(11, 5), RefusalCode::StoreRolledBack);
    world.restart_as(Life {
        epoch: Epoch(world.life.epoch.0 + 1),
        hold_all: true,
        head: world.engine.head(),
        ..world.life
    });
    refused(world.checkout(11, 5), RefusalCode::Holding);
    assert_eq!(world.status().stopped.len(), 1);
}

#[test]
fn l12_a_lease_taken_in_and_not_extended_ends_by_its_deadline() {
    let (mut world, lease) = rolled_back(true, |world| world.checkout(10, 1).unwrap().lease);
    world.admin(AdminAsk::Drain).unwrap();
    refused(
        world.attach(10, &lease, 1, link(1, 2)),
        RefusalCode::Draining,
    );
    world.run(R + G - 1);
    assert_eq!(world.seats_out(), 1);
    world.run(1);
    assert_eq!(world.seats_out(), 0);
}

#[test]
fn l12_the_head_itself_is_not_beyond_the_store() {
    let mut world = World::with_seats(1);
    world.restart();
    world.checkout(10, 1).unwrap();
    let (life, head) = (world.life, world.engine.head());
    let is_ahead = |epoch: u64, commit: u64| world.engine.is_ahead(Epoch(epoch), Commit(commit));
    assert!(head > life.head);
    let (before, now) = (life.epoch.0 - 1, life.epoch.0);
    assert!(!is_ahead(before, life.head.0));
    assert!(is_ahead(before, life.head.0 + 1));
    assert!(!is_ahead(now, head.0));
    assert!(is_ahead(now, head.0 + 1));
    assert!(is_ahead(now + 1, 0));
}

#[test]
fn l12_a_license_resumes_no_hold_whose_time_is_over_and_says_nothing_of_one_that_runs() {
    let hours_2 = |serial| {
        let mut mesher = feature("mesher", Some(1));
        mesher.lease_ms_max = DurationMs::hours(2);
        signed(&license("acme-9", serial, vec![mesher]))
    };
    let (mut world, ()) = rolled_back(true, |_: &mut World| {});
    world.add_licenses_again();
    let words = |world: &World| {
        let events = world.events.iter();
        let words = events.filter(|event| matches!(event.what, What::Trouble(_)));
        words.count()
    };
    let said = words(&world);
    world.install(&hours_2(1)).unwrap();
    assert_eq!(words(&world), said);
    // Two hours and their guard time after the hold began.
    world.run(7_200_000 + 216_000);
    assert_eq!(words(&world), said + 1);
    world.install(&hours_2(2)).unwrap();
    assert_eq!(world.engine.state.trouble.hold_since, None);
    assert_eq!(words(&world), said + 1);
}

/// Another license, whose leases are no longer than the first one's.
fn an_hour_at_most(id: &str, serial: u64) -> Arc<VerifiedLicense> {
    let mut mesher = feature("mesher", Some(1));
    mesher.lease_ms_max = DurationMs::hours(1);
    signed(&license(id, serial, vec![mesher]))
}

/// Renews these until nothing is held any more, each from this token on; the last token of all.
pub(crate) fn outlast_the_hold(
    world: &mut World,
    leases: &[(u8, &Lease, u8)],
    mut token: u8,
) -> u8 {
    world.add_licenses_again();
    while world.engine.state.trouble.hold_since.is_some() {
        world.run(R - 1000);
        for (client, lease, nonce) in leases {
            let next = link(token, token + 1);
            world.renew(*client, lease, *nonce, next).unwrap();
        }
        token += 1;
    }
    token
}

/// Two leases were lost, and the older one is shown last: the newer one may have been renewed by then as the only
/// one known, and is not overtaken when a license with one seat comes.
#[test]
fn l7_a_lost_lease_that_is_shown_late_overtakes_nobody() {
    let (mut world, [older, newer]) = rolled_back(true, |world| {
        [1, 2].map(|number| world.checkout(number + 9, number).unwrap().lease)
    });
    world.attach(11, &newer, 2, link(2, 20)).unwrap();
    world.attach(10, &older, 1, link(1, 20)).unwrap();
    let last = outlast_the_hold(&mut world, &[(11, &newer, 2), (10, &older, 1)], 20);
    world.install(&solver(1, 2)).unwrap();
    world.renew(11, &newer, 2, link(last, 4)).unwrap();
    refused(
        world.renew(10, &older, 1, link(last, 5)),
        RefusalCode::Overcommitted,
    );
    world.renew(11, &newer, 2, link(4, 5)).unwrap();
    // Nor after a restart.
    world.restart();
    refused(
        world.attach(10, &older, 1, link(1, 5)),
        RefusalCode::Overcommitted,
    );
    world.renew(11, &newer, 2, link(5, 6)).unwrap();
    world.release(11, &newer, 2, link(6, 7)).unwrap();
    world.attach(10, &older, 1, link(1, 5)).unwrap();
}

/// The copy's license gave leases of a day; the newest one, which is added again, leases of an hour. What
/// was lent after the copy and before the newest license came may run for a day.
#[test]
fn l12_a_license_that_is_replaced_in_a_hold_still_says_how_long_leases_are() {
    let mut world = World::new();
    let mut longer = feature("solver", Some(1));
    longer.lease_ms_max = DurationMs::hours(12);
    world
        .install(&signed(&license("acme-1", 2, vec![longer])))
        .unwrap();
    world.restart_as(Life {
        epoch: Epoch(101),
        hold_all: true,
        head: world.engine.head(),
        ..world.life
    });
    world.install(&solver(1, 3)).unwrap();
    let refusal = refused(world.checkout(11, 5), RefusalCode::Holding);
    let half_a_day = A_DAY / 2;
    assert_eq!(refusal.retry_after_ms, Some(DurationMs(half_a_day)));
    world.add_licenses_again();
    world.run(half_a_day - 1);
    refused(world.checkout(11, 5), RefusalCode::Holding);
    world.run(1);
    world.checkout(11, 5).unwrap();
}

/// The copy's license gave leases of an hour at most; the one that came after it, leases of a day. Nobody but
/// the administrator can know of it.
#[test]
fn l12_a_newer_license_that_was_lost_may_have_had_longer_leases() {
    let (mut world, lease) = rolled_back(true, |world| {
        let mut longer = feature("solver", Some(2));
        longer.lease_ms_max = DurationMs::hours(24);
        let longer = signed(&license("acme-1", 2, vec![longer]));
        world.install(&longer).unwrap();
        world.wish = Some(DurationMs::hours(24));
        let lease = world.checkout(10, 1).unwrap().lease;
        world.renew(10, &lease, 1, link(1, 2)).unwrap().lease
    });
    assert_eq!(lease.length_ms, DurationMs::hours(24));
    let refusal = refused(world.checkout(11, 5), RefusalCode::Holding);
    assert_eq!(refusal.retry_after_ms, Some(DurationMs(A_DAY)));
    assert!(refusal.detail.contains("added again"), "{}", refusal.detail);
    world.run(A_DAY - 1);
    refused(world.checkout(11, 5), RefusalCode::Holding);
    world.run(1);
    world.checkout(11, 5).unwrap();
}

#[test]
fn l12_a_hold_is_as_long_as_the_newest_licenses_need_once_all_are_added_again() {
    let (mut world, ()) = rolled_back(true, |_: &mut World| {});
    world.install(&an_hour_at_most("acme-7", 1)).unwrap();
    let left = |world: &mut World| {
        let refusal = refused(world.checkout(11, 5), RefusalCode::Holding);
        let shorter = refusal.detail.contains("added again");
        (refusal.retry_after_ms.unwrap().0, shorter)
    };
    assert_eq!(left(&mut world), (A_DAY, true), "one of two");
    world.install(&solver(2, 1)).unwrap();
    assert_eq!(left(&mut world), (AN_HOUR, false));
    // The word was of that life; the next one counts anew, and knows no more than its store.
    world.restart();
    assert_eq!(left(&mut world), (A_DAY, true));
    world.add_licenses_again();
    assert_eq!(left(&mut world), (AN_HOUR, false));
    // A word from before the loss says nothing about what was lost.
    let clone = Input::CloneFound {
        life: LifeId([9; 16]),
        address: "10.0.0.9".to_owned(),
    };
    world.input(clone);
    world.admin(AdminAsk::KeepThisClone).unwrap();
    assert_eq!(left(&mut world), (A_DAY, true));
}

#[test]
fn t8_a_test_license_is_taken_at_its_word() {
    let mut world = World::new();
    world.settings.serve_test = true;
    let settings = world.settings.clone();
    world.admin(AdminAsk::Configure(settings)).unwrap();
    let mut tiny = license("acme-1", 1, vec![feature("solver", Some(1))]);
    tiny.environment = Environment::Test;
    tiny.features[0].lease_ms_min = DurationMs::seconds(2);
    tiny.features[0].lease_ms_default = DurationMs::seconds(3);
    tiny.features[0].lease_ms_max = DurationMs::seconds(3);
    world.install(&signed(&tiny)).unwrap();
    world.restart_as(Life {
        epoch: Epoch(101),
        hold_all: true,
        head: world.engine.head(),
        ..world.life
    });
    world.run(4000);
    let of_test = Checkout {
        environment: Environment::Test,
        ..wants(1)
    };
    world.checkout_with(10, of_test).unwrap();
}

/// A license with fewer seats, a lost one or a new one, is added while leases may be out that the store has lost:
/// nobody is extended by fewer seats than before, for others may believe by those. Who shows that it believes by
/// them already is; and everybody when the hold is over, the newest as always only while there is a seat.
#[test]
fn l12_nobody_is_extended_by_fewer_seats_while_leases_may_be_lost() {
    let (mut world, [first, second, fewest]) = rolled_back(true, |world| {
        let [first, second] = [1, 2].map(|n| world.checkout(n + 9, n).unwrap().lease);
        world.install(&solver(1, 2)).unwrap();
        let renewed = world.renew(10, &first, 1, link(1, 2)).unwrap().lease;
        [first, second, renewed]
    });
    world.attach(10, &first, 1, link(1, 2)).unwrap();
    world.attach(11, &second, 2, link(2, 20)).unwrap();
    // One that is not installed (any more, or yet) says nothing of how many may believe by it.
    let unknown = world.attach(10, &fewest, 1, link(2, 3));
    let refusal = refused(unknown, RefusalCode::Holding);
    assert!(refusal.detail.contains("`acme-1`"), "{}", refusal.detail);
    world.install(&solver(1, 2)).unwrap();
    for _ in 0..2 {
        refused(
            world.renew(11, &second, 2, link(20, 21)),
            RefusalCode::Holding,
        );
    }
    world.attach(10, &fewest, 1, link(2, 30)).unwrap();
    let last = outlast_the_hold(&mut world, &[(10, &fewest, 1)], 30);
    world.renew(10, &fewest, 1, link(last, 99)).unwrap();
}

/// More seats, or as many by another issue, cost nobody anything; and without a loss a smaller license goes by the
/// usual rules (L7).
#[test]
fn l12_whoever_believes_by_no_more_seats_is_extended_in_a_hold() {
    let (mut world, lease) = rolled_back(true, |world| world.checkout(10, 1).unwrap().lease);
    world.attach(10, &lease, 1, link(1, 2)).unwrap();
    for (serial, seats, next) in [(2, 2, 3), (3, 5, 4)] {
        world.install(&solver(seats, serial)).unwrap();
        world.renew(10, &lease, 1, link(next - 1, next)).unwrap();
    }
    world.install(&solver(4, 4)).unwrap();
    refused(world.renew(10, &lease, 1, link(4, 5)), RefusalCode::Holding);

    let mut world = World::with_seats(2);
    let lease = world.checkout(10, 1).unwrap().lease;
    world.install(&solver(1, 2)).unwrap();
    world.renew(10, &lease, 1, link(1, 2)).unwrap();
}

/// A rollback that was seen and a clone that was found stop it as well: leases of other stores may be out.
#[test]
fn l12_a_rollback_and_a_clone_keep_beliefs_as_they_are() {
    let (mut world, lost) = rolled_back(false, |world| world.checkout(10, 1).unwrap().lease);
    let known = world.checkout(11, 5).unwrap().lease;
    world.attach(10, &lost, 1, link(1, 2)).unwrap();
    world.install(&solver(1, 2)).unwrap();
    refused(world.renew(11, &known, 5, link(5, 6)), RefusalCode::Holding);

    let mut world = World::with_seats(2);
    let lease = world.checkout(10, 1).unwrap().lease;
    world.input(Input::CloneFound {
        life: LifeId([9; 16]),
        address: "10.0.0.9".to_owned(),
    });
    world.renew(10, &lease, 1, link(1, 2)).unwrap();
    world.install(&solver(1, 2)).unwrap();
    refused(world.renew(10, &lease, 1, link(2, 3)), RefusalCode::Holding);
}

/// The answer to a checkout was lost, and the store with what came after: its seat may be with somebody else since,
/// so a nonce alone is no reason to promise it (L5).
#[test]
fn l12_a_nonce_alone_renews_nothing_while_leases_may_be_lost() {
    for hold_all in [true, false] {
        let mut world = World::with_seats(1);
        let lease = world.checkout(10, 1).unwrap().lease;
        world.pass(R + G - 1);
        world.restart_as(Life {
            epoch: Epoch(101),
            life: LifeId([2; 16]),
            hold_all,
            head: world.engine.head(),
            ..world.life
        });
        let repeated = world.checkout(10, 1);
        if hold_all {
            refused(repeated, RefusalCode::Holding);
        } else {
            assert_eq!(repeated.unwrap().lease.id, lease.id);
        }
    }
}
