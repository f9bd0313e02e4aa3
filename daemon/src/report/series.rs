//! Use over time in a bounded number of slices, for the charts.

use usher_protocol::time::{DurationMs, WallMs};

use super::figures::{Moment, Slice};

/// The slices of one row.
#[derive(Debug)]
pub(super) struct Series {
    slices: Vec<Sums>,
    count_max: usize,
}

#[derive(Debug, Default, Clone, Copy)]
struct Sums {
    seat_ms: u64,
    peak: u32,
    denied: u64,
}

impl Series {
    /// In at most so many slices.
    pub(super) fn new(count_max: usize) -> Self {
        Self {
            slices: Vec::new(),
            count_max: count_max.max(1),
        }
    }

    /// So many seats were in use all the time between the two moments, both within the report's time.
    pub(super) fn add(&mut self, time: (WallMs, WallMs), between: (WallMs, WallMs), seats: u32) {
        let width = self.width(time);
        let mut at = between.0;
        while at < between.1 {
            let index = self.index(time, width, at);
            let end = start(time, width, index + 1).min(between.1);
            let slice = self.slice(index);
            slice.peak = slice.peak.max(seats);
            slice.seat_ms += u64::from(seats) * end.since(at).0;
            at = end;
        }
    }

    /// A request was denied then.
    pub(super) fn deny(&mut self, time: (WallMs, WallMs), at: WallMs) {
        let index = self.index(time, self.width(time), at);
        self.slice(index).denied += 1;
    }

    /// All slices of the report's time, also those in which nothing happened.
    pub(super) fn slices(&self, time: (WallMs, WallMs)) -> Vec<Slice> {
        let width = self.width(time);
        let count = time.1.since(time.0).0.div_ceil(width.0);
        let indexes = 0..usize::try_from(count).unwrap_or(self.count_max);
        indexes
            .map(|index| {
                let sums = self.slices.get(index).copied().unwrap_or_default();
                let begin = start(time, width, index);
                let length = start(time, width, index + 1).min(time.1).since(begin);
                Slice {
                    at: Moment(begin),
                    mean: super::figures::mean(sums.seat_ms, length),
                    peak: sums.peak,
                    denied: sums.denied,
                }
            })
            .collect()
    }

    fn index(&self, time: (WallMs, WallMs), width: DurationMs, at: WallMs) -> usize {
        let index = at.since(time.0).0 / width.0;
        usize::try_from(index)
            .unwrap_or(self.count_max)
            .min(self.count_max)
    }

    /// A length that people think in, and few enough slices to be seen apart.
    fn width(&self, (from, to): (WallMs, WallMs)) -> DurationMs {
        let whole = to.since(from).0;
        let least = whole.div_ceil(self.count_max as u64);
        let minutes = WIDTHS_MIN.iter().map(|minutes| minutes * 60_000);
        let round = minutes.into_iter().find(|width| *width >= least);
        DurationMs(round.unwrap_or(least).max(1))
    }

    fn slice(&mut self, index: usize) -> &mut Sums {
        if self.slices.len() <= index {
            self.slices.resize(index + 1, Sums::default());
        }
        &mut self.slices[index]
    }
}

fn start(time: (WallMs, WallMs), width: DurationMs, index: usize) -> WallMs {
    time.0
        .plus(DurationMs(width.0.saturating_mul(index as u64)))
}

/// As many as one sees apart in a chart.
pub const SLICES_MAX: usize = 120;
const WIDTHS_MIN: [u64; 13] = [
    1, 5, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10_080, 40_320,
];

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    #[test]
    fn slices_are_round_and_few() {
        let series = Series::new(SLICES_MAX);
        let width_of = |hours: u64| series.width((WallMs(7), WallMs(7 + hours * HOUR))).0;
        assert_eq!(width_of(1), 60_000);
        assert_eq!(width_of(24), HOUR / 4);
        assert_eq!(width_of(24 * 30), 6 * HOUR);
        assert_eq!(width_of(24 * 365), 7 * 24 * HOUR);
        assert!(24 * 365 * 50 * HOUR / width_of(24 * 365 * 50) <= 120);
    }

    #[test]
    fn use_is_spread_over_the_slices_it_lasted() {
        let time = (WallMs(0), WallMs(2 * HOUR - 30_000));
        let mut series = Series::new(SLICES_MAX);
        series.add(time, (WallMs(30_000), WallMs(90_000)), 4);
        series.deny(time, WallMs(61_000));
        let slices = series.slices(time);
        assert_eq!(slices.len(), 120);
        let told: Vec<_> = slices[..3]
            .iter()
            .map(|it| (it.mean, it.peak, it.denied))
            .collect();
        assert_eq!(told, [(2.0, 4, 0), (2.0, 4, 1), (0.0, 0, 0)]);
        // The last one is half as long.
        assert_eq!(slices[119].at.0, WallMs(119 * 60_000));
    }
}
