//! Does `usher run` hold a seat for exactly as long as its command runs, and say so?

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Child;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::usher_site::{Site, stderr};

#[test]
fn the_childs_code_comes_back_and_the_seat_is_free_again() {
    let site = Site::new(&["--feature", "solver:1"]);
    for _ in 0..3 {
        let output = site.run(&["acme/solver", "--", "sh", "-c", "echo out; exit 3"]);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert_eq!(output.stdout, b"out\n");
        let said = stderr(&output);
        assert!(
            said.starts_with("✓ acme/solver: seat 1 of 1 from "),
            "{said}"
        );
        assert!(said.trim_end().contains(", renewed every 3m"), "{said}");
    }
    let quiet = site.run(&["-q", "solver", "--", "true"]);
    assert_eq!(
        (quiet.status.code(), stderr(&quiet).as_str()),
        (Some(0), "")
    );
}

#[test]
fn codes_of_commands_that_cannot_start() {
    let site = Site::new(&["--feature", "solver:1"]);
    let missing = site.run(&["acme/solver", "--", "/no/such/program"]);
    assert_eq!(missing.status.code(), Some(127), "{}", stderr(&missing));
    let directory = site.run(&["acme/solver", "--", "/"]);
    assert_eq!(directory.status.code(), Some(126), "{}", stderr(&directory));
    let usage = site.run(&["acme/solver"]);
    assert_eq!(usage.status.code(), Some(2));
    assert_eq!(
        site.run(&["Acme/solver", "--", "true"]).status.code(),
        Some(2)
    );
}

#[test]
fn the_child_is_told_of_its_lease() {
    let site = Site::new(&["--feature", "solver:10"]);
    let script = "echo $USHER_LEASE; echo $USHER_FEATURE; echo $USHER_SERVER_NAME";
    let output = site.run(&["acme/solver", "-n", "3", "--", "sh", "-c", script]);
    let told = String::from_utf8(output.stdout.clone()).unwrap();
    let lines: Vec<&str> = told.lines().collect();
    let lease = lines[0].split_once('-').unwrap();
    assert!(u64::from_str_radix(lease.0, 16).is_ok() && u64::from_str_radix(lease.1, 16).is_ok());
    assert_eq!(lines[1], "acme/solver");
    assert!(!lines[2].is_empty());
    assert!(
        stderr(&output).contains("seats 1 to 3 of 10"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn signals_reach_the_child_and_its_end_comes_back() {
    let site = Site::new(&["--feature", "solver:1"]);
    let script = "trap 'echo told; exit 7' USR1; echo up; while :; do sleep 0.05; done";
    let mut wrapper = site.start(&["acme/solver", "--", "sh", "-c", script]);
    let mut words = BufReader::new(wrapper.stdout.take().unwrap());
    assert_eq!(line(&mut words), "up");
    signal(&wrapper, Signal::USR1);
    assert_eq!(line(&mut words), "told");
    assert_eq!(wrapper.wait().unwrap().code(), Some(7));

    let mut wrapper = site.start(&["acme/solver", "--", "sleep", "60"]);
    site.wait_free("0");
    signal(&wrapper, Signal::TERM);
    assert_eq!(wrapper.wait().unwrap().code(), Some(128 + 15));
    site.wait_free("1");
}

#[test]
fn a_signal_ends_the_wait_for_a_server_at_once() {
    let site = Site::new(&["--feature", "solver:1"]);
    site.daemon.signal(Signal::STOP);
    for (sent, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut wrapper = site.start(&["acme/solver", "--", "true"]);
        listens(&wrapper, sent);
        thread::sleep(Duration::from_millis(100));
        signal(&wrapper, sent);
        assert_eq!(wrapper.wait().unwrap().code(), Some(code));
    }
    site.daemon.signal(Signal::CONT);
}

#[test]
fn no_seat_is_refused_with_its_holder_and_the_vendors_word() {
    let site = Site::new(&["--feature", "solver:1", "--support", "ask acme at 555"]);
    let mut holder = site.start(&["acme/solver", "--", "sleep", "60"]);
    site.wait_free("0");
    let refused = site.run(&["acme/solver", "--", "echo", "never"]);
    assert_eq!(refused.status.code(), Some(75), "{}", stderr(&refused));
    assert!(refused.stdout.is_empty());
    let said = stderr(&refused);
    for part in [
        "usher: no-seat: ",
        "HELD BY",
        &format!(" {} ", holder.id()),
        "earliest: within ",
        "vendor: ask acme at 555",
        "next: a seat may come free within",
    ] {
        assert!(said.contains(part), "{part:?} is missing in\n{said}");
    }
    signal(&holder, Signal::TERM);
    holder.wait().unwrap();
    assert!(site.run(&["acme/solver", "--", "true"]).status.success());
}

#[test]
fn a_lost_seat_stops_the_child_unless_told_otherwise() {
    let mut site = Site::new(&[
        "--feature",
        "solver:9,lease-min=2s,lease-default=8s",
        "--environment",
        "test",
    ]);
    let marker = site.station.home().join("went-on");
    let trap = "trap 'echo stopped; exit 0' TERM; while :; do sleep 0.05; done";
    let goes_on = format!(
        "while [ ! -e {} ]; do sleep 0.05; done; exit 5",
        marker.display()
    );
    let stop = site.start(&["--test", "solver", "--", "sh", "-c", trap]);
    let kill = site.start(&[
        "--test",
        "solver",
        "--on-lost",
        "kill",
        "--",
        "sh",
        "-c",
        trap,
    ]);
    let warn = site.start(&[
        "--test",
        "solver",
        "--on-lost",
        "warn",
        "--",
        "sh",
        "-c",
        &goes_on,
    ]);
    site.wait_free("6");
    site.daemon.kill();

    let stop = stop.wait_with_output().unwrap();
    assert_eq!(stop.status.code(), Some(76), "{}", stderr(&stop));
    assert_eq!(stop.stdout, b"stopped\n");
    let said = stderr(&stop);
    assert_eq!(said.matches("the seat is lost: ").count(), 1, "{said}");
    assert!(said.contains("; stopping the command"), "{said}");

    let kill = kill.wait_with_output().unwrap();
    assert_eq!(
        (kill.status.code(), kill.stdout.as_slice()),
        (Some(76), &b""[..])
    );

    fs::write(&marker, "").unwrap();
    let warn = warn.wait_with_output().unwrap();
    assert_eq!(warn.status.code(), Some(5), "{}", stderr(&warn));
    assert!(stderr(&warn).contains("; the command goes on without it"));
}

#[test]
fn no_server_is_said_within_seconds() {
    let mut site = Site::new(&["--feature", "solver:1"]);
    site.daemon.kill();
    let missed = site.run(&["acme/solver", "--", "echo", "never"]);
    assert_eq!(missed.status.code(), Some(69), "{}", stderr(&missed));
    assert!(stderr(&missed).contains("usher: no license server found\n"));
    assert!(missed.stdout.is_empty());
}

/// Waits until it has a handler for the signal: before that, the signal would just kill it.
fn listens(child: &Child, signal: Signal) {
    let status = format!("/proc/{}/status", child.id());
    for _ in 0..POLLS_MAX {
        let text = fs::read_to_string(&status).unwrap();
        let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.unwrap().trim(), 16).unwrap();
        if caught >> (signal.as_raw() - 1) & 1 == 1 {
            return;
        }
        thread::sleep(POLL);
    }
    panic!("it never listens to {signal:?}");
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn line(words: &mut impl BufRead) -> String {
    let mut line = String::new();
    words.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

const POLL: Duration = Duration::from_millis(10);
const POLLS_MAX: u32 = 6000;
