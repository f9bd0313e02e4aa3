//! Builds of usherd and the floor beside each other, all running, under one load in short turns. Decides whose turn it is;
//! must not judge.
//!
//! Series one after the other say little where a neighbor's minute is a tenth of all: of turns that follow each other most
//! of that falls out of the ratio.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::drive::{Load, Work};
use crate::figures::Figures;
use crate::ground::{Floor, Site};
use crate::load::{FIELDS, attended, figure};

/// What is compared, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Versus {
    /// Programs, each a build of usherd; what is found is told as a ratio to the first one's
    #[arg(required = true)]
    programs: Vec<PathBuf>,
    /// Turns of each
    #[arg(long, default_value_t = 30)]
    rounds: usize,
    /// Length of a turn
    #[arg(long, default_value_t = 500)]
    ms: u64,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    #[arg(long, value_enum, default_value = "pairs")]
    work: Work,
}

/// Prints the medians of each, and quartiles of its ratio to the first in the same round.
pub(crate) fn run(it: &Versus) {
    let sites: Vec<_> = it.programs.iter().map(|it| build(it)).collect();
    let floor = Floor::start(sites[0].sizes());
    let load = Load::closed(it.connections, it.work, it.ms);
    let mut reports: Vec<Vec<Value>> = vec![Vec::new(); sites.len() + 1];
    for round in 0..it.rounds {
        for who in turns(round, reports.len()) {
            let report = match sites.get(who) {
                Some(site) => attended(site.pid(), || site.drive(load)),
                None => attended(floor.pid(), || floor.drive(load)),
            };
            reports[who].push(report);
        }
    }
    println!(
        "{} turns of {} ms each: median, and / the first's: quartiles",
        it.rounds, it.ms
    );
    for (who, own) in reports.iter().enumerate() {
        let name = it
            .programs
            .get(who)
            .map_or_else(|| "the floor".to_owned(), |it| it.display().to_string());
        println!("\n{name}");
        for (row, field, _) in FIELDS {
            println!("  {row:<18} {}", told(own, &reports[0], field));
        }
    }
}

fn build(program: &Path) -> Site {
    // Its daemon runs elsewhere.
    let absolute = program.canonicalize();
    let program = absolute.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    Site::of_build(SEATS, Some(&program))
}

/// Each begins as often as the others, and follows each other as often.
fn turns(round: usize, count: usize) -> Vec<usize> {
    let mut turns: Vec<_> = (0..count).collect();
    turns.rotate_left(round / 2 % count);
    if round % 2 == 1 {
        turns.reverse();
    }
    turns
}

fn told(own: &[Value], first: &[Value], field: &str) -> String {
    let median = Figures::of(own.iter().map(|it| figure(it, field))).median();
    let pairs = own.iter().zip(first);
    let ratios = Figures::of(pairs.map(|(own, first)| figure(own, field) / figure(first, field)));
    let [low, middle, high] = [0.25, 0.5, 0.75].map(|share| ratios.at(share));
    format!("{median:>10.1}   / {low:.3} {middle:.3} {high:.3}")
}

const SEATS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_always_begins_and_nobody_always_follows_the_same() {
        let all: Vec<_> = (0..6).map(|round| turns(round, 3)).collect();
        for who in 0..3 {
            assert_eq!(all.iter().filter(|it| it[0] == who).count(), 2);
            for other in (0..3).filter(|it| *it != who) {
                let follows = |it: &&Vec<usize>| it.windows(2).any(|it| it == [other, who]);
                assert_eq!(all.iter().filter(follows).count(), 2);
            }
        }
    }
}
