//! Where the daemon's time on a processor goes while 64 connections check out and release. Decides which function counts
//! for what; must not judge it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::drive::{Load, Work};
use crate::figures::{grouped, short};
use crate::ground::Site;
use crate::load::figure;
use crate::process::busy_ns;

pub(super) fn text() -> String {
    let site = Site::new(10_000);
    let busy = busy_ns(site.pid());
    let load = Load::closed(CONNECTIONS, Work::Pairs, MS);
    let (report, samples) = thread::scope(|scope| {
        let driven = scope.spawn(|| site.drive(load));
        thread::sleep(Duration::from_millis(MS / 4));
        let samples = sample(site.pid());
        (driven.join().unwrap(), samples)
    });
    let Some(samples) = samples else {
        return "Not measured: `perf` is missing here, or may not look.\n".to_owned();
    };
    #[expect(clippy::cast_precision_loss, reason = "seconds")]
    let (busy_us, seconds) = (
        (busy_ns(site.pid()) - busy) as f64 / 1000.0,
        MS as f64 / 1000.0,
    );
    let requests = figure(&report, "per_second") * seconds;
    table(&samples, busy_us / requests, requests / seconds)
}

/// Shares of all samples, the greatest first.
fn table(samples: &str, us_per_request: f64, per_second: f64) -> String {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for sample in samples.split("\n\n").filter(|it| !it.trim().is_empty()) {
        *counts.entry(purpose(sample)).or_default() += 1;
    }
    let all = f64::from(counts.values().sum::<u32>());
    let mut shares: Vec<_> = counts.into_iter().collect();
    shares.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut text = format!(
        "`perf` at the daemon under {CONNECTIONS} connections of checkouts and releases, {} samples; {} requests/s, {} µs of a processor for each, on all threads together.\n\n| what for | share | µs a request |\n|---|---:|---:|\n",
        grouped(all),
        grouped(per_second),
        short(us_per_request)
    );
    for (purpose, count) in shares {
        let share = f64::from(count) / all;
        let us = short(share * us_per_request);
        let _ = writeln!(text, "| {purpose} | {:.1} % | {us} |", share * 100.0);
    }
    text
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

/// The samples as `perf` prints them; none where it cannot.
fn sample(pid: u32) -> Option<String> {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let seconds = (MS / 2000).to_string();
    let mut record = Command::new("perf");
    record.args([
        "record",
        "--quiet",
        "-g",
        "-F",
        "997",
        "-p",
        &pid.to_string(),
        "-o",
    ]);
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
        .args(["script", "-F", "comm,ip,sym,dso", "-i"])
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
        let text = table(&[own, own, asked, other].join("\n"), 40.0, 1000.0);
        assert!(text.contains("| sled | 50.0 % | 20.0 |"), "{text}");
    }
}
