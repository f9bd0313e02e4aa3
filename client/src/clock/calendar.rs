//! Decides how a wall time is written: local with its offset for people, UTC for JSON, and when a
//! calendar date ends. Must not read a clock, though it does read the time zone of this machine.

use super::WallMs;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan, tz::TimeZone};

/// For people: `2026-11-22T03:34:01+01:00`, whole seconds, in this machine's time zone.
#[must_use]
pub fn local_rfc3339(wall: WallMs) -> String {
    rfc3339_in(wall, TimeZone::system())
}

/// For JSON: `2026-11-22T02:34:01.123Z`; the fraction is left out when it is zero.
#[must_use]
pub fn utc_rfc3339(wall: WallMs) -> String {
    timestamp(wall).to_string()
}

/// The first millisecond that is no longer within `date`: a date ends at 24:00 UTC (T7).
/// Dates before 1970 end at the start of 1970.
#[must_use]
pub fn end_of_date(date: Date) -> WallMs {
    let midnight = date
        .checked_add(1.day())
        .and_then(|next| next.to_zoned(TimeZone::UTC))
        .map_or(Timestamp::MAX, |next| next.timestamp());
    WallMs(u64::try_from(midnight.as_millisecond()).unwrap_or(0))
}

fn rfc3339_in(wall: WallMs, zone: TimeZone) -> String {
    timestamp(wall)
        .to_zoned(zone)
        .strftime("%Y-%m-%dT%H:%M:%S%:z")
        .to_string()
}

/// What lies beyond the calendar is shown as its last instant, in the year 9999.
fn timestamp(wall: WallMs) -> Timestamp {
    i64::try_from(wall.0)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    const NOON: WallMs = WallMs(1_795_348_800_123);

    #[test]
    fn people_read_local_time_with_its_offset() {
        let zone = TimeZone::fixed(jiff::tz::offset(5));
        assert_eq!(rfc3339_in(NOON, zone), "2026-11-22T17:00:00+05:00");
        assert_eq!(rfc3339_in(NOON, TimeZone::UTC), "2026-11-22T12:00:00+00:00");
        assert_eq!(local_rfc3339(NOON).len(), "2026-11-22T12:00:00+00:00".len());
    }

    #[test]
    fn json_reads_utc() {
        assert_eq!(utc_rfc3339(NOON), "2026-11-22T12:00:00.123Z");
        assert_eq!(utc_rfc3339(WallMs(0)), "1970-01-01T00:00:00Z");
        assert!(utc_rfc3339(WallMs(u64::MAX)).starts_with("9999-12-"));
    }

    #[test]
    fn a_date_ends_at_midnight_utc() {
        assert_eq!(
            utc_rfc3339(end_of_date(date(2027, 12, 31))),
            "2028-01-01T00:00:00Z"
        );
        assert_eq!(
            utc_rfc3339(end_of_date(date(2028, 2, 28))),
            "2028-02-29T00:00:00Z"
        );
        assert_eq!(end_of_date(date(1960, 1, 1)), WallMs(0));
        assert_eq!(end_of_date(Date::MAX), end_of_date(date(9999, 12, 31)));
    }
}
