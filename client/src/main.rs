//! The command `usher`: everything it does is in `cli`, but the leash that holds a child.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    match usher_client::process::leash_verb(std::env::args_os()) {
        Some(code) => code,
        None => cli::main(),
    }
}
