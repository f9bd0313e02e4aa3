//! Points in time and lengths of time, all in whole milliseconds, all saturating.
//!
//! Nothing here reads a clock: `clock.rs` of the client crate does, and hands out a [`Now`] (L3).

use std::fmt;

use serde::{Deserialize, Serialize};

/// A reading of both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// The suspend-aware monotonic clock (L2, L3).
    pub boot: BootMs,
    /// The wall clock, as unreliable as walls are (L11).
    pub wall: WallMs,
}

/// Milliseconds on the suspend-aware monotonic clock of one boot; never stored (L3).
#[derive(
    Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct BootMs(pub u64);

/// Milliseconds since the Unix epoch, UTC.
#[derive(
    Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct WallMs(pub u64);

/// A length of time in milliseconds.
#[derive(
    Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct DurationMs(pub u64);

impl BootMs {
    /// This moment, `length` later.
    #[must_use]
    pub const fn plus(self, length: DurationMs) -> Self {
        Self(self.0.saturating_add(length.0))
    }

    /// The time passed since `earlier`; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> DurationMs {
        DurationMs(self.0.saturating_sub(earlier.0))
    }
}

impl WallMs {
    /// This moment, `length` later.
    #[must_use]
    pub const fn plus(self, length: DurationMs) -> Self {
        Self(self.0.saturating_add(length.0))
    }

    /// The time passed since `earlier`; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> DurationMs {
        DurationMs(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds since the Unix epoch.
    #[must_use]
    pub const fn unix_seconds(self) -> u64 {
        self.0 / 1000
    }
}

impl DurationMs {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// `count` seconds.
    #[must_use]
    pub const fn seconds(count: u64) -> Self {
        Self(count.saturating_mul(1000))
    }

    /// `count` minutes.
    #[must_use]
    pub const fn minutes(count: u64) -> Self {
        Self::seconds(count.saturating_mul(60))
    }

    /// `count` hours.
    #[must_use]
    pub const fn hours(count: u64) -> Self {
        Self::minutes(count.saturating_mul(60))
    }

    /// `count` days of 24 hours.
    #[must_use]
    pub const fn days(count: u64) -> Self {
        Self::hours(count.saturating_mul(24))
    }

    /// Both lengths, one after the other.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// This length without `other`; zero when `other` is longer.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The length as the standard library has it.
    #[must_use]
    pub const fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }
}

impl fmt::Display for DurationMs {
    /// The two largest units that are not zero: `3m20s`, `7d`, `250ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 5] = [
            (86_400_000, "d"),
            (3_600_000, "h"),
            (60_000, "m"),
            (1000, "s"),
            (1, "ms"),
        ];
        let Some(first) = UNITS.iter().position(|(size, _)| self.0 >= *size) else {
            return f.write_str("0s");
        };
        let (size, name) = UNITS[first];
        write!(f, "{}{name}", self.0 / size)?;
        match UNITS.get(first + 1) {
            // Milliseconds beside seconds are noise to a reader.
            Some((size_next, name_next)) if *size_next > 1 && self.0 % size >= *size_next => {
                write!(f, "{}{name_next}", self.0 % size / size_next)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_read_as_people_write_them() {
        for (ms, text) in [
            (0, "0s"),
            (250, "250ms"),
            (2_500, "2s"),
            (200_000, "3m20s"),
            (600_000, "10m"),
            (86_400_000, "1d"),
            (90_000_000, "1d1h"),
        ] {
            assert_eq!(DurationMs(ms).to_string(), text);
        }
    }

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(BootMs(5).since(BootMs(9)), DurationMs::ZERO);
        assert_eq!(BootMs(u64::MAX).plus(DurationMs(1)), BootMs(u64::MAX));
        assert_eq!(DurationMs::days(u64::MAX), DurationMs(u64::MAX));
    }
}
