//! How far one step looks for whose turn it is, and at whom (L9): so many waiters, at most half of them
//! beside the lines, and nobody who cannot have gained by what changed.

use super::*;
use crate::{
    limits::{WAITERS_LOOKED_AT_MAX, WAITERS_PER_CLIENT_MAX},
    policy::{MaximumRule, Per, QueueRule},
};

/// One seat of `solver` for a user who would wait; many may, so a nonce is a number here.
fn waits(user: &str, number: u32, seats: u32) -> Checkout {
    let mut checkout = wants_as(user, "ws1", 0);
    checkout.nonce.0[..4].copy_from_slice(&number.to_le_bytes());
    Checkout {
        seats,
        wait: true,
        ..checkout
    }
}

fn of(feature: &str, checkout: Checkout) -> Checkout {
    let feature = feature.parse().unwrap();
    Checkout {
        feature,
        ..checkout
    }
}

fn takes(checkout: Checkout) -> Checkout {
    Checkout {
        wait: false,
        ..checkout
    }
}

fn serving(features: Vec<Feature>) -> World {
    let mut world = World::new();
    let license = license("acme-1", 1, features);
    world.install(&signed(&license)).unwrap();
    world
}

fn grouped(name: &str, seats: u32, grouping: Grouping) -> Feature {
    let mut it = feature(name, Some(seats));
    it.claimed_user = grouping == Grouping::User;
    it.grouping = grouping;
    it
}

/// Seats kept for one user of `solver`.
impl World {
    fn takes(&mut self, client: u8, checkout: Checkout) -> Lease {
        self.checkout_with(client, takes(checkout)).unwrap().lease
    }

    fn queues(&mut self, client: u8, checkout: Checkout) {
        let answer = self.wait_with(client, checkout);
        assert!(matches!(answer, Answer::Queued(_)), "{answer:?}");
    }

    fn gives_back(&mut self, client: u8, lease: &Lease, checkout: &Checkout) {
        let release = Release {
            lease: lease.id,
            nonce: checkout.nonce,
            link: link(0, 200),
        };
        let answer = self.client(client, ClientAsk::Release(release));
        assert!(matches!(answer, Answer::Released), "{answer:?}");
    }

    fn looks(&self) -> u64 {
        self.engine.queue.looks
    }

    /// Who is offered seats now, by number.
    fn offered_to(&self) -> Vec<u32> {
        let waiters = self.engine.queue.waiters();
        let offered = waiters.filter(|(_, waiter)| waiter.offer.is_some());
        offered
            .map(|(_, waiter)| u32::from_le_bytes(waiter.nonce().0[..4].try_into().unwrap()))
            .collect()
    }
}

#[test]
fn a3_one_step_looks_at_so_many_and_the_next_is_asked_for_at_once() {
    let most = u32::try_from(WAITERS_LOOKED_AT_MAX).unwrap();
    let mut world = World::with_seats(most + 6);
    let all = waits("ada", 1, most + 6);
    let lease = world.takes(10, all.clone());
    for number in 100..106 + most {
        world.queues(11, waits("ann", number, 1));
    }
    let before = world.looks();
    world.gives_back(10, &lease, &all);
    assert_eq!(world.looks() - before, WAITERS_LOOKED_AT_MAX as u64);
    assert!(world.offered_to().into_iter().eq(100..100 + most));
    assert_eq!(world.last.wake, Some(world.now.boot));
    world.input(Input::Tick);
    assert!(world.offered_to().into_iter().eq(100..106 + most));
    assert_ne!(world.last.wake, Some(world.now.boot));
}

/// A share that grows has all waiters of its client looked at by themselves, wherever they stand.
#[test]
fn a3_half_of_a_step_is_for_the_lines() {
    let mut world = serving(vec![
        feature("solver", Some(64)),
        feature("mesher", Some(1)),
        grouped("viewer", 1, Grouping::Host),
    ]);
    let all = waits("ada", 1, 64);
    let lease = world.takes(10, all.clone());
    world.takes(10, of("mesher", waits("ada", 2, 1)));
    for number in 100..300 {
        world.queues(20, of("mesher", waits("bob", number, 1)));
    }
    for number in 400..464 {
        world.queues(11, waits("ann", number, 1));
    }
    world.takes(20, of("viewer", waits("bob", 3, 1)));
    world.queues(13, of("viewer", waits("cid", 4, 1)));
    let before = world.looks();
    world.takes(20, of("viewer", waits("bob", 5, 1)));
    assert_eq!(world.looks() - before, 64, "nothing else is due");
    // What is left of it goes on before the release, and the release brings the line its turn.
    world.gives_back(10, &lease, &all);
    assert_eq!(world.looks() - before, 3 * 64);
    assert!(world.offered_to().into_iter().eq(400..432));
    world.input(Input::Tick);
    assert!(world.offered_to().into_iter().eq(400..464));
}

#[test]
fn a3_while_nothing_is_granted_nobody_is_looked_at() {
    let mut world = World::with_seats(1);
    let one = waits("ada", 1, 1);
    let lease = world.takes(10, one.clone());
    world.queues(11, waits("ann", 2, 1));
    world.admin(AdminAsk::Drain).unwrap();
    let before = world.looks();
    world.gives_back(10, &lease, &one);
    assert_eq!(world.looks(), before);
    assert_ne!(world.last.wake, Some(world.now.boot), "no wake-up for it");
}

/// What nobody shares helps nobody else, and neither does a lease that is merely renewed.
#[test]
fn a3_only_a_new_lease_that_others_may_share_has_its_client_looked_at() {
    let mut world = serving(vec![
        feature("solver", Some(1)),
        feature("mesher", Some(1)),
        grouped("viewer", 1, Grouping::Host),
    ]);
    let meshers = of("mesher", waits("ada", 8, 1));
    let mesher = world.takes(10, meshers.clone());
    world.takes(10, waits("ada", 1, 1));
    world.queues(11, waits("ann", 2, 1));
    world.takes(11, of("viewer", waits("ann", 5, 1)));
    world.queues(12, of("viewer", waits("bob", 6, 1)));
    world.queues(12, of("mesher", waits("bob", 7, 1)));
    world.gives_back(10, &mesher, &meshers);
    assert_eq!(world.offered_to(), [7]);
    let before = world.looks();
    world.takes(12, of("mesher", waits("bob", 7, 1)));
    assert_eq!(world.looks(), before, "of one process");
    let shared = of("viewer", waits("ann", 4, 1));
    let lease = world.takes(11, shared.clone());
    assert_eq!(world.looks(), before + 1, "shared");
    // A first longer promise is a record of a lease that is out already (L4).
    let renew = Renew {
        idle_ms: None,
        lease: lease.id,
        nonce: shared.nonce,
        link: link(0, 9),
        length_ms: Some(DurationMs(2 * R)),
    };
    let promise = promised(world.client(11, ClientAsk::Renew(renew))).unwrap();
    assert!(promise.lease.length_ms > DurationMs(R));
    assert_eq!(world.looks(), before + 1, "renewed");
}

#[test]
fn l9_who_shares_a_users_seat_under_another_key_waits_no_more() {
    for (grouping, is_shared) in [(Grouping::User, true), (Grouping::Host, false)] {
        let mut world = serving(vec![grouped("solver", 1, grouping)]);
        let one = waits("ada", 1, 1);
        let lease = world.takes(10, one.clone());
        world.queues(11, waits("ann", 2, 1));
        world.queues(12, waits("bob", 3, 1));
        world.queues(13, waits("ann", 4, 1));
        world.gives_back(10, &lease, &one);
        assert_eq!(world.offered_to(), [2]);
        let before = world.looks();
        world.takes(11, takes(waits("ann", 2, 1)));
        assert_eq!(world.offered_to().contains(&4), is_shared);
        // The line is looked at past its end only where a share spans keys.
        let looks = if is_shared { 2 } else { 0 };
        assert_eq!(world.looks() - before, looks);
    }
}

#[test]
fn a3_the_idle_seats_of_a_reservation_are_offered_in_steps_too() {
    let mut world = World::with_seats(200);
    world.set_policy(reserving(100, "user:ann")).unwrap();
    let hers = waits("ann", 1, 100);
    let lease = world.takes(10, hers.clone());
    world.takes(10, waits("ada", 2, 100));
    // At the head one for whom it is not enough.
    world.queues(11, waits("cid", 3, 101));
    for number in 100..200 {
        world.queues(12, waits("ann", number, 1));
    }
    let before = world.looks();
    world.gives_back(10, &lease, &hers);
    assert_eq!(world.looks() - before, 64);
    assert!(world.offered_to().into_iter().eq(100..163));
    assert_eq!(world.last.wake, Some(world.now.boot));
    world.input(Input::Tick);
    assert!(world.offered_to().into_iter().eq(100..200));
}

#[test]
fn a3_a_reservation_with_nothing_idle_has_nobody_looked_at() {
    let mut world = World::with_seats(3);
    world.set_policy(reserving(1, "user:ann")).unwrap();
    world.takes(10, waits("ann", 1, 1));
    world.takes(10, waits("ada", 2, 1));
    let third = waits("ada", 3, 1);
    let lease = world.takes(10, third.clone());
    world.queues(11, waits("bob", 4, 2));
    world.queues(12, waits("ann", 5, 1));
    let before = world.looks();
    world.gives_back(10, &lease, &third);
    assert_eq!(world.offered_to(), []);
    assert_eq!(world.looks() - before, 1, "bob, who keeps what is free");
}

#[test]
fn l9_within_a_reservation_nobody_passes_who_did_not_wait() {
    for backfill in [false, true] {
        let mut world = World::with_seats(4);
        let queue = vec![rule(2, &[], QueueRule { backfill })];
        let with = Policy {
            queue,
            ..reserving(2, "user:an*")
        };
        world.set_policy(with).unwrap();
        world.takes(10, waits("ann", 1, 1));
        world.takes(10, waits("bob", 2, 2));
        // One is idle, and she needs two.
        world.queues(11, waits("ann", 3, 2));
        let newcomer = world.checkout_with(12, takes(waits("any", 4, 1)));
        assert_eq!(newcomer.is_ok(), backfill);
        if !backfill {
            let before = world.looks();
            world.queues(12, waits("any", 5, 1));
            world.queues(13, waits("cid", 6, 1));
            world.client(13, ClientAsk::Leave(waits("", 6, 1).nonce));
            // She keeps the pool, and the reservation from those of it: nobody else is asked.
            assert_eq!(world.offered_to(), []);
            assert_eq!(
                world.looks() - before,
                2,
                "ann in the line, and as its first"
            );
        }
    }
}

/// Ann has as many as she may have, so her turn is passed over, and the next of her reservation gets it.
#[test]
fn l9_who_may_have_no_more_is_passed_over_in_its_reservation() {
    let mut world = World::with_seats(3);
    let maximum = MaximumRule {
        seats: 1,
        per: Per::User,
    };
    let with = Policy {
        maximum: vec![rule(2, &["user:ann"], maximum)],
        ..reserving(2, "user:a*")
    };
    world.set_policy(with).unwrap();
    let (first, second) = (waits("abe", 1, 1), waits("abe", 2, 1));
    let leases = [first, second].map(|it| (world.takes(10, it.clone()), it));
    world.takes(10, waits("bob", 3, 1));
    world.queues(11, waits("cid", 4, 3));
    world.queues(12, waits("ann", 5, 1));
    world.queues(12, waits("ann", 6, 1));
    world.queues(13, waits("amy", 7, 1));
    world.gives_back(10, &leases[0].0, &leases[0].1);
    assert_eq!(world.offered_to(), [5]);
    world.takes(12, waits("ann", 5, 1));
    world.gives_back(10, &leases[1].0, &leases[1].1);
    assert_eq!(world.offered_to(), [7]);
}

/// It would not do, even if all of its seats were free: others need not wait for that.
#[test]
fn l9_a_waiter_keeps_only_pools_that_could_serve_it() {
    let two_licenses = |old: Option<&str>| {
        let mut world = World::with_seats(4);
        let mut small = feature("solver", Some(2));
        small.version = old.map(|it| it.parse().unwrap());
        small.expires = Some(WallMs(ISSUED.0 + 401 * DAY));
        let other = license("acme-2", 1, vec![small]);
        world.install(&signed(&other)).unwrap();
        world.takes(10, waits("ada", 1, 4));
        world
    };
    let mut world = two_licenses(None);
    world.queues(11, waits("ann", 2, 3));
    world.takes(12, waits("bob", 3, 1));
    let mut world = two_licenses(Some("1.0"));
    let newer = Checkout {
        version: Some("2.0".parse().unwrap()),
        ..waits("ann", 2, 1)
    };
    world.queues(11, newer);
    world.takes(12, waits("bob", 3, 1));
    // One that could serve it is kept.
    let mut world = two_licenses(None);
    world.queues(11, waits("ann", 2, 3));
    world.takes(12, waits("bob", 3, 2));
    world.queues(12, waits("bob", 4, 2));
    refused(
        world.checkout_with(13, takes(waits("cid", 5, 1))),
        RefusalCode::NoSeat,
    );
}

#[test]
fn a3_nobody_is_looked_at_while_fewer_are_free_than_anybody_asks_for() {
    let mut world = World::with_seats(2);
    let all = [1, 2].map(|number| waits("ada", number, 1));
    let leases = all.clone().map(|it| world.takes(10, it));
    world.queues(11, waits("bob", 100, 2));
    let before = world.looks();
    world.gives_back(10, &leases[0], &all[0]);
    assert_eq!(world.looks(), before);
    world.gives_back(10, &leases[1], &all[1]);
    assert_eq!(world.offered_to(), [100]);
}

#[test]
fn a3_a_lease_that_is_extended_has_nobody_looked_at() {
    let mut world = World::with_seats(2);
    world.set_policy(reserving(1, "user:ann")).unwrap();
    let lease = world.checkout(10, 1).unwrap().lease;
    world.queues(11, waits("bob", 100, 1));
    let before = world.looks();
    world.wish = Some(DurationMs::minutes(30));
    world.renew(10, &lease, 1, link(1, 2)).unwrap();
    assert_eq!(world.looks(), before);
}

/// A3.
#[test]
fn l9_who_left_the_queue_counts_no_more() {
    let mut world = World::with_seats(1);
    world.takes(10, waits("ada", 1, 1));
    for number in 0..=u32::try_from(WAITERS_PER_CLIENT_MAX).unwrap() {
        let checkout = waits("bob", number, 1);
        let nonce = checkout.nonce;
        world.queues(11, checkout);
        world.client(11, ClientAsk::Leave(nonce));
    }
}
