//! License time and expiry as leases feel them (L8, L11).

use super::*;

fn expiring(days: u64) -> Arc<VerifiedLicense> {
    let mut solver = feature("solver", Some(2));
    solver.expires = Some(WallMs(ISSUED.0 + days * DAY));
    signed(&license("acme-1", 1, vec![solver]))
}

#[test]
fn l8_no_lease_outlives_its_license() {
    let mut world = World::new();
    world.install(&expiring(11)).unwrap();
    world.pass(DAY - 300_000);
    let lease = world.checkout(10, 1).unwrap().lease;
    assert_eq!(lease.length_ms, DurationMs(300_000));
    assert_eq!(lease.not_after, WallMs(ISSUED.0 + 11 * DAY));
    world.pass(300_000);
    refused(
        world.renew(10, &lease, 1, link(1, 2)),
        RefusalCode::LicenseExpired,
    );
    refused(world.checkout(11, 2), RefusalCode::LicenseExpired);
}

#[test]
fn l8_a_license_that_starts_later_says_when() {
    let mut world = World::new();
    let mut solver = feature("solver", Some(2));
    solver.starts = WallMs(ISSUED.0 + 12 * DAY);
    world
        .install(&signed(&license("acme-1", 1, vec![solver])))
        .unwrap();
    let refusal = refused(world.checkout(10, 1), RefusalCode::NotYetValid);
    assert_eq!(refusal.retry_after_ms, Some(DurationMs::days(2)));
    world.run(2 * DAY);
    world.checkout(10, 1).unwrap();
}

#[test]
fn l11_a_wall_step_back_gains_nothing_and_stops_nothing() {
    let mut world = World::new();
    world.install(&expiring(11)).unwrap();
    world.pass(DAY - 60_000);
    world.input(Input::Tick);
    world.now.wall.0 -= 9 * DAY;
    let lease = world.checkout(10, 1).unwrap().lease;
    assert_eq!(lease.length_ms, DurationMs(60_000));
    let status = world.status();
    assert!(
        status.degraded[0].starts_with("clock: "),
        "{:?}",
        status.degraded
    );
    assert!(status.stopped.is_empty());
    world.pass(60_000);
    refused(world.checkout(10, 2), RefusalCode::LicenseExpired);
    // The mark, kept once an hour, keeps it across a restart.
    world.run(3_700_000);
    world.restart();
    refused(world.checkout(10, 2), RefusalCode::LicenseExpired);
}

#[test]
fn l11_a_clock_that_nothing_depends_on_holds_nothing_and_says_so() {
    let mut world = World::new();
    world.install(&expiring(20)).unwrap();
    let said = |world: &mut World| world.status().degraded.remove(0);
    world.now.wall.0 += 2 * DAY;
    let harmless = said(&mut world);
    assert!(harmless.starts_with("clock: "), "{harmless}");
    assert!(!harmless.contains("clock-held"), "{harmless}");
    world.now.wall.0 += 15 * DAY;
    let held = said(&mut world);
    assert!(held.contains("`clock-held`"), "{held}");
}

#[test]
fn l11_a_far_lead_holds_only_what_depends_on_it_until_confirmed() {
    let mut world = World::new();
    let mut solver = feature("solver", Some(2));
    solver.expires = Some(WallMs(ISSUED.0 + 20 * DAY));
    let mesher = feature("mesher", Some(2));
    world
        .install(&signed(&license("acme-1", 1, vec![solver, mesher])))
        .unwrap();
    let lease = world.checkout(10, 1).unwrap().lease;
    world.now.wall.0 += 15 * DAY;
    refused(world.checkout(10, 2), RefusalCode::ClockHeld);
    world.renew(10, &lease, 1, link(1, 2)).unwrap();
    let mut mesh = wants(3);
    mesh.feature = "mesher".parse().unwrap();
    world.checkout_with(10, mesh).unwrap();
    world.admin(AdminAsk::ConfirmClock).unwrap();
    refused(world.checkout(10, 2), RefusalCode::LicenseExpired);
    assert!(world.status().degraded.is_empty());
}

#[test]
fn l11_a_newer_license_lowers_the_mark_for_its_own_vendor_alone() {
    let mut world = World::with_seats(2);
    world.pass(1);
    world.now.wall.0 += 500 * DAY;
    world.admin(AdminAsk::ConfirmClock).unwrap();
    world.now.wall.0 -= 500 * DAY;
    refused(world.checkout(10, 1), RefusalCode::LicenseExpired);
    let mut newer = license("acme-1", 2, vec![feature("solver", Some(2))]);
    newer.issued = WallMs(ISSUED.0 + 5 * DAY);

    let mut foreign = license("other-1", 1, vec![feature("solver", Some(2))]);
    foreign.vendor = "other".parse().unwrap();
    foreign.issued = WallMs(ISSUED.0 + DAY);
    world.install(&signed_by(&foreign, &key(6), None)).unwrap();
    refused(world.checkout(10, 1), RefusalCode::LicenseExpired);
    world
        .admin(AdminAsk::RemoveLicense("other-1".parse().unwrap()))
        .unwrap();

    world.install(&signed(&newer)).unwrap();
    world.checkout(10, 1).unwrap();
    world.restart();
    world.checkout(10, 2).unwrap();
}

#[test]
fn l11_the_mark_is_kept_once_an_hour_without_need_of_clients() {
    let mut world = World::with_seats(2);
    let head = world.engine.head().0;
    world.run(5 * 3_600_000);
    assert_eq!(world.engine.head().0 - head, 5);
}

#[test]
fn l11_the_mark_rides_with_another_record_once_it_is_ten_minutes_old() {
    let mut world = World::with_seats(9);
    let mark = |world: &World| world.store["mark"].clone();
    let first = mark(&world);
    world.pass(599_999);
    world.checkout(10, 1).unwrap();
    assert_eq!(mark(&world), first);
    world.pass(1);
    // Nothing is written for its sake alone.
    world.status();
    assert_eq!(mark(&world), first);
    world.checkout(10, 2).unwrap();
    assert_ne!(mark(&world), first);
}
