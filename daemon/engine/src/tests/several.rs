//! Several features at once: all or nothing, in one step (L5, L12).

use proptest::prelude::*;

use super::*;
use crate::{policy::LingerRule, record::What};

const FEATURES: [&str; 3] = ["solver", "mesher", "viewer"];

/// So many seats of each of the three features.
fn world_of(seats: [u32; 3]) -> World {
    let mut world = World::new();
    let features = FEATURES.iter().zip(seats).map(|(name, seats)| {
        let mut it = feature(name, Some(seats));
        if *name == "viewer" {
            it.grouping = Grouping::Host;
        }
        it
    });
    let license = license("acme-1", 1, features.collect());
    world.install(&signed(&license)).unwrap();
    world
}

/// One checkout of each, with nonces that follow each other.
fn set(nonce: u8, seats: [u32; 3]) -> Vec<Checkout> {
    let of = |(index, seats): (usize, u32)| {
        let mut checkout = wants(nonce + u8::try_from(index).unwrap());
        checkout.feature = FEATURES[index].parse().unwrap();
        checkout.seats = seats;
        checkout
    };
    seats.into_iter().enumerate().map(of).collect()
}

fn ask(world: &mut World, client: u8, set: Vec<Checkout>) -> Result<Vec<Promise>, Box<Refusal>> {
    match world.client(client, ClientAsk::CheckoutAll(set)) {
        Answer::PromisedAll(promises) => Ok(promises),
        Answer::Refused(refusal) => Err(refusal),
        other => panic!("{other:?}"),
    }
}

fn out(world: &World) -> Vec<u64> {
    let pools = world.engine.state.pools();
    pools.map(|(_, pool)| pool.out).collect()
}

#[test]
fn a_set_is_lent_as_a_whole_in_one_commit() {
    let mut world = world_of([2, 2, 2]);
    let before = world.engine.head();
    let promises = ask(&mut world, 10, set(1, [1, 2, 1])).unwrap();
    assert_eq!(out(&world), [1, 2, 1]);
    let features = promises.iter().map(|it| it.lease.feature.as_str());
    assert!(features.eq(FEATURES), "in the order asked for");
    // L12: each lease has a name of its own, and the head names them all.
    let commits: Vec<_> = promises.iter().map(|it| it.lease.id.commit.0).collect();
    assert_eq!(commits, [before.0 + 1, before.0 + 2, before.0 + 3]);
    assert_eq!(world.engine.head().0, before.0 + 3);
    for promise in &promises {
        assert!(promise.lease.commit <= world.engine.head());
    }
    world.restart();
    assert_eq!(out(&world), [1, 2, 1]);
    world.checkout(11, 9).unwrap();
}

#[test]
fn each_lease_of_a_set_is_renewed_and_released_by_itself() {
    let mut world = world_of([1, 1, 1]);
    let promises = ask(&mut world, 10, set(1, [1, 1, 1])).unwrap();
    world.renew(10, &promises[1].lease, 2, link(2, 9)).unwrap();
    world
        .release(10, &promises[0].lease, 1, link(1, 9))
        .unwrap();
    assert_eq!(out(&world), [0, 1, 1]);
}

#[test]
fn a_set_that_cannot_be_had_leaves_nothing() {
    let mut world = world_of([2, 2, 1]);
    let mut other = wants(9);
    other.feature = "viewer".parse().unwrap();
    world.checkout_with(11, other).unwrap();
    let (head, events) = (world.engine.head(), world.events.len());
    let durable = world.engine.state.durable();
    let refusal = refused(ask(&mut world, 10, set(1, [1, 2, 1])), RefusalCode::NoSeat);
    assert!(refusal.detail.starts_with("viewer"), "{}", refusal.detail);
    assert_eq!(world.engine.state.durable(), durable);
    assert_eq!((world.engine.head(), world.events.len()), (head, events));
    assert_eq!(world.last.records, []);
    assert_eq!(out(&world), [0, 0, 1]);
    // No nonce is remembered: neither as a lease nor as one that ended.
    let alone = world.checkout(10, 1).unwrap();
    assert_eq!(alone.lease.id.commit.0, head.0 + 1);
}

#[test]
fn a_failed_set_is_one_denial_of_what_stood_in_the_way() {
    let mut world = world_of([2, 1, 1]);
    refused(
        ask(&mut world, 10, set(1, [1, 2, 1])),
        RefusalCode::TooManySeats,
    );
    world.run(60_000);
    let denied = world.events.iter().filter_map(|event| match &event.what {
        What::Denied { feature, count, .. } => Some((feature.as_str(), *count)),
        _ => None,
    });
    assert!(denied.eq([("mesher", 1)]));
}

#[test]
fn l5_the_same_set_is_the_same_leases() {
    let mut world = world_of([1, 1, 1]);
    let first = ask(&mut world, 10, set(1, [1, 1, 1])).unwrap();
    world.pass(1000);
    for _ in 0..2 {
        let again = ask(&mut world, 10, set(1, [1, 1, 1])).unwrap();
        let ids = |promises: &[Promise]| promises.iter().map(|it| it.lease.id).collect::<Vec<_>>();
        assert_eq!(ids(&again), ids(&first));
        assert_eq!(again[2].lease.issued, world.now.wall);
        world.restart();
    }
    assert_eq!(out(&world), [1, 1, 1]);
    let mut other = set(1, [1, 1, 1]);
    other[1].length_ms = Some(DurationMs::minutes(5));
    refused(ask(&mut world, 10, other), RefusalCode::NonceReused);
    // One more that was never seen belongs to another set.
    let mut mixed = set(1, [1, 1, 1]);
    mixed[2].nonce = Nonce([9; 16]);
    refused(ask(&mut world, 10, mixed), RefusalCode::NonceReused);
    // What has ended is not lent anew by a late copy.
    world.release(10, &first[0].lease, 1, link(1, 9)).unwrap();
    refused(
        ask(&mut world, 10, set(1, [1, 1, 1])),
        RefusalCode::LeaseEnded,
    );
    assert_eq!(out(&world), [0, 1, 1]);
}

#[test]
fn a_failed_set_gives_lingering_seats_back() {
    let mut world = world_of([1, 1, 1]);
    let length = DurationMs::minutes(2);
    let linger = vec![rule(5, &[], LingerRule { length })];
    world.set_policy(Policy { linger, ..policy() }).unwrap();
    let lease = world.checkout(10, 1).unwrap().lease;
    world.release(10, &lease, 1, link(1, 9)).unwrap();
    refused(
        ask(&mut world, 10, set(11, [1, 2, 1])),
        RefusalCode::TooManySeats,
    );
    refused(world.checkout(11, 2), RefusalCode::NoSeat);
    let wake = world.last.wake;
    ask(&mut world, 10, set(21, [1, 1, 1])).unwrap();
    assert_ne!(wake, None);
    assert_eq!(out(&world), [1, 1, 1]);
}

#[test]
fn a_set_finds_what_is_due_to_come_back() {
    let mut world = world_of([1, 1, 1]);
    ask(&mut world, 11, set(1, [1, 1, 1])).unwrap();
    world.pass(R + G);
    ask(&mut world, 10, set(11, [1, 1, 1])).unwrap();
    assert_eq!(out(&world), [1, 1, 1]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_set_is_lent_whole_or_not_at_all(
        seats in prop::array::uniform3(1..4_u32),
        asked in prop::collection::vec((0..3_u8, prop::array::uniform3(1..4_u32)), 1..12),
    ) {
        let mut world = world_of(seats);
        for (number, (client, wanted)) in (0_u8..).zip(asked) {
            let before = (world.engine.state.durable(), out(&world), world.engine.head());
            let wake = world.last.wake;
            let asked = ask(&mut world, 10 + client, set(number * 3 + 1, wanted));
            if let Ok(promises) = asked {
                prop_assert_eq!(promises.len(), 3);
                prop_assert_eq!(world.engine.head().0, before.2.0 + 3);
            } else {
                let after = (world.engine.state.durable(), out(&world), world.engine.head());
                prop_assert_eq!(&after, &before);
                // The denial to be logged within a minute may come sooner.
                prop_assert!(world.last.wake <= wake);
            }
            prop_assert_eq!(&world.engine.state.durable(), &world.store);
        }
    }
}
