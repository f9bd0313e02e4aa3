//! The usage log: who held what and when, append-only and hash-chained (S2).
//!
//! It decides how an entry is written and how its chain is proved. It must not know what an entry's
//! body says, nor when an event is due: the journal's outbox feeds it.

/// A place in the log's chain: the number of its last entry and the hash that covers all up to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogHead {
    /// Number of the last entry; 0 for an empty log.
    pub number: u64,
    /// SHA-256 over the chain up to that entry; zeros for an empty log.
    pub hash: [u8; 32],
}

/// Longest body of one entry in bytes: 64 KiB.
pub const BODY_BYTES_MAX: usize = 64 << 10;
