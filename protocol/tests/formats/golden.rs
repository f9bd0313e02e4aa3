//! The bytes of every frame kind, message variant and document, frozen (S5).
//!
//! A change here is a change of the format: old and new programs no longer understand each other.

use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use usher_protocol::{
    ids::Nonce,
    refusal::{HolderView, Refusal, RefusalCode, RuleRef},
    time::{DurationMs, WallMs},
    wire::{
        Attach, Borrow, Checkout, ClientFrame, FeatureView, Hello, Place, Push, Release, Renew,
        Reply, Request, ServerFrame,
    },
};

use crate::samples::{
    borrowed_lease, certificate, checkout, day, encoded, endorsement, grant, issuing, lease,
    lease_file, lease_id, license_file, link, public, revocations, root, shown_lease_file,
    signed_lease, site, site_request, welcome,
};

#[test]
fn client_frames() {
    let hello = Hello {
        version_min: 1,
        version_max: 1,
        root: public(&root()).fingerprint(),
    };
    let mut text = String::new();
    add(
        &mut text,
        "Hello",
        &ClientFrame::Hello(hello).encode().unwrap(),
    );
    for (name, request) in requests() {
        let frame = ClientFrame::Request(300, request);
        add(&mut text, name, &frame.encode().unwrap());
    }
    insta::assert_snapshot!("client_frames", text);
}

#[test]
fn server_frames() {
    let mut text = String::new();
    add(
        &mut text,
        "Welcome",
        &ServerFrame::Welcome(welcome()).encode().unwrap(),
    );
    for (name, reply) in replies() {
        let frame = ServerFrame::Reply(300, reply);
        add(&mut text, name, &frame.encode().unwrap());
    }
    for (name, push) in pushes() {
        add(&mut text, name, &ServerFrame::Push(push).encode().unwrap());
    }
    insta::assert_snapshot!("server_frames", text);
}

#[test]
fn signed_documents() {
    let mut text = String::new();
    add(&mut text, "certificate body", &encoded(&certificate()));
    add(
        &mut text,
        "certificate",
        &encoded(&certificate().sign(&root()).unwrap()),
    );
    add(&mut text, "revocation list body", &encoded(&revocations()));
    add(
        &mut text,
        "revocation list",
        &encoded(&revocations().sign(&root()).unwrap()),
    );
    add(
        &mut text,
        "endorsement body",
        &endorsement().endorsement.body,
    );
    add(
        &mut text,
        "endorsement with certificate",
        &encoded(&endorsement()),
    );
    add(&mut text, "lease body", &encoded(&lease()));
    add(&mut text, "lease", &encoded(&signed_lease()));
    add(
        &mut text,
        "borrowed lease body",
        &encoded(&borrowed_lease()),
    );
    insta::assert_snapshot!("signed_documents", text);
}

#[test]
fn readable_documents() {
    insta::assert_snapshot!("license_file", license_file());
    insta::assert_snapshot!("lease_file", lease_file().to_text().unwrap());
    insta::assert_snapshot!("shown_lease_file", shown_lease_file().to_text().unwrap());
    insta::assert_snapshot!("site_request", site_request().sign(&site()).unwrap());
    assert_eq!(certificate().issuing, public(&issuing()));
}

pub(crate) fn requests() -> Vec<(&'static str, Request)> {
    let (lease, nonce, link) = (lease_id(), checkout().nonce, link());
    let length_ms = Some(DurationMs::minutes(20));
    vec![
        ("Request::Checkout", Request::Checkout(checkout())),
        (
            "Request::Renew",
            Request::Renew(Renew {
                lease,
                nonce,
                link,
                length_ms,
                idle_ms: Some(DurationMs::minutes(30)),
            }),
        ),
        (
            "Request::Release",
            Request::Release(Release { lease, nonce, link }),
        ),
        (
            "Request::Attach",
            Request::Attach(Attach {
                lease: signed_lease(),
                nonce,
                link,
                length_ms: None,
            }),
        ),
        ("Request::Features", Request::Features),
        (
            "Request::Holders",
            Request::Holders("solver".parse().unwrap()),
        ),
        (
            "Request::Endorsement",
            Request::Endorsement("acme-0042".parse().unwrap()),
        ),
        (
            "Request::CheckoutAll",
            Request::CheckoutAll(vec![
                Checkout {
                    wait: true,
                    ..checkout()
                },
                Checkout {
                    nonce: Nonce([9; 16]),
                    feature: "mesher".parse().unwrap(),
                    wait: true,
                    ..checkout()
                },
            ]),
        ),
        ("Request::Leave", Request::Leave(nonce)),
        (
            "Request::Borrow",
            Request::Borrow(Borrow {
                checkout: Checkout {
                    length_ms: Some(DurationMs::days(7)),
                    ..checkout()
                },
                wall: day(2026, 11, 22),
            }),
        ),
    ]
}

pub(crate) fn replies() -> Vec<(&'static str, Reply)> {
    vec![
        ("Reply::Granted", Reply::Granted(grant())),
        ("Reply::Released", Reply::Released),
        ("Reply::Features", Reply::Features(vec![feature_view()])),
        ("Reply::Holders", Reply::Holders(vec![holder_view()], 3)),
        ("Reply::Endorsement", Reply::Endorsement(endorsement())),
        ("Reply::Refused", Reply::Refused(refusal())),
        ("Reply::Queued", Reply::Queued(place())),
        (
            "Reply::GrantedAll",
            Reply::GrantedAll(vec![grant(), grant()]),
        ),
        ("Reply::Left", Reply::Left),
        ("Reply::Returned", Reply::Returned(DurationMs::hours(25))),
    ]
}

pub(crate) fn pushes() -> Vec<(&'static str, Push)> {
    vec![
        ("Push::Draining", Push::Draining(DurationMs::seconds(5))),
        ("Push::FeaturesChanged", Push::FeaturesChanged),
        (
            "Push::Evicted",
            Push::Evicted(lease_id(), "needed elsewhere".to_owned()),
        ),
        ("Push::Queued", Push::Queued(checkout().nonce, place())),
        (
            "Push::Offered",
            Push::Offered(checkout().nonce, DurationMs::seconds(30)),
        ),
        (
            "Push::Dismissed",
            Push::Dismissed(
                checkout().nonce,
                Refusal::new(RefusalCode::Suspended, "not lent for now"),
            ),
        ),
    ]
}

fn place() -> Place {
    Place {
        position: 3,
        waiting: 7,
        expected_ms: Some(DurationMs::minutes(4)),
    }
}

fn feature_view() -> FeatureView {
    FeatureView {
        feature: "solver".parse().unwrap(),
        license: "acme-0042".parse().unwrap(),
        environment: usher_protocol::wire::Environment::Test,
        version: None,
        seats: Some(10),
        out: 4,
        overdraft: 1,
        reserved_idle: 2,
        kept: 3,
        queued: 5,
        borrow_ms_max: DurationMs::days(7),
        suspended: true,
        expires: Some(day(2028, 1, 1)),
    }
}

fn holder_view() -> HolderView {
    HolderView {
        user: "ada".to_owned(),
        host: "ws01".to_owned(),
        display: None,
        process: 4711,
        seats: 2,
        since: WallMs(1_795_000_000_000),
        free_in_ms: DurationMs::seconds(70),
        borrowed: true,
    }
}

fn refusal() -> Refusal {
    Refusal {
        code: RefusalCode::NoSeat,
        detail: "all 10 seats are out".to_owned(),
        rule: Some(RuleRef {
            text: "reserve 2 for group cfd".to_owned(),
            file: "policy.toml".to_owned(),
            line: 12,
        }),
        holders: vec![holder_view()],
        holders_more: 1,
        earliest_free_ms: Some(DurationMs::seconds(70)),
        earliest_because: Some("the lease of ada@ws01 ends".to_owned()),
        retry_after_ms: None,
        support: Some("Write to support@acme.example.".to_owned()),
    }
}

fn add(text: &mut String, name: &str, bytes: &[u8]) {
    writeln!(text, "{name}: {} bytes", bytes.len()).unwrap();
    for line in bytes.chunks(40) {
        writeln!(text, "  {}", HEXLOWER.encode(line)).unwrap();
    }
}
