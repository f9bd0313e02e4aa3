//! Who is extended while leases may be lost (L12).

use super::*;
use crate::tests::trouble::rolled_back;

/// What may be out beyond the seats is believed in as well.
#[test]
fn l12_overdraft_counts_where_beliefs_are_compared_in_a_hold() {
    let (mut world, lease) = rolled_back(true, |world| world.checkout(10, 1).unwrap().lease);
    world.attach(10, &lease, 1, link(1, 2)).unwrap();
    let mut with_overdraft = feature("solver", Some(2));
    with_overdraft.overdraft = 1;
    world
        .install(&signed(&license("acme-1", 2, vec![with_overdraft])))
        .unwrap();
    world.renew(10, &lease, 1, link(2, 3)).unwrap();
    world.install(&solver(2, 3)).unwrap();
    refused(world.renew(10, &lease, 1, link(3, 4)), RefusalCode::Holding);
}

/// It was promised in this life, which lent its seat to nobody since: its holder was late, and not too late (L4).
#[test]
fn l12_what_this_life_promised_is_promised_again_up_to_its_deadline_in_a_hold() {
    let mut world = World::with_seats(2);
    let lease = world.checkout(10, 1).unwrap().lease;
    world.restart_as(Life {
        epoch: Epoch(101),
        life: LifeId([2; 16]),
        hold_all: true,
        head: world.engine.head(),
        ..world.life
    });
    let renewed = world.attach(10, &lease, 1, link(1, 2)).unwrap().lease;
    world.pass(R);
    assert!(world.engine.state.trouble.hold_since.is_some());
    world.attach(10, &renewed, 1, link(2, 3)).unwrap();
}
