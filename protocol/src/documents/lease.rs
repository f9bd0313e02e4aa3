//! The lease: a site key's signed, time-limited word that a client key holds seats.

use serde::{Deserialize, Serialize};

use crate::{
    calendar::rfc3339,
    codec::{self, CodecError},
    documents::{endorsement::VerifiedEndorsement, license::Grouping},
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
    /// What shares its seats (signed per feature): they may be another lease's too.
    pub grouping: Grouping,
    /// Borrowed: its right ends by wall clock at `not_after`, and it is not renewed (L10).
    pub borrowed: bool,
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
    /// It is of another license, or of another issue of it, than the endorsement beside it.
    #[error(
        "the lease is of the license `{found}`, and the endorsement at hand is not of that issue of it"
    )]
    OtherLicense {
        /// The license it names.
        found: LicenseId,
    },
    /// `test` where the license says `live`, or the other way round (T8).
    #[error("the lease and its license are not of the same environment (live or test)")]
    OtherEnvironment,
    /// It binds another client key than this machine's and user's (T6).
    #[error("wrong-device: the lease belongs to another machine or user")]
    WrongDevice,
    /// The license has no such feature.
    #[error("the license does not have the feature `{feature}`")]
    NotEndorsed {
        /// The feature it names.
        feature: FeatureName,
    },
    /// Longer than the license allows.
    #[error("the lease lasts {}, and the license allows {}", found.to_text(), max.to_text())]
    TooLong {
        /// Its length, or the time from its signing to its end if that is longer.
        found: DurationMs,
        /// The longest the license allows for a lease of its kind.
        max: DurationMs,
    },
    /// It ends after its license (L8).
    #[error("the lease ends {}, after its license ({})", rfc3339(*not_after), rfc3339(*expires))]
    OutlivesLicense {
        /// When it ends.
        not_after: WallMs,
        /// When its license ends.
        expires: WallMs,
    },
}

impl Lease {
    /// Signs the lease with the site key.
    ///
    /// # Errors
    /// [`CodecError`] if it cannot be encoded.
    pub fn sign(&self, site: &ed25519_dalek::SigningKey) -> Result<Signed, CodecError> {
        Ok(Signed::new(DocumentType::LEASE, codec::encode(self)?, site))
    }

    /// What is left of it by its signed end, whatever its holder's own clocks count: nothing from
    /// `not_after` on.
    #[must_use]
    pub fn left(&self, wall: WallMs) -> DurationMs {
        self.not_after.since(wall)
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

    /// Judges a lease by the endorsement of its license: of that very license, no longer than it allows
    /// (L8), and for this client key (T6). Its signature by the endorsed site key was verified already. A
    /// client judges every lease with this. Of several faults the other device is named last: such a
    /// lease is genuine. Whether it is over is [`Lease::left`]'s question.
    ///
    /// # Errors
    /// [`LeaseError`].
    pub fn check_endorsed(
        &self,
        endorsement: &VerifiedEndorsement,
        client: &PublicKey,
    ) -> Result<(), LeaseError> {
        let same_license = self.root == endorsement.root
            && self.license == endorsement.license
            && self.license_hash == endorsement.license_hash;
        if !same_license {
            let found = self.license.clone();
            return Err(LeaseError::OtherLicense { found });
        }
        if self.environment != endorsement.environment {
            return Err(LeaseError::OtherEnvironment);
        }
        self.check_lengths(endorsement)?;
        if self.client != *client {
            return Err(LeaseError::WrongDevice);
        }
        Ok(())
    }

    fn check_lengths(&self, endorsement: &VerifiedEndorsement) -> Result<(), LeaseError> {
        let feature =
            endorsement
                .feature(&self.feature)
                .ok_or_else(|| LeaseError::NotEndorsed {
                    feature: self.feature.clone(),
                })?;
        let found = self.length_ms.max(self.not_after.since(self.issued));
        let max = if self.borrowed {
            feature.borrow_ms_max
        } else {
            feature.lease_ms_max
        };
        if found > max {
            return Err(LeaseError::TooLong { found, max });
        }
        match feature.expires {
            Some(expires) if self.not_after > expires => Err(LeaseError::OutlivesLicense {
                not_after: self.not_after,
                expires,
            }),
            _ => Ok(()),
        }
    }
}

impl std::ops::Deref for VerifiedLease {
    type Target = Lease;

    fn deref(&self) -> &Lease {
        &self.lease
    }
}
