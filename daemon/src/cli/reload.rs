//! `usherd check` and `usherd reload`: is a configuration good, and take it.

use std::path::{Path, PathBuf};

use super::{Failure, admin, print::plain};
use crate::{
    admin::protocol::{Answer, Ask},
    config::{CONFIG_PATH, Config, Overrides, Places},
};

/// What to check.
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// The file [default: the one that `serve` would read]
    file: Option<PathBuf>,
}

/// Reads the file as `serve` would, touches nothing.
pub(super) fn check(args: CheckArgs, places: &Places) -> Result<(), Failure> {
    let mut overrides = Overrides::of_places(places);
    if args.file.is_some() {
        overrides.places.config = args.file;
    }
    let config = Config::load(&overrides)?;
    match &config.file {
        Some(file) => println!("{}: good", file.display()),
        None => println!("{} are good", default_words()),
    }
    let policy = config
        .load_policy()
        .map_err(|error| Failure::configuration(error.to_string()))?;
    println!("policy: {}", of_policy(&config.policy, &policy.summary()));
    Ok(())
}

/// Lets the running daemon read its configuration anew.
pub(super) fn reload(places: &Places) -> Result<(), Failure> {
    match admin(places)?.ask(Ask::Reload)? {
        Answer::Reloaded(report) => {
            let file = report
                .file
                .map_or_else(default_words, |file| file.display().to_string());
            println!("reloaded: {file}");
            println!("policy: {}", of_policy(&report.policy_file, &report.policy));
            if !report.restart_needed_by.is_empty() {
                let names = report.restart_needed_by.join(", ");
                println!(
                    "changed, but only a restart makes it so: {names} (systemctl restart usherd)"
                );
            }
            Ok(())
        }
        other => Err(Failure::of_answer(other)),
    }
}

fn default_words() -> String {
    format!("no file {CONFIG_PATH}: the defaults")
}

/// Where it is and what it holds; a policy need not exist.
fn of_policy(file: &Path, summary: &str) -> String {
    if file.exists() {
        format!("{}: {}", file.display(), plain(summary))
    } else {
        format!("no file {}: no rules", file.display())
    }
}
