//! `usher-campaign`: runs the long form of the proofs in slices, and adds their figures up.
//!
//! Each slice goes on from the seed at which the last one of its part stopped, so a campaign may be interrupted
//! at any time and continued on another day. What a slice saw becomes lines of `tests/reliability.tsv`; the
//! figures of `docs/reliability.md` are sums over these, and nothing else. It is no part of what is shipped.
#![expect(
    clippy::unwrap_used,
    reason = "a campaign whose ground gives way must stop"
)]

mod document;
mod ledger;
mod part;
mod slice;

use clap::{Parser, Subcommand};
use ledger::Ledger;
use part::{PARTS, Part};
use std::process::ExitCode;

/// Runs the long form of the proofs of reliability, in slices whose figures add up
#[derive(Debug, Parser)]
#[command(name = "tests/campaign")]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Runs one slice of each part that has not reached its goal; the same as no word at all
    All,
    /// Runs slices of one part
    Run {
        /// Its name; `tests/campaign list` shows them
        part: String,
        /// How many slices
        #[arg(long, default_value_t = 1)]
        slices: u64,
        /// Rounds of each slice, where the usual number does not suit
        #[arg(long)]
        rounds: Option<u64>,
    },
    /// Shows each part, its goal, and how far it is
    List,
    /// Writes the figures anew into docs/reliability.md
    Report,
}

fn main() -> ExitCode {
    let all_well = match Cli::parse().verb.unwrap_or(Verb::All) {
        Verb::All => run_all(),
        Verb::Run {
            part,
            slices,
            rounds,
        } => run(&part, slices, rounds),
        Verb::List => list(),
        Verb::Report => true,
    };
    document::write(&Ledger::read());
    if all_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run_all() -> bool {
    let mut well = true;
    for part in PARTS {
        // Every part has its turn, whatever became of those before it.
        if !part.goal.is_reached(&Ledger::read()) {
            well &= slice::run(part, part.rounds);
        }
    }
    well
}

fn run(name: &str, slices: u64, rounds: Option<u64>) -> bool {
    let Some(part) = PARTS.iter().find(|part| part.name == name) else {
        eprintln!("there is no part {name:?}; `tests/campaign list` shows them");
        return false;
    };
    (0..slices).all(|_| slice::run(part, rounds.unwrap_or(part.rounds)))
}

fn list() -> bool {
    let ledger = Ledger::read();
    for Part { name, goal, .. } in PARTS {
        for proof in goal.proofs {
            let (done, wanted) = (ledger.sum(proof, goal.figure), goal.count);
            let figure = goal.figure;
            println!("{name:<16} {done:>12} of {wanted:>12} {figure} ({proof})");
        }
    }
    true
}
