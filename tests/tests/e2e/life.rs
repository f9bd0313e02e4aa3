//! Does a daemon live and die as its administrator expects?

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use usher_tests::daemon::{Daemon, Vendor};
use usher_tests::station::Station;

#[test]
fn a_license_is_live_at_once_and_outlives_the_daemon() {
    let station = Station::here();
    let mut daemon = Daemon::start(&station);
    let vendor = Vendor::new(&station, "acme");
    daemon.install(&vendor.license(&daemon, &["--feature", "solver:10"]));
    assert!(daemon.ask(&["status"]).contains("acme/solver"));
    daemon.kill();
    daemon.start_again();
    assert!(daemon.ask(&["status"]).contains("acme/solver"));
}

#[test]
fn sigterm_ends_it_in_good_order() {
    let mut daemon = Daemon::start(&Station::here());
    let ended = daemon.terminate();
    assert!(ended.success(), "{ended}\n{}", daemon.log());
}

#[test]
fn its_files_are_its_own() {
    let daemon = Daemon::start(&Station::here());
    let mode = |path: std::path::PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(daemon.state_dir().join("site.key")), 0o600);
    assert_eq!(mode(daemon.admin_socket()), 0o660);
}
