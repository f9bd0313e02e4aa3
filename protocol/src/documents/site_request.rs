//! The site request: what `usherd request` prints and an admin mails to the vendor.
//!
//! It is readable text, signed by the site key itself: that proves possession of the key, and nothing
//! else. It holds nothing secret.

use ed25519_dalek::SigningKey;
use serde::Deserialize;

use crate::{
    codec::{self, CodecError},
    documents::{
        field::{self, quoted},
        signed_text::{self, SignedTextError},
        text_error::{TextError, read_toml},
    },
    envelope::{self, DocumentType, Signature},
    ids::PublicKey,
    limits::{HOST_BYTES_MAX, ID_BYTES_MAX, SITE_REQUEST_BYTES_MAX},
    time::WallMs,
};

/// What a site tells a vendor of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteRequest {
    /// The daemon's key, which licenses will name.
    pub site: PublicKey,
    /// The host name, for a host binding if the vendor wants one.
    pub host: String,
    /// The version of usherd, so that the vendor issues what it understands.
    pub usherd: String,
    /// When it was made, by the daemon's wall clock.
    pub requested: WallMs,
}

/// A site request whose signature by the key it names was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedSiteRequest {
    request: SiteRequest,
}

/// Why a site request is not believed, or not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SiteRequestError {
    /// It is no signed text.
    #[error("not a site request: {0}")]
    File(#[from] SignedTextError),
    /// Its text breaks a rule.
    #[error("not a site request: {0}")]
    Text(#[from] TextError),
    /// The key it names did not sign it.
    #[error("the site request was changed after it was made: make a new one with `usherd request`")]
    BadSignature,
    /// It cannot be encoded.
    #[error(transparent)]
    Encode(#[from] CodecError),
}

impl SiteRequest {
    /// The file, signed with the site key.
    ///
    /// # Errors
    /// [`SiteRequestError::Text`] for a value that breaks a rule, [`SiteRequestError::BadSignature`]
    /// for another key than the one it names.
    pub fn sign(&self, site: &SigningKey) -> Result<String, SiteRequestError> {
        let text = self.to_text();
        let signature = envelope::sign(DocumentType::SITE_REQUEST, text.as_bytes(), site);
        let file = signed_text::join(&text, &[(TABLE_KEYS[0], codec::encode(&signature)?)]);
        VerifiedSiteRequest::verify(file.as_bytes())?;
        Ok(file)
    }

    fn to_text(&self) -> String {
        let lines = [
            "# A site's request for pool licenses: mail this file to the vendor.".to_owned(),
            "# It holds nothing secret; the signature proves that the site has its key.".to_owned(),
            "format = 1".to_owned(),
            format!("site = {}", quoted(&self.site.to_string())),
            format!("host = {}", quoted(&self.host)),
            format!("usherd = {}", quoted(&self.usherd)),
            format!("requested = {}", field::start(self.requested)),
            String::new(),
        ];
        lines.map(|line| line + "\n").concat()
    }
}

impl VerifiedSiteRequest {
    /// Reads a request and checks that the key it names signed it.
    ///
    /// # Errors
    /// [`SiteRequestError`].
    pub fn verify(file: &[u8]) -> Result<Self, SiteRequestError> {
        let text = signed_text::normalize(file, SITE_REQUEST_BYTES_MAX)?;
        let parts = signed_text::split(&text, TABLE_KEYS)?;
        let signature: Signature = parts.value(0)?;
        let raw: RawSiteRequest = read_toml(parts.signed)?;
        if raw.format != 1 {
            let message = format!("format {}, and this build knows 1", raw.format);
            return Err(TextError::at(parts.signed, 0..0, &message).newer().into());
        }
        let request = SiteRequest {
            site: raw.site.0,
            host: raw.host.0,
            usherd: raw.usherd.0,
            requested: raw.requested.0,
        };
        envelope::verify(
            DocumentType::SITE_REQUEST,
            parts.signed.as_bytes(),
            &signature,
            &request.site,
        )
        .map_err(|_| SiteRequestError::BadSignature)?;
        Ok(Self { request })
    }
}

impl std::ops::Deref for VerifiedSiteRequest {
    type Target = SiteRequest;

    fn deref(&self) -> &SiteRequest {
        &self.request
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSiteRequest {
    format: u64,
    site: field::Text<PublicKey>,
    host: field::Line<HOST_BYTES_MAX>,
    usherd: field::Line<ID_BYTES_MAX>,
    requested: field::Start,
}

const TABLE_KEYS: &[&str] = &["request"];

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (SiteRequest, SigningKey) {
        let key = SigningKey::from_bytes(&[3; 32]);
        let request = SiteRequest {
            site: PublicKey::from(&key),
            host: "lic01.example.org".to_owned(),
            usherd: "0.1.0".to_owned(),
            requested: WallMs(1_800_000_000_123),
        };
        (request, key)
    }

    #[test]
    fn a_request_reads_back() {
        let (request, key) = sample();
        let file = request.sign(&key).unwrap();
        assert_eq!(
            *VerifiedSiteRequest::verify(file.as_bytes()).unwrap(),
            request
        );
    }

    #[test]
    fn another_key_or_an_edit_is_found() {
        let (request, key) = sample();
        let stranger = SigningKey::from_bytes(&[4; 32]);
        assert_eq!(request.sign(&stranger), Err(SiteRequestError::BadSignature));
        let edited = request.sign(&key).unwrap().replace("lic01", "lic02");
        assert_eq!(
            VerifiedSiteRequest::verify(edited.as_bytes()),
            Err(SiteRequestError::BadSignature)
        );
        let host = SiteRequest {
            host: "lic01\nformat = 2".to_owned(),
            ..request
        };
        assert!(matches!(host.sign(&key), Err(SiteRequestError::Text(_))));
    }

    #[test]
    fn another_format_needs_a_newer_issuer() {
        let (request, key) = sample();
        let text = request.to_text().replace("format = 1", "format = 2");
        let signature = envelope::sign(DocumentType::SITE_REQUEST, text.as_bytes(), &key);
        let file = signed_text::join(&text, &[("request", codec::encode(&signature).unwrap())]);
        assert!(matches!(
            VerifiedSiteRequest::verify(file.as_bytes()),
            Err(SiteRequestError::Text(error)) if error.needs_newer
        ));
    }
}
