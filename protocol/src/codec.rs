//! The one place that turns values into bytes and back (S5).
//!
//! Every decode has a limit and must consume every byte; nothing else in the tree may name `bincode`.
//! Frames and stored records start with a version byte and a kind byte, written here too.

use bincode::error::DecodeError;
use serde::{Serialize, de::DeserializeOwned};

use crate::limits::{FRAME_BYTES_MAX, LICENSE_BYTES_MAX};

/// Why bytes are not the value they were taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The bytes end too early, are out of range, or exceed the limit.
    #[error("malformed bytes: {0}")]
    Malformed(String),
    /// Something follows the value.
    #[error("{0} bytes follow the end of the message")]
    Trailing(usize),
    /// A version this build does not speak.
    #[error(
        "format version {found} is not understood here (this build speaks {known}); a newer usher is needed"
    )]
    Version {
        /// The version byte that stood there.
        found: u8,
        /// The one this build knows.
        known: u8,
    },
    /// A value too large for its frame.
    #[error("{found} bytes, over the limit of {limit}")]
    TooLarge {
        /// Its size in bytes.
        found: usize,
        /// The bound in bytes.
        limit: usize,
    },
}

/// Encodes a value: little-endian, variable-length integers (bincode 2 "standard").
///
/// # Errors
/// Only for values that cannot be represented, such as a sequence of unknown length.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    encode_after(&[], value)
}

/// Decodes a value that must fill `bytes` exactly.
///
/// # Errors
/// [`CodecError::Malformed`] for bytes that are no such value, [`CodecError::Trailing`] when some remain.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, consumed) = bincode::serde::decode_from_slice(bytes, CONFIG)
        .map_err(|error| CodecError::Malformed(words(error)))?;
    match bytes.len() - consumed {
        0 => Ok(value),
        left => Err(CodecError::Trailing(left)),
    }
}

/// What people read of it; the decoder's own words are for its makers.
fn words(error: DecodeError) -> String {
    match error {
        DecodeError::UnexpectedEnd { .. } => "they end too early".to_owned(),
        DecodeError::LimitExceeded => "they announce more than may follow".to_owned(),
        DecodeError::Utf8 { .. } => "a text in them is not UTF-8".to_owned(),
        DecodeError::OtherString(words) => words,
        DecodeError::Other(words) => words.to_owned(),
        _ => "a value in them is out of range".to_owned(),
    }
}

/// What a frame or a record says it is: a version, a kind, and the bytes of that kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tagged<'a> {
    /// Which kind of value the body is.
    pub kind: u8,
    /// The encoded value.
    pub body: &'a [u8],
}

/// `[version, kind, body…]` (S5).
///
/// # Errors
/// As [`encode`].
pub fn tag<T: Serialize>(version: u8, kind: u8, value: &T) -> Result<Vec<u8>, CodecError> {
    encode_after(&[version, kind], value)
}

/// Reads `[version, kind, body…]` and insists on the version.
///
/// # Errors
/// [`CodecError::Version`] for another version, [`CodecError::Malformed`] for fewer than two bytes.
pub fn untag(version: u8, bytes: &[u8]) -> Result<Tagged<'_>, CodecError> {
    match bytes {
        [found, kind, body @ ..] if *found == version => Ok(Tagged { kind: *kind, body }),
        [found, _, ..] => Err(CodecError::Version {
            found: *found,
            known: version,
        }),
        _ => Err(CodecError::Malformed("fewer than two bytes".to_owned())),
    }
}

/// A frame's bytes on the stream: its length as four big-endian bytes, then `[version, kind, body…]`.
///
/// # Errors
/// [`CodecError::TooLarge`] past [`FRAME_BYTES_MAX`] (A3).
pub fn frame<T: Serialize>(version: u8, kind: u8, value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = encode_after(&[0, 0, 0, 0, version, kind], value)?;
    let length = frame_length((bytes.len() - FRAME_PREFIX_BYTES) as u64)?;
    let prefix = u32::try_from(length).unwrap_or(u32::MAX);
    bytes[..FRAME_PREFIX_BYTES].copy_from_slice(&prefix.to_be_bytes());
    Ok(bytes)
}

/// Checks a length that a frame's prefix announces, before a byte of it is read (A3).
///
/// # Errors
/// [`CodecError::TooLarge`] past [`FRAME_BYTES_MAX`].
pub fn frame_length(announced: u64) -> Result<usize, CodecError> {
    match usize::try_from(announced) {
        Ok(length) if length <= FRAME_BYTES_MAX => Ok(length),
        other => Err(CodecError::TooLarge {
            found: other.unwrap_or(usize::MAX),
            limit: FRAME_BYTES_MAX,
        }),
    }
}

/// For `#[serde(with)]` on a `Vec<u8>`: the same bytes as without, but moved at once and not one by one.
pub(crate) mod bytes {
    use std::fmt;

    use serde::{Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        from.deserialize_byte_buf(Bytes)
    }

    struct Bytes;

    impl de::Visitor<'_> for Bytes {
        type Value = Vec<u8>;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("bytes")
        }

        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }

        fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
            Ok(bytes)
        }
    }
}

fn encode_after<T: Serialize>(prefix: &[u8], value: &T) -> Result<Vec<u8>, CodecError> {
    let mut out = Out(Vec::with_capacity(USUAL_BYTES));
    out.0.extend_from_slice(prefix);
    bincode::serde::encode_into_writer(value, &mut out, CONFIG)
        .map_err(|_| CodecError::Malformed("a value that cannot be represented".to_owned()))?;
    Ok(out.0)
}

/// Encoded bytes join what stands there already.
struct Out(Vec<u8>);

impl bincode::enc::write::Writer for Out {
    #[expect(
        clippy::inline_always,
        reason = "called once for each byte of a key: counted, it costs half of encoding a lease"
    )]
    #[inline(always)]
    fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Bytes of the length before a frame.
pub const FRAME_PREFIX_BYTES: usize = 4;

// The limit also bounds what a length field inside may ask to allocate (S5).
const CONFIG: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<LICENSE_BYTES_MAX>,
> = bincode::config::standard().with_limit::<LICENSE_BYTES_MAX>();

/// Most frames and records are shorter: their buffer is asked for once.
const USUAL_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_bytes_moved_at_once_are_the_bytes_moved_one_by_one() {
        #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        struct AtOnce(#[serde(with = "bytes")] Vec<u8>, u8);
        for length in [0, 1, 250, 251, 252, 65_535, 65_536] {
            let body: Vec<u8> = (0..=255).cycle().take(length).collect();
            let one_by_one = encode(&(body.clone(), 7_u8)).unwrap();
            let value = AtOnce(body, 7);
            assert_eq!(encode(&value).unwrap(), one_by_one);
            assert_eq!(decode::<AtOnce>(&one_by_one), Ok(value));
            for torn in [0, one_by_one.len() / 2, one_by_one.len() - 1] {
                assert_eq!(
                    decode::<AtOnce>(&one_by_one[..torn]),
                    Err(CodecError::Malformed("they end too early".to_owned()))
                );
            }
        }
        let terabytes = [253, 255, 255, 255, 255, 255, 255, 255, 127];
        assert!(decode::<AtOnce>(&terabytes).is_err());
    }

    #[test]
    fn nine_bytes_do_not_allocate_terabytes() {
        let bytes = [253, 255, 255, 255, 255, 255, 255, 255, 127];
        assert!(decode::<Vec<u8>>(&bytes).is_err());
        assert!(decode::<Vec<u64>>(&bytes).is_err());
        assert!(decode::<String>(&bytes).is_err());
    }

    #[test]
    fn malformed_bytes_are_told_in_words() {
        let words = |bytes: &[u8]| decode::<(crate::ids::PublicKey, String)>(bytes).unwrap_err();
        assert_eq!(
            words(&[1]).to_string(),
            "malformed bytes: they end too early"
        );
        assert!(
            words(&[0; 40])
                .to_string()
                .contains("weak Ed25519 public key")
        );
    }

    #[test]
    fn trailing_bytes_are_an_error() {
        let mut bytes = encode(&7_u32).unwrap();
        bytes.push(0);
        assert_eq!(decode::<u32>(&bytes), Err(CodecError::Trailing(1)));
    }

    #[test]
    fn frames_over_the_limit_are_not_made_nor_read() {
        let large = vec![0_u8; FRAME_BYTES_MAX];
        assert!(matches!(
            frame(1, 1, &large),
            Err(CodecError::TooLarge { .. })
        ));
        assert!(frame_length(u64::from(u32::MAX)).is_err());
        assert_eq!(frame(1, 2, &3_u8).unwrap(), [0, 0, 0, 3, 1, 2, 3]);
    }

    #[test]
    fn s5_a_tag_says_version_and_kind_and_another_version_is_told_from_rubbish() {
        let bytes = tag(3, 9, &7_u8).unwrap();
        assert_eq!(bytes, [3, 9, 7]);
        assert_eq!(
            untag(3, &bytes),
            Ok(Tagged {
                kind: 9,
                body: &[7]
            })
        );
        assert_eq!(
            untag(2, &bytes),
            Err(CodecError::Version { found: 3, known: 2 })
        );
        assert!(matches!(untag(3, &[3]), Err(CodecError::Malformed(_))));
    }

    #[test]
    fn a3_a_frame_may_be_as_large_as_the_limit_and_no_larger() {
        let limit = FRAME_BYTES_MAX as u64;
        assert_eq!(frame_length(limit), Ok(FRAME_BYTES_MAX));
        assert!(frame_length(limit + 1).is_err());
        // Version, kind and three bytes for the length of the bytes themselves.
        let fits = vec![0_u8; FRAME_BYTES_MAX - 5];
        assert_eq!(
            frame(1, 1, &fits).unwrap().len(),
            FRAME_PREFIX_BYTES + FRAME_BYTES_MAX
        );
        assert!(frame(1, 1, &vec![0_u8; FRAME_BYTES_MAX - 4]).is_err());
    }

    #[test]
    fn each_fault_of_the_bytes_has_its_words() {
        let said = |error: CodecError| error.to_string().split(": ").nth(1).unwrap().to_owned();
        let text = |bytes: &[u8]| said(decode::<String>(bytes).unwrap_err());
        assert_eq!(text(&[2, b'a']), "they end too early");
        assert_eq!(text(&[1, 0xff]), "a text in them is not UTF-8");
        assert_eq!(
            text(&[252, 0, 0, 0, 127]),
            "they announce more than may follow"
        );
        assert_eq!(
            said(decode::<bool>(&[2]).unwrap_err()),
            "a value in them is out of range"
        );
    }

    #[test]
    fn what_the_decoder_says_by_itself_is_said() {
        assert_eq!(words(DecodeError::Other("a fault")), "a fault");
    }

    #[test]
    fn bytes_are_taken_from_a_decoder_that_only_shows_them() {
        use serde::de::value::{BytesDeserializer, Error, U8Deserializer};

        let shown = BytesDeserializer::<Error>::new(&[7, 8]);
        assert_eq!(bytes::deserialize(shown), Ok(vec![7, 8]));
        let other = serde::de::IntoDeserializer::<Error>::into_deserializer(7_u8);
        let error = bytes::deserialize::<U8Deserializer<Error>>(other).unwrap_err();
        assert!(error.to_string().ends_with("expected bytes"), "{error}");
    }
}
