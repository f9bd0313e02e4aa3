//! Decides how a daemon tells a client that their connection is no more after a restart: by QUIC's
//! stateless reset, its secret drawn from the site key so that the next life still knows it.
//! Must not decide about leases: a reset frees nothing (L6), it only spares the client a time-out.

use ed25519_dalek::SigningKey;
use quinn::EndpointConfig;
use quinn::crypto::{CryptoError, HmacKey};
use quinn_proto::RandomConnectionIdGenerator;
use sha2::{Digest, Sha512};
use std::sync::Arc;
use zeroize::Zeroizing;

/// What a daemon binds its endpoint with: every life of one site key resets the connections of
/// the lives before it, so that clients re-attach within a round trip (L4, L6).
#[must_use]
pub fn endpoint_config(key: &SigningKey) -> EndpointConfig {
    let mut config = EndpointConfig::new(Arc::new(ResetKey::new(key)));
    // The default generator drops packets whose ids it did not make in this life, unanswered.
    config.cid_generator(|| Box::new(RandomConnectionIdGenerator::new(CONNECTION_ID_BYTES)));
    config
}

/// A keyed hash of connection ids. SHA-512 cut in half resists extension, and the prefix keeps
/// the derived secret apart from everything else the seed is hashed for.
struct ResetKey(Zeroizing<[u8; 64]>);

impl ResetKey {
    fn new(key: &SigningKey) -> ResetKey {
        let secret = Sha512::new()
            .chain_update(PURPOSE)
            .chain_update(key.as_bytes());
        ResetKey(Zeroizing::new(secret.finalize().into()))
    }

    fn tag(&self, data: &[u8]) -> [u8; TAG_BYTES] {
        let digest = Sha512::new()
            .chain_update(*self.0)
            .chain_update(data)
            .finalize();
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&digest[..TAG_BYTES]);
        tag
    }
}

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        signature_out.copy_from_slice(&self.tag(data));
    }

    fn signature_len(&self) -> usize {
        TAG_BYTES
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let tag = self.tag(data);
        let same_length = tag.len() == signature.len();
        // Every byte is looked at, so that time tells nothing about the first that differs.
        let difference = tag
            .iter()
            .zip(signature)
            .fold(0, |all, (ours, theirs)| all | (ours ^ theirs));
        if same_length && difference == 0 {
            Ok(())
        } else {
            Err(CryptoError)
        }
    }
}

const PURPOSE: &[u8] = b"usher stateless reset v1";
const TAG_BYTES: usize = 32;
const CONNECTION_ID_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_one_tag_and_nothing_else_verifies() {
        let (ours, same) = (ResetKey::new(&key(1)), ResetKey::new(&key(1)));
        let mut tag = vec![0; ours.signature_len()];
        ours.sign(b"connection", &mut tag);
        assert!(same.verify(b"connection", &tag).is_ok());
        assert!(same.verify(b"another", &tag).is_err());
        assert!(same.verify(b"connection", &tag[..16]).is_err());
        assert!(ResetKey::new(&key(2)).verify(b"connection", &tag).is_err());
    }

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }
}
