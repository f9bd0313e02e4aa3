//! Reads the usage log and proves its chain. It must not change a byte of it.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use usher_engine::record::Retirement;

use super::segment::{self, Entry, Found, HEADER_BYTES, Origin, SegmentReader};
use super::{LogHead, UsageError, retired};

/// All entries in order, each proven against the chain before it is given out; memory is constant.
///
/// Ends after the first error. Bytes that a crash left behind the last whole entry are no error: the
/// daemon cuts them off at its next start and writes the entry again from its outbox.
#[derive(Debug)]
pub struct Reader {
    directory: PathBuf,
    waiting: VecDeque<PathBuf>,
    current: Option<SegmentReader>,
    /// The last proven entry; `None` before the first segment was opened.
    at: Option<LogHead>,
    proof: Option<LogHead>,
    /// What is missing at the beginning is asked for.
    is_whole_asked: bool,
    found: Verified,
    ended: bool,
}

/// What a whole, proven log holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Number of the first entry this directory should hold: 1, or later after a restore elsewhere.
    pub first_number: u64,
    /// The place in the chain before that entry.
    pub begin: LogHead,
    /// The last entry.
    pub head: LogHead,
    /// How many entries were read.
    pub entries: u64,
    /// How many segment files were read.
    pub segments: u64,
    /// What came before is elsewhere although the log was not begun anew: it was retired, or removed.
    pub begin_is_elsewhere: bool,
    /// The newest retirement that the log tells of; only looked for where `begin_is_elsewhere`.
    retired: Option<Retirement>,
}

/// Reads the whole log in `directory`. With the store's own `proof`, a missing tail is found as well.
pub fn verify(directory: &Path, proof: Option<LogHead>) -> Result<Verified, UsageError> {
    let mut reader = Reader::open(directory, proof)?;
    for entry in &mut reader {
        entry?;
    }
    Ok(reader.found)
}

impl Verified {
    /// Something is missing at the beginning, and no entry read so far tells why.
    pub(crate) fn is_begin_open(&self) -> bool {
        self.begin_is_elsewhere && self.retirement().is_none()
    }

    /// The newest retirement, if what is missing at the beginning was retired. To be asked at the log's end.
    #[must_use]
    pub fn retirement(&self) -> Option<Retirement> {
        self.retired
            .filter(|it| self.begin_is_elsewhere && retired::vouches(it, self.begin))
    }
}

impl Reader {
    /// Opens the log in `directory`. `proof` is the log's head as the store knows it.
    ///
    /// Where the log's oldest part is missing, a retirement in the chain must tell so; the last call of `next` says
    /// whether one did.
    pub fn open(directory: &Path, proof: Option<LogHead>) -> Result<Self, UsageError> {
        let part = Self::open_part(directory)?;
        Ok(Self {
            proof,
            is_whole_asked: true,
            ..part
        })
    }

    /// Opens a part of a log, such as what was retired. Its chain is proved; what came before and after it is not asked.
    pub fn open_part(directory: &Path) -> Result<Self, UsageError> {
        Ok(Self {
            directory: directory.to_owned(),
            waiting: segment::list(directory)?.into(),
            current: None,
            at: None,
            proof: None,
            is_whole_asked: false,
            found: Verified::default(),
            ended: false,
        })
    }

    /// What was proven so far.
    pub fn verified(&self) -> Verified {
        self.found
    }

    /// The segment that holds the entry given last.
    pub(crate) fn segment(&self) -> Option<&Path> {
        self.current.as_ref().map(|it| it.path.as_path())
    }

    fn advance(&mut self) -> Result<Option<Entry>, UsageError> {
        loop {
            let Some(current) = &mut self.current else {
                if !self.open_next()? {
                    return self.finish();
                }
                continue;
            };
            let due = current.at.number + 1;
            let path = current.path.clone();
            match current.next()? {
                Found::Entry(entry) => {
                    let at = current.at;
                    return self.accept(at, entry, &path).map(Some);
                }
                Found::End => self.current = None,
                Found::Torn if self.waiting.is_empty() => self.current = None,
                Found::Torn => {
                    return Err(UsageError::broken(&path, due, "the segment is cut off"));
                }
                Found::Damaged { number, detail } => {
                    return Err(UsageError::broken(&path, number, detail));
                }
            }
        }
    }

    /// Goes on with the next segment; false when there is none.
    fn open_next(&mut self) -> Result<bool, UsageError> {
        let Some(path) = self.waiting.pop_front() else {
            return Ok(false);
        };
        let due = self.at.map_or(1, |at| at.number + 1);
        let opened = match SegmentReader::open(&path)? {
            Ok(opened) => opened,
            // A crash during rotation; nothing was written there yet.
            Err(Found::Torn) if self.waiting.is_empty() => return Ok(false),
            Err(Found::Damaged { detail, .. }) => {
                return Err(UsageError::broken(&path, due, detail));
            }
            Err(_) => return Err(UsageError::broken(&path, due, "the segment is cut off")),
        };
        self.check_joint(&opened, due)?;
        self.at = Some(opened.at);
        self.found.segments += 1;
        self.found.head = opened.at;
        self.current = Some(opened);
        Ok(true)
    }

    /// A segment must begin where the one before it ended.
    fn check_joint(&mut self, next: &SegmentReader, due: u64) -> Result<(), UsageError> {
        let after = next.header.after;
        let misnamed = segment::first_number(&next.path) != Some(after.number + 1);
        let joint_holds = match self.at {
            None => {
                self.found.first_number = after.number + 1;
                self.found.begin = after;
                self.found.begin_is_elsewhere = next.header.origin == Origin::Continues;
                match next.header.origin {
                    Origin::Begins => after == LogHead::default(),
                    Origin::BeginsAfterRestore => true,
                    // A retirement further on has to vouch for what is missing.
                    Origin::Continues => after.number > 0,
                }
            }
            Some(at) => next.header.origin == Origin::Continues && after == at,
        };
        if misnamed || !joint_holds {
            let detail =
                "the segment does not follow the one before it: one was removed or replaced";
            return Err(UsageError::broken(&next.path, due, detail));
        }
        Ok(())
    }

    fn accept(&mut self, at: LogHead, entry: Entry, path: &Path) -> Result<Entry, UsageError> {
        if self
            .proof
            .is_some_and(|proof| proof.number == at.number && proof.hash != at.hash)
        {
            let detail = "the store knows another hash for it: the log was rewritten";
            return Err(UsageError::broken(path, at.number, detail));
        }
        self.at = Some(at);
        self.found.head = at;
        self.found.entries += 1;
        if self.found.begin_is_elsewhere {
            self.found.retired = retired::told_in(&entry).or(self.found.retired);
        }
        Ok(entry)
    }

    /// What is missing at the beginning was retired, or it was removed.
    fn check_begin(&self) -> Result<(), UsageError> {
        let begin = self.found.begin;
        let is_asked = self.is_whole_asked && self.found.begin_is_elsewhere;
        if !is_asked || self.found.retirement().is_some() {
            return Ok(());
        }
        let detail = format!(
            "the log begins after it, and no entry tells that what came before was retired: it was removed; put the files up to entry {} back if you have them",
            begin.number
        );
        Err(UsageError::broken(&self.directory, begin.number, detail))
    }

    fn finish(&mut self) -> Result<Option<Entry>, UsageError> {
        self.ended = true;
        let last = self.at.unwrap_or_default().number;
        self.check_begin()?;
        match self.proof {
            Some(proof) if proof.number > last => {
                let detail = format!(
                    "the log is cut off: the store knows of entries up to {}",
                    proof.number
                );
                Err(UsageError::broken(&self.directory, last + 1, detail))
            }
            _ => Ok(None),
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Entry, UsageError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let outcome = self.advance();
        self.ended |= outcome.is_err();
        outcome.transpose()
    }
}

impl std::fmt::Debug for SegmentReader {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let proven_bytes = self.offset - HEADER_BYTES as u64;
        write!(out, "{} ({proven_bytes} bytes proven)", self.path.display())
    }
}
