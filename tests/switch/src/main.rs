//! Puts the changes that cargo-mutants would try one build at a time into the code together, each behind a condition
//! that `mutant::on(NUMBER)` decides when a test runs.
//!
//! It decides how a change looks behind its condition, and which cannot be put there. It must not decide which changes
//! there are, nor what came of them: `tests/mutants` does, and says how this is called.

mod change;
mod weave;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::{env, fs, io};

use change::Change;

/// `weave CHANGES FROM TO` writes the files of FROM with their changes to TO, and prints what is to be known of some. `blame TO` reads `FILE LINE` of the compiler's errors and prints the changes that they are about.
fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["weave", changes, from, to] => {
            weave_all(Path::new(changes), Path::new(from), Path::new(to))
        }
        ["blame", to] => blame(Path::new(to)),
        _ => Err("weave CHANGES FROM TO | blame TO".into()),
    }
}

fn weave_all(changes: &Path, from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    let mut by_file = BTreeMap::<String, Vec<Change>>::new();
    for line in fs::read_to_string(changes)?.lines() {
        let (file, change) = change::read(line).ok_or_else(|| format!("not a change: {line}"))?;
        by_file.entry(file).or_default().push(change);
    }
    for (file, changes) in by_file {
        let source = fs::read_to_string(from.join(&file))?;
        let woven = weave::weave(&source, &changes).map_err(|error| format!("{file}: {error}"))?;
        fs::write(to.join(&file), woven.source)?;
        for (number, note) in woven.notes {
            println!("{number}\t{}", note.name());
        }
    }
    Ok(())
}

/// An error is about the last change that begins at or above its line.
fn blame(to: &Path) -> Result<(), Box<dyn Error>> {
    for line in io::stdin().lines() {
        let line = line?;
        let Some((file, number)) = line.rsplit_once(' ') else {
            continue;
        };
        let source = fs::read_to_string(to.join(file))?;
        let above = source.lines().take(number.parse()?);
        let last = above.filter_map(weave::switched).last();
        if let Some(change) = last {
            println!("{change}");
        }
    }
    Ok(())
}
