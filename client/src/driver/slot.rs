//! One session as the driver carries it, and the part of it that its seat reads.

use super::command::Released;
use crate::{
    clock::BootMs,
    error::Error,
    session::{Ask, Change, Fresh, Held, Input, Outcome, Output, Session, State},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use usher_protocol::{ids::PublicKey, time::Now};

/// A session and who listens to it; read by the seat, written by the driver.
pub(crate) struct Shared {
    session: Mutex<Session>,
    listeners: Mutex<Vec<Listener>>,
}

type Listener = Box<dyn Fn(Change) + Send>;

impl Shared {
    pub(crate) fn new(session: Session) -> Self {
        Self {
            session: Mutex::new(session),
            listeners: Mutex::default(),
        }
    }

    /// Hands one input to the session, and its change to the listeners.
    pub(super) fn handle(&self, now: Now, fresh: Fresh, input: Input) -> Output {
        let mut output = self.session().handle(now, fresh, input);
        if let Some(change) = output.change.take() {
            for listener in self
                .listeners
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .iter()
            {
                listener(change.clone());
            }
        }
        output
    }

    /// The state from the clocks (L1), and whether the driver has told it already.
    pub(crate) fn look(&self, now: Now) -> (Option<State>, bool) {
        let mut session = self.session();
        let state = session.observe(now);
        let told = session.is_reported(now);
        (state, told)
    }

    pub(crate) fn held(&self) -> Option<Held> {
        self.session().held().cloned()
    }

    pub(crate) fn ask(&self) -> Ask {
        self.session().ask().clone()
    }

    pub(crate) fn site_needed(&self) -> Option<PublicKey> {
        self.session().site_needed()
    }

    pub(crate) fn listen(&self, listener: Listener) {
        let mut listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        listeners.push(listener);
    }

    pub(crate) fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.session().fmt(f)
    }
}

/// A session in the driver's table.
pub(super) struct Slot {
    pub(super) shared: Arc<Shared>,
    pub(super) wake: Option<BootMs>,
    /// Until when the caller waits for its checkout.
    patience: BootMs,
    granted: Option<oneshot::Sender<Result<(), Error>>>,
    pub(super) released: Vec<Released>,
    /// Why no server could be reached, if that was tried in vain.
    pub(super) unreachable: Option<Error>,
}

impl Slot {
    pub(super) fn new(
        shared: Arc<Shared>,
        patience: BootMs,
        granted: oneshot::Sender<Result<(), Error>>,
    ) -> Self {
        Self {
            shared,
            wake: None,
            patience,
            granted: Some(granted),
            released: Vec::new(),
            unreachable: None,
        }
    }

    /// When something is due.
    pub(super) fn next(&self) -> Option<BootMs> {
        let patience = self.granted.as_ref().map(|_| self.patience);
        [self.wake, patience].into_iter().flatten().min()
    }

    /// Whether its caller waits no longer, or in vain. A server that was asked and is gone may be
    /// restarting: its answer is worth all of the caller's patience.
    pub(super) fn is_impatient(&self, now: BootMs) -> bool {
        let in_vain = || self.unreachable.is_some() && !self.shared.session().has_asked();
        self.granted.is_some() && (now >= self.patience || in_vain())
    }

    /// Tells the caller why there is nothing.
    pub(super) fn disappoint(&mut self) {
        let (refused, unbelieved) = {
            let session = self.shared.session();
            let unbelieved = session.unbelieved().map(str::to_owned);
            (session.last_no().cloned(), unbelieved)
        };
        let error = match (self.unreachable.take(), unbelieved, refused) {
            (_, Some(reason), _) => Error::Untrusted(reason),
            (Some(error), None, _) => error,
            (None, None, Some(refusal)) => Error::Refused(Box::new(refusal)),
            (None, None, None) => Error::NoAnswer("no answer to the checkout in time".to_owned()),
        };
        self.answer(Err(error));
    }

    pub(super) fn settle(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Granted => self.answer(Ok(())),
            Outcome::Refused(refusal) => self.answer(Err(Error::Refused(refusal))),
            Outcome::Unusable(reason) => self.answer(Err(Error::Untrusted(reason))),
            Outcome::Released => self.tell(true),
            Outcome::GaveUp => self.tell(false),
        }
    }

    fn answer(&mut self, answer: Result<(), Error>) {
        // A caller who has gone has ordered the release already.
        if let Some(granted) = self.granted.take() {
            let _ = granted.send(answer);
        }
    }

    fn tell(&mut self, acknowledged: bool) {
        for waiter in self.released.drain(..) {
            waiter.tell(acknowledged);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use usher_protocol::{
        ids::{Nonce, Token},
        time::WallMs,
        wire::{Environment, Holder},
    };

    const FRESH: Fresh = Fresh {
        nonce: Nonce([1; 16]),
        token: Token([1; 16]),
        jitter: 0,
    };

    fn at(boot: u64) -> Now {
        Now {
            boot: BootMs(boot),
            wall: WallMs(boot),
        }
    }

    fn slot() -> Slot {
        let ask = Ask {
            feature: "solver".parse().unwrap(),
            environment: Environment::Live,
            seats: 1,
            version: None,
            length_ms: None,
            holder: Holder {
                user: "ann".to_owned(),
                host: "ws1".to_owned(),
                display: None,
                process: 7,
            },
        };
        let shared = Arc::new(Shared::new(Session::new(ask, at(0), FRESH)));
        let (granted, _) = oneshot::channel();
        Slot::new(shared, BootMs(10_000), granted)
    }

    #[test]
    fn a_server_that_was_never_found_is_not_waited_for() {
        let mut slot = slot();
        assert!(!slot.is_impatient(BootMs(1)));
        slot.unreachable = Some(Error::NoAnswer("gone".to_owned()));
        assert!(slot.is_impatient(BootMs(1)));
    }

    #[test]
    fn a_server_that_was_asked_and_is_gone_is_waited_for_with_all_patience() {
        let mut slot = slot();
        let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
        let connected = Input::Connected(PublicKey::from(&key));
        assert!(slot.shared.handle(at(1), FRESH, connected).send.is_some());
        slot.shared.handle(at(2), FRESH, Input::Disconnected);
        slot.unreachable = Some(Error::NoAnswer("gone".to_owned()));
        assert!(!slot.is_impatient(BootMs(9_999)));
        assert!(slot.is_impatient(BootMs(10_000)));
    }
}
