//! `usher-bench`: measures the release build against the aims of design 8, and prints figures; it judges none.
//!
//! It is no part of what is shipped. `tests/bench` builds and calls it; `docs/performance.md` says what came out.
#![expect(
    clippy::unwrap_used,
    reason = "a measurement whose ground gives way must stop"
)]

mod curves;
mod disk;
mod document;
mod drive;
mod expiry;
mod figures;
mod floor;
mod ground;
mod hold;
mod idle;
mod lender;
mod load;
mod memory;
mod million;
mod multicast;
mod process;
mod start;
mod stopwatch;
mod store;
mod storm;
mod svg;
mod table;
mod versus;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use usher_protocol::wire::Environment;

/// Measures usher and usherd, and prints what it saw
#[derive(Debug, Parser)]
#[command(name = "usher-bench")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// The table of design 8; the whole of it is written into docs/performance.md
    Table {
        /// Only these
        #[arg(value_enum)]
        parts: Vec<table::Part>,
        /// Measurements of each kind
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
    /// How figures grow with the work; each curve is written into docs/performance.md as soon as it is there
    Curves {
        /// Only these
        #[arg(value_enum)]
        curves: Vec<curves::Curve>,
        /// Grants and releases in the curve of the log
        #[arg(long, default_value_t = 10_000_000)]
        cycles: usize,
    },
    /// From the start of `usher run` to the start of its command, on hosts in network namespaces
    Start {
        /// Starts of each kind
        #[arg(long, default_value_t = 20)]
        runs: usize,
    },
    /// Checkouts, releases and renewals against the floor: what nobody could leave out
    Load {
        /// Measurements of each kind
        #[arg(long, default_value_t = 5)]
        runs: usize,
        /// Length of one measurement
        #[arg(long, default_value_t = 3)]
        seconds: u64,
        /// Only those of so many connections
        #[arg(long)]
        connections: Option<usize>,
    },
    /// Builds of usherd under one load in short turns, and the floor with them
    Versus(versus::Versus),
    /// The part of `start` that runs inside the namespaces
    #[command(hide = true)]
    StartInside {
        runs: usize,
        #[arg(long)]
        cases_alone: bool,
    },
    /// Notes the time and becomes the program given
    #[command(hide = true)]
    Launch {
        #[arg(last = true)]
        program: Vec<OsString>,
    },
    /// Prints how long ago `launch` noted the time
    #[command(hide = true)]
    Moment,
    /// The floor's server
    #[command(hide = true)]
    FloorServer(floor::Sizes),
    /// One load generator
    #[command(hide = true)]
    Drive(Drive),
    /// Workstations that are connected and do nothing
    #[command(hide = true)]
    Hold(hold::Held),
    /// Workstations that boot at once
    #[command(hide = true)]
    Storm(storm::Storm),
    /// Puts leases into the store of a daemon that is stopped
    #[command(hide = true)]
    Fill(store::Fill),
}

#[derive(Debug, clap::Args)]
struct Drive {
    address: SocketAddr,
    #[command(flatten)]
    load: drive::Load,
    /// The vendor's public key file; without it the server is the floor's
    #[arg(long)]
    vendor: Option<PathBuf>,
    /// Of the vendor's test license
    #[arg(long)]
    test: bool,
    #[command(flatten)]
    sizes: floor::Sizes,
}

fn main() {
    match Cli::parse().verb {
        Verb::Table { parts, runs } => table::run(&parts, runs),
        Verb::Curves { curves, cycles } => curves::run(&curves, cycles),
        Verb::Start { runs } => start::outside(runs),
        Verb::StartInside { runs, cases_alone } if cases_alone => start::cases(runs),
        Verb::StartInside { runs, .. } => start::inside(runs),
        Verb::Launch { program } => start::launch(&program),
        Verb::Moment => start::moment(),
        Verb::Load {
            runs,
            seconds,
            connections,
        } => load::run(runs, seconds, connections),
        Verb::Versus(it) => versus::run(&it),
        Verb::FloorServer(sizes) => floor::serve(sizes),
        Verb::Drive(it) => drive(&it),
        Verb::Hold(it) => hold::hold(&it),
        Verb::Storm(it) => storm::storm(&it),
        Verb::Fill(it) => store::fill(&it),
    }
}

fn drive(it: &Drive) {
    let environment = if it.test {
        Environment::Test
    } else {
        Environment::Live
    };
    match &it.vendor {
        Some(vendor) => lender::drive(it.address, it.load, vendor, environment),
        None => floor::drive(it.address, it.load, it.sizes),
    }
}
