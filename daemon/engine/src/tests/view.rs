//! What workstations and administrators are shown of licenses, pools and leases (T4, A4).

use usher_protocol::wire::{Hello, WIRE_VERSION};

use super::*;

/// `acme` serves `solver` and `mesher`; `other`, of another root, a `solver` of its own.
fn two_vendors() -> World {
    let mut world = World::new();
    let features = ["solver", "mesher"].map(|name| feature(name, Some(4)));
    let ours = license("acme-1", 1, features.into());
    world.install(&signed(&ours)).unwrap();
    let mut other = license("other-1", 1, vec![feature("solver", Some(9))]);
    other.vendor = "other".parse().unwrap();
    world.install(&signed_by(&other, &key(6), None)).unwrap();
    world
}

fn hello(version_min: u8, version_max: u8) -> ClientAsk {
    ClientAsk::Hello(Hello {
        version_min,
        version_max,
        root: root(),
    })
}

#[test]
fn t4_who_speaks_our_version_is_shown_the_vendors_word() {
    let mut world = two_vendors();
    let newest = license("acme-2", 1, vec![feature("viewer", Some(1))]);
    let issued = WallMs(ISSUED.0 + DAY);
    let newest = signed(&License { issued, ..newest });
    world.install(&newest).unwrap();
    let Answer::Welcome(shown) = world.client(10, hello(0, WIRE_VERSION)) else {
        panic!("no welcome");
    };
    assert_eq!(shown.endorsement, *newest.signed_endorsement());
    assert_eq!(shown.licenses_more, ["acme-1".parse().unwrap()]);
    let answer = world.client(10, hello(WIRE_VERSION + 1, u8::MAX));
    refused(promised(answer), RefusalCode::UnsupportedVersion);
}

#[test]
fn t4_the_endorsement_of_a_license_is_its_own() {
    let mut world = World::with_seats(1);
    let other = signed(&license("acme-2", 1, vec![feature("mesher", Some(1))]));
    world.install(&other).unwrap();
    let ask = |id: &str| ClientAsk::Endorsement(id.parse().unwrap());
    let Answer::Endorsement(shown) = world.client(10, ask("acme-2")) else {
        panic!("no endorsement");
    };
    assert_eq!(*shown, *other.signed_endorsement());
    let answer = world.client(10, ask("acme-3"));
    refused(promised(answer), RefusalCode::NoLicense);
}

#[test]
fn a4_features_are_those_that_the_callers_vendor_serves_now() {
    let mut world = two_vendors();
    let mut later = feature("viewer", Some(1));
    later.starts = WallMs(ISSUED.0 + 12 * DAY);
    let later = signed(&license("acme-2", 1, vec![later]));
    world.install(&later).unwrap();
    let Answer::Features(features) = world.client(10, ClientAsk::Features) else {
        panic!("no list");
    };
    let served = features.iter().map(|it| (it.feature.as_str(), it.seats));
    let mut served: Vec<_> = served.collect();
    served.sort_unstable();
    assert_eq!(served, [("mesher", Some(4)), ("solver", Some(4))]);
}

#[test]
fn a4_holders_are_those_of_the_feature_asked_for() {
    let mut world = two_vendors();
    world.checkout_with(10, wants_as("ann", "ws1", 1)).unwrap();
    let mut mesh = wants_as("bob", "ws2", 2);
    mesh.feature = "mesher".parse().unwrap();
    world.checkout_with(11, mesh).unwrap();
    let ask = ClientAsk::Holders("solver".parse().unwrap());
    let Answer::Holders(holders, more) = world.client(12, ask) else {
        panic!("no list");
    };
    let users: Vec<_> = holders.iter().map(|it| it.user.as_str()).collect();
    assert_eq!((users, more), (vec!["ann"], 0));
}

#[test]
fn a4_a_pool_that_nothing_serves_is_shown_while_seats_of_it_are_out() {
    let mut world = World::with_seats(1);
    let lease = world.checkout(10, 1).unwrap().lease;
    let id = lease.license.clone();
    world.admin(AdminAsk::RemoveLicense(id)).unwrap();
    assert_eq!(world.status().pools.len(), 1);
    world.release(10, &lease, 1, link(1, 2)).unwrap();
    assert!(world.status().pools.is_empty());
}

#[test]
fn a4_a_list_of_leases_says_how_many_share_a_seat() {
    let mut world = World::new();
    let mut shared = feature("solver", Some(2));
    shared.grouping = Grouping::Host;
    let shared = signed(&license("acme-1", 1, vec![shared]));
    world.install(&shared).unwrap();
    world.checkout(10, 1).unwrap();
    world.checkout(10, 2).unwrap();
    world.checkout_with(11, wants_as("bob", "ws2", 3)).unwrap();
    let ask = AdminAsk::Leases {
        after: None,
        count_max: 10,
    };
    let Ok(Answer::Leases(views)) = world.admin(ask) else {
        panic!("no list");
    };
    let sharing: Vec<_> = views.iter().map(|it| it.sharing).collect();
    assert_eq!(sharing, [2, 2, 1]);
}

#[test]
fn a4_a_feature_that_no_license_has_is_refused_with_the_environment_asked_for() {
    let mut world = World::with_seats(1);
    for (environment, word) in [(Environment::Live, "live"), (Environment::Test, "test")] {
        let mut unknown = wants(1);
        unknown.feature = "viewer".parse().unwrap();
        unknown.environment = environment;
        let refusal = refused(
            world.checkout_with(10, unknown),
            RefusalCode::UnknownFeature,
        );
        let expected = format!("no {word} license here has the feature viewer;");
        assert!(refusal.detail.starts_with(&expected), "{}", refusal.detail);
    }
}
