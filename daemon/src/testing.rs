//! What this crate's tests share: a vendor, its license, a running core on a journal in memory.

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use usher_client::clock::Clock;
use usher_engine::{
    api::{AdminAsk, Answer, Caller, ClientAsk, Settings},
    record::LeaseRecord,
};
use usher_protocol::{
    documents::{
        certificate::Certificate,
        license::{Feature, Grouping, License, VerifiedLicense, issue},
    },
    ids::{Commit, Epoch, Fingerprint, LeaseId, Nonce, PublicKey, Token},
    time::{DurationMs, WallMs},
    wire::{Checkout, Environment, Holder},
};

use crate::{
    admin::protocol::{LeaseReport, LicenseReport, PoolReport},
    core::{self, CoreHandle, Started},
    journal::Journal,
};

pub(crate) fn site_key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

pub(crate) fn root_key() -> SigningKey {
    SigningKey::from_bytes(&[2; 32])
}

pub(crate) fn client_key() -> SigningKey {
    SigningKey::from_bytes(&[4; 32])
}

/// Two seats of `solver` that anna on ws1 holds; a test changes what it is about.
pub(crate) fn lease() -> LeaseRecord {
    let id = LeaseId {
        epoch: Epoch(5),
        commit: Commit(44),
    };
    LeaseRecord {
        id,
        root: PublicKey::from(&SigningKey::from_bytes(&[1; 32])).fingerprint(),
        license: "acme-0001".parse().unwrap(),
        environment: Environment::Live,
        feature: "solver".parse().unwrap(),
        seats: 2,
        version: Some("2027.1".parse().unwrap()),
        length_ms_wished: None,
        client: PublicKey::from(&root_key()),
        nonce: Nonce([7; 16]),
        holder: Holder {
            user: "anna".to_owned(),
            host: "ws1".to_owned(),
            display: Some(":0".to_owned()),
            process: 4711,
        },
        address: None,
        since: WallMs(1_795_348_800_000),
        length_ms_longest: DurationMs::minutes(10),
        evicted: None,
        forked: false,
        grouping: Grouping::Process,
        share_since: id,
        overdraft_seats: 0,
        waited_ms: DurationMs::ZERO,
        borrowed: None,
    }
}

/// `solver` of vendor `acme`, a test license of this many seats and this lease length.
pub(crate) fn license(seats: u32, lease_ms: DurationMs) -> Arc<VerifiedLicense> {
    let issuing = SigningKey::from_bytes(&[3; 32]);
    let issued = WallMs(1_790_000_000_000);
    let certificate = Certificate {
        root: PublicKey::from(&root_key()),
        vendor: "acme".parse().unwrap(),
        issuing: PublicKey::from(&issuing),
        serial: 1,
        starts: WallMs(0),
        expires: WallMs::NEVER,
    };
    let license = License {
        id: "acme-0001".parse().unwrap(),
        serial: 1,
        vendor: "acme".parse().unwrap(),
        customer: "Example Works".to_owned(),
        customer_id: "c-1".parse().unwrap(),
        environment: Environment::Test,
        site: PublicKey::from(&site_key()),
        hosts: Vec::new(),
        issued,
        replaces: Vec::new(),
        support: None,
        features: vec![Feature {
            claimed_user: false,
            early_return: false,
            write_off: 0,
            feature: "solver".parse().unwrap(),
            version: None,
            seats: Some(seats),
            starts: issued,
            expires: None,
            lease_ms_min: DurationMs::seconds(2),
            lease_ms_default: lease_ms,
            lease_ms_max: DurationMs::hours(1),
            borrow_ms_max: DurationMs::ZERO,
            overdraft: 0,
            grouping: Grouping::Process,
        }],
    };
    let certificate = certificate.sign(&root_key()).unwrap();
    let text = issue(&license, &issuing, &certificate, None).unwrap();
    Arc::new(VerifiedLicense::verify(text.as_bytes()).unwrap())
}

pub(crate) fn settings() -> Settings {
    Settings {
        serve_test: true,
        leases_per_client_max: 1000,
        leases_max: 10_000,
        host_names: Vec::new(),
    }
}

pub(crate) fn start(journal: impl Journal + 'static) -> Started {
    let site = PublicKey::from(&site_key());
    let life = crate::site::random_life().unwrap();
    core::start(
        Box::new(journal),
        site,
        false,
        life,
        settings(),
        Arc::default(),
    )
    .unwrap()
}

pub(crate) async fn install(core: &CoreHandle, license: &Arc<VerifiedLicense>) {
    let ask = AdminAsk::InstallLicense {
        license: Arc::clone(license),
        root_confirmed: Some(license.root().fingerprint()),
    };
    let answer = core.ask_admin("root(0)".to_owned(), ask).await;
    assert!(matches!(answer, Answer::Installed(_)), "{answer:?}");
}

pub(crate) fn caller() -> Caller {
    Caller {
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        connection: usher_engine::api::ConnectionId(0),
        client: PublicKey::from(&client_key()),
        root: PublicKey::from(&root_key()).fingerprint(),
    }
}

pub(crate) fn checkout(nonce: u8) -> Checkout {
    Checkout {
        wait: false,
        nonce: Nonce([nonce; 16]),
        token: Token([nonce; 16]),
        feature: "solver".parse().unwrap(),
        environment: Environment::Test,
        seats: 1,
        version: None,
        length_ms: None,
        holder: Holder {
            user: "anna".to_owned(),
            host: "ws1".to_owned(),
            display: None,
            process: 7,
        },
    }
}

pub(crate) fn ask_seat(nonce: u8) -> ClientAsk {
    ClientAsk::Checkout(checkout(nonce))
}

/// Waits in real time for what another thread brings about.
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let clock = Clock::new();
    let give_up = clock.boot().plus(DurationMs::minutes(1));
    while !done() {
        assert!(clock.boot() < give_up, "never: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// A pool of license `acme-0001` as an administrator is told of it: no end, no bound, nothing out.
pub(crate) fn pool_report(feature: &str) -> PoolReport {
    PoolReport {
        feature: feature.to_owned(),
        license: "acme-0001".parse().unwrap(),
        environment: Environment::Live,
        version: None,
        seats: None,
        out: 0,
        free: None,
        reserved_idle: 0,
        overdraft: 0,
        overdraft_used: 0,
        borrowed: 0,
        written_off: 0,
        offered: 0,
        lingering: 0,
        queued: 0,
        suspended: None,
        held: 0,
        overcommitted: false,
        expires: None,
    }
}

/// License `acme-0001` as an administrator is told of it, without features.
pub(crate) fn license_report(issued: WallMs) -> LicenseReport {
    LicenseReport {
        id: "acme-0001".parse().unwrap(),
        serial: 1,
        vendor: "acme".to_owned(),
        root: Fingerprint([1; 32]),
        customer: "Example GmbH".to_owned(),
        environment: Environment::Live,
        issued,
        features: Vec::new(),
        idle_because: None,
    }
}

/// A lease of `acme/solver` as an administrator is told of it: one seat, held by anna on ws1.
pub(crate) fn lease_report(commit: u64) -> LeaseReport {
    LeaseReport {
        id: LeaseId {
            epoch: Epoch(5),
            commit: Commit(commit),
        },
        feature: "acme/solver".to_owned(),
        license: "acme-0001".parse().unwrap(),
        environment: Environment::Live,
        seats: 1,
        client: Fingerprint([0; 32]),
        user: "anna".to_owned(),
        host: "ws1".to_owned(),
        display: None,
        process: 7,
        since: WallMs(0),
        free_in_ms: DurationMs::minutes(3),
        note: None,
        borrowed_until: None,
        sharing: 1,
    }
}
