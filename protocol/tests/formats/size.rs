//! The longest answers fit one frame (A3).

use usher_protocol::{
    documents::lease::Lease,
    ids::{Commit, Epoch, LeaseId, Nonce, Token},
    limits::{
        FEATURES_PER_CHECKOUT_MAX, FRAME_BYTES_MAX, HOLDER_BYTES_MAX, ID_BYTES_MAX, NAME_BYTES_MAX,
    },
    time::{DurationMs, WallMs},
    wire::{Checkout, ClientFrame, Grant, Holder, Reply, Request, ServerFrame},
};

use crate::samples::{checkout, lease, site};

fn holder() -> Holder {
    let words = || "w".repeat(HOLDER_BYTES_MAX);
    Holder {
        user: words(),
        host: words(),
        display: Some(words()),
        process: u32::MAX,
    }
}

fn longest_lease() -> Lease {
    Lease {
        id: LeaseId {
            epoch: Epoch(u64::MAX),
            commit: Commit(u64::MAX),
        },
        license: "l".repeat(ID_BYTES_MAX).parse().unwrap(),
        feature: "f".repeat(NAME_BYTES_MAX).parse().unwrap(),
        seats: u32::MAX,
        holder: holder(),
        epoch: Epoch(u64::MAX),
        commit: Commit(u64::MAX),
        issued: WallMs(u64::MAX),
        length_ms: DurationMs(u64::MAX),
        not_after: WallMs(u64::MAX),
        ..lease()
    }
}

#[test]
fn a_set_of_the_longest_leases_fits_one_frame() {
    let grant = Grant {
        lease: longest_lease().sign(&site()).unwrap(),
        renew_after_ms: DurationMs(u64::MAX),
        seats_out: u32::MAX,
        seats_total: Some(u32::MAX),
    };
    let all = vec![grant; FEATURES_PER_CHECKOUT_MAX];
    let frame = ServerFrame::Reply(u64::MAX, Reply::GrantedAll(all));
    assert!(frame.encode().unwrap().len() <= FRAME_BYTES_MAX);
}

#[test]
fn so_does_the_question_for_it() {
    let longest = Checkout {
        nonce: Nonce([255; 16]),
        token: Token([255; 16]),
        feature: "f".repeat(NAME_BYTES_MAX).parse().unwrap(),
        seats: u32::MAX,
        version: Some(
            "4294967295.4294967295.4294967295.4294967295"
                .parse()
                .unwrap(),
        ),
        length_ms: Some(DurationMs(u64::MAX)),
        holder: holder(),
        wait: true,
        ..checkout()
    };
    let all = vec![longest; FEATURES_PER_CHECKOUT_MAX];
    let frame = ClientFrame::Request(u64::MAX, Request::CheckoutAll(all));
    assert!(frame.encode().unwrap().len() <= FRAME_BYTES_MAX);
}
