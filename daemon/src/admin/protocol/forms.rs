//! How ids and times are written in JSON. Decides nothing else.

pub(super) mod text {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(in super::super) fn serialize<T: Display, S: Serializer>(
        it: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(it)
    }

    pub(in super::super) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

pub(super) mod optional_text {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    #[expect(clippy::ref_option, reason = "serde hands out a reference")]
    pub(in super::super) fn serialize<T: Display, S: Serializer>(
        it: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match it {
            Some(it) => to.collect_str(it),
            None => to.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse().map_err(D::Error::custom))
            .transpose()
    }
}

pub(super) mod rfc3339 {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
    use usher_client::clock::utc_rfc3339;
    use usher_protocol::time::WallMs;

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde hands out a reference"
    )]
    pub(in super::super) fn serialize<S: Serializer>(
        wall: &WallMs,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(&utc_rfc3339(*wall))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<WallMs, D::Error> {
        parse(&String::deserialize(from)?).map_err(D::Error::custom)
    }

    pub(in super::super) fn parse(text: &str) -> Result<WallMs, jiff::Error> {
        let moment: jiff::Timestamp = text.parse()?;
        Ok(WallMs(u64::try_from(moment.as_millisecond()).unwrap_or(0)))
    }
}

pub(super) mod optional_rfc3339 {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
    use usher_client::clock::utc_rfc3339;
    use usher_protocol::time::WallMs;

    #[expect(clippy::ref_option, reason = "serde hands out a reference")]
    pub(in super::super) fn serialize<S: Serializer>(
        wall: &Option<WallMs>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match wall {
            Some(wall) => to.serialize_str(&utc_rfc3339(*wall)),
            None => to.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<WallMs>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| super::rfc3339::parse(&text).map_err(D::Error::custom))
            .transpose()
    }
}
