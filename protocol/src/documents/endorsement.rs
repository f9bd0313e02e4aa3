//! The endorsement: the vendor's short, signed word for a site key, shown in every `Welcome` (T4).
//!
//! It says of a pool license what a client must know to judge the daemon and its leases, and fits one
//! frame. It is signed together with the license and stands in the license file's signature table.

use serde::{Deserialize, Serialize};

use crate::{
    codec::{self, CodecError},
    documents::certificate::{Certificate, CertificateError, VerifiedCertificate},
    envelope::{DocumentType, Signed},
    ids::{Fingerprint, PublicKey},
    limits::ENDORSEMENT_BYTES_MAX,
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

/// Why an endorsement is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndorsementError {
    /// It does not fit one frame (T4).
    #[error(
        "the endorsement has {found} bytes, over the limit of {ENDORSEMENT_BYTES_MAX}: fewer features, or shorter names, must do"
    )]
    TooLarge {
        /// Its size in bytes, certificate included.
        found: usize,
    },
    /// Its certificate is not genuine.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Genuine perhaps, and of another vendor than the one believed (T3).
    #[error("the endorsement is of the vendor root {found}, not of the one trusted here")]
    OtherRoot {
        /// The root that it hangs on.
        found: Fingerprint,
    },
    /// The issuing key did not sign it.
    #[error("the endorsement was not signed by the vendor's issuing key")]
    BadSignature,
    /// The bytes are no endorsement.
    #[error("the endorsement cannot be read: {0}")]
    Malformed(CodecError),
    /// The issuing key was not allowed to sign then, or not for so long (T7).
    #[error("the endorsement is not covered by its issuing certificate")]
    NotCovered,
    /// It endorses another daemon's key than this connection's (T4).
    #[error("the endorsement is for another server's key than this connection's")]
    OtherSite,
}

impl VerifiedEndorsement {
    /// Checks an endorsement from a believed root down (T4): the certificate by `root`, the
    /// endorsement by the certificate's issuing key, and every date against the certificate.
    ///
    /// # Errors
    /// [`EndorsementError`].
    pub fn verify(signed: &SignedEndorsement, root: &PublicKey) -> Result<Self, EndorsementError> {
        match codec::encode(signed)
            .map_err(EndorsementError::Malformed)?
            .len()
        {
            found if found > ENDORSEMENT_BYTES_MAX => {
                return Err(EndorsementError::TooLarge { found });
            }
            _ => {}
        }
        let certificate = VerifiedCertificate::verify(&signed.certificate)?;
        if certificate.root != *root {
            let found = certificate.root.fingerprint();
            return Err(EndorsementError::OtherRoot { found });
        }
        let body = signed
            .endorsement
            .verify(DocumentType::ENDORSEMENT, &certificate.issuing)
            .map_err(|_| EndorsementError::BadSignature)?;
        let endorsement: Endorsement = codec::decode(body).map_err(EndorsementError::Malformed)?;
        let found = endorsement.root;
        if found != root.fingerprint() {
            return Err(EndorsementError::OtherRoot { found });
        }
        let certificate = certificate.into_inner();
        let covered = certificate.covers_issue(endorsement.issued)
            && (endorsement.features.iter()).all(|it| certificate.covers_expiry(it.expires));
        if !covered {
            return Err(EndorsementError::NotCovered);
        }
        Ok(Self {
            endorsement,
            certificate,
        })
    }

    /// The same endorsement, if it names the key that this connection's TLS handshake proved (T4).
    ///
    /// # Errors
    /// [`EndorsementError::OtherSite`].
    pub fn for_site(self, site: &PublicKey) -> Result<Self, EndorsementError> {
        if self.endorsement.site == *site {
            Ok(self)
        } else {
            Err(EndorsementError::OtherSite)
        }
    }

    /// What it says of one feature, if it names it.
    pub fn feature(&self, feature: &FeatureName) -> Option<&EndorsedFeature> {
        self.features.iter().find(|it| it.feature == *feature)
    }

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
