//! The named bounds of a policy (A3), kept by whoever reads one. Decides numbers alone.

use usher_protocol::time::DurationMs;

/// Groups in one policy.
pub const GROUPS_MAX: usize = 1024;

/// Rules of all kinds in one policy.
pub const RULES_MAX: usize = 4096;

/// Users, hosts, keys, networks and names of groups in all lists of one policy together.
pub const ENTRIES_MAX: usize = 65_536;

/// Longest name of a group, in bytes.
pub const GROUP_BYTES_MAX: usize = 64;

/// Longest reason of a deny rule, in bytes.
pub const REASON_BYTES_MAX: usize = 256;

/// Highest and, negative, lowest priority level.
pub const LEVEL_MAX: i32 = 1000;

/// Longest time a seat lingers.
pub const LINGER_MS_MAX: DurationMs = DurationMs::hours(24);

/// Longest time an application may report itself idle before its seat is reclaimed.
pub const IDLE_MS_MAX: DurationMs = DurationMs::days(30);

/// Shortest such time: below it a pause between two reports would count.
pub const IDLE_MS_MIN: DurationMs = DurationMs::seconds(1);

/// Bytes of the words of a rule's `who` that its [`usher_protocol::refusal::RuleRef`] repeats.
pub(super) const WHO_BYTES_SHOWN: usize = 160;
