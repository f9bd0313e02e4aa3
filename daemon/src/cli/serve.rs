//! `usherd serve`: the flags of the daemon.

use std::io::IsTerminal as _;

use tracing_subscriber::fmt::{format::Writer, time::FormatTime};
use usher_client::clock::{Clock, local_rfc3339};

use super::Failure;
use crate::{
    config::{Config, Overrides, Places, unknown_variables},
    serve,
};

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
    log_to_stderr(tracing::Level::INFO);
    for name in
        unknown_variables(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
    {
        tracing::warn!("the variable {name} means nothing to usherd: a typing error?");
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

/// Standard error, which the service manager keeps; it also dates the lines there.
pub(super) fn log_to_stderr(usual: tracing::Level) {
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let level = std::env::var("USHERD_LOG")
        .ok()
        .and_then(|level| level.parse().ok())
        .unwrap_or(usual);
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_max_level(level);
    // Fails only where a log is set up already, as in a program that links this library.
    if journal {
        drop(log.without_time().try_init());
    } else {
        drop(log.with_timer(LocalTime).try_init());
    }
}

/// Local time with its offset, as everywhere a person reads.
struct LocalTime;

impl FormatTime for LocalTime {
    fn format_time(&self, to: &mut Writer<'_>) -> std::fmt::Result {
        to.write_str(&local_rfc3339(Clock::new().now().wall))
    }
}
