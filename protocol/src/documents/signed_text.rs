//! Text that is signed to the byte: readable lines, the line `[signature]`, then only that table (T7).
//!
//! This module decides which bytes are signed and what may follow them. It checks no signature.

use data_encoding::BASE64;
use serde::{Serialize, de::DeserializeOwned};

use crate::codec;

/// A text taken apart: what is signed, and the values of its signature table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SignedText<'a> {
    /// The signed bytes: everything before the line `[signature]`.
    pub(crate) signed: &'a str,
    values: Vec<&'a str>,
    table_line: usize,
    keys: &'a [&'static str],
}

/// Why a file is no signed text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignedTextError {
    /// Larger than such a file may be.
    #[error("the file has {found} bytes, over the limit of {limit}")]
    TooLarge {
        /// Its size in bytes.
        found: usize,
        /// The bound in bytes.
        limit: usize,
    },
    /// Not text.
    #[error("line {line} is not UTF-8 text")]
    NotUtf8 {
        /// The line, from 1.
        line: usize,
    },
    /// A carriage return that does not end a line.
    #[error("line {line} has a carriage return in its middle")]
    CarriageReturn {
        /// The line, from 1.
        line: usize,
    },
    /// The table is missing.
    #[error("the file has no line that is exactly `[signature]`")]
    NoSignature,
    /// The table is not as it was written.
    #[error("line {line}: expected {expected}")]
    Table {
        /// The line, from 1.
        line: usize,
        /// What belongs there.
        expected: String,
    },
}

/// Drops one byte order mark and turns CR LF into LF: mail and editors do that to text (T7).
pub(crate) fn normalize(bytes: &[u8], bytes_max: usize) -> Result<String, SignedTextError> {
    if bytes.len() > bytes_max {
        return Err(SignedTextError::TooLarge {
            found: bytes.len(),
            limit: bytes_max,
        });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| SignedTextError::NotUtf8 {
        line: line_at(&bytes[..error.valid_up_to()]),
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.replace("\r\n", "\n");
    match text.find('\r') {
        None => Ok(text),
        Some(at) => Err(SignedTextError::CarriageReturn {
            line: line_at(&text.as_bytes()[..at]),
        }),
    }
}

/// Splits a normalized text whose table must hold exactly `keys`, one line each, in this order.
///
/// The table has one spelling only, so that no byte of the file can change unnoticed.
pub(crate) fn split<'a>(
    text: &'a str,
    keys: &'a [&'static str],
) -> Result<SignedText<'a>, SignedTextError> {
    let at = text.find(SEPARATOR).ok_or(SignedTextError::NoSignature)? + 1;
    let (signed, table) = text.split_at(at);
    let table_line = line_at(signed.as_bytes());
    let mut rest = &table[SEPARATOR.len() - 1..];
    let mut values = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        let (value, after) = table_value(rest, key).ok_or_else(|| SignedTextError::Table {
            line: table_line + 1 + index,
            expected: format!("`{key} = \"…\"`, base64 on one line"),
        })?;
        values.push(value);
        rest = after;
    }
    if !rest.is_empty() {
        return Err(SignedTextError::Table {
            line: table_line + 1 + keys.len(),
            expected: "the end of the file".to_owned(),
        });
    }
    Ok(SignedText {
        signed,
        values,
        table_line,
        keys,
    })
}

impl SignedText<'_> {
    /// The value at this place of the table, which must be encoded in the one way [`join`] does.
    pub(crate) fn value<T: Serialize + DeserializeOwned>(
        &self,
        index: usize,
    ) -> Result<T, SignedTextError> {
        let bytes = self.values.get(index).and_then(|text| base64(text));
        let value = bytes
            .as_ref()
            .and_then(|bytes| codec::decode::<T>(bytes).ok());
        match (bytes, value) {
            (Some(bytes), Some(value)) if codec::encode(&value).as_ref() == Ok(&bytes) => Ok(value),
            _ => Err(SignedTextError::Table {
                line: self.table_line + 1 + index,
                expected: format!(
                    "the whole value of `{}` as it was issued",
                    self.keys.get(index).unwrap_or(&"it")
                ),
            }),
        }
    }
}

/// The whole file: the signed text, the line `[signature]`, and the table.
pub(crate) fn join(signed: &str, table: &[(&str, Vec<u8>)]) -> String {
    let mut text = format!("{signed}[signature]\n");
    for (key, value) in table {
        text.extend([*key, " = \"", &BASE64.encode(value), "\"\n"]);
    }
    text
}

fn table_value<'a>(rest: &'a str, key: &str) -> Option<(&'a str, &'a str)> {
    let rest = rest.strip_prefix(key)?.strip_prefix(" = \"")?;
    rest.split_once("\"\n")
}

fn base64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.as_bytes()).ok()
}

/// The number of the line that follows these bytes, from 1.
fn line_at(before: &[u8]) -> usize {
    before.split(|byte| *byte == b'\n').count()
}

const SEPARATOR: &str = "\n[signature]\n";

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &[&str] = &["a", "b"];

    fn sample() -> String {
        join("x = 1\n", &[("a", vec![1, 2]), ("b", vec![3])])
    }

    #[test]
    fn line_ends_and_one_mark_do_not_matter() {
        let text = sample();
        let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        assert_eq!(normalize(windows.as_bytes(), 1000).unwrap(), text);
        let split = split(&text, KEYS).unwrap();
        assert_eq!(split.signed, "x = 1\n");
        assert_eq!(split.value::<u8>(1), Ok(3));
    }

    #[test]
    fn what_does_not_belong_is_found_by_line() {
        let table = |line, expected: &str| {
            let expected = expected.to_owned();
            Err(SignedTextError::Table { line, expected })
        };
        assert_eq!(
            normalize(b"a\nb\rc\n", 99),
            Err(SignedTextError::CarriageReturn { line: 2 })
        );
        assert_eq!(
            normalize(b"a\n\xff\n", 99),
            Err(SignedTextError::NotUtf8 { line: 2 })
        );
        assert_eq!(split("x = 1\n", KEYS), Err(SignedTextError::NoSignature));
        assert_eq!(
            split(&sample().replace("a = ", "a  = "), KEYS),
            table(3, "`a = \"…\"`, base64 on one line")
        );
        assert_eq!(
            split(&format!("{}\n", sample()), KEYS),
            table(5, "the end of the file")
        );
        assert_eq!(
            split(sample().trim_end(), KEYS),
            table(4, "`b = \"…\"`, base64 on one line")
        );
    }

    #[test]
    fn values_have_one_spelling() {
        // 251, 3, 0 is another way to write the 3 of `bincode`.
        let text = join("x\n", &[("a", vec![1, 2]), ("b", vec![251, 3, 0])]);
        assert!(split(&text, KEYS).unwrap().value::<u16>(1).is_err());
        let text = join("x\n", &[("a", vec![1, 2]), ("b", vec![3])]);
        assert_eq!(split(&text, KEYS).unwrap().value::<u16>(1), Ok(3));
    }

    #[test]
    fn a_file_may_be_as_large_as_its_limit_and_no_larger() {
        assert_eq!(normalize(b"abc", 3).as_deref(), Ok("abc"));
        let too_large = SignedTextError::TooLarge { found: 4, limit: 3 };
        assert_eq!(normalize(b"abcd", 3), Err(too_large));
    }

    #[test]
    fn a_value_that_is_not_as_issued_is_found_by_line() {
        let text = sample().replace("\"Aw==\"", "\"Aw=\"");
        let error = split(&text, KEYS).unwrap().value::<u8>(1);
        assert_eq!(
            error,
            Err(SignedTextError::Table {
                line: 4,
                expected: "the whole value of `b` as it was issued".to_owned(),
            })
        );
    }
}
