//! One session as the driver carries it, and the part of it that its seat reads.

use super::command::{Checkout, Patience, Released};
use crate::{
    clock::BootMs,
    error::{Error, WaitedInVain},
    session::{Ask, Change, Fresh, Held, Input, Outcome, Output, Session, State},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use usher_protocol::{
    ids::{Nonce, PublicKey},
    time::{DurationMs, Now},
    wire::Place,
};

/// A session and who listens to it; read by the seat, written by the driver.
pub(crate) struct Shared {
    session: Mutex<Session>,
    listeners: Mutex<Vec<Listener>>,
    place_listener: Option<PlaceListener>,
}

type Listener = Box<dyn Fn(Change) + Send>;

/// Called with each new place in the queue (L9).
pub(crate) type PlaceListener = Arc<dyn Fn(Place) + Send + Sync>;

impl Shared {
    pub(crate) fn new(session: Session) -> Self {
        Self {
            session: Mutex::new(session),
            listeners: Mutex::default(),
            place_listener: None,
        }
    }

    /// The same, and tells each new place in the queue.
    pub(crate) fn telling(mut self, listener: Option<PlaceListener>) -> Self {
        self.place_listener = listener;
        self
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
        if let (Some(listener), Some(place)) = (&self.place_listener, output.place) {
            listener(place);
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

    /// Whether this session is the waiter that the server means.
    pub(super) fn is_waiter(&self, nonce: Nonce) -> bool {
        self.session().nonce() == nonce
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
    /// The slots of the other leases of its set, until they are granted.
    pub(super) companions: Vec<u64>,
    caller: Option<Caller>,
    /// Its seat or place is on its way back.
    pub(super) is_given_up: bool,
    pub(super) released: Vec<Released>,
    /// Why no server could be reached, if that was tried in vain.
    pub(super) unreachable: Option<Error>,
}

/// Who waits for a checkout.
struct Caller {
    since: BootMs,
    patience: Patience,
    granted: oneshot::Sender<Result<Vec<Arc<Shared>>, Error>>,
}

impl Slot {
    /// For a checkout; the slots of its companions come with it.
    pub(super) fn new(checkout: Checkout, companions: Vec<u64>, now: BootMs) -> Self {
        let caller = Caller {
            since: now,
            patience: checkout.patience,
            granted: checkout.granted,
        };
        Self {
            companions,
            caller: Some(caller),
            ..Self::of_companion(checkout.shared)
        }
    }

    /// For a lease that came with another's checkout.
    pub(super) fn of_companion(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            wake: None,
            companions: Vec::new(),
            caller: None,
            is_given_up: false,
            released: Vec::new(),
            unreachable: None,
        }
    }

    /// When something is due.
    pub(super) fn next(&self) -> Option<BootMs> {
        [self.wake, self.patience_ends()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether its caller waits no longer, or in vain. A server that was asked and is gone may be
    /// restarting: its answer is worth all of the caller's patience.
    pub(super) fn is_impatient(&self, now: BootMs) -> bool {
        let in_vain = || self.unreachable.is_some() && !self.shared.session().has_asked();
        self.patience_ends()
            .is_some_and(|end| now >= end || in_vain())
    }

    /// In the queue it is the wait for a seat that counts. Without a word yet that is as good as an
    /// answer for a caller who would wait as long for a seat.
    fn patience_ends(&self) -> Option<BootMs> {
        let caller = self.caller.as_ref()?;
        let session = self.shared.session();
        let Patience { answer, seat } = caller.patience;
        let wait = match session.place() {
            Some(_) if seat > DurationMs::ZERO => seat,
            None if session.has_asked() => answer.max(seat),
            _ => answer,
        };
        Some(caller.since.plus(wait))
    }

    /// Tells the caller why there is nothing.
    pub(super) fn disappoint(&mut self, now: BootMs) {
        let (refused, unbelieved, place) = {
            let session = self.shared.session();
            let unbelieved = session.unbelieved().map(str::to_owned);
            (session.last_no().cloned(), unbelieved, session.place())
        };
        let waited = self.caller.as_ref().map(|it| now.since(it.since));
        let error = match (place, self.unreachable.take(), unbelieved, refused) {
            (Some(place), ..) => Error::WaitedInVain(Box::new(WaitedInVain {
                place,
                waited: waited.unwrap_or_default(),
                holders: Vec::new(),
                holders_more: 0,
            })),
            (None, _, Some(reason), _) => Error::Untrusted(reason),
            (None, Some(error), None, _) => error,
            (None, None, None, Some(refusal)) => Error::Refused(Box::new(refusal)),
            (None, None, None, None) => {
                Error::NoAnswer("no answer to the checkout in time".to_owned())
            }
        };
        self.answer(Err(error));
    }

    pub(super) fn settle(&mut self, outcome: Outcome) {
        match outcome {
            // Told with the companions by the driver.
            Outcome::Granted => {}
            Outcome::Refused(refusal) => self.answer(Err(Error::Refused(refusal))),
            Outcome::Unusable(reason) => self.answer(Err(Error::Untrusted(reason))),
            Outcome::Released => self.tell(true),
            Outcome::GaveUp => self.tell(false),
        }
    }

    /// Tells the caller; one who has gone has ordered the release already.
    pub(super) fn answer(&mut self, answer: Result<Vec<Arc<Shared>>, Error>) {
        if let Some(caller) = self.caller.take() {
            let _ = caller.granted.send(answer);
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
    use crate::session::Answer;
    use usher_protocol::{
        ids::Token,
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

    fn slot(session: impl FnOnce(Session) -> Session, seat: DurationMs) -> Slot {
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
        let session = session(Session::new(ask, at(0), FRESH));
        let patience = Patience {
            answer: DurationMs(10_000),
            seat,
        };
        let checkout = Checkout {
            slots: Vec::new(),
            shared: Arc::new(Shared::new(session)),
            patience,
            granted: oneshot::channel().0,
        };
        Slot::new(checkout, Vec::new(), BootMs(0))
    }

    fn connect(slot: &Slot) -> u64 {
        let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
        let connected = Input::Connected(PublicKey::from(&key));
        let output = slot.shared.handle(at(1), FRESH, connected);
        output.send.unwrap().attempt
    }

    #[test]
    fn a_server_that_was_never_found_is_not_waited_for() {
        let mut slot = slot(|it| it, DurationMs::ZERO);
        assert!(!slot.is_impatient(BootMs(1)));
        slot.unreachable = Some(Error::NoAnswer("gone".to_owned()));
        assert!(slot.is_impatient(BootMs(1)));
    }

    #[test]
    fn a_server_that_was_asked_and_is_gone_is_waited_for_with_all_patience() {
        let mut slot = slot(|it| it, DurationMs::ZERO);
        connect(&slot);
        slot.shared.handle(at(2), FRESH, Input::Disconnected);
        slot.unreachable = Some(Error::NoAnswer("gone".to_owned()));
        assert!(!slot.is_impatient(BootMs(9_999)));
        assert!(slot.is_impatient(BootMs(10_000)));
    }

    #[test]
    fn l9_in_the_queue_only_the_wait_for_a_seat_counts() {
        for seat in [2_000, 60_000] {
            let mut slot = slot(Session::waiting, DurationMs(seat));
            let place = Place {
                position: 2,
                waiting: 3,
                expected_ms: None,
            };
            let queued = Input::Answered(connect(&slot), Answer::Queued(place));
            slot.shared.handle(at(2), FRESH, queued);
            assert!(!slot.is_impatient(BootMs(seat - 1)));
            assert!(slot.is_impatient(BootMs(seat)));
            assert_eq!(slot.next(), Some(BootMs(seat)));
            let (granted, mut told) = oneshot::channel();
            slot.caller.as_mut().unwrap().granted = granted;
            slot.disappoint(BootMs(seat));
            let error = told.try_recv().unwrap().unwrap_err();
            assert!(matches!(error, Error::WaitedInVain(it) if it.place == place));
        }
    }

    #[test]
    fn l9_who_would_wait_for_a_seat_waits_as_long_for_a_server_that_is_gone() {
        let slot = slot(Session::waiting, DurationMs(60_000));
        assert!(slot.is_impatient(BootMs(10_000)), "nobody was ever asked");
        connect(&slot);
        slot.shared.handle(at(2), FRESH, Input::Disconnected);
        assert!(!slot.is_impatient(BootMs(59_999)));
        assert!(slot.is_impatient(BootMs(60_000)));
    }
}
