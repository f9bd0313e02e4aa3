//! `usher-issuer`: keeps a vendor's private keys and signs pool licenses, off line (T9).
//!
//! Nothing shipped to customers links this crate. `vault` keeps keys, `log` remembers every signature
//! before it is released, `verbs` do what the command line says.

mod cli;
mod clock;
mod error;
mod files;
mod log;
mod passphrase;
mod terms;
mod vault;
mod verbs;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match verbs::run(cli::Cli::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("usher-issuer: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
