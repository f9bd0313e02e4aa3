//! `usherd doctor` and `usher doctor`: all is well where it is, and what is not has its next step.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use serde_json::Value;
use usher_tests::daemon::{Daemon, Vendor};
use usher_tests::hosts::on_lan;

use super::seats_site::eventually;
use super::usher_site::Site;

#[test]
fn a_daemon_that_lends_is_found_well() {
    let site = Site::new(&["--feature", "solver:2"]);
    let (code, found) = usherd(&site, &[]);
    assert_eq!(code, 0, "{found}");
    // What the machine of the test is like is not ours to say.
    for name in [
        "policy", "version", "clones", "granting", "license", "alerts", "listen", "port", "mdns",
        "site-key", "store",
    ] {
        let check = one(&found, name);
        assert_eq!(check["level"], "ok", "{found}");
        assert!(check["next"].is_null());
    }
    assert!(said(&found, "port").contains("answers with the site key"));
    for name in ["clock", "interfaces", "firewall", "disk", "fsync"] {
        one(&found, name);
    }
    let text = site.daemon.ask(&["doctor"]);
    assert!(
        text.lines().any(|line| line.starts_with("ok    license ")),
        "{text}"
    );

    let output = site.call(&["doctor", "--json"]);
    let found = json(&output);
    assert_eq!(output.status.code(), Some(0), "{found}");
    for name in ["client-key", "configuration", "trust", "server"] {
        assert_eq!(one(&found, name)["level"], "ok", "{found}");
    }
    assert!(
        said(&found, "server").contains("found by USHER_SERVER, serves acme"),
        "{found}"
    );
}

#[test]
fn what_is_wrong_with_a_daemon_is_told_with_its_next_step() {
    let mut site = Site::new(&["--feature", "solver:2"]);
    let key = site.daemon.state_dir().join("site.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, found) = usherd(&site, &[]);
    assert_eq!(
        (code, &found["verdict"]),
        (1, &Value::from("fail")),
        "{found}"
    );
    let check = one(&found, "site-key");
    assert_eq!(check["level"], "fail");
    assert!(
        check["next"].as_str().unwrap().contains("chmod 600"),
        "{check}"
    );
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();

    // A configuration that the daemon was not restarted for: a warning, and a failure for who wants it so.
    let file = site.station.home().join("changed.toml");
    fs::write(&file, "listen = [\"127.0.0.1:9\"]\n").unwrap();
    let changed = |site: &Site, more: &[&str]| {
        let mut command = site.daemon.admin(&[&["doctor", "--json"], more].concat());
        command.env("USHERD_CONFIG", &file).output().unwrap()
    };
    let found = json(&changed(&site, &[]));
    assert_eq!(one(&found, "listen")["level"], "warn", "{found}");
    assert_eq!(changed(&site, &[]).status.code(), Some(0));
    assert_eq!(changed(&site, &["--strict"]).status.code(), Some(1));

    site.daemon.ask(&["license", "remove", "acme-0001"]);
    let (code, found) = usherd(&site, &[]);
    assert_eq!(
        (code, &one(&found, "license")["level"]),
        (1, &Value::from("fail"))
    );
    assert!(
        one(&found, "license")["next"]
            .as_str()
            .unwrap()
            .contains("usherd request")
    );

    assert!(site.daemon.terminate().success());
    let own = format!("listen = [\"{}\"]\n", site.daemon.address());
    fs::write(&file, own).unwrap();
    let stopped = changed(&site, &[]);
    let found = json(&stopped);
    assert_eq!(stopped.status.code(), Some(1));
    assert!(
        one(&found, "daemon")["next"]
            .as_str()
            .unwrap()
            .contains("systemctl start usherd")
    );
    assert_eq!(one(&found, "port")["level"], "ok");
    assert!(
        said(&found, "store").contains("whole; usage log up to entry"),
        "{found}"
    );
}

#[test]
fn what_keeps_a_user_from_seats_is_told_with_its_next_step() {
    let mut site = Site::new(&["--feature", "solver:2"]);
    let trust = site.station.home().join(".config/usher/trust.d/acme.pub");
    let hidden = site.station.home().join("acme.pub");
    fs::rename(&trust, &hidden).unwrap();
    let output = site.call(&["doctor", "--json"]);
    let found = json(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        one(&found, "trust")["next"]
            .as_str()
            .unwrap()
            .contains("usher trust add"),
        "{found}"
    );
    fs::rename(&hidden, &trust).unwrap();

    assert!(site.daemon.terminate().success());
    let output = site.call(&["doctor", "--json"]);
    let found = json(&output);
    assert_eq!(output.status.code(), Some(1), "{found}");
    let checks = found["checks"].as_array().unwrap();
    let silent = checks
        .iter()
        .find(|it| it["name"] == "server" && it["level"] == "warn");
    assert!(
        silent.unwrap()["finding"]
            .as_str()
            .unwrap()
            .contains("USHER_SERVER"),
        "{found}"
    );
    assert!(
        checks
            .iter()
            .any(|it| it["name"] == "server" && it["level"] == "fail"),
        "{found}"
    );
}

#[test]
fn on_a_network_the_advert_is_looked_for_and_a_packet_filter_judged() {
    on_lan(|lan| {
        let host = lan.host("lic01");
        let vendor = Vendor::new(&host, "acme");
        let daemon = Daemon::start_on_host(&host);
        daemon.install(&vendor.license(&daemon, &["--feature", "solver:1"]));
        let found = || json(&daemon.admin(&["doctor", "--json"]).output().unwrap());
        eventually("the advert seen", || {
            said(&found(), "mdns").starts_with("the advert is seen: ")
        });
        assert_ne!(one(&found(), "firewall")["level"], "fail");
        let filter = |rule: &str| {
            host.sh(&format!(
                "nft 'add table inet filter; delete table inet filter; add table inet filter
                add chain inet filter input {{ type filter hook input priority 0; policy drop; }}
                add rule inet filter input iif lo accept
                {rule}'"
            ))
        };
        filter("");
        let closed = found();
        for name in ["firewall", "mdns"] {
            let check = one(&closed, name);
            assert_eq!(check["level"], "warn", "{closed}");
            assert!(check["next"].as_str().unwrap().contains("5353"), "{check}");
        }
        filter("add rule inet filter input udp dport { 5353, 27443 } accept");
        let open = found();
        for name in ["firewall", "mdns"] {
            assert_eq!(one(&open, name)["level"], "ok", "{open}");
        }
        host.sh("ip link set eth0 down");
        let alone = found();
        assert_eq!(one(&alone, "interfaces")["level"], "warn", "{alone}");
    });
}

fn usherd(site: &Site, more: &[&str]) -> (i32, Value) {
    let output = site
        .daemon
        .admin(&[&["doctor", "--json"], more].concat())
        .output()
        .unwrap();
    (output.status.code().unwrap(), json(&output))
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn one<'a>(found: &'a Value, name: &str) -> &'a Value {
    let checks = found["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name);
    check.unwrap_or_else(|| panic!("no check {name}: {found}"))
}

fn said<'a>(found: &'a Value, name: &str) -> &'a str {
    one(found, name)["finding"].as_str().unwrap()
}
