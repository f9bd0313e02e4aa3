//! What an event is, and the exact bytes that tell it. Must not name users: an alert leaves the site's server.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use usher_client::clock::utc_rfc3339;
use usher_protocol::time::WallMs;

/// What may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A feature has no seat free, and somebody waits for one or was denied one.
    Exhaustion,
    /// Requests were denied; those of an hour together.
    Denial,
    /// A license ends in 30, 7 or 1 days.
    Expiry,
    /// More seats are out than there are (L7).
    Overcommit,
    /// The wall clock is in doubt (L11).
    Clock,
    /// Another daemon has this site key (L12).
    Clone,
    /// The store went back, is being held after a loss, or cannot be written any more (L12, L13).
    Store,
    /// An administrator tries alerts; sent to everybody.
    Test,
}

impl Kind {
    /// Those that a configuration may choose.
    pub const ALL: [Self; 7] = [
        Self::Exhaustion,
        Self::Denial,
        Self::Expiry,
        Self::Overcommit,
        Self::Clock,
        Self::Clone,
        Self::Store,
    ];
}

/// Where in its life a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Phase {
    /// It is so from now on.
    Begun,
    /// It is so no more.
    Ended,
    /// It happened.
    Once,
}

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) kind: Kind,
    pub(super) phase: Phase,
    /// What it is about: `vendor/feature`, `license acme-0001`, `clock`.
    pub(super) subject: String,
    /// One sentence for people.
    pub(super) text: String,
}

/// A finding in the bytes in which it is sent, however often that takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) at: WallMs,
    pub(super) body: String,
}

/// Who tells it.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    pub(super) name: String,
    pub(super) site: String,
}

#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    event: Kind,
    phase: Phase,
    at: String,
    server: &'a str,
    site: &'a str,
    subject: &'a str,
    text: &'a str,
}

impl Sender {
    /// The event that tells it; none where the system has no randomness for its id, which is logged.
    pub(super) fn event(&self, finding: &Finding, at: WallMs) -> Option<Event> {
        let mut random = [0; 16];
        if let Err(error) = getrandom::fill(&mut random) {
            tracing::error!(
                event = "alerts-lost",
                "an alert is lost: {error}: {}",
                finding.text
            );
            return None;
        }
        let id = HEXLOWER.encode(&random);
        let body = Body {
            id: &id,
            event: finding.kind,
            phase: finding.phase,
            at: utc_rfc3339(at),
            server: &self.name,
            site: &self.site,
            subject: &finding.subject,
            text: &finding.text,
        };
        let body = serde_json::to_string(&body).ok()?;
        Some(Event {
            id,
            kind: finding.kind,
            at,
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_has_the_documented_shape() {
        let sender = Sender {
            name: "lic01".to_owned(),
            site: "ab12".to_owned(),
        };
        let finding = Finding {
            kind: Kind::Exhaustion,
            phase: Phase::Begun,
            subject: "acme/solver".to_owned(),
            text: "all 10 seats are out, and 2 wait".to_owned(),
        };
        let event = sender.event(&finding, WallMs(1_795_348_800_000)).unwrap();
        let body = event.body.replace(&event.id, "ID");
        insta::assert_snapshot!(body, @r#"{"id":"ID","event":"exhaustion","phase":"begun","at":"2026-11-22T12:00:00Z","server":"lic01","site":"ab12","subject":"acme/solver","text":"all 10 seats are out, and 2 wait"}"#);
        assert_ne!(sender.event(&finding, WallMs(0)).unwrap().id, event.id);
    }
}
