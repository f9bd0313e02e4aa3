//! The endorsement: the vendor's short, signed word for a site key, shown in every `Welcome` (T4).
//!
//! It says of a pool license what a client must know to judge the daemon and its leases, and fits one
//! frame. It is signed together with the license and stands in the license file's signature table.

use serde::{Deserialize, Serialize};

use crate::{
    documents::certificate::Certificate,
    envelope::Signed,
    ids::{Fingerprint, PublicKey},
    names::{CustomerId, FeatureName, LicenseId, Version},
    time::{DurationMs, WallMs},
    wire::Environment,
};

/// What the vendor says of one license and its site, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endorsement {
    /// The vendor (T3).
    pub root: Fingerprint,
    /// Which license.
    pub license: LicenseId,
    /// Which issue of it.
    pub serial: u64,
    /// SHA-256 of the license's signed bytes.
    pub license_hash: Fingerprint,
    /// For whom.
    pub customer: CustomerId,
    /// Live or test (T8).
    pub environment: Environment,
    /// The daemon's key that may sign leases of it.
    pub site: PublicKey,
    /// The signed issue date.
    pub issued: WallMs,
    /// What is served.
    pub features: Vec<EndorsedFeature>,
}

/// One feature, as far as a client must know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndorsedFeature {
    /// Its name.
    pub feature: FeatureName,
    /// Highest version served.
    pub version: Option<Version>,
    /// Longest on-line lease length.
    pub lease_ms_max: DurationMs,
    /// Longest borrow; zero is none.
    pub borrow_ms_max: DurationMs,
    /// First moment of validity.
    pub starts: WallMs,
    /// First moment after validity, if it ends.
    pub expires: Option<WallMs>,
}

/// An endorsement with the certificate that carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedEndorsement {
    /// The root's word for the issuing key.
    pub certificate: Signed,
    /// The issuing key's word for the site key.
    pub endorsement: Signed,
}

/// An endorsement checked from a believed root down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedEndorsement {
    pub(crate) endorsement: Endorsement,
    pub(crate) certificate: Certificate,
}

impl VerifiedEndorsement {
    /// The certificate it hangs on.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }
}

impl std::ops::Deref for VerifiedEndorsement {
    type Target = Endorsement;

    fn deref(&self) -> &Endorsement {
        &self.endorsement
    }
}
