//! Runs usherd and the floor in turn under the same load. Decides which loads are put on, and which ratios are told;
//! must not judge them.

use std::fmt::Write as _;

use serde_json::Value;

use crate::drive::{Load, Work};
use crate::figures::{Figures, short};
use crate::ground::{Floor, Site};
use crate::process::busy_ns;
use crate::table::Row;

/// A daemon and the floor beside it.
pub(crate) struct Pair {
    pub(crate) site: Site,
    pub(crate) floor: Floor,
}

/// What both report of one load, one pair for each run.
pub(crate) struct Rounds(Vec<(Value, Value)>);

impl Pair {
    pub(crate) fn new() -> Self {
        let site = Site::new(10_000);
        let floor = Floor::start(site.sizes());
        Self { site, floor }
    }

    /// In turn, so that what else the machine does meets both.
    pub(crate) fn rounds(&self, load: Load, runs: usize) -> Rounds {
        let both = |_| {
            let usher = attended(self.site.pid(), || self.site.drive(load));
            (usher, attended(self.floor.pid(), || self.floor.drive(load)))
        };
        Rounds((0..runs).map(both).collect())
    }
}

/// A load generator's report, and what the server's threads had of the processors for each request, handshakes included.
pub(crate) fn attended(server: u32, drive: impl FnOnce() -> Value) -> Value {
    let before = busy_ns(server);
    let mut report = drive();
    #[expect(clippy::cast_precision_loss, reason = "seconds")]
    let busy_us = (busy_ns(server) - before) as f64 / 1000.0;
    report["server_us_per_request"] = (busy_us / figure(&report, "requests")).into();
    report
}

impl Rounds {
    /// A figure of both, run by run.
    pub(crate) fn pairs(&self, field: &str) -> Vec<(f64, f64)> {
        let both = |(usher, floor): &(Value, Value)| (figure(usher, field), figure(floor, field));
        self.0.iter().map(both).collect()
    }

    /// The medians of a figure, usherd's and the floor's.
    pub(crate) fn medians(&self, field: &str) -> (f64, f64) {
        let pairs = self.pairs(field);
        let usher = Figures::of(pairs.iter().map(|it| it.0));
        let floor = Figures::of(pairs.iter().map(|it| it.1));
        (usher.median(), floor.median())
    }

    /// usherd's alone.
    fn own(&self, field: &str) -> Vec<f64> {
        self.pairs(field).iter().map(|it| it.0).collect()
    }
}

/// A figure of a report.
pub(crate) fn figure(report: &Value, field: &str) -> f64 {
    report[field].as_f64().unwrap()
}

/// The rows of design 8 that a load tells.
pub(crate) fn rows(runs: usize) -> Vec<Row> {
    let pair = Pair::new();
    let mut measured = LOADS.map(|_| Rounds(Vec::new()));
    // Round by round, so that 64 and 256 connections are compared within one. Many short ones: what else a machine does
    // changes from second to second, and the median of five was as far as a tenth from that of the next five.
    for _ in 0..runs * ROUNDS_A_RUN {
        for (rounds, (connections, work)) in measured.iter_mut().zip(LOADS) {
            let load = Load::closed(connections, work, MS);
            rounds.0.extend(pair.rounds(load, 1).0);
        }
    }
    let [one, many, renewals, more] = measured;
    let mut rows = vec![
        Row::ratio(
            "checkouts + releases a second at 64 connections ÷ the floor's",
            "≥ 0.8",
            &many.pairs("per_second"),
            BOTH_PER_SECOND,
        ),
        Row::ratio(
            "renewals a second at 64 connections, each freshly signed ÷ the floor's",
            "≥ 0.8",
            &renewals.pairs("per_second"),
            BOTH_PER_SECOND,
        ),
        Row::ratio(
            "one uncontended checkout, p50 ÷ the floor's",
            "≤ 1.3",
            &one.pairs("p50_us"),
            ["usherd", "floor", " µs"],
        ),
    ];
    rows.extend(wider(&many, &more));
    rows
}

/// 256 connections against 64.
fn wider(many: &Rounds, more: &Rounds) -> [Row; 2] {
    let pairs: Vec<_> = (more.own("per_second").into_iter())
        .zip(many.own("per_second"))
        .collect();
    let tails: Vec<_> = more
        .own("p999_us")
        .into_iter()
        .zip(more.own("p50_us"))
        .collect();
    let mut tail = Row::ratio(
        "p99.9 ÷ p50 of checkouts at 256 connections",
        "≤ 10",
        &tails,
        ["p99.9:", "p50:", " µs"],
    );
    beneath(&mut tail, floor(more, "p999_us") / floor(more, "p50_us"));
    let mut width = Row::ratio(
        "requests a second at 256 connections ÷ at 64",
        "≥ 0.9",
        &pairs,
        ["at 256:", "at 64:", " /s"],
    );
    let floors = floor(more, "per_second") / floor(many, "per_second");
    beneath(&mut width, floors);
    [width, tail]
}

/// What the floor does of its own.
fn beneath(row: &mut Row, ratio: f64) {
    let _ = write!(row.beneath, "; the floor's ratio {}", short(ratio));
}

fn floor(rounds: &Rounds, field: &str) -> f64 {
    rounds.medians(field).1
}

/// Prints all figures of the loads, or of those of so many connections, for whoever works on speed.
pub(crate) fn run(runs: usize, seconds: u64, only: Option<usize>) {
    let pair = Pair::new();
    println!("{runs} runs of {seconds} s each: min / median / max");
    let is_wanted = |load: &(usize, Work)| only.is_none_or(|it| it == load.0);
    for (connections, work) in LOADS.into_iter().filter(is_wanted) {
        let rounds = pair.rounds(Load::closed(connections, work, seconds * 1000), runs);
        println!("\n{connections} connections, {work:?}");
        for (row, field, decimals) in FIELDS {
            print_row(row, &rounds.pairs(field), decimals);
        }
    }
}

/// Floor, usherd and their ratio, of one figure.
fn print_row(row: &str, pairs: &[(f64, f64)], decimals: usize) {
    let usher = Figures::of(pairs.iter().map(|it| it.0)).spread(decimals);
    let floor = Figures::of(pairs.iter().map(|it| it.1)).spread(decimals);
    let ratio = Figures::of(pairs.iter().map(|(usher, floor)| usher / floor)).spread(2);
    println!("  {row:<18} usherd {usher}   floor {floor}   ratio {ratio}");
}

const LOADS: [(usize, Work); 4] = [
    (1, Work::Pairs),
    (64, Work::Pairs),
    (64, Work::Renewals),
    (256, Work::Pairs),
];
const MS: u64 = 500;
/// Of each load for a run of the rest of the table.
pub(crate) const ROUNDS_A_RUN: usize = 3;
const BOTH_PER_SECOND: [&str; 3] = ["usherd", "floor", " /s"];
/// What a load's report tells: in words, its field, its decimals.
pub(crate) const FIELDS: [(&str, &str, usize); 8] = [
    ("requests per s", "per_second", 0),
    ("its CPU, µs each", "server_us_per_request", 1),
    ("the load's, µs", "own_us_per_request", 1),
    ("p50, µs", "p50_us", 0),
    ("p99, µs", "p99_us", 0),
    ("p99.9, µs", "p999_us", 0),
    ("release p50, µs", "release_p50_us", 0),
    ("release p99, µs", "release_p99_us", 0),
];
