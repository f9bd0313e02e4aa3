//! Counts by name: as callgrind's files have them, and as the committed file does.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

/// Instructions per operation, on one kind of machine and toolchain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counts {
    /// What the numbers depend on beside the code.
    pub(crate) machine: String,
    pub(crate) by_name: BTreeMap<String, u64>,
}

/// What callgrind or a person wrote is not what was expected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CountsError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// A file does not say what it should.
    #[error("{}: {what}", path.display())]
    Content { path: PathBuf, what: String },
}

impl Counts {
    /// What callgrind left in `directory`: for each part a list of names and, in its order, a file each.
    pub(crate) fn of_callgrind(directory: &Path, machine: &str) -> Result<Self, CountsError> {
        let mut sums: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for part in PARTS {
            let names = directory.join(format!("{part}.names"));
            for (index, line) in (1..).zip(read(&names)?.lines()) {
                let (name, operations) = pair(&names, line)?;
                let file = directory.join(format!("{part}.{index}"));
                let (instructions, done) = sums.entry(name).or_default();
                *instructions += instructions_in(&file)?;
                *done += operations;
            }
        }
        let each =
            |(name, (instructions, done)): (String, (u64, u64))| (name, instructions / done.max(1));
        Ok(Self {
            machine: machine.to_owned(),
            by_name: sums.into_iter().map(each).collect(),
        })
    }

    /// The committed numbers.
    pub(crate) fn read(path: &Path) -> Result<Self, CountsError> {
        let text = read(path)?;
        let mut lines = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty());
        let machine = lines.next().and_then(|line| line.strip_prefix(MACHINE));
        let machine = machine.ok_or_else(|| wrong(path, format!("no line `{MACHINE}…`")))?;
        let by_name = lines
            .map(|line| pair(path, line))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            machine: machine.to_owned(),
            by_name,
        })
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), CountsError> {
        let mut text = format!("{HEAD}\n{MACHINE}{}\n\n", self.machine);
        for (name, count) in &self.by_name {
            let _ = writeln!(text, "{name}\t{count}");
        }
        fs::write(path, text).map_err(|source| io_error(path, source))
    }
}

/// The total of one of callgrind's files.
fn instructions_in(path: &Path) -> Result<u64, CountsError> {
    let text = read(path)?;
    let total = text.lines().find_map(|line| line.strip_prefix("summary: "));
    let total = total.and_then(|digits| digits.trim().parse().ok());
    total.ok_or_else(|| wrong(path, "no total of instructions".to_owned()))
}

/// `name TAB number`.
fn pair(path: &Path, line: &str) -> Result<(String, u64), CountsError> {
    let found = line.split_once('\t').and_then(|(name, number)| {
        let number = number.parse().ok()?;
        Some((name.to_owned(), number))
    });
    found.ok_or_else(|| {
        wrong(
            path,
            format!("expected a name, a tab and a number, not `{line}`"),
        )
    })
}

fn read(path: &Path) -> Result<String, CountsError> {
    fs::read_to_string(path).map_err(|source| io_error(path, source))
}

fn io_error(path: &Path, source: io::Error) -> CountsError {
    CountsError::Io {
        path: path.to_owned(),
        source,
    }
}

fn wrong(path: &Path, what: String) -> CountsError {
    CountsError::Content {
        path: path.to_owned(),
        what,
    }
}

/// As `tests/instructions/run` names its files.
const PARTS: [&str; 5] = ["engine", "crowd", "codec", "envelope", "commit"];

const MACHINE: &str = "machine: ";

const HEAD: &str = "\
# Instructions per operation, as callgrind counts them. `tests/instructions/run` compares, and fails where one
# is more than a tenth above its number here; `tests/instructions/run --accept` writes this file anew.
# Compared only where this line is the same:";
