//! What many grants and releases leave on the disk, and what reading the log of them costs. Decides how many; must not
//! judge it.

use serde_json::Value;

use crate::figures::{Figures, grouped, short};
use crate::ground::Site;
use crate::load::figure;
use crate::million::SEATS;
use crate::table::Row;

/// What the loader saw after so many grants and releases.
pub(crate) struct Seen {
    pub(crate) cycles: f64,
    pub(crate) seconds: f64,
    pub(crate) store_mib: f64,
    pub(crate) log_mib: f64,
    pub(crate) peak_mib: f64,
}

/// The row of design 8, with fewer cycles; the curve has all of them.
pub(crate) fn rows(_: usize) -> Vec<Row> {
    let mut site = Site::new(SEATS);
    let seen = cycles(&mut site, CYCLES);
    let last = &seen[seen.len() - 1];
    // Flat means that the second half adds nothing to the first.
    let late = seen.iter().skip(seen.len() / 2).map(|it| it.store_mib);
    let measure = format!(
        "disk after up to {} grants and releases, log apart, MiB",
        grouped(last.cycles)
    );
    let beneath = format!(
        "{} MiB after {}, {} MiB after all; log {} MiB; {} cycles/s without a network",
        short(seen[0].store_mib),
        grouped(seen[0].cycles),
        short(last.store_mib),
        short(last.log_mib),
        grouped(last.cycles / last.seconds)
    );
    vec![Row::new(measure, Figures::of(late), "≤ 64, flat", beneath)]
}

/// Has the loader grant and release so many; one entry for each twentieth.
pub(crate) fn cycles(site: &mut Site, count: usize) -> Vec<Seen> {
    let mut seen = Vec::new();
    site.fill(&["--cycles", &count.to_string()], |report| {
        seen.push(read(&report));
    });
    seen
}

fn read(report: &Value) -> Seen {
    let mib = |field| figure(report, field) / f64::from(1 << 20);
    Seen {
        cycles: figure(report, "cycles"),
        seconds: figure(report, "seconds"),
        store_mib: mib("store_bytes"),
        log_mib: mib("log_bytes"),
        peak_mib: figure(report, "peak_kib") / 1024.0,
    }
}

const CYCLES: usize = 500_000;
