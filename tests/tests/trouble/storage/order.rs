//! In which order a life makes durable what others count on: a name before what is kept under it, and the usage log
//! before its entries leave the outbox (S1, S2). A crash between the two is rare enough that no round of kills or power
//! cuts would ever meet it, so the calls themselves are looked at.

use std::path::Path;
use std::thread;
use std::time::Duration;

use usher_tests::daemon::{Daemon, Vendor};
use usher_tests::shim::{Call, Shim};
use usher_tests::station::Station;

use super::points::put;

#[test]
fn s1_the_name_of_each_new_directory_is_durable_before_anything_is_lent() {
    let station = Station::here();
    let home = station.home().join("newly");
    std::fs::create_dir(&home).unwrap();
    // None of these is there yet, the state directory no more than those above it.
    let state = home.join("made/by/usherd");
    let mut daemon = Daemon::on(&station, &state);
    let shim = Shim::new(&home, &station.home().join("calls"));
    put(&shim, &mut daemon);
    daemon.start_again();
    // Ready to lend: whatever comes from here on counts on those names.
    let calls = shim.calls();
    let made: Vec<_> = calls.iter().filter(|call| call.kind == "mkdir").collect();
    for above in state.ancestors().take_while(|above| *above != home) {
        assert!(
            made.iter().any(|call| call.path == above),
            "{above:?} was there"
        );
    }
    for Call { number, path, .. } in made {
        let parent = path.parent().unwrap();
        assert!(
            synced(&calls, parent).any(|call| call.number > *number),
            "the name of {} is not durable: {calls:#?}",
            path.display()
        );
    }
}

#[test]
fn s2_what_a_killed_life_wrote_to_the_log_is_synced_before_it_leaves_the_outbox() {
    let station = Station::here();
    let vendor = Vendor::new(&station, "acme");
    let mut daemon = Daemon::start(&station);
    daemon.install(&vendor.license(&daemon, &["--feature", "solver:2"]));
    // All is in the log, so the next life has nothing left to append to it; and it may be in the page cache
    // alone, for nobody can tell how far a life came that was killed.
    while !daemon
        .ask(&["usage", "export", "--json"])
        .contains(LAST_EVENT)
    {
        thread::sleep(Duration::from_millis(50));
    }
    daemon.kill();
    let state = daemon.state_dir();
    let shim = Shim::new(&state, &station.home().join("calls"));
    put(&shim, &mut daemon);
    daemon.start_again();
    let calls = shim.calls();
    let segments = std::fs::read_dir(state.join("usage")).unwrap();
    let newest = segments.map(|it| it.unwrap().path()).max().unwrap();
    // Opening brings to sled's outbox what the killed life left in its steps. Once the steps' files are this life's own,
    // its first step says to the store what is logged.
    let store = state.join("store");
    let own = calls
        .iter()
        .find(|call| call.kind == "pwrite" && call.path == store.join("steps.0"));
    let own = own
        .unwrap_or_else(|| panic!("no heading of the steps: {calls:#?}"))
        .number;
    let step = calls.iter().find(|call| {
        call.kind == "fdatasync" && call.path == store.join("db") && call.number > own
    });
    let step = step.unwrap_or_else(|| panic!("no step of the store: {calls:#?}"));
    for path in [newest.as_path(), newest.parent().unwrap()] {
        assert!(
            synced(&calls, path).any(|call| call.number < step.number),
            "{} is not synced before {step:?}: {calls:#?}",
            path.display()
        );
    }
}

/// The calls that made a file, or the names in a directory, durable.
fn synced<'a>(calls: &'a [Call], path: &'a Path) -> impl Iterator<Item = &'a Call> {
    let syncs = ["fsync", "fdatasync"];
    calls
        .iter()
        .filter(move |call| call.path == path && syncs.contains(&call.kind.as_str()))
}

/// What an installed license ends with in the usage log.
const LAST_EVENT: &str = "license-text";
