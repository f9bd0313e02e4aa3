//! Do commands that wait for a seat get it in their turn, and nobody because of one that is gone (L9)?

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read as _};
use std::process::{Child, ChildStderr, Output};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::usher_site::{Site, stderr};
use usher_tests::daemon::Vendor;

#[test]
fn l9_waiters_are_served_in_order_and_see_their_places_change() {
    let site = Site::new(&["--feature", "solver:1"]);
    let mut holder = hold(&site);
    let served = site.station.home().join("served");
    let waiters: Vec<Waiter> = (1..=3)
        .map(|number| {
            let script = format!("echo {number} >> {}", served.display());
            Waiter::start(&site, &["--wait", "10m", "--", "sh", "-c", &script], number)
        })
        .collect();
    assert_eq!(queued(&site), 3);
    end(&mut holder);
    let said: Vec<String> = waiters.into_iter().map(Waiter::served).collect();
    assert_eq!(fs::read_to_string(&served).unwrap(), "1\n2\n3\n");
    let mut places = said[2].lines().filter_map(|line| {
        let (_, place) = line.split_once("waiting for acme/solver: ")?;
        place.split(' ').next()
    });
    // The first line was read before; the others were pushed, each once.
    assert_eq!(
        places.by_ref().collect::<Vec<_>>(),
        ["2nd", "1st"],
        "{}",
        said[2]
    );
    assert!(
        said[2].contains("✓ acme/solver: seat 1 of 1 from "),
        "{}",
        said[2]
    );
    assert_eq!(queued(&site), 0);
}

#[test]
fn l9_on_a_terminal_the_place_stands_in_one_line() {
    let site = Site::new(&["--feature", "solver:1"]);
    let mut holder = hold(&site);
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let screen = File::options().write(true).open(name.to_str().unwrap());
    let mut command = site.usher();
    command.args(["run", "acme/solver", "--wait", "10m", "--", "true"]);
    let mut waiter = command.stderr(screen.unwrap()).spawn().unwrap();
    // It keeps its screen open until here; afterwards only the waiter does.
    drop(command);
    let watching = thread::spawn(move || {
        let mut shown = Vec::new();
        // A terminal that nobody has open any more ends with an error.
        let _ = File::from(terminal).read_to_end(&mut shown);
        String::from_utf8_lossy(&shown).into_owned()
    });
    wait_queued(&site, 1);
    end(&mut holder);
    assert!(waiter.wait().unwrap().success());
    let shown = watching.join().unwrap();
    assert!(
        shown.contains("waiting for acme/solver: 1st of 1"),
        "{shown:?}"
    );
    let (_, after) = shown.rsplit_once("1st of 1").unwrap();
    assert!(
        !shown.contains("\nusher: waiting") && after.contains("✓"),
        "{shown:?}"
    );
}

#[test]
fn l6_a_holder_that_slept_comes_before_those_who_wait() {
    let terms = "solver:1,lease-min=2s,lease-default=8s";
    let site = Site::new(&["--feature", terms, "--environment", "test"]);
    let sleep = ["--", "sleep", "600"];
    let sleeper = ["--test", "acme/solver", "--on-lost", "warn"];
    let mut sleeper = site.start(&[&sleeper[..], &sleep].concat());
    let mut words = lines(&mut sleeper);
    read_until(&mut words, "✓ ");
    let patient = [&["--test", "--wait", "10m"][..], &sleep].concat();
    let mut second = Waiter::start(&site, &patient, 1);
    let mut third = Waiter::start(&site, &patient, 2);
    // The lid closes for longer than the lease.
    signal(&sleeper, Signal::STOP);
    read_until(&mut second.words, "✓ ");
    signal(&sleeper, Signal::CONT);
    read_until(&mut words, "the seat is lost");
    wait_queued(&site, 2);
    end(&mut second.child);
    read_until(&mut words, "the seat is held again");
    end(&mut sleeper);
    read_until(&mut third.words, "✓ ");
    end(&mut third.child);
}

#[test]
fn l9_a_signal_leaves_the_queue_before_the_command_exists() {
    let site = Site::new(&["--feature", "solver:1"]);
    let mut holder = hold(&site);
    let never = site.station.home().join("never");
    let touch = never.to_str().unwrap();
    let patient = ["--wait", "10m", "--", "touch", touch];
    for (sent, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let waiter = Waiter::start(&site, &patient, 1);
        signal(&waiter.child, sent);
        assert_eq!(waiter.end().0, Some(code));
        // Said before it ended: nobody has to find out.
        assert_eq!(queued(&site), 0);
    }
    let first = Waiter::start(&site, &patient, 1);
    let second = Waiter::start(&site, &["--wait", "10m", "--", "true"], 2);
    signal(&first.child, Signal::TERM);
    assert_eq!(first.end().0, Some(143));
    end(&mut holder);
    second.served();
    assert!(!never.exists());
}

#[test]
fn l9_a_killed_waiter_holds_up_the_next_only_for_an_offer() {
    let site = Site::new(&["--feature", "solver:1"]);
    let mut holder = hold(&site);
    let mut first = Waiter::start(&site, &["--wait", "10m", "--", "true"], 1);
    let second = Waiter::start(&site, &["--wait", "10m", "--", "true"], 2);
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    end(&mut holder);
    second.served();
}

#[test]
fn l9_a_waiter_survives_a_restart_of_the_daemon() {
    let mut site = Site::new(&["--feature", "solver:1"]);
    let mut holder = hold(&site);
    let waiter = Waiter::start(&site, &["--wait", "10m", "--", "true"], 1);
    site.daemon.kill();
    site.daemon.start_again();
    wait_queued(&site, 1);
    end(&mut holder);
    waiter.served();
}

#[test]
fn l9_a_wait_in_vain_names_the_holders_and_leaves_the_queue() {
    let site = Site::new(&["--feature", "solver:1"]);
    let mut holder = hold(&site);
    for verb in ["run", "checkout"] {
        let rest: &[&str] = match verb {
            "run" => &["--", "echo", "never"],
            _ => &["--for", "10m"],
        };
        let mut command = site.usher();
        command
            .args([verb, "acme/solver", "--wait", "500ms"])
            .args(rest);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(75), "{}", stderr(&output));
        assert!(output.stdout.is_empty());
        let said = stderr(&output);
        for part in [
            "waiting for acme/solver: 1st of 1",
            // What it says is the time that it waited, and a busy machine adds to that.
            "usher: no seat came free within ",
            "; the queue was left at place 1 of 1",
            "HELD BY",
            &format!(" {} ", holder.id()),
            "next: ",
        ] {
            assert!(said.contains(part), "{part:?} is missing in\n{said}");
        }
        assert_eq!(queued(&site), 0);
    }
    end(&mut holder);
}

#[test]
fn l9_a_script_waits_for_a_lease_too() {
    let site = Site::new(&["--feature", "solver:1"]);
    let mut holder = hold(&site);
    let mut command = site.usher();
    command.args(["checkout", "solver", "--for", "10m", "--wait", "10m", "-q"]);
    let taking = thread::spawn(move || command.output().unwrap());
    wait_queued(&site, 1);
    end(&mut holder);
    let taken = taking.join().unwrap();
    assert!(taken.status.success(), "{}", stderr(&taken));
    assert_eq!(stderr(&taken), "", "the quiet wait quietly");
    let id = String::from_utf8(taken.stdout).unwrap();
    assert!(site.call(&["release", id.trim()]).status.success());
}

#[test]
fn a_set_is_had_whole_or_not_at_all_and_can_wait() {
    let site = Site::new(&["--feature", "solver:1", "--feature", "mesher:1"]);
    let both = ["acme/solver", "acme/mesher"];
    let told = site.run(&[&both[..], &["--", "sh", "-c", CHILD_OF_A_SET]].concat());
    assert!(told.status.success(), "{}", stderr(&told));
    let words = String::from_utf8(told.stdout).unwrap();
    assert_eq!(words, "acme/solver acme/mesher\n2 leases\n2 files\n");

    let mut holder = site.start(&["acme/mesher", "--", "sleep", "600"]);
    read_until(&mut lines(&mut holder), "✓ ");
    let refused = site.run(&[&both[..], &["--", "true"]].concat());
    assert_eq!(refused.status.code(), Some(75), "{}", stderr(&refused));
    // The solver that was free was not taken meanwhile.
    assert!(site.run(&["acme/solver", "--", "true"]).status.success());

    let mut child = site.start(&[&both[..], &["--wait", "10m", "--", "true"]].concat());
    let mut words = lines(&mut child);
    read_until(&mut words, "waiting for acme/solver, acme/mesher: 1st of 1");
    end(&mut holder);
    Waiter { child, words }.served();
}

#[test]
fn a_set_of_two_vendors_is_refused_with_a_way_out() {
    let site = Site::new(&["--feature", "solver:1"]);
    let other = Vendor::new(&site.station, "bell");
    let trusted = site.station.home().join(".config/usher/trust.d/bell.pub");
    fs::copy(other.directory().join("bell.pub"), trusted).unwrap();
    let refused = site.run(&["acme/solver", "bell/tool", "--", "true"]);
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    let said = stderr(&refused);
    assert!(
        said.contains("features of one vendor can be had together"),
        "{said}"
    );
    assert!(
        said.contains("usher run acme/… -- usher run bell/… -- CMD"),
        "{said}"
    );
}

/// A command that stands in the queue.
struct Waiter {
    child: Child,
    words: BufReader<ChildStderr>,
}

impl Waiter {
    /// Starts `usher run acme/solver` and returns once it stands at that place.
    fn start(site: &Site, arguments: &[&str], place: u32) -> Self {
        let mut child = site.start(&[&["acme/solver"], arguments].concat());
        let mut words = lines(&mut child);
        let ending = ["th", "st", "nd", "rd"][place as usize % 4];
        let place = format!("waiting for acme/solver: {place}{ending} of {place}");
        read_until(&mut words, &place);
        Self { child, words }
    }

    /// Waits for its end: the exit code, and what it said meanwhile.
    fn end(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        loop {
            let mut line = String::new();
            if self.words.read_line(&mut line).unwrap() == 0 {
                break;
            }
            said += &line;
        }
        (self.child.wait().unwrap().code(), said)
    }

    /// Waits until it has had its seat, and returns what it said.
    fn served(self) -> String {
        let (code, said) = self.end();
        assert_eq!(code, Some(0), "{said}");
        said
    }
}

/// A command that has the only seat.
fn hold(site: &Site) -> Child {
    let mut holder = site.start(&["acme/solver", "--", "sleep", "600"]);
    read_until(&mut lines(&mut holder), "✓ ");
    holder
}

fn end(holder: &mut Child) {
    signal(holder, Signal::TERM);
    assert_eq!(holder.wait().unwrap().code(), Some(143));
}

/// What `usher features` says of the first feature's queue at this moment.
fn queued(site: &Site) -> u64 {
    let mut output: Output = site.call(&["features", "--json"]);
    if !output.status.success() {
        output = site.call(&["features", "--json", "--test"]);
    }
    let features: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    features[0]["queued"].as_u64().unwrap()
}

fn wait_queued(site: &Site, count: u64) {
    for _ in 0..600 {
        if queued(site) == count {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("{count} do not wait");
}

fn lines(child: &mut Child) -> BufReader<ChildStderr> {
    BufReader::new(child.stderr.take().unwrap())
}

fn read_until(words: &mut impl BufRead, wanted: &str) {
    let mut said = String::new();
    loop {
        let mut line = String::new();
        assert!(
            words.read_line(&mut line).unwrap() > 0,
            "{wanted:?} is not said:\n{said}"
        );
        if line.contains(wanted) {
            return;
        }
        said += &line;
    }
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

const CHILD_OF_A_SET: &str = r#"
echo "$USHER_FEATURE"
set -- $USHER_LEASE; echo "$# leases"
IFS=:; set -- $USHER_LEASE_FILE
for file in "$@"; do [ -s "$file" ]; done && echo "$# files"
"#;
