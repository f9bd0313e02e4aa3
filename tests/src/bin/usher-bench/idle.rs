//! What a daemon costs when a thousand workstations hold a seat each and do nothing but renew it in time. Decides how
//! long it is watched; must not judge it.

use std::thread;
use std::time::Duration;

use crate::figures::{Figures, short};
use crate::ground::Site;
use crate::process::{busy_ns, written_bytes};
use crate::stopwatch::{now_ns, us_since};
use crate::table::Row;

/// What one watch saw.
struct Seen {
    busy_percent: f64,
    written_kib: f64,
}

/// Idle is free: the rows.
pub(crate) fn rows(runs: usize) -> Vec<Row> {
    let site = Site::of_usual_length(2 * WORKSTATIONS);
    // The same number of seconds without anybody, for what the process does by itself.
    let empty = watch(site.pid());
    let _held = site.hold(WORKSTATIONS, true);
    thread::sleep(SETTLE);
    let seen: Vec<_> = (0..runs).map(|_| watch(site.pid())).collect();
    let busy = Figures::of(seen.iter().map(|it| it.busy_percent));
    let written = Figures::of(seen.iter().map(|it| it.written_kib));
    let seconds = WATCH.as_secs();
    vec![
        Row::new(
            "1 000 idle workstations with a seat each: CPU, % of a core",
            busy,
            "≤ 1",
            format!(
                "without any {} %; {seconds} s each",
                short(empty.busy_percent)
            ),
        ),
        Row::new(
            "the same: written to the disk, KiB",
            written,
            "0",
            format!("in {seconds} s each"),
        ),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "a few seconds")]
fn watch(pid: u32) -> Seen {
    let (began, busy, written) = (now_ns(), busy_ns(pid), written_bytes(pid));
    thread::sleep(WATCH);
    let busy_us = (busy_ns(pid) - busy) as f64 / 1000.0;
    Seen {
        busy_percent: 100.0 * busy_us / us_since(began),
        written_kib: (written_bytes(pid) - written) as f64 / 1024.0,
    }
}

const WORKSTATIONS: usize = 1000;
/// What connecting left to be done is over.
const SETTLE: Duration = Duration::from_secs(3);
const WATCH: Duration = Duration::from_secs(6);
