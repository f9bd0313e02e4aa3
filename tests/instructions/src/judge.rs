//! Whether counts are what they were: more than a tenth above the committed number is a regression.

use std::{path::Path, process::ExitCode};

use crate::counts::{Counts, CountsError};

/// What became of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Same,
    /// By so many per mille.
    More(u64),
    Less(u64),
    New,
    Gone,
}

/// Compares what callgrind counted with the committed numbers, and prints both.
pub(crate) fn judge(directory: &Path, numbers: &Path, machine: &str) -> ExitCode {
    report(compare(directory, numbers, machine))
}

/// Makes what callgrind counted the committed numbers, and prints what changed.
pub(crate) fn accept(directory: &Path, numbers: &Path, machine: &str) -> ExitCode {
    report(replace(directory, numbers, machine))
}

fn report(outcome: Result<bool, CountsError>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tests/instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(directory: &Path, numbers: &Path, machine: &str) -> Result<bool, CountsError> {
    let (now, known) = (
        Counts::of_callgrind(directory, machine)?,
        Counts::read(numbers)?,
    );
    let rows = rows(&known, &now);
    print(&rows);
    if known.machine != now.machine {
        println!("NOT COMPARED: the committed numbers are of another machine or toolchain");
        println!("  theirs: {}\n  here:   {}", known.machine, now.machine);
        return Ok(true);
    }
    let bad: Vec<_> = rows.iter().filter(|row| row.is_bad()).collect();
    if bad.is_empty() {
        return Ok(true);
    }
    println!("\nmore than a tenth above the committed number, or in only one of both:");
    for row in bad {
        println!("  {}", row.words());
    }
    println!("if that is meant: tests/instructions/run --accept, and say why in the commit");
    Ok(false)
}

fn replace(directory: &Path, numbers: &Path, machine: &str) -> Result<bool, CountsError> {
    let now = Counts::of_callgrind(directory, machine)?;
    match Counts::read(numbers) {
        Ok(known) => {
            let rows = rows(&known, &now);
            let changed = rows.iter().filter(|row| row.change() != Change::Same);
            changed.for_each(|row| println!("{}", row.words()));
            if known.machine != now.machine {
                println!("machine: {} -> {}", known.machine, now.machine);
            }
        }
        Err(error) => println!("there was nothing to compare with: {error}"),
    }
    now.write(numbers)?;
    Ok(true)
}

/// One name with its number before and now.
#[derive(Debug)]
struct Row {
    name: String,
    before: Option<u64>,
    now: Option<u64>,
}

impl Row {
    fn change(&self) -> Change {
        match (self.before, self.now) {
            (Some(before), Some(now)) if now > before => {
                Change::More(per_mille(now - before, before))
            }
            (Some(before), Some(now)) if now < before => {
                Change::Less(per_mille(before - now, before))
            }
            (Some(_), None) => Change::Gone,
            (None, _) => Change::New,
            _ => Change::Same,
        }
    }

    fn is_bad(&self) -> bool {
        match self.change() {
            Change::More(per_mille) => per_mille > MORE_PER_MILLE_MAX,
            Change::New | Change::Gone => true,
            Change::Same | Change::Less(_) => false,
        }
    }

    fn words(&self) -> String {
        let number = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
        let change = match self.change() {
            Change::Same => String::new(),
            Change::More(mille) => format!("+{}.{} %", mille / 10, mille % 10),
            Change::Less(mille) => format!("-{}.{} %", mille / 10, mille % 10),
            Change::New => "new".to_owned(),
            Change::Gone => "gone".to_owned(),
        };
        format!(
            "{:<46} {:>9} {:>9} {change:>9}",
            self.name,
            number(self.before),
            number(self.now)
        )
    }
}

fn rows(known: &Counts, now: &Counts) -> Vec<Row> {
    let mut names: Vec<_> = known.by_name.keys().chain(now.by_name.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let row = |name: &String| Row {
        name: name.clone(),
        before: known.by_name.get(name).copied(),
        now: now.by_name.get(name).copied(),
    };
    names.into_iter().map(row).collect()
}

fn print(rows: &[Row]) {
    println!(
        "{:<46} {:>9} {:>9} {:>9}",
        "instructions each", "committed", "now", "change"
    );
    for row in rows {
        println!("{}", row.words());
    }
}

fn per_mille(part: u64, whole: u64) -> u64 {
    part * 1000 / whole.max(1)
}

/// Past this a number is a regression.
const MORE_PER_MILLE_MAX: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(&str, u64)]) -> Counts {
        Counts {
            machine: "a".to_owned(),
            by_name: of
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect(),
        }
    }

    #[test]
    fn only_what_grew_by_more_than_a_tenth_or_is_in_one_alone_is_bad() {
        let known = counts(&[
            ("gone", 5),
            ("less", 100),
            ("more", 1000),
            ("much more", 1000),
        ]);
        let now = counts(&[
            ("less", 50),
            ("more", 1100),
            ("much more", 1101),
            ("new", 1),
        ]);
        let rows = rows(&known, &now);
        let bad: Vec<_> = rows
            .iter()
            .filter(|row| row.is_bad())
            .map(|row| row.name.as_str())
            .collect();
        assert_eq!(bad, ["gone", "much more", "new"]);
        assert!(rows[1].words().ends_with("-50.0 %"), "{}", rows[1].words());
    }
}
