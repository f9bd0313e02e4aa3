//! Lines for people on standard error, dated with local time and offset, as everywhere a person reads.

use std::{
    fmt::{self, Write as _},
    io::IsTerminal as _,
};

use tracing::{
    Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    field::RecordFields,
    fmt::{FormatFields, format::Writer, time::FormatTime},
    registry::LookupSpan,
};
use usher_client::clock::{Clock, local_rfc3339};

use super::fields::is_for_journal;

/// Writes every event as one line.
pub(super) fn layer<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
    // The service manager dates lines itself, also those that reach the journal as a stream.
    let managed = std::env::var_os("JOURNAL_STREAM").is_some();
    let terminal = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(terminal)
        .with_target(false)
        .fmt_fields(Words);
    if managed {
        lines.without_time().boxed()
    } else {
        lines.with_timer(LocalTime).boxed()
    }
}

struct LocalTime;

impl FormatTime for LocalTime {
    fn format_time(&self, to: &mut Writer<'_>) -> fmt::Result {
        to.write_str(&local_rfc3339(Clock::new().now().wall))
    }
}

/// The message, and what it does not say itself.
struct Words;

impl<'w> FormatFields<'w> for Words {
    fn format_fields<R: RecordFields>(&self, mut to: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = Line::default();
        fields.record(&mut line);
        to.write_str(line.message.trim_start())?;
        to.write_str(&line.rest)
    }
}

#[derive(Default)]
struct Line {
    message: String,
    rest: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name if is_for_journal(name) => Ok(()),
            name => write!(self.rest, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_says_its_message_once_and_what_that_leaves_out() {
        let kept = Kept::default();
        let writer = kept.clone();
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .with_target(false)
            .without_time()
            .fmt_fields(Words);
        let log = tracing_subscriber::registry().with(lines);
        tracing::subscriber::with_default(log, || {
            tracing::info!(
                fact = "{\"event\":\"granted\"}",
                notice = true,
                "granted 5-2c"
            );
            tracing::warn!(event = "clone-found", other = 7, "another daemon");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text, " INFO granted 5-2c\n WARN another daemon other=7\n");
    }
}
