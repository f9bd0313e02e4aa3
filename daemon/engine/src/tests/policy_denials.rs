//! One request, one denial in the usage log (S2).

use super::*;
use crate::{
    policy::{Deny, Line},
    record::What,
};

/// Of each denial in the log: its feature, code and count.
fn denied(world: &World) -> Vec<(String, RefusalCode, u32)> {
    let of = |event: &Event| match &event.what {
        What::Denied {
            feature,
            code,
            count,
            ..
        } => Some((feature.to_string(), *code, *count)),
        _ => None,
    };
    world.events.iter().filter_map(of).collect()
}

fn full() -> World {
    let mut world = World::with_seats(1);
    let lease = world.checkout(10, 1).unwrap().lease;
    world.wish = Some(DurationMs::hours(1));
    world.renew(10, &lease, 1, link(1, 2)).unwrap();
    world
}

#[test]
fn s2_retries_of_one_request_are_counted_and_not_repeated() {
    let mut world = full();
    for _ in 0..30 {
        refused(world.checkout(11, 2), RefusalCode::NoSeat);
        world.run(10_000);
        // Whatever else is written meanwhile.
        let other = world.checkout(12, 3);
        refused(other, RefusalCode::NoSeat);
    }
    world.run(60_000);
    let expected = ("solver".to_owned(), RefusalCode::NoSeat, 30);
    assert_eq!(denied(&world), [expected.clone(), expected]);
}

#[test]
fn s2_a_request_that_goes_on_for_long_is_still_one_denial() {
    let mut world = full();
    for _ in 0..45 {
        refused(world.checkout(11, 2), RefusalCode::NoSeat);
        world.run(60_000 - 1);
    }
    world.run(600_000);
    assert_eq!(denied(&world).len(), 1);
}

#[test]
fn s2_a_request_refused_for_another_reason_is_still_one_denial() {
    let mut world = full();
    refused(world.checkout(11, 2), RefusalCode::NoSeat);
    let deny = vec![rule(1, &[], Deny::default())];
    world.set_policy(Policy { deny, ..policy() }).unwrap();
    refused(world.checkout(11, 2), RefusalCode::Denied);
    world.run(60_000);
    let expected = ("solver".to_owned(), RefusalCode::NoSeat, 2);
    assert_eq!(denied(&world), [expected]);
}

#[test]
fn a3_invented_features_do_not_grow_the_log() {
    let mut world = full();
    for number in 0..200 {
        let mut checkout = wants(number);
        checkout.feature = format!("made-up-{number}").parse().unwrap();
        refused(
            world.checkout_with(11, checkout),
            RefusalCode::UnknownFeature,
        );
    }
    world.run(60_000);
    let expected = ("made-up-0".to_owned(), RefusalCode::UnknownFeature, 200);
    assert_eq!(denied(&world), [expected]);
}

#[test]
fn s2_what_is_not_written_yet_is_written_before_the_end() {
    let mut world = full();
    refused(world.checkout(11, 2), RefusalCode::NoSeat);
    assert_eq!(denied(&world), []);
    world.admin(AdminAsk::Drain).unwrap();
    assert_eq!(denied(&world).len(), 1);
}

#[test]
fn l9_who_waits_is_not_denied() {
    let mut world = full();
    let mut checkout = wants(2);
    checkout.wait = true;
    let answer = world.client(11, ClientAsk::Checkout(checkout));
    assert!(matches!(answer, Answer::Queued(_)), "{answer:?}");
    world.run(120_000);
    assert_eq!(denied(&world), []);
}

#[test]
fn s2_who_is_dismissed_from_the_queue_is_denied() {
    let mut world = full();
    world.wait(11, 2);
    world.run(5000);
    let deny = vec![rule(1, &[], Deny::default())];
    world.set_policy(Policy { deny, ..policy() }).unwrap();
    world.run(60_000);
    let expected = ("solver".to_owned(), RefusalCode::Denied, 1);
    assert_eq!(denied(&world), [expected]);
}

#[test]
fn s2_who_waits_for_a_moment_only_is_denied() {
    let mut world = full();
    world.wait(11, 2);
    world.client(11, ClientAsk::Leave(Nonce([2; 16])));
    world.run(60_000);
    let expected = ("solver".to_owned(), RefusalCode::NoSeat, 1);
    assert_eq!(denied(&world), [expected]);
}

#[test]
fn s2_a_key_that_is_not_accepted_is_denied_like_any_other() {
    let mut world = full();
    let enroll = Some(Line(1));
    world.set_policy(Policy { enroll, ..policy() }).unwrap();
    refused(world.checkout(11, 2), RefusalCode::NotEnrolled);
    world.run(60_000);
    assert_eq!(denied(&world)[0].1, RefusalCode::NotEnrolled);
}

#[test]
fn s2_a_request_is_remembered_for_an_hour_and_then_another() {
    let mut world = World::with_seats(1);
    let deny = vec![rule(3, &[], Deny::default())];
    world.set_policy(Policy { deny, ..policy() }).unwrap();
    let ask = |world: &mut World| refused(world.checkout(11, 2), RefusalCode::Denied);
    ask(&mut world);
    world.run(3_600_000);
    ask(&mut world);
    world.run(600_000);
    assert_eq!(denied(&world).len(), 1);
    ask(&mut world);
    world.run(600_000);
    assert_eq!(denied(&world).len(), 2);
}

#[test]
fn s2_what_is_overdue_is_written_whenever_the_daemon_comes_to_it() {
    for late in [0, 1, 5000] {
        let mut world = full();
        refused(world.checkout(11, 2), RefusalCode::NoSeat);
        world.pass(59_999);
        world.input(Input::Tick);
        assert_eq!(denied(&world), []);
        world.pass(1 + late);
        world.input(Input::Tick);
        assert_eq!(denied(&world).len(), 1, "{late}");
    }
}

/// A3: as many requests are known again as may be, and the oldest is forgotten for the next.
#[test]
fn a3_a_request_is_forgotten_for_want_of_room() {
    let mut world = World::with_seats(1);
    let deny = vec![rule(3, &[], Deny::default())];
    world.set_policy(Policy { deny, ..policy() }).unwrap();
    let ask = |world: &mut World, number: u32| {
        let mut checkout = wants(0);
        checkout.nonce.0[..4].copy_from_slice(&number.to_le_bytes());
        refused(world.checkout_with(11, checkout), RefusalCode::Denied);
    };
    let most = u32::try_from(crate::limits::DENIED_KEPT_MAX).unwrap();
    for number in 0..most - 1 {
        ask(&mut world, number);
    }
    world.run(600_000);
    ask(&mut world, 0);
    world.run(600_000);
    assert_eq!(denied(&world).len(), 1, "one more has room");
    ask(&mut world, most);
    ask(&mut world, 0);
    world.run(600_000);
    assert_eq!(denied(&world).len(), 2);
    let counts: Vec<_> = denied(&world).into_iter().map(|it| it.2).collect();
    assert_eq!(counts, [most - 1, 2]);
    // Its room is that of the oldest.
    ask(&mut world, 1);
    world.run(600_000);
    assert_eq!(denied(&world).len(), 3);
}
