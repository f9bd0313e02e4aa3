//! The command `usher`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match usher_client::process::leash_verb(std::env::args_os()) {
        Some(code) => code,
        None => ExitCode::from(2),
    }
}
