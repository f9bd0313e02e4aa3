//! Whether a license file is genuine: the whole chain, from the root inside its certificate down (T7).
//!
//! Text is read only after its signature held. Whether the root is believed is the caller's question.

use super::{License, TABLE_KEYS, VerifiedLicense, endorse, parse};
use crate::{
    calendar::rfc3339,
    documents::{
        certificate::{Certificate, CertificateError, VerifiedCertificate},
        endorsement::{EndorsementError, SignedEndorsement, VerifiedEndorsement},
        revocation::{RevocationError, RevocationList, VerifiedRevocationList},
        signed_text::{self, SignedTextError},
        text_error::TextError,
    },
    envelope::{self, DocumentType, Signature},
    limits::LICENSE_BYTES_MAX,
    names::{FeatureName, LicenseId, VendorName},
    time::WallMs,
};

/// Why a license file is refused; [`LicenseError::next_step`] says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LicenseError {
    /// It is no signed text.
    #[error("not a license file: {0}")]
    File(#[from] SignedTextError),
    /// Its certificate is not genuine.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The issuing key did not sign this text.
    #[error(
        "the license's signature does not fit its text: the text was changed, or another key signed it"
    )]
    BadSignature,
    /// It is genuine, and breaks a rule all the same.
    #[error("the license breaks a rule: {0}")]
    Text(TextError),
    /// It is genuine, and uses what this build does not know (T7).
    #[error("the license needs a newer usherd: {0}")]
    NeedsNewer(TextError),
    /// The certificate is for a vendor of another name.
    #[error("the license names the vendor `{license}`, its certificate `{certificate}`")]
    OtherVendor {
        /// The name in the license.
        license: VendorName,
        /// The name in the certificate.
        certificate: VendorName,
    },
    /// The issuing key was not, or no longer, allowed to sign when it did (T7).
    #[error("issued {}, and the issuing certificate covers {} to {}", rfc3339(*issued), rfc3339(*starts), rfc3339(*expires))]
    IssuedOutsideCertificate {
        /// The license's signed issue date.
        issued: WallMs,
        /// First moment covered.
        starts: WallMs,
        /// Last moment covered.
        expires: WallMs,
    },
    /// A feature ends after the certificate does (T7).
    #[error("`{feature}` ends {}, after its issuing certificate ({})", expires.map_or("never".to_owned(), rfc3339), rfc3339(*certificate))]
    OutlivesCertificate {
        /// Which feature.
        feature: FeatureName,
        /// When it ends, if it does.
        expires: Option<WallMs>,
        /// When the certificate ends.
        certificate: WallMs,
    },
    /// The endorsement beside it is not genuine.
    #[error(transparent)]
    Endorsement(#[from] EndorsementError),
    /// The endorsement is genuine, and of another license.
    #[error("the endorsement in the file says other things than the license")]
    EndorsementDiffers,
    /// The revocation list inside is not genuine.
    #[error(transparent)]
    Revocations(#[from] RevocationError),
    /// The vendor no longer stands for the key that signed it.
    #[error("the vendor revoked the issuing key of this license (revocation list {number})")]
    IssuingKeyRevoked {
        /// The list that says so.
        number: u64,
    },
    /// The vendor no longer stands for this license.
    #[error("the vendor revoked the license `{license}` (revocation list {number})")]
    Revoked {
        /// Which license.
        license: LicenseId,
        /// The list that says so.
        number: u64,
    },
}

impl LicenseError {
    /// What the person who holds the file does next.
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::File(_) | Self::Certificate(CertificateError::Malformed(_)) => {
                "copy the whole file again from what the vendor sent, as an attachment rather than as pasted text"
            }
            Self::BadSignature => {
                "do not edit a license: install the file as the vendor sent it; for other terms ask the vendor for a new one"
            }
            Self::NeedsNewer(_) => "install a newer usherd, then add the license again",
            Self::IssuingKeyRevoked { .. } | Self::Revoked { .. } => {
                "ask the vendor for a replacement of this license"
            }
            Self::Certificate(CertificateError::BadSignature(_))
            | Self::Text(_)
            | Self::OtherVendor { .. }
            | Self::IssuedOutsideCertificate { .. }
            | Self::OutlivesCertificate { .. }
            | Self::Endorsement(_)
            | Self::EndorsementDiffers
            | Self::Revocations(_) => {
                "send this message and the file to the vendor and ask for the license anew"
            }
        }
    }
}

impl VerifiedLicense {
    /// Checks a license file down its whole chain: the certificate by the root it names, the text and
    /// the endorsement by the certificate's issuing key, every date and every list inside.
    ///
    /// # Errors
    /// [`LicenseError`], one variant for each thing that can be wrong.
    pub fn verify(file: &[u8]) -> Result<Self, LicenseError> {
        let text = signed_text::normalize(file, LICENSE_BYTES_MAX)?;
        let parts = signed_text::split(&text, TABLE_KEYS)?;
        let signed_endorsement = SignedEndorsement {
            certificate: parts.value(0)?,
            endorsement: parts.value(2)?,
        };
        let signature: Signature = parts.value(1)?;
        let certificate = VerifiedCertificate::verify(&signed_endorsement.certificate)?;
        let signed = parts.signed.as_bytes();
        envelope::verify(
            DocumentType::LICENSE,
            signed,
            &signature,
            &certificate.issuing,
        )
        .map_err(|_| LicenseError::BadSignature)?;
        let read = parse::parse(parts.signed).map_err(LicenseError::of_text)?;
        check_certificate(&read.license, &certificate)?;
        let endorsement = VerifiedEndorsement::verify(&signed_endorsement, &certificate.root)?;
        if *endorsement != endorse::endorse(&read.license, &certificate.root, signed) {
            return Err(LicenseError::EndorsementDiffers);
        }
        let revocations = match &read.revocations {
            None => None,
            Some(list) => Some(VerifiedRevocationList::verify(list, &certificate.root)?),
        };
        let license = Self {
            license: read.license,
            endorsement,
            signed_endorsement,
            revocations,
            text,
        };
        match &license.revocations {
            None => Ok(()),
            Some(list) => license.verify_against(list),
        }?;
        Ok(license)
    }

    /// Checks the license against a list seen elsewhere; a revocation is kept for ever (T7).
    /// A list of another root says nothing of this license.
    ///
    /// # Errors
    /// [`LicenseError::IssuingKeyRevoked`], [`LicenseError::Revoked`].
    pub fn verify_against(&self, list: &RevocationList) -> Result<(), LicenseError> {
        if list.root != self.root() {
            return Ok(());
        }
        let number = list.number;
        if list.revokes_issuing(&self.endorsement.certificate().issuing) {
            return Err(LicenseError::IssuingKeyRevoked { number });
        }
        if list.revokes_license(&self.license.id) {
            let license = self.license.id.clone();
            return Err(LicenseError::Revoked { license, number });
        }
        Ok(())
    }
}

impl LicenseError {
    fn of_text(error: TextError) -> Self {
        if error.needs_newer {
            Self::NeedsNewer(error)
        } else {
            Self::Text(error)
        }
    }
}

/// T7: the certificate is judged at the license's issue date and bounds its end.
fn check_certificate(license: &License, certificate: &Certificate) -> Result<(), LicenseError> {
    if license.vendor != certificate.vendor {
        return Err(LicenseError::OtherVendor {
            license: license.vendor.clone(),
            certificate: certificate.vendor.clone(),
        });
    }
    if !certificate.covers_issue(license.issued) {
        return Err(LicenseError::IssuedOutsideCertificate {
            issued: license.issued,
            starts: certificate.starts,
            expires: certificate.expires,
        });
    }
    match license
        .features
        .iter()
        .find(|it| !certificate.covers_expiry(it.expires))
    {
        None => Ok(()),
        Some(feature) => Err(LicenseError::OutlivesCertificate {
            feature: feature.feature.clone(),
            expires: feature.expires,
            certificate: certificate.expires,
        }),
    }
}
