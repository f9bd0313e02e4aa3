//! The values that stand in the fields of readable documents, and how each is written and read (T7).

use std::{fmt, str::FromStr};

use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize, de};
use toml::value::{Datetime, Offset};

use crate::{
    calendar,
    codec::{self, CodecError},
    time::WallMs,
    wire::Environment,
};

/// A value written as a string: a key, a version, a length of time.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Text<T>(pub(crate) T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

/// Free text on one line: 1 to `MAX` bytes, no control characters.
#[derive(Debug, Clone)]
pub(crate) struct Line<const MAX: usize>(pub(crate) String);

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
pub(crate) struct Positive<T>(pub(crate) T);

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
pub(crate) struct Seats(pub(crate) Option<u32>);

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
pub(crate) struct Start(pub(crate) WallMs);

/// A date that ends something: `2027-12-31` is its 24:00 UTC (T7).
#[derive(Debug, Clone, Copy)]
pub(crate) struct End(pub(crate) WallMs);

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
pub(crate) struct Encoded<T>(pub(crate) T);

impl<'de, T: de::DeserializeOwned> Deserialize<'de> for Encoded<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = BASE64.decode(text.as_bytes()).map_err(de::Error::custom)?;
        codec::decode(&bytes).map(Self).map_err(de::Error::custom)
    }
}

/// How a starting date is written.
pub(crate) fn start(moment: WallMs) -> String {
    calendar::day_starting(moment).unwrap_or_else(|| calendar::rfc3339(moment))
}

/// How an ending date is written: with a reminder when exactly it ends.
pub(crate) fn end(moment: WallMs) -> String {
    match calendar::day_ending(moment) {
        Some(day) => format!("{day} # 24:00 UTC"),
        None => calendar::rfc3339(moment),
    }
}

/// How an environment is written.
pub(crate) const fn environment(environment: Environment) -> &'static str {
    match environment {
        Environment::Live => "live",
        Environment::Test => "test",
    }
}

/// A list of TOML strings.
pub(crate) fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let items: Vec<String> = items.map(quoted).collect();
    format!("[{}]", items.join(", "))
}

/// A document in base64 of its encoding, as a TOML string.
pub(crate) fn encoded<T: Serialize>(value: &T) -> Result<String, CodecError> {
    Ok(quoted(&BASE64.encode(&codec::encode(value)?)))
}

/// A TOML basic string. Control characters come out escaped, so that no value can open a line.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out += &unicode_escape(c),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn unicode_escape(c: char) -> String {
    format!("\\u{:04X}", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Doc {
        line: Line<3>,
    }

    fn line(text: &str) -> Option<String> {
        let doc = toml::from_str::<Doc>(&format!("line = {}", quoted(text))).ok()?;
        Some(doc.line.0)
    }

    #[test]
    fn a_line_is_as_long_as_it_may_be_and_has_no_controls() {
        for good in ["a", "abc", "\"\\\""] {
            assert_eq!(line(good).as_deref(), Some(good));
        }
        for bad in ["", "abcd", "a\nb", "a\u{7f}"] {
            assert_eq!(line(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn no_value_can_open_a_line() {
        assert_eq!(
            quoted("a\n[x]\u{1b}\u{7f}"),
            "\"a\\u000A[x]\\u001B\\u007F\""
        );
    }
}
