//! The administrator's verbs against a running daemon: what they print, what they refuse, who is named.

use std::fs;

use usher_client::session::{LostWhy, State, Trouble};
use usher_tests::daemon::Vendor;
use usher_tests::station::told;

use crate::admin_ground::{Site, wait_for};

#[test]
fn the_first_five_minutes() {
    let site = Site::new();
    let daemon = &site.daemon;
    let request = daemon.ask(&["request"]);
    assert!(request.contains("[signature]"), "{request}");
    assert!(
        daemon
            .ask(&["status"])
            .contains("no license: usherd request")
    );
    assert_eq!(site.fails(&["status", "--check"]).0, 1);
    assert_eq!(
        daemon.ask(&["license", "list"]),
        "no license: usherd request\n"
    );
    let license = site.license(&["--customer", "Example GmbH"]);
    let said = daemon.ask(&["license", "add", "--yes", license.to_str().unwrap()]);
    assert_eq!(
        said,
        "✓ acme-0001: serial 1 of acme is live, for Example GmbH\n  acme/solver: 2 seats, until 2098-12-31\n"
    );
    let seat = site.client().checkout("solver").send().unwrap();
    let status = daemon.ask(&["status", "--check"]);
    assert!(status.contains(": granting\n"), "{status}");
    assert!(status.contains("1 connected, 1 lease out"), "{status}");
    let pool = "acme/solver      2     1     1     0  2098-12-31  acme-0001";
    assert!(status.contains(pool), "{status}");
    let leases = daemon.ask(&["leases"]);
    let id = seat.as_async().id().unwrap().to_string();
    assert!(
        leases.contains(&format!("{id}  acme/solver      1  anna  ws1")),
        "{leases}"
    );
    assert_eq!(daemon.ask(&["leases", "--user", "bert"]), "no leases\n");
    assert_eq!(
        daemon.ask(&["leases", "--feature", "mesher", "--json"]),
        "[]\n"
    );
    seat.release().unwrap();
    assert_eq!(daemon.ask(&["leases"]), "no leases\n");
}

#[test]
fn what_json_prints_is_json_with_times_in_utc() {
    let site = Site::lending();
    let _seat = site.client().checkout("solver").send().unwrap();
    let json = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_str(&site.daemon.ask(arguments)).unwrap()
    };
    let status = json(&["status", "--json"]);
    assert_eq!(status["granting"], true);
    assert_eq!(status["pools"][0]["out"], 1);
    assert!(status["started"].as_str().unwrap().ends_with('Z'));
    let leases = json(&["leases", "--json", "--feature", "acme/solver"]);
    assert_eq!(leases[0]["user"], "anna");
    assert!(leases[0]["since"].as_str().unwrap().ends_with('Z'));
    let licenses = json(&["license", "list", "--json"]);
    assert_eq!(licenses[0]["id"], "acme-0001");
    assert_eq!(json(&["request", "--json"])["site"], status["site"]);
}

#[test]
fn a_request_needs_no_daemon_and_names_the_same_key() {
    let site = Site::new();
    let key = |text: &str| {
        let mut lines = text.lines();
        lines
            .find(|line| line.starts_with("site ="))
            .unwrap()
            .to_owned()
    };
    let running = key(&site.daemon.ask(&["request"]));
    let mut daemon = site.daemon;
    daemon.kill();
    assert_eq!(key(&daemon.ask(&["request"])), running);
    let elsewhere = site.station.home().join("elsewhere");
    let elsewhere = ["request", "--state-dir", elsewhere.to_str().unwrap()];
    assert_ne!(key(&daemon.ask(&elsewhere)), running);
    let stopped = daemon.admin(&["status"]).output().unwrap();
    assert_eq!(stopped.status.code(), Some(69));
}

#[test]
fn a_new_vendor_is_trusted_by_fingerprint_alone() {
    let site = Site::new();
    let license = site.license(&[]);
    let license = license.to_str().unwrap();
    let (code, said) = site.fails(&["license", "add", license]);
    assert_eq!(code, 2);
    let root = said.split("--trust ").nth(1).unwrap().trim().to_owned();
    let other = "00".repeat(32);
    let (code, said) = site.fails(&["license", "add", license, "--trust", &other]);
    assert_eq!(code, 77);
    assert!(said.contains(&root) && said.contains(&other), "{said}");
    site.daemon
        .ask(&["license", "add", license, "--trust", &root]);
    // From now on the vendor is known.
    site.daemon.ask(&["license", "add", license]);
}

#[test]
fn a_bad_license_changes_nothing() {
    let site = Site::lending();
    let before = site.daemon.ask(&["license", "list", "--json"]);
    let add = |path: &std::path::Path| {
        let (code, said) = site.fails(&["license", "add", "--yes", path.to_str().unwrap()]);
        assert_eq!(site.daemon.ask(&["license", "list", "--json"]), before);
        (code, said)
    };
    let good = site.license(&[]);
    let text = fs::read_to_string(&good).unwrap();
    let edited = site.station.home().join("edited.lic");
    fs::write(&edited, text.replace("seats = 2", "seats = 9")).unwrap();
    let (code, said) = add(&edited);
    assert_eq!(code, 1);
    assert!(said.contains("signature"), "{said}");
    fs::write(&edited, &text[..text.len() / 2]).unwrap();
    add(&edited);
    fs::write(&edited, [0xff, 0xfe, 0]).unwrap();
    assert!(add(&edited).1.contains("not UTF-8"));
    assert!(
        add(&site.station.home().join("none.lic"))
            .1
            .contains("check the path")
    );

    let mut elsewhere = Site::new().daemon;
    let foreign = site.acme.license(&elsewhere, &["--feature", "solver:9"]);
    elsewhere.kill();
    let (code, said) = add(&foreign);
    assert_eq!(code, 77);
    assert!(
        said.contains("is for the site key") && said.contains("usherd request"),
        "{said}"
    );
}

#[test]
fn a_higher_serial_replaces_and_a_lower_one_is_refused() {
    let site = Site::new();
    let first = site.license(&[]);
    let second = site.license(&["--license-id", "acme-0001"]);
    site.daemon.install(&first);
    let seat = site.client().checkout("solver").send().unwrap();
    site.daemon.install(&second);
    let said = site.daemon.ask(&["license", "list"]);
    assert!(said.contains("acme-0001       2  acme/solver"), "{said}");
    assert!(site.daemon.ask(&["leases"]).contains("acme/solver"));
    assert!(seat.state().holds());
    let refused = || {
        let (code, said) = site.fails(&["license", "add", first.to_str().unwrap()]);
        assert_eq!(code, 77);
        assert!(
            said.contains("serial 1") && said.contains("higher"),
            "{said}"
        );
    };
    refused();
    // T7: the highest serial is kept, even after removal.
    site.daemon.ask(&["license", "remove", "acme-0001"]);
    refused();
}

#[test]
fn an_expired_license_says_so_and_lends_nothing() {
    let site = Site::new();
    let terms = "solver:2,starts=2020-01-01,expires=2020-12-31";
    let license = site.acme.license(&site.daemon, &["--feature", terms]);
    let said = site
        .daemon
        .ask(&["license", "add", "--yes", license.to_str().unwrap()]);
    assert!(said.contains("expired at the end of 2020-12-31"), "{said}");
    assert_eq!(site.fails(&["status", "--check"]).0, 1);
    assert!(site.daemon.ask(&["status"]).contains("EXPIRED"));
}

#[test]
fn a_vendor_has_one_root() {
    let site = Site::lending();
    let impostor = usher_tests::station::Station::here();
    let impostor = Vendor::new(&impostor, "acme");
    let license = impostor.license(&site.daemon, &["--feature", "solver:9"]);
    let (code, said) = site.fails(&["license", "add", "--yes", license.to_str().unwrap()]);
    assert_eq!(code, 77);
    assert!(said.contains("another root is known as `acme`"), "{said}");
}

#[test]
fn an_evicted_lease_is_not_renewed_and_its_seat_returns() {
    let site = Site::lending();
    let seat = site.client().checkout("solver").send().unwrap();
    let id = seat.as_async().id().unwrap().to_string();
    let said = site.daemon.ask(&["evict", &id, "--reason", "maintenance"]);
    assert!(
        said.contains("the next renewal of anna on ws1 is refused"),
        "{said}"
    );
    // L7: the running right is not cut.
    assert!(seat.state().holds());
    wait_for("the refused renewal", || match seat.state() {
        State::Lost(LostWhy::Evicted(reason)) => reason == "maintenance",
        State::Renewing(Trouble::Refused(refusal)) => refusal.code.name() == "evicted",
        _ => false,
    });
    wait_for("the seat's return", || {
        site.daemon.ask(&["leases"]) == "no leases\n"
    });
    let log = site.daemon.ask(&["usage", "show"]);
    let line = log.lines().find(|line| line.contains("evicted")).unwrap();
    let me = told(
        &site.station.command("id").args(["-un"]).output().unwrap(),
        "id",
    );
    assert!(line.contains(&format!("{}(", me.trim())), "{line}");
    assert!(line.ends_with(": maintenance"), "{line}");
    let (code, said) = site.fails(&["evict", &id, "--reason", "again"]);
    assert_eq!(code, 77);
    assert!(said.contains("usherd leases"), "{said}");
}

#[test]
fn a_removed_license_lends_nothing_more() {
    let site = Site::lending();
    site.daemon.ask(&["license", "remove", "acme-0001"]);
    assert_eq!(
        site.daemon.ask(&["license", "list"]),
        "no license: usherd request\n"
    );
    assert_eq!(site.fails(&["license", "remove", "acme-0001"]).0, 77);
}
