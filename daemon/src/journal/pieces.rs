//! Cuts a run of steps into pieces that sled takes in one after the other, so that none holds a processor for long.
//!
//! A piece is whole steps: after each of them sled holds what it would hold had less been settled. It must not look at
//! what a step says.

use std::collections::HashMap;
use std::ops::Range;

use super::steps::StepRecord;

/// The places of each piece's steps, in order and without a gap.
///
/// A piece changes at most [`CHANGES_MAX`] keys for good, or it is a single step. What was set and is removed again before
/// the piece ends counts as nothing, as it costs sled nothing: a busy hour of short leases stays one piece.
pub(super) fn pieces(steps: &[StepRecord]) -> Vec<Range<usize>> {
    let (mut pieces, mut first, mut tally) = (Vec::new(), 0, Tally::default());
    for (index, step) in steps.iter().enumerate() {
        tally.add(step);
        if tally.changes > CHANGES_MAX && index > first {
            pieces.push(first..index);
            first = index;
            tally = Tally::default();
            tally.add(step);
        }
    }
    if first < steps.len() {
        pieces.push(first..steps.len());
    }
    pieces
}

/// How many keys a piece changes.
#[derive(Default)]
struct Tally<'a> {
    keys: HashMap<&'a [u8], Key>,
    changes: usize,
}

struct Key {
    /// Its first change in this piece set it: when it is removed again, there was most likely nothing before.
    begins_set: bool,
    counts: bool,
}

impl<'a> Tally<'a> {
    fn add(&mut self, step: &'a StepRecord) {
        for (key, value) in step.writes() {
            let key = self.keys.entry(key).or_insert(Key {
                begins_set: value.is_some(),
                counts: false,
            });
            let counts = value.is_some() || !key.begins_set;
            self.changes = self.changes + usize::from(counts) - usize::from(key.counts);
            key.counts = counts;
        }
    }
}

/// About a third of a millisecond of a processor: whoever wakes to answer waits for no more than that.
const CHANGES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::super::steps::Place;
    use super::super::{Batch, Write};
    use super::*;

    #[test]
    fn no_piece_changes_many_keys_and_none_is_left_out() {
        let apart: Vec<_> = (0..40).map(|it| step(it * 10..it * 10 + 10)).collect();
        let cut = cuts(&apart);
        assert_eq!(
            cut,
            [
                (0, 6),
                (6, 12),
                (12, 18),
                (18, 24),
                (24, 30),
                (30, 36),
                (36, 40)
            ]
        );
        let mostly_alike: Vec<_> = (0..40).map(|it| step(it..it + 10)).collect();
        assert_eq!(cuts(&mostly_alike), [(0, 40)], "49 keys in all");
        assert_eq!(cuts(&[]), []);
    }

    #[test]
    fn what_comes_and_goes_costs_nothing() {
        // Three leases out at any time, a thousand in all.
        let steps: Vec<_> = (3..1000)
            .map(|it| changed(it..it + 1, it - 3..it - 2))
            .collect();
        assert_eq!(cuts(&steps), [(0, 997)]);
        // What was there before is a change when it goes.
        let gone: Vec<_> = (0..100).map(|it| changed(0..0, it..it + 1)).collect();
        assert_eq!(cuts(&gone), [(0, 64), (64, 100)]);
    }

    #[test]
    fn a_large_step_is_a_piece_of_its_own() {
        let steps = [step(0..5), step(10..500), step(600..605)];
        assert_eq!(cuts(&steps), [(0, 1), (1, 2), (2, 3)]);
    }

    fn cuts(steps: &[StepRecord]) -> Vec<(usize, usize)> {
        let pieces = pieces(steps).into_iter();
        pieces.map(|it| (it.start, it.end)).collect()
    }

    fn step(set: Range<u32>) -> StepRecord {
        changed(set, 0..0)
    }

    fn changed(set: Range<u32>, removed: Range<u32>) -> StepRecord {
        let write = |key: u32, value| Write {
            key: key.to_be_bytes().to_vec(),
            value,
        };
        let set = set.map(|key| write(key, Some(vec![1])));
        let batch = Batch {
            writes: set.chain(removed.map(|key| write(key, None))).collect(),
            ..Batch::default()
        };
        StepRecord::new(&[7; 16], Place::default(), &batch, &[]).unwrap()
    }
}
