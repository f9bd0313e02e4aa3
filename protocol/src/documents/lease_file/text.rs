//! The lease file's text: TOML around the exact bytes that were signed. Must not judge them.

use std::str::FromStr;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{LeaseFile, StoredRight, StoredSecret};
use crate::{
    codec,
    documents::endorsement::SignedEndorsement,
    ids::BootId,
    time::{BootMs, DurationMs, Now, WallMs},
};

/// Why a text is no lease file, or a lease file no text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseFileError {
    /// A field is missing, unknown, or not what it should be.
    #[error("{0}")]
    Malformed(String),
    /// Its rules are of another version.
    #[error("format {found} needs another version of usher")]
    OtherFormat {
        /// The version it names.
        found: u8,
    },
}

impl LeaseFile {
    /// The file's text.
    ///
    /// # Errors
    /// [`LeaseFileError`] if a part cannot be encoded.
    pub fn to_text(&self) -> Result<String, LeaseFileError> {
        let body = toml::to_string(&Format::of(self)?).map_err(malformed)?;
        let header = match self.secret {
            Some(_) => HEADER,
            None => HEADER_SHOWN,
        };
        Ok(format!("{header}{body}"))
    }
}

impl FromStr for LeaseFile {
    type Err = LeaseFileError;

    fn from_str(text: &str) -> Result<Self, LeaseFileError> {
        let format: Format = toml::from_str(text).map_err(malformed)?;
        match format.number {
            FORMAT => format.into_file(),
            found => Err(LeaseFileError::OtherFormat { found }),
        }
    }
}

/// What stands in the file, as it stands there.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Format {
    #[serde(rename = "format")]
    number: u8,
    root: String,
    server: String,
    certificate: String,
    endorsement: String,
    lease: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    length_ms_wished: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<Secret>,
    right: Counted,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Secret {
    nonce: String,
    acknowledged: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    under_way: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Counted {
    #[serde(skip_serializing_if = "Option::is_none")]
    boot: Option<BootId>,
    since_boot_ms: u64,
    since_wall_ms: u64,
    length_ms: u64,
}

impl Format {
    fn of(file: &LeaseFile) -> Result<Self, LeaseFileError> {
        Ok(Self {
            number: FORMAT,
            root: file.root.to_string(),
            server: file.server.clone(),
            certificate: wrap(&file.endorsement.certificate)?,
            endorsement: wrap(&file.endorsement.endorsement)?,
            lease: wrap(&file.lease)?,
            length_ms_wished: file.length_ms.map(|length| length.0),
            secret: file.secret.as_ref().map(Secret::of),
            right: Counted::of(&file.right),
        })
    }

    fn into_file(self) -> Result<LeaseFile, LeaseFileError> {
        Ok(LeaseFile {
            root: self.root.parse().map_err(malformed)?,
            server: self.server,
            endorsement: SignedEndorsement {
                certificate: unwrap(&self.certificate)?,
                endorsement: unwrap(&self.endorsement)?,
            },
            lease: unwrap(&self.lease)?,
            length_ms: self.length_ms_wished.map(DurationMs),
            secret: self.secret.map(Secret::into_stored).transpose()?,
            right: self.right.into_stored(),
        })
    }
}

impl Secret {
    fn of(secret: &StoredSecret) -> Self {
        Self {
            nonce: secret.nonce.to_hex(),
            acknowledged: secret.acknowledged.to_hex(),
            under_way: secret.under_way.map(|token| token.to_hex()),
        }
    }

    fn into_stored(self) -> Result<StoredSecret, LeaseFileError> {
        let under_way = self.under_way.map(|it| it.parse());
        Ok(StoredSecret {
            nonce: self.nonce.parse().map_err(malformed)?,
            acknowledged: self.acknowledged.parse().map_err(malformed)?,
            under_way: under_way.transpose().map_err(malformed)?,
        })
    }
}

impl Counted {
    fn of(right: &StoredRight) -> Self {
        Self {
            boot: right.boot,
            since_boot_ms: right.since.boot.0,
            since_wall_ms: right.since.wall.0,
            length_ms: right.length.0,
        }
    }

    fn into_stored(self) -> StoredRight {
        StoredRight {
            since: Now {
                boot: BootMs(self.since_boot_ms),
                wall: WallMs(self.since_wall_ms),
            },
            length: DurationMs(self.length_ms),
            boot: self.boot,
        }
    }
}

fn wrap<T: Serialize>(value: &T) -> Result<String, LeaseFileError> {
    codec::encode(value)
        .map(|bytes| BASE64.encode(&bytes))
        .map_err(malformed)
}

fn unwrap<T: DeserializeOwned>(encoded: &str) -> Result<T, LeaseFileError> {
    let bytes = BASE64.decode(encoded.as_bytes()).map_err(malformed)?;
    codec::decode(&bytes).map_err(malformed)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that `map_err` wants"
)]
fn malformed(error: impl ToString) -> LeaseFileError {
    LeaseFileError::Malformed(error.to_string())
}

const FORMAT: u8 = 1;

const HEADER: &str = "\
# A lease, and the secrets that renew and release it: keep it private.
# Look at it with `usher verify FILE`, give it back with `usher release FILE`.
";

const HEADER_SHOWN: &str = "\
# A lease that a running process holds; this copy only shows it.
# Look at it with `usher verify FILE`.
";
