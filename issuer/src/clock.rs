//! The issuer's one look at the wall clock: when something was signed.
//!
//! The client crate owns `clock.rs` for everything that lends or holds seats (L3); this tool may not
//! depend on it (T9), measures no time, and only dates what a person signs.

use usher_protocol::time::WallMs;

/// Milliseconds since the Unix epoch, by this machine's wall clock.
pub(crate) fn wall() -> WallMs {
    #[expect(
        clippy::disallowed_methods,
        reason = "this crate's one clock; see above"
    )]
    let now = std::time::SystemTime::now();
    let since = now
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    WallMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
