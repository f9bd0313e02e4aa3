//! Seats in use by the hour of the week, on average over the last four weeks; days and hours are this machine's.

use std::collections::BTreeMap;

use jiff::{Timestamp, tz::TimeZone};
use usher_protocol::time::{DurationMs, WallMs};

use crate::report::Report;

/// By feature: Monday's first hour to Sunday's last; none where the log tells of no such hour.
#[derive(Debug, Default)]
pub(super) struct Heat(BTreeMap<String, Vec<Option<f64>>>);

impl Heat {
    /// From when on, and in how many slices of an hour at most.
    pub(super) fn span(now: WallMs) -> (WallMs, usize) {
        let hour = now.0 - now.0 % HOUR_MS;
        let begin = hour.saturating_sub((HOURS as u64 - 1) * HOUR_MS);
        (WallMs(begin), HOURS)
    }

    /// Of a report of that time; what was before the log's first entry is not known.
    pub(super) fn of(report: &Report, first: WallMs) -> Self {
        let zone = TimeZone::system();
        let features = report.features.iter().map(|feature| {
            let mut sums = vec![(0.0, 0_u32); WEEK];
            for slice in &feature.slices {
                let end = slice.at.0.plus(DurationMs(HOUR_MS));
                if end > first
                    && let Some((sum, count)) =
                        place(slice.at.0, &zone).and_then(|it| sums.get_mut(it))
                {
                    *sum += slice.mean;
                    *count += 1;
                }
            }
            let mean = |(sum, count): (f64, u32)| (count > 0).then(|| sum / f64::from(count));
            let means = sums.into_iter().map(mean).collect();
            (feature.figures.name.clone(), means)
        });
        Self(features.collect())
    }

    /// The hours of a feature's week.
    pub(super) fn week(&self, feature: &str) -> Option<&[Option<f64>]> {
        self.0.get(feature).map(Vec::as_slice)
    }
}

fn place(at: WallMs, zone: &TimeZone) -> Option<usize> {
    let moment = Timestamp::from_millisecond(i64::try_from(at.0).ok()?).ok()?;
    let there = moment.to_zoned(zone.clone());
    let day = usize::try_from(there.weekday().to_monday_zero_offset()).ok()?;
    Some(day * 24 + usize::try_from(there.hour()).ok()?)
}

pub(super) const WEEK: usize = 7 * 24;
const HOURS: usize = 4 * WEEK;
const HOUR_MS: u64 = 3_600_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{By, FeatureFigures, Figures, Moment, Slice};

    /// Monday, 2026-11-02, 00:00 UTC.
    const MONDAY: u64 = 1_793_577_600_000;

    #[test]
    fn the_span_is_whole_hours_and_never_more_slices_than_they_are() {
        for ms in [0, 1, HOUR_MS - 1] {
            let now = WallMs(MONDAY + ms);
            let (begin, hours) = Heat::span(now);
            assert_eq!(begin.0 % HOUR_MS, 0);
            assert!(now.since(begin).0.div_ceil(hours as u64) <= HOUR_MS);
        }
    }

    #[test]
    fn an_hour_of_the_week_is_the_mean_of_its_hours_since_the_log_began() {
        let slice = |hour: u64, mean| Slice {
            at: Moment(WallMs(MONDAY + hour * HOUR_MS)),
            mean,
            peak: 9,
            denied: 0,
        };
        let week = WEEK as u64;
        let figures = Figures {
            name: "acme/solver".to_owned(),
            ..figures()
        };
        let report = Report {
            from: Moment::default(),
            to: Moment::default(),
            by: By::Feature,
            only: None,
            entries: 1,
            first_entry: 1,
            log_begins: None,
            rows: Vec::new(),
            features: vec![FeatureFigures {
                figures,
                slices: vec![slice(0, 0.0), slice(week, 2.0), slice(2 * week, 4.0)],
            }],
            users: Vec::new(),
            refusals: Vec::new(),
        };
        let heat = Heat::of(&report, WallMs(MONDAY + HOUR_MS));
        let told = heat.week("acme/solver").unwrap();
        let known: Vec<_> = told.iter().flatten().collect();
        assert_eq!(known, [&3.0], "the first is of before the log began");
        assert_eq!(
            place(WallMs(MONDAY + 25 * HOUR_MS), &TimeZone::UTC),
            Some(25)
        );
    }

    fn figures() -> Figures {
        Figures {
            name: String::new(),
            seats: None,
            requests: 0,
            granted: 0,
            peak: 0,
            mean: 0.0,
            hours: 0.0,
            denied: 0,
            gave_up: 0,
            refused: 0,
            got_later: 0,
            waited: 0,
            wait_ms_mean: None,
            wait_ms_p95: None,
            wait_ms_max: None,
            enough_for_99: None,
        }
    }
}
