//! Questions and answers on the admin socket: one JSON object a line, versioned and bounded.
//!
//! The answers are also what `--json` prints, so times are RFC 3339 in UTC. One question, one answer,
//! any number of them on one connection.

mod forms;
mod questions;
mod reports;
mod tokens;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use usher_protocol::{
    ids::{Fingerprint, LeaseId},
    names::{LicenseId, Version},
    refusal::RefusalCode,
    time::DurationMs,
    wire::Environment,
};

use forms::{optional_text, text};
pub use questions::{
    ClientReport, ExplanationReport, HolderReport, RefusalReport, RuleReport, WaiterReport,
};
pub use reports::{
    AlertReport, BackupReport, FeatureReport, LeaseReport, LicenseReport, LogReport, PoolReport,
    ReloadReport, ReservationReport, StatusReport,
};
pub use tokens::{TokenMade, TokenReport};

use crate::tokens::{Scope, SeatBound};

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

impl Question {
    /// What a line asks, if it is a question of this version.
    ///
    /// # Errors
    /// What to tell who asked.
    pub fn read(line: &[u8]) -> Result<Ask, String> {
        let wrong_version = |found: &str| {
            format!(
                "this usherd speaks admin version {ADMIN_VERSION}, the command {found}; use the usherd command of the running daemon's version"
            )
        };
        let version = serde_json::from_slice::<serde_json::Value>(line)
            .ok()
            .and_then(|value| value.get("version")?.as_u64());
        match version {
            Some(version) if version == u64::from(ADMIN_VERSION) => {}
            Some(other) => return Err(wrong_version(&other.to_string())),
            None => return Err(wrong_version("none")),
        }
        serde_json::from_slice::<Self>(line)
            .map(|question| question.ask)
            .map_err(|error| format!("the question makes no sense: {error}"))
    }
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
        /// How long its holder may not have the feature again; null is the usual.
        #[serde(default)]
        cool_down_ms: Option<DurationMs>,
    },
    /// What a checkout would get, and why; changes nothing (A4).
    Explain {
        /// `vendor/feature`, or the feature alone where one vendor is served.
        feature: String,
        /// Live or test.
        environment: Environment,
        /// How many seats.
        seats: u32,
        /// The lowest version that will do.
        #[serde(default, with = "optional_text")]
        version: Option<Version>,
        /// The user's name.
        user: String,
        /// The host's name.
        host: String,
        /// The client key or, of one that is accepted or has knocked, the first digits of its
        /// fingerprint; null is a key never seen.
        #[serde(default)]
        client: Option<String>,
        /// From which address; null matches no network of the policy.
        #[serde(default)]
        address: Option<IpAddr>,
        /// For off-line use, this long (L10).
        #[serde(default)]
        borrow_ms: Option<DurationMs>,
    },
    /// Lend nothing of a license or feature (L7).
    Suspend {
        /// A license's id, `vendor/feature`, or a feature that one vendor alone has here.
        what: String,
        /// Why, for its holders and the usage log.
        reason: String,
    },
    /// Lend it again.
    Resume {
        /// As for [`Ask::Suspend`].
        what: String,
    },
    /// Client keys that are accepted, and those that were refused for want of that.
    Clients,
    /// Accept a client key.
    ClientAccept {
        /// The key or, of one that has knocked, the first digits of its fingerprint.
        client: String,
        /// What to call it.
        name: String,
    },
    /// Accept a client key no more.
    ClientRemove {
        /// The key, the name it was accepted under, or the first digits of its fingerprint.
        client: String,
    },
    /// Who waits, first in front (L9).
    Queue,
    /// Count a borrowed lease against the signed allowance (L10).
    WriteOff {
        /// Which.
        #[serde(with = "text")]
        lease: LeaseId,
        /// Why, for the usage log.
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
    /// Let the files of the usage log up to this place be moved away; without one, only end the file in use (S2).
    LogRetire {
        /// The last entry of a file, and the hash after it.
        through: Option<LogReport>,
    },
    /// Make a token for the HTTPS server.
    TokenNew {
        /// What to call it.
        name: String,
        /// What for.
        scope: Scope,
        /// Ends after this.
        lives_ms: DurationMs,
        /// What it may check out; of the scope `lease` alone.
        #[serde(default)]
        seats: Vec<SeatBound>,
    },
    /// What tokens there are.
    Tokens,
    /// End a token at once.
    TokenRevoke {
        /// Its name or id.
        token: String,
    },
    /// Give a token a new secret.
    TokenRotate {
        /// Its name or id.
        token: String,
        /// The old secret holds for this long.
        grace_ms: DurationMs,
    },
    /// The HTTPS server's certificate, for those that are to believe it.
    HttpCertificate,
    /// Who is told of what goes wrong, and how that goes.
    Alerts,
    /// Tell them something.
    AlertTest,
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
    /// To [`Ask::LogRetire`] with a place: it is told in the log, and its files may go.
    LogRetired {
        /// The entry that the copy reaches which a repair goes on from in their place.
        base: u64,
    },
    /// To [`Ask::Explain`].
    Explained(Box<ExplanationReport>),
    /// To [`Ask::Clients`].
    Clients(Vec<ClientReport>),
    /// To [`Ask::ClientAccept`] and [`Ask::ClientRemove`]: which key it was.
    Client {
        /// Its fingerprint.
        #[serde(with = "text")]
        client: Fingerprint,
    },
    /// To [`Ask::Suspend`] and [`Ask::Resume`]: what it was, in full.
    Suspension {
        /// `vendor/feature`, or `license` and its id.
        what: String,
    },
    /// To [`Ask::Queue`].
    Queue(Vec<WaiterReport>),
    /// To [`Ask::TokenNew`] and [`Ask::TokenRotate`].
    TokenMade(Box<TokenMade>),
    /// To [`Ask::Tokens`].
    Tokens(Vec<TokenReport>),
    /// To [`Ask::HttpCertificate`]: PEM.
    HttpCertificate(String),
    /// To [`Ask::Alerts`] and [`Ask::AlertTest`].
    Alerts(Vec<AlertReport>),
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

#[cfg(test)]
mod tests {
    use usher_protocol::time::WallMs;

    use super::*;

    #[test]
    fn questions_read_back_and_unknown_fields_are_refused() {
        let ask = Ask::Evict {
            lease: "1-2".parse().unwrap(),
            reason: "maintenance".to_owned(),
            cool_down_ms: None,
        };
        let question = Question {
            version: ADMIN_VERSION,
            ask,
        };
        let line = serde_json::to_string(&question).unwrap();
        insta::assert_snapshot!(line, @r#"{"version":1,"ask":{"verb":"evict","lease":"1-2","reason":"maintenance","cool-down-ms":null}}"#);
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
