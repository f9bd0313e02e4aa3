//! Leases: grant, repeat, renew, release, expire, restart (L2, L4, L5, L6, T6, A3, A4).

use super::*;
use crate::record::What;

#[test]
fn l2_a_grant_is_a_record_and_its_deadline_is_r_and_g_away() {
    let mut world = World::with_seats(10);
    let before = world.engine.head();
    let promise = world.checkout(10, 1).unwrap();
    let head = world.engine.head();
    assert_eq!(head.0, before.0 + 1);
    assert_eq!(
        (promise.lease.id.epoch, promise.lease.id.commit),
        (Epoch(100), head)
    );
    assert_eq!(promise.lease.commit, head);
    assert_eq!(promise.lease.length_ms, DurationMs(R));
    assert_eq!(promise.lease.not_after, WallMs(world.now.wall.0 + R));
    assert_eq!(promise.renew_after_ms, DurationMs(R / 3));
    assert_eq!((promise.seats_out, promise.seats_total), (1, Some(10)));
    assert_eq!(world.last.wake, Some(BootMs(world.now.boot.0 + R + G)));

    world.run(R + G - 1);
    assert_eq!(world.seats_out(), 1);
    world.run(1);
    assert_eq!(world.seats_out(), 0);
    assert_eq!(
        world.events.last().unwrap().what,
        What::Reclaimed(promise.lease.id)
    );
}

#[test]
fn l2_a_pool_lends_all_its_seats_and_not_one_more() {
    let mut world = World::with_seats(10);
    for nonce in 1..=10 {
        let promise = world.checkout(nonce, nonce).unwrap();
        assert_eq!(promise.seats_out, u32::from(nonce));
        world.pass(1000);
    }
    let refusal = refused(world.checkout(11, 11), RefusalCode::NoSeat);
    assert_eq!((refusal.holders.len(), refusal.holders_more), (8, 2));
    assert_eq!(refusal.holders[0].user, "ada");
    assert_eq!(refusal.earliest_free_ms, Some(DurationMs(R + G - 10_000)));
    assert_eq!(
        refusal.support.as_deref(),
        Some("Write to support@acme.example.")
    );
}

#[test]
fn l2_usual_renewals_need_no_record_and_longer_promises_do() {
    let mut world = World::with_seats(10);
    let lease = world.checkout(10, 1).unwrap().lease;
    let head = world.engine.head();
    world.pass(R / 3);
    let renewed = world.renew(10, &lease, 1, link(1, 2)).unwrap();
    assert_eq!((world.engine.head(), renewed.lease.id), (head, lease.id));
    assert_eq!(renewed.lease.token, Token([2; 16]));

    let longer = Renew {
        idle_ms: None,
        lease: lease.id,
        nonce: Nonce([1; 16]),
        link: link(2, 3),
        length_ms: Some(DurationMs::hours(2)),
    };
    let longer = promised(world.client(10, ClientAsk::Renew(longer))).unwrap();
    // The license bounds the wish.
    assert_eq!(longer.lease.length_ms, DurationMs::hours(1));
    assert_eq!(world.engine.head().0, head.0 + 1);
    assert_eq!(longer.lease.commit, world.engine.head());

    // L2: a shorter renewal never moves the deadline back.
    let deadline = world.last.wake;
    world.renew(10, &lease, 1, link(3, 4)).unwrap();
    assert_eq!(world.last.wake, deadline);
}

#[test]
fn l4_after_a_restart_each_lease_is_held_for_its_longest_promise() {
    let mut world = World::with_seats(1);
    let lease = world.checkout(10, 1).unwrap().lease;
    world.pass(R - 1);
    world.restart();
    assert_eq!(world.status().pools[0].held, 1);
    refused(world.checkout(11, 2), RefusalCode::NoSeat);
    world.run(R + G - 1);
    assert_eq!(world.seats_out(), 1);
    let attached = world.attach(10, &lease, 1, link(1, 2)).unwrap();
    assert_eq!(attached.lease.id, lease.id);
    assert_eq!(attached.lease.epoch, world.life.epoch);
    assert_eq!(world.status().pools[0].held, 0);
    world.run(R + G);
    assert_eq!(world.seats_out(), 0);
}

#[test]
fn l5_the_same_nonce_is_the_same_lease() {
    let mut world = World::with_seats(10);
    let first = world.checkout(10, 1).unwrap();
    for _ in 0..63 {
        world.pass(10);
        let again = world.checkout(10, 1).unwrap();
        assert_eq!(again.lease.id, first.lease.id);
        assert_eq!(again.lease.issued, world.now.wall);
    }
    world.restart();
    assert_eq!(world.checkout(10, 1).unwrap().lease.id, first.lease.id);
    assert_eq!(world.seats_out(), 1);
    // Another client's same nonce is another lease.
    assert_ne!(world.checkout(11, 1).unwrap().lease.id, first.lease.id);
}

#[test]
fn l5_a_nonce_with_other_parameters_is_refused() {
    let mut world = World::with_seats(10);
    world.checkout(10, 1).unwrap();
    let mut other = wants(1);
    other.seats = 2;
    refused(world.checkout_with(10, other), RefusalCode::NonceReused);
    let mut other = wants(1);
    other.length_ms = Some(DurationMs::minutes(5));
    refused(world.checkout_with(10, other), RefusalCode::NonceReused);
    assert_eq!(world.seats_out(), 1);
}

#[test]
fn l5_an_ended_nonce_is_remembered_for_a_minute() {
    let mut world = World::with_seats(10);
    let lease = world.checkout(10, 1).unwrap().lease;
    world.release(10, &lease, 1, link(1, 2)).unwrap();
    world.release(10, &lease, 1, link(1, 2)).unwrap();
    world.pass(60_000);
    refused(world.checkout(10, 1), RefusalCode::LeaseEnded);
    world.pass(1);
    world.checkout(10, 1).unwrap();
}

#[test]
fn l6_a_lease_reattaches_and_only_with_its_own_key_and_nonce() {
    let mut world = World::with_seats(10);
    let lease = world.checkout(10, 1).unwrap().lease;
    refused(
        world.attach(11, &lease, 1, link(1, 2)),
        RefusalCode::WrongDevice,
    );
    refused(
        world.renew(11, &lease, 1, link(1, 2)),
        RefusalCode::WrongDevice,
    );
    refused(
        world.release(11, &lease, 1, link(1, 2)),
        RefusalCode::WrongDevice,
    );
    refused(
        world.attach(10, &lease, 9, link(1, 2)),
        RefusalCode::LeaseUnknown,
    );
    world.attach(10, &lease, 1, link(1, 2)).unwrap();
    world.run(R + G);
    refused(
        world.attach(10, &lease, 1, link(2, 3)),
        RefusalCode::LeaseEnded,
    );
}

#[test]
fn t6_a_branch_ends_renewal_for_both_and_frees_nothing() {
    let mut world = World::with_seats(1);
    let lease = world.checkout(10, 1).unwrap().lease;
    world.renew(10, &lease, 1, link(1, 2)).unwrap();
    world.renew(10, &lease, 1, link(1, 2)).unwrap();
    refused(
        world.renew(10, &lease, 1, link(1, 3)),
        RefusalCode::LeaseForked,
    );
    refused(
        world.renew(10, &lease, 1, link(2, 4)),
        RefusalCode::LeaseForked,
    );
    refused(
        world.release(10, &lease, 1, link(2, 4)),
        RefusalCode::LeaseForked,
    );
    world.restart();
    refused(
        world.renew(10, &lease, 1, link(2, 4)),
        RefusalCode::LeaseForked,
    );
    refused(world.checkout(10, 1), RefusalCode::LeaseForked);
    refused(world.checkout(11, 2), RefusalCode::NoSeat);
    world.run(R + G);
    world.checkout(11, 3).unwrap();
}

#[test]
fn t6_a_late_copy_of_the_step_before_the_last_marks_and_grants_nothing() {
    let mut world = World::with_seats(1);
    let lease = world.checkout(10, 1).unwrap().lease;
    world.renew(10, &lease, 1, link(1, 2)).unwrap();
    world.renew(10, &lease, 1, link(2, 3)).unwrap();
    let (head, deadline) = (world.engine.head(), world.last.wake);
    world.pass(1000);
    let refusal = refused(world.renew(10, &lease, 1, link(1, 2)), RefusalCode::Busy);
    assert!(refusal.retry_after_ms.is_some());
    refused(world.attach(10, &lease, 1, link(1, 2)), RefusalCode::Busy);
    refused(world.release(10, &lease, 1, link(1, 2)), RefusalCode::Busy);
    assert_eq!((world.engine.head(), world.last.wake), (head, deadline));
    assert_eq!(world.seats_out(), 1);
    world.renew(10, &lease, 1, link(3, 4)).unwrap();
    // Whoever still shows it a step later is no network's delay.
    refused(
        world.renew(10, &lease, 1, link(1, 2)),
        RefusalCode::LeaseForked,
    );
}

#[test]
fn t6_a_clone_that_releases_frees_nothing() {
    let mut world = World::with_seats(1);
    let lease = world.checkout(10, 1).unwrap().lease;
    world.renew(10, &lease, 1, link(1, 2)).unwrap();
    refused(
        world.release(10, &lease, 1, link(1, 9)),
        RefusalCode::LeaseForked,
    );
    assert_eq!(world.seats_out(), 1);
}

#[test]
fn t6_a_late_checkout_is_refused_and_marks_nothing() {
    let mut world = World::with_seats(1);
    let lease = world.checkout(10, 1).unwrap().lease;
    world.renew(10, &lease, 1, link(1, 2)).unwrap();
    refused(world.checkout(10, 1), RefusalCode::LeaseForked);
    world.renew(10, &lease, 1, link(2, 3)).unwrap();
}

#[test]
fn t6_after_a_restart_the_first_token_shown_starts_the_chain_anew() {
    let mut world = World::with_seats(1);
    let lease = world.checkout(10, 1).unwrap().lease;
    world.restart();
    world.renew(10, &lease, 1, link(5, 6)).unwrap();
    refused(
        world.renew(10, &lease, 1, link(1, 2)),
        RefusalCode::LeaseForked,
    );
}

#[test]
fn l2_a_release_frees_at_once() {
    let mut world = World::with_seats(1);
    let lease = world.checkout(10, 1).unwrap().lease;
    refused(world.checkout(11, 2), RefusalCode::NoSeat);
    world.release(10, &lease, 1, link(1, 2)).unwrap();
    world.checkout(11, 3).unwrap();
}

#[test]
fn a2_expiry_that_lags_refuses_no_free_seat() {
    let mut world = World::with_seats(200);
    for client in 0..200 {
        world.checkout(client, client).unwrap();
    }
    world.pass(R + G);
    // Only a few were reclaimed beside this input, its own seat among them.
    world.checkout(220, 220).unwrap();
    assert!(world.seats_out() > 100);
    assert!(world.last.wake.unwrap() <= world.now.boot);
    world.input(Input::Tick);
    world.input(Input::Tick);
    assert_eq!(world.seats_out(), 1);
}

#[test]
fn a3_bounds_are_refusals() {
    let mut world = World::with_seats(10);
    world.settings.leases_per_client_max = 1;
    world.settings.leases_max = 2;
    let settings = world.settings.clone();
    world.admin(AdminAsk::Configure(settings)).unwrap();
    world.checkout(10, 1).unwrap();
    refused(world.checkout(10, 2), RefusalCode::TooManyLeases);
    world.checkout(11, 3).unwrap();
    let refusal = refused(world.checkout(12, 4), RefusalCode::Busy);
    assert!(refusal.retry_after_ms.is_some());
    let mut none = wants(5);
    none.seats = 0;
    refused(world.checkout_with(12, none), RefusalCode::BadRequest);
}

#[test]
fn a4_refusals_say_why() {
    let mut world = World::new();
    refused(world.checkout(10, 1), RefusalCode::NoLicense);
    let mut served = feature("solver", Some(4));
    served.version = Some("2.0".parse().unwrap());
    world
        .install(&signed(&license("acme-1", 1, vec![served])))
        .unwrap();
    let mut ask = wants(1);
    ask.feature = "mesher".parse().unwrap();
    refused(
        world.checkout_with(10, ask.clone()),
        RefusalCode::UnknownFeature,
    );
    ask.feature = "solver".parse().unwrap();
    ask.seats = 5;
    refused(
        world.checkout_with(10, ask.clone()),
        RefusalCode::TooManySeats,
    );
    ask.seats = 1;
    ask.version = Some("2.1".parse().unwrap());
    refused(
        world.checkout_with(10, ask.clone()),
        RefusalCode::VersionNotServed,
    );
    ask.version = Some("1.9".parse().unwrap());
    world.checkout_with(10, ask.clone()).unwrap();
    ask.nonce = Nonce([9; 16]);
    ask.seats = 4;
    let refusal = refused(world.checkout_with(10, ask), RefusalCode::NoSeat);
    assert_eq!(refusal.earliest_free_ms, Some(DurationMs(R + G)));
}

#[test]
fn s2_denials_are_counted_together_and_delay_no_refusal() {
    let mut world = World::with_seats(1);
    world.checkout(10, 1).unwrap();
    let head = world.engine.head();
    let events = world.events.len();
    for nonce in 2..=21 {
        refused(world.checkout(11, nonce), RefusalCode::NoSeat);
    }
    assert_eq!((world.engine.head(), world.events.len()), (head, events));
    world.run(60_000);
    let denied: Vec<_> = world.events[events..]
        .iter()
        .map(|event| &event.what)
        .collect();
    assert!(
        matches!(denied[..], [What::Denied { count: 20, .. }]),
        "{denied:?}"
    );
    assert_eq!(world.engine.head(), head);
}

#[test]
fn a2_expiry_that_lags_takes_back_no_more_than_is_asked_for() {
    let mut world = World::new();
    let features = vec![feature("solver", Some(20)), feature("mesher", Some(2))];
    world
        .install(&signed(&license("acme-1", 1, features)))
        .unwrap();
    let mesher = |nonce| Checkout {
        feature: "mesher".parse().unwrap(),
        ..wants(nonce)
    };
    for client in 0..20 {
        world.checkout(client, client).unwrap();
    }
    world.pass(1);
    for client in 20..22 {
        world.checkout_with(client, mesher(client)).unwrap();
    }
    world.pass(R + G);
    // The solver's leases are older, and more than are reclaimed beside one input.
    world.checkout_with(30, mesher(30)).unwrap();
    let meshers = |pool: &crate::pool::Pool| pool.key.feature.as_str() == "mesher";
    let mut pools = world.engine.state.pools();
    let (_, pool) = pools.find(|(_, pool)| meshers(pool)).unwrap();
    assert_eq!(pool.out, 2);
}
