//! Which entry of the log vouches for a part that is missing from its beginning (S2).
//!
//! The chain itself proves every entry that is there, and so the hash at which it begins; what it cannot prove is that
//! nobody took away what came before. That an entry of the chain has to say.

use std::path::Path;

use usher_engine::record::{Retirement, What};

use super::segment::{self, SegmentReader};
use super::{Entry, LogHead, UsageError};
use crate::records;

/// The retirement that `entry` tells of, if it tells of one.
pub(crate) fn told_in(entry: &Entry) -> Option<Retirement> {
    match records::read_event(&entry.body).ok()?.what {
        // It can only tell of what was there, and of a copy made when it was.
        What::LogRetired(it) if it.through <= it.base && it.base < entry.number => Some(it),
        _ => None,
    }
}

/// Whether a log may begin there. Files are moved away the oldest first, so a retirement that was cut short leaves a
/// log that begins earlier; then the chain from there on leads over the retirement's own place.
pub(super) fn vouches(retirement: &Retirement, begin: LogHead) -> bool {
    match begin.number.cmp(&retirement.through) {
        std::cmp::Ordering::Less => true,
        std::cmp::Ordering::Equal => begin.hash == retirement.hash,
        std::cmp::Ordering::Greater => false,
    }
}

/// Whether a segment of the log in `directory` begins right after `place`, so that whole ones end there.
pub(crate) fn is_joint(directory: &Path, place: LogHead) -> Result<bool, UsageError> {
    let path = directory.join(segment::file_name(place.number + 1));
    if place.number == 0 || !path.exists() {
        return Ok(false);
    }
    let opened = SegmentReader::open(&path)?;
    Ok(opened.is_ok_and(|it| it.header.after == place))
}
