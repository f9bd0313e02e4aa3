//! Ten million grants and releases: what stays on the disk, and what writing and reading their log costs.

use std::fmt::Write as _;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use crate::disk::{Seen, cycles};
use crate::document::picture;
use crate::figures::{grouped, short};
use crate::ground::Site;
use crate::million::{SEATS, mib};
use crate::process::peak_kib;
use crate::stopwatch::{now_ns, us_since};
use crate::svg::{Axis, Chart, Line, Scale};

/// With so many grants and releases, two entries each.
pub(super) fn text(count: usize) -> String {
    let mut site = Site::new(SEATS);
    let seen = cycles(&mut site, count);
    let mut text = "| grants and releases | store on the disk, MiB | usage log, MiB | cycles/s since the row before | peak memory, MiB |\n|---:|---:|---:|---:|---:|\n".to_owned();
    let mut before = (0.0, 0.0);
    for it in &seen {
        let per_second = (it.cycles - before.0) / (it.seconds - before.1);
        before = (it.cycles, it.seconds);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            grouped(it.cycles),
            short(it.store_mib),
            short(it.log_mib),
            grouped(per_second),
            short(it.peak_mib)
        );
    }
    text += "\n| reading the log | entries | seconds | entries/s | peak memory, MiB |\n|---|---:|---:|---:|---:|\n";
    let all = 2.0 * seen[seen.len() - 1].cycles;
    for entries in EXPORTS.into_iter().filter(|it| *it <= all) {
        eprintln!("  export of {entries} entries");
        let to = entries.to_string();
        text += &read(&site, &["usage", "export", "--json", "--to", &to], entries);
    }
    eprintln!("  verify");
    text += &read(
        &site,
        &["usage", "verify"],
        2.0 * seen[seen.len() - 1].cycles,
    );
    text.push('\n');
    text + &pictures(&seen)
}

/// Runs an admin verb with its output thrown away.
fn read(site: &Site, arguments: &[&str], entries: f64) -> String {
    let began = now_ns();
    let mut command = site.daemon.admin(arguments);
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let peak = peak_until_the_end(&mut child);
    let seconds = us_since(began) / 1e6;
    assert!(child.wait().unwrap().success(), "{arguments:?}");
    format!(
        "| `usherd {}` | {} | {} | {} | {} |\n",
        arguments[..2].join(" "),
        grouped(entries),
        short(seconds),
        grouped(entries / seconds),
        short(mib(peak))
    )
}

fn peak_until_the_end(child: &mut Child) -> u64 {
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        // A process that has ended says nothing any more.
        peak = peak_kib(child.id()).unwrap_or(peak);
        thread::sleep(Duration::from_millis(5));
    }
    peak
}

fn pictures(seen: &[Seen]) -> String {
    let line = |name, of: fn(&Seen) -> f64| {
        Line::new(name, seen.iter().map(|it| (it.cycles / 1e6, of(it))))
    };
    let chart = |title: &str, label, lines| Chart {
        title: title.to_owned(),
        x: Axis {
            label: "millions of grants and releases",
            scale: Scale::Linear,
        },
        y: Axis {
            label,
            scale: Scale::Linear,
        },
        lines,
    };
    let store = chart(
        "The store stays flat",
        "MiB on the disk",
        vec![line("store", |it| it.store_mib)],
    );
    let log = chart(
        "The usage log grows",
        "MiB on the disk",
        vec![line("usage log", |it| it.log_mib)],
    );
    picture("log-store", &store) + &picture("log-size", &log)
}

/// Numbers of entries to read from the beginning.
const EXPORTS: [f64; 3] = [100_000.0, 1_000_000.0, 10_000_000.0];
