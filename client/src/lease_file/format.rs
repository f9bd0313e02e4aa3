//! The lease file's text: TOML around the exact bytes that were signed. Must not judge them.

use super::{LeaseFile, StoredLink, StoredRight, StoredSecret};
use crate::{clock::BootId, session::Right};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::path::Path;
use usher_protocol::{
    codec,
    documents::endorsement::SignedEndorsement,
    time::{BootMs, DurationMs, Now, WallMs},
};

/// What stands in the file, as it stands there.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Format {
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

/// The right's beginning by both clocks, and the boot that one of them counts from.
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
    pub(super) fn of(file: &LeaseFile) -> Result<Self, String> {
        Ok(Self {
            number: FORMAT,
            root: file.root.to_string(),
            server: file.server.clone(),
            certificate: wrap(&file.endorsement.certificate)?,
            endorsement: wrap(&file.endorsement.endorsement)?,
            lease: wrap(&file.signed)?,
            length_ms_wished: file.length_ms.map(|length| length.0),
            secret: file.secret.as_ref().map(Secret::of),
            right: Counted {
                boot: file.right.boot,
                since_boot_ms: file.right.right.since.boot.0,
                since_wall_ms: file.right.right.since.wall.0,
                length_ms: file.right.right.length.0,
            },
        })
    }

    pub(super) fn text(&self) -> Result<String, String> {
        let body = toml::to_string(self).map_err(|error| error.to_string())?;
        let header = match self.secret {
            Some(_) => HEADER,
            None => HEADER_SHOWN,
        };
        Ok(format!("{header}{body}"))
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let format: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        match format.number {
            FORMAT => Ok(format),
            other => Err(format!("format {other} needs another version of usher")),
        }
    }

    pub(super) fn into_file(self, path: &Path) -> Result<LeaseFile, String> {
        let signed: usher_protocol::envelope::Signed = unwrap(&self.lease)?;
        let lease = codec::decode(&signed.body).map_err(|error| error.to_string())?;
        Ok(LeaseFile {
            path: path.to_owned(),
            root: self.root.parse().map_err(text)?,
            server: self.server,
            endorsement: SignedEndorsement {
                certificate: unwrap(&self.certificate)?,
                endorsement: unwrap(&self.endorsement)?,
            },
            signed,
            lease,
            secret: self.secret.map(Secret::into_stored).transpose()?,
            right: StoredRight {
                right: Right {
                    since: Now {
                        boot: BootMs(self.right.since_boot_ms),
                        wall: WallMs(self.right.since_wall_ms),
                    },
                    length: DurationMs(self.right.length_ms),
                },
                boot: self.right.boot,
            },
            length_ms: self.length_ms_wished.map(DurationMs),
        })
    }
}

impl Secret {
    fn of(secret: &StoredSecret) -> Self {
        Self {
            nonce: secret.nonce.to_hex(),
            acknowledged: secret.link.acknowledged.to_hex(),
            under_way: secret.link.under_way.map(|token| token.to_hex()),
        }
    }

    fn into_stored(self) -> Result<StoredSecret, String> {
        let under_way = self.under_way.map(|it| it.parse());
        Ok(StoredSecret {
            nonce: self.nonce.parse().map_err(text)?,
            link: StoredLink {
                acknowledged: self.acknowledged.parse().map_err(text)?,
                under_way: under_way.transpose().map_err(text)?,
            },
        })
    }
}

fn wrap<T: Serialize>(value: &T) -> Result<String, String> {
    codec::encode(value)
        .map(|bytes| BASE64.encode(&bytes))
        .map_err(text)
}

fn unwrap<T: DeserializeOwned>(encoded: &str) -> Result<T, String> {
    let bytes = BASE64.decode(encoded.as_bytes()).map_err(text)?;
    codec::decode(&bytes).map_err(text)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that `map_err` wants"
)]
fn text(error: impl ToString) -> String {
    error.to_string()
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
