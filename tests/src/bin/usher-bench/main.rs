//! `usher-bench`: measures the release build against the aims of design 8, and prints figures; it judges none.
//!
//! It is no part of what is shipped. `tests/bench` builds and calls it; `docs/performance.md` says what came out.
#![expect(
    clippy::unwrap_used,
    reason = "a measurement whose ground gives way must stop"
)]

mod drive;
mod figures;
mod floor;
mod lender;
mod load;
mod multicast;
mod start;
mod stopwatch;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Measures usher and usherd, and prints what it saw
#[derive(Debug, Parser)]
#[command(name = "usher-bench")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
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
    },
    /// The part of `start` that runs inside the namespaces
    #[command(hide = true)]
    StartInside { runs: usize },
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
}

#[derive(Debug, clap::Args)]
struct Drive {
    address: SocketAddr,
    #[command(flatten)]
    load: drive::Load,
    /// The vendor's public key file; without it the server is the floor's
    #[arg(long)]
    vendor: Option<PathBuf>,
    #[command(flatten)]
    sizes: floor::Sizes,
}

fn main() {
    match Cli::parse().verb {
        Verb::Start { runs } => start::outside(runs),
        Verb::StartInside { runs } => start::inside(runs),
        Verb::Launch { program } => start::launch(&program),
        Verb::Moment => start::moment(),
        Verb::Load { runs, seconds } => load::run(runs, seconds),
        Verb::FloorServer(sizes) => floor::serve(sizes),
        Verb::Drive(it) => match it.vendor {
            Some(vendor) => lender::drive(it.address, it.load, &vendor),
            None => floor::drive(it.address, it.load, it.sizes),
        },
    }
}
