//! A thousand workstations that boot at once, on pools that have a seat for all of them or for a tenth.

use std::fmt::Write as _;

use serde_json::Value;

use crate::document::picture;
use crate::figures::Figures;
use crate::ground::Site;
use crate::load::figure;
use crate::svg::{Axis, Chart, Line, Scale};

pub(super) fn text() -> String {
    let mut text = "| pool | connected: half, all, ms | answered: half, all, ms | seat: half, all, ms | tried again | overtaken, most |\n|---|---|---|---|---:|---:|\n".to_owned();
    let mut lines = Vec::new();
    for (name, seats, more) in STORMS {
        eprintln!("  {name}");
        let arguments = [&["--clients", CLIENTS][..], more].concat();
        // Each on a daemon of its own: what one storm holds would be missing in the next.
        let reports: Vec<_> = (0..RUNS)
            .map(|_| Site::of_usual_length(*seats).run("storm", &arguments))
            .collect();
        let all = |field: &str| Figures::of(reports.iter().map(|it| figure(it, field))).told();
        let pair = |what: &str| {
            format!(
                "{}, {}",
                all(&format!("{what}_p50_ms")),
                all(&format!("{what}_all_ms"))
            )
        };
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {} | {} | {} |",
            pair("connected"),
            pair("answered"),
            pair("granted"),
            all("retries"),
            all("overtaken_max")
        );
        lines.push(served(name, &reports[RUNS / 2]));
    }
    let chart = Chart {
        title: "1 000 workstations that boot at once".to_owned(),
        x: Axis {
            label: "milliseconds after the start of all",
            scale: Scale::Linear,
        },
        y: Axis {
            label: "had a seat",
            scale: Scale::Linear,
        },
        lines,
    };
    text.push('\n');
    text + &picture("storm", &chart)
}

/// How many had a seat by then.
#[expect(clippy::cast_precision_loss, reason = "a thousand")]
fn served(name: &str, report: &Value) -> Line {
    let granted: Vec<f64> = serde_json::from_value(report["granted_ms"].clone()).unwrap();
    let points = granted.iter().enumerate().step_by(10);
    Line::new(name, points.map(|(index, ms)| (*ms, index as f64 + 1.0)))
}

const STORMS: &[(&str, usize, &[&str])] = &[
    ("1 000 seats", 1_000, &[]),
    ("100 seats, kept 100 ms", 100, &["--keep-ms", "100"]),
];
const CLIENTS: &str = "1000";
const RUNS: usize = 5;
