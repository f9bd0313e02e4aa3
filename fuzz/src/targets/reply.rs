//! `reply`: what a daemon, or who passes for one, sends to a client.

use usher_protocol::{
    codec::FRAME_PREFIX_BYTES,
    printable::printable,
    refusal::Refusal,
    wire::{Push, Reply, ServerFrame},
};

/// Decodes one frame; what is taken can be sent on, and no word of it steers a terminal.
pub fn run(data: &[u8]) {
    let frame = match ServerFrame::decode(data) {
        Ok(frame) => frame,
        Err(error) => return super::shown(&error.to_string()),
    };
    // A mark of three bytes for a control of one can make it longer than a frame.
    if let Ok(again) = frame.encode() {
        assert_eq!(
            ServerFrame::decode(&again[FRAME_PREFIX_BYTES..]),
            Ok(frame.clone())
        );
    }
    match frame {
        ServerFrame::Reply(_, Reply::Refused(refusal))
        | ServerFrame::Push(Push::Dismissed(_, refusal)) => check(&refusal),
        ServerFrame::Push(Push::Evicted(_, reason)) => is_printable(&reason),
        ServerFrame::Reply(_, Reply::Holders(holders, _)) => {
            for holder in holders {
                is_printable(&holder.user);
                is_printable(&holder.host);
            }
        }
        _ => {}
    }
}

fn check(refusal: &Refusal) {
    is_printable(&refusal.detail);
    for text in [&refusal.support, &refusal.earliest_because]
        .into_iter()
        .flatten()
    {
        is_printable(text);
    }
    for holder in &refusal.holders {
        is_printable(&holder.user);
    }
    if let Some(rule) = &refusal.rule {
        is_printable(&rule.text);
    }
}

fn is_printable(text: &str) {
    assert_eq!(text, printable(text));
}
