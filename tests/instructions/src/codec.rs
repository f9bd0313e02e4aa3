//! Bytes from values and values from bytes: the messages and records of a busy day.

use std::{fmt::Debug, hint::black_box};

use usher_engine::{
    api::{Answer, ClientAsk},
    record::{Event, LeaseRecord, What},
};
use usher_protocol::{
    codec,
    documents::lease::Lease,
    limits::OFFER_MS,
    time::DurationMs,
    wire::{Attach, Checkout, ClientFrame, Grant, Place, Push, Reply, Request, ServerFrame},
};

use crate::{
    counted::count,
    desk::{Desk, Held, held, loaded_lease, promised, refused},
    samples::{self, Dice},
};

pub(crate) fn steps() {
    let mut desk = Desk::with_leases(20, 20);
    let (client, checkout) = desk.wants("solver", 7);
    let granted = desk.ask(client, ClientAsk::Checkout(checkout.clone()));
    let lease = promised(&granted).lease.clone();
    requests(
        &mut desk,
        &checkout,
        held((&(client, checkout.clone()), granted.clone())),
        &lease,
    );
    replies(&mut desk, &checkout, &granted);
    let bytes = encoded("lease", || codec::encode(&lease).unwrap());
    decoded("lease", || codec::decode::<Lease>(&bytes).unwrap());
    stored();
}

/// What a grant leaves in the store and in the usage log; `daemon/src/records` tags them so.
fn stored() {
    let client = samples::client_key(7);
    let lease = loaded_lease(&[client], &mut Dice::new(7), "solver", 7);
    let bytes = encoded("record of a lease", || codec::tag(1, b'L', &lease).unwrap());
    decoded("record of a lease", || {
        codec::decode::<LeaseRecord>(codec::untag(1, &bytes).unwrap().body).unwrap()
    });
    let event = Event {
        at: samples::ISSUED,
        license_time: samples::ISSUED,
        epoch: lease.id.epoch,
        actor: "client".to_owned(),
        what: What::Granted(Box::new(lease)),
    };
    encoded("event of a grant", || codec::tag(1, b'E', &event).unwrap());
}

fn requests(desk: &mut Desk, checkout: &Checkout, lease: Held, granted: &Lease) {
    let ((_, renew), lease) = desk.renewal(lease);
    let (_, release) = desk.release(lease);
    let (ClientAsk::Renew(renew), ClientAsk::Release(release)) = (renew, release) else {
        panic!("not what was asked for");
    };
    let attach = Attach {
        lease: granted.sign(&samples::site_key()).unwrap(),
        nonce: renew.nonce,
        link: renew.link,
        length_ms: None,
    };
    for (name, request) in [
        ("checkout", Request::Checkout(checkout.clone())),
        ("renew", Request::Renew(renew)),
        ("release", Request::Release(release)),
        ("attach", Request::Attach(attach)),
    ] {
        let frame = ClientFrame::Request(1000, request);
        let bytes = encoded(name, || frame.encode().unwrap());
        decoded(name, || {
            ClientFrame::decode(&bytes[codec::FRAME_PREFIX_BYTES..]).unwrap()
        });
    }
}

fn replies(desk: &mut Desk, checkout: &Checkout, granted: &Answer) {
    let promise = promised(granted);
    let grant = Grant {
        lease: promise.lease.sign(&samples::site_key()).unwrap(),
        renew_after_ms: promise.renew_after_ms,
        seats_out: promise.seats_out,
        seats_total: promise.seats_total,
    };
    let (client, full) = desk.wants("full", 7);
    let no = desk.ask(client, ClientAsk::Checkout(full));
    let place = Place {
        position: 17,
        waiting: 100,
        expected_ms: Some(DurationMs::minutes(3)),
    };
    for (name, frame) in [
        ("granted", ServerFrame::Reply(1000, Reply::Granted(grant))),
        ("released", ServerFrame::Reply(1000, Reply::Released)),
        (
            "refused",
            ServerFrame::Reply(1000, Reply::Refused(refused(&no).clone())),
        ),
        (
            "queued",
            ServerFrame::Push(Push::Queued(checkout.nonce, place)),
        ),
        (
            "offered",
            ServerFrame::Push(Push::Offered(checkout.nonce, OFFER_MS)),
        ),
    ] {
        let bytes = encoded(name, || frame.encode().unwrap());
        decoded(name, || {
            ServerFrame::decode(&bytes[codec::FRAME_PREFIX_BYTES..]).unwrap()
        });
    }
}

fn encoded(name: &str, encode: impl Fn() -> Vec<u8>) -> Vec<u8> {
    count(&format!("codec/encode {name}"), TIMES, || {
        for _ in 0..TIMES {
            black_box(encode());
        }
    });
    encode()
}

fn decoded<T: Debug>(name: &str, decode: impl Fn() -> T) {
    count(&format!("codec/decode {name}"), TIMES, || {
        for _ in 0..TIMES {
            black_box(decode());
        }
    });
}

/// How often each is done.
const TIMES: usize = 16;
