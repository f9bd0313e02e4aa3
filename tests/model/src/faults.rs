//! What can be left out of the protocol, to see that it is needed: each is found by a test.

/// A rule that is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The guard time G is left out of every deadline (L2).
    NoGuard,
    /// The right is counted from the receipt of the reply (L1).
    CountsFromReceipt,
    /// The reply leaves before what it tells is durable (L2, A2).
    RepliesFirst,
    /// After a restart no lease is held (L4).
    NoHold,
    /// After a restart a lease is held for the length of today, not for the longest ever promised (L4).
    ForgetsLongest,
    /// A longer promise than the first is not stored (L2).
    StoresFirstLengthOnly,
    /// A renewal sets the deadline anew, even to an earlier time (L2).
    DeadlineMovesBack,
    /// An evicted lease's seat is free at once (L7).
    EvictsAtOnce,
    /// The client says that it gives its seat back, and works on until that is acknowledged.
    WorksOn,
    /// An offer keeps no seat, so two may claim the same (L9).
    OfferKeepsNothing,
    /// An offer that nobody claims is never withdrawn (L9).
    OfferForEver,
}
