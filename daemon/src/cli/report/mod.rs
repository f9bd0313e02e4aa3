//! `usherd report`: what was used, waited for and denied. Works on the log's files, beside a running daemon or without one.
//!
//! Every entry is proved before it counts, in constant memory. Must not change the log; what a figure means is decided
//! in `report`.

mod table;
mod when;

use std::{
    fs,
    path::{Path, PathBuf},
};

use usher_client::clock::{Clock, local_rfc3339};
use usher_engine::{policy::Policy, record::Event};
use usher_protocol::time::WallMs;

pub(super) use self::when::When;
use super::{
    Failure, print,
    usage::{self, Progress},
};
use crate::{
    config::{Config, Overrides, Places},
    records,
    report::{By, Names, Reckoning, Report, SLICES_MAX, Scope, csv::csv, html::html},
    usage::{LogHead, Reader, UsageError},
};

/// Of which time, by what, and how to print it.
#[derive(Debug, clap::Args)]
pub(super) struct ReportArgs {
    /// From when on: a day such as 2026-11-01, a moment, or so long ago such as `30d` [default: the log's first entry]
    #[arg(long, value_name = "WHEN")]
    from: Option<When>,
    /// Until when, a day to its end [default: now; with --log its last entry]
    #[arg(long, value_name = "WHEN")]
    to: Option<When>,
    /// What a row is
    #[arg(long, value_enum, default_value_t = By::Feature)]
    by: By,
    /// Only this feature
    #[arg(long, value_name = "FEATURE")]
    feature: Option<String>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Call users and hosts by pseudonyms, of a key that nobody keeps
    #[arg(long)]
    pseudonyms: bool,
    /// Call users and hosts by pseudonyms of the key in this file, the same in every report
    #[arg(long, value_name = "FILE")]
    pseudonym_key: Option<PathBuf>,
    /// Read a copy of the usage log in this directory, not the daemon's own
    #[arg(long, value_name = "DIRECTORY")]
    log: Option<PathBuf>,
}

/// For whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// People on a terminal
    Table,
    /// Spreadsheets
    Csv,
    /// Scripts
    Json,
    /// One page with charts, to read and to print
    Html,
}

/// Reckons it and prints it.
pub(super) fn run(args: &ReportArgs, places: &Places) -> Result<(), Failure> {
    let config = Config::load(&Overrides::of_places(places))?;
    let report = reckoned(args, &config)?;
    match args.format {
        Format::Table => print::text(&table::text(&report)),
        Format::Csv => print::text(&csv(&report)),
        Format::Json => print::json(&report),
        Format::Html => print::text(&html(&report, local_rfc3339)),
    }
}

fn reckoned(args: &ReportArgs, config: &Config) -> Result<Report, Failure> {
    let (log, proof) = match &args.log {
        Some(copy) => (copy.clone(), None),
        None => (usage::log_directory(config), Some(proof(config))),
    };
    let mut reckoning = Reckoning::new(scope(args, config, &log)?);
    reckoning.know(&records::told_by_base(&log));
    let reader = match &args.log {
        Some(_) => Reader::open_part(&log),
        None => Reader::open(&log, proof.flatten()),
    };
    let mut progress = Progress::start(&log);
    let outcome = each(reader, &mut progress, |event| {
        reckoning.take(&event);
    });
    progress.end();
    reckoning.begin_with(outcome?);
    Ok(reckoning.end())
}

fn scope(args: &ReportArgs, config: &Config, log: &Path) -> Result<Scope, Failure> {
    let now = Clock::new().now().wall;
    let to = match (&args.to, &args.log) {
        (Some(to), _) => to.end(now),
        (None, None) => now,
        (None, Some(_)) => last(log)?,
    };
    let from = args.from.as_ref().map(|from| from.begin(now));
    if from.is_some_and(|from| from >= to) {
        return Err(Failure::usage(
            "the time ends before it begins: exchange --from and --to",
        ));
    }
    Ok(Scope {
        from,
        to,
        by: args.by,
        feature: args.feature.clone(),
        policy: match args.by {
            By::Group => config
                .load_policy()
                .map_err(|error| Failure::configuration(error.to_string()))?,
            By::Feature | By::User | By::Host => Policy::default(),
        },
        names: names(args)?,
        slices_max: SLICES_MAX,
    })
}

/// The store's own word on how far its log goes, where it is to be had.
fn proof(config: &Config) -> Option<LogHead> {
    usage::proof(config)
        .inspect_err(|failure| {
            eprintln!(
                "usherd: whether the log's end is missing cannot be told: {}",
                failure.message()
            );
        })
        .ok()
}

/// A copy ends with its last entry: what was held then says nothing of today.
fn last(log: &Path) -> Result<WallMs, Failure> {
    let mut last = WallMs::default();
    let mut progress = Progress::start(log);
    let reader = Reader::open_part(log);
    let outcome = each(reader, &mut progress, |event| last = last.max(event.at));
    progress.end();
    outcome.map(|_| last)
}

/// Gives the number of the first entry.
fn each(
    reader: Result<Reader, UsageError>,
    progress: &mut Progress,
    mut take: impl FnMut(Event),
) -> Result<u64, Failure> {
    let mut reader = reader.map_err(|error| usage::unread(&error))?;
    for entry in &mut reader {
        let entry = entry.map_err(|error| usage::unread(&error))?;
        progress.add(&entry);
        take(records::read_event(&entry.body).map_err(|error| {
            Failure::new(format!(
                "entry {} cannot be read: {error}; use the usherd that wrote it, or a newer one",
                entry.number
            ))
        })?);
    }
    Ok(reader.verified().first_number)
}

fn names(args: &ReportArgs) -> Result<Names, Failure> {
    if let Some(path) = &args.pseudonym_key {
        let named = path.display();
        let key = fs::read(path).map_err(|error| {
            Failure::new(format!("cannot read {named}: {error}; make it: {MAKE_KEY}"))
        })?;
        if key.len() < KEY_BYTES_MIN {
            return Err(Failure::new(format!(
                "{named} holds {} bytes, too few to hide anything: {MAKE_KEY}",
                key.len()
            )));
        }
        return Ok(Names::hidden_by(key));
    }
    if !args.pseudonyms {
        return Ok(Names::default());
    }
    let mut key = vec![0; 32];
    getrandom::fill(&mut key)
        .map_err(|error| Failure::new(format!("the system gives no random bytes: {error}")))?;
    Ok(Names::hidden_by(key))
}

const KEY_BYTES_MIN: usize = 16;
const MAKE_KEY: &str = "(umask 077; head -c 32 /dev/urandom > FILE)";
