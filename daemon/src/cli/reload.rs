//! `usherd check` and `usherd reload`: is a configuration good, and take it.

use std::path::PathBuf;

use super::{Failure, admin};
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
        None => println!("no file {CONFIG_PATH}: the defaults are good"),
    }
    Ok(())
}

/// Lets the running daemon read its configuration anew.
pub(super) fn reload(places: &Places) -> Result<(), Failure> {
    match admin(places)?.ask(Ask::Reload)? {
        Answer::Reloaded(report) => {
            let file = report
                .file
                .map_or("defaults".to_owned(), |file| file.display().to_string());
            println!("reloaded: {file}");
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
