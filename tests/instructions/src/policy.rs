//! Steps under a policy of fifty rules, as a large site may have.

use usher_engine::{
    api::ClientAsk,
    policy::{
        Allow, BorrowRule, Deny, IdleRule, LeaseRule, LingerRule, MaximumRule, Members, Per,
        Policy, PolicyGroup, PriorityRule, QueueRule, ReserveRule, Rule, Who,
    },
};
use usher_protocol::{refusal::RefusalCode, time::DurationMs};

use crate::{
    desk::{Desk, OPERATIONS},
    engine::refusal,
};

pub(crate) fn steps() {
    let mut desk = Desk::with_leases(100, 1000);
    desk.set_policy(fifty_rules());
    desk.count_round("under 50 rules", "solver");
    refusal(
        &mut desk,
        "engine/refusal under 50 rules",
        "full",
        RefusalCode::NoSeat,
    );
    maximum_over_a_thousand_shares();
    waiting_under_rules();
}

/// The rule counts seats of a thousand holders; its refusal names the first few.
fn maximum_over_a_thousand_shares() {
    let mut desk = Desk::with_leases(1000, 1000);
    let most = MaximumRule {
        seats: 1000,
        per: Per::Group,
    };
    desk.set_policy(Policy {
        file: "policy.toml".to_owned(),
        maximum: rules(1, "acme/*", &["user:*"], &[], &most),
        ..Policy::default()
    });
    let name = "engine/refusal by a maximum over 1000 shares";
    refusal(&mut desk, name, "solver", RefusalCode::MaximumReached);
}

/// L9: a checkout that has to wait is judged and put in line.
fn waiting_under_rules() {
    let mut desk = Desk::with_leases(100, 1000);
    desk.set_policy(fifty_rules());
    let wants: Vec<_> = (0..OPERATIONS)
        .map(|number| {
            let (client, mut checkout) = desk.wants("full", number);
            checkout.wait = true;
            (client, ClientAsk::Checkout(checkout))
        })
        .collect();
    desk.count("engine/wait under 50 rules", wants);
}

/// Of each kind some; nobody who asks here is in a group, so the last that fits is found last.
fn fifty_rules() -> Policy {
    let groups = groups();
    let policy = Policy {
        file: "policy.toml".to_owned(),
        deny: rules(10, "acme/*", &DENIED, &groups, &denial()),
        allow: rules(
            20,
            "acme/*",
            &["group0", "group1", "group2", "user:*"],
            &groups,
            &Allow,
        ),
        maximum: maxima(&groups),
        reserve: rules(40, "acme/solver", &FOUR, &groups, &ReserveRule { seats: 5 }),
        priority: rules(50, "acme/*", &SIX, &groups, &PriorityRule { level: 5 }),
        lease: rules(
            60,
            "acme/*",
            &SIX,
            &groups,
            &LeaseRule {
                length: DurationMs::minutes(30),
            },
        ),
        linger: rules(
            70,
            "acme/*",
            &FOUR,
            &groups,
            &LingerRule {
                length: DurationMs::minutes(5),
            },
        ),
        idle: rules(
            80,
            "acme/*",
            &THREE,
            &groups,
            &IdleRule {
                after: Some(DurationMs::hours(1)),
            },
        ),
        borrow: rules(90, "acme/*", &THREE, &groups, &borrow()),
        queue: rules(
            95,
            "acme/mesher",
            &["user:*", "host:*"],
            &groups,
            &QueueRule { backfill: true },
        ),
        groups,
        ..Policy::default()
    };
    assert_eq!(policy.rules(), 50);
    policy
}

fn denial() -> Deny {
    Deny {
        reason: Some("ask the help desk".to_owned()),
    }
}

fn borrow() -> BorrowRule {
    BorrowRule {
        longest: Some(DurationMs::days(3)),
        at_home: 2,
    }
}

fn maxima(groups: &[PolicyGroup]) -> Vec<Rule<MaximumRule>> {
    let seats = 50;
    let of = |line, whom, per| {
        rules(
            line,
            "acme/solver",
            whom,
            groups,
            &MaximumRule { seats, per },
        )
    };
    let mut all = of(30, &FOUR, Per::Group);
    all.extend(of(34, &["group0", "group1", "user:*"], Per::User));
    all.extend(of(37, &["group2", "group3", "host:*"], Per::Host));
    all
}

/// One rule for each of these.
fn rules<T: Clone>(
    line: u32,
    feature: &str,
    whom: &[&str],
    groups: &[PolicyGroup],
    says: &T,
) -> Vec<Rule<T>> {
    let one = |(line, word): (u32, &&str)| Rule {
        line,
        feature: feature.parse().unwrap(),
        who: Who::of(&[*word], groups).unwrap(),
        says: says.clone(),
    };
    (line..).zip(whom).map(one).collect()
}

/// Five groups of twenty names, patterns and networks each; nobody who asks is in any of them.
fn groups() -> Vec<PolicyGroup> {
    let group = |number: u32| {
        let mut members = Members::default();
        for member in 0..12 {
            members
                .users
                .add(&format!("member{number}{member:02}"))
                .unwrap();
        }
        for prefix in ["ops", "qa", "cad"] {
            members.users.add(&format!("{prefix}{number}-*")).unwrap();
        }
        for host in ["build", "render", "desk"] {
            members
                .hosts
                .add(&format!("{host}{number}*.example.com"))
                .unwrap();
        }
        for network in 0..2 {
            let text = format!("10.{}.0.0/16", 100 + 2 * number + network);
            members.networks.push(text.parse().unwrap());
        }
        PolicyGroup {
            name: format!("group{number}"),
            line: 1 + number,
            members,
            groups: Vec::new(),
        }
    };
    (0..5).map(group).collect()
}

const THREE: [&str; 3] = ["group0", "group1", "group2"];

const FOUR: [&str; 4] = ["group0", "group1", "group2", "user:boss"];

const SIX: [&str; 6] = [
    "group0",
    "group1",
    "group2",
    "group3",
    "user:night*",
    "user:*",
];

const DENIED: [&str; 8] = [
    "user:guest*",
    "user:temp?",
    "host:kiosk*",
    "network:10.99.0.0/16",
    "network:fd00:99::/32",
    "user:mallory",
    "group4",
    "host:*.lab.example.com",
];
