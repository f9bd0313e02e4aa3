//! The command line: one file per verb. Decides names and flags; each verb's file decides what it
//! prints. Must not decide what the library decides: who is believed, whether a seat is ours.

mod acquire;
mod context;
mod failure;
mod features;
mod output;
mod progress;
mod run;
mod survey;
mod table;

use clap::{Parser, Subcommand};
use context::{Context, Global};
use failure::Failure;
use std::process::ExitCode;

/// Finds a license server, proves it, and holds seats while your programs run
#[derive(Debug, Parser)]
#[command(
    name = "usher",
    version,
    propagate_version = true,
    max_term_width = 100
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List what the servers lend, and how much of it is free
    Features(features::Args),
    /// Run a command while holding seats of a feature
    Run(run::Args),
}

/// Runs the verb that the process's arguments name; what goes wrong is said on standard error.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    match begin(cli) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn begin(cli: Cli) -> Result<ExitCode, Failure> {
    output::trace(cli.global.verbose);
    let context = Context::new(cli.global)?;
    // One thread: a cold start is what a person waits for most.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::local(format!("cannot start a runtime: {error}")))?;
    runtime.block_on(dispatch(&context, cli.verb))
}

async fn dispatch(context: &Context, verb: Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Features(args) => features::features(context, args).await,
        Verb::Run(args) => run::run(context, args).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
