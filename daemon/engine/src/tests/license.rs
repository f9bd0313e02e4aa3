//! Licenses and evictions: what comes, goes, and is never half-obeyed (T3, T7, T8, L7).

use usher_protocol::documents::revocation::RevocationList;

use super::*;
use crate::record::What;

fn remove(world: &mut World, id: &str) {
    world
        .admin(AdminAsk::RemoveLicense(id.parse().unwrap()))
        .unwrap();
}

#[test]
fn t3_a_vendors_first_root_is_confirmed_and_pinned() {
    let mut world = World::new();
    let license = solver(2, 1);
    let unconfirmed = AdminAsk::InstallLicense {
        license: Arc::clone(&license),
        root_confirmed: None,
    };
    let refusal = refused(
        world.admin(unconfirmed.clone()),
        RefusalCode::RootUnconfirmed,
    );
    assert!(refusal.detail.contains(&root().to_string()));
    world.install(&license).unwrap();
    remove(&mut world, "acme-1");
    let impostor = signed_by(
        &super::license("x-1", 1, vec![feature("solver", Some(9))]),
        &key(6),
        None,
    );
    let refusal = refused(world.install(&impostor), RefusalCode::BadRequest);
    assert!(
        refusal.detail.contains("another root"),
        "{}",
        refusal.detail
    );
    // The pin outlives the license: the next one needs no word.
    let next = AdminAsk::InstallLicense {
        license: solver(2, 2),
        root_confirmed: None,
    };
    world.admin(next).unwrap();
}

#[test]
fn t7_only_a_higher_serial_replaces_even_after_removal() {
    let mut world = World::new();
    world.install(&solver(2, 5)).unwrap();
    let head = world.engine.head();
    world.install(&solver(2, 5)).unwrap();
    assert_eq!(
        world.engine.head(),
        head,
        "the very same license changes nothing"
    );
    refused(world.install(&solver(3, 5)), RefusalCode::BadRequest);
    refused(world.install(&solver(3, 4)), RefusalCode::BadRequest);
    remove(&mut world, "acme-1");
    world.restart();
    refused(world.install(&solver(2, 5)), RefusalCode::BadRequest);
    world.install(&solver(2, 6)).unwrap();
}

#[test]
fn t7_a_license_for_another_site_is_refused() {
    let mut world = World::new();
    let mut elsewhere = license("acme-1", 1, vec![feature("solver", Some(2))]);
    elsewhere.site = PublicKey::from(&key(9));
    refused(world.install(&signed(&elsewhere)), RefusalCode::BadRequest);
    assert!(world.engine.state.licenses.is_empty());
}

#[test]
fn t7_whatever_a_license_can_say_is_obeyed() {
    let mut world = World::new();
    let features = Grouping::ALL.iter().map(|grouping| {
        let mut it = feature(grouping.as_str(), Some(2));
        it.grouping = *grouping;
        it.claimed_user = *grouping == Grouping::User;
        it.overdraft = 1;
        it.borrow_ms_max = DurationMs::days(7);
        it
    });
    let license = license("acme-1", 1, features.collect());
    world.install(&signed(&license)).unwrap();
    assert_eq!(world.status().pools.len(), Grouping::ALL.len());
}

#[test]
fn t7_a_license_for_other_hosts_lends_nothing_and_says_so() {
    let mut world = World::new();
    let mut elsewhere = license("acme-1", 1, vec![feature("solver", Some(2))]);
    elsewhere.hosts = vec!["lic02".to_owned()];
    let Ok(Answer::Installed(view)) = world.install(&signed(&elsewhere)) else {
        panic!("not installed");
    };
    assert!(view.idle_because.unwrap().contains("lic02"));
    refused(world.checkout(10, 1), RefusalCode::NoLicense);
}

#[test]
fn t4_a_license_for_another_site_key_lends_nothing_and_says_so() {
    let mut world = World::with_seats(2);
    let lease = world.checkout(10, 1).unwrap().lease;
    // The key file was damaged, or lost and made anew.
    let life = Life {
        site: PublicKey::from(&key(9)),
        epoch: Epoch(world.life.epoch.0 + 1),
        ..world.life
    };
    world.restart_as(life);
    let Ok(Answer::Licenses(views)) = world.admin(AdminAsk::Licenses) else {
        panic!("no list");
    };
    assert!(views[0].idle_because.as_ref().unwrap().contains("site.key"));
    refused(world.checkout(10, 2), RefusalCode::NoLicense);
    refused(
        world.renew(10, &lease, 1, link(1, 2)),
        RefusalCode::NoLicense,
    );
}

#[test]
fn t7_a_revocation_is_kept_for_ever_and_judges_installed_licenses() {
    let mut world = World::with_seats(2);
    let lease = world.checkout(10, 1).unwrap().lease;
    let list = RevocationList {
        root: PublicKey::from(&key(1)),
        number: 1,
        issued: ISSUED,
        issuing_keys: Vec::new(),
        licenses: vec!["acme-1".parse().unwrap()],
    };
    let list = list.sign(&key(1)).unwrap();
    let bearer = license("acme-2", 1, vec![feature("mesher", Some(1))]);
    world
        .install(&signed_by(&bearer, &key(1), Some(&list)))
        .unwrap();
    refused(world.checkout(10, 2), RefusalCode::NoLicense);
    refused(
        world.renew(10, &lease, 1, link(1, 2)),
        RefusalCode::NoLicense,
    );
    remove(&mut world, "acme-2");
    world.restart();
    refused(world.install(&solver(2, 2)), RefusalCode::BadRequest);
}

#[test]
fn t8_test_licenses_are_served_when_told_to_and_share_no_pool() {
    let mut world = World::with_seats(1);
    let mut solver = feature("solver", Some(1));
    solver.lease_ms_default = DurationMs::seconds(2);
    solver.lease_ms_min = DurationMs::seconds(2);
    let mut test = license("acme-test", 1, vec![solver]);
    test.environment = Environment::Test;
    world.install(&signed(&test)).unwrap();
    let mut ask = wants(1);
    ask.environment = Environment::Test;
    refused(world.checkout_with(10, ask.clone()), RefusalCode::NoLicense);
    world.settings.serve_test = true;
    let settings = world.settings.clone();
    world.admin(AdminAsk::Configure(settings)).unwrap();
    let lease = world.checkout_with(10, ask).unwrap().lease;
    assert_eq!(lease.length_ms, DurationMs(2000));
    world.checkout(11, 2).unwrap();
    refused(world.checkout(12, 3), RefusalCode::NoSeat);
    world.run(3000);
    assert_eq!(world.seats_out(), 1, "T8: two seconds and one of guard");
}

#[test]
fn a_checkout_draws_on_the_pool_that_expires_first_and_has_room() {
    let mut world = World::new();
    let mut early = feature("solver", Some(1));
    early.expires = Some(WallMs(ISSUED.0 + 30 * DAY));
    world
        .install(&signed(&license(
            "b-late",
            1,
            vec![feature("solver", None)],
        )))
        .unwrap();
    world
        .install(&signed(&license("c-early", 1, vec![early])))
        .unwrap();
    let drawn = |world: &mut World, nonce| world.checkout(nonce, nonce).unwrap().lease.license;
    assert_eq!(drawn(&mut world, 1).as_str(), "c-early");
    assert_eq!(drawn(&mut world, 2).as_str(), "b-late");
    // Unlimited means it.
    (3..100).for_each(|nonce| assert_eq!(drawn(&mut world, nonce).as_str(), "b-late"));
}

#[test]
fn l7_an_evicted_lease_runs_on_and_is_not_renewed() {
    let mut world = World::with_seats(1);
    let lease = world.checkout(10, 1).unwrap().lease;
    let evict = AdminAsk::Evict {
        cool_down_ms: None,
        lease: lease.id,
        reason: "needed by ops".to_owned(),
    };
    world.admin(evict.clone()).unwrap();
    world.restart();
    let refusal = refused(world.renew(10, &lease, 1, link(1, 2)), RefusalCode::Evicted);
    assert!(refusal.detail.contains("needed by ops"));
    refused(
        world.attach(10, &lease, 1, link(1, 2)),
        RefusalCode::Evicted,
    );
    refused(world.checkout(11, 2), RefusalCode::NoSeat);
    world.release(10, &lease, 1, link(1, 2)).unwrap();
    world.checkout(11, 2).unwrap();
    refused(world.admin(evict), RefusalCode::LeaseUnknown);
}

#[test]
fn l7_fewer_seats_refuse_the_newest_renewals_and_grant_none() {
    let mut world = World::with_seats(4);
    let leases: Vec<_> = (1..=4)
        .map(|n| world.checkout(n + 10, n).unwrap().lease)
        .collect();
    world.install(&solver(2, 2)).unwrap();
    assert!(world.status().pools[0].overcommitted);
    world.renew(11, &leases[0], 1, link(1, 9)).unwrap();
    world.renew(12, &leases[1], 2, link(2, 9)).unwrap();
    refused(
        world.renew(13, &leases[2], 3, link(3, 9)),
        RefusalCode::Overcommitted,
    );
    refused(
        world.renew(14, &leases[3], 4, link(4, 9)),
        RefusalCode::Overcommitted,
    );
    refused(world.checkout(20, 20), RefusalCode::Overcommitted);
    assert_eq!(world.seats_out(), 4, "nothing is cut");
    world.release(11, &leases[0], 1, link(9, 8)).unwrap();
    world.renew(13, &leases[2], 3, link(3, 9)).unwrap();
    refused(
        world.renew(14, &leases[3], 4, link(4, 9)),
        RefusalCode::Overcommitted,
    );
    world.run(R + G);
    assert!(!world.status().pools[0].overcommitted);
    world.checkout(20, 20).unwrap();
}

#[test]
fn l7_fewer_seats_of_a_feature_are_made_up_for_by_its_own_leases() {
    let features = |solvers| ["solver", "mesher"].map(|name| feature(name, Some(solvers)));
    let mut world = World::new();
    let first = license("acme-1", 1, features(2).into());
    world.install(&signed(&first)).unwrap();
    world.checkout(11, 1).unwrap();
    let newest = world.checkout(12, 2).unwrap().lease;
    let mut mesh = wants(3);
    mesh.feature = "mesher".parse().unwrap();
    let other = world.checkout_with(13, mesh).unwrap().lease;
    let next = license("acme-1", 2, features(1).into());
    world.install(&signed(&next)).unwrap();
    refused(
        world.renew(12, &newest, 2, link(2, 9)),
        RefusalCode::Overcommitted,
    );
    world.renew(13, &other, 3, link(3, 9)).unwrap();
}

#[test]
fn l7_leases_of_a_removed_license_run_out() {
    let mut world = World::with_seats(2);
    let lease = world.checkout(10, 1).unwrap().lease;
    let mut replacing = license("acme-2", 1, vec![feature("solver", Some(1))]);
    replacing.replaces = vec!["acme-1".parse().unwrap()];
    world.install(&signed(&replacing)).unwrap();
    assert_eq!(world.seats_out(), 1);
    refused(
        world.renew(10, &lease, 1, link(1, 2)),
        RefusalCode::NoLicense,
    );
    assert_eq!(
        world.checkout(11, 2).unwrap().lease.license.as_str(),
        "acme-2"
    );
    world.restart();
    world.run(R + G);
    assert_eq!(world.seats_out(), 0);
}

#[test]
fn l7_leases_go_on_under_a_new_serial() {
    let mut world = World::with_seats(2);
    let lease = world.checkout(10, 1).unwrap().lease;
    let next = solver(3, 2);
    world.install(&next).unwrap();
    let renewed = world.renew(10, &lease, 1, link(1, 2)).unwrap();
    assert_eq!(renewed.lease.license_hash, next.hash());
    assert_eq!((renewed.seats_out, renewed.seats_total), (1, Some(3)));
}

#[test]
fn t7_an_older_revocation_list_takes_nothing_back_and_a_newer_one_counts() {
    let list = |number, revoked: &str| {
        let list = RevocationList {
            root: PublicKey::from(&key(1)),
            number,
            issued: ISSUED,
            issuing_keys: Vec::new(),
            licenses: vec![revoked.parse().unwrap()],
        };
        list.sign(&key(1)).unwrap()
    };
    let one = |id: &str| license(id, 1, vec![feature("mesher", Some(1))]);
    let bearing = |id: &str, list: Signed| signed_by(&one(id), &key(1), Some(&list));
    let mut world = World::new();
    world
        .install(&bearing("acme-2", list(2, "acme-8")))
        .unwrap();
    world
        .install(&bearing("acme-3", list(1, "acme-9")))
        .unwrap();
    refused(
        world.install(&signed(&one("acme-8"))),
        RefusalCode::BadRequest,
    );
    world.install(&signed(&one("acme-9"))).unwrap();
    world
        .install(&bearing("acme-4", list(3, "acme-7")))
        .unwrap();
    refused(
        world.install(&signed(&one("acme-7"))),
        RefusalCode::BadRequest,
    );
}

#[test]
fn t3_one_id_is_of_one_vendor() {
    let mut world = World::with_seats(2);
    let mut other = license("acme-1", 9, vec![feature("solver", Some(9))]);
    other.vendor = "other".parse().unwrap();
    let refusal = refused(
        world.install(&signed_by(&other, &key(6), None)),
        RefusalCode::BadRequest,
    );
    assert!(
        refusal.detail.contains("another vendor"),
        "{}",
        refusal.detail
    );
    assert_eq!(world.status().pools[0].view.seats, Some(2));
}

#[test]
fn a_list_of_leases_says_what_became_of_each() {
    let mut world = World::with_seats(4);
    let lease = |world: &mut World, nonce| world.checkout(10, nonce).unwrap().lease;
    let (held, evicted, forked, heard) = (
        lease(&mut world, 1),
        lease(&mut world, 2),
        lease(&mut world, 3),
        lease(&mut world, 4),
    );
    let evict = AdminAsk::Evict {
        lease: evicted.id,
        reason: "needed".to_owned(),
        cool_down_ms: None,
    };
    world.admin(evict).unwrap();
    world.renew(10, &forked, 3, link(3, 8)).unwrap();
    world.renew(10, &forked, 3, link(3, 9)).unwrap_err();
    world.restart();
    world.renew(10, &heard, 4, link(4, 5)).unwrap();
    let ask = AdminAsk::Leases {
        after: None,
        count_max: 10,
    };
    let Ok(Answer::Leases(views)) = world.admin(ask) else {
        panic!("no list");
    };
    let noted: Vec<_> = views.iter().map(|it| (it.id, it.note.as_deref())).collect();
    assert_eq!(
        noted,
        [
            (held.id, Some("held since restart")),
            (evicted.id, Some("evicted: needed")),
            (forked.id, Some("forked")),
            (heard.id, None),
        ]
    );
}

#[test]
fn t7_of_two_revocation_lists_of_one_number_the_first_stays() {
    let list = |revoked: &str| {
        let list = RevocationList {
            root: PublicKey::from(&key(1)),
            number: 2,
            issued: ISSUED,
            issuing_keys: Vec::new(),
            licenses: vec![revoked.parse().unwrap()],
        };
        list.sign(&key(1)).unwrap()
    };
    let one = |id: &str| license(id, 1, vec![feature("mesher", Some(1))]);
    let mut world = World::new();
    for (id, revoked) in [("acme-2", "acme-8"), ("acme-3", "acme-9")] {
        let it = signed_by(&one(id), &key(1), Some(&list(revoked)));
        world.install(&it).unwrap();
    }
    let revoked = signed(&one("acme-8"));
    refused(world.install(&revoked), RefusalCode::BadRequest);
    world.install(&signed(&one("acme-9"))).unwrap();
}

/// One vendor's license takes nothing from another's.
#[test]
fn t3_a_license_replaces_only_those_of_its_own_vendor() {
    let mut world = World::new();
    let mut other = license("other-1", 1, vec![feature("solver", Some(9))]);
    other.vendor = "other".parse().unwrap();
    world.install(&signed_by(&other, &key(6), None)).unwrap();
    let mut ours = license("acme-1", 1, vec![feature("solver", Some(1))]);
    ours.replaces = ["other-1", "acme-7"].map(|id| id.parse().unwrap()).into();
    world.install(&signed(&ours)).unwrap();
    let ids: Vec<_> = world.engine.state.licenses.keys().collect();
    assert_eq!(ids.len(), 2, "{ids:?}");
}

#[test]
fn l12_the_log_has_the_whole_text_of_a_license_in_pieces() {
    let host = |number: u32| format!("{number}{}", "ü".repeat(120));
    let mut long = license("acme-1", 1, vec![feature("solver", Some(1))]);
    long.hosts = (10..40).map(host).collect();
    let long = signed(&long);
    let mut world = World::new();
    world.install(&long).unwrap();
    let pieces = world.events.iter().filter_map(|event| match &event.what {
        What::LicenseText(piece) => Some(piece),
        _ => None,
    });
    let pieces: Vec<_> = pieces.collect();
    assert!(pieces.len() > 1);
    let count = u32::try_from(pieces.len()).unwrap();
    let numbers = pieces.iter().map(|it| (it.piece, it.pieces));
    assert!(numbers.eq((1..=count).map(|piece| (piece, count))));
    let text: String = pieces.iter().map(|it| it.text.as_str()).collect();
    assert_eq!(text, long.text());
}
