//! The pool license: readable TOML, signed to the byte (T7).
//!
//! `parse` decides what a text may say, `issue` writes and signs it, `verify` says whether a file is
//! genuine, `endorse` what its endorsement must say.

mod endorse;
mod issue;
mod parse;
mod verify;

use serde::{Deserialize, Serialize};

pub use self::{
    issue::{IssueError, issue},
    verify::LicenseError,
};
use crate::{
    documents::{
        endorsement::{SignedEndorsement, VerifiedEndorsement},
        revocation::VerifiedRevocationList,
        text_error::TextError,
    },
    ids::{Fingerprint, PublicKey},
    names::{CustomerId, FeatureName, LicenseId, VendorName, Version},
    time::{DurationMs, WallMs},
    wire::Environment,
};

/// What a vendor grants one site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct License {
    /// The vendor's name for it.
    pub id: LicenseId,
    /// Which issue; a higher one replaces a lower one of the same id.
    pub serial: u64,
    /// The vendor's display name.
    pub vendor: VendorName,
    /// The customer's name for people.
    pub customer: String,
    /// The customer's id.
    pub customer_id: CustomerId,
    /// Live or test (T8).
    pub environment: Environment,
    /// The daemon's key this license is for.
    pub site: PublicKey,
    /// Host names it may run on; empty is any.
    pub hosts: Vec<String>,
    /// The signed issue date.
    pub issued: WallMs,
    /// Licenses that end when this one is installed.
    pub replaces: Vec<LicenseId>,
    /// What refusals tell people to do.
    pub support: Option<String>,
    /// What is granted.
    pub features: Vec<Feature>,
}

/// One feature's pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feature {
    /// Its name.
    pub feature: FeatureName,
    /// Highest version served; none serves all.
    pub version: Option<Version>,
    /// Seats; none is unlimited.
    pub seats: Option<u32>,
    /// First moment of validity.
    pub starts: WallMs,
    /// First moment after validity, if it ends.
    pub expires: Option<WallMs>,
    /// Shortest lease length.
    pub lease_ms_min: DurationMs,
    /// Lease length unless the client wishes otherwise.
    pub lease_ms_default: DurationMs,
    /// Longest lease length.
    pub lease_ms_max: DurationMs,
    /// Longest borrow; zero is none (L10).
    pub borrow_ms_max: DurationMs,
    /// Seats beyond the pool, signed as such.
    pub overdraft: u32,
    /// What shares one seat.
    pub grouping: Grouping,
    /// The vendor takes the user's name from the client's own words: a share may span hosts.
    pub claimed_user: bool,
    /// Seats lent anew at once when a borrowed lease is returned early, although a copy of it may have
    /// been kept (L10).
    pub early_return: bool,
    /// Seats of borrowed leases that an administrator may write off before they end (L10).
    pub write_off: u32,
}

impl License {
    /// Reads a license's text, without its signature table. Says nothing of its worth: only
    /// [`VerifiedLicense::verify`] does.
    ///
    /// # Errors
    /// [`TextError`], with line, caret and what was expected.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        parse::parse(text).map(|read| read.license)
    }
}

/// What shares one seat (signed per feature).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grouping {
    /// Nothing: a seat per process.
    #[default]
    Process,
    /// The processes of one user on one host.
    UserHost,
    /// The processes of one user.
    User,
    /// The processes of one host.
    Host,
    /// The processes of one display.
    Display,
}

impl Grouping {
    /// Every kind there is.
    pub const ALL: &[Self] = &[
        Self::Process,
        Self::UserHost,
        Self::User,
        Self::Host,
        Self::Display,
    ];

    /// The word for it in a license.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::UserHost => "user-host",
            Self::User => "user",
            Self::Host => "host",
            Self::Display => "display",
        }
    }
}

/// A license whose whole chain was checked, from the root inside its certificate down.
///
/// Whether that root is believed is the caller's question (T3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedLicense {
    license: License,
    endorsement: VerifiedEndorsement,
    signed_endorsement: SignedEndorsement,
    revocations: Option<VerifiedRevocationList>,
    text: String,
}

impl VerifiedLicense {
    /// The vendor root that vouches for it.
    pub fn root(&self) -> PublicKey {
        self.endorsement.certificate.root
    }

    /// The vendor (T3): that root's fingerprint, which was compared when its endorsement was verified.
    pub fn vendor_root(&self) -> Fingerprint {
        self.endorsement.root
    }

    /// SHA-256 of its signed bytes.
    pub fn hash(&self) -> Fingerprint {
        self.endorsement.license_hash
    }

    /// The newest revocation list the vendor had when it signed this; keep it for ever (T7).
    pub fn revocations(&self) -> Option<&VerifiedRevocationList> {
        self.revocations.as_ref()
    }

    /// The whole file as it came, without a byte order mark and with LF line ends: what is stored and
    /// shown. It verifies like the file it came from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The vendor-signed endorsement that goes into `Welcome`.
    pub fn signed_endorsement(&self) -> &SignedEndorsement {
        &self.signed_endorsement
    }

    /// The same, read and checked.
    pub fn endorsement(&self) -> &VerifiedEndorsement {
        &self.endorsement
    }
}

impl std::ops::Deref for VerifiedLicense {
    type Target = License;

    fn deref(&self) -> &License {
        &self.license
    }
}

/// What stands in the signature table, in this order (T7).
const TABLE_KEYS: &[&str] = &["certificate", "license", "endorsement"];

#[cfg(test)]
mod tests;
