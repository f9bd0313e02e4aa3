//! `frame`: what a client sends over its one stream, in pieces of any size, up to the question for the core (A3).

use usher_protocol::{
    codec::FRAME_PREFIX_BYTES,
    wire::{ClientFrame, Request},
};
use usherd::quic::fuzzing::{Heard, ask_of};

use crate::samples::{SITE, public};

/// Reads frames as the daemon does; the first byte says in pieces of which size they come.
pub fn run(data: &[u8]) {
    let Some((size, bytes)) = data.split_first() else {
        return;
    };
    let mut heard = Heard::default();
    let size = if *size == 0 {
        usize::MAX
    } else {
        usize::from(*size)
    };
    for piece in bytes.chunks(size) {
        heard.put(piece);
        loop {
            match heard.take() {
                Ok(Some(frame)) => check(frame),
                Ok(None) => break,
                Err(error) => return super::shown(&error.to_string()),
            }
        }
    }
}

fn check(frame: ClientFrame) {
    // A request's own words are judged after decoding, so that no other length is sent on than came.
    let again = frame.encode().unwrap();
    assert_eq!(
        ClientFrame::decode(&again[FRAME_PREFIX_BYTES..]),
        Ok(frame.clone())
    );
    if let ClientFrame::Request(_, request) = frame {
        let shows_lease = matches!(request, Request::Attach(_));
        match ask_of(request, &public(SITE)) {
            Ok(_) => {}
            Err(refusal) => assert!(shows_lease || !refusal.detail.is_empty()),
        }
    }
}
