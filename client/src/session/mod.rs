//! Decides whether one lease is still ours and what to do about it: a pure state machine (L1).
//!
//! [`Session::handle`] takes what happened, the time and fresh randomness; it returns what to send,
//! what changed and when to be woken. It must not read a clock, draw randomness or do I/O.
//! Safety rests on [`Right`] alone: a driver that is late, stopped or wrong can lose a seat, never
//! keep one.

mod answer;
mod chain;
mod exchange;
mod io;
mod queue;
mod right;
mod set;
mod state;

#[cfg(test)]
mod honest;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use io::{Answer, Ask, Detached, Fresh, Granted, Input, Outcome, Output, Send};
pub use right::{Right, Standing};
pub use state::{Change, LostWhy, State, Trouble};

use chain::Chain;
use exchange::Exchange;
use queue::Queue;
use usher_protocol::{
    ids::{LeaseId, Nonce, PublicKey, Token},
    refusal::Refusal,
    time::{BootMs, DurationMs, Now},
    wire::{Attach, Checkout, Release, Renew, Request},
};

/// One lease from its checkout to its end, over however many connections and daemon lives.
#[derive(Debug)]
pub struct Session {
    ask: Ask,
    /// Asked for in the same breath, until that is answered.
    companions: Vec<Ask>,
    nonce: Nonce,
    chain: Chain,
    phase: Phase,
    queue: Queue,
    /// The site that answers now, if one does.
    connected: Option<PublicKey>,
    /// Whether this connection has confirmed the lease, so that a plain renewal will do.
    attached: bool,
    exchange: Exchange,
    held: Option<Held>,
    /// Why the right is not being extended although it still stands.
    trouble: Option<Trouble>,
    /// The last "not now" to the checkout, for a caller whose patience ends first.
    last_no: Option<Box<Refusal>>,
    /// The last answer to the checkout under way that was not believed.
    unbelieved: Option<Unbelieved>,
    reported: Option<State>,
    /// When the application last said that it is in use, if it ever did.
    active_at: Option<BootMs>,
}

/// What the server last confirmed.
#[derive(Debug, Clone)]
pub struct Held {
    /// The right's beginning and length (L1).
    pub right: Right,
    /// The lease and what came with it.
    pub granted: Granted,
}

/// An answer to a checkout that was not believed. The daemon may have granted it all the same.
#[derive(Debug, Clone)]
struct Unbelieved {
    reason: String,
    /// What to give back, and to whom.
    lease: Option<LeaseId>,
    site: Option<PublicKey>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// The checkout has brought no lease yet, but maybe a place in the queue (L9). Abandoned since
    /// then: nobody waits for it any more, so what it may still bring is given back (L5).
    Asking { abandoned: Option<BootMs> },
    /// The right stands, or stood when the clocks were last read.
    Holding,
    /// The right ended; the seat may be had again (L6). `anew`: the old lease is over for the
    /// server too, so only another checkout helps.
    Lapsed { why: LostWhy, anew: bool },
    /// The server is being told that we are done, until the moment given.
    Releasing { why: LostWhy, until: BootMs },
    /// The server is being told that we wait no more, until the moment given (L9).
    Leaving { until: BootMs },
    /// Nothing more will happen.
    Over(LostWhy),
}

impl Session {
    /// A session that will check out as soon as it is told of a connection.
    pub fn new(ask: Ask, now: Now, fresh: Fresh) -> Self {
        Self {
            ask,
            companions: Vec::new(),
            nonce: fresh.nonce,
            chain: Chain::new(fresh.token),
            phase: Phase::Asking { abandoned: None },
            queue: Queue::default(),
            connected: None,
            attached: false,
            exchange: Exchange::new(now.boot),
            held: None,
            trouble: None,
            last_no: None,
            unbelieved: None,
            reported: None,
            active_at: None,
        }
    }

    /// Takes in one thing that happened at `now`. What it returns to send counts from this very
    /// `now`, which is before the send as L1 wants it.
    pub fn handle(&mut self, now: Now, fresh: Fresh, input: Input) -> Output {
        let mut output = Output::default();
        self.observe(now);
        let place = self.place();
        self.take(now, fresh, input, &mut output);
        self.observe(now);
        self.advance(now, fresh, &mut output);
        self.report(now, &mut output);
        output.place = self.place().filter(|after| Some(*after) != place);
        output.over = matches!(self.phase, Phase::Over(_));
        output.wake = self.wake(now);
        output
    }

    fn take(&mut self, now: Now, fresh: Fresh, input: Input, output: &mut Output) {
        let ours = |nonce| nonce == self.nonce;
        match input {
            Input::Connected(site) => self.connect(site, now, fresh),
            Input::Disconnected => self.disconnect(),
            Input::Answered(attempt, answer) => {
                self.answered(now, fresh, attempt, answer, output);
            }
            Input::Evicted(lease, reason) => self.evicted(lease, reason),
            Input::Queued(nonce, place) if ours(nonce) => self.placed(now, fresh, place),
            Input::Offered(nonce) if ours(nonce) => self.offered(now),
            Input::Dismissed(nonce, refusal) if ours(nonce) => {
                output.outcome = self.dismissed(now, fresh, refusal);
            }
            Input::Tick | Input::Queued(..) | Input::Offered(_) | Input::Dismissed(..) => {}
            Input::FeaturesChanged => self.features_changed(now, fresh),
            Input::Release => output.outcome = self.release(now),
        }
    }

    /// The application is in use. Once it says so it must go on saying so, for from then on each
    /// renewal tells how long it has said nothing.
    pub fn report_activity(&mut self, now: Now) {
        self.active_at = Some(now.boot);
    }

    /// Takes the lease out, if it stands: this session is over then, and the lease is not.
    pub fn detach(&mut self, now: Now) -> Option<Detached> {
        self.observe(now);
        let held = self.held.clone().filter(|_| self.phase == Phase::Holding)?;
        let (acknowledged, under_way) = self.chain.parts();
        self.phase = Phase::Over(LostWhy::Released);
        Some(Detached {
            held,
            nonce: self.nonce,
            acknowledged,
            under_way,
            length_ms: self.ask.length_ms,
        })
    }

    /// What may be believed at `now`, from the clocks alone; nothing before the first grant.
    pub fn state(&self, now: Now) -> Option<State> {
        match &self.phase {
            Phase::Asking { .. } => None,
            Phase::Holding => Some(self.holding(now)),
            Phase::Lapsed { why, .. } | Phase::Releasing { why, .. } | Phase::Over(why) => {
                Some(State::Lost(why.clone()))
            }
            Phase::Leaving { .. } => Some(State::Lost(LostWhy::Released)),
        }
    }

    /// The same, and remembers what it saw: a right that was over once does not come back by a wall
    /// clock that steps back, and doubt stays until the server confirms (L1).
    pub fn observe(&mut self, now: Now) -> Option<State> {
        if self.phase == Phase::Holding {
            match self.right_standing(now) {
                Standing::Over => self.lapse(now),
                Standing::Unsure => self.doubt(now),
                Standing::Stands => {}
            }
        }
        self.state(now)
    }

    /// Whether the state at `now` is the one last told, so that no change is due.
    pub fn is_reported(&self, now: Now) -> bool {
        match (self.state(now), &self.reported) {
            (Some(state), Some(before)) => state.change_from(before).is_none(),
            _ => true,
        }
    }

    /// What the server last confirmed, if it ever did.
    pub fn held(&self) -> Option<&Held> {
        self.held.as_ref()
    }

    /// When something is due by the boot clock alone. [`Output::wake`] is sooner where the wall clock
    /// has to be looked at, too.
    pub fn due(&self, now: Now) -> Option<BootMs> {
        let due = self.exchange.due().filter(|due| *due > now.boot);
        let end = match &self.phase {
            Phase::Over(_) => return None,
            Phase::Holding => (self.held.as_ref()).map(|held| held.right.end().max(now.boot)),
            Phase::Releasing { until, .. } | Phase::Leaving { until } => Some(*until),
            Phase::Asking { abandoned } => abandoned.map(|at| at.plus(ABANDONED_MS_MAX)),
            Phase::Lapsed { .. } => None,
        };
        [due, end].into_iter().flatten().min()
    }

    /// The secret of the checkout under way or of the lease; the queue knows a waiter by it (L9).
    pub fn nonce(&self) -> Nonce {
        self.nonce
    }

    /// What this session asked for.
    pub fn ask(&self) -> &Ask {
        &self.ask
    }

    /// Whether a server was ever asked.
    pub fn has_asked(&self) -> bool {
        self.exchange.sent() > 0
    }

    /// The last "not now" that the checkout got, if it got one.
    pub fn last_no(&self) -> Option<&Refusal> {
        self.last_no.as_deref()
    }

    /// Why the last answer to the checkout was not believed, if it was not.
    pub fn unbelieved(&self) -> Option<&str> {
        self.unbelieved.as_ref().map(|it| it.reason.as_str())
    }

    /// The site that must answer if the running lease is to be extended; none when any will do.
    pub fn site_needed(&self) -> Option<PublicKey> {
        let unbelieved = self.unbelieved.as_ref().and_then(|it| it.site);
        let site = unbelieved.or_else(|| self.held.as_ref().map(|held| held.granted.site));
        site.filter(|_| matches!(self.phase, Phase::Holding | Phase::Releasing { .. }))
    }

    fn holding(&self, now: Now) -> State {
        match self.right_standing(now) {
            Standing::Over => State::Lost(self.lapse_reason()),
            Standing::Unsure => State::Renewing(Trouble::Clocks),
            Standing::Stands => match &self.trouble {
                None => State::Active,
                Some(trouble) => State::Renewing(trouble.clone()),
            },
        }
    }

    fn right_standing(&self, now: Now) -> Standing {
        let right = self.held.as_ref().map(|held| held.right);
        right.map_or(Standing::Over, |right| right.standing(now))
    }

    fn lapse_reason(&self) -> LostWhy {
        match &self.trouble {
            Some(Trouble::Evicted(reason)) => LostWhy::Evicted(reason.clone()),
            Some(Trouble::Idle(refusal)) => LostWhy::Idle(refusal.clone()),
            Some(Trouble::Refused(refusal)) => LostWhy::Refused(refusal.clone()),
            _ => LostWhy::TimedOut,
        }
    }

    fn lapse(&mut self, now: Now) {
        let why = self.lapse_reason();
        self.trouble = None;
        self.exchange.hurry(now.boot);
        self.phase = match why {
            // Our right is over, so the seat may go back now rather than after the guard time (L7).
            LostWhy::Evicted(_) | LostWhy::Idle(_) => self.releasing(now, why),
            why => Phase::Lapsed { why, anew: false },
        };
    }

    fn doubt(&mut self, now: Now) {
        if self.trouble.is_none() {
            self.trouble = Some(Trouble::Clocks);
            self.exchange.hurry(now.boot);
        }
    }

    fn connect(&mut self, site: PublicKey, now: Now, fresh: Fresh) {
        self.connected = Some(site);
        self.attached = false;
        self.exchange.restart(now.boot);
        let elsewhere = self
            .held
            .as_ref()
            .is_some_and(|held| held.granted.site != site);
        if let (true, Phase::Lapsed { why, anew: false }) = (elsewhere, self.phase.clone()) {
            // Another site cannot extend this lease, but it may lend a seat of its own (L6).
            self.lapse_anew(now, fresh, why);
        }
    }

    fn disconnect(&mut self) {
        self.connected = None;
        self.attached = false;
        self.exchange.cut();
    }

    fn evicted(&mut self, lease: LeaseId, reason: String) {
        let ours = self
            .held
            .as_ref()
            .is_some_and(|held| held.granted.id == lease);
        if ours && self.phase == Phase::Holding {
            self.trouble = Some(Trouble::Evicted(reason));
            self.exchange.rest();
        }
    }

    /// The caller is done. What may have come or may still come is given back (L5, L9).
    fn release(&mut self, now: Now) -> Option<Outcome> {
        self.phase = match &self.phase {
            Phase::Asking { .. } if !self.has_asked() => Phase::Over(LostWhy::Released),
            Phase::Asking { .. } | Phase::Lapsed { anew: true, .. } if self.is_only_queued() => {
                self.leave(now);
                return None;
            }
            Phase::Asking { abandoned } => Phase::Asking {
                abandoned: Some(abandoned.unwrap_or(now.boot)),
            },
            // A new checkout may have brought a seat, or may still: find out, and give it back.
            Phase::Lapsed { anew: true, .. } if self.queue.is_unanswered() => Phase::Asking {
                abandoned: Some(now.boot),
            },
            Phase::Lapsed { anew: true, .. } if self.named_in_vain().is_some() => {
                self.exchange.restart(now.boot);
                self.releasing(now, LostWhy::Released)
            }
            Phase::Holding | Phase::Lapsed { anew: false, .. } => {
                self.exchange.restart(now.boot);
                self.releasing(now, LostWhy::Released)
            }
            Phase::Lapsed { anew: true, .. } => Phase::Over(LostWhy::Released),
            Phase::Releasing { .. } | Phase::Leaving { .. } | Phase::Over(_) => return None,
        };
        matches!(self.phase, Phase::Over(_)).then_some(Outcome::Released)
    }

    /// Past the lease's end there is nothing to give back, but an answer may still be on its way.
    fn releasing(&self, now: Now, why: LostWhy) -> Phase {
        let end = self.held.as_ref().map_or(now.boot, |held| held.right.end());
        let until = end.max(now.boot.plus(RELEASE_MS_MIN));
        Phase::Releasing { why, until }
    }

    /// Sends what is due, or notes that it could not.
    fn advance(&mut self, now: Now, fresh: Fresh, output: &mut Output) {
        self.give_up(now, output);
        if matches!(self.phase, Phase::Over(_)) || !self.exchange.is_due(now.boot) {
            return;
        }
        if !self.may_send() {
            return self.missed();
        }
        if self.exchange.is_waiting() {
            self.missed();
            // Twice without an answer: the path or the address may be gone.
            if self.exchange.tries() >= TRIES_PER_CONNECTION {
                output.reconnect = true;
                return self.exchange.put_off(now.boot, self.length());
            }
        }
        let request = self.request(now, fresh);
        let attempt = self.exchange.send(now, self.length());
        if matches!(request, Request::Checkout(_) | Request::CheckoutAll(_)) {
            self.queue.sent(attempt, now.boot, self.waits());
        }
        output.send = Some(Send { attempt, request });
    }

    fn give_up(&mut self, now: Now, output: &mut Output) {
        let (why, until) = match &self.phase {
            Phase::Releasing { why, until } => (why.clone(), *until),
            Phase::Asking {
                abandoned: Some(at),
            } => (LostWhy::Released, at.plus(ABANDONED_MS_MAX)),
            Phase::Leaving { until } => (LostWhy::Released, *until),
            _ => return,
        };
        if now.boot >= until {
            self.phase = Phase::Over(why);
            output.outcome = Some(self.given_back(Outcome::GaveUp));
        }
    }

    fn missed(&mut self) {
        if self.phase == Phase::Holding && self.trouble.is_none() {
            self.trouble = Some(Trouble::NoAnswer);
        }
    }

    /// A running lease can be extended by its own site alone.
    fn may_send(&self) -> bool {
        let needed = self.site_needed();
        self.connected
            .is_some_and(|site| needed.is_none_or(|needed| needed == site))
    }

    fn request(&mut self, now: Now, fresh: Fresh) -> Request {
        let held = self.held.as_ref().map(|held| held.granted.id);
        if let (Phase::Releasing { .. }, Some(lease)) = (&self.phase, self.named_in_vain().or(held))
        {
            return Request::Release(Release {
                lease,
                nonce: self.nonce,
                link: self.chain.link(fresh.token),
            });
        }
        match (&self.phase, &self.held) {
            (Phase::Holding, Some(held)) if self.attached => Request::Renew(Renew {
                lease: held.granted.id,
                nonce: self.nonce,
                link: self.chain.link(fresh.token),
                length_ms: self.ask.length_ms,
                idle_ms: self.active_at.map(|at| now.boot.since(at)),
            }),
            (Phase::Holding | Phase::Lapsed { anew: false, .. }, Some(held)) => {
                Request::Attach(Attach {
                    lease: held.granted.signed.clone(),
                    nonce: self.nonce,
                    link: self.chain.link(fresh.token),
                    length_ms: self.ask.length_ms,
                })
            }
            (Phase::Leaving { .. }, _) => Request::Leave(self.nonce),
            _ => self.checkout_request(),
        }
    }

    /// The same in every repeat but for `wait`: the nonce makes it one lease (L5).
    fn checkout_of(&self, ask: &Ask, nonce: Nonce, token: Token) -> Checkout {
        Checkout {
            nonce,
            token,
            feature: ask.feature.clone(),
            environment: ask.environment,
            seats: ask.seats,
            version: ask.version,
            length_ms: ask.length_ms,
            holder: ask.holder.clone(),
            wait: self.waits(),
        }
    }

    /// Whether the checkout may wait in the queue.
    fn waits(&self) -> bool {
        match self.phase {
            Phase::Asking { abandoned } => self.queue.wait && abandoned.is_none(),
            // Only in the queue has who lost its seat a priority (L6).
            _ => true,
        }
    }

    /// More may be lent now: whoever was refused asks soon, and not all at one moment.
    fn features_changed(&mut self, now: Now, fresh: Fresh) {
        if matches!(self.phase, Phase::Lapsed { anew: true, .. }) && self.place().is_none() {
            let wait = CHANGED_MS_MAX.0 * u64::from(fresh.jitter) / u64::from(u16::MAX);
            self.exchange.hurry(now.boot.plus(DurationMs(wait)));
        }
    }

    fn report(&mut self, now: Now, output: &mut Output) {
        let Some(state) = self.state(now) else {
            return;
        };
        let change = self
            .reported
            .as_ref()
            .and_then(|before| state.change_from(before));
        output.change = change;
        self.reported = Some(state);
    }

    fn wake(&self, now: Now) -> Option<BootMs> {
        // Wall clocks ring nobody, so they are looked at now and then (L1).
        let watch = matches!(self.phase, Phase::Holding).then(|| now.boot.plus(WATCH_MS));
        [self.due(now), watch].into_iter().flatten().min()
    }

    fn length(&self) -> Option<DurationMs> {
        self.held.as_ref().map(|held| held.right.length)
    }
}

/// How often a holder looks at its wall clock.
const WATCH_MS: DurationMs = DurationMs::seconds(5);

/// Unanswered sends after which the connection is given up.
const TRIES_PER_CONNECTION: u32 = 2;

/// A release is repeated at least this long, whatever is left of the lease.
const RELEASE_MS_MIN: DurationMs = DurationMs::seconds(5);

/// How long a checkout that nobody waits for any more is pursued, to give its seat back: as long as
/// the daemon remembers its nonce (L5).
const ABANDONED_MS_MAX: DurationMs = DurationMs::minutes(1);

/// Over how long those who were refused spread when the features change.
const CHANGED_MS_MAX: DurationMs = DurationMs::seconds(5);
