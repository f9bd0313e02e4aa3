//! Runs one slice and notes what it saw, or that it failed.

use crate::ledger::{Ledger, Line};
use crate::part::Part;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs `rounds` rounds of `part` from the first seed that it has not had. A failure is noted as well: a campaign
/// that forgets its failures proves nothing.
pub(crate) fn run(part: &Part, rounds: u64) -> bool {
    let seed = Ledger::read().next_seed(part.name);
    let directory = root().join("target/campaign");
    fs::create_dir_all(&directory).unwrap();
    let figures = directory.join(format!("{}-{seed}.tsv", part.name));
    let log = directory.join(format!("{}-{seed}.log", part.name));
    println!("{}: {rounds} rounds from seed {seed}", part.name);
    // A figure must not be counted twice where a slice that was interrupted is run again.
    let _ = fs::remove_file(&figures);
    let well = carry_out(part, seed, rounds, &figures, &log);
    let mut seen = read(&figures);
    let (good, bad) = if well { (1, 0) } else { (0, 1) };
    seen.push((part.name.to_owned(), SLICES.to_owned(), good));
    seen.push((part.name.to_owned(), FAILED.to_owned(), bad));
    Ledger::append(&lines(part, seed, rounds, &seen));
    if well {
        println!("{}: well", part.name);
    } else {
        println!("{}: FAILED; see {}", part.name, log.display());
    }
    well
}

/// The figure that counts slices which ended well.
pub(crate) const SLICES: &str = "slices without a failure";
/// The figure that counts the others.
pub(crate) const FAILED: &str = "slices that failed";

fn carry_out(part: &Part, seed: u64, rounds: u64, figures: &Path, log: &Path) -> bool {
    let output = File::create(log).unwrap();
    let (program, arguments) = part.command.split_first().unwrap();
    let status = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .env("USHER_TEST_SEED", seed.to_string())
        .env("USHER_TEST_ROUNDS", rounds.to_string())
        .env("USHER_TEST_FIGURES", figures)
        .envs(narrowed(part))
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .status();
    status.unwrap().success()
}

/// Only targets that have not had enough are fuzzed, where nobody says which.
fn narrowed(part: &Part) -> Option<(&'static str, String)> {
    let is_said = std::env::var_os(FUZZ_TARGETS).is_some();
    if part.name != "fuzz" || is_said {
        return None;
    }
    let short = part.goal.short(&Ledger::read());
    let targets: Vec<_> = short
        .iter()
        .map(|it| it.trim_start_matches("fuzz "))
        .collect();
    Some((FUZZ_TARGETS, targets.join(" ")))
}

/// Read by `tests/fuzz`, which takes all where it is empty.
const FUZZ_TARGETS: &str = "USHER_TEST_FUZZ_TARGETS";

/// The figures that a slice told, each proof's figure once.
fn read(figures: &Path) -> Vec<(String, String, u64)> {
    let text = fs::read_to_string(figures).unwrap_or_default();
    let mut sums: Vec<(String, String, u64)> = Vec::new();
    for line in text.lines() {
        let mut words = line.split('\t').map(str::to_owned);
        let (proof, figure) = (words.next().unwrap(), words.next().unwrap());
        let count: u64 = words.next().unwrap().parse().unwrap();
        match sums.iter_mut().find(|it| it.0 == proof && it.1 == figure) {
            Some(sum) => sum.2 += count,
            None => sums.push((proof, figure, count)),
        }
    }
    sums
}

fn lines(part: &Part, seed: u64, rounds: u64, seen: &[(String, String, u64)]) -> Vec<Line> {
    let (date, commit, machine) = (told("date", &["+%F"]), commit(), machine());
    seen.iter()
        .map(|(proof, figure, count)| Line {
            date: date.clone(),
            commit: commit.clone(),
            machine: machine.clone(),
            part: part.name.to_owned(),
            seed,
            rounds,
            proof: proof.clone(),
            figure: figure.clone(),
            count: *count,
        })
        .collect()
}

fn commit() -> String {
    let commit = told("git", &["rev-parse", "--short=9", "HEAD"]);
    // The ledger and the document change with each slice; neither is what is tried.
    let tried = [
        "status",
        "--porcelain",
        "--",
        ".",
        ":!tests/reliability.tsv",
        ":!docs",
    ];
    let changed = !told("git", &tried).is_empty();
    format!("{commit}{}", if changed { "+" } else { "" })
}

fn machine() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("a processor without a name", |(_, name)| name);
    let cores = std::thread::available_parallelism().unwrap();
    format!("{cores} × {model}, {}", told("uname", &["-sr"]))
}

fn told(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The root of the tree.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
