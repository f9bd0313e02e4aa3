//! Decides how long something took, finer than leases need it: nanoseconds that all processes of this machine share.
//! Must not be used for anything but measuring.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since some moment before the machine's start.
pub(crate) fn now_ns() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "L3 is about leases; this measures the programs"
    )]
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap()
}

/// Microseconds since `began`.
#[expect(
    clippy::cast_precision_loss,
    reason = "a benchmark does not run for a century"
)]
pub(crate) fn us_since(began: u64) -> f64 {
    (now_ns() - began) as f64 / 1000.0
}
