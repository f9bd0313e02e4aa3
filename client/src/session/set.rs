//! Decides how several features are asked for at once: one request, all or nothing, out of which
//! each lease goes on as a session of its own. Must not decide what becomes of them then.

use sha2::{Digest, Sha256};
use usher_protocol::{
    ids::{LeaseId, Nonce, Token},
    time::Now,
    wire::Request,
};

use super::{Ask, Fresh, Granted, LostWhy, Outcome, Output, Phase, Session, Unbelieved};

impl Session {
    /// Asks for `others` in the same breath. What comes of them is handed out in
    /// [`Output::companions`], in this order.
    #[must_use]
    pub fn together_with(mut self, others: Vec<Ask>) -> Self {
        self.companions = others;
        self
    }

    /// The checkout under way, the same in every repeat (L5).
    pub(super) fn checkout_request(&self) -> Request {
        let first = self.checkout_of(&self.ask, self.nonce, self.chain.first());
        if self.companions.is_empty() {
            return Request::Checkout(first);
        }
        let secrets = self.companion_secrets();
        let others = self.companions.iter().zip(secrets);
        let others = others.map(|(ask, (nonce, token))| self.checkout_of(ask, nonce, token));
        Request::CheckoutAll(std::iter::once(first).chain(others).collect())
    }

    /// All of the set were granted: the first lease is this session's.
    pub(super) fn granted_all(
        &mut self,
        now: Now,
        c0: Now,
        fresh: Fresh,
        all: Vec<Granted>,
        output: &mut Output,
    ) -> Option<Outcome> {
        if matches!(self.phase, Phase::Releasing { .. } | Phase::Over(_)) {
            return None;
        }
        let mut all = all.into_iter();
        let first = all.next()?;
        let secrets = self.companion_secrets();
        let outcome = self.granted(now, c0, fresh, first);
        let others = std::mem::take(&mut self.companions);
        for ((ask, secrets), granted) in others.into_iter().zip(secrets).zip(all) {
            let mut companion = self.companion(ask, secrets, c0);
            companion.granted(now, c0, fresh, granted);
            output.companions.push(companion);
        }
        outcome
    }

    /// The answer was about leases, named here as far as they name themselves, and one of them is
    /// not believed: then none is, for they come all or not at all.
    pub(super) fn unusable_all(
        &mut self,
        now: Now,
        why: &str,
        leases: &[Option<LeaseId>],
        output: &mut Output,
    ) -> Option<Outcome> {
        let secrets = self.companion_secrets();
        let first = leases.first().copied().flatten();
        let outcome = self.unusable(now, why.to_owned(), first);
        if !matches!(self.phase, Phase::Releasing { .. } | Phase::Over(_)) {
            return outcome;
        }
        let others = std::mem::take(&mut self.companions);
        let others = others.into_iter().zip(secrets).zip(leases.iter().skip(1));
        for ((ask, secrets), lease) in others.filter(|(_, lease)| lease.is_some()) {
            let mut companion = self.companion(ask, secrets, now);
            companion.unbelieved = Some(Unbelieved {
                reason: why.to_owned(),
                lease: *lease,
                site: self.connected,
            });
            companion.exchange.restart(now.boot);
            companion.phase = companion.releasing(now, LostWhy::Released);
            output.companions.push(companion);
        }
        outcome
    }

    /// A session for one lease of the set, on the connection that brought it.
    fn companion(&self, ask: Ask, (nonce, token): (Nonce, Token), c0: Now) -> Self {
        let fresh = Fresh {
            nonce,
            token,
            jitter: 0,
        };
        let mut companion = Self::new(ask, c0, fresh);
        companion.connected = self.connected;
        companion.exchange.send(c0, None);
        companion
    }

    /// One nonce and one token for each, made from the first's so that a repeat says the same, and
    /// one-way so that whoever is handed one lease's secrets has not the others'.
    fn companion_secrets(&self) -> Vec<(Nonce, Token)> {
        let secret = |word: &[u8], index: usize| {
            let mut hash = Sha256::new();
            hash.update(word);
            hash.update(self.nonce.0);
            hash.update(self.chain.first().0);
            hash.update(index.to_be_bytes());
            let digest: [u8; 32] = hash.finalize().into();
            let mut half = [0; 16];
            half.copy_from_slice(&digest[..16]);
            half
        };
        (0..self.companions.len())
            .map(|at| (Nonce(secret(b"nonce", at)), Token(secret(b"token", at))))
            .collect()
    }
}
