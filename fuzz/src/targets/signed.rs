//! `signed`: signature paths: files as they come, and forged bodies under signatures that hold (T1, T2, T7).
//!
//! Each run costs up to five signatures or verifications, so it is the slow one; what it reads behind them the targets
//! `license`, `documents` and `lease_file` read fast.

use usher_protocol::{
    documents::{
        endorsement::{SignedEndorsement, VerifiedEndorsement},
        lease::VerifiedLease,
        license::{License, VerifiedLicense, issue},
        revocation::VerifiedRevocationList,
        site_request::VerifiedSiteRequest,
    },
    envelope::{DocumentType, Signed},
};

use crate::{
    feed::Feed,
    samples::{CLIENT, ISSUING, ROOT, SITE, certificate, key, public},
};

/// Verifies one kind, chosen by the first byte.
pub fn run(data: &[u8]) {
    let mut feed = Feed::new(data);
    match feed.byte() % 5 {
        0 => license_file(feed.rest()),
        1 => drop(
            VerifiedSiteRequest::verify(feed.rest()).map_err(|it| super::shown(&it.to_string())),
        ),
        2 => issued(feed.rest()),
        3 => chain(feed),
        _ => revocations(feed.rest()),
    }
}

fn license_file(file: &[u8]) {
    match VerifiedLicense::verify(file) {
        Ok(license) => assert!(file.len() >= license.text().len()),
        Err(error) => {
            super::shown(&error.to_string());
            super::shown(error.next_step());
        }
    }
}

/// Whatever license can be read, can be issued, and means the same then.
fn issued(text: &[u8]) {
    let Some(Ok(license)) = super::text(text).map(License::parse) else {
        return;
    };
    let certificate = certificate().sign(key(ROOT)).unwrap();
    match issue(&license, key(ISSUING), &certificate, None) {
        Ok(file) => {
            let verified = VerifiedLicense::verify(file.as_bytes()).unwrap();
            assert_eq!(*verified, license);
        }
        Err(error) => super::shown(&error.to_string()),
    }
}

/// Bodies of an endorsement and a lease that the right keys signed without looking.
fn chain(mut feed: Feed<'_>) {
    let forged = |kind, body: &[u8], by| Signed::new(kind, body.to_vec(), key(by));
    let certificate = match feed.counted() {
        [] => certificate().sign(key(ROOT)).unwrap(),
        body => forged(DocumentType::CERTIFICATE, body, ROOT),
    };
    let length = usize::from(feed.byte()) * 8;
    let endorsement = forged(DocumentType::ENDORSEMENT, feed.take(length), ISSUING);
    let lease = forged(DocumentType::LEASE, feed.rest(), SITE);
    let shown = SignedEndorsement {
        certificate,
        endorsement,
    };
    let endorsed = VerifiedEndorsement::verify(&shown, &public(ROOT))
        .map_err(|error| super::shown(&error.to_string()));
    let lease = VerifiedLease::verify(&lease, &public(SITE));
    if let (Ok(endorsed), Ok(lease)) = (endorsed, lease)
        && let Err(error) = lease.check_endorsed(&endorsed, &public(CLIENT))
    {
        super::shown(&error.to_string());
    }
}

fn revocations(body: &[u8]) {
    let signed = Signed::new(DocumentType::REVOCATION, body.to_vec(), key(ROOT));
    if let Err(error) = VerifiedRevocationList::verify(&signed, &public(ROOT)) {
        super::shown(&error.to_string());
    }
}
