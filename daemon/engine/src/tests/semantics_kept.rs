//! More rows of docs/semantics.md that no other test shows: what holders, ex-holders and borrowers keep
//! when licenses, policies and the daemon change under them.

use usher_protocol::wire::Borrow;

use super::*;
use crate::{policy::PriorityRule, pool::FeatureKey, record::SuspensionKey};

fn license_of(
    serial: u64,
    seats: u32,
    change: impl FnOnce(&mut usher_protocol::documents::license::Feature),
) -> Arc<VerifiedLicense> {
    let mut solver = feature("solver", Some(seats));
    solver.borrow_ms_max = DurationMs::days(7);
    change(&mut solver);
    signed(&license("acme-1", serial, vec![solver]))
}

fn lendable(seats: u32) -> World {
    let mut world = World::new();
    world.install(&license_of(1, seats, |_| {})).unwrap();
    world
}

fn borrow(world: &mut World, client: u8, nonce: u8, wait: bool) -> Answer {
    let checkout = Checkout {
        wait,
        length_ms: Some(DurationMs::days(1)),
        ..wants(nonce)
    };
    let wall = world.now.wall;
    world.client(client, ClientAsk::Borrow(Borrow { checkout, wall }))
}

fn give_back(world: &mut World, client: u8, lease: &Lease, nonce: u8) {
    world
        .release(client, lease, nonce, link(nonce, 200))
        .unwrap();
}

fn evict(world: &mut World, lease: &Lease, cool_down_ms: Option<u64>) {
    let ask = AdminAsk::Evict {
        lease: lease.id,
        reason: "needed elsewhere".to_owned(),
        cool_down_ms: cool_down_ms.map(DurationMs),
    };
    world.admin(ask).unwrap();
}

#[track_caller]
fn queued(answer: &Answer) -> u32 {
    match answer {
        Answer::Queued(place) => place.position,
        other => panic!("{other:?}"),
    }
}

fn has_lapsed(world: &World, client: u8) -> bool {
    let key = FeatureKey::of(root(), &wants(1));
    let client = PublicKey::from(&super::key(client));
    world.engine.lapses.cover(world.now.boot, client, &key, 1)
}

/// One day's borrow, and the tolerance.
const BORROWED: u64 = DAY + 3_600_000;

// ---- Holding.

#[test]
fn l7_a_new_serial_that_serves_less_is_felt_at_the_next_renewal() {
    type Change = fn(&mut usher_protocol::documents::license::Feature);
    let cases: [(Change, RefusalCode); 4] = [
        (
            |it| it.version = Some("1.0".parse().unwrap()),
            RefusalCode::VersionNotServed,
        ),
        (
            |it| it.feature = "mesher".parse().unwrap(),
            RefusalCode::NoLicense,
        ),
        (
            |it| it.expires = Some(WallMs(ISSUED.0 + 10 * DAY)),
            RefusalCode::LicenseExpired,
        ),
        (
            |it| it.starts = WallMs(ISSUED.0 + 12 * DAY),
            RefusalCode::NotYetValid,
        ),
    ];
    for (change, code) in cases {
        let mut world = lendable(1);
        let checkout = Checkout {
            version: Some("2.0".parse().unwrap()),
            ..wants(1)
        };
        let lease = world.checkout_with(10, checkout).unwrap().lease;
        world.install(&license_of(2, 1, change)).unwrap();
        refused(world.renew(10, &lease, 1, link(1, 2)), code);
        assert_eq!(world.seats_out(), 1, "nothing is cut");
        world.run(R + G);
        assert_eq!(world.seats_out(), 0);
    }
}

#[test]
fn l2_shorter_leases_begin_with_the_next_renewal() {
    let mut world = lendable(1);
    let lease = world.checkout(10, 1).unwrap().lease;
    let shorter = license_of(2, 1, |it| {
        it.lease_ms_default = DurationMs::minutes(2);
        it.lease_ms_max = DurationMs::minutes(2);
    });
    world.install(&shorter).unwrap();
    let renewed = world.renew(10, &lease, 1, link(1, 2)).unwrap();
    assert_eq!(renewed.lease.length_ms, DurationMs::minutes(2));
    // What was promised first is kept free of others (L2).
    world.run(R + G - 1);
    assert_eq!(world.seats_out(), 1);
    world.run(1);
    assert_eq!(world.seats_out(), 0);
}

#[test]
fn l7_a_restart_forgets_cool_downs_and_keeps_evictions() {
    let mut world = World::with_seats(2);
    let lease = world.checkout(10, 1).unwrap().lease;
    evict(&mut world, &lease, None);
    refused(world.checkout(10, 2), RefusalCode::CoolingDown);
    world.restart();
    let evicted = world.renew(10, &lease, 1, link(1, 2));
    refused(evicted, RefusalCode::Evicted);
    world.checkout(10, 2).unwrap();
}

#[test]
fn l5_a_restart_forgets_ended_nonces() {
    let mut world = World::with_seats(1);
    let lease = world.checkout(10, 1).unwrap().lease;
    give_back(&mut world, 10, &lease, 1);
    refused(world.checkout(10, 1), RefusalCode::LeaseEnded);
    world.restart();
    // A late copy of a checkout costs a seat for one lease length, and never two at once.
    let again = world.checkout(10, 1).unwrap().lease;
    assert_ne!(again.id, lease.id);
    world.run(R + G);
    assert_eq!(world.seats_out(), 0);
}

// ---- Lapsed.

#[test]
fn l6_an_ex_holder_comes_before_any_priority_and_any_size() {
    let mut world = World::with_seats(2);
    let priority = vec![rule(1, &["user:vip"], PriorityRule { level: 1000 })];
    let with = Policy {
        priority,
        ..policy()
    };
    world.set_policy(with).unwrap();
    world.checkout(10, 1).unwrap();
    world.run(R + G);
    let one = world.checkout(11, 2).unwrap().lease;
    world.checkout(12, 3).unwrap();
    let vip = Checkout {
        seats: 2,
        ..wants_as("vip", "ws2", 4)
    };
    assert_eq!(queued(&world.wait_with(13, vip)), 1);
    assert_eq!(queued(&world.wait(10, 5)), 1);
    world.pushes.clear();
    give_back(&mut world, 11, &one, 2);
    assert!(
        matches!(world.pushes[0], (ConnectionId(10), Push::Offered(..))),
        "{:?}",
        world.pushes
    );
}

#[test]
fn l6_a_restart_forgets_who_lapsed() {
    let mut world = World::with_seats(1);
    world.checkout(10, 1).unwrap();
    world.run(R + G);
    assert!(has_lapsed(&world, 10));
    world.restart();
    assert!(!has_lapsed(&world, 10));
}

#[test]
fn l6_forked_and_borrowed_seats_give_no_priority() {
    let mut world = lendable(2);
    let lease = world.checkout(10, 1).unwrap().lease;
    let branch = world.renew(10, &lease, 1, link(8, 9));
    refused(branch, RefusalCode::LeaseForked);
    promised(borrow(&mut world, 11, 2, false)).unwrap();
    world.run(BORROWED);
    assert_eq!(world.seats_out(), 0);
    assert!(!has_lapsed(&world, 10) && !has_lapsed(&world, 11));
}

// ---- Borrowed.

#[test]
fn l10_a_borrow_does_not_wait_in_the_queue_and_passes_nobody() {
    let mut world = lendable(2);
    let two = Checkout {
        seats: 2,
        ..wants(1)
    };
    let both = world.checkout_with(10, two).unwrap().lease;
    let full = promised(borrow(&mut world, 11, 2, true));
    refused(full, RefusalCode::NoSeat);
    assert!(world.engine.queue.is_empty());
    world.wait(12, 3);
    give_back(&mut world, 10, &both, 1);
    let one = world.checkout_with(12, {
        let wait = true;
        Checkout { wait, ..wants(3) }
    });
    one.unwrap();
    world.wait_with(
        13,
        Checkout {
            seats: 2,
            ..wants(4)
        },
    );
    let behind = promised(borrow(&mut world, 11, 5, false));
    refused(behind, RefusalCode::NoSeat);
}

#[test]
fn l10_a_refusal_names_who_borrowed_and_whether_it_was_returned() {
    let mut world = lendable(1);
    let away = promised(borrow(&mut world, 10, 1, false)).unwrap().lease;
    let why = |world: &mut World, nonce| {
        let refusal = refused(world.checkout(11, nonce), RefusalCode::NoSeat);
        assert_eq!(refusal.earliest_free_ms, Some(DurationMs(BORROWED)));
        assert!(refusal.holders[0].borrowed);
        refusal.earliest_because.unwrap()
    };
    let before = why(&mut world, 2);
    assert!(before.ends_with("unless returned"), "{before}");
    let release = Release {
        lease: away.id,
        nonce: Nonce([1; 16]),
        link: link(1, 200),
    };
    world.client(10, ClientAsk::Release(release));
    let after = why(&mut world, 3);
    assert!(after.ends_with("though returned early"), "{after}");
}

#[test]
fn l10_suspension_and_removal_change_nothing_for_a_borrowed_seat() {
    let mut world = lendable(2);
    promised(borrow(&mut world, 10, 1, false)).unwrap();
    let key = SuspensionKey::License("acme-1".parse().unwrap());
    let ask = AdminAsk::Suspend(key.clone(), "moving house".to_owned());
    world.admin(ask).unwrap();
    refused(
        promised(borrow(&mut world, 11, 2, false)),
        RefusalCode::Suspended,
    );
    world.admin(AdminAsk::Resume(key)).unwrap();
    let remove = AdminAsk::RemoveLicense("acme-1".parse().unwrap());
    world.admin(remove).unwrap();
    world.restart();
    world.run(DAY);
    assert_eq!(world.seats_out(), 1);
    // A license that comes back finds it out.
    world.install(&license_of(2, 1, |_| {})).unwrap();
    refused(world.checkout(11, 3), RefusalCode::NoSeat);
    world.run(BORROWED - DAY);
    world.checkout(11, 4).unwrap();
}

#[test]
fn l7_an_evict_of_a_share_leaves_its_borrowed_lease() {
    let mut world = World::new();
    let grouped = license_of(1, 1, |it| it.grouping = Grouping::Host);
    world.install(&grouped).unwrap();
    let away = promised(borrow(&mut world, 10, 1, false)).unwrap().lease;
    let on_line = world.checkout(10, 2).unwrap().lease;
    evict(&mut world, &on_line, Some(0));
    let refusal = world.renew(10, &on_line, 2, link(2, 3));
    refused(refusal, RefusalCode::Evicted);
    give_back(&mut world, 10, &on_line, 2);
    refused(world.checkout(11, 3), RefusalCode::NoSeat);
    assert_eq!(world.seats_out(), 1);
    // Its share is not taken back: its other processes may use the seat that is theirs anyhow.
    assert!(!away.id.eq(&on_line.id));
    world.checkout(10, 4).unwrap();
    assert_eq!(world.seats_out(), 1);
}

/// A share that is refused its renewals stays so when one of its borrowed leases is returned.
#[test]
fn l7_a_return_does_not_let_an_overcommitted_share_renew_again() {
    let mut world = World::new();
    let grouped = |serial, seats| license_of(serial, seats, |it| it.grouping = Grouping::Host);
    world.install(&grouped(1, 3)).unwrap();
    let elder = world.checkout(11, 1).unwrap().lease;
    let away = promised(borrow(&mut world, 10, 2, false)).unwrap().lease;
    let two = Checkout {
        seats: 2,
        ..wants(3)
    };
    let on_line = world.checkout_with(10, two).unwrap().lease;
    world.install(&grouped(2, 2)).unwrap();
    let refusal = world.renew(10, &on_line, 3, link(3, 4));
    refused(refusal, RefusalCode::Overcommitted);
    // The vendor signed no early return: the borrowed lease counts on.
    let release = Release {
        lease: away.id,
        nonce: Nonce([2; 16]),
        link: link(2, 200),
    };
    let returned = world.client(10, ClientAsk::Release(release));
    assert!(matches!(returned, Answer::Returned(_)));
    let refusal = world.renew(10, &on_line, 3, link(3, 4));
    refused(refusal, RefusalCode::Overcommitted);
    world.renew(11, &elder, 1, link(1, 9)).unwrap();
}

/// An unlimited pool has no count of free seats to add to.
#[test]
fn a4_a_refusal_beside_an_unlimited_pool_is_explained() {
    let mut world = World::new();
    let of = |id, seats, version: &str| {
        let mut solver = feature("solver", seats);
        solver.version = Some(version.parse().unwrap());
        signed(&license(id, 1, vec![solver]))
    };
    world.install(&of("acme-1", None, "2026")).unwrap();
    world.install(&of("acme-2", Some(1), "2027")).unwrap();
    let asks = |nonce, version: &str| Checkout {
        version: Some(version.parse().unwrap()),
        ..wants(nonce)
    };
    for nonce in 1..=3 {
        world.checkout_with(10, asks(nonce, "2026")).unwrap();
    }
    world.checkout_with(11, asks(4, "2027")).unwrap();
    let refusal = refused(
        world.checkout_with(12, asks(5, "2027")),
        RefusalCode::NoSeat,
    );
    assert!(refusal.earliest_free_ms.is_some());
}

// ---- What a restart forgets beside that.

#[test]
fn a3_a_restart_forgets_who_knocked() {
    let mut world = World::with_seats(1);
    let enroll = Some(crate::policy::Line(1));
    world.set_policy(Policy { enroll, ..policy() }).unwrap();
    refused(world.checkout(10, 1), RefusalCode::NotEnrolled);
    let known = |world: &mut World| match world.admin(AdminAsk::Clients) {
        Ok(Answer::Clients(clients)) => clients.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(known(&mut world), 1);
    world.restart();
    assert_eq!(known(&mut world), 0);
}
