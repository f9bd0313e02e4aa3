//! From a license's values to its signed text (T7). Whose key signs, and where it is kept, is the
//! caller's business (T9).

use ed25519_dalek::SigningKey;

use super::{
    Feature, Grouping, License, LicenseError, VerifiedLicense, endorse,
    parse::{self, FORMAT},
};
use crate::{
    codec::{self, CodecError},
    documents::{
        certificate::{CertificateError, VerifiedCertificate},
        field::{self, list, quoted},
        signed_text,
        text_error::TextError,
    },
    envelope::{self, DocumentType, Signed},
    limits::{LEASE_MS_DEFAULT, LEASE_MS_MAX, LEASE_MS_MIN},
    names::LicenseId,
    time::DurationMs,
};

/// Why a license was not issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The certificate given is not genuine.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A value breaks a rule of the license's text.
    #[error("the license cannot be written: {0}")]
    Text(#[from] TextError),
    /// A value reads back as another one: finer than a millisecond, or out of the calendar.
    #[error("the license does not read back as it was meant")]
    NotRepresentable,
    /// A value cannot be encoded.
    #[error("the license cannot be encoded: {0}")]
    Encode(#[from] CodecError),
    /// A daemon would refuse what was just made.
    #[error("this license would be refused: {0}")]
    WouldBeRefused(Box<LicenseError>),
}

/// Writes a license as readable text, signs it and its endorsement, and checks the result like a
/// daemon would: what this returns is accepted by [`VerifiedLicense::verify`].
///
/// # Errors
/// [`IssueError`]; nothing signed leaves then.
pub fn issue(
    license: &License,
    issuing: &SigningKey,
    certificate: &Signed,
    revocations: Option<&Signed>,
) -> Result<String, IssueError> {
    let text = render(license, revocations)?;
    let read = parse::parse(&text)?;
    if read.license != *license || read.revocations.as_ref() != revocations {
        return Err(IssueError::NotRepresentable);
    }
    let root = VerifiedCertificate::verify(certificate)?.root;
    let endorsement = endorse::endorse(license, &root, text.as_bytes());
    let endorsement = Signed::new(
        DocumentType::ENDORSEMENT,
        codec::encode(&endorsement)?,
        issuing,
    );
    let signature = envelope::sign(DocumentType::LICENSE, text.as_bytes(), issuing);
    let file = signed_text::join(
        &text,
        &[
            (super::TABLE_KEYS[0], codec::encode(certificate)?),
            (super::TABLE_KEYS[1], codec::encode(&signature)?),
            (super::TABLE_KEYS[2], codec::encode(&endorsement)?),
        ],
    );
    match VerifiedLicense::verify(file.as_bytes()) {
        Ok(_) => Ok(file),
        Err(error) => Err(IssueError::WouldBeRefused(Box::new(error))),
    }
}

fn render(license: &License, revocations: Option<&Signed>) -> Result<String, CodecError> {
    let mut text = Lines::default();
    text.comment(&format!(
        "Pool license of {} for {}.",
        license.vendor,
        quoted(&license.customer)
    ));
    text.comment("It is signed to the byte: whatever is changed in it, it is refused.");
    text.comment(
        "Install it with `usherd license add`; a higher serial of the same id replaces it.",
    );
    text.line("format", &FORMAT.to_string());
    text.line("id", &quoted(license.id.as_str()));
    text.line("serial", &license.serial.to_string());
    text.line("vendor", &quoted(license.vendor.as_str()));
    text.line("customer", &quoted(&license.customer));
    text.line("customer-id", &quoted(license.customer_id.as_str()));
    text.line(
        "environment",
        &quoted(field::environment(license.environment)),
    );
    text.line("issued", &field::start(license.issued));
    if let Some(support) = &license.support {
        text.line("support", &quoted(support));
    }
    text.gap();
    text.comment("The one daemon that may lend these seats, by its site key (`usherd request`).");
    text.line("site", &quoted(&license.site.to_string()));
    if !license.hosts.is_empty() {
        text.line("hosts", &list(license.hosts.iter().map(String::as_str)));
    }
    if !license.replaces.is_empty() {
        text.line(
            "replaces",
            &list(license.replaces.iter().map(LicenseId::as_str)),
        );
    }
    if let Some(revocations) = revocations {
        text.gap();
        text.comment("Keys and licenses that the vendor no longer stands for, signed by its root.");
        text.line("revocations", &field::encoded(revocations)?);
    }
    for feature in &license.features {
        text.feature(license, feature);
    }
    text.gap();
    Ok(text.0)
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn line(&mut self, key: &str, value: &str) {
        self.0.extend([key, " = ", value, "\n"]);
    }

    fn comment(&mut self, text: &str) {
        self.0.extend(["# ", text, "\n"]);
    }

    fn gap(&mut self) {
        self.0.push('\n');
    }

    fn feature(&mut self, license: &License, feature: &Feature) {
        self.gap();
        self.0.push_str("[[feature]]\n");
        self.line("name", &quoted(feature.feature.as_str()));
        match feature.seats {
            Some(seats) => self.line("seats", &seats.to_string()),
            None => self.line("seats", "\"unlimited\""),
        }
        if let Some(version) = feature.version {
            self.comment("The highest version served.");
            self.line("version", &quoted(&version.to_string()));
        }
        if feature.starts != license.issued {
            self.line("starts", &field::start(feature.starts));
        }
        if let Some(expires) = feature.expires {
            self.line("expires", &field::end(expires));
        }
        let usual = [LEASE_MS_MIN, LEASE_MS_DEFAULT, LEASE_MS_MAX];
        let lengths = [
            feature.lease_ms_min,
            feature.lease_ms_default,
            feature.lease_ms_max,
        ];
        if lengths != usual {
            self.length("lease-min", feature.lease_ms_min);
            self.length("lease-default", feature.lease_ms_default);
            self.length("lease-max", feature.lease_ms_max);
        }
        if feature.borrow_ms_max != DurationMs::ZERO {
            self.length("borrow-max", feature.borrow_ms_max);
        }
        if feature.early_return {
            self.comment(
                "A seat returned early is lent anew at once, although a copy may be kept.",
            );
            self.line("early-return", "true");
        }
        if feature.write_off != 0 {
            self.comment("Borrowed seats that may be written off before they end.");
            self.line("write-off", &feature.write_off.to_string());
        }
        if feature.overdraft != 0 {
            self.comment("Seats beyond the pool.");
            self.line("overdraft", &feature.overdraft.to_string());
        }
        if feature.grouping != Grouping::default() {
            self.comment("What shares one seat.");
            self.line("grouping", &quoted(feature.grouping.as_str()));
        }
        if feature.claimed_user {
            self.comment("The client's own word names the user.");
            self.line("claimed-user", "true");
        }
    }

    fn length(&mut self, key: &str, length: DurationMs) {
        self.line(key, &quoted(&length.to_text()));
    }
}
