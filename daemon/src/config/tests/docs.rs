//! The settings of `docs/reference.md` and of the packaged file are those of the code, each with its flag, variable and default.

use clap::{Args as _, Command};

use super::*;

struct Row {
    flag: Option<String>,
    variable: Option<String>,
    /// Of the file: the setting, or the table with its fields.
    words: Vec<String>,
    default: String,
}

#[test]
fn every_flag_and_variable_stands_in_the_reference_and_no_other() {
    let rows = rows();
    let command = Overrides::augment_args(Places::augment_args(Command::new("usherd")));
    let mut found = 0;
    for argument in command.get_arguments() {
        let flag = argument.get_long().unwrap();
        let row = rows.iter().find(|row| row.flag.as_deref() == Some(flag));
        let row = row.unwrap_or_else(|| panic!("--{flag} is not in docs/reference.md"));
        let variable = argument.get_env().map(|it| it.to_string_lossy());
        assert_eq!(row.variable.as_deref(), variable.as_deref(), "--{flag}");
        found += 1;
    }
    assert_eq!(rows.iter().filter(|row| row.flag.is_some()).count(), found);
    let variables = rows.iter().filter_map(|row| row.variable.clone());
    assert_eq!(unknown_variables(variables), Vec::<String>::new());
}

#[test]
fn every_word_of_the_file_stands_in_the_reference_and_no_other() {
    let rows = rows();
    let settings: Vec<&str> = rows
        .iter()
        .filter_map(|row| Some(row.words.first()?.as_str()))
        .collect();
    same(&settings, &expected("nothing = 1\n"));
    for (table, text) in [
        ("http", "[http]\nnothing = 1\n"),
        ("alerts", "[[alerts]]\nnothing = 1\n"),
    ] {
        let row = rows
            .iter()
            .find(|row| row.words.first().is_some_and(|it| it == table));
        let fields: Vec<&str> = row.unwrap().words[1..].iter().map(String::as_str).collect();
        same(&fields, &expected(text));
    }
}

#[test]
fn the_defaults_of_the_reference_are_those_of_the_code() {
    let config = Config::merged(None, ConfigFile::default(), &Overrides::default());
    let HttpListen::WhenWanted(http) = config.http.listen else {
        panic!("{:?}", config.http.listen);
    };
    let defaults = [
        ("state-dir", config.state_dir.display().to_string()),
        ("admin-socket", config.admin_socket.display().to_string()),
        ("policy", config.policy.display().to_string()),
        ("listen", config.listen[0].to_string()),
        ("advertise", config.advertise.to_string()),
        ("serve-test", config.serve_test.to_string()),
        (
            "leases-per-client-max",
            config.leases_per_client_max.to_string(),
        ),
        ("leases-max", config.leases_max.to_string()),
        (
            "connections-per-address-max",
            config.connections_per_address_max.to_string(),
        ),
        ("http", http.to_string()),
    ];
    let rows = rows();
    for (word, default) in defaults {
        let row = rows
            .iter()
            .find(|row| row.words.first().is_some_and(|it| it == word));
        let said = &row.unwrap().default;
        // Numbers are grouped for people.
        let plain = said.replace(|c: char| c.is_whitespace(), "");
        let is_said = plain == default || said.contains(&format!("`{default}`"));
        assert!(
            is_said,
            "{word}: the code says {default}, the reference {said}"
        );
    }
    let row = rows
        .iter()
        .find(|row| row.flag.as_deref() == Some("config"));
    assert!(row.unwrap().default.contains(&format!("`{CONFIG_PATH}`")));
}

/// Everything that only the next start changes is named where an administrator looks for it.
#[test]
fn what_needs_a_restart_stands_in_the_reference() {
    let old = Config::merged(None, ConfigFile::default(), &Overrides::default());
    let file = "listen = [\"127.0.0.1:1\"]\nstate-dir = \"/s\"\nname = \"other\"\nadvertise = false\nadmin-socket = \"/a\"\n\
        connections-per-address-max = 1\nleases-max = 1\nleases-per-client-max = 1\nserve-test = true\npolicy = \"p\"\n\
        [http]\nlisten = []\n[[alerts]]\nurl = \"https://a.example/\"\nsecret-file = \"s\"\n";
    let file = ConfigFile::parse(Path::new("usherd.toml"), file).unwrap();
    let new = Config::merged(None, file, &Overrides::default());
    let page = page("docs/reference.md");
    let (_, sentence) = page.split_once("Only the next start applies ").unwrap();
    let (sentence, _) = sentence.split_once(';').unwrap();
    let said: Vec<String> = quoted(sentence).map(bare).collect();
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    let needed: Vec<String> = old
        .restart_needed_by(&new)
        .into_iter()
        .map(str::to_owned)
        .collect();
    same(&said, &needed);
}

#[test]
fn the_packaged_file_shows_defaults() {
    let page = page("packaging/usherd.toml");
    let shown = page.lines().filter_map(|line| line.strip_prefix("# "));
    let settings: Vec<&str> = shown.filter(|line| line.contains(" = ")).collect();
    assert!(settings.len() >= 7, "{settings:?}");
    let file = ConfigFile::parse(Path::new("usherd.toml"), &settings.join("\n")).unwrap();
    let shown = Config::merged(None, file, &Overrides::default());
    let usual = Config::merged(None, ConfigFile::default(), &Overrides::default());
    let shown = Config {
        // The host's own; and that nobody chose the addresses is all that differs.
        name: usual.name.clone(),
        listen_is_default: true,
        ..shown
    };
    assert_eq!(shown, usual);
}

fn rows() -> Vec<Row> {
    let page = page("docs/reference.md");
    let heading = "| setting | flag | environment | `usherd.toml` | default |\n";
    let (_, table) = page.split_once(heading).unwrap();
    let lines = table
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'));
    let rows: Vec<Row> = lines.map(row).collect();
    assert!(rows.len() >= 14, "{} rows", rows.len());
    rows
}

fn row(line: &str) -> Row {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [_, flag, variable, words, default] = cells[..] else {
        panic!("{line}");
    };
    let flag = quoted(flag).next();
    Row {
        flag: flag.map(|it| bare(it).trim_start_matches("--").to_owned()),
        variable: quoted(variable).next().map(str::to_owned),
        words: quoted(words).map(bare).collect(),
        default: default.to_owned(),
    }
}

fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// `[[alerts]]`, `listen = […]` and `--advertise=BOOL` without what is not their name.
fn bare(word: &str) -> String {
    let name = word.trim_matches(['[', ']']);
    let end = name.find([' ', '=']).unwrap_or(name.len());
    name[..end].to_owned()
}

/// The fields that the code would have expected.
fn expected(text: &str) -> Vec<String> {
    let message = wrong(text);
    let (_, expected) = message.split_once("expected one of ").unwrap();
    quoted(expected.lines().next().unwrap())
        .map(str::to_owned)
        .collect()
}

fn same(one: &[&str], other: &[String]) {
    let (mut one, mut other) = (
        one.to_vec(),
        other.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    one.sort_unstable();
    other.sort_unstable();
    assert_eq!(one, other);
}

fn page(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::read_to_string(root.join(path)).unwrap()
}
