//! Leases over HTTPS: the rules are those of every lease.

use serde_json::{Value, json};

use crate::admin_ground::wait_for;
use crate::http::obtain;
use crate::http_ground::Served;

fn step(previous: &str, next: &str) -> Value {
    json!({
        "nonce": "01".repeat(16),
        "previous": previous.repeat(16),
        "next": next.repeat(16),
    })
}

fn no(status: u16, word: &str) -> (u16, String) {
    (status, word.to_owned())
}

/// Where a lease is renewed that was granted with this answer.
fn renewal(granted: &Value) -> String {
    format!(
        "/api/v1/leases/{}/renew",
        granted["lease"].as_str().unwrap()
    )
}

fn seats_out(served: &Served) -> u64 {
    let status = served.daemon.ask(&["status", "--json"]);
    let status: Value = serde_json::from_str(&status).unwrap();
    status["pools"][0]["out"].as_u64().unwrap()
}

#[test]
fn a_lease_is_obtained_renewed_and_released_with_curl() {
    let served = Served::new();
    let token = served.token(&[
        "--scope",
        "lease",
        "--name",
        "shop",
        "--feature",
        "acme/solver:2",
    ]);
    let said = served.post(&token, "/api/v1/leases", &obtain("01"));
    assert_eq!(said.status, 201, "{}", said.body);
    let granted = said.json();
    assert_eq!(granted["length-ms"], 10_000);
    let id = granted["lease"].as_str().unwrap().to_owned();
    let of = |verb: &str| format!("/api/v1/leases/{id}{verb}");
    assert_eq!(seats_out(&served), 1);
    assert!(served.daemon.ask(&["leases"]).contains("shop"));
    let standing = served.get(&token, &of("")).json();
    assert_eq!(
        (&standing["feature"], &standing["seats"]),
        (&json!("acme/solver"), &json!(1))
    );
    // L5: an answer that was lost is asked for again.
    let again = served.post(&token, "/api/v1/leases", &obtain("01")).json();
    assert_eq!(again["lease"], granted["lease"]);
    assert_eq!(seats_out(&served), 1);
    for _ in 0..2 {
        let renewed = served.post(&token, &of("/renew"), &step("a0", "a1"));
        assert_eq!(renewed.status, 200, "{}", renewed.body);
    }
    let wrong =
        json!({"nonce": "09".repeat(16), "previous": "a1".repeat(16), "next": "a2".repeat(16)});
    assert_eq!(
        served.post(&token, &of("/renew"), &wrong).no(),
        no(409, "LEASE_INVALID")
    );
    for _ in 0..2 {
        assert_eq!(
            served
                .post(&token, &of("/release"), &step("a1", "a2"))
                .status,
            200
        );
    }
    assert_eq!(seats_out(&served), 0);
    assert_eq!(served.get(&token, &of("")).no(), no(410, "LEASE_RELEASED"));
    assert_eq!(
        served.post(&token, &of("/renew"), &step("a2", "a3")).no(),
        no(410, "LEASE_RELEASED")
    );
}

#[test]
fn t6_two_that_renew_one_lease_over_https_end_it_for_both() {
    let served = Served::new();
    let token = served.token(&["--scope", "lease", "--feature", "acme/solver:2"]);
    let granted = served.post(&token, "/api/v1/leases", &obtain("01")).json();
    let renew = renewal(&granted);
    assert_eq!(served.post(&token, &renew, &step("a0", "a1")).status, 200);
    let branch = served.post(&token, &renew, &step("a0", "b1"));
    assert_eq!(branch.no(), no(409, "LEASE_INVALID"));
    assert_eq!(branch.json()["refusal"]["refusal"], "lease-forked");
    assert_eq!(
        served.post(&token, &renew, &step("a1", "a2")).no(),
        no(409, "LEASE_INVALID")
    );
}

#[test]
fn a_token_has_no_more_seats_out_than_it_may_whatever_happens_between() {
    let mut served = Served::new();
    let token = served.token(&[
        "--scope",
        "lease",
        "--feature",
        "acme/solver:1",
        "--feature",
        "acme/other:1",
    ]);
    let read = served.token(&["--scope", "read"]);
    assert_eq!(
        served.post(&token, "/api/v1/leases", &obtain("01")).status,
        201
    );
    let limit = no(409, "LEASE_LIMIT_REACHED");
    assert_eq!(
        served.post(&token, "/api/v1/leases", &obtain("02")).no(),
        limit
    );
    served.daemon.kill();
    served.daemon.start_again();
    // The bound and the nonce are known after a restart as before (L4, L5).
    assert_eq!(
        served.post(&token, "/api/v1/leases", &obtain("02")).no(),
        limit
    );
    assert_eq!(
        served.post(&token, "/api/v1/leases", &obtain("01")).status,
        201
    );
    let key = served.get(&token, "/api/v1/key").json();
    assert_eq!(
        key["seats"][0],
        json!({"feature": "acme/solver", "seats": 1, "out": 1})
    );
    let mut many = obtain("03");
    many["seats"] = json!(2);
    assert_eq!(served.post(&token, "/api/v1/leases", &many).no(), limit);
    let mut other = obtain("04");
    other["feature"] = json!("acme/mesher");
    assert_eq!(
        served.post(&token, "/api/v1/leases", &other).no(),
        no(403, "SCOPE_TOO_SMALL")
    );
    other["feature"] = json!("acme/other");
    assert_eq!(
        served.post(&token, "/api/v1/leases", &other).no(),
        no(404, "NOT_FOUND")
    );
    // It runs out, and its seat is there again.
    wait_for("a seat after the lease ran out", || {
        served.post(&token, "/api/v1/leases", &obtain("05")).status == 201
    });
    assert_eq!(seats_out(&served), 1);
    assert_eq!(
        served
            .get(&read, "/api/v1/leases")
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn one_token_reaches_no_lease_of_another() {
    let served = Served::new();
    let terms = |name: &'static str| {
        [
            "--scope",
            "lease",
            "--name",
            name,
            "--feature",
            "acme/solver:2",
        ]
    };
    let (mine, other) = (served.token(&terms("mine")), served.token(&terms("other")));
    let granted = served.post(&mine, "/api/v1/leases", &obtain("01")).json();
    let path = format!("/api/v1/leases/{}", granted["lease"].as_str().unwrap());
    assert_eq!(served.get(&other, &path).no(), no(404, "LEASE_INVALID"));
    for verb in ["renew", "release"] {
        let said = served.post(&other, &format!("{path}/{verb}"), &step("a0", "a1"));
        assert_eq!(said.no(), no(409, "LEASE_INVALID"), "{verb}");
    }
    // The same nonce of another token is another lease.
    let theirs = served.post(&other, "/api/v1/leases", &obtain("01")).json();
    assert_ne!(theirs["lease"], granted["lease"]);
    assert_eq!(seats_out(&served), 2);
    let third = served.post(&mine, "/api/v1/leases", &obtain("02"));
    assert_eq!(third.no(), no(409, "LEASE_LIMIT_REACHED"));
    assert_eq!(third.json()["refusal"]["refusal"], "no-seat");
}

#[test]
fn a_lease_that_ran_out_is_expired_and_a_signed_one_may_be_shown() {
    let served = Served::new();
    let token = served.token(&["--scope", "lease", "--feature", "acme/solver:2"]);
    let granted = served.post(&token, "/api/v1/leases", &obtain("01")).json();
    let renew = renewal(&granted);
    let mut shown = step("a0", "a1");
    shown["document"] = granted["document"].clone();
    assert_eq!(served.post(&token, &renew, &shown).status, 200);
    let mut forged = step("a1", "a2");
    forged["document"] = granted["document"].clone();
    let body = granted["document"]["body"].as_str().unwrap();
    forged["document"]["body"] = json!(body.replacen(&body[..4], "AAAA", 1));
    assert_eq!(
        served.post(&token, &renew, &forged).no(),
        no(404, "LEASE_INVALID")
    );
    wait_for("the end of the lease", || seats_out(&served) == 0);
    let late = served.post(&token, &renew, &step("a1", "a2"));
    assert_eq!(late.no(), no(410, "LEASE_EXPIRED"));
}

#[test]
fn what_is_counted_by_host_is_not_lent_to_a_token() {
    let served = Served::without_license();
    let feature = "solver:2,grouping=host,lease-min=2s,lease-default=10s,lease-max=10s";
    served.license(&["--environment", "test", "--feature", feature]);
    let token = served.token(&["--scope", "lease", "--feature", "acme/solver:2"]);
    let said = served.post(&token, "/api/v1/leases", &obtain("01"));
    assert_eq!(said.no(), no(403, "SCOPE_TOO_SMALL"));
    assert_eq!(seats_out(&served), 0);
}

#[test]
fn what_the_document_lets_through_is_read_and_the_rest_is_refused() {
    let served = Served::new();
    let operate = served.token(&["--scope", "operate"]);
    let lease = served.token(&["--scope", "lease", "--feature", "acme/solver:2"]);
    let mut wish = obtain("01");
    // JSON Schema knows no difference between 4171 and 4171.0.
    (wish["length-ms"], wish["seats"]) = (json!(4171.0), json!(1.0));
    let granted = served.post(&lease, "/api/v1/leases", &wish);
    assert_eq!(
        (granted.status, &granted.json()["length-ms"]),
        (201, &json!(4171))
    );
    wish = obtain("02");
    wish["length-ms"] = json!(0);
    let bad = no(400, "BAD_REQUEST");
    assert_eq!(served.post(&lease, "/api/v1/leases", &wish).no(), bad);
    for count in ["0", "1001", "x"] {
        let path = format!("/api/v1/leases?count={count}");
        assert_eq!(served.get(&operate, &path).no(), bad, "{count}");
    }
    assert_eq!(
        served.get(&operate, "/api/v1/leases?count=1000").status,
        200
    );
    let id = granted.json()["lease"].as_str().unwrap().to_owned();
    let evict = format!("/api/v1/leases/{id}/evict");
    for reason in ["", "a\u{7}b", &"x".repeat(257)] {
        let why = json!({"reason": reason});
        assert_eq!(served.post(&operate, &evict, &why).no(), bad, "{reason:?}");
    }
    for pause in [json!(86_400_001), json!(0.5)] {
        let why = json!({"reason": "x", "cool-down-ms": pause});
        assert_eq!(served.post(&operate, &evict, &why).no(), bad, "{pause}");
    }
    let mut empty = step("a0", "a1");
    empty["document"] = json!({"body": "", "signature": ""});
    assert_eq!(
        served.post(&lease, &renewal(&granted.json()), &empty).no(),
        bad
    );
    let longest = json!({"reason": "x".repeat(256), "cool-down-ms": 86_400_000.0});
    assert_eq!(served.post(&operate, &evict, &longest).status, 200);
}
