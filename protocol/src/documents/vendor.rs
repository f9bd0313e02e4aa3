//! The vendor key file: a vendor's public root, and its name (T3).
//!
//! This is all that an application ships and all that a trust directory holds:
//!
//! ```toml
//! vendor = "acme"
//! root = "ed25519:…"
//! ```

use std::{fmt, str::FromStr};

use serde::Deserialize;

use crate::{
    documents::text_error::{TextError, read_toml},
    ids::{KeyError, PublicKey},
    names::VendorName,
};

/// A vendor as those who believe in it know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VendorKey {
    /// Its display name, where known; the root is the identity.
    pub vendor: Option<VendorName>,
    /// Its root.
    pub root: PublicKey,
}

/// Why a text is no vendor key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VendorKeyError {
    /// A bare key that is none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Bytes that are no text at all.
    #[error("not a vendor key file: it is not text")]
    NotText,
    /// A file that is none.
    #[error("not a vendor key file (`vendor = \"…\"`, `root = \"ed25519:…\"`): {0}")]
    File(#[from] TextError),
}

impl FromStr for VendorKey {
    type Err = VendorKeyError;

    /// Reads the content of a vendor key file, or a bare `ed25519:…`.
    fn from_str(text: &str) -> Result<Self, VendorKeyError> {
        if text.trim_start().starts_with("ed25519:") {
            return Ok(Self {
                vendor: None,
                root: text.parse()?,
            });
        }
        let file: File = read_toml(text)?;
        Ok(Self {
            vendor: Some(file.vendor),
            root: file.root.parse()?,
        })
    }
}

impl fmt::Display for VendorKey {
    /// The file, or the bare key where the name is not known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(vendor) = &self.vendor else {
            return writeln!(f, "{}", self.root);
        };
        writeln!(
            f,
            "# Public root key of the vendor `{vendor}`: whatever hangs on it is genuine."
        )?;
        writeln!(f, "# Fingerprint {}", self.root.fingerprint())?;
        writeln!(f, "vendor = \"{vendor}\"\nroot = \"{}\"", self.root)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    vendor: VendorName,
    root: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(vendor: Option<&str>) -> VendorKey {
        let root = PublicKey::from(&ed25519_dalek::SigningKey::from_bytes(&[7; 32]));
        VendorKey {
            vendor: vendor.map(|name| name.parse().unwrap()),
            root,
        }
    }

    #[test]
    fn files_and_bare_keys_read_back() {
        for key in [key(Some("acme")), key(None)] {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
    }

    #[test]
    fn what_is_no_vendor_key_says_so() {
        for text in [
            "",
            "ed25519:AAAA",
            "vendor = \"acme\"",
            "vendor = \"Acme\"\nroot = \"x\"",
        ] {
            assert!(text.parse::<VendorKey>().is_err(), "{text:?}");
        }
        let weak = format!("vendor = \"acme\"\nroot = \"ed25519:{}=\"", "A".repeat(43));
        assert_eq!(
            weak.parse::<VendorKey>(),
            Err(VendorKeyError::Key(KeyError::Weak))
        );
    }
}
