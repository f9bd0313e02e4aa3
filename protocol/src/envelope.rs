//! Signatures: what exactly is signed, and how it is checked (T1).
//!
//! The bytes under a signature are DSSE's pre-authentication encoding, with the document's type and
//! version inside, so that no document can pass for another. What was signed is stored and checked
//! as it is; nothing is re-encoded.

use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Serialize};

use crate::{codec, ids::PublicKey, unpacked::unpacked};

/// A document's type and version, as they stand under the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentType(&'static str);

impl DocumentType {
    /// A root's word that an issuing key is the vendor's.
    pub const CERTIFICATE: Self = Self("usher/issuing-certificate/1");
    /// A pool license (T7).
    pub const LICENSE: Self = Self("usher/pool-license/1");
    /// An issuing key's short word for a site key (T4).
    pub const ENDORSEMENT: Self = Self("usher/endorsement/1");
    /// A site key's word for a client key.
    pub const LEASE: Self = Self("usher/lease/1");
    /// A root's list of keys that must no longer be believed.
    pub const REVOCATION: Self = Self("usher/revocation-list/1");
    /// A site's request for a pool license, signed by the site key.
    pub const SITE_REQUEST: Self = Self("usher/site-request/1");
    /// One line of the issuer's log.
    pub const ISSUER_LOG: Self = Self("usher/issuer-log/1");

    /// The text under the signature.
    pub const fn as_str(&self) -> &'static str {
        self.0
    }
}

/// An Ed25519 signature: the two halves of RFC 8032.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    r: [u8; 32],
    s: [u8; 32],
}

impl Signature {
    /// The 64 bytes of RFC 8032.
    pub fn to_bytes(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&self.r);
        bytes[32..].copy_from_slice(&self.s);
        bytes
    }

    /// From the 64 bytes of RFC 8032; says nothing of their worth.
    pub fn from_bytes(bytes: &[u8; 64]) -> Self {
        let (mut r, mut s) = ([0; 32], [0; 32]);
        r.copy_from_slice(&bytes[..32]);
        s.copy_from_slice(&bytes[32..]);
        Self { r, s }
    }
}

/// The signature does not belong to these bytes, this type and this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not fit")]
pub struct BadSignature;

/// Bytes and the signature over them, of a type known from where they stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The exact bytes that were signed.
    #[serde(with = "codec::bytes")]
    pub body: Vec<u8>,
    /// The signature over [`pre_authentication`] of them.
    pub signature: Signature,
}

impl Signed {
    /// Signs `body` as a document of type `kind`.
    pub fn new(kind: DocumentType, body: Vec<u8>, key: &SigningKey) -> Self {
        let signature = sign(kind, &body, key);
        Self { body, signature }
    }

    /// The body, if `key` signed it as a document of type `kind`.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(&self, kind: DocumentType, key: &PublicKey) -> Result<&[u8], BadSignature> {
        verify(kind, &self.body, &self.signature, key)?;
        Ok(&self.body)
    }
}

/// Signs `body` as a document of type `kind`.
pub fn sign(kind: DocumentType, body: &[u8], key: &SigningKey) -> Signature {
    Signature::from_bytes(&key.sign(&pre_authentication(kind, body)).to_bytes())
}

/// Checks a signature strictly: no malleable encodings, no small-order keys (T1).
///
/// # Errors
/// [`BadSignature`].
pub fn verify(
    kind: DocumentType,
    body: &[u8],
    signature: &Signature,
    key: &PublicKey,
) -> Result<(), BadSignature> {
    let key = unpacked(key.as_bytes()).map_err(|_| BadSignature)?;
    let signature = ed25519_dalek::Signature::from_bytes(&signature.to_bytes());
    key.verify_strict(&pre_authentication(kind, body), &signature)
        .map_err(|_| BadSignature)
}

/// DSSE's pre-authentication encoding: `DSSEv1 SP len(type) SP type SP len(body) SP body`, lengths
/// in decimal. Source: DSSE protocol, "Signature Definition".
pub fn pre_authentication(kind: DocumentType, body: &[u8]) -> Vec<u8> {
    let kind = kind.as_str();
    let mut bytes = Vec::with_capacity(PREFIX.len() + LENGTHS_BYTES + kind.len() + body.len());
    bytes.extend_from_slice(PREFIX);
    put_decimal(&mut bytes, kind.len());
    bytes.push(b' ');
    bytes.extend_from_slice(kind.as_bytes());
    bytes.push(b' ');
    put_decimal(&mut bytes, body.len());
    bytes.push(b' ');
    bytes.extend_from_slice(body);
    bytes
}

/// Each lease is signed once and verified once: counted, the standard library's formatting takes as long as decoding a
/// release.
fn put_decimal(bytes: &mut Vec<u8>, number: usize) {
    if number >= 10 {
        put_decimal(bytes, number / 10);
    }
    bytes.push(DIGITS[number % 10]);
}

const PREFIX: &[u8] = b"DSSEv1 ";
const DIGITS: &[u8; 10] = b"0123456789";
/// Room for both lengths of usual documents and the spaces behind.
const LENGTHS_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    #[test]
    fn the_encoding_is_the_one_of_dsse() {
        let bytes = pre_authentication(DocumentType::LEASE, b"abc");
        assert_eq!(bytes, b"DSSEv1 13 usher/lease/1 3 abc");
    }

    #[test]
    fn lengths_stand_as_people_write_them() {
        for length in [0, 1, 9, 10, 11, 99, 100, 909, 65_536, 1_234_567] {
            let bytes = pre_authentication(DocumentType::LEASE, &vec![b'x'; length]);
            let header = format!("DSSEv1 13 usher/lease/1 {length} ");
            assert!(bytes.starts_with(header.as_bytes()), "{header}");
            assert_eq!(bytes.len(), header.len() + length);
        }
    }

    #[test]
    fn a_document_cannot_pass_for_another() {
        let signed = Signed::new(DocumentType::LEASE, b"abc".to_vec(), &key());
        let public = PublicKey::from(&key());
        assert_eq!(signed.verify(DocumentType::LEASE, &public), Ok(&b"abc"[..]));
        assert_eq!(
            signed.verify(DocumentType::ENDORSEMENT, &public),
            Err(BadSignature)
        );
    }

    #[test]
    fn t1_only_these_bytes_of_this_key_hold() {
        let (public, other) = (
            PublicKey::from(&key()),
            PublicKey::from(&SigningKey::from_bytes(&[8; 32])),
        );
        let signed = Signed::new(DocumentType::LEASE, b"abc".to_vec(), &key());
        assert_eq!(
            signed.verify(DocumentType::LEASE, &other),
            Err(BadSignature)
        );
        for at in 0..64 {
            let mut bytes = signed.signature.to_bytes();
            bytes[at] ^= 1;
            let signature = Signature::from_bytes(&bytes);
            assert_eq!(signature.to_bytes(), bytes);
            assert_eq!(
                verify(DocumentType::LEASE, b"abc", &signature, &public),
                Err(BadSignature),
                "byte {at}"
            );
        }
        for body in [&b"abd"[..], b"ab", b"abc ", b""] {
            assert_eq!(
                verify(DocumentType::LEASE, body, &signed.signature, &public),
                Err(BadSignature)
            );
        }
    }

    #[test]
    fn no_two_types_and_no_two_bodies_share_their_encoding() {
        // The lengths inside keep a body from reading as the end of a type, and the other way round.
        let encoded = |body: &[u8]| pre_authentication(DocumentType::LICENSE, body);
        assert_eq!(encoded(b""), b"DSSEv1 20 usher/pool-license/1 0 ");
        assert_ne!(encoded(b"1 a"), encoded(b" a"));
        let kinds = [
            DocumentType::CERTIFICATE,
            DocumentType::LICENSE,
            DocumentType::ENDORSEMENT,
            DocumentType::LEASE,
            DocumentType::REVOCATION,
            DocumentType::SITE_REQUEST,
            DocumentType::ISSUER_LOG,
        ];
        for (index, kind) in kinds.iter().enumerate() {
            for other in &kinds[..index] {
                assert_ne!(
                    pre_authentication(*kind, b"x"),
                    pre_authentication(*other, b"x")
                );
            }
        }
    }
}
