//! What the daemon says of itself: is a lease's life in its lines, and no secret, at any level?

use std::fs;
use std::path::Path;

use data_encoding::{BASE64, HEXLOWER, HEXUPPER};
use serde_json::json;

use super::http_ground::{Served, files_below};
use super::seats_site::eventually;
use super::usher_site::{Site, stderr};

#[test]
fn a_leases_life_is_told_one_fact_a_line() {
    let mut site = Site::new(&["--feature", "solver:1"]);
    let lent = site.run(&["acme/solver", "--", "true"]);
    assert!(lent.status.success(), "{}", stderr(&lent));
    let mut holder = site.start(&["acme/solver", "--", "sleep", "600"]);
    site.wait_free("0");
    let lease = site.daemon.ask(&["leases", "--json"]);
    let lease: serde_json::Value = serde_json::from_str(&lease).unwrap();
    let lease = lease[0]["id"].as_str().unwrap();
    site.daemon
        .ask(&["evict", lease, "--reason", "maintenance"]);
    let told = |words: &[&str]| {
        let log = site.daemon.log();
        log.lines()
            .any(|line| words.iter().all(|it| line.contains(it)))
    };
    let grant = format!("granted {lease} (1 seat of acme/solver, ");
    eventually("the grant and the evict told", || {
        told(&["INFO", &grant, "license acme-0001"]) && told(&[": evicted ", lease, "maintenance"])
    });
    eventually("the end of the first lease told", || {
        told(&["released", "(1 seat of acme/solver, "])
    });
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(site.daemon.terminate().success());
    let log = site.daemon.log();
    assert!(
        log.contains("serving on UDP") && log.contains("SIGTERM: draining"),
        "{log}"
    );
    assert!(!log.contains("fact="), "fields are for the journal:\n{log}");
}

/// An auditor asks who could do what, and who let them.
#[test]
fn who_may_use_https_and_what_an_administrator_does_is_told_with_the_actor() {
    let served = Served::new();
    let desk = served.token(&["--scope", "read", "--name", "desk"]);
    let form = format!("token={desk}");
    let mut curl = served.curl("/dashboard/sign-in");
    curl.args(["--header", "Sec-Fetch-Site: same-origin", "--data", &form]);
    assert!(curl.output().unwrap().status.success());
    served
        .daemon
        .ask(&["token", "rotate", "desk", "--grace", "1h"]);
    let chief = served.token(&["--scope", "admin", "--name", "chief"]);
    let revoked = served.post(&chief, "/api/v1/tokens/desk/revoke", &json!({}));
    assert_eq!(revoked.status, 200, "{}", revoked.body);
    let reloaded = served.post(&chief, "/api/v1/reload", &json!({}));
    assert_eq!(reloaded.status, 200, "{}", reloaded.body);
    let copy = served.station.home().join("copy.snapshot");
    served.daemon.ask(&["backup", copy.to_str().unwrap()]);
    served.daemon.signal(rustix::process::Signal::HUP);
    eventually("what the signal did", || {
        served.daemon.log().contains("SIGHUP: configuration")
    });
    let log = served.daemon.log();
    for (who, what) in [
        (")", " made the token desk (read)"),
        ("", "signed in by token desk (read) from 127.0.0.1"),
        (
            ")",
            " rotated the token desk (read); its old secret ends in 1h",
        ),
        (")", " made the token chief (admin)"),
        ("token chief", " revoked the token desk (read)"),
        ("token chief", ": configuration and policy reloaded"),
        (")", " made the backup /"),
    ] {
        let line = format!("{who}{what}");
        assert!(log.contains(&line), "{line}:\n{log}");
    }
}

/// At the level that tells most, with every kind of secret at hand, and each of them used.
#[test]
fn no_secret_is_in_any_line_at_any_level() {
    let mut served = Served::without_license();
    assert!(served.daemon.terminate().success());
    let home = served.station.home().to_owned();
    let (config, alert) = (home.join("usherd.toml"), "zq5alert-secret-0123456789");
    fs::write(home.join("alerts.secret"), alert).unwrap();
    served.station.sh("chmod 600 alerts.secret");
    let table =
        "[[alerts]]\nurl = \"http://127.0.0.1:9/zq5path\"\nsecret-file = \"alerts.secret\"\n";
    fs::write(&config, table).unwrap();
    served.daemon.set("CONFIG", config.to_str().unwrap());
    served.daemon.set("LOG", "trace");
    served.daemon.start_again();
    served.license(&["--feature", "solver:2"]);

    let lease_token = served.token(&["--scope", "lease", "--feature", "acme/solver:2"]);
    let read = served.token(&["--scope", "read"]);
    let rotated = served
        .daemon
        .ask(&["token", "rotate", "read", "--grace", "1h"]);
    let (nonce, link) = (
        "00112233445566778899aabbccddeeff",
        "ffeeddccbbaa99887766554433221100",
    );
    let said = served.post(
        &lease_token,
        "/api/v1/leases",
        &json!({ "feature": "acme/solver", "nonce": nonce, "link": link }),
    );
    assert!(said.status < 300, "{}", said.body);
    assert_eq!(served.get(rotated.trim(), "/metrics").status, 200);
    let bad = format!("{}A", &read[..read.len() - 1]);
    served.get(&bad, "/api/v1/status");
    run_the_solver(&served);
    // The receiver is not there, which is told.
    served.daemon.admin(&["alert", "test"]).output().unwrap();
    served.daemon.ask(&["reload"]);
    assert!(served.daemon.terminate().success());

    let mut secrets = vec![
        ("an alert's secret".to_owned(), alert.to_owned()),
        ("a webhook's path".to_owned(), "zq5path".to_owned()),
        ("a nonce".to_owned(), nonce.to_owned()),
        ("a link of a renewal chain".to_owned(), link.to_owned()),
    ];
    for token in [&lease_token, &read, rotated.trim(), &bad] {
        let random = token.splitn(3, '_').last().unwrap().to_owned();
        secrets.push(("a token".to_owned(), random));
    }
    let mut keys = 0;
    for path in files_below(&home) {
        if fs::read_to_string(&path).is_ok_and(|text| text.contains("PRIVATE KEY")) {
            keys += 1;
            secrets.extend(forms_of_key(&path));
        }
    }
    assert!(keys >= 3, "site, client and HTTPS keys: only {keys}");
    let log = served.daemon.log();
    assert!(log.contains("TRACE") && log.contains("granted "), "{log}");
    for (what, secret) in secrets {
        assert!(!log.contains(&secret), "{what} is in the log: {secret}");
    }
}

/// As a user of this machine, with a client key of its own.
fn run_the_solver(served: &Served) {
    let home = served.station.home();
    let trusted = home.join(".config/usher/trust.d");
    fs::create_dir_all(&trusted).unwrap();
    fs::copy(
        served.acme.directory().join("acme.pub"),
        trusted.join("acme.pub"),
    )
    .unwrap();
    let lent = served
        .station
        .command("usher")
        .env("USHER_SERVER", served.daemon.address().to_string())
        .args(["run", "acme/solver", "--", "true"])
        .output()
        .unwrap();
    assert!(lent.status.success(), "{}", stderr(&lent));
}

/// A private key as it may look in a line: its file's own text, and its bytes written in the usual ways.
fn forms_of_key(path: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(path).unwrap();
    let body: String = text
        .lines()
        .filter(|line| !line.starts_with("---"))
        .collect();
    let der = BASE64.decode(body.as_bytes()).unwrap();
    let what = path.display().to_string();
    // All but the first bytes, which every key of its kind has; encrypted keys have no others.
    let secret = &der[16..48];
    let forms = [
        body[24..56].to_owned(),
        HEXLOWER.encode(secret),
        HEXUPPER.encode(secret),
        BASE64.encode(&secret[..30]),
        format!("{:?}", &secret[24..32])
            .trim_matches(['[', ']'])
            .to_owned(),
    ];
    forms.into_iter().map(|form| (what.clone(), form)).collect()
}
