//! Genuine things of fixed keys: what targets start from, and what the seeds are made of.

use std::sync::{Arc, LazyLock};

use ed25519_dalek::SigningKey;
use usher_protocol::{
    calendar::{DAY, day_start},
    documents::{
        certificate::Certificate,
        lease::Lease,
        lease_file::{LeaseFile, StoredRight, StoredSecret},
        license::{Feature, Grouping, License, VerifiedLicense, issue},
        revocation::RevocationList,
        site_request::SiteRequest,
    },
    envelope::Signed,
    ids::{BootId, Commit, Epoch, LeaseId, Nonce, PublicKey, Token},
    limits::{LEASE_MS_DEFAULT, LEASE_MS_MAX, LEASE_MS_MIN, LEASE_MS_MIN_TEST},
    time::{BootMs, DurationMs, Now, WallMs},
    wire::{Checkout, Environment, Holder, Link},
};

/// The vendor's root, its issuing key, the site's key.
pub(crate) const ROOT: u8 = 1;
pub(crate) const ISSUING: u8 = 2;
pub(crate) const SITE: u8 = 3;
/// The first of the clients' keys.
pub(crate) const CLIENT: u8 = 10;

/// 2026-11-01, when the licenses are issued.
pub(crate) const ISSUED: WallMs = WallMs(1_793_491_200_000);

/// A key of this number.
pub(crate) fn key(number: u8) -> &'static SigningKey {
    static KEYS: LazyLock<Vec<SigningKey>> = LazyLock::new(|| {
        (0..32)
            .map(|it| SigningKey::from_bytes(&[it; 32]))
            .collect()
    });
    &KEYS[usize::from(number) % 32]
}

/// Its public half.
pub(crate) fn public(number: u8) -> PublicKey {
    static KEYS: LazyLock<Vec<PublicKey>> =
        LazyLock::new(|| (0..32).map(|it| PublicKey::from(key(it))).collect());
    KEYS[usize::from(number) % 32]
}

pub(crate) fn certificate() -> Certificate {
    Certificate {
        root: public(ROOT),
        vendor: "acme".parse().unwrap(),
        issuing: public(ISSUING),
        serial: 1,
        starts: day_start(2026, 1, 1).unwrap(),
        expires: day_start(2036, 1, 1).unwrap(),
    }
}

pub(crate) fn revocations() -> RevocationList {
    RevocationList {
        root: public(ROOT),
        number: 2,
        issued: ISSUED,
        issuing_keys: vec![public(9).fingerprint()],
        licenses: vec!["acme-0007".parse().unwrap()],
    }
}

/// Two live features: a plain one of three seats, and one with everything a license can say.
pub(crate) fn license() -> License {
    License {
        id: "acme-0042".parse().unwrap(),
        serial: 3,
        vendor: "acme".parse().unwrap(),
        customer: "Example Works".to_owned(),
        customer_id: "example-works".parse().unwrap(),
        environment: Environment::Live,
        site: public(SITE),
        hosts: vec!["lic01".to_owned()],
        issued: ISSUED,
        replaces: vec!["acme-0041".parse().unwrap()],
        support: Some("Write to support@acme.example.".to_owned()),
        features: vec![solver(), mesher()],
    }
}

/// The next serial: fewer seats, shorter leases.
pub(crate) fn license_next() -> License {
    let mut license = license();
    license.serial = 4;
    license.features[0].seats = Some(1);
    license.features[0].lease_ms_default = DurationMs::minutes(1);
    license.features[1].seats = Some(2);
    license
}

/// A test license, with tiny lengths.
pub(crate) fn license_test() -> License {
    let feature = Feature {
        lease_ms_min: LEASE_MS_MIN_TEST,
        lease_ms_default: LEASE_MS_MIN_TEST,
        seats: Some(2),
        ..solver()
    };
    License {
        id: "acme-test".parse().unwrap(),
        environment: Environment::Test,
        hosts: Vec::new(),
        replaces: Vec::new(),
        support: None,
        features: vec![feature],
        ..license()
    }
}

fn solver() -> Feature {
    Feature {
        feature: "solver".parse().unwrap(),
        version: None,
        seats: Some(3),
        starts: ISSUED,
        expires: Some(day_start(2027, 12, 31).unwrap().plus(DAY)),
        lease_ms_min: LEASE_MS_MIN,
        lease_ms_default: LEASE_MS_DEFAULT,
        lease_ms_max: LEASE_MS_MAX,
        borrow_ms_max: DurationMs::ZERO,
        overdraft: 0,
        grouping: Grouping::Process,
        claimed_user: false,
        early_return: false,
        write_off: 0,
    }
}

fn mesher() -> Feature {
    Feature {
        feature: "mesher".parse().unwrap(),
        version: Some("2027.1".parse().unwrap()),
        seats: Some(4),
        expires: None,
        lease_ms_max: DurationMs::hours(1),
        borrow_ms_max: DurationMs::days(7),
        overdraft: 2,
        grouping: Grouping::User,
        claimed_user: true,
        early_return: true,
        write_off: 1,
        ..solver()
    }
}

/// These terms, signed; a list of revocations costs each engine that installs them a verification.
fn signed(license: &License, revocations: Option<&Signed>) -> Arc<VerifiedLicense> {
    let mut certificate = certificate();
    certificate.expires = WallMs::NEVER; // for features without an end
    let certificate = certificate.sign(key(ROOT)).unwrap();
    let file = issue(license, key(ISSUING), &certificate, revocations).unwrap();
    Arc::new(VerifiedLicense::verify(file.as_bytes()).unwrap())
}

/// The licenses, signed once: live, its next serial, test.
pub(crate) fn licenses() -> &'static [Arc<VerifiedLicense>; 3] {
    static LICENSES: LazyLock<[Arc<VerifiedLicense>; 3]> = LazyLock::new(|| {
        let revocations = revocations().sign(key(ROOT)).unwrap();
        [
            signed(&license(), None),
            signed(&license_next(), Some(&revocations)),
            signed(&license_test(), None),
        ]
    });
    &LICENSES
}

pub(crate) fn holder() -> Holder {
    Holder {
        user: "ada".to_owned(),
        host: "ws01".to_owned(),
        display: Some(":0".to_owned()),
        process: 4711,
    }
}

pub(crate) fn lease() -> Lease {
    let id = LeaseId {
        epoch: Epoch(1_795_000_000),
        commit: Commit(17),
    };
    Lease {
        id,
        root: public(ROOT).fingerprint(),
        license: "acme-0042".parse().unwrap(),
        license_hash: licenses()[0].hash(),
        environment: Environment::Live,
        feature: "solver".parse().unwrap(),
        seats: 1,
        client: public(CLIENT),
        holder: holder(),
        epoch: id.epoch,
        commit: Commit(18),
        token: Token([6; 16]),
        issued: ISSUED,
        length_ms: DurationMs::minutes(10),
        not_after: ISSUED.plus(DurationMs::minutes(10)),
        grouping: Grouping::Process,
        borrowed: false,
    }
}

pub(crate) fn lease_file() -> LeaseFile {
    LeaseFile {
        root: public(ROOT),
        server: "192.0.2.7:27443".to_owned(),
        endorsement: licenses()[0].signed_endorsement().clone(),
        lease: lease().sign(key(SITE)).unwrap(),
        length_ms: Some(DurationMs::minutes(20)),
        secret: Some(StoredSecret {
            nonce: Nonce([5; 16]),
            acknowledged: link().previous,
            under_way: Some(link().next),
        }),
        right: StoredRight {
            since: Now {
                boot: BootMs(86_400_123),
                wall: ISSUED,
            },
            length: lease().length_ms,
            boot: Some(BootId([8; 16])),
        },
    }
}

pub(crate) fn site_request() -> SiteRequest {
    SiteRequest {
        site: public(SITE),
        host: "lic01.example.org".to_owned(),
        usherd: "0.1.0".to_owned(),
        requested: ISSUED,
    }
}

pub(crate) fn checkout() -> Checkout {
    Checkout {
        nonce: Nonce([5; 16]),
        token: Token([6; 16]),
        feature: "solver".parse().unwrap(),
        environment: Environment::Live,
        seats: 1,
        version: Some("2027".parse().unwrap()),
        length_ms: Some(DurationMs::minutes(10)),
        holder: holder(),
        wait: false,
    }
}

pub(crate) fn link() -> Link {
    Link {
        previous: Token([6; 16]),
        next: Token([7; 16]),
    }
}
