//! `usherd serve`: the flags of the daemon.

use super::Failure;
use crate::{
    config::{Config, Overrides, Places, unknown_variables},
    log, serve,
};

/// What `serve` takes beside the places.
#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    overrides: Overrides,
}

/// Serves until told to stop.
pub(super) fn run(args: ServeArgs, places: Places) -> Result<(), Failure> {
    let is_journal = log::set_up(tracing::Level::INFO);
    let outcome = serve(Overrides {
        places,
        ..args.overrides
    });
    match outcome {
        Err(failure) if is_journal => {
            tracing::error!(event = "ended", "{}", failure.message());
            Err(Failure::said(failure.code()))
        }
        outcome => outcome,
    }
}

fn serve(overrides: Overrides) -> Result<(), Failure> {
    for name in
        unknown_variables(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
    {
        tracing::warn!(
            event = "unknown-variable",
            "the variable {name} means nothing to usherd: a typing error?"
        );
    }
    let config = Config::load(&overrides)?;
    serve::run(config, overrides).map_err(|error| {
        if error.is_configuration() {
            Failure::configuration(error.to_string())
        } else {
            Failure::new(error.to_string())
        }
    })
}
