//! What a report says (docs/reports.md). `--format json` prints exactly this.

use serde::{Serialize, Serializer};
use usher_client::clock::utc_rfc3339;
use usher_protocol::time::{DurationMs, WallMs};

use super::By;

/// A whole report.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// From when on.
    pub from: Moment,
    /// Until when.
    pub to: Moment,
    /// What a row is.
    pub by: By,
    /// The one feature it is about, when it is about one.
    pub only: Option<String>,
    /// Entries of the log that were read.
    pub entries: u64,
    /// Number of the log's first entry: more than 1 where what came before was retired or set aside.
    pub first_entry: u64,
    /// When that was; absent for an empty log.
    pub log_begins: Option<Moment>,
    /// What was asked for.
    pub rows: Vec<Figures>,
    /// Each feature, with its use over time.
    pub features: Vec<FeatureFigures>,
    /// Each user's hours, the most first.
    pub users: Vec<UserHours>,
    /// True denials and refusals by their reason, the most first.
    pub refusals: Vec<RefusalCount>,
}

impl Report {
    /// That the log does not go back to its beginning, in words; `local` writes a moment.
    pub fn log_begins_late(&self, local: fn(WallMs) -> String) -> Option<String> {
        let begins = self.log_begins.filter(|_| self.first_entry > 1)?;
        Some(format!(
            "The log begins with entry {}, {}: what came before was retired or set aside.",
            self.first_entry,
            local(begins.0)
        ))
    }
}

/// One row.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Figures {
    /// The feature, user, group or host.
    pub name: String,
    /// Seats of its licenses at the end of the time, for a feature of which the log tells so.
    pub seats: Option<u32>,
    /// Granted, denied and given up.
    pub requests: u64,
    /// Requests that got their seats, those that waited included.
    pub granted: u64,
    /// Most seats in use at once.
    pub peak: u32,
    /// Seats in use on average over the whole time.
    pub mean: f64,
    /// Seat-hours.
    pub hours: f64,
    /// Requests denied for want of seats that never got one.
    pub denied: u64,
    /// Requests that left the queue without a seat.
    pub gave_up: u64,
    /// Requests refused for another reason that never got a seat.
    pub refused: u64,
    /// Refusals that are none: the seat was got soon after.
    pub got_later: u64,
    /// Granted requests that had to wait.
    pub waited: u64,
    /// Of those, the mean wait.
    pub wait_ms_mean: Option<DurationMs>,
    /// Of those, what 95 of 100 did not exceed; at most a sixteenth too long.
    pub wait_ms_p95: Option<DurationMs>,
    /// Of those, the longest.
    pub wait_ms_max: Option<DurationMs>,
    /// As many seats would have been enough for 99 of 100 requests to get theirs at once.
    pub enough_for_99: Option<u32>,
}

/// A feature, with its use over time.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FeatureFigures {
    /// As in a row.
    #[serde(flatten)]
    pub figures: Figures,
    /// The time in slices of one length, the last one apart.
    pub slices: Vec<Slice>,
}

/// A slice of time.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Slice {
    /// Its begin.
    pub at: Moment,
    /// Seats in use on average.
    pub mean: f64,
    /// Most seats in use at once.
    pub peak: u32,
    /// Requests that came then and never got a seat for want of one.
    pub denied: u64,
}

/// One user's hours.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct UserHours {
    /// Who.
    pub name: String,
    /// Seat-hours.
    pub hours: f64,
}

/// How often a feature was refused for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RefusalCount {
    /// `vendor/feature`.
    pub feature: String,
    /// The refusal's name.
    pub reason: &'static str,
    /// Requests, however often each was repeated.
    pub count: u64,
}

/// A moment; RFC 3339 in UTC where it is serialized.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub WallMs);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&utc_rfc3339(self.0))
    }
}

/// Seats on average over a length of time, to the thousandth.
pub(super) fn mean(seat_ms: u64, length: DurationMs) -> f64 {
    if length == DurationMs::ZERO {
        return 0.0;
    }
    thousandths(u128::from(seat_ms) * 1000 / u128::from(length.0))
}

/// Seat-hours, to the thousandth.
pub(super) fn hours(seat_ms: u64) -> f64 {
    thousandths(u128::from(seat_ms) / 3600)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "beyond 2^53 thousandths nobody counts single ones"
)]
fn thousandths(count: u128) -> f64 {
    count as f64 / 1000.0
}
