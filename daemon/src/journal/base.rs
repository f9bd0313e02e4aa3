//! The base of a usage log whose oldest part was retired: the copy of the live state that is kept in its place, and
//! that a repair goes on from (S2, S6).
//!
//! It decides its name and which copy counts: the one whose digest the newest retirement in the chain names. It must
//! not decide what is retired.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use usher_engine::record::Retirement;

use super::backup::{Record, read_snapshot, verify_snapshot};
use super::open::Format;
use super::survey::{State, read_copy};
use super::{JournalError, SnapshotHeader, SnapshotInfo, StorePaths, files};
use crate::usage::{LogHead, Reader, UsageError};

/// Keeps `copy`, which is in the log's directory `usage` already, as a base; gives its digest.
pub fn keep_base(usage: &Path, copy: &SnapshotInfo) -> Result<[u8; 32], JournalError> {
    let digest = digest_of(&copy.path)?;
    let base = usage.join(name_of(copy.header.log.number, &digest));
    fs::rename(&copy.path, &base).map_err(JournalError::io("name", &base))?;
    files::sync_directory(usage)?;
    Ok(digest)
}

/// The base that `retirement` names, proved to be it.
pub fn base_of(usage: &Path, retirement: &Retirement) -> Result<PathBuf, JournalError> {
    let path = usage.join(name_of(retirement.base, &retirement.base_digest));
    let proved = verify_snapshot(&path).and_then(|_| digest_of(&path));
    let detail = match proved {
        Ok(digest) if digest == retirement.base_digest => return Ok(path),
        Ok(_) => "it is not the copy that the usage log names".to_owned(),
        Err(error @ JournalError::Io { .. }) if path.exists() => return Err(error),
        Err(JournalError::Corrupt { detail, .. }) => detail,
        Err(_) => "it is gone".to_owned(),
    };
    Err(JournalError::Corrupt {
        path,
        detail: format!("the base of the usage log cannot be used: {detail}"),
        next: NEXT_WITHOUT_BASE,
    })
}

/// Bases in `usage` that are older than the one that reaches entry `number`.
pub fn older_bases(usage: &Path, number: u64) -> Result<Vec<PathBuf>, JournalError> {
    let mut bases = list(usage)?;
    bases.retain(|(reaches, _)| *reaches < number);
    Ok(bases.into_iter().map(|(_, path)| path).collect())
}

/// What the newest whole base in `usage` holds under keys that are wanted, for names in what is printed: nothing is
/// decided by it, so nobody has to vouch for it. Nothing where there is none.
pub fn told_by_base(usage: &Path, is_wanted: fn(&[u8]) -> bool) -> Vec<Record> {
    let bases = list(usage).unwrap_or_default();
    let read = |(_, path): &(u64, PathBuf)| {
        let mut wanted = Vec::new();
        let each = |record: Record| {
            wanted.extend(Some(record).filter(|(key, _)| is_wanted(key)));
            Ok(())
        };
        read_snapshot(path, each).ok().map(|_| wanted)
    };
    bases.iter().rev().find_map(read).unwrap_or_default()
}

/// The base of the log in the state directory `state`, if its oldest part was retired.
pub fn retired_base(
    state: &Path,
    format: &Format,
) -> Result<Option<(SnapshotHeader, Vec<Record>)>, JournalError> {
    let paths = StorePaths::new(state);
    let Some(cut) = cut(&paths)? else {
        return Ok(None);
    };
    let (header, state) = cut.base(&paths, format)?;
    Ok(Some((header, state.into_iter().collect())))
}

/// Where a log begins whose oldest part was retired.
pub(super) struct Cut {
    pub(super) begin: LogHead,
    retirement: Retirement,
}

impl Cut {
    /// What a repair goes on from.
    pub(super) fn base(
        &self,
        paths: &StorePaths,
        format: &Format,
    ) -> Result<(SnapshotHeader, State), JournalError> {
        read_copy(&base_of(&paths.usage, &self.retirement)?, format)
    }

    /// What followed a copy can be played only where the log still has it.
    pub(super) fn check_reaches(
        &self,
        copy: &Path,
        header: &SnapshotHeader,
    ) -> Result<(), JournalError> {
        if header.log.number >= self.begin.number {
            return Ok(());
        }
        Err(JournalError::Corrupt {
            path: copy.to_owned(),
            detail: format!(
                "it reaches entry {} of the usage log, of which entries up to {} were retired",
                header.log.number, self.begin.number
            ),
            next: NEXT_TOO_OLD,
        })
    }
}

/// Where the log begins, if an entry in its chain tells that what came before was retired.
pub(super) fn cut(paths: &StorePaths) -> Result<Option<Cut>, JournalError> {
    if !paths.usage.is_dir() {
        return Ok(None);
    }
    let mut reader = Reader::open(&paths.usage, None)?;
    while let Some(next) = reader.next() {
        match next {
            Ok(_) if reader.verified().begin_is_elsewhere => {}
            // A whole log tells of nothing that is missing.
            Ok(_) => return Ok(None),
            // What is proved before the damage counts.
            Err(UsageError::Broken { .. }) => break,
            Err(error) => return Err(error.into()),
        }
    }
    let found = reader.verified();
    Ok(found.retirement().map(|retirement| Cut {
        begin: found.begin,
        retirement,
    }))
}

/// Bases by the entry they reach, the oldest first.
fn list(usage: &Path) -> Result<Vec<(u64, PathBuf)>, JournalError> {
    let failed = || JournalError::io("list", usage);
    let mut bases = Vec::new();
    for entry in fs::read_dir(usage).map_err(failed())? {
        let path = entry.map_err(failed())?.path();
        bases.extend(reach(&path).map(|number| (number, path)));
    }
    bases.sort();
    Ok(bases)
}

fn reach(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    let (digits, _) = name
        .strip_prefix("base-")?
        .strip_suffix(".snapshot")?
        .split_once('-')?;
    (digits.len() == 20).then(|| digits.parse().ok())?
}

/// With the digest in its name, no base ever takes the place of another.
fn name_of(number: u64, digest: &[u8; 32]) -> String {
    let digest = data_encoding::HEXLOWER.encode(&digest[..8]);
    format!("base-{number:020}-{digest}.snapshot")
}

/// The digest that ends a snapshot.
fn digest_of(snapshot: &Path) -> Result<[u8; 32], JournalError> {
    let mut digest = [0; 32];
    let mut file =
        fs::File::open(snapshot).map_err(JournalError::io("open the snapshot", snapshot))?;
    file.seek(SeekFrom::End(-32))
        .and_then(|_| file.read_exact(&mut digest))
        .map_err(JournalError::io("read", snapshot))?;
    Ok(digest)
}

const NEXT_WITHOUT_BASE: &str = "put the retired files back into that directory, or name a backup made since they were retired; while usherd runs, `usherd usage retire` makes a new base; with that directory moved away a repair goes on without the log, and seats are held";
const NEXT_TOO_OLD: &str = "use the log's base instead, the newest base-*.snapshot in the usage directory, or put the retired files back there first; with the usage directory moved away it is restored without the log, and seats are held";
