//! Names that people write and documents carry: vendors, features, licenses, versions.
//!
//! A name is checked once, where it enters; past that only these types travel.

use std::{cmp::Ordering, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize, Serializer};

use crate::limits::{ID_BYTES_MAX, NAME_BYTES_MAX};

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NameError(String);

macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:expr, $allowed:expr) => {
        $(#[$doc])*
        ///
        /// A copy costs a count and no text: names travel with every lease.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                check(text, $what, $max, $allowed).map(|()| Self(text.into()))
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked_name!(
    /// A vendor's display name; its root's fingerprint is its identity (T3).
    VendorName, "vendor name", NAME_BYTES_MAX, "-_"
);
checked_name!(
    /// A feature within its vendor: the part after the slash of `acme/solver`.
    FeatureName, "feature name", NAME_BYTES_MAX, "-_."
);
checked_name!(
    /// The id a vendor gives a pool license; its serial counts within it (T7).
    LicenseId, "license id", ID_BYTES_MAX, "-_."
);
checked_name!(
    /// The id a vendor gives a customer.
    CustomerId, "customer id", ID_BYTES_MAX, "-_."
);

fn check(text: &str, what: &str, bytes_max: usize, allowed: &str) -> Result<(), NameError> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || allowed.contains(c);
    if text.is_empty() || text.len() > bytes_max {
        return Err(NameError(format!(
            "a {what} has 1 to {bytes_max} characters, not {}",
            text.len()
        )));
    }
    match text.chars().find(|c| !fits(*c)) {
        None => Ok(()),
        Some(c) => Err(NameError(format!(
            "a {what} has lower-case letters, digits and `{allowed}`; `{}` has {c:?}",
            text.escape_debug()
        ))),
    }
}

/// A feature named in full: `acme/solver`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FeaturePath {
    /// The vendor's display name.
    pub vendor: VendorName,
    /// The feature within it.
    pub feature: FeatureName,
}

impl fmt::Display for FeaturePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.vendor, self.feature)
    }
}

impl FromStr for FeaturePath {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (vendor, feature) = text.split_once('/').ok_or_else(|| {
            NameError(format!(
                "a feature is named `vendor/feature`, not `{}`",
                text.escape_debug()
            ))
        })?;
        Ok(Self {
            vendor: vendor.parse()?,
            feature: feature.parse()?,
        })
    }
}

/// A version of up to four numbers, compared number by number: `2027.1`.
///
/// Parts beyond the count are zero, so that equal versions are equal bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<u32>", into = "Vec<u32>")]
pub struct Version {
    parts: [u32; 4],
    count: u8,
}

impl TryFrom<Vec<u32>> for Version {
    type Error = NameError;

    fn try_from(numbers: Vec<u32>) -> Result<Self, NameError> {
        let mut version = Self {
            parts: [0; 4],
            count: 0,
        };
        if numbers.is_empty() || numbers.len() > version.parts.len() {
            return Err(NameError("a version has one to four numbers".to_owned()));
        }
        for (slot, number) in version.parts.iter_mut().zip(numbers) {
            *slot = number;
            version.count += 1;
        }
        Ok(version)
    }
}

impl From<Version> for Vec<u32> {
    fn from(version: Version) -> Self {
        version.parts[..usize::from(version.count)].to_vec()
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts
            .cmp(&other.parts)
            .then(self.count.cmp(&other.count))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts.iter().take(usize::from(self.count)).enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            write!(f, "{part}")?;
        }
        Ok(())
    }
}

impl FromStr for Version {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let error = || {
            NameError(format!(
                "a version is one to four numbers joined by dots, not `{}`",
                text.escape_debug()
            ))
        };
        let mut version = Self {
            parts: [0; 4],
            count: 0,
        };
        for digits in text.split('.') {
            let slot = version
                .parts
                .get_mut(usize::from(version.count))
                .ok_or_else(error)?;
            *slot = digits.parse().map_err(|_| error())?;
            version.count += 1;
        }
        Ok(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_they_want() {
        assert!("solver".parse::<FeatureName>().is_ok());
        let error = "Solver".parse::<FeatureName>().unwrap_err().to_string();
        assert_eq!(
            error,
            "a feature name has lower-case letters, digits and `-_.`; `Solver` has 'S'"
        );
        assert!("".parse::<VendorName>().is_err());
        assert!("a".repeat(49).parse::<VendorName>().is_err());
        assert!("solver".parse::<FeaturePath>().is_err());
    }

    #[test]
    fn a_version_has_one_to_four_numbers() {
        let version = |count: usize| Version::try_from(vec![1; count]);
        for count in 1..=4 {
            assert_eq!(Vec::from(version(count).unwrap()), vec![1; count]);
        }
        assert!(version(0).is_err());
        assert!(version(5).is_err());
    }

    #[test]
    fn versions_compare_by_number() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        assert!(version("10.2") > version("9.9.9"));
        assert!(version("2027.1") < version("2027.1.1"));
        assert_eq!(version("2027.1").to_string(), "2027.1");
        assert!("1.2.3.4.5".parse::<Version>().is_err());
        assert!("1..2".parse::<Version>().is_err());
    }
}
