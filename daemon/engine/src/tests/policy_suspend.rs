//! A license or feature suspended and resumed by the administrator (L7).

use super::*;
use crate::record::SuspensionKey;

fn the_license() -> SuspensionKey {
    SuspensionKey::License("acme-1".parse().unwrap())
}

fn the_feature() -> SuspensionKey {
    SuspensionKey::Feature(root(), "solver".parse().unwrap())
}

fn suspend(world: &mut World, key: SuspensionKey) {
    let ask = AdminAsk::Suspend(key, "moving house".to_owned());
    world.admin(ask).unwrap();
}

#[test]
fn l7_what_is_suspended_is_not_lent_nor_renewed_and_nothing_is_cut() {
    for key in [the_license(), the_feature()] {
        let mut world = World::with_seats(2);
        let lease = world.checkout(10, 1).unwrap().lease;
        suspend(&mut world, key.clone());
        let refusal = refused(world.checkout(11, 2), RefusalCode::Suspended);
        assert!(
            refusal.detail.contains("moving house"),
            "{}",
            refusal.detail
        );
        refused(
            world.renew(10, &lease, 1, link(1, 2)),
            RefusalCode::Suspended,
        );
        assert_eq!(world.seats_out(), 1);
        let seen = world.status().pools.remove(0);
        assert_eq!(seen.suspended.as_deref(), Some("moving house"));
        assert!(seen.view.suspended);
        world.restart();
        refused(world.checkout(11, 3), RefusalCode::Suspended);
        world.admin(AdminAsk::Resume(key)).unwrap();
        world.renew(10, &lease, 1, link(1, 2)).unwrap();
        world.checkout(11, 4).unwrap();
    }
}

#[test]
fn l7_another_license_of_the_feature_lends_on() {
    let mut world = World::with_seats(1);
    let other = feature("solver", Some(1));
    world
        .install(&signed(&license("acme-2", 1, vec![other])))
        .unwrap();
    suspend(&mut world, the_license());
    let lease = world.checkout(10, 1).unwrap().lease;
    assert_eq!(lease.license.to_string(), "acme-2");
    refused(world.checkout(11, 2), RefusalCode::NoSeat);
    suspend(&mut world, the_feature());
    refused(world.checkout(11, 3), RefusalCode::Suspended);
}

#[test]
fn l7_what_is_suspended_stays_listed_and_says_so() {
    let mut world = World::with_seats(1);
    suspend(&mut world, the_feature());
    let Answer::Features(features) = world.client(10, ClientAsk::Features) else {
        panic!()
    };
    assert!(features[0].suspended);
}

#[test]
fn l7_suspended_once_more_it_is_for_the_new_reason_and_the_same_says_nothing() {
    let mut world = World::with_seats(1);
    suspend(&mut world, the_feature());
    let events = world.events.len();
    suspend(&mut world, the_feature());
    assert_eq!(world.events.len(), events);
    let reason = "back on Monday".to_owned();
    world
        .admin(AdminAsk::Suspend(the_feature(), reason))
        .unwrap();
    assert_eq!(world.events.len(), events + 1);
    let said = world.status().pools.remove(0).suspended;
    assert_eq!(said.as_deref(), Some("back on Monday"));
}

#[test]
fn a3_only_what_is_served_is_suspended_and_only_what_is_suspended_resumed() {
    let mut world = World::with_seats(1);
    let nowhere = SuspensionKey::License("acme-9".parse().unwrap());
    let ask = AdminAsk::Suspend(nowhere, String::new());
    refused(world.admin(ask), RefusalCode::NoLicense);
    let nothing = SuspensionKey::Feature(root(), "mesher".parse().unwrap());
    let ask = AdminAsk::Suspend(nothing, String::new());
    refused(world.admin(ask), RefusalCode::UnknownFeature);
    let ask = AdminAsk::Suspend(the_license(), "x".repeat(257));
    refused(world.admin(ask), RefusalCode::BadRequest);
    let ask = AdminAsk::Resume(the_license());
    refused(world.admin(ask), RefusalCode::BadRequest);
}

#[test]
fn l7_a_suspended_license_that_was_removed_can_be_resumed() {
    let mut world = World::with_seats(1);
    suspend(&mut world, the_license());
    let id = "acme-1".parse().unwrap();
    world.admin(AdminAsk::RemoveLicense(id)).unwrap();
    world.install(&solver(1, 2)).unwrap();
    refused(world.checkout(10, 1), RefusalCode::Suspended);
    world.admin(AdminAsk::Resume(the_license())).unwrap();
    world.checkout(10, 2).unwrap();
}
