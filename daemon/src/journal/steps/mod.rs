//! The steps' files: where a step becomes durable, before sled has it (S1).
//!
//! Two files, filled by turns, each prepared in advance so that a step costs one write in place and one `fdatasync`.
//! A file is written over from its beginning once sled holds every step in it. It decides nothing about the order of
//! steps or what they mean; `settle.rs` brings them to the usage log and to sled, `replay.rs` reads what a crash left.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{JournalError, files};

#[cfg(fuzzing)]
pub(super) mod fuzzing;
mod heading;
mod record;
mod replay;
#[cfg(test)]
mod tests;

pub(super) use record::{Place, StepRecord};
pub(super) use replay::read;

use heading::{HEADING_BYTES, Heading};

use super::Batch;

/// The appender of steps. After an error it must be dropped (S4).
pub(super) struct Steps {
    heading: Heading,
    files: [StepFile; 2],
    /// Which of them the next step goes to, unless it is full.
    turn: usize,
    bytes: u64,
}

struct StepFile {
    path: PathBuf,
    file: File,
    /// Where its next step goes.
    end: u64,
    /// The last step in it that counts; 0 for none.
    last: u64,
}

impl Steps {
    /// Prepares the files in sled's directory `store`, each `bytes` long. Sled must hold every step that is in them:
    /// under their new heading none of them is read again.
    pub(super) fn prepare(store: &Path, bytes: u64) -> Result<Self, JournalError> {
        let heading = Heading::random(store)?;
        let [first, second] = paths(store);
        let files = [
            StepFile::prepare(first, bytes, &heading)?,
            StepFile::prepare(second, bytes, &heading)?,
        ];
        files::sync_directory(store)?;
        Ok(Self {
            heading,
            files,
            turn: 0,
            bytes,
        })
    }

    /// The step that makes `batch` durable, to be appended here; `entries` are its events without their hashes.
    /// `None` for more than a step can say: four gigabytes.
    pub(super) fn step(
        &self,
        place: Place,
        batch: &Batch,
        entries: &[Vec<u8>],
    ) -> Option<StepRecord> {
        StepRecord::new(&self.heading.seed, place, batch, entries)
    }

    /// The step that sled must hold before one of `length` bytes may be appended, if any: nothing grows without end (A3).
    pub(super) fn waits_for(&self, length: usize) -> Option<u64> {
        let [active, other] = self.by_turn();
        let grown = active.end + length as u64 > self.bytes * GROWTH_MAX;
        (grown && active.end > HEADING_BYTES).then_some(other.last)
    }

    /// Makes a step durable. `settled` is the last step that sled holds.
    pub(super) fn append(&mut self, step: &StepRecord, settled: u64) -> Result<(), JournalError> {
        let length = step.bytes().len() as u64;
        let [active, other] = self.by_turn();
        // While sled is behind, a file grows rather than that a grant waits.
        if active.end > HEADING_BYTES && active.end + length > self.bytes && other.last <= settled {
            self.turn = 1 - self.turn;
            self.files[self.turn].end = HEADING_BYTES;
        }
        self.files[self.turn].append(step)
    }

    fn by_turn(&self) -> [&StepFile; 2] {
        [&self.files[self.turn], &self.files[1 - self.turn]]
    }
}

impl StepFile {
    fn prepare(path: PathBuf, bytes: u64, heading: &Heading) -> Result<Self, JournalError> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(JournalError::io("open", &path))?;
        fill(&file, bytes)
            .and_then(|()| heading.write(&file))
            .and_then(|()| file.sync_all())
            .map_err(JournalError::io("prepare", &path))?;
        Ok(Self {
            path,
            file,
            end: HEADING_BYTES,
            last: 0,
        })
    }

    fn append(&mut self, step: &StepRecord) -> Result<(), JournalError> {
        let failed = || JournalError::io("write a step to", &self.path);
        self.file
            .write_all_at(step.bytes(), self.end)
            .map_err(failed())?;
        // S1: nothing is acknowledged before this.
        self.file.sync_data().map_err(failed())?;
        self.end += step.bytes().len() as u64;
        self.last = step.place().sequence;
        Ok(())
    }
}

/// Gives the file this length. Its bytes are written, not only reserved: a step that changes no metadata is synced in
/// half the time.
fn fill(file: &File, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; PREPARED_AT_ONCE];
    let mut at = file.metadata()?.len().min(bytes);
    file.set_len(at)?;
    while at < bytes {
        let piece =
            usize::try_from(bytes - at).map_or(PREPARED_AT_ONCE, |left| left.min(PREPARED_AT_ONCE));
        file.write_all_at(&zeros[..piece], at)?;
        at += piece as u64;
    }
    Ok(())
}

/// Where the steps' files of the store in `store` are.
pub(super) fn paths(store: &Path) -> [PathBuf; 2] {
    ["steps.0", "steps.1"].map(|name| store.join(name))
}

/// A file may grow to so many times its prepared length while sled is behind.
const GROWTH_MAX: u64 = 64;
const PREPARED_AT_ONCE: usize = 256 << 10;
