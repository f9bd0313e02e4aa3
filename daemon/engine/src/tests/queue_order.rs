//! Who comes before whom in the queue (L9): priorities, sets, backfill, reservations, changes of license
//! and policy, and ex-holders whose leases lapsed (L6).

use super::*;
use crate::policy::{Deny, PriorityRule, QueueRule};

fn nonce(byte: u8) -> Nonce {
    Nonce([byte; 16])
}

fn waits(user: &str, nonce: u8, seats: u32) -> Checkout {
    Checkout {
        seats,
        wait: true,
        ..wants_as(user, "ws1", nonce)
    }
}

/// Who is offered seats now, by nonce, in no order.
fn offered(world: &World) -> Vec<u8> {
    let waiters = world.engine.queue.waiters();
    let offered = waiters.filter(|(_, waiter)| waiter.offer.is_some());
    offered.map(|(_, waiter)| waiter.nonce().0[0]).collect()
}

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

fn give_back(world: &mut World, lease: &Lease, nonce: u8) {
    world.release(10, lease, nonce, link(nonce, 200)).unwrap();
}

fn two_features(solvers: u32, meshers: u32) -> World {
    let mut world = World::new();
    let features = vec![
        feature("solver", Some(solvers)),
        feature("mesher", Some(meshers)),
    ];
    world
        .install(&signed(&license("acme-1", 1, features)))
        .unwrap();
    world
}

fn mesher(nonce: u8) -> Checkout {
    Checkout {
        feature: "mesher".parse().unwrap(),
        ..waits("ada", nonce, 1)
    }
}

#[test]
fn l9_the_higher_priority_is_served_first_and_then_who_came_first() {
    let (mut world, leases) = full(2);
    let priority = vec![rule(1, &["user:vip*"], PriorityRule { level: 10 })];
    let with = Policy {
        priority,
        ..policy()
    };
    world.set_policy(with).unwrap();
    assert_eq!(queued(&world.wait_with(11, waits("ann", 21, 1))), 1);
    assert_eq!(queued(&world.wait_with(12, waits("vip1", 22, 1))), 1);
    assert_eq!(queued(&world.wait_with(13, waits("VIP2", 23, 1))), 2);
    give_back(&mut world, &leases[0], 1);
    assert_eq!(offered(&world), [22]);
    // Another policy ranks those anew who wait.
    world.set_policy(policy()).unwrap();
    give_back(&mut world, &leases[1], 2);
    assert_eq!(offered(&world), [21, 22]);
}

#[test]
fn l9_backfill_lets_smaller_requests_pass_and_only_then() {
    for backfill in [false, true] {
        let (mut world, leases) = full(3);
        let queue = vec![rule(1, &[], QueueRule { backfill })];
        let with = Policy { queue, ..policy() };
        world.set_policy(with).unwrap();
        world.wait_with(11, waits("ann", 21, 2));
        world.wait_with(12, waits("bob", 22, 1));
        give_back(&mut world, &leases[0], 1);
        assert_eq!(offered(&world).contains(&22), backfill);
        give_back(&mut world, &leases[1], 2);
        // With backfill bob took the first, and the second is not enough for ann: newcomers pass too.
        assert_eq!(offered(&world), if backfill { [22] } else { [21] });
        assert_eq!(world.checkout(13, 23).is_ok(), backfill);
    }
}

#[test]
fn l9_a_set_waits_as_one_for_all_of_it() {
    let mut world = two_features(1, 1);
    let solver = world.checkout(10, 1).unwrap().lease;
    let held = world.checkout_with(
        10,
        Checkout {
            wait: false,
            ..mesher(2)
        },
    );
    let held = held.unwrap().lease;
    let set = vec![waits("ada", 31, 1), mesher(32)];
    let answer = world.client(11, ClientAsk::CheckoutAll(set.clone()));
    assert_eq!(queued(&answer), 1);
    world.wait_with(12, waits("bob", 41, 1));
    world.wait_with(13, mesher(42));
    // A half is no offer, and nobody behind gets it.
    give_back(&mut world, &solver, 1);
    assert!(offered(&world).is_empty());
    give_back(&mut world, &held, 2);
    assert_eq!(offered(&world), [31]);
    let answer = world.client(11, ClientAsk::CheckoutAll(set));
    assert!(matches!(&answer, Answer::PromisedAll(promises) if promises.len() == 2));
    assert!(
        world
            .engine
            .state
            .pools()
            .all(|(_, pool)| pool.offered == 0 && pool.out == 1)
    );
}

#[test]
fn l9_sets_that_want_each_others_features_do_not_block_each_other() {
    let mut world = two_features(1, 1);
    let priority = vec![
        Rule {
            feature: "acme/solver".parse().unwrap(),
            ..rule(1, &["user:ann"], PriorityRule { level: 9 })
        },
        Rule {
            feature: "acme/mesher".parse().unwrap(),
            ..rule(2, &["user:bob"], PriorityRule { level: 9 })
        },
    ];
    let with = Policy {
        priority,
        ..policy()
    };
    world.set_policy(with).unwrap();
    let solver = world.checkout(10, 1).unwrap().lease;
    let held = world.checkout_with(
        10,
        Checkout {
            wait: false,
            ..mesher(2)
        },
    );
    let held = held.unwrap().lease;
    // Each is first by the policy of one of the two.
    for (client, user) in [(11, "ann"), (12, "bob")] {
        let mut set = vec![waits(user, client, 1), mesher(client + 100)];
        set[1].holder.user = user.to_owned();
        world.client(client, ClientAsk::CheckoutAll(set));
    }
    give_back(&mut world, &solver, 1);
    give_back(&mut world, &held, 2);
    assert_eq!(offered(&world), [11]);
    world.run(30_000);
    assert_eq!(offered(&world), [12]);
    world.run(30_000);
    assert!(world.engine.queue.is_empty());
    world.checkout(13, 50).unwrap();
}

#[test]
fn l9_an_idle_reservation_serves_its_own_although_others_wait() {
    let mut world = World::with_seats(3);
    world.set_policy(reserving(1, "user:ann")).unwrap();
    world.checkout(10, 1).unwrap();
    let lease = world.checkout(10, 2).unwrap().lease;
    world.wait_with(11, waits("bob", 21, 2));
    let anns = world.checkout_with(12, wants_as("ann", "ws1", 22));
    let anns = anns.unwrap().lease;
    world.wait_with(13, waits("ann", 23, 1));
    // Her reservation comes free: it is hers, whoever stands before her.
    world.release(12, &anns, 22, link(22, 200)).unwrap();
    assert_eq!(offered(&world), [23]);
    // A shared seat is for the head alone, even where hers is taken.
    give_back(&mut world, &lease, 2);
    refused(
        world.checkout_with(14, wants_as("ann", "ws1", 24)),
        RefusalCode::NoSeat,
    );
    assert_eq!(offered(&world), [23]);
}

#[test]
fn l9_seats_that_a_new_policy_reserves_for_who_waits_are_its_own() {
    let (mut world, leases) = full(1);
    world.wait_with(11, waits("bob", 21, 1));
    world.wait_with(12, waits("ann", 22, 1));
    world.set_policy(reserving(1, "user:ann")).unwrap();
    give_back(&mut world, &leases[0], 1);
    assert_eq!(offered(&world), [22]);
}

/// Nothing was seen to change for its line: what it has elsewhere ended, and so did its bound.
#[test]
fn l9_who_was_passed_over_is_looked_at_again_within_half_a_minute() {
    let mut world = two_features(1, 2);
    world.settings.leases_per_client_max = 2;
    let settings = world.settings.clone();
    world.admin(AdminAsk::Configure(settings)).unwrap();
    let takes = |nonce| Checkout {
        wait: false,
        ..mesher(nonce)
    };
    let solver = world.checkout(10, 1).unwrap().lease;
    let ends = world.checkout_with(11, takes(2)).unwrap().lease;
    assert_eq!(queued(&world.wait_with(11, waits("ada", 21, 1))), 1);
    world.checkout_with(11, takes(3)).unwrap();
    give_back(&mut world, &solver, 1);
    assert_eq!(offered(&world), [0; 0], "it has as many as it may");
    world.release(11, &ends, 2, link(2, 200)).unwrap();
    world.run(30_000);
    assert_eq!(offered(&world), [21]);
}

#[test]
fn l9_who_shares_a_seat_that_was_granted_waits_no_more() {
    let mut world = World::new();
    let mut shared = feature("solver", Some(1));
    shared.grouping = Grouping::Host;
    let license = license("acme-1", 1, vec![shared]);
    world.install(&signed(&license)).unwrap();
    let held = world.checkout(10, 1).unwrap().lease;
    world.wait_with(11, waits("ann", 21, 1));
    world.wait_with(12, waits("bob", 22, 1));
    world.wait_with(11, waits("ann", 23, 1));
    world.release(10, &held, 1, link(1, 2)).unwrap();
    assert_eq!(offered(&world), [21]);
    // Her other process waits behind bob for what is out to her already.
    world.checkout_with(11, waits("ann", 21, 1)).unwrap();
    assert_eq!(offered(&world), [23]);
    world.checkout_with(11, waits("ann", 23, 1)).unwrap();
    assert_eq!((world.seats_out(), world.engine.queue.len()), (1, 1));
}

#[test]
fn l9_who_can_never_be_served_is_dismissed() {
    let (mut world, _) = full(4);
    world.wait_with(11, waits("ann", 21, 4));
    world.wait_with(12, waits("bob", 22, 1));
    world.pushes.clear();
    world.install(&solver(3, 2)).unwrap();
    let gone: Vec<_> = world.pushes.drain(..).collect();
    assert!(
        matches!(&gone[0], (ConnectionId(11), Push::Dismissed(it, refusal))
            if *it == nonce(21) && refusal.code == RefusalCode::TooManySeats),
        "{gone:?}"
    );
    let deny = vec![rule(1, &["user:bob"], Deny { reason: None })];
    world.set_policy(Policy { deny, ..policy() }).unwrap();
    let gone: Vec<_> = world.pushes.drain(..).collect();
    assert!(
        matches!(&gone[..], [(ConnectionId(12), Push::Dismissed(it, refusal))]
            if *it == nonce(22) && refusal.code == RefusalCode::Denied),
        "{gone:?}"
    );
    assert!(world.engine.queue.is_empty());
}

#[test]
fn l9_an_offer_is_no_promise_against_the_rules() {
    let (mut world, leases) = full(1);
    world.wait_with(11, waits("ann", 21, 1));
    give_back(&mut world, &leases[0], 1);
    let deny = vec![rule(1, &["user:ann"], Deny { reason: None })];
    world.set_policy(Policy { deny, ..policy() }).unwrap();
    let answer = world.wait_with(11, waits("ann", 21, 1));
    refused(promised(answer), RefusalCode::Denied);
    assert!(world.engine.queue.is_empty());
    world.checkout(12, 22).unwrap();
}

#[test]
fn l9_a_removed_license_dismisses_all_and_a_stop_dismisses_nobody() {
    let (mut world, _) = full(1);
    for client in 11..=13 {
        world.wait(client, client);
    }
    world.pushes.clear();
    world.admin(AdminAsk::Drain).unwrap();
    world.run(60_000);
    assert!(world.pushes.is_empty());
    let (mut world, _) = full(1);
    for client in 11..=13 {
        world.wait(client, client);
    }
    world.pushes.clear();
    let id = "acme-1".parse().unwrap();
    world.admin(AdminAsk::RemoveLicense(id)).unwrap();
    assert_eq!(world.pushes.len(), 3, "{:?}", world.pushes);
    assert!(world.engine.queue.is_empty());
}

#[test]
fn l6_an_ex_holder_is_served_before_all_who_wait() {
    let (mut world, leases) = full(2);
    world.wait_with(11, waits("ann", 21, 1));
    world.pass(R + G - 1);
    let kept = world.renew(10, &leases[0], 1, link(1, 2)).unwrap().lease;
    world.run(1);
    // The seat that lapsed is offered already, and stays so.
    assert_eq!(offered(&world), [21]);
    world.wait_with(12, waits("bob", 22, 1));
    assert_eq!(queued(&world.wait_with(10, waits("ada", 30, 1))), 1);
    // Only for as many seats as lapsed.
    assert_eq!(queued(&world.wait_with(10, waits("ada", 31, 1))), 3);
    world.release(10, &kept, 1, link(2, 3)).unwrap();
    assert_eq!(offered(&world), [21, 30]);
}

#[test]
fn l6_priority_ends_after_ten_minutes_and_with_its_use() {
    let (mut world, _) = full(1);
    world.run(R + G);
    // Used up by a grant.
    world.checkout(10, 30).unwrap();
    world.wait_with(11, waits("ann", 21, 1));
    assert_eq!(queued(&world.wait_with(10, waits("ada", 31, 1))), 2);
    world.client(10, ClientAsk::Leave(nonce(31)));
    // It lapses again, and ann gets it; then ten minutes go by.
    world.run(R + G);
    world.wait_with(11, waits("ann", 21, 1));
    world.run(R);
    world.wait_with(12, waits("bob", 22, 1));
    assert_eq!(queued(&world.wait_with(10, waits("ada", 32, 1))), 2);
}

#[test]
fn l6_who_leaves_the_queue_keeps_the_rest_of_its_ten_minutes() {
    let (mut world, leases) = full(2);
    world.pass(R + G - 1);
    world.renew(10, &leases[0], 1, link(1, 2)).unwrap();
    world.run(1);
    world.checkout(11, 21).unwrap();
    world.wait_with(12, waits("bob", 22, 1));
    assert_eq!(queued(&world.wait_with(10, waits("ada", 30, 1))), 1);
    world.client(10, ClientAsk::Leave(nonce(30)));
    assert_eq!(queued(&world.wait_with(10, waits("ada", 31, 1))), 1);
}

#[test]
fn l6_evicted_and_released_seats_give_no_priority() {
    let (mut world, leases) = full(2);
    let evict = AdminAsk::Evict {
        lease: leases[0].id,
        reason: "a test".to_owned(),
        cool_down_ms: None,
    };
    world.admin(evict).unwrap();
    give_back(&mut world, &leases[1], 2);
    world.run(R + G);
    assert!(!world.engine.lapses.cover(
        world.now.boot,
        PublicKey::from(&key(10)),
        &crate::pool::FeatureKey::of(root(), &wants(1)),
        1
    ));
}

#[test]
fn l6_an_ex_holder_takes_no_idle_reservation_of_others() {
    let (mut world, leases) = full(2);
    world.set_policy(reserving(1, "user:ann")).unwrap();
    world.pass(R + G - 1);
    world.renew(10, &leases[0], 1, link(1, 2)).unwrap();
    world.run(1);
    refused(world.checkout(10, 30), RefusalCode::Reserved);
    assert_eq!(queued(&world.wait_with(10, waits("ada", 31, 1))), 1);
    world.checkout_with(11, wants_as("ann", "ws1", 21)).unwrap();
}

#[test]
fn l6_a_set_needs_lapses_for_all_of_it() {
    let mut world = two_features(1, 1);
    world.checkout(10, 1).unwrap();
    world.run(R + G);
    world.checkout(11, 2).unwrap();
    world
        .checkout_with(
            11,
            Checkout {
                wait: false,
                ..mesher(3)
            },
        )
        .unwrap();
    world.wait_with(12, waits("bob", 22, 1));
    let set = vec![waits("ada", 31, 1), mesher(32)];
    let answer = world.client(10, ClientAsk::CheckoutAll(set));
    assert_eq!(queued(&answer), 2);
    assert_eq!(queued(&world.wait_with(10, waits("ada", 41, 1))), 1);
}

#[test]
fn l9_an_administrator_sees_who_waits_line_by_line_and_a_set_once() {
    let mut world = two_features(1, 1);
    let solver = world.checkout(10, 1).unwrap().lease;
    let held = Checkout {
        wait: false,
        ..mesher(2)
    };
    world.checkout_with(10, held).unwrap();
    world.wait_with(12, waits("ann", 21, 1));
    let set = vec![waits("ada", 31, 1), mesher(32)];
    world.client(11, ClientAsk::CheckoutAll(set));
    world.wait_with(13, waits("bob", 41, 1));
    world.wait_with(14, mesher(51));
    world.run(1000);
    let seen = |world: &mut World| match world.admin(AdminAsk::Queue) {
        Ok(Answer::Queue(views)) => views,
        other => panic!("{other:?}"),
    };
    let places = |views: &[crate::api::WaiterView]| {
        let place = |it: &crate::api::WaiterView| (it.feature.clone(), it.place.position, it.seats);
        let mut places: Vec<_> = views.iter().map(place).collect();
        places.sort();
        places
    };
    let expected = |ann: u32, set: u32, bob: u32| {
        let both = "acme/solver + acme/mesher";
        let solver = "acme/solver";
        let views = [
            ("acme/mesher", 2, 1),
            (solver, ann, 1),
            (solver, bob, 1),
            (both, set, 2),
        ];
        views.map(|(feature, position, seats)| (feature.to_owned(), position, seats))
    };
    let views = seen(&mut world);
    assert_eq!(places(&views), expected(1, 2, 3));
    assert!(views.iter().all(|it| it.waited_ms == DurationMs(1000)));
    assert!(views.iter().all(|it| it.offered_ms.is_none()));
    // Who is offered a seat stands in no line, and is shown before those who do.
    give_back(&mut world, &solver, 1);
    let views = seen(&mut world);
    let offered: Vec<_> = views.iter().filter(|it| it.offered_ms.is_some()).collect();
    assert_eq!((offered.len(), offered[0].user.as_str()), (1, "ann"));
    assert_eq!(offered[0].place.position, 0);
    assert_eq!(offered[0].offered_ms, Some(DurationMs(30_000)));
    assert_eq!(places(&views), expected(0, 1, 2));
}
