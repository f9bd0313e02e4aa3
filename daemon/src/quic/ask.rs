//! Judges a request at the edge: past here everything is checked (T2). It asks nobody and sends nothing.

use usher_engine::api::ClientAsk;
use usher_protocol::{
    documents::lease::VerifiedLease,
    ids::PublicKey,
    refusal::{Refusal, RefusalCode},
    wire::{Attach, Request},
};

/// Whether the request makes sense at all.
pub(super) fn check(request: &Request) -> Result<(), Box<Refusal>> {
    request
        .check()
        .map_err(|error| Box::new(Refusal::from(error)))
}

/// What the core is asked; a lease that is shown must be one that this site signed.
pub(super) fn of_checked(request: Request, site: &PublicKey) -> Result<ClientAsk, Box<Refusal>> {
    Ok(match request {
        Request::Checkout(checkout) => ClientAsk::Checkout(checkout),
        Request::Renew(renew) => ClientAsk::Renew(renew),
        Request::Release(release) => ClientAsk::Release(release),
        Request::Attach(attach) => shown(&attach, site)?,
        Request::Features => ClientAsk::Features,
        Request::Holders(feature) => ClientAsk::Holders(feature),
        Request::Endorsement(license) => ClientAsk::Endorsement(license),
        Request::CheckoutAll(all) => ClientAsk::CheckoutAll(all),
        Request::Leave(nonce) => ClientAsk::Leave(nonce),
        Request::Borrow(borrow) => ClientAsk::Borrow(borrow),
    })
}

fn shown(attach: &Attach, site: &PublicKey) -> Result<ClientAsk, Box<Refusal>> {
    let lease = VerifiedLease::verify(&attach.lease, site)
        .map_err(|error| Box::new(Refusal::new(RefusalCode::NotGenuine, error.to_string())))?;
    Ok(ClientAsk::Attach {
        lease: Box::new(lease),
        nonce: attach.nonce,
        link: attach.link,
        length_ms: attach.length_ms,
    })
}
