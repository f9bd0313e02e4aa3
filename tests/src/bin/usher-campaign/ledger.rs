//! The ledger of the campaign: what each slice saw, one figure a line, never rewritten.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

/// Every line so far, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Vec<Line>);

/// One figure of one slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// `2026-11-30`.
    pub(crate) date: String,
    /// Abbreviated; with `+` where the tree had changes.
    pub(crate) commit: String,
    /// Cores, processor and kernel.
    pub(crate) machine: String,
    /// Which part the slice belonged to.
    pub(crate) part: String,
    /// The first seed.
    pub(crate) seed: u64,
    /// How many seeds from there on.
    pub(crate) rounds: u64,
    /// Whose figure it is.
    pub(crate) proof: String,
    /// What was counted.
    pub(crate) figure: String,
    /// How many.
    pub(crate) count: u64,
}

impl Ledger {
    /// Reads the committed file; an absent one is an empty ledger.
    pub(crate) fn read() -> Self {
        let text = fs::read_to_string(path()).unwrap_or_default();
        Self(text.lines().skip(1).map(Line::read).collect())
    }

    /// Adds these lines at the end.
    pub(crate) fn append(lines: &[Line]) {
        let path = path();
        let is_new = !path.exists();
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        if is_new {
            writeln!(file, "{HEADER}").unwrap();
        }
        for line in lines {
            writeln!(file, "{}", line.write()).unwrap();
        }
    }

    /// The lines of one part.
    pub(crate) fn of_part<'a>(&'a self, part: &'a str) -> impl Iterator<Item = &'a Line> {
        self.0.iter().filter(move |line| line.part == part)
    }

    /// What a figure comes to over all slices.
    pub(crate) fn sum(&self, proof: &str, figure: &str) -> u64 {
        let lines = self.0.iter();
        lines
            .filter(|line| line.proof == proof && line.figure == figure)
            .map(|line| line.count)
            .sum()
    }

    /// The first seed that no slice of this part has had.
    pub(crate) fn next_seed(&self, part: &str) -> u64 {
        let ends = self.of_part(part).map(|line| line.seed + line.rounds);
        ends.max().unwrap_or(FIRST_SEED)
    }
}

impl Line {
    fn read(text: &str) -> Self {
        let words: Vec<&str> = text.split('\t').collect();
        let [
            date,
            commit,
            machine,
            part,
            seed,
            rounds,
            proof,
            figure,
            count,
        ] = words[..]
        else {
            panic!("no line of the ledger: {text:?}");
        };
        let number = |word: &str| word.parse().unwrap();
        Self {
            date: date.to_owned(),
            commit: commit.to_owned(),
            machine: machine.to_owned(),
            part: part.to_owned(),
            seed: number(seed),
            rounds: number(rounds),
            proof: proof.to_owned(),
            figure: figure.to_owned(),
            count: number(count),
        }
    }

    fn write(&self) -> String {
        let Self {
            date,
            commit,
            machine,
            part,
            seed,
            rounds,
            proof,
            figure,
            count,
        } = self;
        format!("{date}\t{commit}\t{machine}\t{part}\t{seed}\t{rounds}\t{proof}\t{figure}\t{count}")
    }
}

fn path() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/reliability.tsv"))
}

const HEADER: &str = "date\tcommit\tmachine\tpart\tseed\trounds\tproof\tfigure\tcount";

/// The short form, in `tests/run`, takes the seeds below.
const FIRST_SEED: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn line(seed: u64, count: u64) -> Line {
        Line::read(&format!(
            "2026-01-01\tabc\t2 cores\tkill\t{seed}\t10\tkill -9\tkills\t{count}"
        ))
    }

    #[test]
    fn slices_add_up_and_none_repeats_a_seed() {
        let ledger = Ledger(vec![line(FIRST_SEED, 10), line(FIRST_SEED + 10, 9)]);
        assert_eq!(ledger.sum("kill -9", "kills"), 19);
        assert_eq!(ledger.sum("kill -9", "lost"), 0);
        assert_eq!(ledger.next_seed("kill"), FIRST_SEED + 20);
        assert_eq!(ledger.next_seed("power"), FIRST_SEED);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let line = line(7, 8);
        assert_eq!(Line::read(&line.write()), line);
    }
}
