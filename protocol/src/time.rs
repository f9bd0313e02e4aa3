//! Points in time and lengths of time, all in whole milliseconds, all saturating.
//!
//! Nothing here reads a clock: `clock.rs` of the client crate does, and hands out a [`Now`] (L3).

use std::{fmt, str::FromStr};

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
    /// The moment that does not come: what never expires expires then.
    pub const NEVER: Self = Self(u64::MAX);

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

impl DurationMs {
    /// Every unit that is not zero: `1d1h`, `1m0s` is `1m`; reads back as the same length.
    #[must_use]
    pub fn to_text(self) -> String {
        let mut left = self.0;
        let mut text = String::new();
        for (size, name) in UNITS {
            if left >= size {
                text.extend([&(left / size).to_string(), name]);
                left %= size;
            }
        }
        if text.is_empty() {
            text.push_str("0s");
        }
        text
    }
}

/// A text that should be a length of time, and is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a length of time: expected numbers with the units d, h, m, s, ms, the largest first, like `10m` or `1h30m`"
)]
pub struct DurationError;

impl FromStr for DurationMs {
    type Err = DurationError;

    /// Reads `10m`, `7d`, `1h30m`, `250ms`: each unit once, the largest first.
    fn from_str(text: &str) -> Result<Self, DurationError> {
        let mut rest = text;
        let mut units = UNITS.iter();
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, after) = rest.split_at(digits);
            let letters = after.len() - after.trim_start_matches(char::is_alphabetic).len();
            let (unit, after) = after.split_at(letters);
            let (size, _) = units.find(|(_, name)| *name == unit).ok_or(DurationError)?;
            let number: u64 = number.parse().map_err(|_| DurationError)?;
            total = number
                .checked_mul(*size)
                .and_then(|length| total.checked_add(length))
                .ok_or(DurationError)?;
            rest = after;
        }
        if text.is_empty() {
            return Err(DurationError);
        }
        Ok(Self(total))
    }
}

const UNITS: [(u64, &str); 5] = [
    (86_400_000, "d"),
    (3_600_000, "h"),
    (60_000, "m"),
    (1000, "s"),
    (1, "ms"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_lengths_read_back() {
        for (text, ms) in [
            ("0s", 0),
            ("250ms", 250),
            ("10m", 600_000),
            ("7d", 604_800_000),
            ("1h30m", 5_400_000),
            ("1d1h1m1s1ms", 90_061_001),
        ] {
            assert_eq!(text.parse(), Ok(DurationMs(ms)));
            assert_eq!(DurationMs(ms).to_text(), text);
        }
        for text in [
            "",
            "10",
            "m",
            "10 m",
            "10m1h",
            "5m5m",
            "-1s",
            "1.5h",
            "99999999999999999d",
        ] {
            assert_eq!(text.parse::<DurationMs>(), Err(DurationError), "{text:?}");
        }
    }

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

    #[test]
    fn lengths_add_up_and_take_off_to_the_millisecond() {
        let (five, three) = (DurationMs(5), DurationMs(3));
        assert_eq!(
            (five.plus(three), five.minus(three)),
            (DurationMs(8), DurationMs(2))
        );
        assert_eq!(three.minus(five), DurationMs::ZERO);
        assert_eq!(BootMs(9).plus(five), BootMs(14));
        assert_eq!(BootMs(9).since(BootMs(5)), DurationMs(4));
        assert_eq!(WallMs(9).plus(five), WallMs(14));
        assert_eq!(WallMs(9).since(WallMs(5)), DurationMs(4));
        assert_eq!(WallMs(5).since(WallMs(9)), DurationMs::ZERO);
        assert_eq!(WallMs::NEVER.plus(DurationMs(1)), WallMs::NEVER);
        assert_eq!(WallMs(3_999).unix_seconds(), 3);
        assert_eq!(DurationMs(1_250).to_std().as_millis(), 1_250);
        let units = [
            DurationMs::seconds(2),
            DurationMs::minutes(2),
            DurationMs::hours(2),
            DurationMs::days(2),
        ];
        assert_eq!(
            units.map(|it| it.0),
            [2_000, 120_000, 7_200_000, 172_800_000]
        );
    }
}
