//! Puts changes in the order of time: a wait and a denial are told when they are over.
//!
//! What lies further back than [`REACH_MS`] is believed to be complete, and too many changes at once are as well:
//! memory stays bounded, and a wait longer than that begins later than it did.

use std::{collections::BTreeMap, rc::Rc};

use usher_protocol::{
    ids::LeaseId,
    time::{DurationMs, WallMs},
};

use super::{row::Outcome, rows::RowId};

/// Something that happened to some rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    pub(super) rows: Rc<[RowId]>,
    pub(super) what: What,
}

/// What.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    /// A lease is out from now on.
    Enter {
        lease: LeaseId,
        share: LeaseId,
        seats: u32,
    },
    /// It is over.
    Leave { lease: LeaseId, share: LeaseId },
    /// Somebody stands in the queue from now on.
    WaitBegins { seats: u32 },
    /// And no more.
    WaitEnds { seats: u32 },
    /// A request came that ended so.
    Asked(Outcome),
}

/// Changes that may still get company before them.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    waiting: BTreeMap<(WallMs, u64), Change>,
    number: u64,
    /// What is before that has been given out.
    swept: WallMs,
}

impl Timeline {
    /// Something happened at that moment; of one moment, what is told first is first.
    pub(super) fn push(&mut self, at: WallMs, rows: &Rc<[RowId]>, what: What) {
        let rows = Rc::clone(rows);
        self.number += 1;
        self.waiting
            .insert((at.max(self.swept), self.number), Change { rows, what });
    }

    /// The next change that nothing can come before any more.
    pub(super) fn ripe(&mut self, now: WallMs) -> Option<(WallMs, Change)> {
        let ((at, _), _) = self.waiting.first_key_value()?;
        let is_ripe = at.plus(REACH_MS) <= now || self.waiting.len() > WAITING_MAX;
        if is_ripe { self.next() } else { None }
    }

    /// The next change, at the end of all.
    pub(super) fn next(&mut self) -> Option<(WallMs, Change)> {
        let ((at, _), change) = self.waiting.pop_first()?;
        self.swept = at;
        Some((at, change))
    }
}

/// Waits are seldom longer than a day.
pub(super) const REACH_MS: DurationMs = DurationMs::days(1);
const WAITING_MAX: usize = 200_000;
