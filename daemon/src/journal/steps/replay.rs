//! What a life left in the steps' files: the steps that sled does not hold yet, and whether any is missing (S3).
//!
//! It changes nothing. Older steps may stand anywhere in the files: their places are written over, never cleared.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::JournalError;
use super::super::error::NEXT_NEWER;
use super::heading::{HEADING_LENGTH, Heading, Refused};
use super::record::{MAGIC, STEP_ALIGN, Seed, StepRecord};

/// The steps after the last one that sled holds.
#[derive(Debug, Default)]
pub(in super::super) struct Left {
    /// In order and without a gap, beginning with the next one.
    pub(in super::super) steps: Vec<StepRecord>,
    /// What else was durable once and cannot be read any more: `steps` end before it.
    pub(in super::super) damage: Option<JournalError>,
}

/// Reads the files in `store` for a sled that holds every step up to `held`.
///
/// # Errors
/// A file that cannot be read, or that a newer usherd wrote (S7).
pub(in super::super) fn read(store: &Path, held: u64) -> Result<Left, JournalError> {
    let (mut found, mut damage) = (Vec::new(), None);
    for path in super::paths(store) {
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(JournalError::io("read", &path)(error)),
        };
        match of_file(&bytes, held) {
            Ok(steps) => found.extend(steps),
            Err(Refused::Changed) => {
                let detail = "the heading of this file was changed";
                damage = Some(JournalError::corrupt(&path, detail));
            }
            Err(Refused::Newer(version)) => return Err(newer(path, version)),
        }
    }
    found.sort_by_key(|step| step.place().sequence);
    let (steps, gap) = joined(found, held);
    let gap = gap.map(|detail| JournalError::corrupt(store, detail));
    Ok(Left {
        steps,
        damage: damage.or(gap),
    })
}

/// The steps beyond `held` in the bytes of one file.
pub(super) fn of_file(bytes: &[u8], held: u64) -> Result<Vec<StepRecord>, Refused> {
    let heading = Heading::read(bytes)?;
    let steps = heading.map(|heading| steps_of(&heading.seed, &bytes[HEADING_LENGTH..], held));
    Ok(steps.unwrap_or_default())
}

/// Every step beyond `held` that stands whole after a heading. What was written over in part is none, and nor is a torn one;
/// the search goes on behind it, so that a damaged one does not hide that there were more.
fn steps_of(seed: &Seed, bytes: &[u8], held: u64) -> Vec<StepRecord> {
    let (mut steps, mut at) = (Vec::new(), 0);
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        at += match StepRecord::read(seed, rest) {
            Some(step) => {
                let length = step.bytes().len();
                steps.extend(Some(step).filter(|step| step.place().sequence > held));
                length
            }
            None => next_magic(rest),
        };
    }
    steps
}

/// How far it is to the next place where a step may begin.
fn next_magic(rest: &[u8]) -> usize {
    let places = rest.chunks(STEP_ALIGN).skip(1);
    let free = places
        .take_while(|place| !place.starts_with(&MAGIC))
        .count();
    (free + 1) * STEP_ALIGN
}

/// The steps that follow each other from `held` on, and what is missing before those that do not.
fn joined(found: Vec<StepRecord>, held: u64) -> (Vec<StepRecord>, Option<String>) {
    let (mut steps, mut last) = (Vec::new(), held);
    for step in found {
        let sequence = step.place().sequence;
        if sequence > last + 1 {
            let gap = format!(
                "step {sequence} is there, but step {} is lost or damaged",
                last + 1
            );
            return (steps, Some(gap));
        }
        if sequence == last + 1 {
            last = sequence;
            steps.push(step);
        }
    }
    (steps, None)
}

fn newer(path: PathBuf, version: u8) -> JournalError {
    JournalError::Corrupt {
        path,
        detail: format!("steps of version {version} were written by a newer usherd"),
        next: NEXT_NEWER,
    }
}
