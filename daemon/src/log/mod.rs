//! Where the daemon's own lines go, and in which form: to systemd's journal with fields that can be searched
//! (docs/logs.md), elsewhere as readable lines on standard error.
//!
//! Decides nothing about what is said. Whoever says something must leave secrets out: what is handed in here is written.

mod fields;
mod journal;
mod plain;

use tracing::Level;
use tracing_subscriber::{Layer, filter::LevelFilter, layer::SubscriberExt as _};

/// From now on lines are written, from `usual` on or as `USHERD_LOG` says. True where systemd's journal gets them: who has
/// last words says them here then, so that they have their fields.
pub fn set_up(usual: Level) -> bool {
    let level = std::env::var("USHERD_LOG")
        .ok()
        .and_then(|level| level.parse().ok())
        .unwrap_or(usual);
    let journal = journal::Journal::of_stderr();
    let is_journal = journal.is_some();
    let lines = match journal {
        Some(journal) => journal.boxed(),
        None => plain::layer().boxed(),
    };
    let log =
        tracing_subscriber::registry().with(lines.with_filter(LevelFilter::from_level(level)));
    // Fails only where a log is set up already, as in a program that links this library.
    drop(tracing::subscriber::set_global_default(log));
    is_journal
}
