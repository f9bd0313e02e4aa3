//! Keys, a vendor and its licenses: what the world's people sign. Decides nothing.

use std::sync::{Arc, LazyLock};

use ed25519_dalek::SigningKey;
use usher_protocol::{
    documents::{
        certificate::Certificate,
        license::{Feature, Grouping, License, VerifiedLicense, issue},
    },
    ids::{Fingerprint, PublicKey},
    time::{DurationMs, WallMs},
    wire::Environment,
};

use crate::clock::WALL_AT_BEGINNING;

/// What a license of the world says; all else is the same in each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// A higher one replaces a lower one (T7).
    pub serial: u64,
    /// Seats of the feature.
    pub seats: u32,
    /// Seats beyond them.
    pub overdraft: u32,
    /// The usual length **D**, which is also the longest.
    pub lease_ms: DurationMs,
    /// What shares a seat.
    pub grouping: Grouping,
    /// The longest borrow; zero is none.
    pub borrow_ms_max: DurationMs,
    /// First moment after its validity, if it ends.
    pub expires: Option<WallMs>,
    /// Live, or test with tiny lengths (T8).
    pub environment: Environment,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            serial: 1,
            seats: 2,
            overdraft: 0,
            lease_ms: DurationMs::minutes(10),
            grouping: Grouping::Process,
            borrow_ms_max: DurationMs::ZERO,
            expires: None,
            environment: Environment::Live,
        }
    }
}

impl Terms {
    /// The most seats that may be out under it (L7).
    pub fn limit(&self) -> u32 {
        self.seats.saturating_add(self.overdraft)
    }

    /// The shortest length a lease may have (T8).
    pub fn shortest(&self) -> DurationMs {
        match self.environment {
            Environment::Live => DurationMs::minutes(1),
            Environment::Test => DurationMs::seconds(2),
        }
    }

    /// Signs it, and checks it as a daemon would.
    pub fn sign(&self) -> Arc<VerifiedLicense> {
        let issuing = SigningKey::from_bytes(&[3; 32]);
        // Each issue is a little younger, for only that lowers the mark of license time (L11).
        let issued = WallMs(WALL_AT_BEGINNING.0 - 1_000_000_000 + self.serial);
        let certificate = Certificate {
            root: PublicKey::from(root_key()),
            vendor: "acme".parse().unwrap(),
            issuing: PublicKey::from(&issuing),
            serial: 1,
            starts: WallMs(0),
            expires: WallMs::NEVER,
        };
        let license = License {
            id: LICENSE.parse().unwrap(),
            serial: self.serial,
            vendor: "acme".parse().unwrap(),
            customer: "Example Works".to_owned(),
            customer_id: "c-1".parse().unwrap(),
            environment: self.environment,
            site: site(),
            hosts: Vec::new(),
            issued,
            replaces: Vec::new(),
            support: None,
            features: vec![self.feature(issued)],
        };
        let certificate = certificate.sign(root_key()).unwrap();
        let text = issue(&license, &issuing, &certificate, None).unwrap();
        Arc::new(VerifiedLicense::verify(text.as_bytes()).unwrap())
    }

    fn feature(&self, issued: WallMs) -> Feature {
        Feature {
            claimed_user: self.grouping == Grouping::User,
            early_return: false,
            write_off: 0,
            feature: FEATURE.parse().unwrap(),
            version: None,
            seats: Some(self.seats),
            starts: issued,
            expires: self.expires,
            lease_ms_min: self.shortest().min(self.lease_ms),
            lease_ms_default: self.lease_ms,
            lease_ms_max: self.lease_ms,
            borrow_ms_max: self.borrow_ms_max,
            overdraft: self.overdraft,
            grouping: self.grouping,
        }
    }
}

/// The one feature.
pub const FEATURE: &str = "solver";

/// The one license.
pub const LICENSE: &str = "acme-0001";

/// The site's key.
pub fn site_key() -> &'static SigningKey {
    static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[1; 32]));
    &KEY
}

/// The site, as everybody knows it.
pub fn site() -> PublicKey {
    static KEY: LazyLock<PublicKey> = LazyLock::new(|| PublicKey::from(site_key()));
    *KEY
}

/// The vendor's root.
pub fn root_key() -> &'static SigningKey {
    static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[2; 32]));
    &KEY
}

/// The vendor, as clients ask for it.
pub fn root() -> Fingerprint {
    static ROOT: LazyLock<Fingerprint> =
        LazyLock::new(|| PublicKey::from(root_key()).fingerprint());
    *ROOT
}

/// The key of a workstation.
pub fn station_key(number: usize) -> PublicKey {
    let number = u8::try_from(number).unwrap_or(u8::MAX);
    PublicKey::from(&SigningKey::from_bytes(&[number.saturating_add(10); 32]))
}
