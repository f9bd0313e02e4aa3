//! Identities: keys, fingerprints and numbers that name one thing each.
//!
//! Secrets (the nonce, the tokens) hide themselves from `Debug`.

use std::{fmt, str::FromStr};

use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};

use crate::unpacked::unpacked;

/// An Ed25519 public key that is a valid point and not of small order (T1).
///
/// The ways in are [`PublicKey::new`] and decoding, and both check; [`PublicKey::read_back`] is for what they checked
/// before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "[u8; 32]", into = "[u8; 32]")]
pub struct PublicKey([u8; 32]);

/// Why 32 bytes are not a usable public key, or a text is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is not `ed25519:` and 44 characters of base64.
    #[error("not a public key: expected `ed25519:` followed by 44 characters of base64")]
    Text,
    /// The bytes are no point of the curve.
    #[error("not an Ed25519 public key: the bytes are no point of the curve")]
    NotAPoint,
    /// A small-order point: anybody could sign for it.
    #[error("a weak Ed25519 public key (small order); make a new key")]
    Weak,
}

impl PublicKey {
    /// Checks 32 bytes as they enter: a point of the curve, not of small order.
    pub fn new(bytes: [u8; 32]) -> Result<Self, KeyError> {
        unpacked(&bytes).map(|_| Self(bytes))
    }

    /// For `#[serde(deserialize_with)]` in what a program reads back from its own checked storage: the key was checked
    /// when it entered, and to check it costs a square root, which a start with a million leases feels. Never for
    /// what comes from elsewhere (T1). Even so no signature holds under a bad key: [`crate::envelope::verify`] checks.
    ///
    /// # Errors
    /// When there are no 32 bytes.
    pub fn read_back<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <[u8; 32]>::deserialize(deserializer).map(Self)
    }

    /// The 32 bytes of RFC 8032.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// SHA-256 of the 32 bytes.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.0)
    }
}

impl TryFrom<[u8; 32]> for PublicKey {
    type Error = KeyError;

    fn try_from(bytes: [u8; 32]) -> Result<Self, KeyError> {
        Self::new(bytes)
    }
}

impl From<PublicKey> for [u8; 32] {
    fn from(key: PublicKey) -> Self {
        key.0
    }
}

impl From<&ed25519_dalek::SigningKey> for PublicKey {
    /// The public half of a key we hold: a clamped scalar is never of small order.
    fn from(key: &ed25519_dalek::SigningKey) -> Self {
        Self(key.verifying_key().to_bytes())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ed25519:{}", BASE64.encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let encoded = text.trim().strip_prefix("ed25519:").ok_or(KeyError::Text)?;
        let bytes = BASE64
            .decode(encoded.as_bytes())
            .map_err(|_| KeyError::Text)?;
        Self::new(bytes.try_into().map_err(|_| KeyError::Text)?)
    }
}

/// SHA-256 of a public key or of a document's signed bytes; a vendor *is* its root's (T3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// SHA-256 of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The first 8 hex digits: a hint for people and adverts, never a proof.
    pub fn short(&self) -> String {
        HEXLOWER.encode(&self.0[..4])
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that should be an id, and is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {0}")]
pub struct IdError(&'static str);

impl FromStr for Fingerprint {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        decode_hex(text, "a fingerprint: expected 64 hexadecimal digits").map(Self)
    }
}

/// One lease, named by the commit that granted it; unique across restarts because epochs are (L12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LeaseId {
    /// The daemon life that granted it.
    pub epoch: Epoch,
    /// The commit number of its grant.
    pub commit: Commit,
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.epoch.0, self.commit.0)
    }
}

impl FromStr for LeaseId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = IdError("a lease id: expected two hexadecimal numbers joined by `-`");
        let (epoch, commit) = text.split_once('-').ok_or(error)?;
        let number = |digits| u64::from_str_radix(digits, 16).map_err(|_| error);
        Ok(Self {
            epoch: Epoch(number(epoch)?),
            commit: Commit(number(commit)?),
        })
    }
}

/// Counts daemon lives: `max(stored + 1, Unix seconds at start)` (L12).
#[derive(
    Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Epoch(pub u64);

/// Counts the steps of one store, over all its lives; the newest is its head (L12).
#[derive(
    Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Commit(pub u64);

/// The random name of one daemon life; two of them under one site key prove a clone (L12).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LifeId(pub [u8; 16]);

impl fmt::Debug for LifeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl FromStr for LifeId {
    type Err = IdError;

    /// 32 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, IdError> {
        decode_hex(text, "a life: expected 32 hexadecimal digits").map(Self)
    }
}

impl fmt::Display for LifeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The random id that a machine's kernel draws at each boot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BootId(pub [u8; 16]);

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BootId({self})")
    }
}

/// The secret that names one checkout; who knows it and has the client key owns the lease (L5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Nonce(pub [u8; 16]);

/// One link of a lease's renewal chain (T6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Token(pub [u8; 16]);

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce(secret)")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(secret)")
    }
}

impl Nonce {
    /// 32 hexadecimal digits, for a 0600 file and nothing else.
    pub fn to_hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }
}

impl FromStr for Nonce {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        decode_hex(text, "a nonce: expected 32 hexadecimal digits").map(Self)
    }
}

impl Token {
    /// 32 hexadecimal digits, for a 0600 file and nothing else.
    pub fn to_hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }
}

impl FromStr for Token {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        decode_hex(text, "a token: expected 32 hexadecimal digits").map(Self)
    }
}

fn decode_hex<const N: usize>(text: &str, expected: &'static str) -> Result<[u8; N], IdError> {
    let bytes = HEXLOWER
        .decode(text.trim().as_bytes())
        .map_err(|_| IdError(expected))?;
    bytes.try_into().map_err(|_| IdError(expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_order_keys_are_refused_where_they_enter() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(PublicKey::new(identity), Err(KeyError::Weak));
        assert!(crate::codec::decode::<PublicKey>(&identity).is_err());
    }

    #[test]
    fn t1_no_signature_holds_under_a_weak_key_that_was_read_back() {
        #[derive(Deserialize)]
        struct Stored(#[serde(deserialize_with = "PublicKey::read_back")] PublicKey);
        use crate::envelope::{BadSignature, DocumentType, Signature, verify};
        let mut identity = [0; 32];
        identity[0] = 1;
        let Stored(weak) = crate::codec::decode(&identity).unwrap();
        // R the identity and s zero satisfy the equation for any message under the identity.
        let mut signature = [0; 64];
        signature[0] = 1;
        let signature = Signature::from_bytes(&signature);
        assert_eq!(
            verify(DocumentType::LEASE, b"abc", &signature, &weak),
            Err(BadSignature)
        );
    }

    #[test]
    fn secrets_do_not_print_themselves() {
        assert_eq!(format!("{:?}", Nonce([7; 16])), "Nonce(secret)");
        assert_eq!(format!("{:?}", Token([7; 16])), "Token(secret)");
    }

    #[test]
    fn lease_ids_read_back() {
        let id = LeaseId {
            epoch: Epoch(0x6921_0abc),
            commit: Commit(17),
        };
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("17".parse::<LeaseId>().is_err());
    }

    #[test]
    fn keys_are_read_as_they_are_written_and_nothing_else_is_one() {
        let key = PublicKey::from(&ed25519_dalek::SigningKey::from_bytes(&[7; 32]));
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!(PublicKey::new(*key.as_bytes()), Ok(key));
        assert_eq!(<[u8; 32]>::from(key), *key.as_bytes());
        assert_eq!(key.fingerprint(), Fingerprint::of(key.as_bytes()));
        for text in [
            "",
            "ed25519:",
            "ed25519:AAAA",
            "rsa:AAAA",
            &key.to_string()[8..],
        ] {
            assert_eq!(text.parse::<PublicKey>(), Err(KeyError::Text), "{text}");
        }
        // y = 2 is the y of no point of the curve.
        let mut no_point = [0; 32];
        no_point[0] = 2;
        assert_eq!(PublicKey::new(no_point), Err(KeyError::NotAPoint));
    }

    #[test]
    fn fingerprints_and_secrets_are_hexadecimal() {
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let fingerprint = Fingerprint::of(b"abc");
        assert_eq!(fingerprint.to_string(), hex);
        assert_eq!(hex.parse(), Ok(fingerprint));
        assert_eq!(fingerprint.short(), "ba7816bf");
        assert!(hex[2..].parse::<Fingerprint>().is_err());
        let digits = "000102030405060708090a0b0c0d0e0f";
        let bytes = std::array::from_fn(|at| u8::try_from(at).unwrap());
        assert_eq!(
            (Nonce(bytes).to_hex(), Token(bytes).to_hex()),
            (digits.to_owned(), digits.to_owned())
        );
        assert_eq!(
            (digits.parse(), digits.parse()),
            (Ok(Nonce(bytes)), Ok(Token(bytes)))
        );
    }
}
