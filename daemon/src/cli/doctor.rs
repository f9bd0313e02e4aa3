//! `usherd doctor`: is everything there that lending needs? What is looked at is decided in `doctor`.

use super::{Failure, print};
use crate::{
    config::{Config, Overrides, Places},
    doctor,
};

/// How to print it, and when to fail.
#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    /// Fail on warnings, too
    #[arg(long)]
    strict: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Looks, prints, and ends with 1 where something does not work.
pub(super) fn run(args: &DoctorArgs, places: &Places) -> Result<(), Failure> {
    let check_up = match Config::load(&Overrides::of_places(places)) {
        Ok(config) => doctor::check_up(&config),
        Err(error) => doctor::without_configuration(&error.to_string()),
    };
    if args.json {
        print::json(&check_up)?;
    } else {
        print::text(&check_up.to_string())?;
    }
    if check_up.passes(args.strict) {
        return Ok(());
    }
    Err(Failure::said(1))
}
