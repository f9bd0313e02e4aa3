//! The same figures, reckoned moment by moment from what really happened: slow, and plain.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    By, Figures, MIN,
    histories::{Fate, Story, log, stories, time},
    only, reckoned, scope,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn figures_are_those_of_a_reckoning_moment_by_moment(stories in stories(), (from, to) in time()) {
        let report = reckoned(scope(By::Feature, from, to), &log(&stories));
        let brute = Brute { stories: &stories, from, to };
        let expected = brute.figures();
        if report.rows.is_empty() {
            prop_assert!(expected.requests == 0 && expected.peak == 0 && expected.got_later == 0);
            return Ok(());
        }
        let row = only(&report);
        prop_assert_eq!(row, &Figures { wait_ms_p95: row.wait_ms_p95, ..expected });
        let slices = &report.features[0].slices;
        prop_assert_eq!(slices.iter().map(|it| it.peak).max(), Some(row.peak));
        prop_assert_eq!(slices.iter().map(|it| it.denied).sum::<u64>(), row.denied + row.gave_up);
        let of_users: f64 = report.users.iter().map(|it| it.hours).sum();
        // Who shares a seat has it for himself in his own row.
        prop_assert!(of_users >= row.hours - 0.01);
    }
}

struct Brute<'a> {
    stories: &'a [Story],
    from: u64,
    to: u64,
}

impl Brute<'_> {
    fn figures(&self) -> Figures {
        let (seat_ms, peak) = self.used();
        let came: Vec<_> = self
            .stories
            .iter()
            .filter(|it| (self.from..self.to).contains(&it.came))
            .collect();
        let count = |is: &dyn Fn(&Story) -> bool| came.iter().filter(|it| is(it)).count() as u64;
        let waits: Vec<u64> = came.iter().filter_map(|it| waited(it)).collect();
        let granted = count(&|it| matches!(it.fate, Fate::Granted { .. }));
        let denied = count(&|it| it.fate == Fate::Denied && !self.got_later(it));
        let gave_up = count(&|it| matches!(it.fate, Fate::GaveUp { .. }));
        Figures {
            name: "acme/solver".to_owned(),
            seats: None,
            requests: granted + denied + gave_up,
            granted,
            peak,
            mean: thousandths(seat_ms * 1000 / (self.to - self.from)),
            hours: thousandths(seat_ms / 3600),
            denied,
            gave_up,
            refused: 0,
            got_later: count(&|it| it.fate == Fate::Denied && self.got_later(it)),
            waited: waits.len() as u64,
            wait_ms_mean: (waits.iter().sum::<u64>())
                .checked_div(waits.len() as u64)
                .map(super::DurationMs),
            wait_ms_p95: None,
            wait_ms_max: waits.iter().max().copied().map(super::DurationMs),
            enough_for_99: self.enough(&came),
        }
    }

    /// Between two moments at which anything happens, nothing does.
    fn used(&self) -> (u64, u32) {
        let mut moments = vec![self.from, self.to];
        for story in self.stories {
            if let Fate::Granted { at, end, .. } = story.fate {
                moments.extend(
                    [at, end]
                        .into_iter()
                        .filter(|it| (self.from..self.to).contains(it)),
                );
            }
        }
        moments.sort_unstable();
        let pairs = moments.windows(2).filter(|pair| pair[0] < pair[1]);
        let used = pairs.map(|pair| (pair[1] - pair[0], self.in_use(pair[0])));
        used.fold((0, 0), |(sum, peak), (length, seats)| {
            (sum + length * u64::from(seats), peak.max(seats))
        })
    }

    fn in_use(&self, moment: u64) -> u32 {
        let mut shares = BTreeMap::<u64, u32>::new();
        for story in self.stories {
            if let Fate::Granted { at, end, share } = story.fate
                && (at..end).contains(&moment)
            {
                let seats = shares.entry(share).or_default();
                *seats = (*seats).max(story.seats);
            }
        }
        shares.values().sum()
    }

    fn waiting(&self, moment: u64) -> u32 {
        let waits = self.stories.iter().map(|story| match story.fate {
            Fate::Granted { at, .. } if (story.came..at).contains(&moment) => story.seats,
            Fate::GaveUp { at } if (story.came..at).contains(&moment) => 1,
            _ => 0,
        });
        waits.sum()
    }

    fn got_later(&self, denied: &Story) -> bool {
        self.stories.iter().any(|it| match it.fate {
            Fate::Granted { at, .. } => {
                it.user == denied.user && at > denied.came && at <= denied.came + 10 * MIN
            }
            _ => false,
        })
    }

    fn enough(&self, came: &[&Story]) -> Option<u32> {
        let mut needs: Vec<u32> = came
            .iter()
            .filter(|it| it.fate != Fate::Denied || !self.got_later(it))
            .map(|it| {
                let own = u32::from(it.fate == Fate::Denied);
                self.in_use(it.came) + self.waiting(it.came) + own
            })
            .collect();
        needs.sort_unstable();
        let enough = needs.len() * 99;
        needs.get(enough.div_ceil(100).checked_sub(1)?).copied()
    }
}

fn waited(story: &Story) -> Option<u64> {
    match story.fate {
        Fate::Granted { at, .. } if at > story.came => Some(at - story.came),
        _ => None,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "three days have few milliseconds"
)]
fn thousandths(count: u64) -> f64 {
    count as f64 / 1000.0
}
