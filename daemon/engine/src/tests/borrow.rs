//! Borrowed leases (L10): who may, how long they count, what a return and a write-off free.

use usher_protocol::{
    documents::license::Feature,
    ids::LifeId,
    refusal::RefusalCode,
    time::{BootMs, DurationMs, WallMs},
    wire::Borrow,
};

use super::{
    DAY, G, ISSUED, R, World, feature, license, link, policy, promised, refused, rule, signed,
    wants,
};
use crate::{
    api::{AdminAsk, Answer, ClientAsk, Input, Life, Promise},
    policy::{BorrowRule, Policy},
    record::{Record, What},
};

type Refused = Box<usher_protocol::refusal::Refusal>;

const HOUR: u64 = 3_600_000;

/// Borrowed for a week at most, of so many seats.
pub(crate) fn lendable(seats: u32) -> Feature {
    let mut solver = feature("solver", Some(seats));
    solver.borrow_ms_max = DurationMs::days(7);
    solver.lease_ms_max = DurationMs::hours(1);
    solver
}

pub(crate) fn world(solver: Feature) -> World {
    let mut world = World::new();
    world
        .install(&signed(&license("acme-1", 1, vec![solver])))
        .unwrap();
    world
}

fn borrow_ask(nonce: u8, days: u64, world: &World) -> Borrow {
    let mut checkout = wants(nonce);
    checkout.length_ms = Some(DurationMs::days(days));
    Borrow {
        checkout,
        wall: world.now.wall,
    }
}

fn borrow(world: &mut World, client: u8, nonce: u8, days: u64) -> Result<Promise, Refused> {
    let ask = borrow_ask(nonce, days, world);
    promised(world.client(client, ClientAsk::Borrow(ask)))
}

fn give_back(world: &mut World, client: u8, promise: &Promise, nonce: u8) -> Answer {
    let release = usher_protocol::wire::Release {
        lease: promise.lease.id,
        nonce: usher_protocol::ids::Nonce([nonce; 16]),
        link: link(nonce, nonce + 100),
    };
    world.client(client, ClientAsk::Release(release))
}

fn write_off(world: &mut World, promise: &Promise) -> Result<Answer, Refused> {
    world.admin(AdminAsk::WriteOff {
        lease: promise.lease.id,
        reason: "left on a train".to_owned(),
    })
}

#[test]
fn l10_a_borrow_is_for_the_length_asked_and_waits_for_the_log() {
    let mut world = world(lendable(2));
    let promise = borrow(&mut world, 10, 1, 3).unwrap();
    assert!(world.last.wait_for_log);
    assert!(promise.lease.borrowed);
    assert_eq!(promise.lease.not_after.0, world.now.wall.0 + 3 * DAY);
    assert_eq!(promise.lease.length_ms, DurationMs::days(3));
    world.checkout(11, 2).unwrap();
    assert!(!world.last.wait_for_log, "only borrows wait for the log");
}

#[test]
fn l10_the_list_of_leases_tells_its_end_and_what_became_of_it() {
    let mut solver = lendable(3);
    solver.write_off = 1;
    let mut world = world(solver);
    let promise = borrow(&mut world, 10, 1, 3).unwrap();
    let listed = |world: &mut World| match world.admin(AdminAsk::Leases {
        after: None,
        count_max: 10,
    }) {
        Ok(Answer::Leases(mut leases)) => leases.remove(0),
        other => panic!("{other:?}"),
    };
    let lease = listed(&mut world);
    assert_eq!(lease.borrowed_until, Some(promise.lease.not_after));
    assert_eq!(lease.note, None);
    write_off(&mut world, &promise).unwrap();
    let note = listed(&mut world).note;
    assert_eq!(note.as_deref(), Some("written off"));
    world.checkout(11, 2).unwrap();
}

#[test]
fn l10_it_counts_until_its_end_and_the_tolerance_and_not_longer() {
    let mut world = world(lendable(1));
    borrow(&mut world, 10, 1, 3).unwrap();
    world.run(3 * DAY + HOUR - 1);
    refused(world.checkout(11, 2), RefusalCode::NoSeat);
    world.run(1);
    world.checkout(11, 3).unwrap();
}

#[test]
fn l10_no_restart_moves_its_end() {
    let mut world = world(lendable(1));
    borrow(&mut world, 10, 1, 3).unwrap();
    for _ in 0..6 {
        world.run(DAY / 2);
        world.restart();
        refused(world.checkout(11, 2), RefusalCode::NoSeat);
    }
    world.run(HOUR - 1);
    refused(world.checkout(11, 2), RefusalCode::NoSeat);
    world.run(1);
    world.checkout(11, 3).unwrap();
}

#[test]
fn l10_time_off_counts_by_the_calendar() {
    let mut world = world(lendable(1));
    borrow(&mut world, 10, 1, 3).unwrap();
    // Off for four days: the boot clock may begin anew, the wall does not.
    world.now.boot.0 = 1_000;
    world.now.wall.0 += 4 * DAY;
    world.restart();
    world.run(1);
    world.checkout(11, 2).unwrap();
}

#[test]
fn l11_a_clock_set_back_daily_frees_nothing_early_and_keeps_nothing_for_ever() {
    let mut world = world(lendable(1));
    borrow(&mut world, 10, 1, 3).unwrap();
    for _ in 0..3 {
        world.run(DAY - HOUR);
        world.now.wall.0 -= DAY / 2;
        refused(world.checkout(11, 2), RefusalCode::NoSeat);
    }
    world.run(4 * HOUR - 1);
    refused(world.checkout(11, 2), RefusalCode::NoSeat);
    world.run(1);
    world.checkout(11, 3).unwrap();
}

#[test]
fn l11_a_clock_far_ahead_frees_no_borrow_until_it_is_confirmed() {
    let mut world = world(lendable(1));
    borrow(&mut world, 10, 1, 3).unwrap();
    world.now.wall.0 += 31 * DAY;
    world.restart();
    world.run(HOUR);
    refused(world.checkout(11, 2), RefusalCode::NoSeat);
    world.admin(AdminAsk::ConfirmClock).unwrap();
    world.run(1);
    world.checkout(11, 3).unwrap();
}

#[test]
fn l11_a_clock_that_steps_forward_within_a_day_moves_the_end_with_it() {
    let mut world = world(lendable(1));
    borrow(&mut world, 10, 1, 1).unwrap();
    world.now.wall.0 += 20 * HOUR;
    world.run(5 * HOUR - 1);
    refused(world.checkout(11, 2), RefusalCode::NoSeat);
    world.run(1);
    world.checkout(11, 3).unwrap();
}

#[test]
fn l5_a_repeated_borrow_is_the_same_lease_to_the_same_end() {
    let mut world = world(lendable(2));
    let first = borrow(&mut world, 10, 1, 3).unwrap();
    world.run(HOUR);
    let again = borrow(&mut world, 10, 1, 3).unwrap();
    assert_eq!(again.lease.id, first.lease.id);
    assert_eq!(again.lease.not_after, first.lease.not_after);
    assert_eq!(world.seats_out(), 1);
    refused(borrow(&mut world, 10, 1, 4), RefusalCode::NonceReused);
    let mut checkout = wants(1);
    checkout.length_ms = Some(DurationMs::days(3));
    refused(world.checkout_with(10, checkout), RefusalCode::NonceReused);
}

#[test]
fn l10_it_is_never_extended() {
    let mut world = world(lendable(1));
    let promise = borrow(&mut world, 10, 1, 3).unwrap();
    let renewed = world.renew(10, &promise.lease, 1, link(1, 2));
    refused(renewed, RefusalCode::LeaseBorrowed);
    let attached = world.attach(10, &promise.lease, 1, link(1, 3));
    refused(attached, RefusalCode::LeaseBorrowed);
    world.run(3 * DAY + HOUR);
    world.checkout(11, 9).unwrap();
}

#[test]
fn l10_license_caps_and_clocks_are_asked() {
    let mut world = world(lendable(1));
    let long = refused(borrow(&mut world, 10, 1, 8), RefusalCode::BorrowTooLong);
    assert!(long.detail.contains("7d"), "{}", long.detail);
    let apart = 5 * 60_000 + 1;
    for (moved, side) in [(apart, "ahead of"), (0_u64.wrapping_sub(apart), "behind")] {
        let mut ask = borrow_ask(2, 1, &world);
        ask.wall = WallMs(ask.wall.0.wrapping_add(moved));
        let answer = world.client(10, ClientAsk::Borrow(ask));
        let refusal = refused(promised(answer), RefusalCode::ClocksApart);
        assert!(refusal.detail.contains(side), "{}", refusal.detail);
    }
    let mut near = borrow_ask(3, 1, &world);
    near.wall.0 += 5 * 60_000;
    promised(world.client(10, ClientAsk::Borrow(near))).unwrap();
    // Without borrow-max in the license there is none.
    let mut other = super::World::with_seats(1);
    refused(borrow(&mut other, 10, 1, 1), RefusalCode::BorrowNotAllowed);
}

#[test]
fn l10_nothing_is_lent_out_by_a_clock_that_is_not_believed() {
    let mut world = world(lendable(1));
    world.now.wall.0 -= HOUR;
    refused(borrow(&mut world, 10, 1, 1), RefusalCode::ClocksApart);
}

#[test]
fn l8_a_borrow_ends_with_its_license() {
    let mut solver = lendable(1);
    solver.expires = Some(WallMs(ISSUED.0 + 12 * DAY));
    let mut world = world(solver);
    let promise = borrow(&mut world, 10, 1, 7).unwrap();
    assert_eq!(promise.lease.not_after, WallMs(ISSUED.0 + 12 * DAY));
}

#[test]
fn l10_a_return_frees_at_once_only_where_the_vendor_says_so() {
    let mut plain = world(lendable(1));
    let promise = borrow(&mut plain, 10, 1, 3).unwrap();
    plain.run(DAY);
    for _ in 0..2 {
        match give_back(&mut plain, 10, &promise, 1) {
            Answer::Returned(left) => assert_eq!(left, DurationMs(2 * DAY + HOUR)),
            other => panic!("{other:?}"),
        }
    }
    refused(plain.checkout(11, 2), RefusalCode::NoSeat);
    // Given back is given back: its repeat is no way to have it again.
    refused(borrow(&mut plain, 10, 1, 3), RefusalCode::LeaseEnded);
    plain.restart();
    refused(plain.checkout(11, 2), RefusalCode::NoSeat);

    let mut solver = lendable(1);
    solver.early_return = true;
    let mut early = world(solver);
    let promise = borrow(&mut early, 10, 1, 3).unwrap();
    assert!(matches!(
        give_back(&mut early, 10, &promise, 1),
        Answer::Released
    ));
    early.checkout(11, 2).unwrap();
}

#[test]
fn l10_only_the_device_that_has_it_returns_it() {
    let mut solver = lendable(1);
    solver.early_return = true;
    let mut world = world(solver);
    let promise = borrow(&mut world, 10, 1, 3).unwrap();
    let answer = give_back(&mut world, 11, &promise, 1);
    assert!(matches!(answer, Answer::Refused(refusal) if refusal.code == RefusalCode::WrongDevice));
    refused(world.checkout(12, 2), RefusalCode::NoSeat);
}

#[test]
fn l10_write_offs_go_as_far_as_the_vendor_signed() {
    let mut solver = lendable(2);
    solver.write_off = 1;
    let mut world = world(solver);
    let (one, two) = (
        borrow(&mut world, 10, 1, 3).unwrap(),
        borrow(&mut world, 11, 2, 3).unwrap(),
    );
    refused(world.checkout(12, 3), RefusalCode::NoSeat);
    write_off(&mut world, &one).unwrap();
    write_off(&mut world, &one).unwrap();
    assert!(world.events.iter().any(|it| matches!(&it.what, What::WrittenOff(id, why) if *id == one.lease.id && why == "left on a train")));
    world.checkout(12, 3).unwrap();
    refused(write_off(&mut world, &two), RefusalCode::WriteOffsUsedUp);
    // Across a restart the allowance is as used up as before.
    world.restart();
    refused(write_off(&mut world, &two), RefusalCode::WriteOffsUsedUp);
    refused(world.checkout(13, 4), RefusalCode::NoSeat);
    // It comes back with the end of the borrow.
    world.run(3 * DAY + HOUR);
    let three = borrow(&mut world, 10, 5, 3).unwrap();
    write_off(&mut world, &three).unwrap();
}

#[test]
fn l10_what_is_on_line_is_not_written_off_and_what_is_borrowed_is_not_evicted() {
    let mut world = world(lendable(2));
    let on_line = world.checkout(10, 1).unwrap();
    refused(write_off(&mut world, &on_line), RefusalCode::LeaseUnknown);
    let away = borrow(&mut world, 11, 2, 3).unwrap();
    let evict = AdminAsk::Evict {
        lease: away.lease.id,
        reason: "needed here".to_owned(),
        cool_down_ms: None,
    };
    refused(world.admin(evict), RefusalCode::LeaseBorrowed);
}

/// A virtual machine put back to before eight of ten seats were borrowed, as an empty store under an
/// old site key is: on-line seats come back after `D + G`, those that can be borrowed only after the
/// longest borrow.
#[test]
fn l12_lost_borrows_stay_home_until_the_longest_is_over() {
    let mut world = world(lendable(10));
    let store = world.store.clone();
    let head = world.engine.head();
    let away: Vec<_> = (0..8)
        .map(|nonce| borrow(&mut world, 10 + nonce, 1 + nonce, 7).unwrap())
        .collect();
    world.store = store;
    world.restart_as(Life {
        epoch: usher_protocol::ids::Epoch(world.life.epoch.0 + 1),
        hold_all: true,
        head,
        ..world.life
    });
    refused(world.checkout(30, 30), RefusalCode::Holding);
    world.add_licenses_again();
    // The longest on-line lease is an hour, its guard time 3 %.
    world.run(HOUR + 3 * HOUR / 100);
    refused(world.checkout(30, 31), RefusalCode::NoSeat);
    // One that comes by is known again; it changes nothing for the seats.
    let shown = world.attach(10, &away[0].lease, 1, link(1, 200));
    refused(shown, RefusalCode::LeaseBorrowed);
    assert_eq!(world.seats_out(), 1);
    world.restart();
    world.run(7 * DAY - HOUR);
    refused(world.checkout(30, 32), RefusalCode::NoSeat);
    world.run(2 * HOUR);
    world.checkout(30, 33).unwrap();
}

#[test]
fn a_store_has_the_borrow_as_it_is() {
    let mut world = world(lendable(1));
    let promise = borrow(&mut world, 10, 1, 3).unwrap();
    let key = format!("lease {}", promise.lease.id);
    match &world.store[&key] {
        Record::PutLease(lease) => {
            assert_eq!(lease.borrowed.unwrap().until, promise.lease.not_after);
        }
        other => panic!("{other:?}"),
    }
}

fn rules(longest: Option<DurationMs>, at_home: u32) -> Policy {
    Policy {
        borrow: vec![rule(7, &[], BorrowRule { longest, at_home })],
        ..policy()
    }
}

#[test]
fn l10_the_policy_forbids_shortens_and_keeps_seats_at_home() {
    let mut world = world(lendable(3));
    world.set_policy(rules(Some(DurationMs::ZERO), 0)).unwrap();
    let none = refused(borrow(&mut world, 10, 1, 1), RefusalCode::BorrowNotAllowed);
    assert_eq!(none.rule.unwrap().line, 7);
    world
        .set_policy(rules(Some(DurationMs::days(2)), 2))
        .unwrap();
    let long = refused(borrow(&mut world, 10, 2, 3), RefusalCode::BorrowTooLong);
    assert!(
        long.detail.contains("2d") && long.rule.is_some(),
        "{}",
        long.detail
    );
    borrow(&mut world, 10, 3, 2).unwrap();
    let home = refused(borrow(&mut world, 11, 4, 2), RefusalCode::KeptAtHome);
    assert_eq!(home.rule.unwrap().line, 7);
    // Those at home are there to be used.
    world.checkout(11, 5).unwrap();
    world.checkout(12, 6).unwrap();
    refused(world.checkout(13, 7), RefusalCode::NoSeat);
}

#[test]
fn l12_no_policy_shortens_the_hold_of_lost_borrows() {
    let mut world = world(lendable(10));
    world.restart_as(Life {
        epoch: usher_protocol::ids::Epoch(world.life.epoch.0 + 1),
        hold_all: true,
        head: world.engine.head(),
        ..world.life
    });
    world.set_policy(rules(None, 10)).unwrap();
    world.add_licenses_again();
    world.run(HOUR + 3 * HOUR / 100);
    let said = world.status().degraded.join("\n");
    assert!(said.contains("10 seats of solver stay home"), "{said}");
    refused(world.checkout(10, 1), RefusalCode::NoSeat);
}

#[test]
fn l7_borrowed_leases_do_not_shield_those_on_line_when_seats_become_fewer() {
    let mut world = world(lendable(3));
    let on_line = world.checkout(10, 1).unwrap();
    borrow(&mut world, 11, 2, 3).unwrap();
    borrow(&mut world, 12, 3, 3).unwrap();
    world
        .install(&signed(&license("acme-1", 2, vec![lendable(2)])))
        .unwrap();
    // The newest lease that can be refused is the one on line: a borrowed one never asks.
    let refusal = world.renew(10, &on_line.lease, 1, link(1, 2));
    refused(refusal, RefusalCode::Overcommitted);
    world.run(R + G);
    assert_eq!(world.seats_out(), 2);
}

#[test]
fn l7_of_a_share_that_is_partly_borrowed_only_the_rest_comes_back_by_refusing() {
    let shared = |seats| Feature {
        grouping: usher_protocol::documents::license::Grouping::Host,
        ..lendable(seats)
    };
    let mut world = world(shared(3));
    let oldest = world.checkout(10, 1).unwrap();
    borrow(&mut world, 11, 2, 3).unwrap();
    let mut two = wants(3);
    two.seats = 2;
    let newest = world.checkout_with(11, two).unwrap();
    assert_eq!(world.seats_out(), 3);
    let fewer = signed(&license("acme-1", 2, vec![shared(1)]));
    world.install(&fewer).unwrap();
    let refusal = world.renew(11, &newest.lease, 3, link(3, 4));
    refused(refusal, RefusalCode::Overcommitted);
    // One seat of it stays borrowed, so one more must come back from another.
    let refusal = world.renew(10, &oldest.lease, 1, link(1, 2));
    refused(refusal, RefusalCode::Overcommitted);
}

#[test]
fn l11_a_step_of_a_second_moves_a_borrows_end_and_less_does_not() {
    let mut world = world(lendable(1));
    let lease = borrow(&mut world, 10, 1, 3).unwrap().lease;
    let deadline = |world: &World| world.engine.state.leases[&lease.id].deadline.unwrap();
    let first = deadline(&world);
    world.now.wall.0 += 999;
    world.input(Input::Tick);
    assert_eq!(deadline(&world), first);
    world.now.wall.0 += 1;
    world.input(Input::Tick);
    assert_eq!(deadline(&world), BootMs(first.0 - 1000));
}

#[test]
fn l12_of_lost_borrows_those_that_are_known_again_are_held_no_more() {
    let mut solver = lendable(10);
    solver.write_off = 1;
    let mut world = world(solver);
    let away = lose_borrows(&mut world, 2);
    for (number, promise) in away.iter().enumerate() {
        let number = u8::try_from(number).unwrap();
        let shown = world.attach(10 + number, &promise.lease, 1 + number, link(1, 200));
        refused(shown, RefusalCode::LeaseBorrowed);
        // Taken in, it counts to its own end.
        let deadline = world.engine.state.leases[&promise.lease.id].deadline;
        assert_eq!(deadline, Some(BootMs(world.now.boot.0 + 7 * DAY + HOUR)));
    }
    world.run(HOUR + 3 * HOUR / 100);
    write_off(&mut world, &away[0]).unwrap();
    // One is out and counts so, one counts against the allowance.
    let said = world.status().degraded.join("\n");
    assert!(said.contains("8 seats of solver stay home"), "{said}");
    world.checkout(30, 30).unwrap();
    refused(world.checkout(31, 31), RefusalCode::NoSeat);
}

#[test]
fn l12_a_feature_that_cannot_be_borrowed_is_held_no_longer_than_its_leases() {
    let mut solver = feature("solver", Some(1));
    solver.lease_ms_max = DurationMs(R);
    let mut world = world(solver);
    lose_borrows(&mut world, 0);
    world.run(R + G - 1);
    refused(world.checkout(10, 1), RefusalCode::Holding);
    world.run(1);
    world.checkout(10, 1).unwrap();
}

#[test]
fn l12_the_end_of_a_hold_of_lost_borrows_is_a_time_to_wake() {
    let mut world = world(lendable(1));
    let end = BootMs(world.now.boot.0 + 7 * DAY + HOUR);
    lose_borrows(&mut world, 0);
    world.run(7 * DAY + HOUR / 2);
    // A license writes the mark with it, which would wake the engine by the hour.
    let mut mesher = feature("mesher", Some(1));
    mesher.lease_ms_max = DurationMs::hours(1);
    world
        .install(&signed(&license("acme-2", 1, vec![mesher])))
        .unwrap();
    assert_eq!(world.last.wake, Some(end));
}

#[test]
fn l12_a_kept_copy_of_a_returned_borrow_is_taken_in_by_no_hold() {
    let mut solver = lendable(2);
    solver.early_return = true;
    let mut world = world(solver);
    let kept = borrow(&mut world, 10, 1, 7).unwrap();
    give_back(&mut world, 10, &kept, 1);
    world.input(Input::CloneFound {
        life: LifeId([9; 16]),
        address: "10.0.0.9".to_owned(),
    });
    world.admin(AdminAsk::KeepThisClone).unwrap();
    // This life knows each lease of its own, whatever a clone may have lent.
    let shown = world.attach(10, &kept.lease, 1, link(1, 200));
    refused(shown, RefusalCode::LeaseEnded);
    assert_eq!(world.seats_out(), 0);
}

#[test]
fn l12_a_copy_returned_after_the_loss_is_not_taken_for_a_lost_borrow() {
    let mut solver = lendable(2);
    solver.early_return = true;
    let mut world = world(solver);
    lose_borrows(&mut world, 0);
    world.run(8 * DAY);
    world.restart();
    let kept = borrow(&mut world, 10, 1, 7).unwrap();
    give_back(&mut world, 10, &kept, 1);
    world.restart();
    let shown = world.attach(10, &kept.lease, 1, link(1, 200));
    refused(shown, RefusalCode::LeaseEnded);
    assert_eq!(world.seats_out(), 0);
}

#[test]
fn a3_a_reason_is_as_long_as_it_may_be_and_no_longer() {
    let mut solver = lendable(2);
    solver.write_off = 1;
    let mut world = world(solver);
    let on_line = world.checkout(10, 1).unwrap().lease.id;
    let away = borrow(&mut world, 11, 2, 3).unwrap().lease.id;
    let reason = |length: usize| "r".repeat(length);
    let evict = |length| AdminAsk::Evict {
        lease: on_line,
        reason: reason(length),
        cool_down_ms: None,
    };
    let write_off = |length| AdminAsk::WriteOff {
        lease: away,
        reason: reason(length),
    };
    refused(world.admin(evict(257)), RefusalCode::BadRequest);
    refused(world.admin(write_off(257)), RefusalCode::BadRequest);
    world.admin(evict(256)).unwrap();
    world.admin(write_off(256)).unwrap();
}

/// So many seats go out for a week, then the store goes back to before that, knowing so.
pub(crate) fn lose_borrows(world: &mut World, count: u8) -> Vec<Promise> {
    let (store, head) = (world.store.clone(), world.engine.head());
    let away = (0..count).map(|number| borrow(world, 10 + number, 1 + number, 7).unwrap());
    let away = away.collect();
    world.store = store;
    world.restart_as(Life {
        epoch: usher_protocol::ids::Epoch(world.life.epoch.0 + 1),
        hold_all: true,
        head,
        ..world.life
    });
    world.add_licenses_again();
    away
}
