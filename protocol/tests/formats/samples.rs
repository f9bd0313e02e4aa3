//! One chain of fixed keys, from a vendor's root down to a lease: the same bytes in every run.

use std::sync::LazyLock;

use ed25519_dalek::SigningKey;
use usher_protocol::{
    calendar::{DAY, day_start},
    codec,
    documents::{
        certificate::Certificate,
        endorsement::SignedEndorsement,
        lease::Lease,
        lease_file::{LeaseFile, StoredRight, StoredSecret},
        license::{Feature, Grouping, License, VerifiedLicense, issue},
        revocation::RevocationList,
        site_request::SiteRequest,
    },
    envelope::Signed,
    ids::{BootId, Commit, Epoch, LeaseId, LifeId, Nonce, PublicKey, Token},
    limits::{LEASE_MS_DEFAULT, LEASE_MS_MAX, LEASE_MS_MIN},
    time::{BootMs, DurationMs, Now, WallMs},
    wire::{Checkout, Environment, Grant, Holder, Link, Welcome},
};

pub(crate) fn root() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

pub(crate) fn issuing() -> SigningKey {
    SigningKey::from_bytes(&[2; 32])
}

pub(crate) fn site() -> SigningKey {
    SigningKey::from_bytes(&[3; 32])
}

pub(crate) fn client() -> SigningKey {
    SigningKey::from_bytes(&[4; 32])
}

pub(crate) fn public(key: &SigningKey) -> PublicKey {
    PublicKey::from(key)
}

/// 00:00 UTC of a day.
pub(crate) fn day(year: i16, month: i8, day: i8) -> WallMs {
    day_start(year, month, day).unwrap()
}

pub(crate) fn certificate() -> Certificate {
    Certificate {
        root: public(&root()),
        vendor: "acme".parse().unwrap(),
        issuing: public(&issuing()),
        serial: 1,
        starts: day(2026, 1, 1),
        expires: day(2036, 1, 1),
    }
}

pub(crate) fn revocations() -> RevocationList {
    RevocationList {
        root: public(&root()),
        number: 2,
        issued: day(2026, 10, 1),
        issuing_keys: vec![public(&SigningKey::from_bytes(&[9; 32])).fingerprint()],
        licenses: vec!["acme-0007".parse().unwrap()],
    }
}

pub(crate) fn license() -> License {
    License {
        id: "acme-0042".parse().unwrap(),
        serial: 3,
        vendor: "acme".parse().unwrap(),
        customer: "Example Works".to_owned(),
        customer_id: "example-works".parse().unwrap(),
        environment: Environment::Live,
        site: public(&site()),
        hosts: vec!["lic01".to_owned()],
        issued: day(2026, 11, 1),
        replaces: vec!["acme-0041".parse().unwrap()],
        support: Some("Write to support@acme.example.".to_owned()),
        features: vec![solver(), mesher()],
    }
}

fn solver() -> Feature {
    Feature {
        feature: "solver".parse().unwrap(),
        version: None,
        seats: Some(10),
        starts: day(2026, 11, 1),
        expires: Some(day(2027, 12, 31).plus(DAY)),
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
        seats: None,
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

pub(crate) fn license_file() -> String {
    verified_license().text().to_owned()
}

/// Made once: the mutation tests ask for it thousands of times.
pub(crate) fn verified_license() -> &'static VerifiedLicense {
    static LICENSE: LazyLock<VerifiedLicense> = LazyLock::new(|| {
        let certificate = certificate().sign(&root()).unwrap();
        let revocations = revocations().sign(&root()).unwrap();
        let file = issue(&license(), &issuing(), &certificate, Some(&revocations)).unwrap();
        VerifiedLicense::verify(file.as_bytes()).unwrap()
    });
    &LICENSE
}

pub(crate) fn endorsement() -> SignedEndorsement {
    verified_license().signed_endorsement().clone()
}

pub(crate) fn holder() -> Holder {
    Holder {
        user: "ada".to_owned(),
        host: "ws01".to_owned(),
        display: Some(":0".to_owned()),
        process: 4711,
    }
}

pub(crate) fn lease_id() -> LeaseId {
    LeaseId {
        epoch: Epoch(1_795_000_000),
        commit: Commit(17),
    }
}

pub(crate) fn lease() -> Lease {
    let issued = WallMs(day(2026, 11, 22).0 + 36_000_000);
    Lease {
        id: lease_id(),
        root: public(&root()).fingerprint(),
        license: "acme-0042".parse().unwrap(),
        license_hash: verified_license().hash(),
        environment: Environment::Live,
        feature: "solver".parse().unwrap(),
        seats: 1,
        client: public(&client()),
        holder: holder(),
        epoch: Epoch(1_795_000_000),
        commit: Commit(18),
        token: Token([6; 16]),
        issued,
        length_ms: DurationMs::minutes(10),
        not_after: issued.plus(DurationMs::minutes(10)),
        grouping: Grouping::Process,
        borrowed: false,
    }
}

/// A week off line, of the feature that may be borrowed.
pub(crate) fn borrowed_lease() -> Lease {
    let (issued, week) = (lease().issued, DurationMs::days(7));
    Lease {
        feature: "mesher".parse().unwrap(),
        length_ms: week,
        not_after: issued.plus(week),
        grouping: Grouping::User,
        borrowed: true,
        ..lease()
    }
}

pub(crate) fn signed_lease() -> Signed {
    lease().sign(&site()).unwrap()
}

pub(crate) fn lease_file() -> LeaseFile {
    LeaseFile {
        root: public(&root()),
        server: "192.0.2.7:27443".to_owned(),
        endorsement: endorsement(),
        lease: signed_lease(),
        length_ms: Some(DurationMs::minutes(20)),
        secret: Some(StoredSecret {
            nonce: checkout().nonce,
            acknowledged: link().previous,
            under_way: Some(link().next),
        }),
        right: StoredRight {
            since: Now {
                boot: BootMs(86_400_123),
                wall: WallMs(lease().issued.0 - 4),
            },
            length: lease().length_ms,
            boot: Some(BootId([8; 16])),
        },
    }
}

/// The copy of it that `usher run` shows to its command.
pub(crate) fn shown_lease_file() -> LeaseFile {
    LeaseFile {
        length_ms: None,
        secret: None,
        ..lease_file()
    }
}

pub(crate) fn site_request() -> SiteRequest {
    SiteRequest {
        site: public(&site()),
        host: "lic01.example.org".to_owned(),
        usherd: "0.1.0".to_owned(),
        requested: WallMs(day(2026, 10, 30).0 + 36_000_123),
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

pub(crate) fn grant() -> Grant {
    Grant {
        lease: signed_lease(),
        renew_after_ms: DurationMs::seconds(200),
        seats_out: 4,
        seats_total: Some(10),
    }
}

pub(crate) fn welcome() -> Welcome {
    Welcome {
        version: 1,
        endorsement: endorsement(),
        licenses_more: vec!["acme-0043".parse().unwrap()],
        epoch: Epoch(1_795_000_000),
        life: LifeId([8; 16]),
        server: "lic01".to_owned(),
        wall: day(2026, 11, 22),
    }
}

/// The encoding of a value, as the codec makes it.
pub(crate) fn encoded<T: serde::Serialize>(value: &T) -> Vec<u8> {
    codec::encode(value).unwrap()
}
