//! Where the daemon's time on a processor goes while 64 connections check out and release, and the floor's beside it.
//! Decides which function counts for what; must not judge it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::drive::{Load, Work};
use crate::figures::{grouped, short};
use crate::load::{Pair, attended, figure};

pub(super) fn text() -> String {
    let pair = Pair::new();
    let load = Load::closed(CONNECTIONS, Work::Pairs, MS);
    let usher = profile(pair.site.pid(), || pair.site.drive(load));
    let floor = profile(pair.floor.pid(), || pair.floor.drive(load));
    match (usher, floor) {
        (Some(usher), Some(floor)) => table(&usher, &floor),
        _ => "Not measured: `perf` is missing here, or may not look.\n".to_owned(),
    }
}

/// What a server did under a load.
struct Profile {
    /// By purpose.
    counts: BTreeMap<&'static str, u32>,
    /// Time on a processor, on all threads together.
    us_per_request: f64,
    /// The load generator's.
    driver_us_per_request: f64,
    per_second: f64,
}

impl Profile {
    fn of(samples: &str, report: &Value) -> Self {
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for sample in samples.split("\n\n").filter(|it| !it.trim().is_empty()) {
            *counts.entry(purpose(sample)).or_default() += 1;
        }
        Self {
            counts,
            us_per_request: figure(report, "server_us_per_request"),
            driver_us_per_request: figure(report, "own_us_per_request"),
            per_second: figure(report, "per_second"),
        }
    }

    fn samples(&self) -> f64 {
        f64::from(self.counts.values().sum::<u32>())
    }

    fn share(&self, purpose: &str) -> f64 {
        f64::from(self.counts.get(purpose).copied().unwrap_or(0)) / self.samples()
    }
}

/// Looks at the server while it is driven; nothing where `perf` cannot.
fn profile(pid: u32, drive: impl FnOnce() -> Value + Send) -> Option<Profile> {
    let (report, samples) = thread::scope(|scope| {
        let driven = scope.spawn(|| attended(pid, drive));
        thread::sleep(Duration::from_millis(MS / 4));
        let samples = sample(pid);
        (driven.join().unwrap(), samples)
    });
    Some(Profile::of(&samples?, &report))
}

/// Shares of all samples, the daemon's greatest first.
fn table(usher: &Profile, floor: &Profile) -> String {
    let purposes: BTreeSet<_> = usher.counts.keys().chain(floor.counts.keys()).collect();
    let mut rows: Vec<_> = purposes
        .into_iter()
        .map(|purpose| (*purpose, usher.share(purpose), floor.share(purpose)))
        .collect();
    rows.sort_by(|one, other| other.1.total_cmp(&one.1));
    let mut text = format!(
        "`perf` at the daemon and at the floor's server, under {CONNECTIONS} connections of checkouts and releases each. usherd: {}; the floor: {}. Time on all threads together.\n\n| what for | usherd, share | µs a request | the floor, share | µs a request |\n|---|---:|---:|---:|---:|\n",
        told(usher),
        told(floor)
    );
    for (purpose, of_usher, of_floor) in rows {
        let (own, beneath) = (
            of_usher * usher.us_per_request,
            of_floor * floor.us_per_request,
        );
        let _ = writeln!(
            text,
            "| {purpose} | {:.1} % | {} | {:.1} % | {} |",
            of_usher * 100.0,
            short(own),
            of_floor * 100.0,
            short(beneath)
        );
    }
    text
}

fn told(profile: &Profile) -> String {
    format!(
        "{} samples, {} requests/s, {} µs of a processor for each, and {} µs of the load generator's",
        grouped(profile.samples()),
        grouped(profile.per_second),
        short(profile.us_per_request),
        short(profile.driver_us_per_request)
    )
}

/// What one sample was spent on: a line that names its thread, then its frames, the innermost first.
fn purpose(sample: &str) -> &'static str {
    let mut frames = sample.trim().lines().skip(1);
    let innermost = frames.next().unwrap_or_default();
    if innermost.contains("[kernel") {
        let asked = |name: &str| sample.contains(name);
        let found = SYSTEM_CALLS.iter().find(|(name, _)| asked(name));
        return found.map_or("kernel: interrupts and the rest", |(_, purpose)| purpose);
    }
    let found = FUNCTIONS.iter().find(|(name, _)| innermost.contains(name));
    found.map_or("else", |(_, purpose)| purpose)
}

/// The samples as `perf` prints them; none where it cannot. It looks at the processors and not at the threads: a clock
/// that is set anew at each switch between threads takes more time than what it measures.
fn sample(pid: u32) -> Option<String> {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let seconds = (MS / 2000).to_string();
    let mut record = Command::new("perf");
    record.args(["record", "--quiet", "-a", "-g", "-F", "997", "-o"]);
    let recorded = record
        .arg(&data)
        .args(["--", "sleep", &seconds])
        .output()
        .ok()?;
    if !recorded.status.success() {
        return None;
    }
    let mut script = Command::new("perf");
    script
        .args(["script", "-F", "comm,ip,sym,dso", "--pid"])
        .args([&pid.to_string(), "-i"])
        .arg(&data);
    let printed = script.output().ok()?;
    (printed.status.success()).then(|| String::from_utf8_lossy(&printed.stdout).into_owned())
}

/// The first that is found anywhere in the kernel's part of a stack.
const SYSTEM_CALLS: &[(&str, &str)] = &[
    ("sys_fdatasync", "kernel: `fdatasync` of store and log"),
    ("sys_sync_file_range", "kernel: sled's `sync_file_range`"),
    ("sys_pwrite", "kernel: writing to files"),
    ("sys_write", "kernel: writing to files"),
    ("sys_sendm", "kernel: sending"),
    ("sys_recvm", "kernel: receiving"),
    ("sys_futex", "kernel: threads that wake each other and wait"),
    ("sys_epoll", "kernel: threads that wake each other and wait"),
    ("page_fault", "kernel: memory"),
];
/// The first that is found in the name of the function or of its library.
const FUNCTIONS: &[(&str, &str)] = &[
    ("curve25519", "signature of the lease"),
    ("ed25519", "signature of the lease"),
    ("sha512", "signature of the lease"),
    ("sled", "sled"),
    ("crc32fast", "sled"),
    ("sha256", "hash chain of the usage log"),
    ("quinn", "QUIC and TLS"),
    ("rustls", "QUIC and TLS"),
    ("ring_core", "QUIC and TLS"),
    ("ring::", "QUIC and TLS"),
    ("bincode", "encoding and decoding"),
    ("serde", "encoding and decoding"),
    ("usher_protocol", "encoding and decoding"),
    ("usher_engine", "engine"),
    ("tokio", "tokio"),
    ("mio::", "tokio"),
    ("usherd::usage", "usage log"),
    ("usherd::journal", "journal"),
    ("usherd::", "daemon: connections and core loop"),
    ("memmove", "copying memory"),
    ("memcpy", "copying memory"),
    ("memset", "copying memory"),
    ("malloc", "allocating and freeing memory"),
    ("free", "allocating and freeing memory"),
    ("unlink_chunk", "allocating and freeing memory"),
    ("realloc", "allocating and freeing memory"),
];
const CONNECTIONS: usize = 64;
const MS: u64 = 8000;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sample_counts_for_its_innermost_frame_and_the_kernels_for_what_was_asked_of_it() {
        let own = "usherd-core\n  55d0 sled::tree::Tree::apply_batch (/x/usherd)\n  55d1 usherd::main (/x/usherd)\n";
        let asked = "usherd-net\n ffff finish_task_switch ([kernel.kallsyms])\n fff0 __x64_sys_futex ([kernel.kallsyms])\n 7f00 syscall (/x/libc.so.6)\n";
        let other = "usherd-net\n ffff handle_softirqs ([kernel.kallsyms])\n";
        let found = [own, asked, other].map(purpose);
        let expected = [
            "sled",
            "kernel: threads that wake each other and wait",
            "kernel: interrupts and the rest",
        ];
        assert_eq!(found, expected);
        let report = |us: f64| json!({"per_second": 1000.0, "own_us_per_request": 30.0, "server_us_per_request": us});
        let usher = Profile::of(&[own, own, asked, other].join("\n"), &report(40.0));
        let floor = Profile::of(&[asked, other].join("\n"), &report(10.0));
        let text = table(&usher, &floor);
        assert!(
            text.contains("| sled | 50.0 % | 20.0 | 0.0 % | 0.00 |"),
            "{text}"
        );
        let others = "| kernel: interrupts and the rest | 25.0 % | 10.0 | 50.0 % | 5.00 |";
        assert!(text.contains(others), "{text}");
    }
}
