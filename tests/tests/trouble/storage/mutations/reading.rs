//! What stands in a state directory, read by the daemon's own code in the order in which it starts.

use std::path::Path;

use usher_protocol::ids::PublicKey;
use usherd::journal::{self, Journal as _, Live, Restored, SledJournal, SledOptions};
use usherd::records;
use usherd::site::SiteKey;
use usherd::usage::{Entry, LogHead, Reader, UsageError};

/// Everything that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) site: PublicKey,
    /// Live records by key.
    pub(super) live: Vec<(Vec<u8>, Vec<u8>)>,
    /// The usage log: number and body; or what `usherd usage verify` says of it, for a start reads its end alone.
    pub(super) log: Result<Vec<(u64, Vec<u8>)>, String>,
    pub(super) restored: Option<Restored>,
    pub(super) fresh: bool,
}

/// Reads it; the error is what an administrator would be told. Gives the new epoch with it.
pub(super) fn read(state: &Path) -> Result<(Reading, u64), String> {
    let site = SiteKey::load_or_create(state).map_err(|error| error.to_string())?;
    let failed = |error: journal::JournalError| error.to_string();
    let mut journal = SledJournal::open(state, &SledOptions::default()).map_err(failed)?;
    let epoch = journal.acquire(0).map_err(failed)?;
    let loaded = journal.load(epoch).map_err(failed)?;
    let live = journal.all_records(epoch).map_err(failed)?;
    for (key, value) in &live {
        // As the core's start says it.
        records::read(key, value).map_err(|error| format!("{error}; run `usherd repair`"))?;
    }
    journal.resign().map_err(failed)?;
    let head = journal.log_watch().head();
    drop(journal);
    let log = entries(state, head).map_err(|error| error.to_string());
    let reading = Reading {
        site: site.public,
        live,
        log,
        restored: loaded.restored,
        fresh: loaded.fresh,
    };
    Ok((reading, epoch))
}

fn entries(state: &Path, head: LogHead) -> Result<Vec<(u64, Vec<u8>)>, UsageError> {
    let reader = Reader::open(&state.join("usage"), Some(head))?;
    reader
        .map(|entry| entry.map(|Entry { number, body, .. }| (number, body)))
        .collect()
}

/// Repairs as `usherd repair` does.
pub(super) fn repair(state: &Path) -> Result<journal::Rebuilt, String> {
    let mut log = records::Replay::default();
    let mut replay = |entry: &Entry, live: &Live| {
        let event = records::read_event(&entry.body).map_err(|error| error.to_string())?;
        log.play(&event, live).map(|played| played.writes)
    };
    journal::repair(state, None, 0, Some(&mut replay), &SledOptions::default())
        .map_err(|error| error.to_string())
}
