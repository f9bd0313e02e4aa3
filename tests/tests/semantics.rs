//! The table of situations (docs/semantics.md) against the tests and the refusals it speaks of: no row
//! without a test that is there, no refusal and no test of the rules for queue, lid-close, eviction
//! and borrowing that it leaves out. Decides nothing about behavior.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read the workspace must fail"
)]

use std::{collections::BTreeSet, fs};

use usher_protocol::refusal::RefusalCode;
use usher_tests::catalog::{quoted as words, root, sources, tests_below, tests_of};

#[test]
fn every_row_names_a_test_that_is_there() {
    let known: BTreeSet<String> = SOURCES.iter().flat_map(|dir| tests_in(dir)).collect();
    assert!(known.len() > 500, "the search finds tests no more");
    let rows = rows(&table());
    assert!(rows.len() > 150, "the search finds rows no more");
    let mut problems = Vec::new();
    for row in &rows {
        let cited: Vec<_> = words(row.cells.last().unwrap()).collect();
        if cited.is_empty() {
            problems.push(row.at("no test shows this"));
        }
        for name in cited.into_iter().filter(|name| !known.contains(*name)) {
            problems.push(row.at(&format!("no test is called {name}")));
        }
    }
    none(&problems);
}

#[test]
fn every_refusal_has_a_row_and_every_row_a_known_one() {
    let rows = rows(&table());
    let named: BTreeSet<_> = rows.iter().flat_map(|row| words(row.refusals())).collect();
    let known: BTreeSet<_> = RefusalCode::ALL.iter().map(|it| it.name()).collect();
    let unknown: Vec<_> = named.difference(&known).collect();
    assert!(unknown.is_empty(), "no such refusals: {unknown:?}");
    // What the engine says, and what the daemon says around it.
    let said: String = ["daemon/engine/src", "daemon/src"]
        .iter()
        .flat_map(|dir| sources(dir))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let missing: Vec<_> = RefusalCode::ALL
        .iter()
        .filter(|code| said.contains(&format!("RefusalCode::{code:?}")))
        // Only a defect could say it: no client can ask what an administrator asks.
        .filter(|code| **code != RefusalCode::NotAllowed)
        .map(|code| code.name())
        .filter(|name| !named.contains(name))
        .collect();
    assert!(missing.is_empty(), "no row says when: {missing:?}");
}

#[test]
fn every_test_of_these_rules_has_a_row() {
    let table = table();
    let cited: BTreeSet<_> = words(&table).collect();
    let missing: Vec<_> = tests_in("daemon/engine/src")
        .into_iter()
        .filter(|name| RULES.iter().any(|rule| name.starts_with(rule)))
        .filter(|name| !cited.contains(name.as_str()))
        .collect();
    assert!(missing.is_empty(), "no row names these: {missing:#?}");
}

#[test]
fn the_checks_themselves_can_fail() {
    let text = "| a | b | c | d | test |\n|---|---|---|---|---|\n| x | y | `no-seat` | L2 | `one` `two` |\n| x | y | | | |\n\n| other |\n|---|\n| `three` |\n";
    let rows = rows(text);
    assert_eq!(rows.iter().map(|row| row.line).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(words(rows[0].refusals()).collect::<Vec<_>>(), ["no-seat"]);
    assert_eq!(words(rows[1].cells.last().unwrap()).count(), 0);
    let source = "#[test]\nfn one() {}\nfn helper() {}\n#[tokio::test(flavor = \"x\")]\nasync fn two() {}\nproptest! {\n    #[test]\n    #[ignore]\n    fn three(";
    assert_eq!(tests_of(source), ["one", "two", "three"]);
}

struct Row {
    line: usize,
    cells: Vec<String>,
}

impl Row {
    fn at(&self, what: &str) -> String {
        let situation = self.cells.first().map_or("", String::as_str);
        format!("docs/semantics.md:{}: {what}: {situation}", self.line)
    }

    fn refusals(&self) -> &str {
        &self.cells[2]
    }
}

/// The rows of all tables whose last column is `test`.
fn rows(text: &str) -> Vec<Row> {
    let mut found = Vec::new();
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        let Some(inner) = line.strip_prefix('|').and_then(|it| it.strip_suffix('|')) else {
            inside = false;
            continue;
        };
        let cells: Vec<_> = inner.split('|').map(|it| it.trim().to_owned()).collect();
        let opens = cells.last().is_some_and(|last| last == "test");
        if inside && !cells[0].starts_with("---") {
            let line = index + 1;
            assert_eq!(cells.len(), COLUMNS, "docs/semantics.md:{line}: columns");
            found.push(Row { line, cells });
        }
        inside |= opens;
    }
    found
}

/// The names alone: no two tests of these folders that a row names are called the same.
fn tests_in(dir: &str) -> Vec<String> {
    let tests = tests_below(dir).into_iter();
    let name = |it: String| it.rsplit("::").next().unwrap_or_default().to_owned();
    tests.map(name).collect()
}

fn table() -> String {
    fs::read_to_string(root().join("docs/semantics.md")).unwrap()
}

fn none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// Where tests are that a row may name.
const SOURCES: [&str; 5] = [
    "daemon/engine/src",
    "daemon/src",
    "client/src",
    "client/tests",
    "tests/tests/e2e",
];

/// Lid-close, eviction and change, the queue, borrowing.
const RULES: [&str; 4] = ["l6_", "l7_", "l9_", "l10_"];
const COLUMNS: usize = 5;
