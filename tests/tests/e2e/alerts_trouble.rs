//! Is somebody told of each kind of trouble, as it really happens: seats that are denied or overcommitted, a wall clock
//! that leads, a copied machine, a store that was put back, a disk that is full?

use std::fs;
use std::net::TcpListener;

use usher_tests::daemon::{Daemon, Vendor};
use usher_tests::hosts::on_lan;
use usher_tests::peer::{Held, Peer, key, root_of, runtime};
use usher_tests::station::Station;

use super::alerts_ground::{configure, list, listener, prepare, receive, wait, wait_event};
use super::hostile_clones::copy;
use super::hostile_disk::{fill, onto_small_disk, until_trouble};
use super::seats_restart::faketime;
use super::seats_site::{Seats, eventually};

#[test]
fn denials_and_too_many_seats_out_are_told() {
    let mut seats = Seats::here("2");
    let (port, listener) = listener();
    let got = receive(listener, &[]);
    let events = "events = [\"exhaustion\", \"denial\", \"overcommit\"]";
    configure(
        &mut seats.daemon,
        &format!("url = \"http://127.0.0.1:{port}/\"\n{events}"),
    );
    let mut desks = seats.desks(3);
    for desk in &mut desks[..2] {
        desk.holder.granted("a", "solver");
    }
    let refusal = desks[2].holder.refused("a", "solver");
    assert_eq!(refusal.code, "no-seat");
    // A pool that is full because fewer seats are licensed is told at once; a denial a minute after its last repeat.
    seats.replace("1");
    let event = wait_event(&seats.daemon, &got, "overcommit");
    assert_eq!(
        (&event["phase"], &event["subject"]),
        (&"begun".into(), &SUBJECT.into())
    );
    let mut later = [wait(&got).event(), wait(&got).event()];
    later.sort_by_key(|event| event["event"].to_string());
    let [denial, exhaustion] = later;
    assert_eq!(
        (&denial["event"], &denial["phase"]),
        (&"denial".into(), &"once".into())
    );
    assert_eq!(denial["subject"], SUBJECT);
    let text = "1 request was denied since the last such event: no-seat";
    assert_eq!(denial["text"], text);
    assert_eq!(
        (&exhaustion["event"], &exhaustion["phase"]),
        (&"exhaustion".into(), &"begun".into())
    );
    for event in [denial, exhaustion] {
        let event = event.to_string();
        assert!(
            !event.contains("host") && !event.contains("user"),
            "{event}"
        );
    }
}

#[test]
fn a_wall_clock_that_leads_is_told() {
    let Some(faketime) = faketime() else {
        println!("SKIPPED: libfaketime is not installed");
        return;
    };
    let mut seats = Seats::here("2");
    let (port, listener) = listener();
    let got = receive(listener, &[]);
    let table = format!("url = \"http://127.0.0.1:{port}/\"\nevents = [\"clock\"]");
    configure(&mut seats.daemon, &table);
    assert!(seats.daemon.terminate().success());
    for (name, value) in [
        ("LD_PRELOAD", faketime.as_str()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("FAKETIME", "+40d"),
    ] {
        seats.daemon.set_variable(name, value);
    }
    seats.daemon.start_again();
    // Signed by that very clock: a receiver whose own is right takes it for a replay, so the recipe is not asked here.
    let event = wait(&got).event();
    assert_eq!(
        (&event["event"], &event["phase"]),
        (&"clock".into(), &"begun".into())
    );
    let text = event["text"].as_str().unwrap();
    assert!(text.contains("leads license time"), "{text}");
}

#[test]
fn a_copied_machine_is_told_by_both() {
    on_lan(|lan| {
        let (one, two) = (lan.host("lic01"), lan.host("lic02"));
        let vendor = Vendor::new(&one, "acme");
        let mut first = Daemon::start_on_host(&one);
        first.install(&vendor.license(&first, &["--feature", "solver:2"]));
        assert!(first.terminate().success());
        let mut second = Daemon::start_on_host(&two);
        assert!(second.terminate().success());
        copy(&first, &second);
        let table = |port| format!("url = \"http://127.0.0.1:{port}/\"\nevents = [\"clone\"]");
        let mut told = Vec::new();
        for (host, daemon) in [(&one, &mut first), (&two, &mut second)] {
            let (port, listener) = host.enter(listener);
            prepare(daemon, &table(port));
            told.push(receive(listener, &[]));
            daemon.start_again();
        }
        for (daemon, got) in [&first, &second].into_iter().zip(&told) {
            let event = wait_event(daemon, got, "clone");
            assert_eq!(
                (&event["phase"], &event["subject"]),
                (&"begun".into(), &"clone".into())
            );
        }
    });
}

#[test]
fn a_store_that_was_put_back_is_told() {
    let mut seats = Seats::here("2");
    let (port, listener) = listener();
    let got = receive(listener, &[]);
    let table = format!("url = \"http://127.0.0.1:{port}/\"\nevents = [\"store\"]");
    configure(&mut seats.daemon, &table);
    let backup = seats.daemon.state_dir().join("backup");
    let backup = backup.to_str().unwrap();
    seats.daemon.ask(&["backup", backup]);
    let mut desk = seats.desk();
    desk.holder.granted("a", "solver");
    assert!(seats.daemon.terminate().success());
    fs::remove_dir_all(seats.daemon.state_dir().join("usage")).unwrap();
    seats.daemon.ask(&["restore", "--yes", backup]);
    seats.daemon.start_again();
    let event = wait_event(&seats.daemon, &got, "store");
    assert_eq!(
        (&event["phase"], &event["subject"]),
        (&"begun".into(), &"store".into())
    );
    let text = event["text"].as_str().unwrap();
    assert!(text.starts_with("holding: "), "{text}");
}

/// L13: nothing can be stored, so the event cannot be, either; it is the daemon's last word.
#[test]
fn l13_a_daemon_that_ends_for_want_of_a_disk_says_so_first() {
    // Only for its mount namespace: the small disk is seen by this test and its daemon alone.
    on_lan(|_| {
        let station = Station::here();
        let vendor = Vendor::new(&station, "acme");
        let mut daemon = Daemon::start(&station);
        daemon.install(&vendor.license(&daemon, TERMS));
        assert!(daemon.terminate().success());
        let (port, listener): (u16, TcpListener) = listener();
        let got = receive(listener, &[]);
        let table = format!("url = \"http://127.0.0.1:{port}/\"\nevents = [\"store\"]");
        prepare(&mut daemon, &table);
        let state = daemon.state_dir();
        onto_small_disk(&station, state.to_str().unwrap());
        daemon.start_again();
        eventually("a receiver", || list(&daemon)[0]["waiting"] == 0);
        let filler = state.join("filler");
        let (at, root) = (daemon.address(), root_of(&vendor));
        runtime().block_on(async {
            let mut peer = Peer::welcomed(at, &key(1), root).await;
            let mut acknowledged = vec![Held::checkout(&mut peer).await];
            fill(&station, filler.to_str().unwrap());
            until_trouble(&mut peer, &mut acknowledged).await;
        });
        let event = wait_event(&daemon, &got, "store");
        assert_eq!(
            (&event["phase"], &event["subject"]),
            (&"once".into(), &"store".into())
        );
        let text = event["text"].as_str().unwrap();
        assert!(text.contains("nothing can be stored"), "{text}");
        assert!(!daemon.wait().success());
    });
}

const SUBJECT: &str = "acme/solver (test)";
const TERMS: &[&str] = &["--environment", "test", "--feature", "solver:100000"];
