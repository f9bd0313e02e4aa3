//! One row of a report: what it uses at a moment, and what that came to. Knows nothing of names.

use std::collections::HashMap;

use usher_protocol::{
    ids::LeaseId,
    refusal::RefusalCode,
    time::{DurationMs, WallMs},
};

use super::{
    figures::{Figures, Slice, hours, mean},
    series::Series,
    spread::{Lengths, Spread},
};

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Outcome {
    /// With seats, after so long in the queue.
    Granted(DurationMs),
    /// It left the queue without.
    GaveUp,
    /// Denied for want of seats, and the seat was never got.
    Denied(RefusalCode),
    /// Refused for another reason, and the seat was never got.
    Refused(RefusalCode),
    /// Refused, but the seat was got soon after: that grant is the request.
    GotLater,
}

/// Counted along the timeline.
#[derive(Debug, Default)]
pub(super) struct Row {
    now: WallMs,
    time: (WallMs, WallMs),
    shares: HashMap<LeaseId, Vec<(LeaseId, u32)>>,
    in_use: u32,
    waiting: i64,
    seat_ms: u64,
    peak: u32,
    granted: u64,
    gave_up: u64,
    denied: u64,
    refused: u64,
    got_later: u64,
    waits: Lengths,
    needs: Spread,
    /// Kept for the rows that have charts.
    series: Option<Series>,
}

impl Row {
    /// With use over time, in at most so many slices.
    pub(super) fn charted(slices_max: usize) -> Self {
        Self {
            series: Some(Series::new(slices_max)),
            ..Self::default()
        }
    }

    /// What was so far stays so until `at`; only what is from `from` until `to` counts.
    pub(super) fn advance(&mut self, from: WallMs, to: WallMs, at: WallMs) {
        self.time = (from, to);
        let (begin, end) = (self.now.max(from), at.min(to));
        self.now = self.now.max(at);
        if begin >= end || self.in_use == 0 {
            return;
        }
        self.peak = self.peak.max(self.in_use);
        self.seat_ms += u64::from(self.in_use) * end.since(begin).0;
        if let Some(series) = &mut self.series {
            series.add(self.time, (begin, end), self.in_use);
        }
    }

    /// Leases of one share cost the largest of their seats once.
    pub(super) fn enter(&mut self, lease: LeaseId, share: LeaseId, seats: u32) {
        let parts = self.shares.entry(share).or_default();
        let before = cost(parts);
        parts.push((lease, seats));
        self.in_use += cost(parts) - before;
    }

    pub(super) fn leave(&mut self, lease: LeaseId, share: LeaseId) {
        let Some(parts) = self.shares.get_mut(&share) else {
            return;
        };
        let before = cost(parts);
        parts.retain(|(it, _)| *it != lease);
        self.in_use -= before - cost(parts);
        if parts.is_empty() {
            self.shares.remove(&share);
        }
    }

    pub(super) fn wait(&mut self, seats: i64) {
        self.waiting += seats;
    }

    /// A request of this moment. Its own seats are in use by now, or waited for; those of a denial are not
    /// known and count as one.
    pub(super) fn ask(&mut self, at: WallMs, outcome: &Outcome) {
        let waiting = u32::try_from(self.waiting).unwrap_or(0);
        let demand = self.in_use.saturating_add(waiting);
        match outcome {
            Outcome::Granted(waited) => {
                self.granted += 1;
                if *waited > DurationMs::ZERO {
                    self.waits.add(waited.0);
                }
                self.needs.add(demand);
            }
            Outcome::GaveUp => {
                self.gave_up += 1;
                self.needs.add(demand);
                self.deny(at);
            }
            Outcome::Denied(_) => {
                self.denied += 1;
                self.needs.add(demand.saturating_add(1));
                self.deny(at);
            }
            Outcome::Refused(_) => self.refused += 1,
            Outcome::GotLater => self.got_later += 1,
        }
    }

    /// Whether anything happened in the report's time.
    pub(super) fn says_something(&self) -> bool {
        let asked = self.granted + self.gave_up + self.denied + self.refused + self.got_later;
        asked > 0 || self.seat_ms > 0
    }

    /// What it came to.
    pub(super) fn figures(&self, name: String, from: WallMs, to: WallMs) -> Figures {
        Figures {
            name,
            seats: None,
            requests: self.granted + self.gave_up + self.denied,
            granted: self.granted,
            peak: self.peak,
            mean: mean(self.seat_ms, to.since(from)),
            hours: hours(self.seat_ms),
            denied: self.denied,
            gave_up: self.gave_up,
            refused: self.refused,
            got_later: self.got_later,
            waited: self.waits.count,
            wait_ms_mean: self.waits.mean().map(DurationMs),
            wait_ms_p95: self.waits.percentile(95).map(DurationMs),
            wait_ms_max: (self.waits.count > 0).then_some(DurationMs(self.waits.max)),
            enough_for_99: self.needs.percentile(99),
        }
    }

    /// Its use over time.
    pub(super) fn slices(&self) -> Vec<Slice> {
        let series = self.series.as_ref();
        series.map_or_else(Vec::new, |series| series.slices(self.time))
    }

    fn deny(&mut self, at: WallMs) {
        if let Some(series) = &mut self.series {
            series.deny(self.time, at);
        }
    }
}

fn cost(parts: &[(LeaseId, u32)]) -> u32 {
    parts.iter().map(|(_, seats)| *seats).max().unwrap_or(0)
}
