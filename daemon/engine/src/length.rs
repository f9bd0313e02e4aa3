//! How long a lease lasts: R, G, and what the license leaves of them (L2, L8, T8).

use usher_protocol::{
    documents::license::Feature,
    limits::{GUARD_MS_MIN, GUARD_MS_MIN_TEST},
    time::{BootMs, DurationMs, Now, WallMs},
    wire::Environment,
};

/// The right's length **R**: the wish, bounded by the policy, whose length is the usual one too, and
/// over it by the license; cut off at its expiry by license time. Zero when nothing is left (L8).
pub(crate) fn right(
    feature: &Feature,
    by_policy: Option<DurationMs>,
    wish: Option<DurationMs>,
    license_time: WallMs,
) -> DurationMs {
    let usual = by_policy.unwrap_or(feature.lease_ms_default);
    let longest = by_policy.map_or(feature.lease_ms_max, |it| it.min(feature.lease_ms_max));
    let wished = wish.unwrap_or(usual);
    let bounded = wished.min(longest).max(feature.lease_ms_min);
    match feature.expires {
        Some(expires) => bounded.min(expires.since(license_time)),
        None => bounded,
    }
}

/// The guard time **G** that covers 1 % of drift at each end (L2).
pub(crate) fn guard(right: DurationMs, environment: Environment) -> DurationMs {
    let least = match environment {
        Environment::Live => GUARD_MS_MIN,
        Environment::Test => GUARD_MS_MIN_TEST,
    };
    least.max(DurationMs(
        right.0.div_ceil(100).saturating_mul(GUARD_PERCENT),
    ))
}

/// The longest `R + G`: what a lease may have left that nothing more is known of (L4, L12).
pub(crate) fn held(longest: DurationMs, environment: Environment) -> DurationMs {
    longest.plus(guard(longest, environment))
}

/// When a lease comes free that is extended now (L2).
pub(crate) fn deadline(now: Now, right: DurationMs, environment: Environment) -> BootMs {
    now.boot.plus(held(right, environment))
}

/// The right's end by wall clock, never after the license's (L8).
pub(crate) fn not_after(wall: WallMs, right: DurationMs, feature: &Feature) -> WallMs {
    let end = wall.plus(right);
    feature.expires.map_or(end, |expires| end.min(expires))
}

/// When to renew (L2).
pub(crate) fn renew_after(right: DurationMs) -> DurationMs {
    DurationMs(right.0 / 3)
}

const GUARD_PERCENT: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l2_the_guard_covers_the_drift_of_both_ends() {
        for right in [2_000, 60_000, 600_000, 86_400_000] {
            let guarded = right + guard(DurationMs(right), Environment::Test).0;
            // Server fast by 1 %, client slow by 1 %.
            assert!(guarded * 99 >= right * 101, "{right}");
        }
        assert_eq!(
            guard(DurationMs(2_000), Environment::Live),
            DurationMs(5_000)
        );
        assert_eq!(
            guard(DurationMs(600_000), Environment::Live),
            DurationMs(18_000)
        );
    }
}
