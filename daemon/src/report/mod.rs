//! Usage reports: what was used, waited for and denied, reckoned from the usage log.
//!
//! It decides what the figures mean. Pure: events go in, figures come out, in memory that grows with live leases and
//! with distinct names, never with the number of events. It must not read files or clocks, nor print.

pub(crate) mod chart;
pub mod csv;
mod denials;
mod figures;
mod fold;
pub mod html;
mod names;
mod pools;
mod row;
mod rows;
mod series;
mod spread;
#[cfg(test)]
mod tests;
mod timeline;

use std::collections::BTreeMap;

use usher_engine::{
    policy::Policy,
    record::{Event, Record},
};
use usher_protocol::time::WallMs;

pub use self::{
    figures::{FeatureFigures, Figures, Moment, RefusalCount, Report, Slice, UserHours},
    names::Names,
    rows::By,
    series::SLICES_MAX,
};
use self::{
    fold::Fold,
    row::{Outcome, Row},
    rows::{Axis, Rows},
    timeline::{Change, Timeline, What},
};

/// What a report is about.
#[derive(Debug)]
pub struct Scope {
    /// From when on; none is the log's first entry.
    pub from: Option<WallMs>,
    /// Until when.
    pub to: WallMs,
    /// What a row is.
    pub by: By,
    /// Only this one: `vendor/feature`, or the feature alone.
    pub feature: Option<String>,
    /// Its groups are the rows of [`By::Group`].
    pub policy: Policy,
    /// How users and hosts are called.
    pub names: Names,
    /// Slices of the time, at most: [`SLICES_MAX`] for a chart.
    pub slices_max: usize,
}

/// A report in the making. Take all entries of the log from its first on: what is held when the time begins was granted before.
#[derive(Debug)]
pub struct Reckoning {
    to: WallMs,
    from: Option<WallMs>,
    by: By,
    feature: Option<String>,
    fold: Fold,
    rows: Rows,
    timeline: Timeline,
    refusals: BTreeMap<(String, &'static str), u64>,
    entries: u64,
    first_entry: u64,
    log_begins: Option<WallMs>,
}

impl Reckoning {
    /// Nothing is reckoned yet.
    pub fn new(scope: Scope) -> Self {
        Self {
            from: scope.from,
            to: scope.to,
            by: scope.by,
            fold: Fold::of(scope.feature.clone()),
            feature: scope.feature,
            rows: Rows::new(scope.by, scope.policy, scope.names, scope.slices_max),
            timeline: Timeline::default(),
            refusals: BTreeMap::new(),
            entries: 0,
            first_entry: 1,
            log_begins: None,
        }
    }

    /// What a log does not tell any more, as its oldest part was retired: vendors and licenses.
    pub fn know(&mut self, records: &[Record]) {
        self.fold.know(records);
    }

    /// The number of the log's first entry.
    pub fn begin_with(&mut self, number: u64) {
        self.first_entry = number;
    }

    /// The next entry.
    pub fn take(&mut self, event: &Event) {
        self.entries += 1;
        self.from.get_or_insert(event.at);
        self.log_begins.get_or_insert(event.at);
        let now = self.fold.take(event, &mut self.rows, &mut self.timeline);
        while let Some((at, change)) = self.timeline.ripe(now) {
            self.sweep(at, &change);
        }
    }

    /// All entries were taken.
    pub fn end(mut self) -> Report {
        self.fold.end(&mut self.timeline);
        while let Some((at, change)) = self.timeline.next() {
            self.sweep(at, &change);
        }
        let (from, to) = self.time();
        let mut all = self.rows.end();
        for (_, row) in all.values_mut().flatten() {
            row.advance(from, to, to);
        }
        let mut of = |axis| all.remove(&axis).unwrap_or_default();
        let features = of(Axis::Feature);
        let users = of(Axis::User);
        let rows = match self.by {
            By::Feature => self.figures(&features, true),
            By::User => self.figures(&users, false),
            By::Group => self.figures(&of(Axis::Group), false),
            By::Host => self.figures(&of(Axis::Host), false),
        };
        let pools = self.figures(&features, true);
        let series = features.iter().map(|(_, row)| row.slices());
        Report {
            from: Moment(from),
            to: Moment(to),
            by: self.by,
            only: self.feature.clone(),
            entries: self.entries,
            first_entry: self.first_entry,
            log_begins: self.log_begins.map(Moment),
            rows,
            features: pools
                .into_iter()
                .zip(series)
                .map(|(figures, slices)| FeatureFigures { figures, slices })
                .collect(),
            users: user_hours(&users, from, to),
            refusals: refusals(self.refusals),
        }
    }

    /// A time that ends before it begins is empty.
    fn time(&self) -> (WallMs, WallMs) {
        let from = self.from.unwrap_or(self.to).min(self.to);
        (from, self.to)
    }

    fn sweep(&mut self, at: WallMs, change: &Change) {
        let (from, to) = self.time();
        for id in change.rows.iter() {
            let row = self.rows.row(*id);
            row.advance(from, to, at);
            match &change.what {
                What::Enter {
                    lease,
                    share,
                    seats,
                } => row.enter(*lease, *share, *seats),
                What::Leave { lease, share } => row.leave(*lease, *share),
                What::WaitBegins { seats } => row.wait(i64::from(*seats)),
                What::WaitEnds { seats } => row.wait(-i64::from(*seats)),
                What::Asked(outcome) if at >= from && at < to => row.ask(at, outcome),
                What::Asked(_) => {}
            }
        }
        if let What::Asked(Outcome::Denied(code) | Outcome::Refused(code)) = &change.what
            && at >= from
            && at < to
        {
            let feature = self.rows.feature_name(&change.rows).to_owned();
            *self.refusals.entry((feature, code.name())).or_default() += 1;
        }
    }

    fn figures(&self, rows: &[(String, Row)], are_features: bool) -> Vec<Figures> {
        let (from, to) = self.time();
        let told = rows.iter().filter(|(_, row)| row.says_something());
        told.map(|(name, row)| {
            let mut figures = row.figures(name.clone(), from, to);
            if are_features {
                figures.seats = self.fold.pools().seats(name, to);
            }
            figures
        })
        .collect()
    }
}

fn user_hours(users: &[(String, Row)], from: WallMs, to: WallMs) -> Vec<UserHours> {
    let told = users.iter().filter(|(_, row)| row.says_something());
    let mut hours: Vec<_> = told
        .map(|(name, row)| {
            let figures = row.figures(name.clone(), from, to);
            UserHours {
                name: figures.name,
                hours: figures.hours,
            }
        })
        .collect();
    hours.sort_by(|a, b| {
        b.hours
            .total_cmp(&a.hours)
            .then_with(|| a.name.cmp(&b.name))
    });
    hours
}

fn refusals(counted: BTreeMap<(String, &'static str), u64>) -> Vec<RefusalCount> {
    let mut refusals: Vec<_> = counted
        .into_iter()
        .map(|((feature, reason), count)| RefusalCount {
            feature,
            reason,
            count,
        })
        .collect();
    refusals.sort_by_key(|it| std::cmp::Reverse(it.count));
    refusals
}
