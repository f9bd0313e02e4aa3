//! The HTTPS server: who is let in, what is told, and what is not.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use usher_tests::station::told;

use crate::admin_ground::Site;
use crate::http_ground::{Served, files_below};

#[test]
fn without_a_token_nothing_listens_and_with_one_this_machine_alone_is_heard() {
    let site = Site::new();
    let pid = site.daemon.pid().as_raw_nonzero().get();
    assert_eq!(listening(pid), Vec::<String>::new());
    let said = site
        .daemon
        .admin(&["token", "certificate"])
        .output()
        .unwrap();
    assert!(!said.status.success());
    let made = site.daemon.admin(&["token", "new", "--scope", "read"]);
    let made = { made }.output().unwrap();
    let secret = told(&made, "token new");
    assert!(secret.starts_with("usht_") && secret.lines().count() == 1);
    let words = String::from_utf8_lossy(&made.stderr).into_owned();
    let heard = listening(pid);
    if heard.is_empty() {
        // Another program has the port: that is said, and keeps nobody from a seat.
        assert!(words.contains("127.0.0.1:27480"), "{words}");
        assert!(site.daemon.ask(&["status"]).contains("usherd"));
    } else {
        // 7F000001:6B58, as the kernel writes 127.0.0.1:27480.
        assert_eq!(heard, ["0100007F:6B58"]);
        assert!(words.contains("https://127.0.0.1:27480"), "{words}");
    }
}

#[test]
fn who_has_no_token_or_a_revoked_one_is_told_nothing() {
    let served = Served::new();
    let secret = served.token(&["--scope", "read", "--name", "shop"]);
    let paths = [
        "/api/v1/status",
        "/api/v1/leases",
        "/api/v1/signing-key",
        "/metrics",
        "/api/v1/leases/1-1",
    ];
    for path in paths {
        let said = served.ask(None, "GET", path, None);
        assert_eq!(said.no(), (401, "KEY_INVALID".to_owned()), "{path}");
        assert!(
            said.head.contains("www-authenticate: bearer"),
            "{}",
            said.head
        );
        assert!(!said.body.contains("acme") && !said.body.contains("solver"));
    }
    assert_eq!(served.get(&secret, "/api/v1/status").status, 200);
    let rotated = served.daemon.ask(&["token", "rotate", "shop"]);
    assert_eq!(
        served.get(&secret, "/api/v1/status").no(),
        (401, "KEY_EXPIRED".to_owned())
    );
    assert_eq!(served.get(rotated.trim(), "/api/v1/status").status, 200);
    served.daemon.ask(&["token", "revoke", "shop"]);
    assert_eq!(
        served.get(rotated.trim(), "/api/v1/status").no(),
        (401, "KEY_INVALID".to_owned())
    );
    assert_eq!(
        served.daemon.ask(&["token", "list"]),
        "no token: usherd token new --scope read\n"
    );
}

#[test]
fn a_token_does_what_its_scope_says_and_no_more() {
    let served = Served::new();
    let read = served.token(&["--scope", "read"]);
    let operate = served.token(&["--scope", "operate", "--name", "night-shift"]);
    let lease = served.token(&["--scope", "lease", "--feature", "acme/solver:2"]);
    let granted = served.post(&lease, "/api/v1/leases", &obtain("01")).json();
    let id = granted["lease"].as_str().unwrap();
    let evict = format!("/api/v1/leases/{id}/evict");
    let why = json!({"reason": "maintenance"});
    let too_small = (403, "SCOPE_TOO_SMALL".to_owned());
    assert_eq!(served.post(&read, &evict, &why).no(), too_small);
    assert_eq!(served.post(&lease, &evict, &why).no(), too_small);
    for path in ["/api/v1/status", "/api/v1/leases", "/metrics"] {
        assert_eq!(served.get(&lease, path).no(), too_small, "{path}");
    }
    for token in [&read, &operate] {
        assert_eq!(
            served.post(token, "/api/v1/leases", &obtain("02")).no(),
            too_small
        );
    }
    assert_eq!(
        served.get(&read, "/api/v1/leases").json()[0]["note"],
        Value::Null
    );
    assert_eq!(served.post(&operate, &evict, &why).status, 200);
    let leases = served.get(&read, "/api/v1/leases").json();
    assert_eq!(leases[0]["note"], "evicted: maintenance");
    let log = served.daemon.ask(&["usage", "export", "--json"]);
    assert!(log.contains("token night-shift"), "{log}");
}

#[test]
fn a_secret_is_kept_nowhere() {
    let served = Served::new();
    let secret = served.token(&["--scope", "read"]);
    let rotated = served
        .daemon
        .ask(&["token", "rotate", "read", "--grace", "1h"]);
    assert_eq!(served.get(&secret, "/api/v1/status").status, 200);
    assert_eq!(served.get(rotated.trim(), "/metrics").status, 200);
    let backup = served.daemon.state_dir().join("backup");
    served.daemon.ask(&["backup", backup.to_str().unwrap()]);
    for secret in [secret.as_str(), rotated.trim()] {
        // The random part may have such a stroke in it.
        let random = secret.splitn(3, '_').last().unwrap().as_bytes();
        let state = served.daemon.state_dir();
        let files = files_below(&state);
        assert!(files.iter().any(|path| path.ends_with("http/tokens.json")));
        for path in files {
            let bytes = fs::read(&path).unwrap_or_default();
            let found = bytes.windows(random.len()).any(|it| it == random);
            assert!(!found, "{} holds the secret", path.display());
        }
        let log = served.daemon.log();
        assert!(!log.contains(std::str::from_utf8(random).unwrap()), "{log}");
    }
}

#[test]
fn bad_tokens_are_answered_slower_and_good_ones_as_ever() {
    let served = Served::new();
    let good = served.token(&["--scope", "read"]);
    let bad = format!("{}A", &good[..good.len() - 1]);
    let bad = if bad == good {
        format!("{}B", &good[..good.len() - 1])
    } else {
        bad
    };
    for _ in 0..10 {
        assert_eq!(served.get(&bad, "/api/v1/status").no().1, "KEY_INVALID");
    }
    let said = served.get(&bad, "/api/v1/status");
    assert_eq!(said.no(), (429, "TOO_MANY_REQUESTS".to_owned()));
    assert!(said.head.contains("retry-after: 60"), "{}", said.head);
    assert_eq!(served.get(&good, "/api/v1/status").status, 200);
}

#[test]
fn every_answer_has_its_headers_and_no_other_site_is_let_in() {
    let served = Served::new();
    let token = served.token(&["--scope", "read"]);
    let long = format!("{{\"reason\": \"{}\"}}", "x".repeat(20_000));
    let answers = [
        served.get(&token, "/api/v1/status"),
        served.get(&token, "/nothing"),
        served.ask(None, "GET", "/metrics", None),
        served.ask(Some(&token), "DELETE", "/api/v1/leases", None),
        served.ask(
            Some(&served.token(&["--scope", "operate"])),
            "POST",
            "/api/v1/leases/1-1/evict",
            Some(&long),
        ),
    ];
    let statuses = [200, 404, 401, 405, 413];
    for (said, status) in answers.iter().zip(statuses) {
        assert_eq!(said.status, status, "{}", said.body);
        for header in [
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
            "content-security-policy: default-src 'none'",
        ] {
            assert!(said.head.contains(header), "{header}: {}", said.head);
        }
        assert!(!said.head.contains("access-control"), "{}", said.head);
        assert!(!said.head.contains("set-cookie"), "{}", said.head);
        assert!(status == 200 || said.json()["error"].is_string());
    }
}

#[test]
fn metrics_are_well_formed_and_say_what_status_says() {
    let served = Served::new();
    let token = served.token(&["--scope", "read"]);
    let lease = served.token(&["--scope", "lease", "--feature", "acme/solver:2"]);
    served.post(&lease, "/api/v1/leases", &obtain("01"));
    let said = served.get(&token, "/metrics?flexlm=1");
    assert!(
        said.head.contains("text/plain; version=0.0.4"),
        "{}",
        said.head
    );
    let samples = samples(&said.body);
    let status = served.get(&token, "/api/v1/status").json();
    let pool = &status["pools"][0];
    let labels = "{feature=\"acme/solver\",license=\"acme-0001\",environment=\"test\"}";
    for (name, field) in [
        ("usher_seats", "seats"),
        ("usher_seats_used", "out"),
        ("usher_seats_free", "free"),
    ] {
        let told = samples[&format!("{name}{labels}")];
        assert_eq!(told.to_string(), pool[field].to_string(), "{name}");
    }
    for (name, value) in [
        ("usher_grants_total", 1.0),
        ("usher_granting", 1.0),
        ("usher_leases", 1.0),
        ("usher_stopped{reason=\"holding\"}", 0.0),
        ("flexlm_feature_used{app=\"acme\",name=\"solver\"}", 1.0),
        ("flexlm_feature_issued{app=\"acme\",name=\"solver\"}", 2.0),
        (
            "flexlm_feature_used_users{app=\"acme\",name=\"solver\",user=\"lease\"}",
            1.0,
        ),
    ] {
        assert!(
            (samples[name] - value).abs() < 1e-9,
            "{name}: {}",
            samples[name]
        );
    }
    assert!(samples["usher_store_bytes{part=\"store\"}"] > 0.0);
    let commits = samples["usher_journal_commit_seconds_count"];
    assert!(commits > 0.0);
    let all = samples["usher_journal_commit_seconds_bucket{le=\"+Inf\"}"];
    assert!((all - commits).abs() < 1e-9);
    let secret = token.splitn(3, '_').last().unwrap();
    assert!(!said.body.contains(secret));
    assert!(!served.get(&token, "/metrics").body.contains("flexlm"));
}

#[test]
fn what_is_answered_has_the_shapes_of_the_document() {
    let served = Served::new();
    let read = served.token(&["--scope", "read"]);
    let lease = served.token(&["--scope", "lease", "--feature", "acme/solver:1"]);
    let document = served.ask(None, "GET", "/api/v1/openapi.json", None).json();
    let granted = served.post(&lease, "/api/v1/leases", &obtain("01"));
    let fits = |said: &Value, verb: &str, path: &str, status: &str| {
        let content = &document["paths"][path][verb]["responses"][status]["content"];
        let schema = &content["application/json"]["schema"];
        assert!(schema.is_object(), "{verb} {path}");
        check(said, schema, &document, path);
    };
    fits(&granted.json(), "post", "/api/v1/leases", "201");
    let refused = served.post(&lease, "/api/v1/leases", &obtain("02"));
    assert_eq!(refused.no(), (409, "LEASE_LIMIT_REACHED".to_owned()));
    fits(&refused.json(), "post", "/api/v1/leases", "409");
    let id = granted.json()["lease"].as_str().unwrap().to_owned();
    let one = served.get(&lease, &format!("/api/v1/leases/{id}")).json();
    fits(&one, "get", "/api/v1/leases/{lease}", "200");
    fits(
        &served.get(&lease, "/api/v1/key").json(),
        "get",
        "/api/v1/key",
        "200",
    );
    let admin = served.token(&["--scope", "admin"]);
    let tokens = served.get(&admin, "/api/v1/tokens").json();
    fits(&tokens, "get", "/api/v1/tokens", "200");
    let reloaded = served
        .ask(Some(&admin), "POST", "/api/v1/reload", None)
        .json();
    fits(&reloaded, "post", "/api/v1/reload", "200");
    for path in [
        "status", "features", "leases", "queue", "licenses", "denials",
    ] {
        let path = format!("/api/v1/{path}");
        fits(&served.get(&read, &path).json(), "get", &path, "200");
    }
}

/// The commands of docs/http.md, one after the other, as they are printed there.
#[test]
fn the_commands_of_the_documentation_work_as_printed() {
    let served = Served::without_license();
    served.license(&["--feature", "solver:2"]);
    let page = fs::read_to_string(usher_tests::bins::workspace().join("docs/http.md")).unwrap();
    let mut script = String::from("set -euo pipefail\n");
    let mut inside = false;
    for line in page.lines() {
        match line {
            "```console" => inside = true,
            "```" => inside = false,
            _ => {}
        }
        let command = line.strip_prefix("# ").or_else(|| line.strip_prefix("$ "));
        if let Some(command) = command.filter(|_| inside) {
            script += &command.replace("curl ", "curl --fail ");
            script += "\n";
        }
    }
    assert!(script.contains("release") && script.contains("/metrics"));
    let port = served.daemon.address().port().to_string();
    let usherd = usher_tests::bins::path("usherd");
    let path = format!(
        "{}:{}",
        usherd.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let mut bash = served.daemon.admin(&[]);
    let places: Vec<_> = bash
        .get_envs()
        .map(|(k, v)| (k.to_owned(), v.map(ToOwned::to_owned)))
        .collect();
    bash = served.station.command("bash");
    for (name, value) in places {
        if let Some(value) = value {
            bash.env(name, value);
        }
    }
    bash.env("PATH", path)
        .args(["-c", &script.replace("27480", &port)]);
    let said = told(&bash.output().unwrap(), &script);
    assert!(said.contains("usher_granting 1"), "{said}");
    assert!(
        said.contains("renew-after-ms") && said.contains("\"done\":true"),
        "{said}"
    );
}

/// A checkout of one seat of `acme/solver` under a nonce of these two digits.
pub(crate) fn obtain(digits: &str) -> Value {
    json!({
        "feature": "acme/solver",
        "environment": "test",
        "nonce": digits.repeat(16),
        "link": "a0".repeat(16),
    })
}

/// The TCP sockets on which a process listens, as the kernel writes their addresses.
fn listening(pid: i32) -> Vec<String> {
    let sockets: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|path| {
            let name = path.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(name.to_owned())
        })
        .collect();
    let mut found = Vec::new();
    for table in ["tcp", "tcp6"] {
        let table = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        for line in table.lines().skip(1) {
            let words: Vec<_> = line.split_whitespace().collect();
            if words[3] == "0A" && sockets.iter().any(|it| it == words[9]) {
                found.push(words[1].to_owned());
            }
        }
    }
    found
}

/// Every sample by name and labels; each family must have its type, and each line make sense.
fn samples(page: &str) -> BTreeMap<String, f64> {
    let mut kinds = BTreeMap::new();
    let mut samples = BTreeMap::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(
                kinds.insert(name.to_owned(), kind.to_owned()).is_none(),
                "{name} twice"
            );
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let family = name.split('{').next().unwrap();
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| family.strip_suffix(end));
            let known = kinds.contains_key(family) || base.is_some_and(|it| kinds.contains_key(it));
            assert!(known, "{line}");
            let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
            assert!(
                samples.insert(name.to_owned(), value).is_none(),
                "{name} twice"
            );
        }
    }
    samples
}

/// As much of JSON Schema as the document uses.
fn check(said: &Value, schema: &Value, document: &Value, at: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return check(
            said,
            &document["components"]["schemas"][name],
            document,
            &format!("{at}: {name}"),
        );
    }
    if let Some(any) = schema["anyOf"].as_array() {
        return match said {
            Value::Null => assert!(any.iter().any(|it| it["type"] == "null"), "{at}"),
            said => check(said, &any[0], document, at),
        };
    }
    match (schema["type"].as_str().unwrap(), said) {
        ("object", Value::Object(fields)) => {
            for field in schema["required"].as_array().into_iter().flatten() {
                assert!(
                    fields.contains_key(field.as_str().unwrap()),
                    "{at}: no {field}"
                );
            }
            for (name, value) in fields {
                let of = &schema["properties"][name];
                assert!(of.is_object(), "{at}: {name} is not in the document");
                check(value, of, document, &format!("{at}.{name}"));
            }
        }
        ("array", Value::Array(items)) => {
            for item in items {
                check(item, &schema["items"], document, at);
            }
        }
        ("string", Value::String(text)) => {
            if let Some(words) = schema["enum"].as_array() {
                assert!(words.iter().any(|it| it == text), "{at}: {text}");
            }
        }
        ("integer", Value::Number(number)) => assert!(number.is_i64() || number.is_u64(), "{at}"),
        ("boolean", Value::Bool(_)) => {}
        (kind, other) => panic!("{at}: expected {kind}, got {other}"),
    }
}
