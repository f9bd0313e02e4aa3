//! Do holders keep their seats over a daemon's restarts, and whatever its wall clock shows then?

use std::fs;

use usher_client::clock::Clock;
use usher_protocol::calendar::parse_rfc3339;
use usher_tests::holder::{Mood, What};

use super::seats_site::{Desk, Seats, all_events};

#[test]
fn a_restart_is_hardly_noticed_by_20_holders() {
    let mut seats = Seats::here("20,lease-default=10m");
    let mut desks = holding(&seats, 20);
    let before = seats.lease_ids();
    let ended = seats.daemon.terminate();
    assert!(ended.success(), "{ended}");
    seats.daemon.start_again();
    assert_eq!(seats.lease_ids(), before);
    seats.wait_none_held();
    assert_kept(&mut desks);
    assert_eq!(seats.lease_ids(), before);
}

#[test]
fn no_lease_is_lost_when_the_wall_clock_steps_while_the_daemon_is_dead() {
    let Some(faketime) = faketime() else {
        println!("SKIPPED: libfaketime is not installed");
        return;
    };
    // Idle holders notice a dead daemon at their next renewal: soon, with leases as short as these.
    let mut seats = Seats::here("3,lease-min=2s,lease-default=15s");
    seats.daemon.kill();
    seats.daemon.set_variable("LD_PRELOAD", &faketime);
    seats
        .daemon
        .set_variable("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    seats.daemon.set_variable("FAKETIME", "+0");
    seats.daemon.start_again();
    let mut desks = holding(&seats, 3);
    let before = seats.lease_ids();
    // L11: a step back moves nothing; a lead of a month at most across a start is believed.
    for (step, believed, worry) in [
        ("-2h", 0, Some("behind license time")),
        ("+2h", 2, None),
        ("+40d", 2, Some("leads license time")),
        ("+0", 2, Some("behind license time")),
    ] {
        seats.daemon.kill();
        seats.daemon.set_variable("FAKETIME", step);
        seats.daemon.start_again();
        assert_eq!(seats.lease_ids(), before, "{step}");
        seats.wait_none_held();
        let status = seats.status();
        let worries = status["degraded"].as_array().unwrap();
        let said = |worry| {
            worries
                .iter()
                .any(|it| it.as_str().unwrap().contains(worry))
        };
        assert_eq!(
            worries.len(),
            usize::from(worry.is_some()),
            "{step}: {status}"
        );
        assert!(worry.is_none_or(said), "{step}: {status}");
        assert_eq!(status["stopped"].as_array().unwrap().len(), 0, "{status}");
        let shown = parse_rfc3339(status["license-time"].as_str().unwrap()).unwrap();
        let lead = shown
            .0
            .abs_diff(Clock::new().now().wall.0 + believed * HOUR_MS);
        assert!(lead < HOUR_MS / 2, "{step}: {status}");
        assert_kept(&mut desks);
    }
    let mut late = seats.desk();
    late.holder.refused("late", "solver");
    desks[0].holder.release("seat");
    late.holder.granted("late", "solver");
}

/// So many holders, each with a seat.
fn holding(seats: &Seats, count: usize) -> Vec<Desk> {
    let mut desks = seats.desks(count);
    for desk in &mut desks {
        desk.holder.granted("seat", "solver");
    }
    desks
}

fn assert_kept(desks: &mut [Desk]) {
    for desk in desks.iter_mut() {
        let (mood, text) = desk.holder.state("seat");
        assert_ne!(mood, Mood::Lost, "{text}");
    }
    for event in all_events(desks).into_iter().flatten() {
        if let What::Changed(change) = &event.what {
            let mild = change.starts_with("renewing") || change == "active again";
            assert!(mild, "{event:?}");
        }
    }
}

/// The library that shows a process another wall clock.
pub(super) fn faketime() -> Option<String> {
    let mut libraries = fs::read_dir("/usr/lib").unwrap().flatten();
    let found = libraries.find_map(|directory| {
        let library = directory.path().join("faketime/libfaketimeMT.so.1");
        library.is_file().then_some(library)
    });
    found.map(|library| library.to_str().unwrap().to_owned())
}

const HOUR_MS: u64 = 3_600_000;
