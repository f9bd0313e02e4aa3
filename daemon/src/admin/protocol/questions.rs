//! What is told of a question about a seat: who asks, who waits, and what the answer would be.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use usher_protocol::{
    ids::{Fingerprint, PublicKey},
    refusal::{HolderView, Refusal, RefusalCode, RuleRef},
    time::{DurationMs, WallMs},
};

use super::forms::{rfc3339, text};

/// What a checkout would get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ExplanationReport {
    /// What it would get, or where it would stand in the queue, in words.
    pub detail: String,
    /// The refusal as the client would get it, or null where it would get seats.
    pub refusal: Option<RefusalReport>,
}

/// A refusal, in full (A4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RefusalReport {
    /// Its stable name, such as `no-seat`.
    pub refusal: String,
    /// Its stable number.
    pub refusal_number: u16,
    /// One sentence.
    pub detail: String,
    /// The rule that decided, when one did.
    pub rule: Option<RuleReport>,
    /// Who holds the seats, those that come free first in front.
    pub holders: Vec<HolderReport>,
    /// How many leases more there are.
    pub holders_more: u32,
    /// How long, at the latest estimate, until enough seats can be free if nobody renews.
    pub earliest_free_ms: Option<DurationMs>,
    /// Whose end that moment waits for.
    pub earliest_because: Option<String>,
    /// When asking again makes sense.
    pub retry_after_ms: Option<DurationMs>,
    /// The vendor's support message.
    pub support: Option<String>,
}

/// Where a rule stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleReport {
    /// The rule in words.
    pub text: String,
    /// The file it stands in, by name.
    pub file: String,
    /// Its line, from 1.
    pub line: u32,
}

/// One holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HolderReport {
    /// The client's own word.
    pub user: String,
    /// The client's own word.
    pub host: String,
    /// The client's own word.
    pub display: Option<String>,
    /// Its process.
    pub process: u32,
    /// Seats held.
    pub seats: u32,
    /// Since when.
    #[serde(with = "rfc3339")]
    pub since: WallMs,
    /// Comes free when, in milliseconds, if it is not renewed.
    pub free_in_ms: DurationMs,
    /// Borrowed for off-line use (L10).
    pub borrowed: bool,
}

/// One client key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "state",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum ClientReport {
    /// Accepted by an administrator.
    Accepted {
        /// Its fingerprint.
        #[serde(with = "text")]
        client: Fingerprint,
        /// The key in full: `ed25519:…`.
        #[serde(with = "text")]
        key: PublicKey,
        /// What the administrator calls it.
        name: String,
        /// Accepted when.
        #[serde(with = "rfc3339")]
        since: WallMs,
    },
    /// Refused for want of that, lately.
    Pending {
        /// Its fingerprint.
        #[serde(with = "text")]
        client: Fingerprint,
        /// The key in full: `ed25519:…`.
        #[serde(with = "text")]
        key: PublicKey,
        /// The client's own word.
        user: String,
        /// The client's own word.
        host: String,
        /// From where.
        address: IpAddr,
        /// Last seen so many milliseconds ago.
        ago_ms: DurationMs,
    },
}

/// One waiter (L9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WaiterReport {
    /// `vendor/feature`; several with ` + ` between for a set.
    pub feature: String,
    /// 1 is next.
    pub position: u32,
    /// All that wait for this feature.
    pub waiting: u32,
    /// When its turn may come, guessed; null without a guess.
    pub expected_ms: Option<DurationMs>,
    /// Seats asked for.
    pub seats: u32,
    /// The client's own word.
    pub user: String,
    /// The client's own word.
    pub host: String,
    /// By policy; higher is served first.
    pub priority: i32,
    /// For this long.
    pub waited_ms: DurationMs,
    /// A seat is offered, for so much longer.
    pub offered_ms: Option<DurationMs>,
    /// Cut off, and its place kept for so much longer.
    pub cut_off_ms: Option<DurationMs>,
}

impl ClientReport {
    /// The key.
    pub const fn key(&self) -> &PublicKey {
        match self {
            Self::Accepted { key, .. } | Self::Pending { key, .. } => key,
        }
    }
}

impl From<Refusal> for RefusalReport {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal: refusal.code.name().to_owned(),
            refusal_number: refusal.code.into(),
            detail: refusal.detail,
            rule: refusal
                .rule
                .map(|RuleRef { text, file, line }| RuleReport { text, file, line }),
            holders: refusal
                .holders
                .into_iter()
                .map(HolderReport::from)
                .collect(),
            holders_more: refusal.holders_more,
            earliest_free_ms: refusal.earliest_free_ms,
            earliest_because: refusal.earliest_because,
            retry_after_ms: refusal.retry_after_ms,
            support: refusal.support,
        }
    }
}

impl From<RefusalReport> for Refusal {
    fn from(report: RefusalReport) -> Self {
        Self {
            code: RefusalCode::from(report.refusal_number),
            detail: report.detail,
            rule: report
                .rule
                .map(|RuleReport { text, file, line }| RuleRef { text, file, line }),
            holders: report.holders.into_iter().map(HolderView::from).collect(),
            holders_more: report.holders_more,
            earliest_free_ms: report.earliest_free_ms,
            earliest_because: report.earliest_because,
            retry_after_ms: report.retry_after_ms,
            support: report.support,
        }
    }
}

impl From<HolderView> for HolderReport {
    fn from(view: HolderView) -> Self {
        Self {
            user: view.user,
            host: view.host,
            display: view.display,
            process: view.process,
            seats: view.seats,
            since: view.since,
            free_in_ms: view.free_in_ms,
            borrowed: view.borrowed,
        }
    }
}

impl From<HolderReport> for HolderView {
    fn from(report: HolderReport) -> Self {
        Self {
            user: report.user,
            host: report.host,
            display: report.display,
            process: report.process,
            seats: report.seats,
            since: report.since,
            free_in_ms: report.free_in_ms,
            borrowed: report.borrowed,
        }
    }
}
