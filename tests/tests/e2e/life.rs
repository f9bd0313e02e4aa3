//! Does a daemon live and die as its administrator expects?

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;
use usher_tests::daemon::Daemon;
use usher_tests::station::Station;

#[test]
fn without_a_license_it_is_ready_and_says_what_to_do() {
    let daemon = Daemon::start(&Station::here());
    assert!(
        daemon.log().contains("no license: usherd request"),
        "{}",
        daemon.log()
    );
    daemon.ask(&["reload"]);
}

#[test]
fn sigterm_ends_it_in_good_order() {
    let mut daemon = Daemon::start(&Station::here());
    let ended = daemon.terminate();
    assert!(ended.success(), "{ended}\n{}", daemon.log());
}

#[test]
fn a_port_in_use_fails_the_start() {
    let (one, two) = (Station::here(), Station::here());
    let first = Daemon::start(&one);
    let mut second = Daemon::start(&two);
    second.kill();
    second.set("LISTEN", &first.address().to_string());
    let output = second.start_and_fail();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains(&first.address().port().to_string()), "{said}");
}

#[test]
fn a_state_directory_has_one_daemon() {
    let station = Station::here();
    let first = Daemon::start(&station);
    let mut second = Daemon::start(&station);
    second.kill();
    second.set("STATE_DIR", first.state_dir().to_str().unwrap());
    assert!(!second.start_and_fail().status.success());
    first.ask(&["reload"]);
}

#[test]
fn a_bad_configuration_leaves_the_old_one_running() {
    let station = Station::here();
    let file = station.home().join("usherd.toml");
    fs::write(&file, "name = \"lic01\"\n").unwrap();
    let mut daemon = Daemon::start(&station);
    daemon.kill();
    daemon.set("CONFIG", file.to_str().unwrap());
    daemon.start_again();
    fs::write(&file, "nmae = \"lic01\"\n").unwrap();
    let reload = daemon.admin(&["reload"]).output().unwrap();
    let said = String::from_utf8_lossy(&reload.stderr);
    assert!(!reload.status.success());
    assert!(said.contains("nmae") && said.contains("name"), "{said}");
    let before = daemon.pid();
    daemon.signal(Signal::HUP);
    fs::write(&file, "name = \"lic01\"\n").unwrap();
    daemon.ask(&["reload"]);
    assert_eq!(daemon.pid(), before);
}

#[test]
fn its_files_are_its_own() {
    let daemon = Daemon::start(&Station::here());
    let mode = |path: std::path::PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(daemon.state_dir().join("site.key")), 0o600);
    assert_eq!(mode(daemon.admin_socket()), 0o660);
}
