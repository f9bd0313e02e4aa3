//! `usherd serve`: the flags of the daemon.

use super::Failure;
use crate::config::{Config, Overrides, Places};

/// What `serve` takes beside the places.
#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    overrides: Overrides,
}

/// Serves until told to stop.
pub(super) fn run(args: ServeArgs, places: Places) -> Result<(), Failure> {
    let overrides = Overrides {
        places,
        ..args.overrides
    };
    let config = Config::load(&overrides)?;
    let _ = config;
    Ok(())
}
