//! What the daemon reports of itself, its licenses and its leases.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use usher_protocol::{
    ids::{Fingerprint, LeaseId},
    names::LicenseId,
    time::{DurationMs, WallMs},
    wire::Environment,
};

use super::forms::{optional_rfc3339, rfc3339, text};
use crate::{alerts::Kind, usage::LogHead};

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
    /// Reservations of the policy, and how they are used.
    pub reservations: Vec<ReservationReport>,
    /// The policy in force, in words.
    pub policy: String,
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
    /// Seats out, those that several leases share once; above `seats` they are overdraft.
    pub out: u32,
    /// Seats that are neither out, offered nor lingering, overdraft apart; null is unlimited.
    pub free: Option<u32>,
    /// Of the feature's free seats, in all its pools together, those that the policy reserves.
    pub reserved_idle: u32,
    /// Seats that may be out beyond `seats`, as signed.
    pub overdraft: u32,
    /// Seats that are out beyond `seats`.
    pub overdraft_used: u32,
    /// Of the seats out, the borrowed ones (L10).
    pub borrowed: u32,
    /// Borrowed seats that were written off, beside those out (L10).
    pub written_off: u32,
    /// Seats offered to waiters (L9).
    pub offered: u32,
    /// Seats that linger with their last holders.
    pub lingering: u32,
    /// Who waits for the feature, in all its pools together (L9).
    pub queued: u32,
    /// Why an administrator lends none of it for now.
    pub suspended: Option<String>,
    /// Leases held since the restart and not yet heard of (L4).
    pub held: u32,
    /// More out than there is (L7).
    pub overcommitted: bool,
    /// When its license ends, if it does.
    #[serde(with = "optional_rfc3339")]
    pub expires: Option<WallMs>,
}

/// One reservation of the policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReservationReport {
    /// `vendor/feature`.
    pub feature: String,
    /// For whom, in the policy's words.
    pub who: String,
    /// Seats reserved.
    pub seats: u32,
    /// Seats that its holders have out; what is beyond `seats` is shared ones.
    pub used: u32,
    /// The policy's file.
    pub file: PathBuf,
    /// Its line there.
    pub line: u32,
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
    /// Borrowed until then (L10).
    #[serde(with = "optional_rfc3339")]
    pub borrowed_until: Option<WallMs>,
    /// How many leases share its seats, itself included.
    pub sharing: u32,
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

/// One to whom alerts are sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AlertReport {
    /// Where to, without path and query, which may be a secret.
    pub url: String,
    /// Which events.
    pub events: Vec<Kind>,
    /// How many wait.
    pub waiting: usize,
    /// When what the oldest of them tells was found.
    #[serde(default, with = "optional_rfc3339")]
    pub oldest_waiting: Option<WallMs>,
    /// How many were delivered, over all lives.
    pub delivered: u64,
    /// How many were dropped undelivered.
    pub dropped: u64,
    /// When the last one was delivered.
    #[serde(with = "optional_rfc3339")]
    pub last_delivered: Option<WallMs>,
    /// Why the last attempt was in vain, when it was.
    pub last_error: Option<String>,
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
