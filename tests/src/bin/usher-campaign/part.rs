//! The parts of the campaign: what each proves, how one slice of it is run, and when it has done enough.

use crate::ledger::Ledger;

/// One proof's long form.
#[derive(Debug)]
pub(crate) struct Part {
    /// As on the command line.
    pub(crate) name: &'static str,
    /// What it is, for the document.
    pub(crate) what: &'static str,
    /// Rounds of one slice, about a quarter of an hour on two cores at most.
    pub(crate) rounds: u64,
    /// When it has done enough.
    pub(crate) goal: Goal,
    /// Run from the root of the tree, with the seed and the rounds in `USHER_TEST_SEED` and `USHER_TEST_ROUNDS`.
    pub(crate) command: &'static [&'static str],
}

/// A figure and the sum at which it is enough.
#[derive(Debug)]
pub(crate) struct Goal {
    pub(crate) proof: &'static str,
    pub(crate) figure: &'static str,
    pub(crate) count: u64,
}

impl Goal {
    /// Whether the slices so far come to it.
    pub(crate) fn is_reached(&self, ledger: &Ledger) -> bool {
        ledger.sum(self.proof, self.figure) >= self.count
    }
}

/// Every part, in the order of the document.
pub(crate) const PARTS: &[Part] = &[];
