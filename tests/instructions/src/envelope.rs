//! Signatures, and what of their cost is ours (T1): the encoding under them and its hash.

use std::hint::black_box;

use sha2::{Digest, Sha512};
use usher_engine::api::ClientAsk;
use usher_protocol::{
    codec,
    documents::lease::VerifiedLease,
    envelope::{DocumentType, pre_authentication, sign, verify},
    ids::PublicKey,
};

use crate::{
    counted::count,
    desk::{Desk, promised},
    samples,
};

pub(crate) fn steps() {
    let mut desk = Desk::with_leases(20, 20);
    let (client, checkout) = desk.wants("solver", 7);
    let granted = desk.ask(client, ClientAsk::Checkout(checkout));
    let body = codec::encode(&promised(&granted).lease).unwrap();
    let (key, site) = (samples::site_key(), PublicKey::from(&samples::site_key()));
    // What the processor can do is looked up at the first use.
    let signature = sign(DocumentType::LEASE, &body, &key);
    verify(DocumentType::LEASE, &body, &signature, &site).unwrap();
    times("pre-authentication encoding", || {
        pre_authentication(DocumentType::LEASE, &body)
    });
    let under = pre_authentication(DocumentType::LEASE, &body);
    times("SHA-512 of it", || Sha512::digest(&under));
    times("sign", || sign(DocumentType::LEASE, &body, &key));
    times("verify", || {
        verify(DocumentType::LEASE, &body, &signature, &site).unwrap();
    });
    let signed = promised(&granted).lease.sign(&key).unwrap();
    times("verify and decode a lease", || {
        VerifiedLease::verify(&signed, &site).unwrap()
    });
}

fn times<T>(name: &str, work: impl Fn() -> T) {
    count(&format!("envelope/{name}"), TIMES, || {
        for _ in 0..TIMES {
            black_box(work());
        }
    });
}

/// How often each is done.
const TIMES: usize = 8;
