//! Nonces whose leases are over, remembered for a minute (L5); volatile and bounded.

use std::collections::{BTreeSet, VecDeque};

use usher_protocol::{
    ids::{Nonce, PublicKey},
    time::BootMs,
};

use crate::limits::{NONCE_KEPT_MS, NONCES_KEPT_MAX};

/// The nonces that ended last, oldest first.
#[derive(Debug, Default)]
pub(crate) struct EndedNonces {
    known: BTreeSet<(PublicKey, Nonce)>,
    by_age: VecDeque<(BootMs, PublicKey, Nonce)>,
}

impl EndedNonces {
    /// A lease is over.
    pub(crate) fn remember(&mut self, now: BootMs, client: PublicKey, nonce: Nonce) {
        if self.known.insert((client, nonce)) {
            self.by_age.push_back((now, client, nonce));
        }
        if self.by_age.len() > NONCES_KEPT_MAX {
            self.drop_oldest();
        }
    }

    /// Whether this nonce's lease ended within the last minute.
    pub(crate) fn has(&self, client: PublicKey, nonce: Nonce) -> bool {
        self.known.contains(&(client, nonce))
    }

    /// Forgets what is older than that.
    pub(crate) fn forget(&mut self, now: BootMs) {
        while let Some((ended, ..)) = self.by_age.front() {
            if now <= ended.plus(NONCE_KEPT_MS) {
                return;
            }
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, client, nonce)) = self.by_age.pop_front() {
            self.known.remove(&(client, nonce));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a3_the_oldest_of_too_many_ended_nonces_is_forgotten() {
        let client = PublicKey::from(&crate::tests::key(7));
        let nonce = |number: u32| {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&number.to_le_bytes());
            Nonce(bytes)
        };
        let mut ended = EndedNonces::default();
        let most = u32::try_from(NONCES_KEPT_MAX).unwrap();
        (0..most).for_each(|number| ended.remember(BootMs(1), client, nonce(number)));
        assert!(ended.has(client, nonce(0)));
        for number in [most, most + 1] {
            ended.remember(BootMs(1), client, nonce(number));
        }
        assert!(!ended.has(client, nonce(1)) && ended.has(client, nonce(2)));
        assert_eq!(ended.by_age.len(), NONCES_KEPT_MAX);
    }
}
