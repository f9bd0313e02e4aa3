//! What a million live leases cost: a checkout beside them, and a start. Decides what is compared with what; must not
//! judge it.

use serde_json::Value;

use crate::drive::{Load, Work};
use crate::figures::{Figures, short};
use crate::ground::Site;
use crate::load::figure;
use crate::process::resident_kib;
use crate::stopwatch::{now_ns, us_since};
use crate::table::Row;

/// The rows of design 8.
pub(crate) fn rows(runs: usize) -> Vec<Row> {
    let mut few = Site::new(SEATS);
    let mut million = Site::new(SEATS);
    let mut starts = Vec::new();
    for (site, leases) in [(&mut few, "100"), (&mut million, "1000000")] {
        site.fill(&["--leases", leases], |_| ());
    }
    let few_starts = Figures::of((0..runs).map(|_| restart_seconds(&mut few)));
    for _ in 0..runs {
        starts.push(restart_seconds(&mut million));
    }
    let mut rows = checkouts(&few, &million, runs);
    let resident = short(mib(resident_kib(million.pid())));
    rows.push(Row::new(
        "ready after restart with 1 000 000 leases, s",
        Figures::of(starts),
        "≤ 3",
        format!(
            "with 100 leases {} s; {resident} MiB resident",
            few_starts.told()
        ),
    ));
    rows
}

/// One after the other in each run: nothing but the number of leases differs.
fn checkouts(few: &Site, million: &Site, runs: usize) -> Vec<Row> {
    let measure = |connections, field: &str, of: fn(f64) -> f64| -> Vec<(f64, f64)> {
        let load = Load::closed(connections, Work::Pairs, MS);
        let figure = |report: Value| of(figure(&report, field));
        let both = |_| (figure(million.drive(load)), figure(few.drive(load)));
        (0..runs).map(both).collect()
    };
    let alone = measure(1, "p50_us", |us| us);
    let crowd = measure(64, "per_second", |per_second| 1e6 / per_second);
    let names = ["at 1 000 000:", "at 100:", " µs"];
    vec![
        Row::ratio(
            "checkout at 1 000 000 live leases ÷ at 100: p50, one connection",
            "≤ 1.2",
            &alone,
            names,
        ),
        Row::ratio(
            "the same: time per request under 64 connections",
            "≤ 1.2",
            &crowd,
            names,
        ),
    ]
}

/// After a kill, from the start of the process to its word that it is ready; its files are in the page cache.
pub(crate) fn restart_seconds(site: &mut Site) -> f64 {
    site.stop();
    let began = now_ns();
    site.daemon.start_again();
    us_since(began) / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "less than a machine's memory")]
pub(crate) fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// Seats enough for a million leases and a load.
pub(crate) const SEATS: usize = 1_100_000;
const MS: u64 = 1000;
