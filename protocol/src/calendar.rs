//! Moments as people write them: calendar dates and RFC 3339, always UTC.
//!
//! No clock and no local time here: programs show local time at their own edges.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::time::{DurationMs, WallMs};

/// A moment as RFC 3339 in UTC, with milliseconds where there are any: `2027-12-31T23:59:59Z`.
/// Moments past the year 9999 read as its last one.
pub fn rfc3339(moment: WallMs) -> String {
    timestamp(moment).unwrap_or(Timestamp::MAX).to_string()
}

/// Reads an RFC 3339 date and time with any offset. Nothing before 1970 and nothing finer than a
/// millisecond is taken.
pub fn parse_rfc3339(text: &str) -> Option<WallMs> {
    let moment: Timestamp = text.parse().ok()?;
    let ms = u64::try_from(moment.as_millisecond()).ok()?;
    (moment.subsec_nanosecond() % 1_000_000 == 0).then_some(WallMs(ms))
}

/// The first moment of a calendar day in UTC.
pub fn day_start(year: i16, month: i8, day: i8) -> Option<WallMs> {
    let midnight = Date::new(year, month, day).ok()?.at(0, 0, 0, 0);
    let moment = TimeZone::UTC.to_timestamp(midnight).ok()?;
    u64::try_from(moment.as_millisecond()).ok().map(WallMs)
}

/// The calendar day that starts at this moment, as `2027-12-31`; none if it is not midnight UTC.
pub fn day_starting(moment: WallMs) -> Option<String> {
    if !moment.0.is_multiple_of(DAY.0) {
        return None;
    }
    let date = TimeZone::UTC.to_datetime(timestamp(moment)?).date();
    Some(date.to_string())
}

/// The calendar day whose 24:00 UTC this moment is (T7).
pub fn day_ending(moment: WallMs) -> Option<String> {
    day_starting(WallMs(moment.0.checked_sub(DAY.0)?))
}

/// One day.
pub const DAY: DurationMs = DurationMs::days(1);

fn timestamp(moment: WallMs) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(moment.0).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_moments_read_back() {
        let start = day_start(2027, 12, 31).unwrap();
        assert_eq!(rfc3339(start), "2027-12-31T00:00:00Z");
        assert_eq!(parse_rfc3339("2027-12-31T02:00:00+02:00"), Some(start));
        assert_eq!(day_starting(start).as_deref(), Some("2027-12-31"));
        assert_eq!(day_ending(start.plus(DAY)).as_deref(), Some("2027-12-31"));
        assert_eq!(day_starting(WallMs(start.0 + 1)), None);
        assert_eq!(rfc3339(WallMs(start.0 + 5)), "2027-12-31T00:00:00.005Z");
    }

    #[test]
    fn what_is_no_moment_is_none() {
        assert_eq!(day_start(2027, 2, 30), None);
        assert_eq!(parse_rfc3339("1969-12-31T00:00:00Z"), None);
        assert_eq!(parse_rfc3339("2027-12-31T00:00:00.0000001Z"), None);
        assert_eq!(parse_rfc3339("tomorrow"), None);
        assert!(rfc3339(WallMs::NEVER).starts_with("9999-12-3"));
        assert_eq!(day_ending(WallMs(0)), None);
    }
}
