//! `usherd`, the daemon and its commands. Decides nothing: see `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    usherd::cli::run()
}
