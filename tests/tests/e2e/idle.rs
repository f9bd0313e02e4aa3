//! Is idle free? Workstations that are connected, hold seats and renew them cost the daemon's disk nothing (L4).

use std::fs;

use usher_tests::daemon::{Daemon, Vendor};
use usher_tests::peer::{Held, Peer, key, pause, root_of, runtime, until};
use usher_tests::station::Station;

#[test]
fn l4_fifty_workstations_that_hold_renew_and_are_silent_cause_no_write() {
    let station = Station::here();
    let vendor = Vendor::new(&station, "acme");
    let daemon = Daemon::start(&station);
    // Long enough that nothing of it ends or is due while this looks on.
    let terms = ["--feature", "solver:50", "--environment", "test"];
    daemon.install(&vendor.license(&daemon, &terms));
    let root = root_of(&vendor);
    runtime().block_on(async {
        let mut workstations = Vec::new();
        for number in 1..=50 {
            let mut peer = Peer::welcomed(daemon.address(), &key(number), root).await;
            let held = Held::checkout(&mut peer).await;
            workstations.push((peer, held));
        }
        let before = at_rest(&daemon).await;
        assert!(
            before > 0,
            "fifty grants are on the disk, so this would be seen"
        );
        for (peer, held) in &mut workstations {
            held.renew(peer).await;
        }
        pause(LOOK_MS).await;
        assert_eq!(written_bytes(&daemon), before);
    });
}

/// Bytes written once the usage log has caught up with the grants.
async fn at_rest(daemon: &Daemon) -> u64 {
    let mut last = 0;
    until("the daemon's disk is at rest", POLLS_MAX, async || {
        let before = std::mem::replace(&mut last, written_bytes(daemon));
        pause(REST_MS).await;
        before == last && last == written_bytes(daemon)
    })
    .await;
    last
}

/// What the kernel says the process has written, or has dirtied to be written.
fn written_bytes(daemon: &Daemon) -> u64 {
    let io = fs::read_to_string(format!("/proc/{}/io", daemon.pid().as_raw_nonzero())).unwrap();
    let line = io
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "));
    line.unwrap().parse().unwrap()
}

const LOOK_MS: u64 = 3000;
const REST_MS: u64 = 1000;
const POLLS_MAX: u32 = 120;
