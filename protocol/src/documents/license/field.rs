//! The values that stand in a license's fields, and how each is written and read (T7).

use std::{fmt, str::FromStr};

use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, de};
use toml::value::{Datetime, Offset};

use crate::{calendar, codec, time::WallMs, wire::Environment};

/// A value written as a string: a key, a version, a length of time.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Text<T>(pub(super) T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

/// Free text on one line: 1 to `MAX` bytes, no control characters.
#[derive(Debug, Clone)]
pub(super) struct Line<const MAX: usize>(pub(super) String);

impl<'de, const MAX: usize> Deserialize<'de> for Line<MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        if text.is_empty() || text.len() > MAX || text.chars().any(char::is_control) {
            return Err(de::Error::custom(format_args!(
                "expected 1 to {MAX} bytes of text on one line"
            )));
        }
        Ok(Self(text))
    }
}

/// A number that is not zero.
#[derive(Debug, Clone, Copy)]
pub(super) struct Positive<T>(pub(super) T);

impl<'de, T: Deserialize<'de> + Default + PartialEq> Deserialize<'de> for Positive<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match T::deserialize(from)? {
            zero if zero == T::default() => Err(de::Error::custom("expected at least 1")),
            number => Ok(Self(number)),
        }
    }
}

/// A number of seats, or `"unlimited"`, which is none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seats(pub(super) Option<u32>);

impl<'de> Deserialize<'de> for Seats {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(SeatsVisitor).map(Self)
    }
}

struct SeatsVisitor;

impl de::Visitor<'_> for SeatsVisitor {
    type Value = Option<u32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a number of seats from 1 to {} or \"unlimited\"",
            u32::MAX
        )
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Option<u32>, E> {
        match u32::try_from(number) {
            Ok(seats) if seats > 0 => Ok(Some(seats)),
            _ => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Option<u32>, E> {
        match text {
            "unlimited" => Ok(None),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }
}

/// A date that starts something: `2027-01-01` is its 00:00 UTC.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start(pub(super) WallMs);

/// A date that ends something: `2027-12-31` is its 24:00 UTC (T7).
#[derive(Debug, Clone, Copy)]
pub(super) struct End(pub(super) WallMs);

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        moment(Datetime::deserialize(from)?).map(|(moment, _)| Self(moment))
    }
}

impl<'de> Deserialize<'de> for End {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match moment(Datetime::deserialize(from)?)? {
            (day, Precision::Day) => Ok(Self(day.plus(calendar::DAY))),
            (moment, Precision::Time) => Ok(Self(moment)),
        }
    }
}

enum Precision {
    Day,
    Time,
}

fn moment<E: de::Error>(written: Datetime) -> Result<(WallMs, Precision), E> {
    let found = match (written.date, written.time, written.offset) {
        (Some(date), None, None) => day(date).map(|moment| (moment, Precision::Day)),
        (Some(_), Some(_), Some(Offset::Z)) => {
            calendar::parse_rfc3339(&written.to_string()).map(|moment| (moment, Precision::Time))
        }
        _ => None,
    };
    found.ok_or_else(|| {
        E::custom("expected a date like 2027-12-31, or a moment in UTC like 2027-12-31T12:00:00Z")
    })
}

fn day(date: toml::value::Date) -> Option<WallMs> {
    calendar::day_start(
        date.year.try_into().ok()?,
        date.month.try_into().ok()?,
        date.day.try_into().ok()?,
    )
}

/// A document in base64 of its encoding.
#[derive(Debug, Clone)]
pub(super) struct Encoded<T>(pub(super) T);

impl<'de, T: de::DeserializeOwned> Deserialize<'de> for Encoded<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = BASE64.decode(text.as_bytes()).map_err(de::Error::custom)?;
        codec::decode(&bytes).map(Self).map_err(de::Error::custom)
    }
}

/// How a starting date is written.
pub(super) fn start(moment: WallMs) -> String {
    calendar::day_starting(moment).unwrap_or_else(|| calendar::rfc3339(moment))
}

/// How an ending date is written.
pub(super) fn end(moment: WallMs) -> String {
    calendar::day_ending(moment).unwrap_or_else(|| calendar::rfc3339(moment))
}

/// How an environment is written.
pub(super) const fn environment(environment: Environment) -> &'static str {
    match environment {
        Environment::Live => "live",
        Environment::Test => "test",
    }
}
