//! Throughput and latency: over the number of connections in a closed loop, over the rate of arrivals in an open one.

use std::fmt::Write as _;

use crate::document::picture;
use crate::drive::{Load, Work};
use crate::figures::{Figures, grouped, short};
use crate::load::{Pair, Rounds, figure};
use crate::svg::{Axis, Chart, Line, Scale};

/// 1 to 1 024 connections, each asking as fast as it is answered; usherd and the floor in turn.
pub(super) fn over_connections() -> String {
    let pair = Pair::new();
    let points: Vec<(f64, Rounds)> = (0..=10)
        .map(|power| {
            let load = Load::closed(1 << power, Work::Pairs, MS);
            eprintln!("  {} connections", load.connections);
            (f64::from(1 << power), pair.rounds(load, RUNS))
        })
        .collect();
    let mut text = format!(
        "Medians of {RUNS} runs of {} s each; checkouts and releases, closed loop.\n\n",
        f64::from(MS_U32) / 1000.0
    );
    text += "| connections | usherd, requests/s | floor | ratio | usherd p50, ms | p99 | p99.9 | floor p50, ms | p99 | p99.9 |\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n";
    for (connections, rounds) in &points {
        let (own, floor) = rounds.medians("per_second");
        let ratio = Figures::of(rounds.pairs("per_second").iter().map(|(a, b)| a / b));
        let [own_ms, floor_ms] = milliseconds(rounds);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {own_ms} | {floor_ms} |",
            grouped(*connections),
            grouped(own),
            grouped(floor),
            short(ratio.median())
        );
    }
    text.push('\n');
    text += &picture("connections-throughput", &throughput(&points));
    text += &picture("connections-latency", &latency(&points));
    text
}

/// p50, p99 and p99.9 of each side, in milliseconds, as cells.
fn milliseconds(rounds: &Rounds) -> [String; 2] {
    let both = PERCENTILES.map(|(_, field)| rounds.medians(field));
    let cells =
        |of: fn(&(f64, f64)) -> f64| both.each_ref().map(|it| short(of(it) / 1000.0)).join(" | ");
    [cells(|it| it.0), cells(|it| it.1)]
}

fn throughput(points: &[(f64, Rounds)]) -> Chart {
    let line = |name, of: fn((f64, f64)) -> f64| {
        let figure = |(x, rounds): &(f64, Rounds)| (*x, of(rounds.medians("per_second")));
        Line::new(name, points.iter().map(figure))
    };
    Chart {
        title: "Checkouts and releases a second".to_owned(),
        x: CONNECTIONS,
        y: Axis {
            label: "requests a second",
            scale: Scale::Linear,
        },
        lines: vec![line("usherd", |it| it.0), line("floor", |it| it.1)],
    }
}

fn latency(points: &[(f64, Rounds)]) -> Chart {
    let mut lines = Vec::new();
    for (name, field) in PERCENTILES {
        let own = points
            .iter()
            .map(|(x, rounds)| (*x, rounds.medians(field).0 / 1000.0));
        lines.push(Line::new(&format!("usherd {name}"), own));
    }
    for (name, field) in PERCENTILES {
        let floor = points
            .iter()
            .map(|(x, rounds)| (*x, rounds.medians(field).1 / 1000.0));
        lines.push(Line::new(&format!("floor {name}"), floor));
    }
    Chart {
        title: "Latency of a checkout".to_owned(),
        x: CONNECTIONS,
        y: Axis {
            label: "milliseconds",
            scale: Scale::Log10,
        },
        lines,
    }
}

/// 64 connections at fixed rates: what a checkout takes from the moment it was due.
pub(super) fn over_rates() -> String {
    let pair = Pair::new();
    let closed = pair.rounds(Load::closed(OPEN_CONNECTIONS, Work::Pairs, MS), RUNS);
    // A pair is two requests.
    let most = closed.medians("per_second").0 / 2.0;
    let mut text = format!(
        "{OPEN_CONNECTIONS} connections, {} s at each rate; timed from the moment a checkout was due. In the closed loop it did {} pairs/s.\n\n| of that | checkouts/s due | p50, ms | p99 | p99.9 | longest |\n|---:|---:|---:|---:|---:|---:|\n",
        f64::from(OPEN_MS_U32) / 1000.0,
        grouped(most)
    );
    let mut lines = PERCENTILES.map(|(name, _)| Line::new(name, []));
    for share in SHARES {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate"
        )]
        let rate = (most * share) as u32;
        eprintln!("  {rate} checkouts a second");
        let report = pair.site.drive(Load::open(OPEN_CONNECTIONS, rate, OPEN_MS));
        let ms = |field| figure(&report, field) / 1000.0;
        for (line, (_, field)) in lines.iter_mut().zip(PERCENTILES) {
            line.points.push((f64::from(rate), ms(field)));
        }
        let cells = ["p50_us", "p99_us", "p999_us", "max_us"].map(|field| short(ms(field)));
        let _ = writeln!(
            text,
            "| {:.0} % | {} | {} |",
            share * 100.0,
            grouped(f64::from(rate)),
            cells.join(" | ")
        );
    }
    let chart = Chart {
        title: "Latency of a checkout over the rate of arrivals".to_owned(),
        x: Axis {
            label: "checkouts due a second, each followed by its release",
            scale: Scale::Linear,
        },
        y: Axis {
            label: "milliseconds from the moment it was due",
            scale: Scale::Log10,
        },
        lines: lines.into(),
    };
    text.push('\n');
    text + &picture("rates", &chart)
}

const CONNECTIONS: Axis = Axis {
    label: "connections",
    scale: Scale::Log2,
};
const PERCENTILES: [(&str, &str); 3] = [("p50", "p50_us"), ("p99", "p99_us"), ("p99.9", "p999_us")];
const RUNS: usize = 5;
const MS_U32: u32 = 1500;
const MS: u64 = MS_U32 as u64;
const OPEN_CONNECTIONS: usize = 64;
const OPEN_MS_U32: u32 = 5000;
const OPEN_MS: u64 = OPEN_MS_U32 as u64;
const SHARES: [f64; 8] = [0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 1.0];
