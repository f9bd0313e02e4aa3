//! Rows of docs/semantics.md that no other test shows: what happens where queue, policy, borrowing,
//! licenses and restarts meet.

use usher_protocol::wire::Borrow;

use super::*;
use crate::{
    policy::{LingerRule, MaximumRule, Per, ReserveRule},
    record::SuspensionKey,
};

fn waits(user: &str, nonce: u8, seats: u32) -> Checkout {
    Checkout {
        seats,
        wait: true,
        ..wants_as(user, "ws1", nonce)
    }
}

/// Who is offered seats now, by nonce.
fn offered(world: &World) -> Vec<u8> {
    let waiters = world.engine.queue.waiters();
    let offered = waiters.filter(|(_, waiter)| waiter.offer.is_some());
    offered.map(|(_, waiter)| waiter.nonce().0[0]).collect()
}

#[track_caller]
fn queued(answer: &Answer) -> u32 {
    match answer {
        Answer::Queued(place) => place.position,
        other => panic!("{other:?}"),
    }
}

/// Seats of `solver`, each out to client 10 on a lease of its own: nonces from 1 on.
fn full(seats: u8) -> (World, Vec<Lease>) {
    let mut world = World::with_seats(u32::from(seats));
    let leases = (1..=seats).map(|nonce| world.checkout(10, nonce).unwrap().lease);
    let leases = leases.collect();
    (world, leases)
}

fn give_back(world: &mut World, client: u8, lease: &Lease, nonce: u8) {
    world
        .release(client, lease, nonce, link(nonce, 200))
        .unwrap();
}

fn evict(world: &mut World, lease: &Lease, cool_down_ms: Option<u64>) {
    let ask = AdminAsk::Evict {
        lease: lease.id,
        reason: "needed elsewhere".to_owned(),
        cool_down_ms: cool_down_ms.map(DurationMs),
    };
    world.admin(ask).unwrap();
}

fn the_feature() -> SuspensionKey {
    SuspensionKey::Feature(root(), "solver".parse().unwrap())
}

fn suspend(world: &mut World) {
    let ask = AdminAsk::Suspend(the_feature(), "moving house".to_owned());
    world.admin(ask).unwrap();
}

fn solver_with(change: impl FnOnce(&mut usher_protocol::documents::license::Feature)) -> World {
    let mut solver = feature("solver", Some(1));
    change(&mut solver);
    let mut world = World::new();
    world
        .install(&signed(&license("acme-1", 1, vec![solver])))
        .unwrap();
    world
}

/// A daemon whose store forgot a lease that its holder still has.
fn rolled_back() -> World {
    let mut world = World::with_seats(2);
    let (store, head) = (world.store.clone(), world.engine.head());
    let lost = world.checkout(10, 1).unwrap().lease;
    world.store = store;
    world.restart_as(Life {
        epoch: Epoch(101),
        life: LifeId([2; 16]),
        head,
        ..world.life
    });
    world.attach(10, &lost, 1, link(1, 2)).unwrap();
    world
}

fn clone_found(world: &mut World) {
    world.input(Input::CloneFound {
        life: LifeId([9; 16]),
        address: "10.0.0.9".to_owned(),
    });
}

// ---- The order of the questions.

#[test]
fn a4_of_all_that_stops_granting_the_gravest_speaks() {
    let mut world = rolled_back();
    clone_found(&mut world);
    world.admin(AdminAsk::Drain).unwrap();
    refused(world.checkout(11, 2), RefusalCode::StoreRolledBack);
    world.admin(AdminAsk::AcceptRollback).unwrap();
    refused(world.checkout(11, 2), RefusalCode::CloneFound);
    world.admin(AdminAsk::KeepThisClone).unwrap();
    refused(world.checkout(11, 2), RefusalCode::Holding);
    world.add_licenses_again();
    world.run(3_600_000 + 108_000);
    refused(world.checkout(11, 2), RefusalCode::Draining);
}

#[test]
fn a4_a_borrow_asks_its_clocks_first_and_its_own_rules_last() {
    let mut world = solver_with(|it| it.borrow_ms_max = DurationMs::days(7));
    world.checkout(10, 1).unwrap();
    // Longer than signed, and not even asked about: all seats are out.
    let long = |world: &World, apart: u64| Borrow {
        checkout: Checkout {
            length_ms: Some(DurationMs::days(30)),
            ..wants(2)
        },
        wall: WallMs(world.now.wall.0 + apart),
    };
    let ask = ClientAsk::Borrow(long(&world, 0));
    refused(promised(world.client(11, ask)), RefusalCode::NoSeat);
    world.admin(AdminAsk::Drain).unwrap();
    let ask = ClientAsk::Borrow(long(&world, DAY));
    refused(promised(world.client(11, ask)), RefusalCode::ClocksApart);
}

#[test]
fn l9_only_what_comes_back_by_itself_is_waited_for() {
    type Case = (RefusalCode, fn() -> World);
    let helps: [Case; 4] = [
        (RefusalCode::NoSeat, || full(1).0),
        (RefusalCode::NoSeat, || {
            let mut world = full(1).0;
            world.wait(12, 99);
            world
        }),
        (RefusalCode::Reserved, || {
            let mut world = World::with_seats(1);
            world.set_policy(reserving(1, "user:ann")).unwrap();
            world
        }),
        (RefusalCode::Overcommitted, || {
            let mut world = full(2).0;
            world.install(&solver(1, 2)).unwrap();
            world
        }),
    ];
    let in_vain: [Case; 5] = [
        (RefusalCode::NoLicense, World::new),
        (RefusalCode::Suspended, || {
            let mut world = World::with_seats(1);
            suspend(&mut world);
            world
        }),
        (RefusalCode::LicenseExpired, || {
            solver_with(|it| it.expires = Some(WallMs(ISSUED.0 + 9 * DAY)))
        }),
        (RefusalCode::NotYetValid, || {
            solver_with(|it| it.starts = WallMs(ISSUED.0 + 12 * DAY))
        }),
        (RefusalCode::StoreRolledBack, rolled_back),
    ];
    for (code, build) in helps {
        refused(build().checkout(11, 20), code);
        queued(&build().wait(11, 20));
    }
    for (code, build) in in_vain {
        let mut world = build();
        refused(promised(world.wait(11, 20)), code);
        assert!(world.engine.queue.is_empty(), "{code:?}");
    }
}

#[test]
fn l9_a_rule_against_the_asker_is_no_reason_to_wait() {
    type Case = (RefusalCode, fn(&mut World, &Lease));
    let cases: [Case; 4] = [
        (RefusalCode::CoolingDown, |world, lease| {
            evict(world, lease, None);
        }),
        (RefusalCode::MaximumReached, |world, _| {
            let (seats, per) = (1, Per::User);
            let maximum = vec![rule(1, &[], MaximumRule { seats, per })];
            let with = Policy {
                maximum,
                ..policy()
            };
            world.set_policy(with).unwrap();
        }),
        (RefusalCode::NotEnrolled, |world, _| {
            let enroll = Some(crate::policy::Line(1));
            world.set_policy(Policy { enroll, ..policy() }).unwrap();
        }),
        (RefusalCode::Draining, |world, _| {
            world.admin(AdminAsk::Drain).unwrap();
        }),
    ];
    for (code, act) in cases {
        let (mut world, leases) = full(1);
        act(&mut world, &leases[0]);
        refused(promised(world.wait(10, 20)), code);
        assert!(world.engine.queue.is_empty(), "{code:?}");
    }
}

// ---- Waiting.

#[test]
fn l9_who_asks_again_without_waiting_leaves_the_queue() {
    let (mut world, leases) = full(1);
    world.wait(11, 21);
    refused(world.checkout(11, 21), RefusalCode::NoSeat);
    assert!(world.engine.queue.is_empty());
    give_back(&mut world, 10, &leases[0], 1);
    world.checkout(11, 21).unwrap();
}

#[test]
fn l9_who_is_at_its_maximum_is_passed_over_and_keeps_its_place() {
    let mut world = World::with_seats(2);
    let ada = world.checkout(10, 1).unwrap().lease;
    let cid = world.checkout_with(12, wants_as("cid", "ws3", 2)).unwrap();
    world.wait(10, 21);
    world.wait_with(11, waits("bob", 22, 1));
    let (seats, per) = (1, Per::User);
    let maximum = vec![rule(1, &[], MaximumRule { seats, per })];
    let with = Policy {
        maximum,
        ..policy()
    };
    world.set_policy(with).unwrap();
    give_back(&mut world, 12, &cid.lease, 2);
    assert_eq!(offered(&world), [22]);
    assert_eq!(queued(&world.wait(10, 21)), 1);
    give_back(&mut world, 10, &ada, 1);
    assert_eq!(offered(&world), [21, 22]);
}

#[test]
fn l9_more_seats_are_offered_at_once() {
    let (mut world, _) = full(1);
    world.wait(11, 21);
    world.wait(12, 22);
    world.install(&solver(2, 2)).unwrap();
    assert_eq!(offered(&world), [21]);
}

#[test]
fn l9_a_license_that_runs_out_dismisses_who_waits() {
    let mut world = solver_with(|it| it.expires = Some(WallMs(ISSUED.0 + 11 * DAY)));
    world.pass(DAY - 60_000);
    world.checkout(10, 1).unwrap();
    world.wait(11, 21);
    world.pushes.clear();
    world.run(90_000);
    assert!(
        matches!(&world.pushes[..], [(ConnectionId(11), Push::Dismissed(_, refusal))]
            if refusal.code == RefusalCode::LicenseExpired),
        "{:?}",
        world.pushes
    );
}

#[test]
fn l9_a_license_that_starts_later_dismisses_who_waits() {
    let (mut world, _) = full(1);
    world.wait(11, 21);
    world.pushes.clear();
    let mut later = feature("solver", Some(1));
    later.starts = WallMs(ISSUED.0 + 12 * DAY);
    world
        .install(&signed(&license("acme-1", 2, vec![later])))
        .unwrap();
    // As whoever comes now is told.
    refused(promised(world.wait(12, 22)), RefusalCode::NotYetValid);
    assert!(
        matches!(&world.pushes[..], [(ConnectionId(11), Push::Dismissed(_, refusal))]
            if refusal.code == RefusalCode::NotYetValid && refusal.retry_after_ms.is_some()),
        "{:?}",
        world.pushes
    );
}

#[test]
fn l9_an_offer_does_not_outlive_fewer_seats() {
    let (mut world, leases) = full(2);
    world.wait(11, 21);
    give_back(&mut world, 10, &leases[0], 1);
    assert_eq!(offered(&world), [21]);
    world.install(&solver(1, 2)).unwrap();
    assert_eq!(queued(&world.wait(11, 21)), 1);
    assert_eq!(world.seats_out(), 1);
    give_back(&mut world, 10, &leases[1], 2);
    world.checkout(11, 21).unwrap();
}

#[test]
fn l9_a_suspension_keeps_places_and_offers_nothing() {
    let (mut world, leases) = full(2);
    world.wait(11, 21);
    world.wait(12, 22);
    give_back(&mut world, 10, &leases[0], 1);
    assert_eq!(offered(&world), [21]);
    suspend(&mut world);
    // The claim comes too late, and loses nothing but its time.
    assert_eq!(queued(&world.wait(11, 21)), 1);
    give_back(&mut world, 10, &leases[1], 2);
    world.run(120_000);
    assert!(offered(&world).is_empty());
    world.admin(AdminAsk::Resume(the_feature())).unwrap();
    assert_eq!(offered(&world), [21, 22]);
}

#[test]
fn l9_nothing_is_offered_while_granting_is_stopped() {
    let (mut world, leases) = full(2);
    world.wait(11, 21);
    world.wait(12, 22);
    give_back(&mut world, 10, &leases[0], 1);
    clone_found(&mut world);
    assert_eq!(queued(&world.wait(11, 21)), 1);
    give_back(&mut world, 10, &leases[1], 2);
    world.run(60_000);
    assert!(offered(&world).is_empty());
    world.admin(AdminAsk::KeepThisClone).unwrap();
    world.add_licenses_again();
    world.run(3_600_000 + 108_000);
    assert_eq!(offered(&world), [21, 22]);
}

#[test]
fn lingering_seats_are_their_holders_whoever_waits() {
    let mut world = World::with_seats(1);
    let length = DurationMs::minutes(2);
    let linger = vec![rule(1, &[], LingerRule { length })];
    world.set_policy(Policy { linger, ..policy() }).unwrap();
    let lease = world.checkout(10, 1).unwrap().lease;
    world.wait_with(11, waits("bob", 22, 1));
    give_back(&mut world, 10, &lease, 1);
    assert!(offered(&world).is_empty());
    let lease = world.checkout(10, 2).unwrap().lease;
    give_back(&mut world, 10, &lease, 2);
    world.run(120_000 - 1);
    assert!(offered(&world).is_empty());
    world.run(1);
    assert_eq!(offered(&world), [22]);
}

#[test]
fn a_share_is_joined_whoever_waits() {
    let mut world = solver_with(|it| it.grouping = Grouping::Host);
    world.checkout(10, 1).unwrap();
    world.wait(11, 21);
    world.checkout(10, 2).unwrap();
    assert_eq!((world.seats_out(), offered(&world).len()), (1, 0));
}

#[test]
fn l9_a_restart_forgets_queue_and_offers_and_loses_no_seat() {
    let (mut world, leases) = full(2);
    world.wait(11, 21);
    world.wait(12, 22);
    give_back(&mut world, 10, &leases[0], 1);
    world.restart();
    assert!(world.engine.queue.is_empty());
    // The seat that was offered is for whoever asks first.
    world.checkout(13, 23).unwrap();
    assert_eq!(queued(&world.wait(12, 22)), 1);
    assert_eq!(queued(&world.wait(11, 21)), 2);
}

#[test]
fn a_seat_that_lingers_with_a_reservations_holder_is_one_of_the_reserved() {
    let mut world = World::with_seats(2);
    let length = DurationMs::minutes(2);
    let with = Policy {
        linger: vec![rule(1, &[], LingerRule { length })],
        reserve: vec![rule(2, &["user:ann"], ReserveRule { seats: 1 })],
        ..policy()
    };
    world.set_policy(with.clone()).unwrap();
    let ann = world.checkout_with(13, wants_as("ann", "ws2", 1)).unwrap();
    give_back(&mut world, 13, &ann.lease, 1);
    // Another policy counts it as that says.
    let reserve = Vec::new();
    let without = Policy {
        reserve,
        ..with.clone()
    };
    world.set_policy(without).unwrap();
    world.set_policy(with).unwrap();
    // Her one seat is kept once: the other is everybody's.
    world.checkout_with(11, wants_as("bob", "ws1", 2)).unwrap();
    let third = world.checkout_with(12, wants_as("cid", "ws1", 3));
    refused(third, RefusalCode::NoSeat);
    world.run(120_000);
    let third = world.checkout_with(12, wants_as("cid", "ws1", 4));
    refused(third, RefusalCode::Reserved);
    world.checkout_with(13, wants_as("ann", "ws2", 5)).unwrap();
}
