//! How often seats come free lately: what a waiter's estimate is made of (L9). Whole numbers only, so
//! that the same history always gives the same estimate.

use usher_protocol::time::{BootMs, DurationMs};

/// The seats of one pool as they come free; volatile.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Flow {
    last: Option<BootMs>,
    /// Seats that came free at that moment.
    seats: u64,
    intervals: u32,
    /// Exponentially weighted, per seat.
    mean_us: u64,
}

impl Flow {
    /// Seats came free.
    pub(crate) fn came_free(&mut self, now: BootMs, seats: u64) {
        if seats == 0 {
            return;
        }
        match self.last {
            Some(last) if last < now => {
                let length_us = now.since(last).0.saturating_mul(1000);
                self.observe(length_us / self.seats);
                self.seats = seats;
            }
            _ => self.seats = self.seats.saturating_add(seats),
        }
        self.last = Some(now);
    }

    /// Seats per thousand seconds; none before two intervals were seen.
    pub(crate) fn rate(&self) -> Option<u64> {
        let known = self.intervals >= INTERVALS_MIN;
        known.then(|| THOUSAND_SECONDS_US / self.mean_us.max(1))
    }

    fn observe(&mut self, interval_us: u64) {
        self.mean_us = if self.intervals == 0 {
            interval_us
        } else {
            // The weight of the newest is an eighth.
            let older = u128::from(self.mean_us) * 7;
            u64::try_from((older + u128::from(interval_us)) / 8).unwrap_or(u64::MAX)
        };
        self.intervals = self.intervals.saturating_add(1);
    }
}

/// After how long this position can be served at this rate.
pub(crate) fn expected(position: u32, rate: u64) -> Option<DurationMs> {
    let ms = u64::from(position).saturating_mul(THOUSAND_SECONDS_US / 1000);
    ms.checked_div(rate).map(DurationMs)
}

const INTERVALS_MIN: u32 = 2;
const THOUSAND_SECONDS_US: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(flow: &Flow, position: u32) -> Option<DurationMs> {
        expected(position, flow.rate()?)
    }

    #[test]
    fn l9_an_estimate_is_the_mean_interval_times_the_position() {
        let mut flow = Flow::default();
        flow.came_free(BootMs(0), 1);
        flow.came_free(BootMs(10_000), 1);
        assert_eq!(guess(&flow, 1), None);
        flow.came_free(BootMs(20_000), 1);
        assert_eq!(guess(&flow, 1), Some(DurationMs(10_000)));
        assert_eq!(guess(&flow, 3), Some(DurationMs(30_000)));
    }

    #[test]
    fn l9_seats_that_come_free_together_are_one_step_of_the_estimate() {
        let mut flow = Flow::default();
        for at in [0, 8_000, 16_000, 24_000] {
            flow.came_free(BootMs(at), 2);
            flow.came_free(BootMs(at), 2);
        }
        assert_eq!(guess(&flow, 1), Some(DurationMs(2_000)));
    }

    #[test]
    fn l9_the_newest_interval_moves_the_mean_by_an_eighth() {
        let mut flow = Flow::default();
        for at in [0, 10_000, 20_000, 110_000] {
            flow.came_free(BootMs(at), 1);
        }
        assert_eq!(guess(&flow, 1), Some(DurationMs(20_000)));
    }
}
