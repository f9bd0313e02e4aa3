//! Seats taken back from applications that report themselves idle.

use super::*;
use crate::policy::IdleRule;

fn rules() -> Policy {
    let after = |minutes| IdleRule {
        after: Some(DurationMs::minutes(minutes)),
    };
    Policy {
        idle: vec![
            rule(4, &["user:boss"], IdleRule { after: None }),
            rule(8, &[], after(30)),
        ],
        ..policy()
    }
}

fn renew_idle(
    world: &mut World,
    client: u8,
    lease: &Lease,
    (nonce, link): (u8, Link),
    minutes: Option<u64>,
) -> Result<Promise, Box<Refusal>> {
    let renew = Renew {
        idle_ms: minutes.map(DurationMs::minutes),
        lease: lease.id,
        nonce: Nonce([nonce; 16]),
        link,
        length_ms: None,
    };
    promised(world.client(client, ClientAsk::Renew(renew)))
}

#[test]
fn l7_an_idle_application_is_told_why_with_the_rule_and_may_come_back() {
    let mut world = World::with_seats(1);
    world.set_policy(rules()).unwrap();
    let lease = world.checkout(10, 1).unwrap().lease;
    renew_idle(&mut world, 10, &lease, (1, link(1, 2)), Some(29)).unwrap();
    let idle = renew_idle(&mut world, 10, &lease, (1, link(2, 3)), Some(30));
    let refusal = refused(idle, RefusalCode::Idle);
    assert_eq!(refusal.rule.unwrap().line, 8);
    // It stays so, also after a restart: the seat is on its way back.
    world.restart();
    let late = renew_idle(&mut world, 10, &lease, (1, link(2, 3)), Some(0));
    refused(late, RefusalCode::Idle);
    assert_eq!(world.seats_out(), 1);
    world.release(10, &lease, 1, link(2, 4)).unwrap();
    // No cool-down: nobody did anything wrong.
    world.checkout(10, 2).unwrap();
}

#[test]
fn without_a_rule_or_a_report_nobody_is_idle() {
    let mut world = World::with_seats(3);
    let lease = world.checkout(10, 1).unwrap().lease;
    renew_idle(&mut world, 10, &lease, (1, link(1, 2)), Some(600)).unwrap();
    world.set_policy(rules()).unwrap();
    renew_idle(&mut world, 10, &lease, (1, link(2, 3)), None).unwrap();
    let boss = world
        .checkout_with(11, wants_as("boss", "ws2", 2))
        .unwrap()
        .lease;
    renew_idle(&mut world, 11, &boss, (2, link(2, 3)), Some(600)).unwrap();
}

#[test]
fn a_seat_that_one_process_still_uses_is_not_taken_back_from_the_others() {
    let mut shared = feature("solver", Some(1));
    shared.grouping = Grouping::UserHost;
    let mut world = World::new();
    world
        .install(&signed(&license("acme-1", 1, vec![shared])))
        .unwrap();
    world.set_policy(rules()).unwrap();
    let a = world.checkout(10, 1).unwrap().lease;
    let b = world.checkout(10, 2).unwrap().lease;
    renew_idle(&mut world, 10, &a, (1, link(1, 2)), Some(60)).unwrap();
    renew_idle(&mut world, 10, &b, (2, link(2, 3)), Some(5)).unwrap();
    world.checkout(10, 3).unwrap();
    let c = world.engine.state.leases.keys().next_back().copied();
    let c = Lease {
        id: c.unwrap(),
        ..b.clone()
    };
    renew_idle(&mut world, 10, &c, (3, link(3, 4)), Some(60)).unwrap();
    let last = renew_idle(&mut world, 10, &b, (2, link(3, 4)), Some(60));
    refused(last, RefusalCode::Idle);
    let first = renew_idle(&mut world, 10, &a, (1, link(2, 3)), Some(0));
    refused(first, RefusalCode::Idle);
}
