//! `usherd explain` answers what a checkout would get, word for word, and changes nothing (A4).

use proptest::prelude::*;

use super::*;
use crate::{
    api::{Explanation, Question},
    policy::{Allow, Deny, LeaseRule, Line, MaximumRule, Per, PriorityRule, ReserveRule},
    record::SuspensionKey,
};

fn question(client: u8, user: &str) -> Question {
    Question {
        feature: "acme/solver".to_owned(),
        environment: Environment::Live,
        seats: 1,
        version: None,
        user: user.to_owned(),
        host: "ws1".to_owned(),
        client: Some(PublicKey::from(&key(client))),
        address: Some(std::net::Ipv4Addr::LOCALHOST.into()),
        borrow_ms: None,
    }
}

fn explain(world: &mut World, question: Question) -> Result<Explanation, Box<Refusal>> {
    match world.admin(AdminAsk::Explain(question)) {
        Ok(Answer::Explained(explanation)) => Ok(*explanation),
        Err(refusal) => Err(refusal),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a4_a_yes_says_which_seats_and_how_long() {
    let mut world = World::with_seats(3);
    let told = explain(&mut world, question(10, "ada")).unwrap();
    assert_eq!(told.refusal, None);
    assert_eq!(
        told.detail,
        "1 seat of acme/solver from the license acme-1: free ones, 0 of 3 out, for 10m at a time by the license"
    );
    let length = DurationMs::minutes(5);
    world
        .set_policy(Policy {
            reserve: vec![rule(2, &["user:ada"], ReserveRule { seats: 1 })],
            lease: vec![rule(6, &[], LeaseRule { length })],
            ..policy()
        })
        .unwrap();
    let told = explain(&mut world, question(10, "ada")).unwrap().detail;
    assert!(told.contains("in policy.toml:2"), "{told}");
    assert!(told.ends_with("for 5m at a time by the policy"), "{told}");
}

#[test]
fn a4_who_has_all_of_its_reservation_is_told_of_free_seats() {
    let mut world = World::with_seats(3);
    world.set_policy(reserving(1, "user:ada")).unwrap();
    world.checkout(10, 1).unwrap();
    let told = explain(&mut world, question(10, "ada")).unwrap().detail;
    assert!(told.contains(": free ones, 1 of 3 out,"), "{told}");
}

#[test]
fn a4_the_feature_alone_will_do_where_one_vendor_is_served() {
    let mut world = World::with_seats(1);
    let alone = Question {
        feature: "solver".to_owned(),
        ..question(10, "ada")
    };
    assert_eq!(explain(&mut world, alone).unwrap().refusal, None);
    let unknown = Question {
        feature: "other/solver".to_owned(),
        ..question(10, "ada")
    };
    refused(explain(&mut world, unknown), RefusalCode::UnknownVendor);
}

#[test]
fn a4_a_key_never_seen_is_asked_for_like_any_stranger() {
    let mut world = World::with_seats(1);
    let enroll = Some(Line(1));
    world.set_policy(Policy { enroll, ..policy() }).unwrap();
    let stranger = Question {
        client: None,
        address: None,
        ..question(10, "ada")
    };
    let told = explain(&mut world, stranger).unwrap();
    assert_eq!(told.refusal.unwrap().code, RefusalCode::NotEnrolled);
}

/// One random happening before the question.
#[derive(Debug, Clone)]
enum Move {
    Checkout(u8, usize, u32, bool),
    Release(usize),
    Evict(usize),
    Suspend(bool),
    Policy([bool; 6]),
    Pass(u64),
}

const USERS: [&str; 3] = ["ann", "bob", "cid"];

fn rules(on: [bool; 6]) -> Policy {
    let per_user = MaximumRule {
        seats: 2,
        per: Per::User,
    };
    let mut rules = Policy {
        deny: vec![rule(1, &["user:cid"], Deny::default())],
        allow: vec![rule(2, &["user:ann", "user:bob"], Allow)],
        maximum: vec![rule(3, &[], per_user)],
        reserve: vec![rule(4, &["user:bob"], ReserveRule { seats: 2 })],
        priority: vec![rule(5, &["user:bob"], PriorityRule { level: 3 })],
        enroll: Some(Line(6)),
        ..policy()
    };
    let [deny, allow, maximum, reserve, priority, enroll] = on;
    if !deny {
        rules.deny.clear();
    }
    if !allow {
        rules.allow.clear();
    }
    if !maximum {
        rules.maximum.clear();
    }
    if !reserve {
        rules.reserve.clear();
    }
    if !priority {
        rules.priority.clear();
    }
    rules.enroll = rules.enroll.filter(|_| enroll);
    rules
}

fn any_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        8 => (10..14_u8, 0..3_usize, 1..3_u32, any::<bool>())
            .prop_map(|(client, user, seats, wait)| Move::Checkout(client, user, seats, wait)),
        2 => any::<usize>().prop_map(Move::Release),
        1 => any::<usize>().prop_map(Move::Evict),
        1 => any::<bool>().prop_map(Move::Suspend),
        2 => any::<[bool; 6]>().prop_map(Move::Policy),
        2 => (0..R + 2 * G).prop_map(Move::Pass),
    ]
}

/// A world with its leases out, as (client, lease, nonce).
struct Played {
    world: World,
    out: Vec<(u8, Lease, u8)>,
    nonce: u8,
}

impl Played {
    fn checkout(&mut self, user: usize, seats: u32, wait: bool) -> Checkout {
        self.nonce += 1;
        let mut checkout = wants_as(USERS[user], "ws1", self.nonce);
        checkout.seats = seats;
        checkout.wait = wait;
        checkout
    }

    fn step(&mut self, it: &Move) {
        match *it {
            Move::Checkout(client, user, seats, wait) => {
                let checkout = self.checkout(user, seats, wait);
                let answer = self.world.client(client, ClientAsk::Checkout(checkout));
                if let Answer::Promised(promise) = answer {
                    self.out.push((client, promise.lease, self.nonce));
                }
            }
            Move::Release(index) if !self.out.is_empty() => {
                let index = index % self.out.len();
                let (client, lease, nonce) = self.out.remove(index);
                let _ = self.world.release(client, &lease, nonce, link(nonce, 250));
            }
            Move::Evict(index) if !self.out.is_empty() => {
                let lease = self.out[index % self.out.len()].1.id;
                let _ = self.world.admin(AdminAsk::Evict {
                    lease,
                    reason: "a test".to_owned(),
                    cool_down_ms: None,
                });
            }
            Move::Suspend(on) => {
                let key = SuspensionKey::License("acme-1".parse().unwrap());
                let ask = if on {
                    AdminAsk::Suspend(key, "a test".to_owned())
                } else {
                    AdminAsk::Resume(key)
                };
                let _ = self.world.admin(ask);
            }
            Move::Policy(on) => self.world.set_policy(rules(on)).unwrap(),
            Move::Pass(ms) => self.world.run(ms),
            Move::Release(_) | Move::Evict(_) => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a4_an_explanation_is_what_the_checkout_gets_and_changes_nothing(
        moves in prop::collection::vec(any_move(), 0..40),
        client in 10..15_u8,
        user in 0..3_usize,
        seats in 1..6_u32,
    ) {
        let mut played = Played { world: World::with_seats(4), out: Vec::new(), nonce: 0 };
        for it in &moves {
            played.step(it);
        }
        let checkout = played.checkout(user, seats, false);
        let world = &mut played.world;
        world.input(Input::Tick);
        let (before, events) = (world.engine.state.durable(), world.events.len());
        let asked = Question { seats, ..question(client, USERS[user]) };
        let told = explain(world, asked.clone()).unwrap();
        prop_assert_eq!(&explain(world, asked).unwrap(), &told);
        prop_assert_eq!(&world.engine.state.durable(), &before);
        prop_assert_eq!(world.events.len(), events);
        let answer = world.checkout_with(client, checkout);
        prop_assert_eq!(answer.err().map(|it| *it), told.refusal);
    }
}

#[test]
fn a4_a_yes_tells_free_seats_from_overdraft_and_a_no_where_it_would_stand() {
    let mut world = World::new();
    let mut solver = feature("solver", Some(2));
    solver.overdraft = 1;
    world
        .install(&signed(&license("acme-1", 1, vec![solver])))
        .unwrap();
    for (client, source) in [
        (11, "free ones, 0 of 2 out"),
        (12, "free ones, 1 of 2 out"),
        (13, "overdraft"),
    ] {
        let told = explain(&mut world, question(10, "ada")).unwrap().detail;
        assert!(told.contains(&format!(": {source}, for 10m")), "{told}");
        world.checkout(client, client).unwrap();
    }
    for waiting in 0..2 {
        let told = explain(&mut world, question(10, "ada")).unwrap();
        assert_eq!(told.refusal.unwrap().code, RefusalCode::NoSeat);
        let stands = format!("with --wait it would stand in the queue, {waiting} wait now; ada on");
        assert!(told.detail.starts_with(&stands), "{}", told.detail);
        world.wait(14 + waiting, 20 + waiting);
    }
}

#[test]
fn a4_a_feature_of_nobody_in_particular_is_asked_back() {
    let alone = || Question {
        feature: "solver".to_owned(),
        ..question(10, "ada")
    };
    let asked_back = |world: &mut World| {
        let refusal = refused(explain(world, alone()), RefusalCode::UnknownVendor);
        refusal.detail
    };
    let mut world = World::new();
    let none = asked_back(&mut world);
    assert!(none.starts_with("no license is installed"), "{none}");
    world.install(&solver(1, 1)).unwrap();
    let mut other = license("other-1", 1, vec![feature("solver", Some(1))]);
    other.vendor = "other".parse().unwrap();
    world.install(&signed_by(&other, &key(6), None)).unwrap();
    let two = asked_back(&mut world);
    assert!(two.contains("acme") && two.contains("other"), "{two}");
    let named = Question {
        feature: "other/solver".to_owned(),
        ..alone()
    };
    let told = explain(&mut world, named).unwrap().detail;
    assert!(
        told.contains("other/solver from the license other-1"),
        "{told}"
    );
}

#[test]
fn l6_an_ex_holder_is_told_that_it_comes_before_those_who_wait() {
    let mut world = World::with_seats(2);
    let kept = world.checkout(10, 1).unwrap().lease;
    world.checkout(10, 2).unwrap();
    world.pass(R + G - 1);
    world.renew(10, &kept, 1, link(1, 9)).unwrap();
    world.run(1);
    let two = Checkout {
        seats: 2,
        ..wants_as("bob", "ws1", 3)
    };
    world.wait_with(12, two);
    let of = |client| Question {
        client,
        ..question(10, "ada")
    };
    let ex_holder = Some(PublicKey::from(&key(10)));
    assert_eq!(explain(&mut world, of(ex_holder)).unwrap().refusal, None);
    for other in [None, Some(PublicKey::from(&key(14)))] {
        let told = explain(&mut world, of(other)).unwrap();
        assert_eq!(told.refusal.unwrap().code, RefusalCode::NoSeat);
    }
}

#[test]
fn a4_holders_are_named_only_where_their_seats_would_help() {
    let mut world = World::new();
    let mut solver = feature("solver", Some(1));
    solver.version = Some("1.0".parse().unwrap());
    world
        .install(&signed(&license("acme-1", 1, vec![solver])))
        .unwrap();
    let lease = world.checkout(10, 1).unwrap().lease;
    let newer = Checkout {
        version: Some("2.0".parse().unwrap()),
        ..wants(2)
    };
    let refusal = refused(
        world.checkout_with(11, newer),
        RefusalCode::VersionNotServed,
    );
    assert!(refusal.holders.is_empty() && refusal.earliest_free_ms.is_none());
    let full = |world: &mut World, nonce| refused(world.checkout(11, nonce), RefusalCode::NoSeat);
    let refusal = full(&mut world, 3);
    assert_eq!(refusal.holders.len(), 1);
    assert!(
        refusal
            .earliest_because
            .unwrap()
            .ends_with("unless renewed")
    );
    let evict = AdminAsk::Evict {
        lease: lease.id,
        reason: "a test".to_owned(),
        cool_down_ms: None,
    };
    world.admin(evict).unwrap();
    let because = full(&mut world, 4).earliest_because.unwrap();
    assert!(because.ends_with("and is not renewed"), "{because}");
}

#[test]
fn a4_the_moment_named_counts_what_is_offered_and_what_lingers() {
    let mut world = World::lingering(4);
    let of = |nonce, user: &str| wants_as(user, "ws1", nonce);
    let bobs = [1, 2].map(|nonce| {
        let lease = world.checkout_with(11, of(nonce, "bob")).unwrap().lease;
        world.run(1000);
        lease
    });
    let ada = world.checkout(10, 3).unwrap().lease;
    let eve = world.checkout_with(13, of(4, "eve")).unwrap().lease;
    let waits = Checkout {
        wait: true,
        ..of(5, "fay")
    };
    world.wait_with(14, waits);
    world.release(13, &eve, 4, link(4, 9)).unwrap();
    world.release(10, &ada, 3, link(3, 9)).unwrap();
    let (_, pool) = world.engine.state.pools().next().unwrap();
    assert_eq!((pool.out, pool.offered, pool.lingering), (2, 1, 1));
    let two = Checkout {
        seats: 2,
        ..of(6, "gus")
    };
    let refusal = refused(world.checkout_with(15, two), RefusalCode::NoSeat);
    // Both of bob's have to end.
    assert_eq!(refusal.earliest_free_ms, Some(DurationMs(R + G - 1000)));
    drop(bobs);
}

#[test]
fn a4_a_lease_of_what_is_no_longer_lent_is_told_why() {
    let mut world = World::with_seats(1);
    let lease = world.checkout(10, 1).unwrap().lease;
    let id = || "acme-1".parse().unwrap();
    world.admin(AdminAsk::RemoveLicense(id())).unwrap();
    let said = |world: &mut World, next| {
        let asked = world.renew(10, &lease, 1, link(1, next));
        refused(asked, RefusalCode::NoLicense).detail
    };
    let removed = said(&mut world, 2);
    assert!(
        removed.starts_with("the license `acme-1` was removed"),
        "{removed}"
    );
    let mut elsewhere = license("acme-1", 2, vec![feature("solver", Some(1))]);
    elsewhere.hosts = vec!["lic09".to_owned()];
    let mut world = World::with_seats(1);
    let lease = world.checkout(10, 1).unwrap().lease;
    world.settings.host_names = vec!["lic09".to_owned()];
    let settings = world.settings.clone();
    world.admin(AdminAsk::Configure(settings)).unwrap();
    world.install(&signed(&elsewhere)).unwrap();
    world.settings.host_names = vec!["lic01".to_owned()];
    let settings = world.settings.clone();
    world.admin(AdminAsk::Configure(settings)).unwrap();
    let asked = world.renew(10, &lease, 1, link(1, 2));
    let idle = asked.unwrap_err().detail;
    assert!(
        idle.contains("nothing is lent from the license `acme-1`: it is for other hosts"),
        "{idle}"
    );
}
