//! The figures of `docs/reliability.md`: sums over the ledger, between two marks; the words around them are people's.

use crate::ledger::{Ledger, Line};
use crate::part::{Goal, PARTS, Part};
use crate::slice::root;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

/// Writes the figures into the document.
pub(crate) fn write(ledger: &Ledger) {
    let before = fs::read_to_string(path()).unwrap();
    let after = with_figures(&before, ledger);
    if after != before {
        fs::write(path(), after).unwrap();
    }
}

fn with_figures(document: &str, ledger: &Ledger) -> String {
    let (head, rest) = document.split_once(BEGIN).unwrap();
    let (_, tail) = rest.split_once(END).unwrap();
    let figures: String = PARTS.iter().map(|part| section(part, ledger)).collect();
    format!("{head}{BEGIN}\n{figures}\n{END}{tail}")
}

fn section(part: &Part, ledger: &Ledger) -> String {
    let Part {
        name, what, goal, ..
    } = part;
    let mut text = format!("\n### {name}\n\n{what}\n\n");
    let lines: Vec<&Line> = ledger.of_part(name).collect();
    if lines.is_empty() {
        text += "No slice of the long form was run yet.\n";
        return text;
    }
    text += "| proof | figure | in all |\n|---|---|---:|\n";
    for (proof, figure) in in_order(&lines) {
        let count = grouped(ledger.sum(proof, figure));
        let _ = writeln!(text, "| {proof} | {figure} | {count} |");
    }
    let _ = writeln!(
        text,
        "\n{} {}",
        outcome(goal, ledger),
        circumstances(&lines)
    );
    text
}

fn outcome(goal: &Goal, ledger: &Ledger) -> String {
    let wanted = format!("Goal: {} {}", grouped(goal.count), goal.figure);
    let short = goal.short(ledger);
    match (goal.proofs, short.as_slice()) {
        ([_], []) => format!("{wanted}, reached."),
        ([_], _) => format!("{wanted}, not reached."),
        (_, []) => format!("{wanted} of each, reached by all."),
        (all, _) => format!(
            "{wanted} of each, reached by {} of {}, not by: {}.",
            all.len() - short.len(),
            all.len(),
            short.join(", ")
        ),
    }
}

/// Each figure once, as they came.
fn in_order<'a>(lines: &[&'a Line]) -> Vec<(&'a str, &'a str)> {
    let mut seen = Vec::new();
    for line in lines {
        let figure = (line.proof.as_str(), line.figure.as_str());
        if !seen.contains(&figure) {
            seen.push(figure);
        }
    }
    seen
}

fn circumstances(lines: &[&Line]) -> String {
    let all = |of: fn(&Line) -> &str| {
        let distinct: BTreeSet<&str> = lines.iter().map(|line| of(line)).collect();
        distinct.into_iter().collect::<Vec<_>>().join(", ")
    };
    format!(
        "Dates: {}; commits: {}; machine: {}.",
        all(|line| &line.date),
        all(|line| &line.commit),
        all(|line| &line.machine)
    )
}

/// `1 234 567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

fn path() -> PathBuf {
    root().join("docs/reliability.md")
}

const BEGIN: &str = "<!-- figures: written by tests/campaign report -->";
const END: &str = "<!-- end of the figures -->";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_says_what_the_ledger_says() {
        let document = fs::read_to_string(path()).unwrap();
        let expected = with_figures(&document, &Ledger::read());
        assert!(
            document == expected,
            "docs/reliability.md differs from tests/reliability.tsv; run `tests/campaign report`"
        );
    }

    #[test]
    fn numbers_are_readable() {
        let texts = [0, 999, 1_000, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "999", "1 000", "1 234 567"]);
    }
}
