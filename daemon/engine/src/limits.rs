//! The engine's own named bounds (A3). What an administrator may set is in [`crate::api::Settings`].

use usher_protocol::time::DurationMs;

/// Leases reclaimed by one tick; the next tick is asked for at once, so others get their turn.
pub(crate) const RECLAIMS_PER_TICK: usize = 100;

/// Leases reclaimed beside any other input, so that a busy queue cannot starve expiry.
pub(crate) const RECLAIMS_PER_INPUT: usize = 16;

/// How long a nonce is remembered after its lease (L5).
pub(crate) const NONCE_KEPT_MS: DurationMs = DurationMs::seconds(60);

/// Nonces remembered after their leases; the oldest go first (L5).
pub(crate) const NONCES_KEPT_MAX: usize = 65_536;

/// How long denials are counted together before they become history.
pub(crate) const DENIALS_HELD_MS: DurationMs = DurationMs::seconds(60);

/// Kinds of denials counted at once; one more makes history of all of them.
pub(crate) const DENIALS_MAX: usize = 256;

/// Deadlines looked at to say when enough seats can be free.
pub(crate) const EXPLAIN_STEPS_MAX: usize = 64;

/// Leases that count for one maximum and are looked at for a refusal.
pub(crate) const COUNTED_LISTED_MAX: usize = 1024;

/// Leases in one page for an administrator.
pub(crate) const LEASES_PER_PAGE_MAX: usize = 1000;

/// Longest reason of an eviction, in bytes.
pub(crate) const REASON_BYTES_MAX: usize = 256;

/// What a client waits before it asks a full daemon again.
pub(crate) const BUSY_RETRY_MS: DurationMs = DurationMs::seconds(10);

/// What a client waits before it asks a daemon that is about to end.
pub(crate) const DRAIN_RETRY_MS: DurationMs = DurationMs::seconds(5);

/// What a holder waits whose request is taken for a late copy (T6).
pub(crate) const LATE_RETRY_MS: DurationMs = DurationMs::seconds(5);

/// Releases whose seats linger at once; what is released beyond that is free at once.
pub(crate) const LINGERS_MAX: usize = 65_536;
