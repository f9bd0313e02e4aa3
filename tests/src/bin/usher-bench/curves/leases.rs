//! What live leases cost: a checkout beside them, a start, memory, disk.

use std::fmt::Write as _;

use crate::document::picture;
use crate::drive::{Load, Work};
use crate::figures::{Figures, grouped, short};
use crate::ground::Site;
use crate::load::figure;
use crate::million::{SEATS, mib, restart_seconds};
use crate::process::{kept_bytes, resident_kib};
use crate::svg::{Axis, Chart, Line, Scale};

/// What was seen beside so many leases.
struct Seen {
    leases: f64,
    alone_us: Figures,
    crowd_us: Figures,
    start_s: Figures,
    resident_mib: f64,
    store_mib: f64,
}

/// 100 to a million, in one store that grows.
pub(super) fn text() -> String {
    let mut site = Site::new(SEATS);
    let mut leases = 0;
    let mut seen = Vec::new();
    for wanted in SIZES {
        eprintln!("  {wanted} leases");
        site.fill(&["--leases", &(wanted - leases).to_string()], |_| ());
        leases = wanted;
        seen.push(measure(&mut site, wanted));
    }
    let mut text = format!("min / median / max of {RUNS} runs.\n\n");
    text += "| live leases | checkout p50, one connection, µs | time per request under 64 connections, µs | start until ready, s | resident after it, MiB | store, MiB |\n|---:|---:|---:|---:|---:|---:|\n";
    for it in &seen {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            grouped(it.leases),
            it.alone_us.told(),
            it.crowd_us.told(),
            it.start_s.told(),
            short(it.resident_mib),
            short(it.store_mib)
        );
    }
    text.push('\n');
    text + &pictures(&seen)
}

#[expect(clippy::cast_precision_loss, reason = "millions")]
fn measure(site: &mut Site, leases: usize) -> Seen {
    let start_s = Figures::of((0..RUNS).map(|_| restart_seconds(site)));
    let resident_mib = mib(resident_kib(site.pid()));
    let runs = |connections, of: fn(&serde_json::Value) -> f64| {
        let load = Load::closed(connections, Work::Pairs, MS);
        Figures::of((0..RUNS).map(|_| of(&site.drive(load))))
    };
    Seen {
        leases: leases as f64,
        alone_us: runs(1, |report| figure(report, "p50_us")),
        crowd_us: runs(64, |report| 1e6 / figure(report, "per_second")),
        start_s,
        resident_mib,
        store_mib: mib(kept_bytes(&site.state().join("store")) / 1024),
    }
}

fn pictures(seen: &[Seen]) -> String {
    let line =
        |name, of: fn(&Seen) -> f64| Line::new(name, seen.iter().map(|it| (it.leases, of(it))));
    let chart = |title: &str, label, scale, lines| Chart {
        title: title.to_owned(),
        x: Axis {
            label: "live leases",
            scale: Scale::Log10,
        },
        y: Axis { label, scale },
        lines,
    };
    let cost = vec![
        line("p50, one connection", |it| it.alone_us.median()),
        line("per request, 64 conn.", |it| it.crowd_us.median()),
    ];
    let start = vec![line("until ready", |it| it.start_s.median())];
    let size = vec![
        line("resident memory", |it| it.resident_mib),
        line("store on the disk", |it| it.store_mib),
    ];
    [
        (
            "leases-checkout",
            chart(
                "Cost of a checkout beside live leases",
                "microseconds",
                Scale::Linear,
                cost,
            ),
        ),
        (
            "leases-start",
            chart("Start until ready", "seconds", Scale::Log10, start),
        ),
        (
            "leases-size",
            chart("Memory and disk", "MiB", Scale::Log10, size),
        ),
    ]
    .iter()
    .map(|(name, chart)| picture(name, chart))
    .collect()
}

const SIZES: [usize; 5] = [100, 1_000, 10_000, 100_000, 1_000_000];
const RUNS: usize = 5;
const MS: u64 = 1000;
