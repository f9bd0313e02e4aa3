//! The command line: one file per verb. Decides names and flags; each verb's file decides what it
//! prints. Must not decide what the library decides: who is believed, whether a seat is ours.

mod acquire;
mod borrow;
mod checkout;
mod context;
mod doctor;
mod failure;
mod features;
mod find;
mod give_back;
mod leases;
mod off_line;
mod output;
mod progress;
mod run;
mod status;
mod survey;
mod table;
mod trust;
mod verify;

use clap::{CommandFactory, Parser, Subcommand};
use context::{Context, Global};
use failure::Failure;
use std::process::ExitCode;
use usher_pages::{Pages, Section};

/// Finds a license server, proves it, and holds seats while your programs run
#[derive(Debug, Parser)]
#[command(name = "usher", version, max_term_width = 100)]
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
    /// Take seats for a while, kept in a file and not renewed by itself; prints the lease's id
    Checkout(checkout::CheckoutArgs),
    /// Extend a lease that `checkout` took
    Renew(checkout::RenewArgs),
    /// Give back a lease that `checkout` took
    Release(checkout::ReleaseArgs),
    /// Take seats home: a long lease that works with the network gone and the server off
    Borrow(borrow::Args),
    /// Give back early what `borrow` took
    Return(give_back::Args),
    /// Show the leases that this user keeps on this machine
    Status(status::Args),
    /// Show every server that can be found, trusted or not
    Find(find::Args),
    /// Say what keeps this user from seats, and what to do about it
    Doctor(doctor::Args),
    /// Say which vendors are believed
    Trust(trust::Args),
    /// Check a lease file off line, from the trusted roots down
    Verify(verify::Args),
    #[command(flatten)]
    Pages(Pages),
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
        Verb::Checkout(args) => checkout::checkout(context, args).await,
        Verb::Renew(args) => checkout::renew(context, args).await,
        Verb::Release(args) => checkout::release(context, args).await,
        Verb::Borrow(args) => borrow::borrow(context, args).await,
        Verb::Return(args) => give_back::give_back(context, args).await,
        Verb::Status(args) => status::status(context, args).await,
        Verb::Find(args) => find::find(context, args).await,
        Verb::Doctor(args) => doctor::doctor(context, args).await,
        Verb::Trust(args) => trust::trust(context, args),
        Verb::Verify(args) => verify::verify(context, &args),
        Verb::Pages(pages) => pages
            .make(Cli::command(), Section::User)
            .map(|()| ExitCode::SUCCESS)
            .map_err(|error| Failure::local(format!("cannot write: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_is_short_and_names_every_verb() {
        let help = Cli::command().render_help().to_string();
        insta::assert_snapshot!(help, @r"
        Finds a license server, proves it, and holds seats while your programs run

        Usage: usher [OPTIONS] <COMMAND>

        Commands:
          features     List what the servers lend, and how much of it is free
          run          Run a command while holding seats of a feature
          checkout     Take seats for a while, kept in a file and not renewed by itself; prints the lease's
                       id
          renew        Extend a lease that `checkout` took
          release      Give back a lease that `checkout` took
          borrow       Take seats home: a long lease that works with the network gone and the server off
          return       Give back early what `borrow` took
          status       Show the leases that this user keeps on this machine
          find         Show every server that can be found, trusted or not
          doctor       Say what keeps this user from seats, and what to do about it
          trust        Say which vendors are believed
          verify       Check a lease file off line, from the trusted roots down
          completions  Print what makes a shell complete this program's words
          help         Print this message or the help of the given subcommand(s)

        Options:
              --server <ADDR>    Ask this server, HOST or HOST:PORT, and no other (also: USHER_SERVER)
              --domain <DOMAIN>  Ask the DNS for the servers of this domain, where none is named (also:
                                 USHER_DOMAIN)
              --test             Take seats from test licenses, and from no live one [env: USHER_TEST]
          -q, --quiet            Say nothing but results and errors
          -v, --verbose          Say what is being tried
          -h, --help             Print help
          -V, --version          Print version
        ");
    }

    #[test]
    fn what_makes_no_sense_is_said_before_anybody_is_asked() {
        let wrong = |line: &str| {
            let words = line.split(' ');
            let error = Cli::try_parse_from(words).unwrap_err();
            error
                .to_string()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        insta::assert_snapshot!(wrong("usher checkout solver --for 10"), @"error: invalid value '10' for '--for <D>': not a length of time: expected numbers with the units d, h, m, s, ms, the largest first, like `10m` or `1h30m`");
        insta::assert_snapshot!(wrong("usher run solver true"), @"error: the following required arguments were not provided:");
        insta::assert_snapshot!(wrong("usher run solver --wait 10 -- true"), @"error: invalid value '10' for '--wait <D>': not a length of time: expected numbers with the units d, h, m, s, ms, the largest first, like `10m` or `1h30m`");
        insta::assert_snapshot!(wrong("usher run solver --on-lost shrug -- true"), @"error: invalid value 'shrug' for '--on-lost <WHAT>'");
        insta::assert_snapshot!(wrong("usher release"), @"error: the following required arguments were not provided:");
    }
}
