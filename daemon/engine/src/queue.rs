//! Whose turn it is (L9).

use std::cmp::Reverse;

/// A place among those who wait; the smaller is served first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// False comes first: an ex-holder whose lease lapsed is at the head of the queue (L6).
    pub(crate) is_newcomer: bool,
    /// By policy; the higher is served first.
    pub(crate) priority: Reverse<i32>,
    /// In order of arrival.
    pub(crate) number: u64,
}

impl Rank {
    /// Behind everybody of its priority.
    pub(crate) const fn last(priority: i32) -> Self {
        Self {
            is_newcomer: true,
            priority: Reverse(priority),
            number: u64::MAX,
        }
    }
}
