//! Is a borrowed seat ours without network and server, on this machine alone, once at a time, and only
//! until its end (L10)?

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use usher_tests::daemon::{Daemon, Vendor};
use usher_tests::hosts::on_lan;
use usher_tests::station::Station;

use super::usher_site::{Site, stderr};

const BORROWABLE: &[&str] = &["--feature", "solver:1,borrow-max=7d"];

#[test]
fn l10_it_works_with_the_network_cut_and_the_daemon_killed() {
    on_lan(|lan| {
        let (server, desk) = (lan.host("lic01"), lan.host("ws1"));
        let mut daemon = Daemon::start_on_host(&server);
        let vendor = Vendor::new(&server, "acme");
        daemon.install(&vendor.license(&daemon, BORROWABLE));
        trust(desk.station(), &vendor);
        let usher = |arguments: &[&str]| {
            let mut command = desk.command("usher");
            command.env_remove("USHER_TEST").args(arguments);
            command.output().unwrap()
        };

        let borrowed = json(&usher(&["borrow", "acme/solver", "--for", "7d", "--json"]));
        let file = PathBuf::from(borrowed["file"].as_str().unwrap());
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        desk.cut();
        daemon.kill();

        let script = "test -n \"$USHER_LEASE\" && echo ran \"$USHER_FEATURE\"";
        let ran = usher(&["run", "acme/solver", "--", "sh", "-c", script]);
        assert!(ran.status.success(), "{}", stderr(&ran));
        assert_eq!(String::from_utf8_lossy(&ran.stdout), "ran acme/solver\n");
        assert!(
            stderr(&ran).contains("✓ acme/solver: borrowed until"),
            "{}",
            stderr(&ran)
        );
        let bare = usher(&["run", "solver", "--", "true"]);
        assert!(bare.status.success(), "{}", stderr(&bare));
        let status = json(&usher(&["status", "--json"]));
        assert_eq!(
            (&status[0]["holds"], &status[0]["borrowed"]),
            (&true.into(), &true.into())
        );
        let unheard = usher(&["return", "acme/solver"]);
        assert_eq!(unheard.status.code(), Some(69), "{}", stderr(&unheard));
        assert!(file.exists(), "nobody has taken it back");
        let still = usher(&["run", "solver", "--", "true"]);
        assert!(still.status.success(), "{}", stderr(&still));

        desk.restore();
        daemon.start_again();
        let back = usher(&["return", "acme/solver"]);
        assert!(back.status.success(), "{}", stderr(&back));
        assert!(!file.exists());
    });
}

#[test]
fn l10_an_early_return_frees_at_once_only_where_the_license_says_so() {
    let site = Site::new(&[
        "--feature",
        "solver:1,borrow-max=7d",
        "--feature",
        "mesher:1,borrow-max=7d,early-return=true",
    ]);
    for (feature, said, again) in [
        ("acme/mesher", "released acme/mesher", Some(0)),
        ("acme/solver", "so it comes free in", Some(75)),
    ] {
        borrow(&site, feature, "7d");
        let back = site.call(&["return", feature]);
        assert!(back.status.success(), "{}", stderr(&back));
        assert!(stderr(&back).contains(said), "{}", stderr(&back));
        assert_eq!(leases_of(&site.station), Vec::<PathBuf>::new());
        let next = site.call(&["borrow", feature, "--for", "1d"]);
        assert_eq!(next.status.code(), again, "{feature}: {}", stderr(&next));
        for lent in leases_of(&site.station) {
            let back = site.call(&["return", &lent.to_string_lossy()]);
            assert!(back.status.success(), "{}", stderr(&back));
        }
        let none = site.call(&["return", "acme/viewer"]);
        assert_eq!(none.status.code(), Some(2), "{}", stderr(&none));
    }
}

#[test]
fn l10_what_license_or_sense_do_not_allow_is_refused_and_leaves_nothing() {
    let site = Site::new(&[
        "--feature",
        "solver:1,borrow-max=7d",
        "--feature",
        "viewer:1",
    ]);
    for (feature, length, code, said) in [
        ("acme/solver", "8d", 77, "borrow-too-long"),
        ("acme/viewer", "1d", 77, "borrow-not-allowed"),
        ("acme/solver", "10", 2, "not a length of time"),
        ("acme/solver", "400d", 2, "expected 2s to 366d"),
        ("acme/solver", "0s", 2, "expected 2s to 366d"),
    ] {
        let refused = site.call(&["borrow", feature, "--for", length]);
        assert_eq!(refused.status.code(), Some(code), "{}", stderr(&refused));
        assert!(stderr(&refused).contains(said), "{}", stderr(&refused));
    }
    assert_eq!(leases_of(&site.station), Vec::<PathBuf>::new());
    let asked = machine_state(&site.station).join("borrows");
    assert_eq!(fs::read_dir(asked).unwrap().count(), 0);
    borrow(&site, "acme/solver", "7d");
    let renewed = site.call(&["renew", &leases_of(&site.station)[0].to_string_lossy()]);
    assert_eq!(renewed.status.code(), Some(77), "{}", stderr(&renewed));
    assert!(
        stderr(&renewed).contains("lease-borrowed"),
        "{}",
        stderr(&renewed)
    );
    let all = site.call(&["release", "--all"]);
    assert!(all.status.success(), "{}", stderr(&all));
    assert_eq!(leases_of(&site.station).len(), 1, "it was not for that");
}

#[test]
fn l10_the_policy_keeps_seats_at_home_and_bounds_the_length() {
    let site = Site::new(&["--feature", "solver:2,borrow-max=30d"]);
    let rule = "[[borrow]]\nfeature = \"acme/solver\"\nlongest = \"7d\"\nat-home = 1\n";
    fs::write(site.daemon.state_dir().join("policy.toml"), rule).unwrap();
    site.daemon.ask(&["reload"]);
    let long = site.call(&["borrow", "acme/solver", "--for", "8d"]);
    assert_eq!(long.status.code(), Some(77), "{}", stderr(&long));
    assert!(stderr(&long).contains("policy.toml:1"), "{}", stderr(&long));
    borrow(&site, "acme/solver", "7d");
    let home = site.call(&["borrow", "acme/solver", "--for", "1d"]);
    let said = stderr(&home);
    assert_eq!(home.status.code(), Some(75), "{said}");
    assert!(
        said.contains("home") && said.contains("policy.toml:1"),
        "{said}"
    );
    // What stays at home is there to be used.
    site.wait_free("1");
}

#[test]
fn l10_a_copy_is_worth_nothing_on_another_device() {
    let mut site = Site::new(BORROWABLE);
    borrow(&site, "acme/solver", "7d");
    // Everything but the client key: another user, or another machine.
    let elsewhere = site.station.home().join("elsewhere");
    let copied = elsewhere.join("usher");
    copy(&site.station.home().join(".local/state/usher"), &copied);
    for entry in fs::read_dir(&copied).unwrap().flatten() {
        if entry.path().extension().is_some_and(|it| it == "key") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    let there = |arguments: &[&str]| {
        let mut command = site.usher();
        command.env("XDG_STATE_HOME", &elsewhere).args(arguments);
        command.output().unwrap()
    };
    let back = there(&["return", "acme/solver"]);
    assert_eq!(back.status.code(), Some(77), "{}", stderr(&back));
    assert!(stderr(&back).contains("wrong-device"), "{}", stderr(&back));
    let mut command = site.usher();
    command
        .env("XDG_STATE_HOME", &elsewhere)
        .args(["run", "acme/solver", "--", "true"]);
    site.daemon.kill();
    let ran = command.output().unwrap();
    assert_eq!(ran.status.code(), Some(77), "{}", stderr(&ran));
    assert!(stderr(&ran).contains("wrong-device"), "{}", stderr(&ran));
    let here = site.run(&["acme/solver", "--", "true"]);
    assert!(here.status.success(), "{}", stderr(&here));
}

#[test]
fn l10_one_borrowed_seat_is_for_one_process_until_it_dies() {
    let mut site = Site::new(&[
        "--feature",
        "solver:1,borrow-max=7d",
        "--feature",
        "mesher:1,borrow-max=7d,grouping=user-host",
    ]);
    borrow(&site, "acme/solver", "7d");
    borrow(&site, "acme/mesher", "7d");
    site.daemon.kill();
    let mut first = started(&site, "acme/solver");
    let second = site.run(&["acme/solver", "--", "true"]);
    assert_eq!(second.status.code(), Some(75), "{}", stderr(&second));
    assert!(
        stderr(&second).contains("is used by another process"),
        "{}",
        stderr(&second)
    );
    let back = site.call(&["return", "acme/solver"]);
    assert_eq!(back.status.code(), Some(69), "{}", stderr(&back));
    first.kill().unwrap();
    first.wait().unwrap();
    let third = site.run(&["acme/solver", "--", "true"]);
    assert!(third.status.success(), "{}", stderr(&third));
    // What shares a seat on line shares it here.
    let mut one = started(&site, "acme/mesher");
    let two = site.run(&["acme/mesher", "--", "true"]);
    assert!(two.status.success(), "{}", stderr(&two));
    one.kill().unwrap();
    one.wait().unwrap();
}

#[test]
fn l10_a_borrowed_seat_in_use_is_not_returned() {
    let site = Site::new(BORROWABLE);
    borrow(&site, "acme/solver", "7d");
    let mut first = started(&site, "acme/solver");
    let back = site.call(&["return", "acme/solver"]);
    assert_eq!(back.status.code(), Some(75), "{}", stderr(&back));
    assert!(
        stderr(&back).contains("is used by another process"),
        "{}",
        stderr(&back)
    );
    first.kill().unwrap();
    first.wait().unwrap();
    let back = site.call(&["return", "acme/solver"]);
    assert!(back.status.success(), "{}", stderr(&back));
}

#[test]
fn l10_a_command_whose_borrow_ends_is_stopped() {
    let site = Site::new(&[
        "--environment",
        "test",
        "--feature",
        "solver:1,borrow-max=7d",
    ]);
    let lent = site.call(&["borrow", "acme/solver", "--for", "4s", "--test"]);
    assert!(lent.status.success(), "{}", stderr(&lent));
    let ran = site.run(&["acme/solver", "--test", "--", "sleep", "600"]);
    assert_eq!(ran.status.code(), Some(76), "{}", stderr(&ran));
    assert!(
        stderr(&ran).contains("the borrow is over; stopping the command"),
        "{}",
        stderr(&ran)
    );
    let status = site.call(&["status", "--test"]);
    assert!(
        stderr(&status).contains("its file is removed"),
        "{}",
        stderr(&status)
    );
    assert_eq!(leases_of(&site.station), Vec::<PathBuf>::new());
}

#[test]
fn l10_a_wall_clock_set_back_is_noticed_and_the_server_proves_the_right_time() {
    let Some(faketime) = faketime() else {
        println!("SKIPPED: libfaketime is not installed");
        return;
    };
    let mut site = Site::new(BORROWABLE);
    borrow(&site, "acme/solver", "7d");
    site.daemon.kill();
    let run_at = |site: &Site, step: &str| {
        let mut command = site.usher();
        command
            .env("LD_PRELOAD", &faketime)
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("FAKETIME", step)
            .args(["run", "acme/solver", "--", "true"]);
        command.output().unwrap()
    };
    assert!(run_at(&site, "+0").status.success());
    // Before the lease was signed at all, and before it was last used.
    let never = run_at(&site, "-1h");
    assert_eq!(never.status.code(), Some(77), "{}", stderr(&never));
    let later = run_at(&site, "+3d");
    assert!(later.status.success(), "{}", stderr(&later));
    let back = run_at(&site, "+2d");
    assert_eq!(back.status.code(), Some(77), "{}", stderr(&back));
    assert!(
        stderr(&back).contains("correct the clock"),
        "{}",
        stderr(&back)
    );
    // The three days were a mistake: the server's clock says so.
    let now = site.run(&["acme/solver", "--", "true"]);
    assert_eq!(now.status.code(), Some(77), "{}", stderr(&now));
    site.daemon.start_again();
    let asked = site.call(&["features"]);
    assert!(asked.status.success(), "{}", stderr(&asked));
    site.daemon.kill();
    let now = site.run(&["acme/solver", "--", "true"]);
    assert!(now.status.success(), "{}", stderr(&now));
    // A step forward ends the borrow as time does.
    let over = run_at(&site, "+8d");
    assert_eq!(over.status.code(), Some(69), "{}", stderr(&over));
    assert_eq!(leases_of(&site.station), Vec::<PathBuf>::new());
}

fn borrow(site: &Site, feature: &str, length: &str) {
    let lent = site.call(&["borrow", feature, "--for", length]);
    assert!(lent.status.success(), "{}", stderr(&lent));
    let id = String::from_utf8(lent.stdout.clone()).unwrap();
    assert!(
        id.trim_end().contains('-') && id.lines().count() == 1,
        "{id}"
    );
    let said = stderr(&lent);
    assert!(
        said.contains(&format!("✓ {feature}: borrowed until")),
        "{said}"
    );
}

/// A command that holds the feature's borrowed seat, and runs by now.
fn started(site: &Site, feature: &str) -> Child {
    let sign = site.station.home().join(feature.replace('/', "-"));
    let script = format!("touch {}; exec sleep 600", sign.display());
    let mut command = site.usher();
    command
        .args(["run", feature, "--", "sh", "-c", &script])
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    for _ in 0..1200 {
        if sign.exists() {
            return child;
        }
        thread::sleep(Duration::from_millis(50));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("the command does not start");
}

fn trust(station: &Station, vendor: &Vendor) {
    let trusted = station.home().join(".config/usher/trust.d");
    fs::create_dir_all(&trusted).unwrap();
    fs::copy(
        vendor.directory().join("acme.pub"),
        trusted.join("acme.pub"),
    )
    .unwrap();
}

fn machine_state(station: &Station) -> PathBuf {
    let state = station.home().join(".local/state/usher");
    let mut entries = fs::read_dir(state).unwrap().flatten();
    let machine = entries.find(|entry| entry.path().is_dir());
    machine.unwrap().path()
}

fn leases_of(station: &Station) -> Vec<PathBuf> {
    let entries = fs::read_dir(machine_state(station).join("leases"));
    let paths = entries.into_iter().flatten().flatten().map(|it| it.path());
    paths.collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    let status = Command::new("cp").arg("-r").arg(from).arg(to).status();
    assert!(status.unwrap().success());
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", stderr(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn faketime() -> Option<String> {
    let mut libraries = fs::read_dir("/usr/lib").unwrap().flatten();
    let found = libraries.find_map(|directory| {
        let library = directory.path().join("faketime/libfaketimeMT.so.1");
        library.is_file().then_some(library)
    });
    found.map(|library| library.to_str().unwrap().to_owned())
}
