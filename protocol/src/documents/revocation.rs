//! The revocation list: a root's word that issuing keys or licenses must no longer be believed (T7).
//!
//! Lists travel inside newer licenses. Whoever sees one keeps it for ever; a higher number adds to
//! what lower ones said and takes nothing back.

use serde::{Deserialize, Serialize};

use crate::{
    codec::{self, CodecError},
    envelope::{BadSignature, DocumentType, Signed},
    ids::{Fingerprint, PublicKey},
    limits::REVOCATIONS_MAX,
    names::LicenseId,
    time::WallMs,
};

/// What a root no longer stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationList {
    /// The root key that signs this.
    pub root: PublicKey,
    /// Counts the lists of this root; the highest is the newest.
    pub number: u64,
    /// When it was signed.
    pub issued: WallMs,
    /// Fingerprints of issuing keys whose licenses end.
    pub issuing_keys: Vec<Fingerprint>,
    /// Licenses that end, in every serial.
    pub licenses: Vec<LicenseId>,
}

impl RevocationList {
    /// Signs the list with the vendor's root key.
    ///
    /// # Errors
    /// [`RevocationError::TooLong`] past [`REVOCATIONS_MAX`] entries.
    pub fn sign(&self, root: &ed25519_dalek::SigningKey) -> Result<Signed, RevocationError> {
        self.check_length()?;
        Ok(Signed::new(
            DocumentType::REVOCATION,
            codec::encode(self)?,
            root,
        ))
    }

    /// Whether licenses of this issuing key are revoked.
    pub fn revokes_issuing(&self, issuing: &PublicKey) -> bool {
        self.issuing_keys.contains(&issuing.fingerprint())
    }

    /// Whether this license is revoked.
    pub fn revokes_license(&self, license: &LicenseId) -> bool {
        self.licenses.contains(license)
    }

    fn check_length(&self) -> Result<(), RevocationError> {
        match self.issuing_keys.len() + self.licenses.len() {
            found if found > REVOCATIONS_MAX => Err(RevocationError::TooLong { found }),
            _ => Ok(()),
        }
    }
}

/// A revocation list whose root signature was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRevocationList {
    list: RevocationList,
    signed: Signed,
}

/// Why a revocation list is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// The bytes are no revocation list.
    #[error("the revocation list cannot be read: {0}")]
    Malformed(#[from] CodecError),
    /// It names another root than the one that must have signed it.
    #[error("the revocation list is of another vendor root")]
    OtherRoot,
    /// The root did not sign it.
    #[error("the revocation list was not signed by the vendor's root key")]
    BadSignature(#[from] BadSignature),
    /// More entries than a license may carry.
    #[error("the revocation list has {found} entries, over the limit of {REVOCATIONS_MAX}")]
    TooLong {
        /// How many.
        found: usize,
    },
}

impl VerifiedRevocationList {
    /// Checks that `root` signed these bytes and is the root they name.
    ///
    /// # Errors
    /// [`RevocationError`].
    pub fn verify(signed: &Signed, root: &PublicKey) -> Result<Self, RevocationError> {
        let list: RevocationList = codec::decode(&signed.body)?;
        if list.root != *root {
            return Err(RevocationError::OtherRoot);
        }
        signed.verify(DocumentType::REVOCATION, root)?;
        list.check_length()?;
        Ok(Self {
            list,
            signed: signed.clone(),
        })
    }

    /// The bytes and signature: what is kept for ever.
    pub fn signed(&self) -> &Signed {
        &self.signed
    }
}

impl std::ops::Deref for VerifiedRevocationList {
    type Target = RevocationList;

    fn deref(&self) -> &RevocationList {
        &self.list
    }
}
