//! Licenses and policies that change under load: nothing that runs is cut, and what is too much is said
//! aloud (L7).

use super::*;
use crate::policy::{Deny, LeaseRule, MaximumRule, Per, ReserveRule};

/// Three leases of `ann`, `bob` and `cid`, by clients and nonces 11, 12 and 13, and rules about them.
fn loaded() -> (World, Vec<Lease>) {
    let mut world = World::with_seats(3);
    let maximum = MaximumRule {
        seats: 2,
        per: Per::User,
    };
    world
        .set_policy(Policy {
            maximum: vec![rule(1, &[], maximum)],
            reserve: vec![rule(2, &["user:ann"], ReserveRule { seats: 2 })],
            ..policy()
        })
        .unwrap();
    // Bob takes the one shared seat; the others belong to the reservation.
    let lend = |world: &mut World, user: &str, nonce| {
        let checkout = wants_as(user, "ws1", nonce);
        world.checkout_with(nonce, checkout).unwrap().lease
    };
    let leases = vec![
        lend(&mut world, "ann", 11),
        lend(&mut world, "bob", 12),
        lend(&mut world, "Ann", 13),
    ];
    (world, leases)
}

fn renewed(world: &mut World, leases: &[Lease], step: u8) -> Vec<Option<RefusalCode>> {
    (11..)
        .zip(leases)
        .map(|(client, lease)| {
            let previous = if step == 0 { client } else { 100 + step };
            let next = link(previous, 101 + step);
            let answer = world.renew(client, lease, client, next);
            answer.err().map(|refusal| refusal.code)
        })
        .collect()
}

fn degraded(world: &mut World, word: &str) -> bool {
    let said = world.status().degraded;
    said.iter().any(|it| it.starts_with(word))
}

#[test]
fn l7_fewer_seats_refuse_the_newest_renewal_and_are_said_aloud_beside_the_reservation() {
    let (mut world, leases) = loaded();
    world.install(&solver(1, 2)).unwrap();
    assert_eq!(world.seats_out(), 3);
    assert!(degraded(&mut world, "overcommitted"));
    assert!(degraded(&mut world, "reservation"));
    let over = Some(RefusalCode::Overcommitted);
    assert_eq!(renewed(&mut world, &leases, 0), [None, over, over]);
    // The rules still come first: Ann has as many as she may.
    let ann = wants_as("ann", "ws9", 20);
    refused(world.checkout_with(20, ann), RefusalCode::MaximumReached);
    let refusal = refused(
        world.checkout_with(20, wants_as("dan", "ws9", 21)),
        RefusalCode::Overcommitted,
    );
    // The one seat that is left will be Ann's: no end of a lease helps Dan.
    assert_eq!(refusal.earliest_free_ms, None);
    world.run(R + G);
    assert!(!degraded(&mut world, "overcommitted"));
}

#[test]
fn l7_more_seats_are_shared_at_once_and_the_reservation_is_as_large_as_before() {
    let (mut world, leases) = loaded();
    refused(
        world.checkout_with(20, wants_as("dan", "ws9", 20)),
        RefusalCode::NoSeat,
    );
    world.install(&solver(4, 2)).unwrap();
    world.checkout_with(20, wants_as("dan", "ws9", 21)).unwrap();
    world.release(11, &leases[0], 11, link(11, 12)).unwrap();
    refused(
        world.checkout_with(20, wants_as("dan", "ws9", 22)),
        RefusalCode::Reserved,
    );
}

#[test]
fn l7_a_removed_license_lets_leases_run_out_and_its_return_finds_them() {
    let (mut world, leases) = loaded();
    let id: usher_protocol::names::LicenseId = "acme-1".parse().unwrap();
    world.admin(AdminAsk::RemoveLicense(id)).unwrap();
    assert!(degraded(&mut world, "reservation: no installed license"));
    let gone = Some(RefusalCode::NoLicense);
    assert_eq!(renewed(&mut world, &leases, 0), [gone; 3]);
    assert_eq!(world.seats_out(), 3);
    world.install(&solver(3, 2)).unwrap();
    assert_eq!(world.status().degraded, [""; 0]);
    assert_eq!(renewed(&mut world, &leases, 0), [None; 3]);
    let used = world.status().reservations.remove(0).used;
    assert_eq!(used, 2);
}

#[test]
fn l8_an_expired_license_refuses_before_any_rule_and_lends_again_when_renewed() {
    let mut world = World::new();
    let with_end = |days: u64, serial| {
        let mut ending = feature("solver", Some(3));
        ending.expires = Some(WallMs(ISSUED.0 + days * DAY));
        signed(&license("acme-1", serial, vec![ending]))
    };
    world.install(&with_end(11, 1)).unwrap();
    let deny = vec![rule(1, &["user:bob"], Deny::default())];
    world.set_policy(Policy { deny, ..policy() }).unwrap();
    let lease = world.checkout(10, 1).unwrap().lease;
    world.run(DAY - R / 2);
    world.run(R);
    let bob = wants_as("bob", "ws1", 2);
    refused(world.checkout_with(11, bob), RefusalCode::LicenseExpired);
    assert!(lease.not_after <= WallMs(ISSUED.0 + 11 * DAY));
    world.install(&with_end(30, 2)).unwrap();
    let bob = wants_as("bob", "ws1", 3);
    refused(world.checkout_with(11, bob), RefusalCode::Denied);
    world.checkout(10, 4).unwrap();
}

#[test]
fn l7_a_smaller_maximum_and_a_new_reservation_cut_nobody_and_renew_everybody() {
    let (mut world, leases) = loaded();
    let maximum = MaximumRule {
        seats: 1,
        per: Per::User,
    };
    world
        .set_policy(Policy {
            maximum: vec![rule(1, &[], maximum)],
            reserve: vec![rule(2, &["user:zoe"], ReserveRule { seats: 3 })],
            ..policy()
        })
        .unwrap();
    assert_eq!(renewed(&mut world, &leases, 0), [None; 3]);
    assert_eq!(world.seats_out(), 3);
    world.release(11, &leases[0], 11, link(101, 102)).unwrap();
    // Ann still has one, Bob's seat would be Zoe's, and Zoe has it.
    refused(
        world.checkout_with(11, wants_as("ann", "ws1", 20)),
        RefusalCode::MaximumReached,
    );
    refused(
        world.checkout_with(20, wants_as("dan", "ws1", 21)),
        RefusalCode::Reserved,
    );
    world.checkout_with(21, wants_as("zoe", "ws1", 22)).unwrap();
}

#[test]
fn l2_a_shorter_length_holds_from_the_next_renewal_and_moves_no_deadline_back() {
    let (mut world, leases) = loaded();
    let length = DurationMs::minutes(1);
    let lease = vec![rule(1, &[], LeaseRule { length })];
    world.set_policy(Policy { lease, ..policy() }).unwrap();
    let promise = world.renew(11, &leases[0], 11, link(11, 101)).unwrap();
    assert_eq!(promise.lease.length_ms, length);
    world.run(R + G - 1);
    assert_eq!(world.seats_out(), 3);
    world.run(1);
    assert_eq!(world.seats_out(), 0);
}
