//! Linger: seats that stay with their last holder for a while after a release, by policy.

use super::*;
use crate::policy::{LingerRule, ReserveRule};

const MINUTE: u64 = 60_000;

impl World {
    /// Seats of `solver`, and two minutes for what `ada` gives back.
    pub(crate) fn lingering(seats: u32) -> Self {
        Self::lingering_and(seats, policy())
    }

    fn lingering_and(seats: u32, others: Policy) -> Self {
        let mut world = Self::with_seats(seats);
        world.set_policy(and_lingering(others)).unwrap();
        world
    }
}

fn and_lingering(others: Policy) -> Policy {
    let length = DurationMs::minutes(2);
    let linger = vec![rule(5, &["user:ada"], LingerRule { length })];
    Policy { linger, ..others }
}

/// Two seats, each shared by what runs on one host.
fn lingering_by_host() -> World {
    let mut world = World::lingering(2);
    let mut grouped = feature("solver", Some(2));
    grouped.grouping = Grouping::Host;
    world
        .install(&signed(&license("acme-1", 2, vec![grouped])))
        .unwrap();
    world
}

fn reserving(who: &str) -> Policy {
    let reserve = vec![rule(7, &[who], ReserveRule { seats: 1 })];
    Policy {
        reserve,
        ..policy()
    }
}

fn waits(world: &mut World, client: u8, checkout: Checkout) {
    let answer = world.wait_with(client, checkout);
    assert!(matches!(answer, Answer::Queued(_)), "{answer:?}");
}

fn offered(world: &World) -> u64 {
    world
        .engine
        .state
        .pools()
        .map(|(_, pool)| pool.offered)
        .sum()
}

fn of(nonce: u8, user: &str, seats: u32) -> Checkout {
    let mut checkout = wants(nonce);
    checkout.seats = seats;
    checkout.holder.user = user.to_owned();
    checkout
}

fn release(world: &mut World, client: u8, lease: &Lease, nonce: u8) {
    world
        .release(client, lease, nonce, link(nonce, nonce + 100))
        .unwrap();
}

/// Free, out, and lingering seats.
fn counts(world: &mut World) -> (u64, u64, u32) {
    let pool = world.status().pools.remove(0);
    let free = world.engine.state.pools().next().unwrap().1.free();
    assert_eq!(pool.view.kept, pool.lingering);
    (free, world.seats_out(), pool.lingering)
}

#[test]
fn a_released_seat_stays_with_its_holder_for_as_long_as_the_policy_says() {
    let mut world = World::lingering(2);
    let lease = world.checkout_with(10, of(1, "ada", 2)).unwrap().lease;
    release(&mut world, 10, &lease, 1);
    assert_eq!(counts(&mut world), (0, 0, 2));
    // Nobody else gets them: another user, or another key.
    refused(
        world.checkout_with(10, of(2, "bob", 1)),
        RefusalCode::NoSeat,
    );
    refused(
        world.checkout_with(11, of(3, "ada", 1)),
        RefusalCode::NoSeat,
    );
    assert_eq!(
        world.last.wake,
        Some(BootMs(world.now.boot.0 + MINUTE)),
        "the denials"
    );
    world.pass(MINUTE);
    world.checkout_with(10, of(4, "ADA", 1)).unwrap();
    assert_eq!(counts(&mut world), (0, 1, 1));
    world.run(MINUTE - 1);
    assert_eq!(counts(&mut world), (0, 1, 1));
    world.run(1);
    assert_eq!(counts(&mut world), (1, 1, 0));
    world.checkout_with(11, of(5, "bob", 1)).unwrap();
}

#[test]
fn lingering_seats_are_taken_first_and_the_rest_of_the_free_ones() {
    let mut world = World::lingering(4);
    let lease = world.checkout_with(10, of(1, "ada", 2)).unwrap().lease;
    release(&mut world, 10, &lease, 1);
    world.checkout_with(11, of(2, "bob", 1)).unwrap();
    assert_eq!(counts(&mut world), (1, 1, 2));
    refused(
        world.checkout_with(10, of(3, "ada", 4)),
        RefusalCode::NoSeat,
    );
    assert_eq!(counts(&mut world), (1, 1, 2), "a refusal takes nothing");
    world.checkout_with(10, of(4, "ada", 3)).unwrap();
    assert_eq!(counts(&mut world), (0, 4, 0));
}

#[test]
fn only_a_release_lets_seats_linger() {
    let mut world = World::lingering(2);
    world.checkout_with(10, of(1, "ada", 1)).unwrap();
    world.run(R + G);
    assert_eq!(counts(&mut world), (2, 0, 0), "expired");
    let lease = world.checkout_with(10, of(2, "ada", 1)).unwrap().lease;
    let other = world.checkout_with(10, of(3, "ada", 1)).unwrap().lease;
    release(&mut world, 10, &other, 3);
    assert_eq!(counts(&mut world), (0, 1, 1));
    let reason = "needed by ops".to_owned();
    world
        .admin(AdminAsk::Evict {
            lease: lease.id,
            reason,
            cool_down_ms: None,
        })
        .unwrap();
    assert_eq!(counts(&mut world), (1, 1, 0), "an evict ends what lingers");
    release(&mut world, 10, &lease, 2);
    assert_eq!(counts(&mut world), (2, 0, 0), "acknowledged");
    let lease = world.checkout_with(10, of(4, "bob", 1)).unwrap().lease;
    release(&mut world, 10, &lease, 4);
    assert_eq!(counts(&mut world), (2, 0, 0), "no rule names it");
}

#[test]
fn lingering_ends_with_the_license_a_smaller_one_and_the_daemon() {
    for change in 0..3 {
        let mut world = World::lingering(3);
        let lease = world.checkout_with(10, of(1, "ada", 2)).unwrap().lease;
        world.checkout_with(11, of(2, "bob", 1)).unwrap();
        release(&mut world, 10, &lease, 1);
        assert_eq!(counts(&mut world), (0, 1, 2));
        match change {
            0 => drop(world.install(&solver(2, 2)).unwrap()),
            1 => {
                let remove = AdminAsk::RemoveLicense("acme-1".parse().unwrap());
                world.admin(remove).unwrap();
            }
            _ => world.restart(),
        }
        let free = [1, 0, 2][change];
        assert_eq!(counts(&mut world), (free, 1, 0), "{change}");
    }
}

#[test]
fn the_seats_of_a_share_linger_when_they_come_free() {
    let mut world = lingering_by_host();
    let first = world.checkout_with(10, of(1, "bob", 1)).unwrap().lease;
    let second = world.checkout_with(10, of(2, "ada", 2)).unwrap().lease;
    release(&mut world, 10, &second, 2);
    assert_eq!(counts(&mut world), (0, 1, 1), "the difference");
    world.checkout_with(10, of(3, "ada", 2)).unwrap();
    assert_eq!(counts(&mut world), (0, 2, 0));
    release(&mut world, 10, &first, 1);
    assert_eq!(counts(&mut world), (0, 2, 0));
}

#[test]
fn each_release_lingers_for_its_own_time() {
    let mut world = World::lingering(3);
    let leases = [1, 2].map(|nonce| (world.checkout(10, nonce).unwrap().lease, nonce));
    let start = world.now.boot;
    release(&mut world, 10, &leases[0].0, 1);
    // What was free beside it stays so.
    assert_eq!(counts(&mut world), (1, 1, 1));
    assert_eq!(world.last.wake, Some(start.plus(DurationMs(2 * MINUTE))));
    world.run(MINUTE);
    release(&mut world, 10, &leases[1].0, 2);
    assert_eq!(counts(&mut world), (1, 0, 2));
    world.run(MINUTE);
    assert_eq!(counts(&mut world), (2, 0, 1));
    assert_eq!(world.last.wake, Some(start.plus(DurationMs(3 * MINUTE))));
    world.run(MINUTE);
    assert_eq!(counts(&mut world), (3, 0, 0));
}

#[test]
fn what_frees_no_seat_lets_none_linger() {
    let mut world = lingering_by_host();
    let first = world.checkout_with(10, of(1, "ada", 1)).unwrap().lease;
    world.checkout_with(10, of(2, "ada", 1)).unwrap();
    release(&mut world, 10, &first, 1);
    assert_eq!(world.engine.lingering.next_end(), None);
    assert_eq!(counts(&mut world), (1, 1, 0));
}

#[test]
fn l9_what_lingers_with_nobody_goes_to_those_who_wait() {
    let mut world = World::lingering(2);
    let bobs = world.checkout_with(11, of(1, "bob", 1)).unwrap().lease;
    let adas = [2, 3].map(|nonce| world.checkout(10, nonce));
    let adas = adas.into_iter().flatten().next().unwrap().lease;
    waits(&mut world, 12, of(4, "cid", 1));
    release(&mut world, 11, &bobs, 1);
    assert_eq!(offered(&world), 1, "no rule names bob");
    // Hers stays with her, until she is evicted.
    let more = world.checkout_with(12, of(4, "cid", 1)).unwrap().lease;
    waits(&mut world, 13, of(5, "dan", 1));
    release(&mut world, 10, &adas, 2);
    assert_eq!((offered(&world), counts(&mut world)), (0, (0, 1, 1)));
    release(&mut world, 12, &more, 4);
    assert_eq!(offered(&world), 1);
}

#[test]
fn l9_an_evict_that_ends_what_lingers_offers_it() {
    let mut world = World::lingering(2);
    let leases = [1, 2].map(|nonce| world.checkout(10, nonce).unwrap().lease);
    waits(&mut world, 12, of(4, "cid", 1));
    release(&mut world, 10, &leases[0], 1);
    assert_eq!(offered(&world), 0);
    let evict = AdminAsk::Evict {
        lease: leases[1].id,
        reason: "needed".to_owned(),
        cool_down_ms: None,
    };
    world.admin(evict).unwrap();
    assert_eq!(offered(&world), 1);
}

#[test]
fn a4_what_lingers_with_a_holder_of_a_reservation_is_kept_once() {
    for late in [false, true] {
        let mut world = if late {
            World::lingering(2)
        } else {
            World::lingering_and(2, reserving("user:ada"))
        };
        let lease = world.checkout(10, 1).unwrap().lease;
        release(&mut world, 10, &lease, 1);
        if late {
            let with = and_lingering(reserving("user:ada"));
            world.set_policy(with).unwrap();
        }
        world.checkout_with(11, of(2, "bob", 1)).unwrap();
        refused(
            world.checkout_with(11, of(3, "bob", 1)),
            RefusalCode::NoSeat,
        );
    }
}

#[test]
fn a4_what_lingers_with_others_uses_no_reservation() {
    let mut world = World::lingering_and(2, reserving("user:ann"));
    let lease = world.checkout(10, 1).unwrap().lease;
    release(&mut world, 10, &lease, 1);
    refused(
        world.checkout_with(11, of(2, "bob", 1)),
        RefusalCode::Reserved,
    );
    world.checkout_with(12, of(3, "ann", 1)).unwrap();
}

/// L7: fewer seats end what lingers, which counts beside what is out and what is offered.
#[test]
fn l7_a_smaller_license_ends_what_lingers_beside_offers() {
    let mut world = World::lingering(3);
    let adas = world.checkout(10, 1).unwrap().lease;
    let bobs = [2, 3].map(|nonce| world.checkout_with(11, of(nonce, "bob", 1)));
    let bobs = bobs.into_iter().flatten().next().unwrap().lease;
    waits(&mut world, 12, of(4, "cid", 1));
    release(&mut world, 11, &bobs, 2);
    release(&mut world, 10, &adas, 1);
    let seats = |world: &World| {
        let (_, pool) = world.engine.state.pools().next().unwrap();
        (pool.out, pool.offered, pool.lingering)
    };
    assert_eq!(seats(&world), (1, 1, 1));
    world.install(&solver(2, 2)).unwrap();
    assert_eq!(seats(&world), (1, 1, 0));
}

#[test]
fn a4_a_rule_by_network_is_about_where_the_seat_is_given_back() {
    let mut world = World::with_seats(1);
    let length = DurationMs::minutes(2);
    let linger = vec![rule(5, &["network:10.0.0.0/8"], LingerRule { length })];
    world.set_policy(Policy { linger, ..policy() }).unwrap();
    for (nonce, address, lingers) in [(1, [127, 0, 0, 1], false), (2, [10, 1, 2, 3], true)] {
        let lease = world.checkout(10, nonce).unwrap().lease;
        let caller = Caller {
            address: std::net::IpAddr::from(address),
            connection: ConnectionId(10),
            client: PublicKey::from(&key(10)),
            root: root(),
        };
        let ask = ClientAsk::Release(Release {
            lease: lease.id,
            nonce: Nonce([nonce; 16]),
            link: link(nonce, 9),
        });
        let reply_to = ReplyTo(7);
        let input = Input::Client {
            reply_to,
            caller,
            ask,
        };
        world.input(input);
        assert_eq!(counts(&mut world).2, u32::from(lingers));
    }
}

#[test]
fn all_that_lingers_is_taken_by_a_checkout_of_as_many() {
    let mut world = World::lingering(3);
    let lease = world.checkout_with(10, of(1, "ada", 2)).unwrap().lease;
    release(&mut world, 10, &lease, 1);
    assert_eq!(counts(&mut world), (1, 0, 2));
    world.checkout_with(10, of(2, "ada", 2)).unwrap();
    assert_eq!(counts(&mut world), (1, 2, 0));
}

/// A set waits for a second seat while its first lingers with its holder. To look at it takes the one and puts it
/// back, which is no reason to look again: the daemon would do nothing else. Found by the simulator.
#[test]
fn l9_a_waiting_set_whose_first_seat_lingers_is_looked_at_once() {
    let mut world = World::new();
    let both = vec![feature("solver", Some(2)), feature("mesher", Some(1))];
    world.install(&signed(&license("acme-1", 1, both))).unwrap();
    world.set_policy(and_lingering(policy())).unwrap();
    let mesher = |nonce, user| Checkout {
        feature: "mesher".parse().unwrap(),
        ..of(nonce, user, 1)
    };
    world.checkout_with(11, mesher(1, "bob")).unwrap();
    let other = world.checkout_with(12, of(5, "carol", 1)).unwrap();
    let first = world.checkout_with(10, of(2, "ada", 1)).unwrap();
    release(&mut world, 10, &first.lease, 2);
    let mut set = vec![of(3, "ada", 1), mesher(4, "ada")];
    for checkout in &mut set {
        checkout.wait = true;
    }
    let answer = world.client(10, ClientAsk::CheckoutAll(set));
    assert!(matches!(answer, Answer::Queued(_)), "{answer:?}");
    // A seat comes free, so it is looked at.
    release(&mut world, 12, &other.lease, 5);
    for _ in 0..3 {
        world.input(Input::Tick);
        assert!(world.last.wake.is_none_or(|wake| wake > world.now.boot));
    }
    let looks = world.engine.queue.looks;
    world.input(Input::Tick);
    assert_eq!(world.engine.queue.looks, looks, "nothing has changed");
}
