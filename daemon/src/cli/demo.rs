//! `usherd demo`: the flags of the demonstration.

use super::Failure;
use crate::demo::{self, Wishes};

/// What `demo` takes.
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// End after the show; the exit code says whether every step worked
    #[arg(long)]
    once: bool,
    /// Seats in the throw-away pool
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    seats: u32,
}

/// Shows, and stays until Ctrl-C.
pub(super) fn run(args: &DemoArgs) -> Result<(), Failure> {
    crate::log::set_up(tracing::Level::WARN);
    let wishes = Wishes {
        once: args.once,
        seats: args.seats,
    };
    demo::run(wishes).map_err(|error| Failure::new(error.to_string()))
}
