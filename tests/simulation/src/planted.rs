//! Defects on purpose, each a switch at a seam of the simulator, none in the product: they show that
//! the invariants can fail.

/// One defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// A commit returns before its write is synced (S1).
    NoSync,
    /// The client counts its right from the receipt of the answer, not from before the send (L1).
    RightFromReceipt,
    /// An entry of the outbox is written to the usage log twice (S2).
    LogTwice,
    /// What waits in the outbox at a crash is not logged by the next life (S2).
    OutboxForgotten,
    /// Answers leave before the commit (A2).
    AnswerBeforeCommit,
    /// The engine's ticks come as if the guard time were over: G left out (L2).
    NoGuard,
    /// The stored longest promise counts nothing after a restart (L4).
    NoHoldAtStart,
    /// The boot clock of a client stops while it sleeps (L3).
    BootStopsInSuspend,
    /// A client does not look at its wall clock (L1).
    WallIgnored,
    /// A restored store is not held (L12).
    NoHoldAfterRestore,
    /// A client does not compare epochs (L12).
    EpochIgnored,
    /// A client compares epochs and not the lives that live them (L12).
    LifeIgnored,
    /// A renewal that is refused because the lease was taken back is answered with the last promise (L7).
    RenewedAfterEviction,
    /// A renewal that is refused because too many seats are out is granted all the same (L7).
    RenewedAlthoughTooMany,
    /// What was taken home is forgotten at a restart (L10).
    BorrowsForgotten,
    /// The daemon has a license without the end that its clients know of (L8).
    EndIgnored,
    /// The first lease of a set is lent although the set is refused.
    SetInPieces,
}
