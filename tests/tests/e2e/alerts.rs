//! Is somebody told of what goes wrong: signed, in order, once, and after whatever happened in between? The receivers are
//! real servers; what they are told is judged by the recipe of the document.

use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use usher_tests::station::told;

use super::alerts_ground::{
    Manner, SECRET, configure, is_genuine, list, listener, receive, receive_tls, wait,
};
use super::seats_site::eventually;
use super::usher_site::{Site, stderr};

#[test]
fn an_event_comes_signed_and_under_one_id_until_it_is_taken() {
    let mut site = Site::new(&["--feature", "solver:1"]);
    let (port, listener) = listener();
    let got = receive(listener, &[Manner::Fail, Manner::Hang]);
    configure(
        &mut site.daemon,
        &format!("url = \"http://127.0.0.1:{port}/hook?key=zq5path\""),
    );

    let output = site.daemon.admin(&["alert", "test"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output);
    assert!(said.contains("last attempt: it answered 500"), "{said}");
    // The second attempt hangs, and nobody else waits for it.
    let first = wait(&got);
    let second = wait(&got);
    let lent = site.run(&["acme/solver", "--", "true"]);
    assert!(lent.status.success(), "{}", stderr(&lent));
    let third = wait(&got);
    for it in [&first, &second, &third] {
        assert_eq!(it.body, first.body, "the bytes do not change");
        assert!(is_genuine(&site.daemon, it), "{it:?}");
    }
    assert_eq!(first.event()["event"], "test");
    assert!(
        first.head.starts_with("POST /hook?key=zq5path HTTP/1.1"),
        "{}",
        first.head
    );
    let mut forged = first.clone();
    forged.body = forged.body.replace("test", "text");
    assert!(!is_genuine(&site.daemon, &forged));

    eventually("everything delivered", || {
        let report = &list(&site.daemon)[0];
        report["delivered"] == 1 && report["waiting"] == 0 && report["last-error"].is_null()
    });
    let said = site.daemon.log() + &said + &list(&site.daemon).to_string();
    assert!(
        !said.contains(SECRET) && !said.contains("zq5path"),
        "{said}"
    );
}

#[test]
fn what_was_found_outlives_a_kill_and_is_told_once_and_in_order() {
    let soon = Command::new("date")
        .args(["-u", "-d", "+5 days", "+%F"])
        .output();
    let soon = told(&soon.unwrap(), "date");
    let mut site = Site::new(&["--feature", &format!("solver:1,expires={}", soon.trim())]);
    let (port, listener) = listener();
    drop(listener);
    let table =
        format!("url = \"http://localhost:{port}/\"\nevents = [\"exhaustion\", \"expiry\"]");
    configure(&mut site.daemon, &table);
    eventually("the license's end found", || {
        list(&site.daemon)[0]["waiting"] == 1
    });
    let mut holder = site.start(&["acme/solver", "--", "sleep", "600"]);
    site.wait_free("0");
    let mut waiter = site.start(&["--wait", "10m", "acme/solver", "--", "true"]);
    eventually("the full pool found", || {
        list(&site.daemon)[0]["waiting"] == 2
    });
    eventually("a vain attempt", || {
        list(&site.daemon)[0]["last-error"]
            .as_str()
            .is_some_and(|it| it.contains("no connection"))
    });

    the_doctor_warns(&site);
    site.daemon.kill();
    let outbox = site.daemon.state_dir().join("alerts/outbox.json");
    let kept = fs::read_to_string(&outbox).unwrap();
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let got = receive(listener, &[]);
    site.daemon.start_again();
    let (first, second) = (wait(&got).event(), wait(&got).event());
    assert_eq!(
        (&first["event"], &first["phase"]),
        (&"expiry".into(), &"once".into())
    );
    assert_eq!(first["subject"], "license acme-0001");
    assert_eq!(
        (&second["event"], &second["phase"]),
        (&"exhaustion".into(), &"begun".into())
    );
    assert_eq!(second["subject"], "acme/solver");
    for event in [first, second] {
        assert!(kept.contains(event["id"].as_str().unwrap()), "{event}");
    }
    // Nothing of it is found anew, neither now nor by the next life.
    for _ in 0..2 {
        eventually("all delivered", || list(&site.daemon)[0]["waiting"] == 0);
        // It looks every two seconds.
        thread::sleep(Duration::from_secs(5));
        assert!(got.try_recv().is_err());
        assert!(site.daemon.terminate().success());
        site.daemon.start_again();
    }
    for child in [&mut waiter, &mut holder] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn over_tls_only_who_the_roots_vouch_for_is_told() {
    let mut site = Site::new(&["--feature", "solver:1"]);
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let roots = site.station.home().join("roots.pem");
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    write_pem(&site, &other);
    let (port, listener) = listener();
    let got = receive_tls(listener, &made);
    let ca_file = roots.to_str().unwrap();
    configure(
        &mut site.daemon,
        &format!("url = \"https://localhost:{port}/\"\nca-file = \"{ca_file}\""),
    );
    let output = site.daemon.admin(&["alert", "test"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("last attempt: no TLS"), "{said}");
    assert!(got.try_recv().is_err());
    // The roots are read anew for each attempt.
    write_pem(&site, &made);
    let taken = wait(&got);
    assert!(is_genuine(&site.daemon, &taken));
}

#[test]
fn a_reload_tells_others_from_then_on_and_keeps_what_waits() {
    let mut site = Site::new(&["--feature", "solver:1"]);
    let (old_port, old) = listener();
    drop(old);
    let stays = format!("url = \"http://127.0.0.1:{old_port}/\"");
    configure(&mut site.daemon, &stays);
    let test = |site: &Site| site.daemon.admin(&["alert", "test"]).output().unwrap();
    assert_eq!(test(&site).status.code(), Some(1), "nobody is there");
    let (new_port, new) = listener();
    let joins = format!("url = \"http://127.0.0.1:{new_port}/\"");
    let new = receive(new, &[]);
    tables(&site, &[&joins, &stays]);
    let said = site.daemon.ask(&["reload"]);
    assert!(!said.contains("restart"), "{said}");
    assert_eq!(test(&site).status.code(), Some(1), "one is still away");
    let told = wait(&new);
    assert!(is_genuine(&site.daemon, &told));
    let report = list(&site.daemon);
    assert_eq!(report[1]["waiting"], 2, "{report}");

    // A mistake changes nothing, and who goes is told no more.
    tables(&site, &["url = \"http://elsewhere.example.com/\""]);
    site.daemon.signal(rustix::process::Signal::HUP);
    eventually("the mistake told", || {
        let log = site.daemon.log();
        log.contains("SIGHUP: the old configuration and policy go on")
    });
    tables(&site, &[&joins, &stays]);
    assert_eq!(list(&site.daemon).as_array().unwrap().len(), 2);
    tables(&site, &[&stays]);
    let old = TcpListener::bind(("127.0.0.1", old_port)).unwrap();
    let old = receive(old, &[]);
    site.daemon.ask(&["reload"]);
    let (first, second) = (wait(&old).event(), wait(&old).event());
    assert_ne!(first["id"], second["id"]);
    assert_eq!(second["id"], told.event()["id"], "in order");
    assert!(test(&site).status.success());
    assert!(new.try_recv().is_err());
    eventually("all delivered", || {
        let report = list(&site.daemon);
        report.as_array().unwrap().len() == 1 && report[0]["waiting"] == 0
    });
}

/// The configuration has these and no other.
fn tables(site: &Site, tables: &[&str]) {
    let table = |it: &&str| format!("[[alerts]]\n{it}\nsecret-file = \"alerts.secret\"\n");
    let text = tables.iter().map(table).collect::<Vec<_>>().concat();
    let socket = site.daemon.admin_socket();
    fs::write(socket.with_file_name("usherd.toml"), text).unwrap();
}

#[test]
fn a_table_that_makes_no_sense_is_pointed_at() {
    let site = Site::new(&["--feature", "solver:1"]);
    let file = site.station.home().join("usherd.toml");
    fs::write(
        &file,
        "[[alerts]]\nurl = \"http://alerts.example.com/zq5path\"\nsecret-file = \"s\"\n",
    )
    .unwrap();
    let output = site
        .daemon
        .admin(&["check", file.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    let said = stderr(&output);
    assert!(
        said.contains("usherd.toml:1:") && said.contains("for this machine alone"),
        "{said}"
    );
}

/// Two events wait, and nobody is there to take them.
fn the_doctor_warns(site: &Site) {
    let doctor = site.daemon.admin(&["doctor", "--json"]).output().unwrap();
    let found: Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let mut checks = found["checks"].as_array().unwrap().iter();
    let check = checks.find(|it| it["name"] == "alerts").unwrap();
    assert_eq!(check["level"], "warn", "{check}");
    let finding = check["finding"].as_str().unwrap();
    assert!(
        finding.starts_with("2 alerts wait for http://localhost:"),
        "{finding}"
    );
    assert!(finding.contains("last attempt: no connection"), "{finding}");
}

/// As the only root in `roots.pem`.
fn write_pem(site: &Site, made: &rcgen::CertifiedKey<rcgen::KeyPair>) {
    fs::write(site.station.home().join("roots.der"), made.cert.der()).unwrap();
    site.station
        .sh("openssl x509 -inform DER -in roots.der -out roots.new && mv roots.new roots.pem");
}
