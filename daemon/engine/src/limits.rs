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

/// How long a client must be quiet before what it was denied becomes history.
pub(crate) const DENIALS_HELD_MS: DurationMs = DurationMs::seconds(60);

/// How long denials are counted together at the longest.
pub(crate) const DENIALS_HELD_MS_MAX: DurationMs = DurationMs::minutes(10);

/// How long a refused request is known again.
pub(crate) const DENIED_KEPT_MS: DurationMs = DurationMs::hours(1);

/// Refused requests known again; the oldest go first.
pub(crate) const DENIED_KEPT_MAX: usize = 16_384;

/// Kinds of denials counted at once; one more makes history of all of them.
pub(crate) const DENIALS_MAX: usize = 256;

/// Deadlines looked at to say when enough seats can be free.
pub(crate) const EXPLAIN_STEPS_MAX: usize = 64;

/// Leases that count for one maximum and are looked at for a refusal.
pub(crate) const COUNTED_LISTED_MAX: usize = 1024;

/// How long the holder of an evicted lease waits after its end, when the administrator says nothing.
pub(crate) const COOL_DOWN_MS_DEFAULT: DurationMs = DurationMs::seconds(60);

/// How long it waits at the longest.
pub(crate) const COOL_DOWN_MS_MAX: DurationMs = DurationMs::hours(24);

/// Holders that wait after an evict; of more, whose wait ends first is forgotten.
pub(crate) const COOL_DOWNS_MAX: usize = 1024;

/// Client keys that an administrator may accept.
pub(crate) const CLIENTS_MAX: usize = 65_536;

/// Longest name that an administrator gives a client key, in bytes.
pub(crate) const CLIENT_NAME_BYTES_MAX: usize = 128;

/// Client keys remembered that were refused for want of acceptance; the oldest go first.
pub(crate) const KNOCKS_MAX: usize = 256;

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

/// Who may wait for one feature (L9).
pub(crate) const WAITERS_PER_FEATURE_MAX: usize = 10_000;

/// Who may wait with one client key.
pub(crate) const WAITERS_PER_CLIENT_MAX: usize = 256;

/// Who may wait in all.
pub(crate) const WAITERS_MAX: usize = 50_000;

/// What a client waits before it asks again whether it may stand in the queue.
pub(crate) const QUEUE_RETRY_MS: DurationMs = DurationMs::seconds(30);

/// Waiters looked at in one step, whether there is room for them; the next step is asked for at once.
pub(crate) const WAITERS_LOOKED_AT_MAX: usize = 64;

/// Offers and kept places ended in one step.
pub(crate) const WAITS_ENDED_MAX: usize = 64;

/// How long the place of a waiter is kept that was cut off (L9).
pub(crate) const PLACE_KEPT_MS: DurationMs = DurationMs::seconds(60);

/// How many of a line are told at once that their places changed.
pub(crate) const PLACES_AT_ONCE_MAX: usize = 32;

/// How often the others are told at most.
pub(crate) const PLACES_EACH_MS: DurationMs = DurationMs::seconds(1);

/// How many of them are told in one step.
pub(crate) const PLACES_PER_STEP_MAX: usize = 512;

/// How often a line is looked at although nothing was seen to change: a license may have begun.
pub(crate) const LINES_EACH_MS: DurationMs = DurationMs::seconds(30);

/// A waiter that leaves sooner is counted with the denials, so that a client in a loop cannot fill
/// the usage log.
pub(crate) const GAVE_UP_MS_MIN: DurationMs = DurationMs::seconds(1);

/// How long an ex-holder whose lease lapsed is served first (L6).
pub(crate) const LAPSE_KEPT_MS: DurationMs = DurationMs::minutes(10);

/// Lapses remembered; the oldest go first.
pub(crate) const LAPSES_MAX: usize = 65_536;

/// Waiters shown to an administrator.
pub(crate) const WAITERS_SHOWN_MAX: usize = 1000;
