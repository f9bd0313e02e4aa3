//! Maxima per user, host and group (A4).

use usher_protocol::limits::HOLDERS_LISTED_MAX;

use super::*;
use crate::{
    limits::RECLAIMS_PER_INPUT,
    policy::{Deny, MaximumRule, Per},
    record::What,
};

fn at_most(seats: u32, per: Per) -> MaximumRule {
    MaximumRule { seats, per }
}

fn with(maximum: Vec<Rule<MaximumRule>>) -> World {
    let mut world = World::with_seats(10);
    world
        .set_policy(Policy {
            maximum,
            ..policy()
        })
        .unwrap();
    world
}

#[test]
fn a4_a_maximum_per_user_names_rule_holders_and_the_earliest_moment() {
    let mut world = with(vec![rule(5, &[], at_most(2, Per::User))]);
    world.checkout_with(10, wants_as("ann", "ws1", 1)).unwrap();
    world.run(1000);
    // Two spellings of one name are one user, whatever the key and host.
    world.checkout_with(11, wants_as("ANN", "ws2", 2)).unwrap();
    let refusal = refused(
        world.checkout_with(12, wants_as("Ann", "ws3", 3)),
        RefusalCode::MaximumReached,
    );
    let named = refusal.rule.as_ref().unwrap();
    assert_eq!((named.file.as_str(), named.line), ("policy.toml", 5));
    let holders: Vec<_> = refusal.holders.iter().map(|it| it.host.as_str()).collect();
    assert_eq!(holders, ["ws1", "ws2"]);
    assert_eq!(refusal.earliest_free_ms, Some(DurationMs(R + G - 1000)));
    assert_eq!(
        refusal.earliest_because.as_deref(),
        Some("ann on ws1 holds 1 seat for 10m17s more unless renewed")
    );
    assert!(refusal.support.is_some());
    world.checkout_with(12, wants_as("bob", "ws3", 4)).unwrap();
}

#[test]
fn a4_more_than_a_maximum_at_once_has_no_earliest_moment() {
    let mut world = with(vec![rule(5, &[], at_most(2, Per::User))]);
    let mut many = wants(1);
    many.seats = 3;
    let refusal = refused(world.checkout_with(10, many), RefusalCode::MaximumReached);
    assert_eq!(refusal.earliest_free_ms, None);
}

#[test]
fn a4_maxima_of_different_kinds_hold_side_by_side() {
    let mut world = with(vec![
        rule(1, &[], at_most(3, Per::User)),
        rule(2, &["host:ws*"], at_most(1, Per::Host)),
        rule(3, &["user:b*", "user:c*"], at_most(2, Per::Group)),
    ]);
    let steps = [
        ("ann", "ws1", None),
        ("bob", "WS1", Some(2)),
        ("bob", "lab", None),
        ("bob", "lab", None),
        ("cid", "lab", Some(3)),
        ("ann", "lab", None),
        ("ann", "lab", None),
        ("ann", "lab", Some(1)),
    ];
    for (nonce, (user, host, line)) in (1..).zip(steps) {
        let answer = world.checkout_with(nonce, wants_as(user, host, nonce));
        let refusing = answer.err().map(|it| (it.code, it.rule.unwrap().line));
        let expected = line.map(|line| (RefusalCode::MaximumReached, line));
        assert_eq!(refusing, expected, "{user} on {host}");
    }
}

#[test]
fn a4_a_maximum_counts_those_who_came_before_it_and_after_a_restart() {
    let mut world = World::with_seats(10);
    let lease = world.checkout(10, 1).unwrap().lease;
    world.checkout(11, 2).unwrap();
    let maximum = vec![rule(1, &[], at_most(2, Per::User))];
    world
        .set_policy(Policy {
            maximum,
            ..policy()
        })
        .unwrap();
    refused(world.checkout(12, 3), RefusalCode::MaximumReached);
    world.restart();
    refused(world.checkout(12, 4), RefusalCode::MaximumReached);
    world.release(10, &lease, 1, link(1, 2)).unwrap();
    world.checkout(12, 5).unwrap();
}

#[test]
fn a4_a_group_by_network_counts_where_a_lease_was_checked_out_even_after_a_restart() {
    let mut world = with(vec![rule(
        1,
        &["network:127.0.0.0/8"],
        at_most(1, Per::Group),
    )]);
    world.checkout(10, 1).unwrap();
    world.restart();
    refused(world.checkout(11, 2), RefusalCode::MaximumReached);
}

/// A hundred leases of others, and one of ann's a moment later, who may have so many.
fn others_and_then_ann(seats: u32) -> World {
    let mut world = World::with_seats(200);
    let maximum = vec![rule(1, &["user:ann"], at_most(seats, Per::User))];
    world
        .set_policy(Policy {
            maximum,
            ..policy()
        })
        .unwrap();
    for client in 0..100 {
        world.checkout(client, client).unwrap();
    }
    world.pass(1);
    world
        .checkout_with(150, wants_as("ann", "ws1", 150))
        .unwrap();
    world
}

#[test]
fn a4_a_maximum_does_not_count_a_lease_that_is_over() {
    let mut world = others_and_then_ann(1);
    world.pass(R + G);
    // Others are over before it and are taken back first, a few at a time.
    world
        .checkout_with(151, wants_as("ann", "ws1", 151))
        .unwrap();
    assert!(world.seats_out() > 50);
}

#[test]
fn a4_processes_that_share_a_seat_count_once() {
    let mut shared = feature("solver", Some(10));
    shared.grouping = Grouping::UserHost;
    let mut world = World::new();
    world
        .install(&signed(&license("acme-1", 1, vec![shared])))
        .unwrap();
    let maximum = vec![rule(1, &[], at_most(1, Per::User))];
    world
        .set_policy(Policy {
            maximum,
            ..policy()
        })
        .unwrap();
    let first = world.checkout(10, 1).unwrap().lease;
    world.checkout(10, 2).unwrap();
    refused(world.checkout(11, 3), RefusalCode::MaximumReached);
    world.release(10, &first, 1, link(1, 2)).unwrap();
    refused(world.checkout(11, 4), RefusalCode::MaximumReached);
}

#[test]
fn s2_a_maximum_reached_is_one_denial() {
    let mut world = with(vec![rule(5, &[], at_most(1, Per::User))]);
    world.checkout(10, 1).unwrap();
    refused(world.checkout(10, 2), RefusalCode::MaximumReached);
    world.run(R);
    let denied = world.events.iter().filter(|event| {
        matches!(
            event.what,
            What::Denied {
                code: RefusalCode::MaximumReached,
                count: 1,
                ..
            }
        )
    });
    assert_eq!(denied.count(), 1);
}

#[test]
fn t6_a_maximum_by_name_is_dodged_by_another_name_and_one_by_keys_is_not() {
    let mut world = with(vec![rule(1, &["user:ann"], at_most(1, Per::User))]);
    world.checkout_with(10, wants_as("ann", "ws1", 1)).unwrap();
    world.checkout_with(10, wants_as("bob", "ws2", 2)).unwrap();
    let keys = [10, 11].map(|byte| format!("key:{}", PublicKey::from(&key(byte)).fingerprint()));
    let mut world = with(vec![rule(1, &[&keys[0], &keys[1]], at_most(1, Per::Group))]);
    world.checkout_with(10, wants_as("ann", "ws1", 1)).unwrap();
    for (client, name) in [(10, "bob"), (11, "eve")] {
        refused(
            world.checkout_with(client, wants_as(name, "ws2", client)),
            RefusalCode::MaximumReached,
        );
    }
    world.checkout_with(12, wants_as("ann", "ws1", 3)).unwrap();
}

#[test]
fn a4_the_moment_named_is_when_enough_of_those_that_count_have_ended() {
    let mut world = with(vec![rule(5, &[], at_most(3, Per::User))]);
    for nonce in 1..=3 {
        world.checkout(10, nonce).unwrap();
        world.run(1000);
    }
    let ask = |world: &mut World, nonce, seats| {
        let wish = Checkout {
            seats,
            ..wants(nonce)
        };
        refused(world.checkout_with(10, wish), RefusalCode::MaximumReached)
    };
    for seats in 1..=3 {
        let refusal = ask(&mut world, 4 + u8::try_from(seats).unwrap(), seats);
        let left = R + G - 4000 + u64::from(seats) * 1000;
        assert_eq!(refusal.earliest_free_ms, Some(DurationMs(left)), "{seats}");
        assert_eq!((refusal.holders.len(), refusal.holders_more), (3, 0));
        let fewer = refusal.detail.ends_with("or ask for fewer");
        assert_eq!(fewer, seats > 1, "{}", refusal.detail);
    }
    assert_eq!(ask(&mut world, 9, 4).earliest_free_ms, None);
}

#[test]
fn a4_a_lower_maximum_takes_nothing_from_who_shares_what_is_out() {
    let mut shared = feature("solver", Some(10));
    shared.grouping = Grouping::Host;
    let mut world = World::new();
    world
        .install(&signed(&license("acme-1", 1, vec![shared])))
        .unwrap();
    let two = |nonce| Checkout {
        seats: 2,
        ..wants(nonce)
    };
    world.checkout_with(10, two(1)).unwrap();
    let maximum = vec![rule(1, &[], at_most(1, Per::User))];
    let with = Policy {
        maximum,
        ..policy()
    };
    world.set_policy(with).unwrap();
    world.checkout_with(10, two(2)).unwrap();
    assert_eq!(world.seats_out(), 2);
}

/// What is over makes room under a maximum; what runs is not taken back with it.
#[test]
fn a4_a_lease_that_runs_stays_while_one_that_is_over_makes_room() {
    let mut world = others_and_then_ann(2);
    world.pass(R);
    let runs = world
        .checkout_with(151, wants_as("ann", "ws2", 151))
        .unwrap();
    world.pass(G);
    // Others are over before hers and are taken back first, a few at a time.
    world
        .checkout_with(152, wants_as("ann", "ws3", 152))
        .unwrap();
    world.renew(151, &runs.lease, 151, link(151, 153)).unwrap();
}

#[test]
fn a3_of_those_that_count_so_many_are_listed_and_the_others_counted() {
    let listed = u32::try_from(HOLDERS_LISTED_MAX).unwrap();
    for (out, more) in [(listed, 0), (listed + 1, 1), (listed + 2, 2)] {
        let mut world = with(vec![rule(5, &[], at_most(out, Per::User))]);
        for nonce in 0..out {
            world.checkout(10, u8::try_from(nonce).unwrap()).unwrap();
        }
        let refusal = refused(world.checkout(11, 99), RefusalCode::MaximumReached);
        assert_eq!(refusal.holders.len(), HOLDERS_LISTED_MAX);
        assert_eq!(refusal.holders_more, more);
    }
}

#[test]
fn t3_a_maximum_counts_what_is_out_when_its_vendor_is_called_otherwise() {
    let mut maximum = rule(1, &[], at_most(1, Per::User));
    maximum.feature = "apex/solver".parse().unwrap();
    let mut world = with(vec![maximum]);
    world.checkout(10, 1).unwrap();
    world.checkout(10, 2).unwrap();
    let mut renamed = license("acme-1", 2, vec![feature("solver", Some(10))]);
    renamed.vendor = "apex".parse().unwrap();
    world.install(&signed(&renamed)).unwrap();
    refused(world.checkout(10, 3), RefusalCode::MaximumReached);
}

/// Who is refused for good has nothing taken back for it, whatever is over.
#[test]
fn a3_a_denied_checkout_takes_back_no_more_than_any_input() {
    let mut world = World::with_seats(200);
    let denied = Policy {
        maximum: vec![rule(1, &[], at_most(150, Per::User))],
        deny: vec![rule(2, &["host:lab"], Deny::default())],
        ..policy()
    };
    world.set_policy(denied).unwrap();
    for client in 0..100 {
        world.checkout(client, client).unwrap();
    }
    world.pass(R + G);
    let denied = world.checkout_with(150, wants_as("ada", "lab", 150));
    refused(denied, RefusalCode::Denied);
    assert_eq!(world.seats_out(), 100 - RECLAIMS_PER_INPUT as u64);
}
