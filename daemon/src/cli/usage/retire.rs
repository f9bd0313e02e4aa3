//! `usherd usage retire`: moves the oldest files of the usage log to another directory (S2).
//!
//! It decides which files are old enough. The running daemon first keeps what a repair goes on from in their place and
//! tells of it in the log; only then files are moved, the oldest first. A run that was cut short is finished by another.

use std::path::{Path, PathBuf};

use usher_client::{clock::Clock, paths::files::private_directory};
use usher_engine::record::Retirement;
use usher_protocol::time::WallMs;

use super::{Progress, log_directory, proof, unread};
use crate::{
    admin::{
        client::AdminClient,
        protocol::{Answer, Ask},
    },
    cli::{Failure, print, report::When},
    config::Config,
    journal, records,
    usage::{LogHead, Reader, relocate, told_in},
};

/// What is old, and where it goes.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RetireArgs {
    /// Files whose entries are all older: than a day such as 2026-01-01, a moment, or a length of time such as `365d`
    #[arg(long, value_name = "WHEN")]
    before: When,
    /// The directory they are moved to, made if it is not there; nothing in it is overwritten
    #[arg(long, value_name = "DIRECTORY")]
    to: PathBuf,
}

/// Does it.
pub(super) fn retire(args: &RetireArgs, config: &Config) -> Result<(), Failure> {
    let log = log_directory(config);
    let mut daemon = AdminClient::connect(&config.admin_socket).map_err(|error| {
        if error.is_not_running() {
            return Failure::new(
                "usherd is not running; start it first: it keeps what a repair goes on from, and tells of it in the log",
            );
        }
        error.into()
    })?;
    let found = look(&log, proof(config)?)?;
    let old = found.older(args.before.begin(Clock::new().now().wall));
    if !old.is_empty() {
        directory(&args.to, &log)?;
    }
    let retirement = match found.due(&log, old) {
        Some(place) => {
            let through = Some(place.into());
            match daemon.ask(Ask::LogRetire { through })? {
                Answer::LogRetired { base } => Some(base),
                other => return Err(Failure::of_answer(other)),
            }
        }
        None if old.is_empty() => return none_old(&mut daemon, &found),
        None => found.told.map(|it| it.base),
    };
    let moved = relocated(&log, old, retirement, &args.to)?;
    print::text(&done(old, &moved, &args.to))
}

/// A file of the log that is not in use any more.
struct File {
    path: PathBuf,
    entries: u64,
    end: LogHead,
    newest: WallMs,
}

/// What the log holds.
struct Found {
    /// The oldest first, without the one in use.
    closed: Vec<File>,
    /// The newest retirement that it tells of.
    told: Option<Retirement>,
}

impl Found {
    /// Files whose entries are all older, with none before them that is not.
    fn older(&self, before: WallMs) -> &[File] {
        let is_old = |file: &&File| file.newest < before;
        let count = self.closed.iter().take_while(is_old).count();
        &self.closed[..count]
    }

    /// Up to where a new retirement is to be told, if one is: for files that none tells of yet, or for a base that is lost.
    fn due(&self, log: &Path, old: &[File]) -> Option<LogHead> {
        let cut = old.last().map(|file| file.end);
        let Some(told) = self.told else { return cut };
        let place = LogHead {
            number: told.through,
            hash: told.hash,
        };
        match cut {
            Some(cut) if cut.number > place.number => Some(cut),
            _ => journal::base_of(log, &told).is_err().then_some(place),
        }
    }
}

/// The whole log is proved before anything is moved.
fn look(log: &Path, proof: LogHead) -> Result<Found, Failure> {
    let mut reader = Reader::open(log, Some(proof)).map_err(|error| unread(&error))?;
    let mut progress = Progress::start(log);
    let mut files: Vec<File> = Vec::new();
    let mut told = None;
    while let Some(entry) = reader.next() {
        let entry = entry.map_err(|error| unread(&error))?;
        progress.add(&entry);
        told = told_in(&entry).or(told);
        let event = records::read_event(&entry.body)
            .map_err(|error| Failure::new(format!("entry {}: {error}", entry.number)))?;
        let path = reader.segment().unwrap_or(log);
        if files.last().is_none_or(|file| file.path != path) {
            files.push(File {
                path: path.to_owned(),
                entries: 0,
                end: LogHead::default(),
                newest: WallMs::default(),
            });
        }
        if let Some(file) = files.last_mut() {
            file.entries += 1;
            file.end = reader.verified().head;
            file.newest = file.newest.max(event.at);
        }
    }
    progress.end();
    // The newest may still be written to.
    files.pop();
    Ok(Found {
        closed: files,
        told,
    })
}

/// The files, then older bases: theirs is the one that the newest retirement names.
fn relocated(
    log: &Path,
    old: &[File],
    base: Option<u64>,
    to: &Path,
) -> Result<Vec<PathBuf>, Failure> {
    let bases = journal::older_bases(log, base.unwrap_or_default())
        .map_err(|error| Failure::new(error.to_string()))?;
    // With nothing old there is no directory to move them to.
    let bases = bases.iter().filter(|_| !old.is_empty());
    let files = old.iter().map(|file| &file.path).chain(bases);
    let moved: Result<_, _> = files.map(|file| relocate(file, to)).collect();
    moved.map_err(|error| {
        Failure::new(format!(
            "{error}; what is moved already is whole there, and the log verifies as it is: run this once more when that is mended"
        ))
    })
}

fn directory(to: &Path, log: &Path) -> Result<(), Failure> {
    let failed = |error| {
        let to = to.display();
        Failure::new(format!("cannot use {to}: {error}; name another directory"))
    };
    private_directory(to).map_err(failed)?;
    let to = to.canonicalize().map_err(failed)?;
    if to.starts_with(log.canonicalize().map_err(failed)?) {
        return Err(Failure::usage(
            "what is retired leaves the log's own directory: name another one",
        ));
    }
    Ok(())
}

/// The file in use ends here, so that the next call finds it apart from what comes now.
fn none_old(daemon: &mut AdminClient, found: &Found) -> Result<(), Failure> {
    match daemon.ask(Ask::LogRetire { through: None })? {
        Answer::Done => {}
        other => return Err(Failure::of_answer(other)),
    }
    let why = match found.closed.first() {
        Some(file) => format!(
            "the oldest file of the log has entries up to {}",
            usher_client::clock::local_rfc3339(file.newest)
        ),
        None => "the log is one file, and that is in use".to_owned(),
    };
    print::text(&format!(
        "nothing was moved: {why}\n  what is written from now on goes to another file, to be retired apart from what is there\n"
    ))
}

fn done(old: &[File], moved: &[PathBuf], to: &Path) -> String {
    let entries: u64 = old.iter().map(|file| file.entries).sum();
    let Some(last) = old.last() else {
        return "✓ the log has a new base; nothing was moved\n".to_owned();
    };
    let (end, files) = (last.end.number, print::counted(moved.len() as u64, "file"));
    let first = end + 1 - entries;
    let to = to.display();
    format!(
        "✓ {files} moved to {to}, entries {first} to {end}; the log goes on from entry {}\n  \
         keep them as long as you need them; to prove them: usherd usage verify --log {to}\n",
        end + 1
    )
}
