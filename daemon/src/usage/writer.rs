//! Appends to the usage log, and mends what a crash left at its end (S2).
//!
//! It must not cut anything the store no longer holds in its outbox.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::segment::{self, Entry, Found, HEADER_BYTES, Header, Origin, SegmentReader};
use super::{LogHead, UsageError};
use crate::durable;

/// The one appender of a log. After an error it must be dropped (S4).
pub(crate) struct Writer {
    directory: PathBuf,
    path: PathBuf,
    file: File,
    at: LogHead,
    /// Length of the current segment in bytes.
    length: u64,
    segment_bytes_max: u64,
}

/// What the store knows of the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// Up to here the log is durable and the outbox empty.
    pub(crate) logged: LogHead,
    /// The last number ever given to an event; `logged.number` < n ≤ this are in the outbox.
    pub(crate) last_number: u64,
}

impl Writer {
    /// Opens the log for appending: cuts a torn tail, and proves that what the store knows is there.
    pub(crate) fn open(
        directory: &Path,
        known: Known,
        segment_bytes_max: u64,
    ) -> Result<Self, UsageError> {
        let segments = segment::list(directory)?;
        let end = match last_proven(directory, &segments, known)? {
            Some(end) => end,
            None if known.logged.number == 0 => {
                return Self::begin(directory, LogHead::default(), segment_bytes_max);
            }
            None => return Err(cut_off(directory, 0, known)),
        };
        if end.at.number < known.logged.number {
            return Err(cut_off(&end.path, end.at.number, known));
        }
        let file = File::options()
            .write(true)
            .open(&end.path)
            .map_err(UsageError::io("open the usage log", &end.path))?;
        let mut writer = Self {
            directory: directory.to_owned(),
            path: end.path,
            file,
            at: end.at,
            length: end.offset,
            segment_bytes_max,
        };
        writer.cut_tail()?;
        Ok(writer)
    }

    /// Begins a log that goes on after `after`: a new log, or one whose earlier part is elsewhere.
    pub(crate) fn begin(
        directory: &Path,
        after: LogHead,
        segment_bytes_max: u64,
    ) -> Result<Self, UsageError> {
        let origin = if after.number == 0 {
            Origin::Begins
        } else {
            Origin::BeginsAfterRestore
        };
        let (path, file) = create_segment(directory, Header { origin, after })?;
        let length = HEADER_BYTES as u64;
        let directory = directory.to_owned();
        Ok(Self {
            directory,
            path,
            file,
            at: after,
            length,
            segment_bytes_max,
        })
    }

    /// The last entry in the log.
    pub(crate) fn at(&self) -> LogHead {
        self.at
    }

    /// Appends encoded entries, in order and durably; gives the new head.
    pub(crate) fn append(
        &mut self,
        encoded: impl IntoIterator<Item = impl AsRef<[u8]>>,
    ) -> Result<LogHead, UsageError> {
        self.append_groups([encoded])?;
        Ok(self.at)
    }

    /// As [`Self::append`], for several groups at once; gives the head after each.
    pub(crate) fn append_groups(
        &mut self,
        groups: impl IntoIterator<Item = impl IntoIterator<Item = impl AsRef<[u8]>>>,
    ) -> Result<Vec<LogHead>, UsageError> {
        let (mut pending, mut heads) = (Vec::new(), Vec::new());
        for group in groups {
            for bytes in group {
                self.put(bytes.as_ref(), &mut pending)?;
            }
            heads.push(self.at);
        }
        self.write(&pending)?;
        Ok(heads)
    }

    /// Links an entry behind what is there and `pending`, which is written out where a segment ends.
    fn put(&mut self, bytes: &[u8], pending: &mut Vec<u8>) -> Result<(), UsageError> {
        let after = segment::link(&self.at, self.at.number + 1, bytes);
        let length = self.length + (pending.len() + bytes.len() + after.hash.len()) as u64;
        if length > self.segment_bytes_max && self.length + pending.len() as u64 > EMPTY {
            self.write(pending)?;
            pending.clear();
            self.rotate()?;
        }
        pending.extend_from_slice(bytes);
        pending.extend_from_slice(&after.hash);
        self.at = after;
        Ok(())
    }

    /// What comes next begins a new segment, so that the one in use can be retired some day.
    pub(crate) fn end_segment(&mut self) -> Result<(), UsageError> {
        if self.length > EMPTY {
            self.rotate()?;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), UsageError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let failed = || UsageError::io("append to the usage log", &self.path);
        self.file.write_all(bytes).map_err(failed())?;
        self.file.sync_data().map_err(failed())?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Everything before is durable, so at most the newest segment can ever be torn.
    fn rotate(&mut self) -> Result<(), UsageError> {
        let header = Header {
            origin: Origin::Continues,
            after: self.at,
        };
        (self.path, self.file) = create_segment(&self.directory, header)?;
        self.length = EMPTY;
        Ok(())
    }

    fn cut_tail(&mut self) -> Result<(), UsageError> {
        let failed = || UsageError::io("cut the torn tail of", &self.path);
        let length = self.file.metadata().map_err(failed())?.len();
        if length > self.length {
            self.file.set_len(self.length).map_err(failed())?;
        }
        // What a life that was killed wrote may be in the page cache alone; from here on it counts as
        // logged and leaves the outbox (S2).
        self.file.sync_all().map_err(failed())?;
        sync_directory(&self.directory)?;
        self.file
            .seek(SeekFrom::Start(self.length))
            .map_err(failed())?;
        Ok(())
    }
}

/// The end of what can be proven, from the segment that holds `known.logged` on; `None` for no log.
fn last_proven(
    directory: &Path,
    segments: &[PathBuf],
    known: Known,
) -> Result<Option<SegmentReader>, UsageError> {
    let begin = segments
        .iter()
        .rposition(|path| segment::first_number(path).is_some_and(|n| n <= known.logged.number))
        .unwrap_or(0);
    let mut end: Option<SegmentReader> = None;
    for (index, path) in segments.iter().enumerate().skip(begin) {
        let is_last = index + 1 == segments.len();
        let due = end.as_ref().map_or(1, |before| before.at.number + 1);
        match SegmentReader::open(path)? {
            Ok(next) => {
                check_joint(end.as_ref(), &next, known)?;
                end = Some(prove(next, is_last, known)?);
            }
            // A crash while the segment was being made: nothing in it was ever acknowledged.
            Err(Found::Torn | Found::Damaged { .. }) if is_last && due > known.logged.number => {
                fs::remove_file(path).map_err(UsageError::io("remove", path))?;
                sync_directory(directory)?;
            }
            Err(Found::Damaged { number, detail }) => {
                return Err(UsageError::broken(path, number, detail));
            }
            Err(_) => return Err(UsageError::broken(path, due, "the segment is cut off")),
        }
    }
    Ok(end)
}

fn check_joint(
    before: Option<&SegmentReader>,
    next: &SegmentReader,
    known: Known,
) -> Result<(), UsageError> {
    let holds = match before {
        Some(before) => before.at == next.header.after && next.header.origin == Origin::Continues,
        // The first segment that is read may begin no later than what the store knows.
        None => next.header.after.number <= known.logged.number,
    };
    if holds && segment::first_number(&next.path) == Some(next.header.after.number + 1) {
        return Ok(());
    }
    let detail = "the segment does not follow the one before it: one was removed or replaced";
    Err(UsageError::broken(
        &next.path,
        next.header.after.number + 1,
        detail,
    ))
}

/// Reads a segment to the end of what holds. Damage is a torn tail only beyond what the store knows.
fn prove(
    mut reader: SegmentReader,
    is_last: bool,
    known: Known,
) -> Result<SegmentReader, UsageError> {
    check_hash(&reader, known.logged)?;
    loop {
        let (number, detail) = match reader.next()? {
            Found::Entry(entry) => {
                check_hash(&reader, known.logged)?;
                check_known(&reader, &entry, known)?;
                continue;
            }
            Found::End => return Ok(reader),
            Found::Torn => (reader.at.number + 1, "the segment is cut off".to_owned()),
            Found::Damaged { number, detail } => (number, detail),
        };
        // S2: only what is still in the outbox may be cut, and only the newest segment can be torn.
        if is_last && reader.at.number >= known.logged.number {
            return Ok(reader);
        }
        return Err(UsageError::broken(&reader.path, number, detail));
    }
}

fn check_hash(reader: &SegmentReader, logged: LogHead) -> Result<(), UsageError> {
    if reader.at.number == logged.number && reader.at.hash != logged.hash {
        let detail = "the store knows another hash for it: the log was rewritten";
        return Err(UsageError::broken(&reader.path, logged.number, detail));
    }
    Ok(())
}

/// L12: a log ahead of its store shows that the store went back.
fn check_known(reader: &SegmentReader, entry: &Entry, known: Known) -> Result<(), UsageError> {
    if entry.number > known.last_number {
        let detail = format!(
            "the store knows of entries up to {} only: it is older than its log",
            known.last_number
        );
        return Err(UsageError::broken(&reader.path, entry.number, detail));
    }
    Ok(())
}

fn cut_off(segment: &Path, last: u64, known: Known) -> UsageError {
    let detail = format!(
        "the log is cut off: the store knows of entries up to {}",
        known.logged.number
    );
    UsageError::broken(segment, last + 1, detail)
}

fn create_segment(directory: &Path, header: Header) -> Result<(PathBuf, File), UsageError> {
    let path = directory.join(segment::file_name(header.after.number + 1));
    let failed = || UsageError::io("begin the segment", &path);
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed())?;
    file.write_all(&header.encode()).map_err(failed())?;
    file.sync_all().map_err(failed())?;
    sync_directory(directory)?;
    Ok((path, file))
}

/// The names in the log's directory, or where a part of it goes, are durable on return.
pub(super) fn sync_directory(directory: &Path) -> Result<(), UsageError> {
    durable::sync(directory).map_err(UsageError::io("sync the directory", directory))
}

/// Length of a segment without entries.
const EMPTY: u64 = HEADER_BYTES as u64;
