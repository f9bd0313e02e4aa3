//! Deny, allow and lease lengths of the policy (A4, L2), and a policy that changes under load (L7).

use super::*;
use crate::{
    policy::{Allow, Deny, LeaseRule},
    record::What,
};

fn of(user: &str, nonce: u8) -> Checkout {
    let mut checkout = wants(nonce);
    checkout.holder.user = user.to_owned();
    checkout
}

#[test]
fn a4_a_deny_rule_is_named_with_its_file_and_line() {
    let mut world = World::with_seats(10);
    let deny = Deny {
        reason: Some("ask the lab".to_owned()),
    };
    let rules = policy();
    let deny = vec![rule(7, &["user:GUEST*"], deny)];
    world.set_policy(Policy { deny, ..rules }).unwrap();
    let refusal = refused(
        world.checkout_with(10, of("Guest3", 1)),
        RefusalCode::Denied,
    );
    let named = refusal.rule.unwrap();
    assert_eq!((named.file.as_str(), named.line), ("policy.toml", 7));
    assert!(refusal.detail.contains("ask the lab"), "{}", refusal.detail);
    world.checkout_with(10, of("ada", 2)).unwrap();
}

#[test]
fn a4_once_a_feature_has_an_allow_rule_only_the_named_are_admitted() {
    let mut world = World::with_seats(10);
    let allow = vec![
        rule(3, &["host:ws1"], Allow),
        rule(9, &["network:10.0.0.0/8"], Allow),
    ];
    let allowing = Policy { allow, ..policy() };
    world.set_policy(allowing).unwrap();
    world.checkout_with(10, of("ada", 1)).unwrap();
    let mut elsewhere = of("ada", 2);
    elsewhere.holder.host = "ws2".to_owned();
    let refusal = refused(world.checkout_with(10, elsewhere), RefusalCode::NotAdmitted);
    assert_eq!(refusal.rule.unwrap().line, 3);
}

#[test]
fn a4_what_nobody_gets_is_said_before_any_rule() {
    let mut world = World::with_seats(10);
    let deny = vec![Rule {
        says: Deny::default(),
        ..Rule::default()
    }];
    world.set_policy(Policy { deny, ..policy() }).unwrap();
    refused(world.checkout(10, 1), RefusalCode::Denied);
    let mut unknown = wants(2);
    unknown.feature = "mesher".parse().unwrap();
    refused(
        world.checkout_with(10, unknown),
        RefusalCode::UnknownFeature,
    );
    let mut many = wants(3);
    many.seats = 11;
    refused(world.checkout_with(10, many), RefusalCode::TooManySeats);
}

#[test]
fn l2_the_policy_bounds_the_length_inside_the_licenses_own() {
    let mut world = World::with_seats(10);
    let minutes = |minutes| LeaseRule {
        length: DurationMs::minutes(minutes),
    };
    let lease = vec![
        rule(1, &["user:short"], minutes(5)),
        rule(
            2,
            &["user:tiny"],
            LeaseRule {
                length: DurationMs(1),
            },
        ),
        rule(3, &["user:long"], minutes(600)),
    ];
    world.set_policy(Policy { lease, ..policy() }).unwrap();
    let length = |world: &mut World, user: &str, nonce, wish: Option<u64>| {
        let mut checkout = of(user, nonce);
        checkout.length_ms = wish.map(DurationMs::minutes);
        let promise = world.checkout_with(10, checkout).unwrap();
        promise.lease.length_ms
    };
    assert_eq!(length(&mut world, "short", 1, None), DurationMs::minutes(5));
    assert_eq!(
        length(&mut world, "short", 2, Some(30)),
        DurationMs::minutes(5)
    );
    assert_eq!(
        length(&mut world, "short", 3, Some(2)),
        DurationMs::minutes(2)
    );
    assert_eq!(length(&mut world, "tiny", 4, None), DurationMs::minutes(1));
    assert_eq!(length(&mut world, "long", 5, None), DurationMs::hours(1));
    assert_eq!(length(&mut world, "ada", 6, None), DurationMs(R));
}

#[test]
fn l7_a_new_policy_cuts_no_running_lease_and_renews_it() {
    let mut world = World::with_seats(10);
    let lease = world.checkout(10, 1).unwrap().lease;
    let deny = vec![rule(1, &[], Deny::default())];
    world.set_policy(Policy { deny, ..policy() }).unwrap();
    refused(world.checkout(10, 2), RefusalCode::Denied);
    world.renew(10, &lease, 1, link(1, 2)).unwrap();
    assert_eq!(world.seats_out(), 1);
}

#[test]
fn s2_a_policy_that_comes_into_force_is_history_and_the_same_once_more_is_not() {
    let mut world = World::new();
    let deny = vec![rule(1, &[], Deny::default())];
    let rules = Policy { deny, ..policy() };
    world.set_policy(rules.clone()).unwrap();
    world.set_policy(rules).unwrap();
    let of_policy = world.events.iter().filter_map(|event| match &event.what {
        What::Policy(words) => Some(words.as_str()),
        _ => None,
    });
    assert_eq!(of_policy.collect::<Vec<_>>(), ["policy.toml: 1 deny"]);
    assert_eq!(world.status().policy, "1 deny");
}

#[test]
fn a4_a_rule_about_a_feature_that_no_license_has_is_said_aloud() {
    let mut world = World::with_seats(1);
    let mut mistyped = rule(3, &[], crate::policy::Deny::default());
    mistyped.feature = "acme/solvr".parse().unwrap();
    let mut aimed = rule(5, &["user:eve"], crate::policy::Deny::default());
    aimed.feature = "acme/*".parse().unwrap();
    let deny = vec![mistyped, aimed];
    world.set_policy(Policy { deny, ..policy() }).unwrap();
    let degraded = world.status().degraded;
    assert_eq!(
        degraded,
        ["policy: no installed license has acme/solvr (policy.toml:3); is the name right?"]
    );
}

#[test]
fn t6_a_rule_by_key_holds_whatever_name_is_claimed() {
    let mut world = World::with_seats(10);
    let of_ten = format!("key:{}", PublicKey::from(&key(10)).fingerprint());
    let allow = vec![rule(3, &[&of_ten], Allow)];
    world.set_policy(Policy { allow, ..policy() }).unwrap();
    let holder = world.checkout_with(10, of("ada", 1)).unwrap();
    world.checkout_with(10, of("somebody", 2)).unwrap();
    refused(
        world.checkout_with(11, of("ada", 3)),
        RefusalCode::NotAdmitted,
    );
    // Nor does a name give anybody another's seat.
    refused(
        world.release(11, &holder.lease, 1, link(1, 2)),
        RefusalCode::WrongDevice,
    );
}
