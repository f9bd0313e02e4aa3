//! How values are spread, in memory that depends on their range alone: exact for seats, to a sixteenth for lengths.

use std::collections::BTreeMap;

/// Counts of small numbers.
#[derive(Debug, Default)]
pub(super) struct Spread(BTreeMap<u32, u64>);

impl Spread {
    pub(super) fn add(&mut self, value: u32) {
        *self.0.entry(value).or_default() += 1;
    }

    /// The smallest value that at least so many of a hundred do not exceed; none without values.
    pub(super) fn percentile(&self, percent: u64) -> Option<u32> {
        let total: u64 = self.0.values().sum();
        let mut below = 0;
        self.0.iter().find_map(|(value, count)| {
            below += count;
            // Exact: 99 of 100 is not 98.99…
            (u128::from(below) * 100 >= u128::from(total) * u128::from(percent)).then_some(*value)
        })
    }
}

/// Lengths in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Lengths {
    spread: Spread,
    pub(super) count: u64,
    pub(super) sum: u64,
    pub(super) max: u64,
}

impl Lengths {
    pub(super) fn add(&mut self, length: u64) {
        self.spread.add(slot(length));
        self.count += 1;
        self.sum = self.sum.saturating_add(length);
        self.max = self.max.max(length);
    }

    /// At least so many of a hundred are not longer; at most a sixteenth more than exact, never less.
    pub(super) fn percentile(&self, percent: u64) -> Option<u64> {
        let slot = self.spread.percentile(percent)?;
        Some(longest_of(slot).min(self.max))
    }

    /// Rounded down; none without values.
    pub(super) fn mean(&self) -> Option<u64> {
        self.sum.checked_div(self.count)
    }
}

/// Below 16 exact, then sixteen slots for each power of two.
fn slot(length: u64) -> u32 {
    let magnitude = length
        .checked_ilog2()
        .unwrap_or(0)
        .saturating_sub(FINE_BITS);
    let fine = u32::try_from(length >> magnitude).unwrap_or(u32::MAX);
    (magnitude << FINE_BITS) + fine
}

fn longest_of(slot: u32) -> u64 {
    let magnitude = (slot >> FINE_BITS).saturating_sub(1);
    let fine = u64::from(slot - (magnitude << FINE_BITS));
    (u128::from(fine + 1) << magnitude)
        .saturating_sub(1)
        .try_into()
        .unwrap_or(u64::MAX)
}

const FINE_BITS: u32 = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_percentile_is_the_smallest_value_that_is_enough() {
        let mut spread = Spread::default();
        assert_eq!(spread.percentile(99), None);
        for value in 1..=100 {
            spread.add(value);
        }
        assert_eq!(spread.percentile(99), Some(99));
        assert_eq!(spread.percentile(100), Some(100));
        spread.add(200);
        // 99 of 101 are 98.02 %.
        assert_eq!(spread.percentile(99), Some(100));
    }

    proptest! {
        #[test]
        fn a_length_stands_in_a_slot_that_ends_at_most_a_sixteenth_later(length in any::<u64>()) {
            let end = longest_of(slot(length));
            prop_assert!(end >= length);
            prop_assert!(end - length <= length / 16);
        }

        #[test]
        fn longer_lengths_stand_in_later_slots(a in any::<u64>(), b in any::<u64>()) {
            prop_assert!(slot(a.min(b)) <= slot(a.max(b)));
        }
    }
}
