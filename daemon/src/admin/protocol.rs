//! Questions and answers on the admin socket: one JSON object a line, versioned and bounded.
//!
//! The answers are also what `--json` prints, so times are RFC 3339 in UTC. One question, one answer,
//! any number of them on one connection.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use usher_protocol::{
    ids::{Fingerprint, LeaseId},
    names::LicenseId,
    refusal::RefusalCode,
    time::{DurationMs, WallMs},
    wire::Environment,
};

use crate::usage::LogHead;

/// The version both sides must name.
pub const ADMIN_VERSION: u32 = 1;

/// One line towards the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// [`ADMIN_VERSION`].
    pub version: u32,
    /// What for.
    pub ask: Ask,
}

/// One line back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// [`ADMIN_VERSION`].
    pub version: u32,
    /// The answer.
    pub answer: Answer,
}

/// What an administrator asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "verb",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum Ask {
    /// Everything at one glance.
    Status,
    /// Leases in order of their ids, a page at a time.
    Leases {
        /// The last one already seen.
        #[serde(default, with = "optional_text")]
        after: Option<LeaseId>,
        /// At most this many; [`crate::limits::ADMIN_LEASES_PER_PAGE_MAX`] bounds it.
        count_max: usize,
    },
    /// What is installed.
    Licenses,
    /// The signed request to mail to a vendor.
    Request,
    /// Install or replace a license.
    LicenseAdd {
        /// The whole file.
        text: String,
        /// The root the administrator confirmed; needed at a vendor's first license (T3).
        #[serde(default, with = "optional_text")]
        root: Option<Fingerprint>,
    },
    /// Remove a license.
    LicenseRemove {
        /// Which.
        id: LicenseId,
    },
    /// Take a lease back at its next renewal (L7).
    Evict {
        /// Which.
        #[serde(with = "text")]
        lease: LeaseId,
        /// Why, for its holder and the usage log.
        reason: String,
    },
    /// Believe the wall clock although it leads (L11).
    ConfirmClock,
    /// This daemon is the one that stays (L12).
    KeepThisClone,
    /// The rolled-back store was looked at (L12).
    AcceptRollback,
    /// Read the configuration anew, as SIGHUP does.
    Reload,
    /// Copy the live state into a new file below the state directory (S6).
    Backup,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// To [`Ask::Status`].
    Status(Box<StatusReport>),
    /// To [`Ask::Leases`]; fewer than asked for means the end.
    Leases(Vec<LeaseReport>),
    /// To [`Ask::Licenses`].
    Licenses(Vec<LicenseReport>),
    /// To [`Ask::Request`]: the whole file.
    Request(String),
    /// To [`Ask::LicenseAdd`].
    Installed(Box<LicenseReport>),
    /// To [`Ask::LicenseAdd`]: the first license of this vendor; ask again with its root confirmed (T3).
    ConfirmRoot {
        /// The vendor as the license names it.
        vendor: String,
        /// The fingerprint to compare with what the vendor published.
        #[serde(with = "text")]
        root: Fingerprint,
    },
    /// To the verbs that only do something.
    Done,
    /// To [`Ask::Reload`].
    Reloaded(ReloadReport),
    /// To [`Ask::Backup`].
    Backup(BackupReport),
    /// No, by the engine's rules.
    Refused {
        /// The refusal's stable name, such as `no-license`.
        code: String,
        /// One sentence.
        detail: String,
        /// What the vendor says to do.
        support: Option<String>,
    },
    /// The question could not be dealt with; the message names the next step.
    Failed {
        /// For people.
        message: String,
    },
}

/// The daemon at one glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StatusReport {
    /// Its build.
    pub version: String,
    /// Its name for people.
    pub name: String,
    /// The site key in full: `ed25519:…`.
    pub site: String,
    /// Addresses it serves on.
    pub listen: Vec<String>,
    /// How the advert is: `advertised`, `off`, or what is wrong with it.
    pub advert: String,
    /// Running since.
    #[serde(with = "rfc3339")]
    pub started: WallMs,
    /// The daemon life.
    pub epoch: u64,
    /// The daemon life by its random name.
    pub life: String,
    /// The store's head.
    pub head: u64,
    /// Clients connected.
    pub connections: usize,
    /// Live leases.
    pub leases: usize,
    /// License time (L11).
    #[serde(with = "rfc3339")]
    pub license_time: WallMs,
    /// Every pool.
    pub pools: Vec<PoolReport>,
    /// How far the usage log is.
    pub log: LogReport,
    /// Why no seat is granted at all, when so.
    pub stopped: Vec<String>,
    /// What is not as it should be while seats are granted.
    pub degraded: Vec<String>,
}

/// A place in the usage log's chain, durable: what proves that no tail is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LogReport {
    /// Number of its last entry; 0 for an empty log.
    pub number: u64,
    /// SHA-256 over the chain up to that entry, in hexadecimal.
    #[serde(with = "text")]
    pub hash: Fingerprint,
}

impl From<LogHead> for LogReport {
    fn from(LogHead { number, hash }: LogHead) -> Self {
        let hash = Fingerprint(hash);
        Self { number, hash }
    }
}

impl From<LogReport> for LogHead {
    fn from(LogReport { number, hash }: LogReport) -> Self {
        let hash = hash.0;
        Self { number, hash }
    }
}

/// One pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PoolReport {
    /// `vendor/feature`.
    pub feature: String,
    /// Its license.
    pub license: LicenseId,
    /// Live or test.
    pub environment: Environment,
    /// Highest version served.
    pub version: Option<String>,
    /// Seats; null is unlimited.
    pub seats: Option<u32>,
    /// Seats out.
    pub out: u32,
    /// Leases held since the restart and not yet heard of (L4).
    pub held: u32,
    /// More out than there is (L7).
    pub overcommitted: bool,
    /// When its license ends, if it does.
    #[serde(with = "optional_rfc3339")]
    pub expires: Option<WallMs>,
}

/// One lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LeaseReport {
    /// Its id, as `usherd evict` takes it.
    #[serde(with = "text")]
    pub id: LeaseId,
    /// `vendor/feature`.
    pub feature: String,
    /// Its license.
    pub license: LicenseId,
    /// Live or test.
    pub environment: Environment,
    /// Seats.
    pub seats: u32,
    /// The workstation's key.
    #[serde(with = "text")]
    pub client: Fingerprint,
    /// The client's own word.
    pub user: String,
    /// The client's own word.
    pub host: String,
    /// The client's own word.
    pub display: Option<String>,
    /// Its process.
    pub process: u32,
    /// Granted when.
    #[serde(with = "rfc3339")]
    pub since: WallMs,
    /// Comes free when, in milliseconds, if it is not renewed.
    pub free_in_ms: DurationMs,
    /// What is wrong with it, when something is.
    pub note: Option<String>,
}

/// One license.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LicenseReport {
    /// Its id.
    pub id: LicenseId,
    /// Its serial.
    pub serial: u64,
    /// The vendor's display name.
    pub vendor: String,
    /// The vendor (T3).
    #[serde(with = "text")]
    pub root: Fingerprint,
    /// The customer's name for people.
    pub customer: String,
    /// Live or test.
    pub environment: Environment,
    /// The signed issue date.
    #[serde(with = "rfc3339")]
    pub issued: WallMs,
    /// What it grants.
    pub features: Vec<FeatureReport>,
    /// Why nothing is lent from it, when so.
    pub idle_because: Option<String>,
}

/// One feature of a license.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FeatureReport {
    /// Its name within the vendor.
    pub feature: String,
    /// Highest version served.
    pub version: Option<String>,
    /// Seats; null is unlimited.
    pub seats: Option<u32>,
    /// First moment of validity.
    #[serde(with = "rfc3339")]
    pub starts: WallMs,
    /// First moment after validity, if it ends.
    #[serde(with = "optional_rfc3339")]
    pub expires: Option<WallMs>,
}

/// What a reload did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReloadReport {
    /// The file read, when there is one.
    pub file: Option<PathBuf>,
    /// Settings that changed and take effect at the next start only.
    pub restart_needed_by: Vec<String>,
    /// Where the policy is, or would be.
    pub policy_file: PathBuf,
    /// What the policy in force holds, in words.
    pub policy: String,
}

/// A finished backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BackupReport {
    /// The new file, 0600, owned by the daemon's user.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// The state's head in it.
    pub head: u64,
    /// Keys in it.
    pub records: u64,
    /// The usage log's last entry in it.
    pub log_number: u64,
}

impl Answer {
    /// A failure with its message.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed {
            message: message.into(),
        }
    }

    /// A refusal without support message.
    pub fn refused(code: RefusalCode, detail: impl Into<String>) -> Self {
        Self::Refused {
            code: code.name().to_owned(),
            detail: detail.into(),
            support: None,
        }
    }
}

mod text {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<T: Display, S: Serializer>(it: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(it)
    }

    pub(super) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

mod optional_text {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    #[expect(clippy::ref_option, reason = "serde hands out a reference")]
    pub(super) fn serialize<T: Display, S: Serializer>(
        it: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match it {
            Some(it) => to.collect_str(it),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse().map_err(D::Error::custom))
            .transpose()
    }
}

mod rfc3339 {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
    use usher_client::clock::utc_rfc3339;
    use usher_protocol::time::WallMs;

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde hands out a reference"
    )]
    pub(super) fn serialize<S: Serializer>(wall: &WallMs, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&utc_rfc3339(*wall))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<WallMs, D::Error> {
        parse(&String::deserialize(from)?).map_err(D::Error::custom)
    }

    pub(super) fn parse(text: &str) -> Result<WallMs, jiff::Error> {
        let moment: jiff::Timestamp = text.parse()?;
        Ok(WallMs(u64::try_from(moment.as_millisecond()).unwrap_or(0)))
    }
}

mod optional_rfc3339 {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
    use usher_client::clock::utc_rfc3339;
    use usher_protocol::time::WallMs;

    #[expect(clippy::ref_option, reason = "serde hands out a reference")]
    pub(super) fn serialize<S: Serializer>(
        wall: &Option<WallMs>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match wall {
            Some(wall) => to.serialize_str(&utc_rfc3339(*wall)),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<WallMs>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| super::rfc3339::parse(&text).map_err(D::Error::custom))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_read_back_and_unknown_fields_are_refused() {
        let ask = Ask::Evict {
            lease: "1-2".parse().unwrap(),
            reason: "maintenance".to_owned(),
        };
        let question = Question {
            version: ADMIN_VERSION,
            ask,
        };
        let line = serde_json::to_string(&question).unwrap();
        insta::assert_snapshot!(line, @r#"{"version":1,"ask":{"verb":"evict","lease":"1-2","reason":"maintenance"}}"#);
        assert_eq!(serde_json::from_str::<Question>(&line).unwrap(), question);
        let more = line.replace("\"reason\"", "\"force\":true,\"reason\"");
        assert!(serde_json::from_str::<Question>(&more).is_err());
    }

    #[test]
    fn times_travel_as_rfc3339() {
        let feature = FeatureReport {
            feature: "solver".to_owned(),
            version: None,
            seats: Some(3),
            starts: WallMs(1_795_348_800_123),
            expires: Some(WallMs(1_798_761_600_000)),
        };
        let text = serde_json::to_string(&feature).unwrap();
        assert!(
            text.contains("\"starts\":\"2026-11-22T12:00:00.123Z\""),
            "{text}"
        );
        assert_eq!(
            serde_json::from_str::<FeatureReport>(&text).unwrap(),
            feature
        );
    }
}
