//! The figures of `docs/performance.md`: each part between two marks of its own; the words around them are people's.
//! Decides what the circumstances of a measurement are; must not judge figures.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use usher_tests::bins;

use crate::figures::short;
use crate::svg::Chart;

/// Under what the figures of a part came about.
pub(crate) struct Circumstances {
    commit: String,
    cores: usize,
    kernel: String,
    load: f64,
    date: String,
}

impl Circumstances {
    /// As they are before the measurement begins.
    pub(crate) fn now() -> Self {
        let changed = !said(
            "git",
            &[
                "status",
                "--porcelain",
                "--untracked-files=no",
                "--",
                ":!docs",
            ],
        )
        .is_empty();
        let commit = said("git", &["rev-parse", "--short", "HEAD"]);
        Self {
            commit: commit + if changed { ", changed" } else { "" },
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: said("uname", &["-sr"]),
            load: load_now(),
            date: said("date", &["-u", "+%Y-%m-%d"]),
        }
    }
}

impl fmt::Display for Circumstances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            commit,
            cores,
            kernel,
            load,
            date,
        } = self;
        let load = short(*load);
        write!(
            f,
            "Commit {commit}; {date}; {cores} cores, {kernel}; load average of the minute before: {load}."
        )
    }
}

/// Puts `text` into the document, in place of what the part of this name said before.
pub(crate) fn write(name: &str, text: &str) {
    let path = docs().join("performance.md");
    let before = fs::read_to_string(&path).unwrap();
    let Some(after) = with_part(&before, name, text) else {
        panic!("docs/performance.md has no marks for {name}");
    };
    fs::write(path, after).unwrap();
    println!("\nwritten into docs/performance.md: {name}");
}

/// Keeps a picture and returns the words that show it.
pub(crate) fn picture(name: &str, chart: &Chart) -> String {
    let directory = docs().join("performance");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(format!("{name}.svg")), chart.svg()).unwrap();
    format!("![{}](performance/{name}.svg)\n", chart.title)
}

fn with_part(document: &str, name: &str, text: &str) -> Option<String> {
    let begin = format!("<!-- figures of {name}: written by tests/bench -->");
    let end = format!("<!-- end of the figures of {name} -->");
    let (head, rest) = document.split_once(&begin)?;
    let (_, tail) = rest.split_once(&end)?;
    Some(format!("{head}{begin}\n\n{}\n\n{end}{tail}", text.trim()))
}

fn docs() -> PathBuf {
    bins::workspace().join("docs")
}

fn load_now() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split(' ').next().and_then(|it| it.parse().ok());
    first.unwrap_or(f64::NAN)
}

/// What a program prints; nothing where there is none.
fn said(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    let output = command
        .args(arguments)
        .current_dir(bins::workspace())
        .output();
    output.map_or_else(
        |_| String::new(),
        |it| String::from_utf8_lossy(&it.stdout).trim().to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_replaced_and_the_words_around_it_stay() {
        let document = "words\n<!-- figures of a: written by tests/bench -->\nold\n<!-- end of the figures of a -->\nmore";
        let after = with_part(document, "a", "new\n").unwrap();
        assert_eq!(after, document.replace("\nold\n", "\n\nnew\n\n"));
        assert_eq!(with_part(&after, "a", "new").unwrap(), after);
        assert_eq!(with_part(document, "b", "new"), None);
    }

    #[test]
    fn the_document_has_a_place_for_every_part() {
        let document = fs::read_to_string(docs().join("performance.md")).unwrap();
        for name in crate::curves::NAMES.iter().chain(&["table"]) {
            assert!(with_part(&document, name, "").is_some(), "{name}");
        }
    }
}
