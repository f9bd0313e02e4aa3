//! What leaves on standard output, and the trace on standard error. A closed pipe is no error: the
//! reader has had enough.

use super::failure::Failure;
use serde::Serialize;
use std::io::{ErrorKind, Write};

/// Prints text as it is.
pub(crate) fn text(text: &str) -> Result<(), Failure> {
    written(std::io::stdout().lock().write_all(text.as_bytes()))
}

/// Prints one JSON value and a line end.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::local(format!("cannot print JSON: {error}")))?;
    text.push('\n');
    self::text(&text)
}

/// With `-v`, lets the library say what it tries.
pub(crate) fn trace(verbose: bool) {
    if verbose {
        tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .with_max_level(tracing::Level::DEBUG)
            .init();
    }
}

fn written(result: std::io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::local(format!("cannot print: {error}")))
        }
        _ => Ok(()),
    }
}
