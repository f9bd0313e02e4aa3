//! The lease: a site key's signed, time-limited word that a client key holds seats.

use serde::{Deserialize, Serialize};

use crate::{
    codec::{self, CodecError},
    envelope::{BadSignature, DocumentType, Signed},
    ids::{Commit, Epoch, Fingerprint, LeaseId, PublicKey, Token},
    names::{FeatureName, LicenseId},
    time::{DurationMs, WallMs},
    wire::{Environment, Holder},
};

/// What the daemon promises.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Its name.
    pub id: LeaseId,
    /// The vendor (T3).
    pub root: Fingerprint,
    /// The license its seats come from.
    pub license: LicenseId,
    /// SHA-256 of that license's signed bytes.
    pub license_hash: Fingerprint,
    /// Live or test (T8).
    pub environment: Environment,
    /// The feature.
    pub feature: FeatureName,
    /// How many seats.
    pub seats: u32,
    /// The workstation's key: the lease is worth nothing elsewhere (T6).
    pub client: PublicKey,
    /// Who asked, in the client's own words.
    pub holder: Holder,
    /// The daemon life that signed this (L12).
    pub epoch: Epoch,
    /// The store's head when this was signed (L12).
    pub commit: Commit,
    /// The chain's step this answers (T6).
    pub token: Token,
    /// When it was signed, by the daemon's wall clock.
    pub issued: WallMs,
    /// The right's length **R**, counted from the client's send (L1).
    pub length_ms: DurationMs,
    /// The right's end by wall clock, never after the license's (L8).
    pub not_after: WallMs,
}

/// A lease whose site signature was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedLease {
    lease: Lease,
}

/// Why a lease is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// The bytes are no lease.
    #[error("the lease cannot be read: {0}")]
    Malformed(#[from] CodecError),
    /// The site key did not sign it.
    #[error("the lease was not signed by this site's key")]
    BadSignature(#[from] BadSignature),
}

impl Lease {
    /// Signs the lease with the site key.
    ///
    /// # Errors
    /// [`CodecError`] if it cannot be encoded.
    pub fn sign(&self, site: &ed25519_dalek::SigningKey) -> Result<Signed, CodecError> {
        Ok(Signed::new(DocumentType::LEASE, codec::encode(self)?, site))
    }
}

impl VerifiedLease {
    /// Checks that `site` signed these bytes. A daemon judges its own leases with this; a client
    /// must judge the site key by its endorsement first.
    ///
    /// # Errors
    /// [`LeaseError`].
    pub fn verify(signed: &Signed, site: &PublicKey) -> Result<Self, LeaseError> {
        let body = signed.verify(DocumentType::LEASE, site)?;
        Ok(Self {
            lease: codec::decode(body)?,
        })
    }
}

impl std::ops::Deref for VerifiedLease {
    type Target = Lease;

    fn deref(&self) -> &Lease {
        &self.lease
    }
}
