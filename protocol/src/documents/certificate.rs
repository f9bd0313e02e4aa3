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
    /// Licenses issued after this are not covered, and none may expire after it (T7).
    pub expires: WallMs,
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
}

impl std::ops::Deref for VerifiedCertificate {
    type Target = Certificate;

    fn deref(&self) -> &Certificate {
        &self.certificate
    }
}
