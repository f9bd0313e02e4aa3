//! `usherd usage verify`: proves the log, or a part of it that was retired. Must not change either.

use std::path::{Path, PathBuf};

use super::{Progress, log_directory, proof, unread};
use crate::{
    cli::{Failure, print},
    config::Config,
    journal,
    usage::{LogHead, Reader, Verified},
};

/// Which log.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct VerifyArgs {
    /// Prove what was retired to this directory, and that the daemon's own log goes on where it ends
    #[arg(long, value_name = "DIRECTORY")]
    log: Option<PathBuf>,
}

/// Proves it, to the end.
pub(super) fn verify(args: &VerifyArgs, config: &Config) -> Result<(), Failure> {
    match &args.log {
        None => own(config),
        Some(part) => retired(part, config),
    }
}

/// The store's own word, taken before the log is read, proves that no tail is missing.
fn own(config: &Config) -> Result<(), Failure> {
    let log = log_directory(config);
    let proof = proof(config);
    let known = *proof.as_ref().unwrap_or(&LogHead::default());
    let mut reader = Reader::open(&log, Some(known)).map_err(|error| unread(&error))?;
    through(&mut reader, &log, |_| ())?;
    let found = reader.verified();
    print::text(&verified(&found))?;
    if let Some(retirement) = found.retirement() {
        journal::base_of(&log, &retirement).map_err(|error| {
            Failure::new(format!(
                "the chain holds, but a repair could not go on from it: {error}"
            ))
        })?;
    }
    proof.map(drop).map_err(|failure| {
        Failure::new(format!(
            "the chain holds, but not even the store can say whether its end is missing: {}",
            failure.message()
        ))
    })
}

/// The part alone, and then that it is on the chain of the daemon's own log.
fn retired(part: &Path, config: &Config) -> Result<(), Failure> {
    let mut reader = Reader::open_part(part).map_err(|error| unread(&error))?;
    through(&mut reader, part, |_| ())?;
    let end = reader.verified();
    if end.entries == 0 {
        let part = part.display();
        return Err(Failure::new(format!(
            "{part} holds no entry of a usage log; name the directory that files were retired to"
        )));
    }
    print::text(&verified(&end))?;
    let log = log_directory(config);
    let known = proof(config).ok();
    let mut own = Reader::open(&log, known).map_err(|error| unread(&error))?;
    let mut joins = false;
    through(&mut own, &log, |found| {
        joins |= found.begin == end.head || found.head == end.head;
    })?;
    let found = own.verified();
    let (part, log) = (part.display(), log.display());
    if joins || found.begin == end.head {
        return print::text(&format!("  the log in {log} goes on where they end\n"));
    }
    let why = if end.head.number < found.begin.number {
        let (first, last) = (end.head.number + 1, found.begin.number);
        format!(
            "entries {first} to {last} are in neither; look for another directory that files were retired to"
        )
    } else {
        "it is another log, or one of the two was rewritten".to_owned()
    };
    Err(Failure::new(format!(
        "the chain in {part} holds, but the log in {log} does not go on where it ends: {why}"
    )))
}

fn through(
    reader: &mut Reader,
    log: &Path,
    mut look: impl FnMut(&Verified),
) -> Result<(), Failure> {
    let mut progress = Progress::start(log);
    while let Some(entry) = reader.next() {
        progress.add(&entry.map_err(|error| unread(&error))?);
        look(&reader.verified());
    }
    progress.end();
    Ok(())
}

fn verified(found: &Verified) -> String {
    let begin = match found.first_number {
        0 | 1 => String::new(),
        first if found.begin_is_elsewhere => {
            format!(" (what came before entry {first} was retired)")
        }
        first => format!(" (what came before entry {first} was set aside by a restore or repair)"),
    };
    format!(
        "✓ {} in {}, up to entry {}{begin}\n  head {}\n",
        print::counted_as(found.entries, "entry", "entries"),
        print::counted(found.segments, "file"),
        found.head.number,
        data_encoding::HEXLOWER.encode(&found.head.hash)
    )
}
