//! `license`: a license's text, as its vendor may have written it or anybody changed it (T7).

use usher_protocol::{
    documents::license::License,
    limits::{BORROW_MS_MAX, FEATURES_PER_LICENSE_MAX, LEASE_MS_MAX},
};

/// Reads the text; what is taken keeps the bounds that the engine relies on.
pub fn run(data: &[u8]) {
    let Some(text) = super::text(data) else {
        return;
    };
    match License::parse(text) {
        Ok(license) => check(&license),
        Err(error) => super::shown(&error.to_string()),
    }
}

fn check(license: &License) {
    assert!((1..=FEATURES_PER_LICENSE_MAX).contains(&license.features.len()));
    assert!(license.serial > 0);
    for it in &license.features {
        assert!(it.lease_ms_min <= it.lease_ms_default && it.lease_ms_default <= it.lease_ms_max);
        assert!(it.lease_ms_max <= LEASE_MS_MAX && it.borrow_ms_max <= BORROW_MS_MAX);
        assert!(it.seats != Some(0) && it.expires.is_none_or(|end| end > it.starts));
    }
}
