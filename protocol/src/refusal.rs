//! Refusals: a numbered "no" with its reason (A4). Numbers are stable; internal errors never travel.

use serde::{Deserialize, Serialize};

use crate::{
    printable,
    time::{DurationMs, WallMs},
};

/// A "no" that explains itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Which "no" it is.
    pub code: RefusalCode,
    /// One sentence for the person who asked, at most [`crate::limits::TEXT_BYTES_MAX`] bytes.
    #[serde(deserialize_with = "printable::received")]
    pub detail: String,
    /// The rule that decided, when one did.
    pub rule: Option<RuleRef>,
    /// Who holds the seats, those that come free first in front, at most
    /// [`crate::limits::HOLDERS_LISTED_MAX`].
    pub holders: Vec<HolderView>,
    /// How many leases more than the listed ones there are.
    pub holders_more: u32,
    /// How long, at the latest estimate, until enough seats can be free if nobody renews.
    pub earliest_free_ms: Option<DurationMs>,
    /// Whose end that moment waits for, in words: a person can ask them.
    #[serde(deserialize_with = "printable::received_option")]
    pub earliest_because: Option<String>,
    /// When asking again makes sense.
    pub retry_after_ms: Option<DurationMs>,
    /// The vendor's support message, from the license.
    #[serde(deserialize_with = "printable::received_option")]
    pub support: Option<String>,
}

impl Refusal {
    /// A refusal with nothing but its code and one sentence.
    pub fn new(code: RefusalCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            rule: None,
            holders: Vec::new(),
            holders_more: 0,
            earliest_free_ms: None,
            earliest_because: None,
            retry_after_ms: None,
            support: None,
        }
    }

    /// The same refusal, naming when asking again makes sense.
    #[must_use]
    pub fn retry_after(mut self, length: DurationMs) -> Self {
        self.retry_after_ms = Some(length);
        self
    }
}

/// Where the rule stands that decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRef {
    /// The rule in words.
    #[serde(deserialize_with = "printable::received")]
    pub text: String,
    /// The file it stands in, by name.
    #[serde(deserialize_with = "printable::received")]
    pub file: String,
    /// Its line, from 1.
    pub line: u32,
}

/// One holder as others may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderView {
    /// The client's own word.
    #[serde(deserialize_with = "printable::received")]
    pub user: String,
    /// The client's own word.
    #[serde(deserialize_with = "printable::received")]
    pub host: String,
    /// The client's own word, if it has a display.
    #[serde(deserialize_with = "printable::received_option")]
    pub display: Option<String>,
    /// Its process number on that host.
    pub process: u32,
    /// Seats held.
    pub seats: u32,
    /// Since when, by the daemon's wall clock.
    pub since: WallMs,
    /// When its seats come free if it does not renew, from now.
    pub free_in_ms: DurationMs,
    /// Borrowed for off-line use (L10).
    pub borrowed: bool,
}

macro_rules! refusal_codes {
    ($($number:literal $variant:ident $name:literal $doc:literal;)+) => {
        /// The numbers on the wire; stable, listed in `docs/formats.md`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(from = "u16", into = "u16")]
        pub enum RefusalCode {
            $(#[doc = $doc] $variant,)+
            /// A number this build does not know.
            Unknown(u16),
        }

        impl RefusalCode {
            /// Every code this build knows.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word for it: what scripts match on.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ Self::Unknown(_) => "unknown" }
            }

            /// What it means, in one sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $doc,)+ Self::Unknown(_) => "A refusal of a newer server." }
            }
        }

        impl From<u16> for RefusalCode {
            fn from(number: u16) -> Self {
                match number { $($number => Self::$variant,)+ other => Self::Unknown(other) }
            }
        }

        impl From<RefusalCode> for u16 {
            fn from(code: RefusalCode) -> u16 {
                match code { $(RefusalCode::$variant => $number,)+ RefusalCode::Unknown(number) => number }
            }
        }
    };
}

refusal_codes! {
    100 NoSeat "no-seat" "All seats of the pool are out.";
    101 UnknownFeature "unknown-feature" "No license here has this feature.";
    102 TooManySeats "too-many-seats" "More seats were asked for than the pool has.";
    103 Overcommitted "overcommitted" "More seats are out than the pool has; none is granted until that ends (L7).";
    104 VersionNotServed "version-not-served" "The license covers only lower versions of this feature.";
    105 LicenseExpired "license-expired" "The license has run out.";
    106 NotYetValid "not-yet-valid" "The license starts later.";
    107 NoLicense "no-license" "The daemon has no license of this vendor.";
    200 LeaseEnded "lease-ended" "The lease is over; check out anew (L5).";
    201 LeaseForked "lease-forked" "Two processes or machines renewed one lease; neither may go on (T6).";
    202 WrongDevice "wrong-device" "The lease belongs to another client key (T6).";
    203 NonceReused "nonce-reused" "The nonce belongs to a checkout with other parameters (L5).";
    204 LeaseUnknown "lease-unknown" "No such lease, or not with this nonce.";
    205 Evicted "evicted" "An administrator takes the seat back (L7).";
    206 NotGenuine "not-genuine" "The lease shown was not signed by this site.";
    300 Busy "busy" "The daemon has too much to do just now.";
    301 TooManyLeases "too-many-leases" "This client holds as many leases as one client may.";
    302 Draining "draining" "The daemon is stopping.";
    303 StorageTrouble "storage-trouble" "The daemon cannot store a grant, so it gives none (L13).";
    304 StoreRolledBack "store-rolled-back" "The daemon's store went back in time; an administrator must look (L12).";
    305 CloneFound "clone-found" "Two daemons run with one site key; an administrator must choose (L12).";
    306 Holding "holding" "After a restore, seats are held until old leases have run out (L12).";
    307 ClockHeld "clock-held" "The daemon's clock leads too far; an administrator must confirm it (L11).";
    308 QueueFull "queue-full" "As many wait for this feature as may.";
    400 BadRequest "bad-request" "The request makes no sense.";
    401 UnsupportedVersion "unsupported-version" "No protocol version is spoken by both sides.";
    402 UnknownVendor "unknown-vendor" "The daemon serves no license of this vendor root.";
    403 HelloFirst "hello-first" "Something came before the `Hello`.";
    404 NotAllowed "not-allowed" "Only an administrator may do this.";
    405 RootUnconfirmed "root-unconfirmed" "The first license of a vendor needs its root confirmed by an administrator (T3).";
    500 Denied "denied" "A rule of the site's policy denies this.";
    501 NotAdmitted "not-admitted" "The site's policy admits only others to this feature.";
    502 MaximumReached "maximum-reached" "A maximum of the site's policy is used up.";
    503 Reserved "reserved" "The seats that are free are reserved for others.";
    504 NotEnrolled "not-enrolled" "The site's policy admits only client keys that an administrator has accepted.";
    505 Suspended "suspended" "An administrator lends none of this for now (L7).";
    506 CoolingDown "cooling-down" "The seat was taken back a moment ago; it may be asked for again later.";
    507 Idle "idle" "The application was idle for as long as the site's policy allows.";
    508 BorrowNotAllowed "borrow-not-allowed" "License or policy allow no borrow of this (L10).";
    509 BorrowTooLong "borrow-too-long" "Longer than license or policy let it be borrowed (L10).";
    510 KeptAtHome "kept-at-home" "The seats that are left stay at home (L10).";
    511 ClocksApart "clocks-apart" "The clocks of client and daemon are too far apart for a borrow (L10).";
    512 LeaseBorrowed "lease-borrowed" "A borrowed lease runs to its end and is not renewed (L10).";
    513 WriteOffsUsedUp "write-offs-used-up" "The license allows no more seats to be written off (L10).";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_unique_and_read_back() {
        let mut seen = std::collections::HashSet::new();
        for code in RefusalCode::ALL {
            assert_eq!(RefusalCode::from(u16::from(*code)), *code);
            assert!(
                seen.insert(u16::from(*code).to_string()) && seen.insert(code.name().to_owned())
            );
        }
        assert_eq!(RefusalCode::from(9999), RefusalCode::Unknown(9999));
    }
}
