//! 100 000 leases that end at the same moment, and what others notice of it. Decides which answers count as given
//! meanwhile; must not judge them.
//!
//! A restart makes them end together: after it each lease has the same time left (L4).

use std::fmt::Write as _;

use serde_json::Value;

use crate::drive::Load;
use crate::figures::{Figures, Latencies};
use crate::ground::Site;
use crate::load::figure;
use crate::table::Row;

/// A stretch of time of an open loop of checkouts.
pub(crate) struct Stretch {
    pub(crate) at_ms: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) max_us: f64,
    pub(crate) seats_out: f64,
    took_us: Vec<f64>,
}

/// The row of design 8.
pub(crate) fn rows(runs: usize) -> Vec<Row> {
    let mut ground = Ground::new();
    let mut pairs = Vec::new();
    let mut lasted = Vec::new();
    for _ in 0..runs {
        let stretches = ground.run();
        let during = while_they_end(&stretches);
        #[expect(clippy::cast_precision_loss, reason = "a few dozen")]
        lasted.push(during.len() as f64 * STRETCH_MS as f64 / 1000.0);
        let (during, without): (Vec<_>, Vec<_>) = (stretches.iter().enumerate())
            .filter(|(index, _)| *index >= WARM)
            .partition(|(index, _)| during.contains(index));
        pairs.push((p99(&during), p99(&without)));
    }
    let mut row = Row::ratio(
        "other clients' p99 while 100 000 leases end at once ÷ without",
        "≤ 2",
        &pairs,
        ["while", "without", " µs"],
    );
    let _ = write!(row.beneath, "; it took {} s", Figures::of(lasted).told());
    vec![row]
}

fn p99(stretches: &[(usize, &Stretch)]) -> f64 {
    let took = stretches
        .iter()
        .flat_map(|(_, it)| it.took_us.iter().copied());
    Latencies::of(took).us_at(0.99)
}

/// The stretches from the first that sees fewer seats out to the one that sees next to none, or to the last there is.
fn while_they_end(stretches: &[Stretch]) -> std::ops::Range<usize> {
    let first = |below: f64| stretches.iter().position(|it| it.seats_out < below);
    let begun = first(LEASES).unwrap();
    assert!(begun >= WARM, "they ended before anybody asked");
    let over = first(LEASES / 100.0).map_or(stretches.len(), |it| it + 1);
    // It may have begun after the last answer of the stretch before.
    begun.saturating_sub(1)..over
}

/// A store with the leases in it, to start from again and again.
pub(crate) struct Ground(Site);

impl Ground {
    pub(crate) fn new() -> Self {
        let mut site = Site::of_test(200_000, LEASE_SECONDS);
        // Each time the loader starts, those that are there have all their time again (L4): none ends too soon.
        for _ in 0..5 {
            site.fill(&["--leases", "20000"], |_| ());
        }
        site.stop();
        site.sh("cp -a state kept");
        site.daemon.start_again();
        Self(site)
    }

    /// Restarts it on that store, and asks at a steady rate until all leases are over.
    pub(crate) fn run(&mut self) -> Vec<Stretch> {
        self.0.stop();
        self.0.sh("rm -r state; cp -a kept state; sync");
        self.0.daemon.start_again();
        let load = Load {
            window_ms: Some(STRETCH_MS),
            ..Load::open(CONNECTIONS, RATE, MS)
        };
        let report = self.0.drive(load);
        report["windows"]
            .as_array()
            .unwrap()
            .iter()
            .map(stretch)
            .collect()
    }
}

fn stretch(window: &Value) -> Stretch {
    Stretch {
        at_ms: figure(window, "at_ms"),
        p50_us: figure(window, "p50_us"),
        p99_us: figure(window, "p99_us"),
        max_us: figure(window, "max_us"),
        seats_out: figure(window, "seats_out"),
        took_us: serde_json::from_value(window["took_us"].clone()).unwrap(),
    }
}

const LEASES: f64 = 100_000.0;
const LEASE_SECONDS: u32 = 8;
/// Until they end, about a second of that, and a while after it.
const MS: u64 = 14_000;
const CONNECTIONS: usize = 32;
/// Checkouts a second: a fraction of what it can do, so that what is seen is what disturbs.
pub(crate) const RATE: u32 = 250;
const STRETCH_MS: u64 = 250;
/// Stretches of the start that count for neither side.
const WARM: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_the_end_is_seen_by_the_seats() {
        let seen = [100_007.0, 100_003.0, 60_000.0, 5_000.0, 3.0, 4.0];
        let warm = [100_000.0; WARM];
        let seen = warm.into_iter().chain(seen);
        let stretches = seen.map(|seats_out| Stretch {
            at_ms: 0.0,
            p50_us: 0.0,
            p99_us: 0.0,
            max_us: 0.0,
            seats_out,
            took_us: Vec::new(),
        });
        let stretches: Vec<_> = stretches.collect();
        assert_eq!(while_they_end(&stretches), WARM + 1..WARM + 5);
        assert_eq!(while_they_end(&stretches[..WARM + 4]), WARM + 1..WARM + 4);
    }
}
