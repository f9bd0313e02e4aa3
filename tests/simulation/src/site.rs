//! Keys, a vendor and its licenses: what the world's people sign. Decides nothing.

use std::sync::{Arc, LazyLock};

use ed25519_dalek::SigningKey;
use usher_protocol::{
    documents::{
        certificate::Certificate,
        license::{Feature, Grouping, License, VerifiedLicense, issue},
    },
    ids::{Fingerprint, PublicKey},
    limits::BORROW_TOLERANCE_MS,
    names::{FeatureName, LicenseId},
    time::{DurationMs, WallMs},
    wire::Environment,
};

use crate::clock::WALL_AT_BEGINNING;

/// What a license of the world says; all else is the same in each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Which license: the first, or one beside it.
    pub license: &'static str,
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
    /// A borrow that comes back early is lent anew at once (L10).
    pub early_return: bool,
    /// Seats at home that may be written off (L10).
    pub write_off: u32,
    /// Seats of the second feature, if it is in there.
    pub seats_second: Option<u32>,
    /// First moment after its validity, if it ends.
    pub expires: Option<WallMs>,
    /// Live, or test with tiny lengths (T8).
    pub environment: Environment,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            license: LICENSE,
            serial: 1,
            seats: 2,
            overdraft: 0,
            lease_ms: DurationMs::minutes(10),
            grouping: Grouping::Process,
            borrow_ms_max: DurationMs::ZERO,
            early_return: false,
            write_off: 0,
            seats_second: None,
            expires: None,
            environment: Environment::Live,
        }
    }
}

impl Terms {
    /// The most seats of a feature that may be out under it (L7).
    pub fn limit(&self, feature: &FeatureName) -> u32 {
        if feature.as_str() == FEATURE {
            self.seats.saturating_add(self.overdraft)
        } else {
            self.seats_second.unwrap_or_default()
        }
    }

    /// The same for ever.
    pub(crate) fn without_end(&self) -> Self {
        Self {
            expires: None,
            ..self.clone()
        }
    }

    /// Its name.
    pub fn id(&self) -> LicenseId {
        self.license.parse().unwrap()
    }

    /// How long something lent under it may be out at most, off line or on line.
    pub(crate) fn longest(&self) -> DurationMs {
        match self.borrow_ms_max {
            DurationMs::ZERO => self.lease_ms,
            borrow => self.lease_ms.max(borrow.plus(BORROW_TOLERANCE_MS)),
        }
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
            id: self.id(),
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
            features: self.features(issued),
        };
        let certificate = certificate.sign(root_key()).unwrap();
        let text = issue(&license, &issuing, &certificate, None).unwrap();
        Arc::new(VerifiedLicense::verify(text.as_bytes()).unwrap())
    }

    fn features(&self, issued: WallMs) -> Vec<Feature> {
        let first = self.feature(issued);
        let second = self.seats_second.map(|seats| Feature {
            feature: FEATURE_SECOND.parse().unwrap(),
            seats: Some(seats),
            overdraft: 0,
            ..first.clone()
        });
        std::iter::once(first).chain(second).collect()
    }

    fn feature(&self, issued: WallMs) -> Feature {
        Feature {
            claimed_user: self.grouping == Grouping::User,
            early_return: self.early_return,
            write_off: self.write_off,
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

/// The feature that everybody wants.
pub const FEATURE: &str = "solver";

/// One that some want beside it, in the same breath.
pub const FEATURE_SECOND: &str = "mesher";

/// The license of every world.
pub const LICENSE: &str = "acme-0001";

/// One beside it, of some worlds: the same features, other seats.
pub const LICENSE_SECOND: &str = "acme-0002";

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
