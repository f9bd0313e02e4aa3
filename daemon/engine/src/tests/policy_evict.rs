//! An evicted holder does not take the seat back at once (L7).

use usher_protocol::wire::Push;

use super::*;

fn evict(world: &mut World, lease: &Lease, cool_down_ms: Option<u64>) {
    let ask = AdminAsk::Evict {
        lease: lease.id,
        reason: "needed elsewhere".to_owned(),
        cool_down_ms: cool_down_ms.map(DurationMs),
    };
    world.admin(ask).unwrap();
}

#[test]
fn l7_an_evicted_holder_waits_from_the_end_of_its_lease() {
    let mut world = World::with_seats(2);
    let lease = world.checkout(10, 1).unwrap().lease;
    evict(&mut world, &lease, None);
    let refusal = refused(world.checkout(10, 2), RefusalCode::CoolingDown);
    assert_eq!(refusal.retry_after_ms, Some(DurationMs(R + G + 60_000)));
    assert!(
        refusal.detail.contains("give it back"),
        "{}",
        refusal.detail
    );
    world.run(1000);
    world.release(10, &lease, 1, link(1, 2)).unwrap();
    let refusal = refused(world.checkout(10, 3), RefusalCode::CoolingDown);
    assert_eq!(refusal.retry_after_ms, Some(DurationMs(60_000)));
    assert!(
        refusal.detail.contains("took your seat"),
        "{}",
        refusal.detail
    );
    // Another user of the machine and another machine do not wait.
    let bob = world
        .checkout_with(10, wants_as("bob", "ws1", 4))
        .unwrap()
        .lease;
    world.release(10, &bob, 4, link(4, 5)).unwrap();
    world.checkout(11, 5).unwrap();
    world.run(59_999);
    refused(world.checkout(10, 6), RefusalCode::CoolingDown);
    world.run(1);
    world.checkout(10, 7).unwrap();
}

#[test]
fn l7_the_end_may_be_the_deadline_and_the_pause_what_the_administrator_says() {
    let mut world = World::with_seats(2);
    let lease = world.checkout(10, 1).unwrap().lease;
    evict(&mut world, &lease, Some(5000));
    world.run(R + G + 4999);
    refused(world.checkout(10, 2), RefusalCode::CoolingDown);
    world.run(1);
    world.checkout(10, 3).unwrap();
}

#[test]
fn l7_without_a_pause_a_new_seat_is_given_at_once() {
    let mut world = World::with_seats(2);
    let lease = world.checkout(10, 1).unwrap().lease;
    evict(&mut world, &lease, Some(0));
    world.checkout(10, 2).unwrap();
    let ask = AdminAsk::Evict {
        lease: lease.id,
        reason: String::new(),
        cool_down_ms: Some(DurationMs::days(2)),
    };
    refused(world.admin(ask), RefusalCode::BadRequest);
}

#[test]
fn l7_the_pause_is_of_the_feature_alone() {
    let mut world = World::new();
    let features = vec![feature("solver", Some(2)), feature("mesher", Some(2))];
    world
        .install(&signed(&license("acme-1", 1, features)))
        .unwrap();
    let lease = world.checkout(10, 1).unwrap().lease;
    evict(&mut world, &lease, None);
    let mut mesher = wants(2);
    mesher.feature = "mesher".parse().unwrap();
    world.checkout_with(10, mesher).unwrap();
}

#[test]
fn l9_an_evicted_holder_that_waits_already_is_served_when_its_pause_ends() {
    let mut world = World::with_seats(1);
    let lease = world.checkout(10, 1).unwrap().lease;
    let mut waiting = wants(2);
    waiting.wait = true;
    let answer = world.client(10, ClientAsk::Checkout(waiting));
    assert!(matches!(answer, Answer::Queued(_)), "{answer:?}");
    evict(&mut world, &lease, None);
    world.release(10, &lease, 1, link(1, 2)).unwrap();
    let is_offer = |world: &World| {
        let mut pushes = world.pushes.iter();
        pushes.any(|(_, push)| matches!(push, Push::Offered(..)))
    };
    assert!(!is_offer(&world));
    world.pass(59_999);
    world.input(Input::Tick);
    assert!(!is_offer(&world));
    assert_eq!(world.last.wake, Some(BootMs(world.now.boot.0 + 1)));
    world.pass(1);
    world.input(Input::Tick);
    assert!(is_offer(&world));
}
