//! The issuing certificate: a vendor root's word that an issuing key may sign its licenses.

use serde::{Deserialize, Serialize};

use crate::{
    codec::{self, CodecError},
    envelope::{BadSignature, DocumentType, Signed},
    ids::PublicKey,
    names::VendorName,
    time::WallMs,
};

/// What a root says of an issuing key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The root key that signs this; its fingerprint is the vendor (T3).
    pub root: PublicKey,
    /// The vendor's display name.
    pub vendor: VendorName,
    /// The key that may sign pool licenses.
    pub issuing: PublicKey,
    /// Counts the certificates of this root.
    pub serial: u64,
    /// Licenses issued before this are not covered.
    pub starts: WallMs,
    /// Licenses issued after this are not covered, and none may expire after it (T7);
    /// [`WallMs::NEVER`] covers licenses without an end.
    pub expires: WallMs,
}

impl Certificate {
    /// Signs the certificate with the vendor's root key.
    ///
    /// # Errors
    /// [`CodecError`] if it cannot be encoded.
    pub fn sign(&self, root: &ed25519_dalek::SigningKey) -> Result<Signed, CodecError> {
        Ok(Signed::new(
            DocumentType::CERTIFICATE,
            codec::encode(self)?,
            root,
        ))
    }

    /// Whether a license of this signed issue date is covered (T7).
    pub fn covers_issue(&self, issued: WallMs) -> bool {
        (self.starts..=self.expires).contains(&issued)
    }

    /// Whether a license may last this long; one without an end needs a certificate without one (T7).
    pub fn covers_expiry(&self, expires: Option<WallMs>) -> bool {
        expires.unwrap_or(WallMs::NEVER) <= self.expires
    }
}

/// A certificate whose root signature was checked against the root it names.
///
/// Whether that root is believed is the caller's question (T3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCertificate {
    certificate: Certificate,
}

/// Why a certificate is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The bytes are no certificate.
    #[error("the issuing certificate cannot be read: {0}")]
    Malformed(#[from] CodecError),
    /// The root it names did not sign it.
    #[error("the issuing certificate was not signed by the root it names")]
    BadSignature(#[from] BadSignature),
}

impl VerifiedCertificate {
    /// Checks that the root named inside signed these bytes.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn verify(signed: &Signed) -> Result<Self, CertificateError> {
        let certificate: Certificate = codec::decode(&signed.body)?;
        signed.verify(DocumentType::CERTIFICATE, &certificate.root)?;
        Ok(Self { certificate })
    }

    /// What it says, without the proof.
    pub fn into_inner(self) -> Certificate {
        self.certificate
    }
}

impl std::ops::Deref for VerifiedCertificate {
    type Target = Certificate;

    fn deref(&self) -> &Certificate {
        &self.certificate
    }
}
