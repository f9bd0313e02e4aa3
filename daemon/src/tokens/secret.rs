//! A token's secret: how it looks, and how it is judged without being kept.
//!
//! It has 256 random bits, so a plain SHA-256 of it gives nothing away: a slow hash protects words that people
//! choose, and would let strangers buy our processor time with one request each.

use std::fmt;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// A secret as it is shown once: `usht_`, the token's id, `_`, 43 characters. Its debug form says nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

/// SHA-256 of a secret in hexadecimal. What is kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sha256Hex(pub(super) String);

impl Secret {
    /// A fresh one for the token `id`.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn random(id: &str) -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        let secret = BASE64URL_NOPAD.encode(&bytes);
        Ok(Self(format!("{PREFIX}{id}_{secret}")))
    }

    /// The text, for the one who asked for it.
    pub fn show(&self) -> &str {
        &self.0
    }

    /// Its digest.
    pub fn digest(&self) -> Sha256Hex {
        Sha256Hex::of(&self.0)
    }
}

impl Sha256Hex {
    /// The digest of what somebody presents.
    pub fn of(presented: &str) -> Self {
        Self(HEXLOWER.encode(&Sha256::digest(presented.as_bytes())))
    }

    /// Whether both are one, in a time that does not depend on where they differ.
    pub fn is(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

/// A fresh id: 8 hexadecimal digits.
///
/// # Errors
/// The system gives no randomness.
pub(super) fn random_id() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes)?;
    Ok(HEXLOWER.encode(&bytes))
}

/// The id that a presented secret names.
pub(super) fn id_in(presented: &str) -> Option<&str> {
    let (id, _) = presented.strip_prefix(PREFIX)?.split_once('_')?;
    Some(id)
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl fmt::Debug for Sha256Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sha256Hex(…)")
    }
}

/// What scanners for leaked secrets can look for.
const PREFIX: &str = "usht_";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_names_its_token_and_no_two_are_alike() {
        let id = random_id().unwrap();
        let (one, two) = (Secret::random(&id).unwrap(), Secret::random(&id).unwrap());
        assert_eq!(id_in(one.show()), Some(id.as_str()));
        assert_eq!(one.show().len(), PREFIX.len() + 8 + 1 + 43);
        assert!(one.digest().is(&Sha256Hex::of(one.show())));
        assert!(!one.digest().is(&two.digest()));
        for nothing in ["", "usht_", "usht_ab", "Bearer x_y"] {
            assert_eq!(id_in(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn what_is_printed_for_debugging_holds_no_secret() {
        let secret = Secret::random("00000000").unwrap();
        let said = format!("{secret:?} {:?}", secret.digest());
        assert_eq!(said, "Secret(…) Sha256Hex(…)");
    }
}
