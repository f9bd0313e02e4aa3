//! The tests that there are, by file and name: what documents may cite. Decides nothing about what they show.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every test below a folder of the workspace, as `path.rs::name`, the path from the root of the tree.
pub fn tests_below(dir: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in sources(dir) {
        let shown = path.strip_prefix(root()).unwrap().display().to_string();
        let names = tests_of(&fs::read_to_string(&path).unwrap());
        found.extend(names.iter().map(|name| format!("{shown}::{name}")));
    }
    found
}

/// Functions that follow the attribute of a test, other attributes between them or not.
pub fn tests_of(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim_start) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
            continue;
        }
        let rest = line.strip_prefix("async ").unwrap_or(line);
        let name = rest.strip_prefix("fn ").and_then(|it| it.split('(').next());
        if let Some(name) = name.filter(|_| is_test) {
            is_test = false;
            found.push(name.to_owned());
        }
    }
    found
}

/// What stands in backquotes.
pub fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The Rust sources below a folder of the workspace, what was built apart.
pub fn sources(dir: &str) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    collect(&root().join(dir), &mut paths);
    assert!(!paths.is_empty(), "nothing in {dir}");
    paths
}

/// The root of the tree.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn collect(dir: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}
