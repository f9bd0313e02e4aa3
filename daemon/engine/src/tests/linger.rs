//! Linger: seats that stay with their last holder for a while after a release, by policy.

use super::*;
use crate::policy::LingerRule;

const MINUTE: u64 = 60_000;

fn lingering(seats: u32) -> World {
    let mut world = World::with_seats(seats);
    let length = DurationMs::minutes(2);
    let linger = vec![rule(5, &["user:ada"], LingerRule { length })];
    world.set_policy(Policy { linger, ..policy() }).unwrap();
    world
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
    let mut world = lingering(2);
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
    let mut world = lingering(4);
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
    let mut world = lingering(2);
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
        let mut world = lingering(3);
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
    let mut world = lingering(2);
    let mut grouped = feature("solver", Some(2));
    grouped.grouping = Grouping::Host;
    world
        .install(&signed(&license("acme-1", 2, vec![grouped])))
        .unwrap();
    let first = world.checkout_with(10, of(1, "bob", 1)).unwrap().lease;
    let second = world.checkout_with(10, of(2, "ada", 2)).unwrap().lease;
    release(&mut world, 10, &second, 2);
    assert_eq!(counts(&mut world), (0, 1, 1), "the difference");
    world.checkout_with(10, of(3, "ada", 2)).unwrap();
    assert_eq!(counts(&mut world), (0, 2, 0));
    release(&mut world, 10, &first, 1);
    assert_eq!(counts(&mut world), (0, 2, 0));
}
