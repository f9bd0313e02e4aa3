//! What the scope `admin` adds over HTTPS: the verbs of the admin socket, in the token's name.

use std::fs;

use serde_json::{Value, json};

use crate::http::obtain;
use crate::http_ground::Served;

#[test]
fn an_admin_suspends_and_resumes_and_nobody_less_does() {
    let served = Served::new();
    let admin = served.token(&["--scope", "admin", "--name", "boss"]);
    let operate = served.token(&["--scope", "operate"]);
    let lease = served.token(&["--scope", "lease", "--feature", "acme/solver:2"]);
    let why = json!({"what": "acme/solver", "reason": "audit"});
    let too_small = (403, "SCOPE_TOO_SMALL".to_owned());
    for path in [
        "suspend",
        "resume",
        "reload",
        "licenses",
        "tokens/boss/revoke",
    ] {
        let path = format!("/api/v1/{path}");
        assert_eq!(served.post(&operate, &path, &why).no(), too_small, "{path}");
    }
    assert_eq!(served.get(&operate, "/api/v1/tokens").no(), too_small);

    let said = served.post(&admin, "/api/v1/suspend", &why);
    assert_eq!(
        (said.status, said.json()),
        (200, json!({"what": "acme/solver"}))
    );
    let refused = served.post(&lease, "/api/v1/leases", &obtain("01"));
    assert_eq!(refused.no(), (403, "REFUSED".to_owned()));
    assert_eq!(refused.json()["refusal"]["refusal"], "suspended");
    let log = served.daemon.ask(&["usage", "export", "--json"]);
    assert!(log.contains("token boss"), "{log}");
    let what = json!({"what": "acme/solver"});
    assert_eq!(served.post(&admin, "/api/v1/resume", &what).status, 200);
    assert_eq!(
        served.post(&lease, "/api/v1/leases", &obtain("02")).status,
        201
    );
    let unknown = json!({"what": "acme/nothing"});
    assert_eq!(served.post(&admin, "/api/v1/resume", &unknown).no().0, 404);
}

#[test]
fn an_admin_installs_a_license_once_its_vendor_is_confirmed() {
    let served = Served::without_license();
    let admin = served.token(&["--scope", "admin"]);
    let terms = ["--environment", "test", "--feature", "solver:2"];
    let license = served.acme.license(&served.daemon, &terms);
    let text = fs::read_to_string(license).unwrap();
    let install = |body: &Value| served.post(&admin, "/api/v1/licenses", body);

    let asked = install(&json!({"text": text}));
    assert_eq!(asked.no(), (403, "REFUSED".to_owned()));
    let detail = asked.json()["detail"].as_str().unwrap().to_owned();
    let root = detail
        .split_whitespace()
        .find(|it| it.trim_end_matches(':').len() == 64);
    let root = root.unwrap().trim_end_matches(':');
    assert_eq!(served.get(&admin, "/api/v1/licenses").json(), json!([]));
    let installed = install(&json!({"text": text, "root": root}));
    assert_eq!(
        (installed.status, &installed.json()["id"]),
        (200, &json!("acme-0001"))
    );
    assert_eq!(
        served.get(&admin, "/api/v1/features").json()[0]["feature"],
        "acme/solver"
    );

    let forged = text.replace("seats = 2", "seats = 9");
    assert_eq!(install(&json!({"text": forged, "root": root})).no().0, 403);
    // A license may be far longer than other bodies.
    let long = format!("{}{text}", "# \n".repeat(20_000));
    assert_eq!(install(&json!({"text": long})).no().0, 403);
}

#[test]
fn an_admin_reads_the_policy_anew_and_ends_tokens() {
    let served = Served::new();
    let admin = served.token(&["--scope", "admin"]);
    let read = served.token(&["--scope", "read", "--name", "lost"]);
    let said = served.ask(Some(&admin), "POST", "/api/v1/reload", None);
    assert_eq!(said.status, 200, "{}", said.body);
    assert!(said.json()["policy"].is_string());

    let tokens = served.get(&admin, "/api/v1/tokens");
    assert!(!tokens.body.contains("usht_"), "{}", tokens.body);
    let tokens = tokens.json();
    let names: Vec<_> = tokens
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert!(names.contains(&&json!("lost")), "{names:?}");
    assert_eq!(served.get(&read, "/api/v1/status").status, 200);
    let revoke = "/api/v1/tokens/lost/revoke";
    assert_eq!(served.ask(Some(&admin), "POST", revoke, None).status, 200);
    assert_eq!(served.get(&read, "/api/v1/status").no().1, "KEY_INVALID");
    assert_eq!(served.ask(Some(&admin), "POST", revoke, None).no().0, 404);
}
