//! When a report begins and ends, as people write it. Days are days of this machine's time zone.

use std::str::FromStr;

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use usher_protocol::time::{DurationMs, WallMs};

/// A day, a moment, or so long ago.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::cli) enum When {
    Day(Date),
    Moment(WallMs),
    Ago(DurationMs),
}

impl When {
    /// Its first moment.
    pub(in crate::cli) fn begin(&self, now: WallMs) -> WallMs {
        match self {
            Self::Day(day) => midnight(*day),
            Self::Moment(moment) => *moment,
            Self::Ago(ago) => WallMs(now.0.saturating_sub(ago.0)),
        }
    }

    /// The first moment after it: a day is meant to its end.
    pub(in crate::cli) fn end(&self, now: WallMs) -> WallMs {
        match self {
            Self::Day(day) => day.checked_add(1.day()).map_or(now, midnight),
            Self::Moment(_) | Self::Ago(_) => self.begin(now),
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(ago) = text.parse() {
            return Ok(Self::Ago(ago));
        }
        if let Ok(moment) = text.parse::<Timestamp>() {
            return Ok(Self::Moment(wall(moment)));
        }
        text.parse::<Date>().map(Self::Day).map_err(|_| {
            "expected a day such as 2026-11-01, a moment such as 2026-11-22T08:00:00+01:00, or a length of time such as `30d`".to_owned()
        })
    }
}

fn midnight(day: Date) -> WallMs {
    let zoned = day.to_zoned(TimeZone::system());
    zoned.map_or(WallMs::default(), |zoned| wall(zoned.timestamp()))
}

fn wall(moment: Timestamp) -> WallMs {
    WallMs(u64::try_from(moment.as_millisecond()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_meant_from_its_begin_to_its_end() {
        let day: When = "2026-11-01".parse().unwrap();
        let length = day.end(WallMs(0)).since(day.begin(WallMs(0)));
        assert_eq!(length, DurationMs::days(1));
        let moment: When = "2026-11-22T08:00:00+01:00".parse().unwrap();
        assert_eq!(moment, When::Moment(WallMs(1_795_330_800_000)));
        assert_eq!(moment.begin(WallMs(0)), moment.end(WallMs(0)));
        let ago: When = "2h".parse().unwrap();
        assert_eq!(ago.begin(WallMs(7_200_001)), WallMs(1));
        assert!("yesterday".parse::<When>().unwrap_err().contains("30d"));
    }
}
