//! From the license's text to its values: every field known, every bound kept (T7, T8).
//!
//! This module decides what a license may say. Whether anybody signed it is `verify`'s question.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::{Feature, Grouping, License};
use crate::{
    documents::{
        field,
        text_error::{TextError, read_toml},
    },
    envelope::Signed,
    ids::PublicKey,
    limits::{
        BORROW_MS_MAX, FEATURES_PER_LICENSE_MAX, HOST_BYTES_MAX, HOSTS_PER_LICENSE_MAX,
        LEASE_MS_DEFAULT, LEASE_MS_MAX, LEASE_MS_MIN, LEASE_MS_MIN_TEST, REPLACES_PER_LICENSE_MAX,
        TEXT_BYTES_MAX,
    },
    names::{CustomerId, FeatureName, LicenseId, VendorName, Version},
    time::{DurationMs, WallMs},
    wire::Environment,
};

/// The version of the text's rules that this build knows; it stands in the field `format`.
pub(super) const FORMAT: u64 = 1;

/// What the text says: the license, and the revocation list it carries (T7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LicenseText {
    pub(super) license: License,
    pub(super) revocations: Option<Signed>,
}

/// Reads the signed part of a license file.
pub(super) fn parse(text: &str) -> Result<LicenseText, TextError> {
    // The format first: what a newer one says may look like nonsense here.
    let Format { format } = read_toml(text)?;
    let at = |span: Range<usize>| move |message: String| TextError::at(text, span, &message);
    if *format.get_ref() != FORMAT {
        let message = format!("format {}, and this build knows {FORMAT}", format.get_ref());
        return Err(at(format.span())(message).newer());
    }
    let raw: RawLicense = read_toml(text)?;
    let rules = Rules {
        issued: raw.issued.0,
        environment: raw.environment,
    };
    check_length(&raw.hosts, HOSTS_PER_LICENSE_MAX, "hosts").map_err(at(raw.hosts.span()))?;
    check_length(&raw.replaces, REPLACES_PER_LICENSE_MAX, "licenses")
        .map_err(at(raw.replaces.span()))?;
    check_length(&raw.feature, FEATURES_PER_LICENSE_MAX, "features")
        .map_err(at(raw.feature.span()))?;
    let mut features: Vec<Feature> = Vec::new();
    for raw in raw.feature.into_inner() {
        let span = raw.span();
        let feature = rules.feature(raw.into_inner()).map_err(at(span.clone()))?;
        if features
            .iter()
            .any(|other| other.feature == feature.feature)
        {
            let message = format!("the feature `{}` stands here twice", feature.feature);
            return Err(at(span)(message));
        }
        features.push(feature);
    }
    Ok(LicenseText {
        license: License {
            id: raw.id,
            serial: raw.serial.0,
            vendor: raw.vendor,
            customer: raw.customer.0,
            customer_id: raw.customer_id,
            environment: raw.environment,
            site: raw.site.0,
            hosts: raw
                .hosts
                .into_inner()
                .into_iter()
                .map(|host| host.0)
                .collect(),
            issued: raw.issued.0,
            replaces: raw.replaces.into_inner(),
            support: raw.support.map(|text| text.0),
            features,
        },
        revocations: raw.revocations.map(|list| list.0),
    })
}

#[derive(Deserialize)]
struct Format {
    format: Spanned<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawLicense {
    #[serde(rename = "format")]
    _format: u64,
    id: LicenseId,
    serial: field::Positive<u64>,
    vendor: VendorName,
    customer: field::Line<TEXT_BYTES_MAX>,
    customer_id: CustomerId,
    environment: Environment,
    site: field::Text<PublicKey>,
    #[serde(default = "nothing")]
    hosts: Spanned<Vec<field::Line<HOST_BYTES_MAX>>>,
    issued: field::Start,
    #[serde(default = "nothing")]
    replaces: Spanned<Vec<LicenseId>>,
    support: Option<field::Line<TEXT_BYTES_MAX>>,
    revocations: Option<field::Encoded<Signed>>,
    feature: Spanned<Vec<Spanned<RawFeature>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawFeature {
    name: FeatureName,
    version: Option<field::Text<Version>>,
    seats: field::Seats,
    starts: Option<field::Start>,
    expires: Option<field::End>,
    lease_min: Option<field::Text<DurationMs>>,
    lease_default: Option<field::Text<DurationMs>>,
    lease_max: Option<field::Text<DurationMs>>,
    #[serde(default)]
    borrow_max: field::Text<DurationMs>,
    #[serde(default)]
    overdraft: u32,
    #[serde(default)]
    grouping: Grouping,
    #[serde(default)]
    claimed_user: bool,
    #[serde(default)]
    early_return: bool,
    #[serde(default)]
    write_off: u32,
}

/// A share that spans hosts rests on the client's word for its user, and the vendor says so or not.
fn check_sharing(raw: &RawFeature) -> Result<(), String> {
    let spans_hosts = raw.grouping == Grouping::User;
    match (spans_hosts, raw.claimed_user) {
        (true, false) => Err("`grouping = \"user\"` spans hosts and takes the client's word for its user; say `claimed-user = true` too".to_owned()),
        (false, true) => Err("`claimed-user` is for `grouping = \"user\"` alone".to_owned()),
        _ if raw.borrow_max.0 == DurationMs::ZERO && (raw.early_return || raw.write_off > 0) => {
            Err("`early-return` and `write-off` are about borrows; say `borrow-max` too".to_owned())
        }
        _ => Ok(()),
    }
}

fn nothing<T>() -> Spanned<Vec<T>> {
    Spanned::new(0..0, Vec::new())
}

fn check_length<T>(list: &Spanned<Vec<T>>, max: usize, what: &str) -> Result<(), String> {
    match list.get_ref().len() {
        0 if what == "features" => Err("expected at least one `[[feature]]`".to_owned()),
        found if found > max => Err(format!("{found} {what}, over the limit of {max}")),
        _ => Ok(()),
    }
}

/// What the license as a whole says about each of its features.
struct Rules {
    issued: WallMs,
    environment: Environment,
}

impl Rules {
    fn feature(&self, raw: RawFeature) -> Result<Feature, String> {
        let starts = raw.starts.map_or(self.issued, |date| date.0);
        let expires = raw.expires.map(|date| date.0);
        if expires.is_some_and(|expires| expires <= starts) {
            return Err("`expires` comes before `starts`".to_owned());
        }
        let borrow_ms_max = raw.borrow_max.0;
        if borrow_ms_max > BORROW_MS_MAX {
            return Err(format!("`borrow-max` is over the limit of {BORROW_MS_MAX}"));
        }
        check_sharing(&raw)?;
        let lengths = self.lengths(
            raw.lease_min.map(|length| length.0),
            raw.lease_default.map(|length| length.0),
            raw.lease_max.map(|length| length.0),
        )?;
        Ok(Feature {
            feature: raw.name,
            version: raw.version.map(|version| version.0),
            seats: raw.seats.0,
            starts,
            expires,
            lease_ms_min: lengths.0,
            lease_ms_default: lengths.1,
            lease_ms_max: lengths.2,
            borrow_ms_max,
            overdraft: raw.overdraft,
            grouping: raw.grouping,
            claimed_user: raw.claimed_user,
            early_return: raw.early_return,
            write_off: raw.write_off,
        })
    }

    /// Shortest, usual and longest lease length (L2, T8); what is not said is the usual, as far as
    /// what is said allows it.
    fn lengths(
        &self,
        min: Option<DurationMs>,
        default: Option<DurationMs>,
        max: Option<DurationMs>,
    ) -> Result<(DurationMs, DurationMs, DurationMs), String> {
        let floor = match self.environment {
            Environment::Live => LEASE_MS_MIN,
            Environment::Test => LEASE_MS_MIN_TEST, // T8
        };
        let max = max.unwrap_or(LEASE_MS_MAX);
        let min = min.unwrap_or(LEASE_MS_MIN.min(max).min(default.unwrap_or(max)));
        let default = default.unwrap_or(LEASE_MS_DEFAULT.max(min).min(max));
        if min < floor || max > LEASE_MS_MAX {
            return Err(format!(
                "lease lengths from {} to {}, and a {} license may set {} to {}",
                min.to_text(),
                max.to_text(),
                field::environment(self.environment),
                floor.to_text(),
                LEASE_MS_MAX.to_text()
            ));
        }
        if !(min <= default && default <= max) {
            return Err(format!(
                "expected lease-min ≤ lease-default ≤ lease-max, not {} ≤ {} ≤ {}",
                min.to_text(),
                default.to_text(),
                max.to_text()
            ));
        }
        Ok((min, default, max))
    }
}

#[cfg(test)]
mod tests;
