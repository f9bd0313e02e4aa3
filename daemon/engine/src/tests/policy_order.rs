//! The one order in which the rules are asked: of any two that refuse, the earlier speaks.

use super::*;
use crate::{
    policy::{Allow, Deny, Line, MaximumRule, Per, ReserveRule},
    record::SuspensionKey,
};

/// One thing that refuses `ada` with the key 10, as a world is built for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refuses {
    Draining,
    NoSuchFeature,
    NotEnrolled,
    Suspended,
    CoolingDown,
    Denied,
    NotAdmitted,
    Maximum,
    Reserved,
}

/// In the order of docs/semantics.md.
const ORDER: [Refuses; 9] = [
    Refuses::Draining,
    Refuses::NoSuchFeature,
    Refuses::NotEnrolled,
    Refuses::Suspended,
    Refuses::CoolingDown,
    Refuses::Denied,
    Refuses::NotAdmitted,
    Refuses::Maximum,
    Refuses::Reserved,
];

impl Refuses {
    fn code(self) -> RefusalCode {
        match self {
            Self::Draining => RefusalCode::Draining,
            Self::NoSuchFeature => RefusalCode::VersionNotServed,
            Self::NotEnrolled => RefusalCode::NotEnrolled,
            Self::Suspended => RefusalCode::Suspended,
            Self::CoolingDown => RefusalCode::CoolingDown,
            Self::Denied => RefusalCode::Denied,
            Self::NotAdmitted => RefusalCode::NotAdmitted,
            Self::Maximum => RefusalCode::MaximumReached,
            Self::Reserved => RefusalCode::Reserved,
        }
    }
}

/// A world in which exactly these refuse.
fn world_with(refusing: &[Refuses]) -> World {
    let mut served = feature("solver", Some(3));
    served.version = Some("2.0".parse().unwrap());
    let mut world = World::new();
    world
        .install(&signed(&license("acme-1", 1, vec![served])))
        .unwrap();
    let has = |it| refusing.contains(&it);
    // The seat that counts for a maximum, and the one that is evicted.
    let lease = world.checkout(10, 1).unwrap().lease;
    if has(Refuses::CoolingDown) {
        let ask = AdminAsk::Evict {
            lease: lease.id,
            reason: "a test".to_owned(),
            cool_down_ms: None,
        };
        world.admin(ask).unwrap();
    }
    let mut rules = policy();
    rules.enroll = has(Refuses::NotEnrolled).then_some(Line(1));
    if has(Refuses::Denied) {
        rules.deny = vec![rule(2, &["user:ada"], Deny::default())];
    }
    if has(Refuses::NotAdmitted) {
        rules.allow = vec![rule(3, &["user:bob"], Allow)];
    }
    if has(Refuses::Maximum) {
        let (seats, per) = (1, Per::User);
        rules.maximum = vec![rule(4, &[], MaximumRule { seats, per })];
    }
    if has(Refuses::Reserved) {
        rules.reserve = vec![rule(5, &["user:bob"], ReserveRule { seats: 2 })];
    }
    world.set_policy(rules).unwrap();
    if has(Refuses::Suspended) {
        let key = SuspensionKey::License("acme-1".parse().unwrap());
        let ask = AdminAsk::Suspend(key, "a test".to_owned());
        world.admin(ask).unwrap();
    }
    if has(Refuses::Draining) {
        world.admin(AdminAsk::Drain).unwrap();
    }
    world
}

fn asked(world: &mut World, refusing: &[Refuses]) -> Option<RefusalCode> {
    let mut checkout = wants(2);
    if refusing.contains(&Refuses::NoSuchFeature) {
        checkout.version = Some("3.0".parse().unwrap());
    }
    let answer = world.checkout_with(10, checkout);
    answer.err().map(|refusal| refusal.code)
}

#[test]
fn a4_of_any_two_rules_that_refuse_the_earlier_one_speaks() {
    assert_eq!(asked(&mut world_with(&[]), &[]), None);
    for (place, first) in ORDER.iter().enumerate() {
        for second in &ORDER[place..] {
            let both = [*first, *second];
            let code = asked(&mut world_with(&both), &both);
            assert_eq!(code, Some(first.code()), "{both:?}");
        }
    }
}

#[test]
fn a4_all_of_them_together_fall_one_after_the_other() {
    for place in 0..ORDER.len() {
        let rest = &ORDER[place..];
        let code = asked(&mut world_with(rest), rest);
        assert_eq!(code, Some(ORDER[place].code()));
    }
}
