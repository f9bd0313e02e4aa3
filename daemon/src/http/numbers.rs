//! Whole numbers in a body as JSON Schema has them, for which `5` and `5.0` are one: what the OpenAPI document lets
//! through is read, and what it does not is not. Decides no bounds: they are those of the types and of the wire.

use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected, Visitor},
};
use usher_protocol::{limits::BORROW_MS_MAX, time::DurationMs};

/// A count.
pub(super) fn count<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let Whole(number) = Whole::deserialize(from)?;
    let unexpected = Unexpected::Unsigned(number);
    u32::try_from(number).map_err(|_| D::Error::invalid_value(unexpected, &"a smaller number"))
}

/// So many milliseconds, none included, or null.
pub(super) fn milliseconds<'de, D>(from: D) -> Result<Option<DurationMs>, D::Error>
where
    D: Deserializer<'de>,
{
    let number = Option::<Whole>::deserialize(from)?;
    Ok(number.map(|Whole(number)| DurationMs(number)))
}

/// A lease's length in milliseconds, or null; within the bounds of the wire, whatever becomes of the request.
pub(super) fn length<'de, D>(from: D) -> Result<Option<DurationMs>, D::Error>
where
    D: Deserializer<'de>,
{
    match milliseconds(from)? {
        Some(length) if !(1..=BORROW_MS_MAX.0).contains(&length.0) => {
            Err(D::Error::custom(format!(
                "a length is 1 to {} milliseconds, not {}",
                BORROW_MS_MAX.0, length.0
            )))
        }
        within => Ok(within),
    }
}

struct Whole(u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Numbers)
    }
}

struct Numbers;

impl Visitor<'_> for Numbers {
    type Value = Whole;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Whole, E> {
        Ok(Whole(number))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole, not negative and below 2^53: the number itself"
    )]
    fn visit_f64<E: Error>(self, number: f64) -> Result<Whole, E> {
        if number.fract() == 0.0 && (0.0..EXACT).contains(&number) {
            return Ok(Whole(number as u64));
        }
        Err(E::invalid_value(Unexpected::Float(number), &self))
    }
}

/// 2⁵³: from here on floating numbers skip whole ones.
const EXACT: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_within_the_bounds_that_the_document_names() {
        let length = |number: u64| read(&format!("{{\"seats\": 1, \"length\": {number}}}"));
        let most = BORROW_MS_MAX.0;
        assert_eq!(length(1), Some((1, Some(1))));
        assert_eq!(length(most), Some((1, Some(most))));
        assert_eq!(
            (length(0), length(most + 1), length(u64::MAX)),
            (None, None, None)
        );
        let pause: Body = serde_json::from_str(r#"{"seats": 1, "pause": 0}"#).unwrap();
        assert_eq!(pause.pause, Some(DurationMs::ZERO));
    }

    #[derive(Debug, Deserialize)]
    struct Body {
        #[serde(deserialize_with = "count")]
        seats: u32,
        #[serde(default, deserialize_with = "length")]
        length: Option<DurationMs>,
        #[serde(default, deserialize_with = "milliseconds")]
        pause: Option<DurationMs>,
    }

    fn read(text: &str) -> Option<(u32, Option<u64>)> {
        let body: Option<Body> = serde_json::from_str(text).ok();
        body.map(|it| (it.seats, it.length.map(|it| it.0)))
    }

    #[test]
    fn a_whole_number_may_be_written_as_a_fraction_and_nothing_else() {
        assert_eq!(read(r#"{"seats": 2}"#), Some((2, None)));
        let written = r#"{"seats": 2.0, "length": 4171.0}"#;
        assert_eq!(read(written), Some((2, Some(4171))));
        assert_eq!(
            read(r#"{"seats": 1e3, "length": null}"#),
            Some((1000, None))
        );
        for bad in ["2.5", "-1", "-1.0", "1e300", "\"2\"", "true", "4294967296"] {
            assert_eq!(read(&format!("{{\"seats\": {bad}}}")), None, "{bad}");
        }
    }
}
