//! `words`: short texts that people and files give: addresses, lengths of time, ids, keys, versions, dates, names.

use std::{
    fmt::{Debug, Display},
    str::FromStr,
};

use usher_client::discover::Address;
use usher_protocol::{
    calendar::{parse_rfc3339, rfc3339},
    documents::vendor::VendorKey,
    ids::{Fingerprint, LeaseId, Nonce, PublicKey},
    names::{FeaturePath, Version},
    printable::printable,
    time::DurationMs,
};

/// Reads the text as each of them; what is taken reads back from how it is shown.
pub fn run(data: &[u8]) {
    let Some(text) = super::text(data) else {
        return;
    };
    reads_back::<LeaseId>(text);
    reads_back::<Fingerprint>(text);
    reads_back::<PublicKey>(text);
    reads_back::<FeaturePath>(text);
    reads_back::<VendorKey>(text);
    reads_back::<Address>(text);
    if let Ok(list) = Address::parse_list(text) {
        assert!(list.len() <= text.len());
    }
    if let Ok(version) = text.parse::<Version>() {
        assert_eq!(version.to_string().parse(), Ok(version));
    }
    if let Ok(nonce) = text.parse::<Nonce>() {
        assert_eq!(nonce.to_hex().parse(), Ok(nonce));
    }
    if let Ok(length) = text.parse::<DurationMs>() {
        assert_eq!(length.to_text().parse(), Ok(length));
        assert!(!length.to_string().is_empty());
    }
    if let Some(moment) = parse_rfc3339(text) {
        assert_eq!(parse_rfc3339(&rfc3339(moment)), Some(moment));
    }
    super::shown(&printable(text));
}

fn reads_back<T: FromStr<Err: Display> + Display + PartialEq + Debug>(text: &str) {
    match text.parse::<T>() {
        Ok(value) => assert!(value.to_string().parse::<T>().is_ok_and(|it| it == value)),
        Err(error) => drop(error.to_string()),
    }
}
