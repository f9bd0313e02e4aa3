//! Does a full disk stop every grant at once, and lose none that was acknowledged (L13)?

use std::fs;

use usher_protocol::refusal::RefusalCode;
use usher_protocol::wire::{Reply, Request};
use usher_tests::daemon::{Daemon, Vendor};
use usher_tests::hosts::on_lan;
use usher_tests::station::Station;

use usher_tests::peer::{Held, Peer, a_seat, key, root_of, runtime};

#[test]
fn a_full_disk_ends_the_daemon_and_loses_no_acknowledged_lease() {
    // Only for its mount namespace: the small disk is seen by this test and its daemon alone.
    on_lan(|_| {
        let station = Station::here();
        let vendor = Vendor::new(&station, "acme");
        let mut daemon = Daemon::start(&station);
        daemon.install(&vendor.license(&daemon, TERMS));
        daemon.terminate();
        let state = daemon.state_dir();
        onto_small_disk(&station, state.to_str().unwrap());
        daemon.start_again();
        let (at, root) = (daemon.address(), root_of(&vendor));
        let runtime = runtime();
        let filler = state.join("filler");
        let mut acknowledged = runtime.block_on(async {
            let mut peer = Peer::welcomed(at, &key(1), root).await;
            let mut acknowledged = vec![Held::checkout(&mut peer).await];
            fill(&station, filler.to_str().unwrap());
            until_trouble(&mut peer, &mut acknowledged).await;
            acknowledged
        });
        let ended = daemon.wait();
        let log = daemon.log();
        println!("{ended}\n{log}");
        assert!(!ended.success());
        assert!(
            log.contains("o space") && log.contains("free"),
            "no next step:\n{log}"
        );
        // As long as there is no space, it does not pretend.
        let again = daemon.start_and_fail();
        println!("{}", String::from_utf8_lossy(&again.stderr));
        assert!(!again.status.success());
        fs::remove_file(filler).unwrap();
        daemon.start_again();
        runtime.block_on(async {
            let mut peer = Peer::welcomed(at, &key(1), root).await;
            for held in &mut acknowledged {
                held.reattach(&mut peer).await;
            }
            assert!(matches!(
                peer.ask(Request::Checkout(a_seat())).await,
                Reply::Granted(_)
            ));
        });
        let usage = daemon.ask(&["usage", "verify"]);
        println!("{usage}");
    });
}

/// Moves a state directory onto a file system of a few MiB.
pub(super) fn onto_small_disk(station: &Station, state: &str) {
    station.sh(&format!(
        "cp -a {state} kept
        mount -t tmpfs -o size={DISK} tmpfs {state}
        cp -a kept/. {state}
        chmod 700 {state}"
    ));
}

/// Something else takes all the space there is.
pub(super) fn fill(station: &Station, filler: &str) {
    let mut dd = station.command("dd");
    dd.args([
        "if=/dev/zero",
        "bs=1024",
        "status=none",
        &format!("of={filler}"),
    ]);
    assert!(
        !dd.output().unwrap().status.success(),
        "the disk is not full"
    );
}

/// Checks out until the daemon cannot store a grant; then there is none any more.
pub(super) async fn until_trouble(peer: &mut Peer, acknowledged: &mut Vec<Held>) {
    let trouble = loop {
        assert!(acknowledged.len() < LEASES_MAX, "the disk never filled");
        let seat = a_seat();
        match peer.try_checkout(seat.clone()).await {
            Some(Reply::Granted(grant)) => acknowledged.push(Held::of(&seat, grant)),
            Some(Reply::Refused(refusal)) => break Some(refusal),
            Some(other) => panic!("{other:?}"),
            None => break None,
        }
    };
    println!(
        "{} leases acknowledged, then {trouble:?}",
        acknowledged.len()
    );
    if let Some(refusal) = trouble {
        assert_eq!(
            refusal.code,
            RefusalCode::StorageTrouble,
            "{}",
            refusal.detail
        );
        // A4: storage text never crosses the network.
        assert!(!refusal.detail.contains("os error"), "{}", refusal.detail);
    }
    if let Some(reply) = peer.try_checkout(a_seat()).await {
        assert!(matches!(reply, Reply::Refused(_)), "{reply:?}");
    }
}

const TERMS: &[&str] = &["--environment", "test", "--feature", "solver:100000"];
const DISK: &str = "8m";
const LEASES_MAX: usize = 240;
