//! `usherd usage`: read the usage log, prove it, export it. Works on the files, beside a running daemon or without one.
//!
//! Every entry is proved before it is shown, in constant memory. Must not change the log; `retire.rs` alone moves files
//! of it.

mod progress;
mod prove;
mod retire;

use std::{io::IsTerminal as _, path::PathBuf};

use usher_client::clock::Clock;
use usher_protocol::time::{DurationMs, WallMs};

pub(super) use self::progress::Progress;
use super::{
    Failure,
    print::{Out, json_line},
};
use crate::{
    admin::{
        client::AdminClient,
        protocol::{Answer, Ask},
    },
    config::{Config, Overrides, Places},
    facts::{EntryReport, Vendors},
    journal::{self, Format, StorePaths},
    records,
    usage::{LogHead, Reader, UsageError},
};

/// What to do with the log.
#[derive(Debug, clap::Subcommand)]
pub(super) enum UsageVerb {
    /// Print what happened, one event a line
    Show(ShowArgs),
    /// Prove that nothing was edited, removed, or cut off
    Verify(prove::VerifyArgs),
    /// Move the oldest files of the log to another directory; the log verifies without them
    Retire(retire::RetireArgs),
    /// Print every entry as JSON, one object a line (docs/formats.md)
    Export(ExportArgs),
}

/// From when on.
#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// Only what happened since: `2h`, `7d`, or a moment such as 2026-11-22T08:00:00+01:00
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<Since>,
}

/// Which entries.
#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// JSON, the only format there is
    #[arg(long, required = true)]
    json: bool,
    /// The first entry to print, by its number
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    from: u64,
    /// The last entry to print, by its number
    #[arg(long, value_name = "NUMBER", default_value_t = u64::MAX, hide_default_value = true)]
    to: u64,
}

/// A moment, or so long ago.
#[derive(Debug, Clone, Copy)]
enum Since {
    Moment(WallMs),
    Ago(DurationMs),
}

/// Does it.
pub(super) fn run(verb: &UsageVerb, places: &Places) -> Result<(), Failure> {
    let config = Config::load(&Overrides::of_places(places))?;
    match verb {
        UsageVerb::Show(args) => show(args, &config),
        UsageVerb::Verify(args) => prove::verify(args, &config),
        UsageVerb::Retire(args) => retire::retire(args, &config),
        UsageVerb::Export(args) => export(args, &config),
    }
}

fn show(args: &ShowArgs, config: &Config) -> Result<(), Failure> {
    let since = match args.since {
        None => WallMs(0),
        Some(Since::Moment(moment)) => moment,
        Some(Since::Ago(ago)) => WallMs(Clock::new().now().wall.0.saturating_sub(ago.0)),
    };
    let mut out = Out::new();
    let outcome = each(config, Progress::hidden(), |entry| {
        if entry.at < since {
            return Ok(true);
        }
        out.line(&entry.to_string()).map(|()| true)
    });
    // What is proved is shown, also when the log is broken behind it.
    out.end()?;
    outcome
}

fn export(args: &ExportArgs, config: &Config) -> Result<(), Failure> {
    let mut out = Out::new();
    // A bar among the entries themselves would help nobody.
    let progress = if std::io::stdout().is_terminal() {
        Progress::hidden()
    } else {
        Progress::start(&log_directory(config))
    };
    let outcome = each(config, progress, |entry| {
        if entry.number >= args.from && entry.number <= args.to {
            out.line(&json_line(&entry)?)?;
        }
        Ok(entry.number < args.to)
    });
    out.end()?;
    outcome
}

/// Hands over entries in order until `take` has enough. Where the log's beginning is missing, it is read on until an
/// entry tells that it was retired: else what was handed over may be half of what was there.
fn each(
    config: &Config,
    mut progress: Progress,
    mut take: impl FnMut(EntryReport) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let log = log_directory(config);
    catch_up(config);
    let mut vendors = Vendors::named_by(&records::told_by_base(&log));
    let mut reader = Reader::open(&log, None).map_err(|error| unread(&error))?;
    let mut has_enough = false;
    while let Some(entry) = reader.next() {
        let entry = entry.map_err(|error| unread(&error))?;
        progress.add(&entry);
        if !has_enough {
            has_enough = !take(vendors.report(&entry).map_err(Failure::new)?)?;
        }
        if has_enough && !reader.verified().is_begin_open() {
            break;
        }
    }
    progress.end();
    Ok(())
}

/// A running daemon's log follows what it has told by a moment: its status waits for that. Without a daemon, or without
/// the right to ask it, the log is read as it is.
fn catch_up(config: &Config) {
    let daemon = AdminClient::connect(&config.admin_socket);
    let _ = daemon.map(|mut daemon| daemon.ask(Ask::Status));
}

pub(super) fn proof(config: &Config) -> Result<LogHead, Failure> {
    match AdminClient::connect(&config.admin_socket) {
        Ok(mut daemon) => match daemon.ask(Ask::Status)? {
            Answer::Status(status) => Ok(status.log.into()),
            other => Err(Failure::of_answer(other)),
        },
        Err(error) if error.is_not_running() => {
            journal::log_head(&config.state_dir, &Format::current())
                .map_err(|error| Failure::new(error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) fn log_directory(config: &Config) -> PathBuf {
    StorePaths::new(&config.state_dir).usage
}

/// The edge adds the next step.
pub(super) fn unread(error: &UsageError) -> Failure {
    match error {
        UsageError::Io { source, .. } => match source.kind() {
            std::io::ErrorKind::PermissionDenied => Failure::refused(format!(
                "{error}; only usherd's own user and root read it: use sudo"
            )),
            std::io::ErrorKind::NotFound => Failure::new(format!(
                "{error}; no daemon has served here yet, or name its directory with --state-dir"
            )),
            _ => Failure::new(format!("{error}; check the disk and the kernel's log")),
        },
        UsageError::Broken { .. } => Failure::new(format!(
            "the usage log is broken: {error}; keep a copy of it as evidence, then `usherd repair` sets it aside and begins a new one"
        )),
    }
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(ago) = text.parse() {
        return Ok(Since::Ago(ago));
    }
    let moment: jiff::Timestamp = text.parse().map_err(|_| {
        "expected a length of time such as `2h`, or a moment such as 2026-11-22T08:00:00+01:00"
            .to_owned()
    })?;
    Ok(Since::Moment(WallMs(
        u64::try_from(moment.as_millisecond()).unwrap_or(0),
    )))
}
