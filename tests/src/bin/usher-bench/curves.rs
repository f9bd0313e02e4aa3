//! The curves of `docs/performance.md`: how a figure grows with the work. Decides over what and how far; judges nothing.

mod connections;
mod expiry;
mod leases;
mod log;
mod memory;
mod profile;
mod storm;

use std::panic::catch_unwind;

use crate::document::{self, Circumstances};
use crate::stopwatch::{now_ns, us_since};

/// A slice of the curves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Curve {
    /// Throughput and latency over 1 to 1 024 connections
    Connections,
    /// Latency over the rate of arrivals, in an open loop
    Rates,
    /// Checkouts, starts and memory over 100 to 1 000 000 live leases
    Leases,
    /// Memory over 0 to 10 000 connections
    Memory,
    /// 1 000 workstations that boot at once
    Storm,
    /// What others notice while 100 000 leases end
    Expiry,
    /// Disk and usage log over ten million grants and releases
    Log,
    /// Where the time of a checkout goes
    Profile,
}

/// The parts of the document, one for each slice.
#[cfg(test)]
pub(crate) const NAMES: &[&str] = &[
    "connections",
    "rates",
    "leases",
    "memory",
    "storm",
    "expiry",
    "log",
    "profile",
];

/// Measures the slices named, or all, and writes each into the document once it is there.
pub(crate) fn run(curves: &[Curve], cycles: usize) {
    let mut failed = false;
    for (curve, name, measure) in ALL {
        if !curves.is_empty() && !curves.contains(curve) {
            continue;
        }
        let began = now_ns();
        let circumstances = Circumstances::now();
        // One that fails, and has said why, does not take the others with it.
        let Ok(text) = catch_unwind(|| measure(cycles)) else {
            failed = true;
            continue;
        };
        let seconds = us_since(began) / 1e6;
        println!("{text}({name}: {seconds:.0} s)");
        document::write(name, &format!("{circumstances}\n\n{text}"));
    }
    assert!(!failed, "not everything was measured");
}

/// Takes how many grants and releases the log is to have.
type Measure = fn(usize) -> String;

const ALL: &[(Curve, &str, Measure)] = &[
    (Curve::Connections, "connections", |_| {
        connections::over_connections()
    }),
    (Curve::Rates, "rates", |_| connections::over_rates()),
    (Curve::Leases, "leases", |_| leases::text()),
    (Curve::Memory, "memory", |_| memory::text()),
    (Curve::Storm, "storm", |_| storm::text()),
    (Curve::Expiry, "expiry", |_| expiry::text()),
    (Curve::Log, "log", log::text),
    (Curve::Profile, "profile", |_| profile::text()),
];
