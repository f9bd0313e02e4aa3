//! From the core's answer to the reply on the wire: here leases are signed, outside the core (A2).

use ed25519_dalek::SigningKey;
use usher_engine::api::{Answer, Promise};
use usher_protocol::{
    codec::CodecError,
    refusal::{Refusal, RefusalCode},
    wire::{FeatureView, Grant, Reply, ServerFrame},
};

/// The frame that answers request `number`.
///
/// # Errors
/// [`CodecError`] if even the shortened reply does not fit.
pub(super) fn frame(
    number: u64,
    answer: Answer,
    site_key: &SigningKey,
) -> Result<Vec<u8>, CodecError> {
    let frame = ServerFrame::Reply(number, reply(answer, site_key)?);
    match (frame.encode(), frame) {
        (Err(CodecError::TooLarge { .. }), ServerFrame::Reply(number, reply)) => {
            shortened(number, reply)
        }
        (encoded, _) => encoded,
    }
}

fn reply(answer: Answer, site_key: &SigningKey) -> Result<Reply, CodecError> {
    Ok(match answer {
        Answer::Promised(promise) => Reply::Granted(grant(&promise, site_key)?),
        Answer::Released => Reply::Released,
        Answer::Features(features) => Reply::Features(features),
        Answer::Holders(holders, more) => Reply::Holders(holders, more),
        Answer::Endorsement(endorsement) => Reply::Endorsement(*endorsement),
        Answer::Refused(refusal) => Reply::Refused(*refusal),
        Answer::PromisedAll(promises) => Reply::GrantedAll(
            promises
                .iter()
                .map(|promise| grant(promise, site_key))
                .collect::<Result<_, _>>()?,
        ),
        Answer::Queued(place) => Reply::Queued(place),
        Answer::Left => Reply::Left,
        Answer::Returned(length) => Reply::Returned(length),
        // No request of a client gets these; A4: say no more than that.
        Answer::Welcome(_)
        | Answer::Installed(_)
        | Answer::Licenses(_)
        | Answer::Status(_)
        | Answer::Leases(_)
        | Answer::Explained(_)
        | Answer::Clients(_)
        | Answer::Queue(_)
        | Answer::Done => {
            tracing::error!("the engine gave an administrator's answer to a client");
            Reply::Refused(Refusal::new(
                RefusalCode::NotAllowed,
                "only an administrator may ask this",
            ))
        }
    })
}

fn grant(promise: &Promise, site_key: &SigningKey) -> Result<Grant, CodecError> {
    Ok(Grant {
        lease: promise.lease.sign(site_key)?,
        renew_after_ms: promise.renew_after_ms,
        seats_out: promise.seats_out,
        seats_total: promise.seats_total,
    })
}

/// A list that does not fit one frame is cut to what does: the first ones are the useful ones.
fn shortened(number: u64, reply: Reply) -> Result<Vec<u8>, CodecError> {
    match reply {
        Reply::Features(mut features) => {
            let all = features.len();
            loop {
                halve(&mut features);
                let encoded =
                    ServerFrame::Reply(number, Reply::Features(features.clone())).encode();
                if encoded.is_ok() || features.is_empty() {
                    tracing::warn!("of {all} features only {} fit one reply", features.len());
                    return encoded;
                }
            }
        }
        Reply::Holders(mut holders, mut more) => loop {
            let half = holders.len() / 2;
            more = more.saturating_add(u32::try_from(holders.len() - half).unwrap_or(u32::MAX));
            holders.truncate(half);
            let encoded =
                ServerFrame::Reply(number, Reply::Holders(holders.clone(), more)).encode();
            if encoded.is_ok() || holders.is_empty() {
                return encoded;
            }
        },
        other => ServerFrame::Reply(number, other).encode(),
    }
}

fn halve(features: &mut Vec<FeatureView>) {
    features.truncate(features.len() / 2);
}
