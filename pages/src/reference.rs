//! A program's whole command line as one Markdown page. Decides how it looks; every word in it is the program's own.

use std::fmt::Write as _;

use clap::{Arg, Command};

/// The page of `program`, a heading for each verb that is shown.
pub(super) fn page(program: Command) -> String {
    let name = program.get_name().to_owned();
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let mut text = format!("# `{name}`\n\n{WARNING}\n");
    verb(&program, &name, &mut text);
    text
}

fn verb(command: &Command, name: &str, text: &mut String) {
    let is_program = !name.contains(' ');
    if !is_program {
        let _ = write!(text, "\n## `{name}`\n");
    }
    let about = command.get_long_about().or_else(|| command.get_about());
    if let Some(about) = about {
        let _ = write!(text, "\n{}.\n", about.to_string().trim_end_matches('.'));
    }
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let _ = write!(text, "\n```text\n{usage}\n```\n");
    options(command, is_program, text);
    for inner in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        verb(inner, &format!("{name} {}", inner.get_name()), text);
    }
}

/// Those that all verbs take stand once, with the program.
fn options(command: &Command, is_program: bool, text: &mut String) {
    let shown = |arg: &&Arg| {
        let everywhere = arg.is_global_set() && !is_program;
        let usual = ["help", "version"].contains(&arg.get_id().as_str());
        !arg.is_hide_set() && !everywhere && !usual
    };
    let rows: Vec<_> = command.get_arguments().filter(shown).map(row).collect();
    if !rows.is_empty() {
        let _ = write!(text, "\n| option | what |\n|---|---|\n{}", rows.concat());
    }
}

fn row(arg: &Arg) -> String {
    let help = arg.get_long_help().or_else(|| arg.get_help());
    let mut what = help.map(ToString::to_string).unwrap_or_default();
    let values = arg.get_possible_values();
    let values: Vec<_> = values.iter().filter(|it| !it.is_hide_set()).collect();
    let takes_a_value = arg.get_action().takes_values();
    if takes_a_value && !values.is_empty() {
        let names: Vec<_> = values.iter().map(|it| code(it.get_name())).collect();
        let _ = write!(what, "; one of {}", names.join(", "));
    }
    let defaults = arg.get_default_values().iter();
    let defaults: Vec<_> = defaults.map(|it| code(&it.to_string_lossy())).collect();
    if takes_a_value && !defaults.is_empty() {
        let _ = write!(what, "; default {}", defaults.join(", "));
    }
    if let Some(variable) = arg.get_env() {
        let _ = write!(what, "; variable {}", code(&variable.to_string_lossy()));
    }
    format!("| {} | {} |\n", code(&form(arg)), cell(&what))
}

/// `-q, --quiet`, `--server <ADDR>`, `<FILE>…`
fn form(arg: &Arg) -> String {
    let value = value(arg);
    let many = if arg.get_num_args().is_some_and(|it| it.max_values() > 1) {
        "…"
    } else {
        ""
    };
    let names = [
        arg.get_short().map(|it| format!("-{it}")),
        arg.get_long().map(|it| format!("--{it}")),
    ];
    let names: Vec<String> = names.into_iter().flatten().collect();
    if names.is_empty() {
        return format!("{value}{many}");
    }
    let names = names.join(", ");
    if arg.get_action().takes_values() {
        format!("{names} {value}{many}")
    } else {
        names
    }
}

fn value(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    let names: Vec<_> = names.iter().map(|it| format!("<{it}>")).collect();
    if names.is_empty() {
        format!("<{}>", arg.get_id().as_str().to_uppercase())
    } else {
        names.join(" ")
    }
}

fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

/// One line of a table, in which nothing is taken for HTML.
fn cell(text: &str) -> String {
    let one_line: Vec<_> = text.split_whitespace().collect();
    let one_line = one_line.join(" ");
    if one_line.contains("\\|") {
        return one_line;
    }
    one_line.replace('|', "\\|").replace('<', "&lt;")
}

const WARNING: &str =
    "<!-- Made of the program's own command line: change that, then run tests/book. -->";

#[cfg(test)]
mod tests {
    use clap::ArgAction;

    use super::*;

    #[test]
    fn each_verb_and_option_that_is_shown_stands_there() {
        let new = Command::new("new")
            .about("Makes one")
            .arg(Arg::new("name").help("What to call it <here>"))
            .arg(
                Arg::new("scope")
                    .long("scope")
                    .value_parser(["read", "admin"]),
            )
            .arg(Arg::new("json").long("json").action(ArgAction::SetTrue));
        let program = Command::new("tool")
            .about("A tool")
            .subcommand(Command::new("token").about("Tokens").subcommand(new))
            .subcommand(Command::new("secret").hide(true));
        let text = page(program);
        assert!(
            text.contains("\n## `tool token new`\n\nMakes one.\n"),
            "{text}"
        );
        assert!(
            text.contains("| `<NAME>` | What to call it &lt;here> |"),
            "{text}"
        );
        assert!(
            text.contains("| `--scope <SCOPE>` | ; one of `read`, `admin` |"),
            "{text}"
        );
        assert!(text.contains("| `--json` |"), "{text}");
        assert!(
            !text.contains("secret") && !text.contains("--help"),
            "{text}"
        );
    }
}
