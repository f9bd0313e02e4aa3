//! Style as failing tests: what clippy and rustfmt cannot say about the workspace.
//! Decides nothing about behavior, builds nothing, needs nothing installed.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read the workspace must fail"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A problem is one line, `file:line: what`, so that an editor can jump to it.
type Problems = Vec<String>;

#[test]
fn files_and_functions_stay_small() {
    let mut problems = Problems::new();
    for source in sources() {
        let count = source.lines.len();
        if count > FILE_LINES_MAX {
            problems.push(source.at(1, &format!("{count} lines, at most {FILE_LINES_MAX}")));
        }
        for function in functions(&source.lines) {
            if function.lines > FUNCTION_LINES_MAX {
                let what = format!("function of {} lines, at most 70", function.lines);
                problems.push(source.at(function.line, &what));
            }
        }
    }
    none(&problems);
}

#[test]
fn modules_open_with_what_they_decide() {
    let silent = |source: &Source| !source.lines.first().is_some_and(|l| l.starts_with("//!"));
    let problems = sources()
        .iter()
        .filter(|source| silent(source))
        .map(|source| source.at(1, "does not open with `//!`"))
        .collect::<Problems>();
    none(&problems);
}

#[test]
fn clocks_are_read_in_one_file() {
    // L3: clippy bans the calls; this also catches an `expect` of that lint, and imports under other names.
    let problems = sources()
        .iter()
        .filter(|source| !CLOCK_FILES.iter().any(|file| source.path.ends_with(file)))
        .flat_map(|source| source.code_with(CLOCK_WORDS, "reads a clock outside clock.rs (L3)"))
        .collect::<Problems>();
    none(&problems);
}

#[test]
fn silenced_lints_carry_a_reason() {
    let mut problems = Problems::new();
    for source in sources() {
        problems.extend(source.code_with(ALLOW_WORDS, "use `expect` with a reason"));
        for (line, attribute) in attributes(&source.lines, "expect(") {
            if !attribute.contains("reason = \"") {
                problems.push(source.at(line, "`expect` without a reason"));
            }
        }
    }
    none(&problems);
}

#[test]
fn unsafe_code_is_nowhere() {
    // The compiler forbids it in each crate; the text is searched too, for what no crate of this machine compiles.
    let root = toml_file("Cargo.toml");
    let forbidden =
        |manifest: &toml::Value| text(&manifest["lints"]["rust"], "unsafe_code") == "forbid";
    assert!(forbidden(&root["workspace"]), "Cargo.toml");
    for manifest in manifests() {
        let name = manifest.display();
        let manifest = toml_file(&manifest.to_string_lossy());
        // What is outside the workspace says it itself.
        let shared = manifest["lints"].get("workspace").is_some();
        assert!(shared || forbidden(&manifest), "{name}");
    }
    let mut problems = Problems::new();
    for source in sources() {
        problems.extend(source.code_with(UNSAFE_WORDS, "unsafe code"));
    }
    none(&problems);
}

#[test]
fn nothing_is_left_unfinished() {
    let mut problems = Problems::new();
    for source in sources() {
        problems.extend(source.text_with(UNFINISHED_WORDS, "unfinished"));
        problems.extend(source.text_with(MISSPELLED_WORDS, "American spelling: license"));
    }
    none(&problems);
}

#[test]
fn the_engine_depends_on_nothing_impure() {
    let manifest = toml_file("daemon/engine/Cargo.toml");
    let found = keys(&manifest, "dependencies");
    let strangers: Vec<_> = found
        .iter()
        .filter(|n| !ENGINE_CRATES.contains(&n.as_str()))
        .collect();
    assert!(
        strangers.is_empty(),
        "A1: the engine must not name {strangers:?}"
    );
    assert!(!found.is_empty(), "the manifest was not read");
}

#[test]
fn vendor_key_custody_stays_with_the_issuer() {
    // T9: nothing shipped to a customer links the issuer, asks for a passphrase, or opens encrypted keys.
    for member in members().iter().filter(|member| *member != "issuer") {
        let manifest = toml_file(&format!("{member}/Cargo.toml"));
        let found = keys(&manifest, "dependencies");
        for banned in ["usher-issuer", "rpassword"] {
            assert!(
                !found.contains(banned),
                "T9: {member} must not depend on {banned}"
            );
        }
        let text = manifest.to_string();
        assert!(
            !text.contains("encryption"),
            "T9: {member} must not open encrypted keys"
        );
    }
}

#[test]
fn every_variable_stands_in_the_reference() {
    let reference = fs::read_to_string(root().join("docs/reference.md")).unwrap();
    let mut found = 0;
    let mut problems = Problems::new();
    for source in sources().iter().filter(|it| !it.path.starts_with("tests")) {
        for (number, line) in source.lines.iter().enumerate() {
            for name in variables(line) {
                found += 1;
                if !reference.contains(&format!("`{name}`")) {
                    problems.push(
                        source.at(number + 1, &format!("{name} is not in docs/reference.md")),
                    );
                }
            }
        }
    }
    assert!(found > 10, "the search finds nothing any more");
    none(&problems);
}

#[test]
fn every_event_of_the_log_stands_on_its_page() {
    let page = fs::read_to_string(root().join("docs/logs.md")).unwrap();
    let frozen =
        "daemon/src/facts/snapshots/usherd__facts__entry__tests__every_event_has_its_json.snap";
    let frozen = fs::read_to_string(root().join(frozen)).unwrap();
    let after = |text: &str, mark: &str| -> BTreeSet<String> {
        let found = text.split(mark).skip(1);
        found
            .filter_map(|it| it.split('"').next())
            .map(str::to_owned)
            .collect()
    };
    let mut events = after(&frozen, "\"event\":\"");
    // Told as `serving`; a text is no fact.
    events.remove("started");
    events.remove("license-text");
    for source in sources()
        .iter()
        .filter(|it| it.path.starts_with("daemon/src"))
    {
        events.extend(after(&source.lines.join("\n"), "event = \""));
    }
    let missing: Vec<_> = events
        .iter()
        .filter(|it| !page.contains(&format!("`{it}`")))
        .collect();
    assert!(missing.is_empty(), "not in docs/logs.md: {missing:?}");
    assert!(
        events.contains("granted") && events.contains("serving"),
        "the search finds nothing any more"
    );
}

#[test]
fn dependencies_are_named_once() {
    for member in members() {
        let manifest = toml_file(&format!("{member}/Cargo.toml"));
        for section in ["dependencies", "dev-dependencies"] {
            let Some(table) = manifest.get(section).and_then(toml::Value::as_table) else {
                continue;
            };
            for (name, value) in table {
                let shared = value.get("workspace").and_then(toml::Value::as_bool);
                assert_eq!(
                    shared,
                    Some(true),
                    "{member}: {name} belongs in the root Cargo.toml"
                );
            }
        }
    }
}

#[test]
fn the_lock_file_stays_small_and_from_one_source() {
    let crates = locked_crates("Cargo.lock");
    let count: usize = crates.values().map(Vec::len).sum();
    assert!(
        count <= LOCKED_CRATES_MAX,
        "{count} crates locked, at most {LOCKED_CRATES_MAX}"
    );
    let sources: BTreeSet<_> = crates
        .values()
        .flatten()
        .filter_map(|found| found.source.as_deref())
        .collect();
    assert!(
        sources.len() == 1 && sources.iter().all(|source| source.starts_with("registry+")),
        "one registry and nothing else: {sources:?}"
    );
}

#[test]
fn what_is_fuzzed_is_what_is_shipped() {
    // The fuzz targets are a workspace of their own, with a lock file of its own.
    let shipped = locked_crates("Cargo.lock");
    let mut problems = Problems::new();
    let mut shared = 0;
    for (name, fuzzed) in locked_crates("fuzz/Cargo.lock") {
        let Some(versions) = shipped.get(&name) else {
            continue;
        };
        shared += 1;
        for version in fuzzed.iter().map(|it| &it.version) {
            if !versions.iter().any(|it| it.version == *version) {
                problems.push(format!(
                    "fuzz/Cargo.lock: {name} {version} is not the one of Cargo.lock: cargo update --manifest-path fuzz/Cargo.toml -p {name} --precise VERSION"
                ));
            }
        }
    }
    assert!(shared > 50, "the search finds nothing any more");
    none(&problems);
}

#[test]
fn every_exception_in_deny_toml_has_a_reason_and_a_crate() {
    let deny = toml_file("deny.toml");
    let ignored = array(&deny, "advisories", "ignore");
    assert_eq!(ignored.len(), 3, "three reasoned exceptions, no more");
    let crates = locked_crates("Cargo.lock");
    for entry in ignored {
        let reason = text(&entry, "reason");
        let name = reason.split(':').next().unwrap_or_default();
        assert!(
            crates.contains_key(name),
            "{reason:?} does not start with a locked crate"
        );
    }
    for entry in array(&deny, "bans", "deny") {
        assert!(!text(&entry, "reason").is_empty());
        if entry.get("wrappers").is_none() {
            let name = text(&entry, "name");
            assert!(!crates.contains_key(&name), "{name} is banned and locked");
        }
    }
}

#[test]
fn the_checks_themselves_can_fail() {
    let text =
        "//! Doc.\nfn long() {\n    let a = 1;\n}\n\n#[expect(\n    dead_code\n)]\nfn b() {}\n";
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let found = functions(&lines);
    assert_eq!(
        found.iter().map(|f| (f.line, f.lines)).collect::<Vec<_>>(),
        [(2, 3), (9, 1)]
    );
    assert_eq!(
        attributes(&lines, "expect("),
        [(6, "#[expect(dead_code)]".to_owned())]
    );
    let source = Source {
        path: "x.rs".into(),
        lines: vec!["a(); // Later::now()".into()],
    };
    assert!(source.code_with(&["Later::now"], "clock").is_empty());
    let raw = Source {
        path: "y.rs".into(),
        lines: vec!["let a = unsafe { b() };".into(), "// unsafe {".into()],
    };
    let found = raw.code_with(UNSAFE_WORDS, "unsafe code");
    assert_eq!(found, ["y.rs:1: unsafe code: unsafe "]);
    assert_eq!(
        source.text_with(&["Later::now"], "clock"),
        ["x.rs:1: clock: Later::now"]
    );
}

struct Source {
    path: PathBuf,
    lines: Vec<String>,
}

impl Source {
    fn at(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path.display())
    }

    /// Lines whose code, comments apart, holds one of the words.
    fn code_with(&self, words: &[&str], what: &str) -> Problems {
        self.lines_with(words, what, |line| {
            line.split("//").next().unwrap_or_default()
        })
    }

    /// Lines that hold one of the words anywhere.
    fn text_with(&self, words: &[&str], what: &str) -> Problems {
        self.lines_with(words, what, |line| line)
    }

    fn lines_with(&self, words: &[&str], what: &str, part: fn(&str) -> &str) -> Problems {
        let mut problems = Problems::new();
        for (index, line) in self.lines.iter().enumerate() {
            for word in words.iter().filter(|word| part(line).contains(**word)) {
                problems.push(self.at(index + 1, &format!("{what}: {word}")));
            }
        }
        problems
    }
}

struct Function {
    line: usize,
    lines: usize,
}

/// Functions of formatted source: one begins where `fn` opens a line and ends at the brace of its indentation.
fn functions(lines: &[String]) -> Vec<Function> {
    let mut found = Vec::new();
    for (index, line) in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| opens_function(line))
    {
        let indent = line.len() - line.trim_start().len();
        let end = format!("{}}}", " ".repeat(indent));
        let one_line = line.ends_with('}') || line.ends_with(';');
        let length = if one_line {
            0
        } else {
            lines[index..].iter().position(|l| *l == end).unwrap_or(0)
        };
        found.push(Function {
            line: index + 1,
            lines: length + 1,
        });
    }
    found
}

fn opens_function(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.find(|word| !FUNCTION_PREFIXES.contains(word)) == Some("fn")
}

/// Attributes that name `what`, each put on one line, with the line it begins at.
fn attributes(lines: &[String], what: &str) -> Vec<(usize, String)> {
    let opens = |line: &str| {
        ["#[", "#!["]
            .iter()
            .any(|o| line.trim_start().starts_with(&format!("{o}{what}")))
    };
    let whole = |index: usize| {
        let end = lines[index..]
            .iter()
            .position(|line| line.trim_end().ends_with(")]"))
            .unwrap_or(0);
        lines[index..=index + end]
            .iter()
            .map(|line| line.trim())
            .collect::<String>()
    };
    let starts = lines.iter().enumerate().filter(|(_, line)| opens(line));
    starts.map(|(index, _)| (index + 1, whole(index))).collect()
}

/// All Rust source of the workspace but this file, which has to spell what it bans.
/// Environment variables of ours that a line names as a whole string; those of tests are not ours.
fn variables(line: &str) -> impl Iterator<Item = &str> {
    let is_ours = |word: &&str| {
        let ours = word.starts_with("USHER_") || word.starts_with("USHERD_");
        let name = |c: char| c.is_ascii_uppercase() || c == '_';
        ours && word.chars().all(name)
            && !word.starts_with("USHER_TEST_")
            && !["USHERD_", "USHERD_LISEN"].contains(word)
    };
    line.split('"').skip(1).step_by(2).filter(is_ours)
}

fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&root(), "rs", &mut paths);
    let paths: BTreeSet<_> = paths
        .into_iter()
        .filter(|path| !path.ends_with("tests/tests/tidy.rs"))
        .collect();
    assert!(
        paths.len() > 300,
        "found too few sources to believe it: {paths:?}"
    );
    paths.iter().map(|path| read(path)).collect()
}

/// The crates of the workspace, by their folders.
fn members() -> Vec<String> {
    let members = array(&toml_file("Cargo.toml"), "workspace", "members");
    let names = members.iter().filter_map(toml::Value::as_str);
    names.map(str::to_owned).collect()
}

fn read(path: &Path) -> Source {
    let text = fs::read_to_string(path).unwrap();
    let path = path.strip_prefix(root()).unwrap().to_owned();
    Source {
        path,
        lines: text.lines().map(str::to_owned).collect(),
    }
}

/// Every manifest below the root's own.
fn manifests() -> Vec<PathBuf> {
    let mut paths = Vec::new();
    collect(&root(), "toml", &mut paths);
    let all = paths.iter().filter(|path| path.ends_with("Cargo.toml"));
    let inner = all.filter(|path| path.parent() != Some(&root()));
    let found: Vec<_> = inner.cloned().collect();
    assert!(found.len() >= members().len(), "the search finds too few");
    found
}

fn collect(dir: &Path, extension: &str, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            collect(&path, extension, paths);
        } else if path.extension().is_some_and(|found| found == extension) {
            paths.push(path);
        }
    }
}

struct Locked {
    version: String,
    source: Option<String>,
}

fn locked_crates(file: &str) -> BTreeMap<String, Vec<Locked>> {
    let lock = toml_file(file);
    let mut crates = BTreeMap::<String, Vec<Locked>>::new();
    for package in lock["package"].as_array().unwrap() {
        let source = package
            .get("source")
            .and_then(toml::Value::as_str)
            .map(str::to_owned);
        crates
            .entry(text(package, "name"))
            .or_default()
            .push(Locked {
                version: text(package, "version"),
                source,
            });
    }
    crates
}

fn toml_file(path: &str) -> toml::Value {
    let text = fs::read_to_string(root().join(path)).unwrap();
    toml::Value::Table(text.parse().unwrap())
}

fn keys(manifest: &toml::Value, section: &str) -> BTreeSet<String> {
    let table = manifest.get(section).and_then(toml::Value::as_table);
    table
        .map(|table| table.keys().cloned().collect())
        .unwrap_or_default()
}

fn array(value: &toml::Value, section: &str, key: &str) -> Vec<toml::Value> {
    value[section][key].as_array().unwrap().clone()
}

fn text(value: &toml::Value, key: &str) -> String {
    value[key].as_str().unwrap().to_owned()
}

fn none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

const ENGINE_CRATES: &[&str] = &["serde", "thiserror", "usher-protocol"];
const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
/// Build time on two cores is a feature. A resolver (five crates) and a client of HTTP (two) are the latest that were worth it.
const LOCKED_CRATES_MAX: usize = 275;
const FUNCTION_PREFIXES: &[&str] = &[
    "pub",
    "pub(crate)",
    "pub(super)",
    "const",
    "async",
    "unsafe",
];
/// The issuer only dates what a person signs, and may not depend on the client (T9).
const CLOCK_FILES: &[&str] = &[
    "client/src/clock.rs",
    "issuer/src/clock.rs",
    "tests/src/bin/usher-bench/stopwatch.rs",
];
const CLOCK_WORDS: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "Timestamp::now",
    "Zoned::now",
    "clock_gettime",
    ".elapsed()",
    "UNIX_EPOCH.elapsed",
];
const UNSAFE_WORDS: &[&str] = &[
    "unsafe ",
    "unsafe{",
    "(unsafe_code",
    "no_mangle",
    "link_section",
    "extern \"C\"",
];
const ALLOW_WORDS: &[&str] = &["#[allow(", "#![allow("];
const UNFINISHED_WORDS: &[&str] = &["TODO", "FIXME", "XXX", "todo!(", "unimplemented!("];
const MISSPELLED_WORDS: &[&str] = &["licence", "Licence"];
