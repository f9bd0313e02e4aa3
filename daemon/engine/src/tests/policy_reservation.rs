//! Reservations: seats kept for some, told apart from free ones (A4).

use super::*;
use crate::policy::ReserveRule;

fn reserving(seats: &[(u32, &str)]) -> Policy {
    let rules = (1..).zip(seats);
    let reserve =
        rules.map(|(line, (seats, who))| rule(line, &[who], ReserveRule { seats: *seats }));
    Policy {
        reserve: reserve.collect(),
        ..policy()
    }
}

fn with(seats: u32, reservations: &[(u32, &str)]) -> World {
    let mut world = World::with_seats(seats);
    world.set_policy(reserving(reservations)).unwrap();
    world
}

fn reserved_idle(world: &mut World) -> u32 {
    world.status().pools[0].view.reserved_idle
}

#[test]
fn a4_reserved_seats_are_refused_to_others_and_named() {
    let mut world = with(3, &[(2, "user:ann"), (1, "user:bob")]);
    let refusal = refused(world.checkout(10, 1), RefusalCode::Reserved);
    assert_eq!(refusal.rule.unwrap().line, 1);
    assert!(refusal.detail.contains("user:ann"), "{}", refusal.detail);
    world.checkout_with(10, wants_as("Ann", "ws1", 2)).unwrap();
    world.checkout_with(11, wants_as("bob", "ws2", 3)).unwrap();
    assert_eq!(reserved_idle(&mut world), 1);
    let refusal = refused(
        world.checkout_with(12, wants_as("bob", "ws3", 4)),
        RefusalCode::Reserved,
    );
    assert_eq!(refusal.rule.unwrap().line, 1);
    world.checkout_with(12, wants_as("ann", "ws3", 5)).unwrap();
    assert_eq!(reserved_idle(&mut world), 0);
    refused(
        world.checkout_with(13, wants_as("ann", "ws4", 6)),
        RefusalCode::NoSeat,
    );
}

#[test]
fn a4_beyond_its_reservation_a_holder_takes_shared_seats() {
    let mut world = with(3, &[(1, "user:ann")]);
    for nonce in 1..=3 {
        world
            .checkout_with(nonce, wants_as("ann", "ws1", nonce))
            .unwrap();
    }
    let used = world.status().reservations.remove(0);
    assert_eq!((used.seats, used.used, used.line), (1, 3, 1));
    assert_eq!(
        (used.feature.as_str(), used.who.as_str()),
        ("acme/solver", "user:ann")
    );
}

#[test]
fn a4_a_reserved_seat_given_back_stays_reserved() {
    let mut world = with(2, &[(1, "user:ann")]);
    let ann = world
        .checkout_with(10, wants_as("ann", "ws1", 1))
        .unwrap()
        .lease;
    let bob = world
        .checkout_with(11, wants_as("bob", "ws2", 2))
        .unwrap()
        .lease;
    world.run(1000);
    // Ann's seat ends first, but it is no use to the others: the moment named is Bob's end.
    world.wish = Some(DurationMs::minutes(30));
    world.renew(11, &bob, 2, link(2, 3)).unwrap();
    let refusal = refused(
        world.checkout_with(12, wants_as("cid", "ws3", 3)),
        RefusalCode::NoSeat,
    );
    let because = refusal.earliest_because.unwrap();
    assert!(because.starts_with("bob on ws2"), "{because}");
    world.release(10, &ann, 1, link(1, 2)).unwrap();
    refused(
        world.checkout_with(12, wants_as("cid", "ws3", 4)),
        RefusalCode::Reserved,
    );
}

#[test]
fn a4_a_holder_belongs_to_the_first_reservation_that_names_it() {
    let mut world = with(2, &[(1, "user:a*"), (1, "user:ann")]);
    world.checkout_with(10, wants_as("ann", "ws1", 1)).unwrap();
    refused(
        world.checkout_with(11, wants_as("ann", "ws1", 2)),
        RefusalCode::Reserved,
    );
    let used: Vec<_> = world
        .status()
        .reservations
        .iter()
        .map(|it| it.used)
        .collect();
    assert_eq!(used, [1, 0]);
}

#[test]
fn a4_reservations_are_of_the_feature_whichever_license_its_seats_come_from() {
    let mut world = with(1, &[(1, "user:ann")]);
    let mut other = feature("solver", Some(1));
    other.expires = Some(WallMs(ISSUED.0 + 100 * DAY));
    world
        .install(&signed(&license("acme-2", 1, vec![other])))
        .unwrap();
    world.checkout(10, 1).unwrap();
    refused(world.checkout(11, 2), RefusalCode::Reserved);
    world.checkout_with(12, wants_as("ann", "ws1", 3)).unwrap();
}

#[test]
fn a4_a_policy_that_the_licenses_cannot_meet_is_refused_and_the_old_one_stays() {
    let mut world = with(3, &[(2, "user:ann")]);
    let many = reserving(&[(2, "user:bob"), (2, "user:cid")]);
    let refusal = refused(world.set_policy(many), RefusalCode::BadRequest);
    assert_eq!(refusal.rule.unwrap().line, 2);
    assert!(refusal.detail.contains("4 seats"), "{}", refusal.detail);
    let mut nowhere = reserving(&[(1, "user:bob")]);
    nowhere.reserve[0].feature = "acme/mesher".parse().unwrap();
    let refusal = refused(world.set_policy(nowhere), RefusalCode::BadRequest);
    assert!(refusal.detail.contains("acme/mesher"), "{}", refusal.detail);
    assert_eq!(world.status().reservations[0].who, "user:ann");
    refused(
        world.checkout_with(11, {
            let mut two = wants_as("bob", "ws1", 1);
            two.seats = 2;
            two
        }),
        RefusalCode::Reserved,
    );
}

#[test]
fn l7_a_license_that_shrinks_below_its_reservations_is_said_aloud() {
    let mut world = with(3, &[(3, "user:ann")]);
    assert_eq!(world.status().degraded, [""; 0]);
    world.install(&solver(2, 2)).unwrap();
    let said = world.status().degraded.remove(0);
    assert!(
        said.starts_with("reservation: 3 seats of acme/solver"),
        "{said}"
    );
    assert!(said.ends_with("(policy.toml:1)"), "{said}");
    assert_eq!(reserved_idle(&mut world), 2);
    // The same at the next start: the daemon comes up and says so.
    world.restart();
    assert_eq!(world.status().degraded, [said]);
    world.checkout_with(10, wants_as("ann", "ws1", 1)).unwrap();
}

#[test]
fn a4_expiry_that_lags_refuses_no_seat_beside_the_reserved_ones() {
    let mut world = with(100, &[(2, "user:ann")]);
    for client in 0..98 {
        world.checkout(client, client).unwrap();
    }
    world.pass(R + G);
    let mut many = wants(99);
    many.seats = 30;
    world.checkout_with(99, many).unwrap();
}

#[test]
fn a4_the_reservation_named_is_one_that_keeps_seats() {
    let mut world = with(3, &[(1, "user:ann"), (1, "user:bob")]);
    world.checkout_with(10, wants_as("ann", "ws1", 1)).unwrap();
    world.checkout(11, 2).unwrap();
    let refusal = refused(world.checkout(12, 3), RefusalCode::Reserved);
    assert_eq!(refusal.rule.unwrap().line, 2);
}

#[test]
fn t8_reservations_are_met_by_live_seats_where_there_are_any() {
    let mut world = World::with_seats(3);
    let mut test = license("acme-test", 1, vec![feature("solver", Some(1))]);
    test.environment = Environment::Test;
    world.install(&signed(&test)).unwrap();
    world.set_policy(reserving(&[(3, "user:ann")])).unwrap();
    let many = world.set_policy(reserving(&[(4, "user:ann")]));
    let refusal = refused(many, RefusalCode::BadRequest);
    assert!(refusal.detail.ends_with("have 3"), "{}", refusal.detail);
}

#[test]
fn l9_what_is_offered_to_others_counts_for_no_reservation() {
    let mut world = with(3, &[(1, "user:ann")]);
    let lease = world.checkout(10, 1).unwrap().lease;
    world.checkout(10, 2).unwrap();
    world.wait_with(11, wants_as("bob", "ws2", 3));
    world.release(10, &lease, 1, link(1, 4)).unwrap();
    assert_eq!(world.status().pools[0].offered, 1);
    assert_eq!(reserved_idle(&mut world), 1);
    refused(
        world.checkout_with(12, wants_as("cid", "ws3", 5)),
        RefusalCode::Reserved,
    );
    world.checkout_with(13, wants_as("ann", "ws1", 6)).unwrap();
}
