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
/// the piece ends counts as nothing, as it costs sled nothing. Where many leases are out for a short time, each is still
/// out where a piece of that length ends, and would cost sled a change in two of them: such a run has longer pieces, of
/// [`CHANGES_MOST`] keys at most, so that all together change little more than the run as a whole.
pub(super) fn pieces(steps: &[StepRecord]) -> Vec<Range<usize>> {
    let run = Run::of(steps);
    let needed = run.cut(usize::MAX).changes;
    let mut changes_max = CHANGES_MAX;
    loop {
        let cut = run.cut(changes_max);
        if cut.changes <= needed + needed / EXCESS_SHARE || changes_max >= CHANGES_MOST {
            return cut.pieces;
        }
        changes_max *= GROWTH;
    }
}

/// The writes of a run of steps.
struct Run {
    /// Of each step: a key's number, and whether it is set.
    steps: Vec<Vec<(usize, bool)>>,
    keys: usize,
}

/// Pieces, and how many keys they change, those that several change counted for each.
struct Cut {
    pieces: Vec<Range<usize>>,
    changes: usize,
}

impl Run {
    fn of(steps: &[StepRecord]) -> Self {
        let mut numbers = HashMap::new();
        let mut number = |key| {
            let next = numbers.len();
            *numbers.entry(key).or_insert(next)
        };
        let of_step = |step| {
            StepRecord::writes(step)
                .map(|(key, value)| (number(key), value.is_some()))
                .collect()
        };
        let steps = steps.iter().map(of_step).collect();
        Self {
            steps,
            keys: numbers.len(),
        }
    }

    fn cut(&self, changes_max: usize) -> Cut {
        let mut cut = Cut {
            pieces: Vec::new(),
            changes: 0,
        };
        let (mut first, mut tally) = (0, Tally::of(self.keys));
        for (index, step) in self.steps.iter().enumerate() {
            let before = tally.changes;
            tally.add(step);
            if tally.changes > changes_max && index > first {
                cut.push(first..index, before);
                first = index;
                tally.begin();
                tally.add(step);
            }
        }
        cut.push(first..self.steps.len(), tally.changes);
        cut
    }
}

impl Cut {
    fn push(&mut self, piece: Range<usize>, changes: usize) {
        if !piece.is_empty() {
            self.pieces.push(piece);
            self.changes += changes;
        }
    }
}

/// How many keys a piece changes.
struct Tally {
    /// By number.
    keys: Vec<Key>,
    piece: usize,
    changes: usize,
}

#[derive(Clone, Copy, Default)]
struct Key {
    /// The piece that the rest is said of; the first is 1.
    piece: usize,
    /// Its first change in this piece set it: when it is removed again, there was most likely nothing before.
    begins_set: bool,
    counts: bool,
}

impl Tally {
    fn of(keys: usize) -> Self {
        Self {
            keys: vec![Key::default(); keys],
            piece: 1,
            changes: 0,
        }
    }

    fn begin(&mut self) {
        self.piece += 1;
        self.changes = 0;
    }

    fn add(&mut self, step: &[(usize, bool)]) {
        for (number, is_set) in step {
            let key = &mut self.keys[*number];
            if key.piece != self.piece {
                *key = Key {
                    piece: self.piece,
                    begins_set: *is_set,
                    counts: false,
                };
            }
            let counts = *is_set || !key.begins_set;
            self.changes = self.changes + usize::from(counts) - usize::from(key.counts);
            key.counts = counts;
        }
    }
}

/// About a third of a millisecond of a processor: whoever wakes to answer waits for no more than that.
const CHANGES_MAX: usize = 64;
/// Or so many times that, and so many times that again, until
const GROWTH: usize = 4;
/// being cut costs at most this part of the run as a whole on top,
const EXCESS_SHARE: usize = 2;
/// or this length: some twenty milliseconds of a thread that steps back behind others.
const CHANGES_MOST: usize = 4096;

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
        let gone: Vec<_> = (0..100)
            .map(|it| changed(0..0, std::iter::once(it)))
            .collect();
        assert_eq!(cuts(&gone), [(0, 64), (64, 100)]);
    }

    /// Two hundred leases out at any time, in steps that lend and take back fifty.
    #[test]
    fn many_short_leases_are_not_brought_to_sled_one_by_one() {
        let lent = |number: u32| number * 50..number * 50 + 50;
        let steps: Vec<_> = (4..400).map(|it| changed(lent(it), lent(it - 4))).collect();
        let cut = cuts(&steps);
        assert!(cut.len() <= 3, "{cut:?}");
        let ends: Vec<_> = cut.iter().map(|it| it.1).collect();
        let begins: Vec<_> = cut.iter().map(|it| it.0).collect();
        assert_eq!((begins[0], ends[cut.len() - 1]), (0, 396));
        assert_eq!(begins[1..], ends[..cut.len() - 1]);
    }

    /// Ten thousand out at any time, a thousand more and a thousand less in each step.
    #[test]
    fn no_piece_is_longer_than_the_longest_for_the_sake_of_the_rest() {
        let lent = |number: u32| number * 1000..number * 1000 + 1000;
        let steps: Vec<_> = (10..60)
            .map(|it| changed(lent(it), lent(it - 10)))
            .collect();
        assert_eq!(cuts(&steps)[..2], [(0, 2), (2, 4)]);
    }

    /// They are what pieces are for: each key changes once, and none is changed twice by a cut.
    #[test]
    fn a_mass_expiry_stays_in_small_pieces_beside_short_leases() {
        let ended = |number: u32| 10_000 + number * 40..10_000 + number * 40 + 40;
        let steps: Vec<_> = (8..100)
            .map(|it| changed(it..it + 1, (it - 8..it - 7).chain(ended(it))))
            .collect();
        assert!(cuts(&steps).iter().all(|(first, end)| end - first == 1));
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

    fn changed(set: Range<u32>, removed: impl Iterator<Item = u32>) -> StepRecord {
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
