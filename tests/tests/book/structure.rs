//! The book as a whole: its table of contents, its links, what of it is not run and why. Needs nothing but the tree.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use usher_tests::catalog::root;

use crate::{
    WALKED,
    page::{self, Deed},
};

#[test]
fn the_table_of_contents_has_every_page_once() {
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    let mut listed: Vec<_> = links(&summary).map(|(_, to)| to.to_owned()).collect();
    listed.sort();
    let there: Vec<_> = book().into_iter().filter(|it| it != "SUMMARY.md").collect();
    assert_eq!(listed, there);
}

#[test]
fn the_book_is_made_of_this_directory_and_of_nothing_on_the_network() {
    let text = fs::read_to_string(root().join("docs/book.toml")).unwrap();
    let settings: toml::Table = text.parse().unwrap();
    assert_eq!(settings["book"]["src"].as_str(), Some("."));
    assert!(!text.contains("mathjax") && !text.contains("://"), "{text}");
    for name in book() {
        let text = page_text(&name);
        assert!(
            !text.contains("<script") && !pictures_from_afar(&text),
            "{name}"
        );
    }
}

#[test]
fn every_link_leads_somewhere() {
    let mut problems = Vec::new();
    let mut count = 0;
    for name in book() {
        let text = page_text(&name);
        for (line, to) in links(&text).filter(|(_, to)| !to.starts_with("http")) {
            count += 1;
            problems.extend(
                broken(&Path::new("docs").join(&name), to)
                    .map(|what| format!("docs/{name}:{line}: {to}: {what}")),
            );
        }
    }
    for (line, to) in links(&fs::read_to_string(root().join("README.md")).unwrap()) {
        problems.extend(
            broken(Path::new("README.md"), to)
                .map(|what| format!("README.md:{line}: {to}: {what}")),
        );
    }
    assert!(count > 60, "the search finds links no more");
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn every_page_with_commands_is_walked() {
    let mut missing = Vec::new();
    for name in book() {
        let page = page::read(&page_text(&name));
        let path = format!("docs/{name}");
        let types = page.deeds.iter().any(|it| matches!(it, Deed::Type(_)));
        if types && !WALKED.contains(&path.as_str()) {
            missing.push(path.clone());
        }
        let strays = page
            .strays
            .iter()
            .filter(|_| !SKETCHES.contains(&name.as_str()));
        missing.extend(strays.map(|line| format!("{path}:{line}: a command in no console block")));
    }
    assert!(missing.is_empty(), "main.rs walks not through {missing:#?}");
}

/// Each with its reason in the page; more of them only by a change here.
#[test]
fn what_is_not_run_is_counted() {
    let mut counts = BTreeMap::new();
    let mut elsewhere = 0;
    let pages = book().into_iter().map(|it| format!("docs/{it}"));
    for path in pages.chain(["README.md".to_owned()]) {
        let page = page::read(&fs::read_to_string(root().join(&path)).unwrap());
        let mut count = 0;
        for deed in &page.deeds {
            if let Deed::Skip {
                line,
                command,
                reason,
            } = deed
            {
                assert!(reason.len() > 12, "{path}:{line}: why is it not run?");
                if let Some(by) = reason.strip_prefix("typed by ") {
                    is_typed_by(by, &path);
                    elsewhere += 1;
                    continue;
                }
                count += 1;
                println!("{path}:{line}: not run, {reason}: {command}");
            }
        }
        if count > 0 {
            counts.insert(path, count);
        }
    }
    let wanted: BTreeMap<_, _> = NOT_RUN
        .iter()
        .map(|(path, count)| ((*path).to_owned(), *count))
        .collect();
    assert_eq!(counts, wanted);
    assert_eq!(elsewhere, TYPED_ELSEWHERE);
}

/// Another test reads the page for its commands, and so names it.
fn is_typed_by(script: &str, path: &str) {
    let script = script.split(' ').next().unwrap();
    let text = match script {
        "tests/systemd/run" => "tests/systemd/inside",
        other => other,
    };
    let text = fs::read_to_string(root().join(text)).unwrap();
    let name = path.strip_prefix("docs/").unwrap();
    assert!(text.contains(name), "{script} does not type {path}");
}

#[test]
fn the_readme_fits_two_screens_and_keeps_its_two_commands() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let count = readme.lines().count();
    assert!(count <= README_LINES_MAX, "{count} lines");
    for command in [
        "$ cargo run --release --bin usherd -- demo\n",
        "$ ./tests/run\n",
    ] {
        assert!(readme.contains(command), "{command}");
    }
}

#[test]
fn the_checks_themselves_can_fail() {
    let text = "[a](b.md#c) and `[no](x)`\n```\n[nor](y)\n```\n![p](p.svg)";
    let found: Vec<_> = links(text).collect();
    assert_eq!(found, [(1, "b.md#c"), (5, "p.svg")]);
    assert_eq!(
        anchor("`usherd token new`: a *Word*, and 99 %"),
        "usherd-token-new-a-word-and-99-"
    );
    let page = Path::new("docs/policy.md");
    assert_eq!(broken(page, "reference.md#network"), None);
    assert!(broken(page, "reference.md#nothing").is_some());
    assert!(broken(page, "nothing.md").is_some());
    assert!(broken(page, "../README.md").is_some());
}

/// Pages of the book, by their paths within it.
fn book() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(&root().join("docs"), &mut found);
    assert!(found.len() > 20, "the search finds pages no more");
    found
}

fn collect(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|it| it == "md") {
            let name = path.strip_prefix(root().join("docs")).unwrap();
            found.insert(name.display().to_string());
        }
    }
}

fn page_text(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).unwrap()
}

/// Links outside of code, each with its line.
fn links(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    let prose = text.lines().enumerate().filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    prose.flat_map(|(index, line)| {
        let words = line.split('`').step_by(2).collect::<Vec<_>>();
        // A link's words may be code.
        let is_whole = line.contains("](");
        let targets = line
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        let is_prose = move |to: &&str| is_whole && (words.iter().any(|it| it.contains(*to)));
        targets
            .filter(is_prose)
            .map(move |to| (index + 1, to))
            .collect::<Vec<_>>()
    })
}

fn pictures_from_afar(text: &str) -> bool {
    let pictures = text.split("![").skip(1);
    pictures
        .filter_map(|it| it.split_once("]("))
        .any(|(_, to)| to.starts_with("http"))
}

/// What is wrong with a link, if something is.
fn broken(from: &Path, to: &str) -> Option<String> {
    let (path, fragment) = to
        .split_once('#')
        .map_or((to, None), |(path, it)| (path, Some(it)));
    let target = if path.is_empty() {
        from.to_owned()
    } else {
        resolved(from, path)
    };
    if from.starts_with("docs") && !target.starts_with("docs") {
        return Some("leads out of the book, which is shipped without the tree".to_owned());
    }
    let Ok(text) = fs::read_to_string(root().join(&target)) else {
        return Some("is not there".to_owned());
    };
    let wanted = fragment?;
    let headings = text.lines().filter_map(|line| {
        line.trim_start_matches('#')
            .strip_prefix(' ')
            .filter(|_| line.starts_with('#'))
    });
    let is_there = headings.map(anchor).any(|it| it == wanted);
    (!is_there).then(|| "no heading is called so".to_owned())
}

fn resolved(from: &Path, path: &str) -> PathBuf {
    let mut target = from.parent().unwrap().to_owned();
    for part in Path::new(path) {
        if part == ".." {
            target.pop();
        } else {
            target.push(part);
        }
    }
    target
}

/// As mdBook and forges make it of a heading.
fn anchor(heading: &str) -> String {
    let kept = |c: char| match c {
        c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c.to_ascii_lowercase()),
        c if c.is_whitespace() => Some('-'),
        _ => None,
    };
    heading.chars().filter_map(kept).collect()
}

const README_LINES_MAX: usize = 80;

/// Commands that need a booted machine or a built bundle, and have one in another test.
const TYPED_ELSEWHERE: usize = 17;

const NOT_RUN: &[(&str, usize)] = &[
    ("README.md", 2),
    ("docs/existing-tools.md", 2),
    ("docs/how-to/containers.md", 1),
    ("docs/install.md", 3),
    ("docs/tutorials/air-gap.md", 6),
    ("docs/tutorials/vendor.md", 1),
];

/// The contract, whose commands are those that were to be built; other pages show them as they are.
const SKETCHES: &[&str] = &["design.md"];
