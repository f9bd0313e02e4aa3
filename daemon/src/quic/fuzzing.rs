//! Doors for `fuzz/`, which is built with `--cfg fuzzing`: one connection's bytes without its socket. Decides nothing.

use ed25519_dalek::SigningKey;
use usher_engine::api::{Answer, ClientAsk};
use usher_protocol::{
    codec::CodecError,
    ids::PublicKey,
    refusal::Refusal,
    wire::{ClientFrame, Request},
};

use super::{ask, frames::Frames, reply};

/// What a client has sent so far.
#[derive(Debug, Default)]
pub struct Heard(Frames);

impl Heard {
    /// More bytes came.
    pub fn put(&mut self, bytes: &[u8]) {
        self.0.put(bytes);
    }

    /// The first whole frame among them.
    ///
    /// # Errors
    /// [`CodecError`] for bytes that are no frame.
    pub fn take(&mut self) -> Result<Option<ClientFrame>, CodecError> {
        self.0.take()
    }
}

/// What the core is asked.
///
/// # Errors
/// The refusal that the client gets instead.
pub fn ask_of(request: Request, site: &PublicKey) -> Result<ClientAsk, Box<Refusal>> {
    ask::check(&request)?;
    ask::of_checked(request, site)
}

/// The bytes that answer a request.
///
/// # Errors
/// [`CodecError`] if even a shortened reply does not fit.
pub fn reply(number: u64, answer: Answer, site_key: &SigningKey) -> Result<Vec<u8>, CodecError> {
    reply::frame(number, answer, site_key)
}
