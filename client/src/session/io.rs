//! What goes into a session and what comes out of it: the whole vocabulary, as data.

use usher_protocol::{
    envelope::Signed,
    ids::{LeaseId, Nonce, PublicKey, Token},
    names::{FeatureName, LicenseId, Version},
    refusal::Refusal,
    time::{BootMs, DurationMs},
    wire::{Checkout, Environment, Holder, Link, Place, Release, Request},
};

use super::{Session, state::Change};

/// What a seat is wanted for; the same for the session's whole life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The feature, of the vendor that the connection is for.
    pub feature: FeatureName,
    /// Live or test (T8).
    pub environment: Environment,
    /// How many seats.
    pub seats: u32,
    /// The lowest version that will do.
    pub version: Option<Version>,
    /// The length wished for.
    pub length_ms: Option<DurationMs>,
    /// Who asks, in our own words.
    pub holder: Holder,
}

impl Ask {
    /// What a checkout asks for.
    pub(crate) fn of(checkout: &Checkout) -> Self {
        Self {
            feature: checkout.feature.clone(),
            environment: checkout.environment,
            seats: checkout.seats,
            version: checkout.version,
            length_ms: checkout.length_ms,
            holder: checkout.holder.clone(),
        }
    }
}

/// Randomness drawn for one input; what is not used is thrown away.
#[derive(Debug, Clone, Copy)]
pub struct Fresh {
    /// For a new checkout.
    pub nonce: Nonce,
    /// For a new step of the chain (T6).
    pub token: Token,
    /// Over its whole range, for the spread of renewals.
    pub jitter: u16,
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// Time passed; early and spurious ones are harmless.
    Tick,
    /// A server proved its authority (T4); its site key.
    Connected(PublicKey),
    /// The connection is gone, and with it all that was not answered.
    Disconnected,
    /// The send of that number was answered.
    Answered(u64, Answer),
    /// The server's push: an administrator takes that lease back, and why (L7).
    Evicted(LeaseId, String),
    /// The server's push: the place of the waiter of that nonce (L9).
    Queued(Nonce, Place),
    /// The server's push: a seat is kept for the waiter of that nonce (L9).
    Offered(Nonce),
    /// The server's push: that waiter is out of the queue, and why (L9).
    Dismissed(Nonce, Box<Refusal>),
    /// The server's push: other licenses or another policy are in force.
    FeaturesChanged,
    /// The caller is done with the seat, or does not wait for it any more.
    Release,
}

/// The answer to one send, as far as it could be believed.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A lease that was verified and is the one asked for.
    Granted(Box<Granted>),
    /// The leases of a set, each as [`Answer::Granted`], in the order asked for.
    GrantedAll(Vec<Granted>),
    /// No seat yet, but a place in the queue (L9).
    Queued(Place),
    /// Out of the queue, as asked.
    Left,
    /// To a release.
    Released,
    /// No.
    Refused(Box<Refusal>),
    /// Something that could not be believed: it counts as no answer, and the text says why. If it
    /// was a lease, the name that lease gives itself: the daemon counts its seats as out.
    Unusable(String, Option<LeaseId>),
    /// The same for a set: the names its leases give themselves, in the order asked for.
    UnusableAll(String, Vec<Option<LeaseId>>),
}

/// A verified lease and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// Its name.
    pub id: LeaseId,
    /// The site that signed it.
    pub site: PublicKey,
    /// As it was signed.
    pub signed: Signed,
    /// The license its seats come from.
    pub license: LicenseId,
    /// The right's length **R** (L1).
    pub length: DurationMs,
    /// When to renew, from the send.
    pub renew_after: DurationMs,
    /// Seats of the pool out, these included.
    pub seats_out: u32,
    /// Seats of the pool; none is unlimited.
    pub seats_total: Option<u32>,
}

/// What one input caused.
#[derive(Debug, Default)]
pub struct Output {
    /// To send at once. The `now` handed in is its `c0` (L1).
    pub send: Option<Send>,
    /// The connection answers nothing any more: look for the server anew.
    pub reconnect: bool,
    /// What became of the state.
    pub change: Option<Change>,
    /// The place in the queue, where it changed.
    pub place: Option<Place>,
    /// The other leases of a set, each a session of its own from now on: granted with this one if
    /// the outcome says so, to be released if not.
    pub companions: Vec<Session>,
    /// What became of the checkout or of the release.
    pub outcome: Option<Outcome>,
    /// When to hand in a [`Input::Tick`]; replaces any earlier wish.
    pub wake: Option<BootMs>,
    /// Nothing more will come out of this session.
    pub over: bool,
}

/// A request to send, with the number its answer must come back under.
#[derive(Debug, Clone)]
pub struct Send {
    /// Unique within the session.
    pub attempt: u64,
    /// What to send.
    pub request: Request,
}

/// The end of a wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The checkout got its lease.
    Granted,
    /// The checkout got a "no".
    Refused(Box<Refusal>),
    /// The checkout got answers that cannot be believed, and why; told once the lease they were
    /// about is given back, or the daemon does not take it.
    Unusable(String),
    /// The seat, or the place in the queue, is back.
    Released,
    /// The release was not acknowledged in time; the seat comes free when the lease ends.
    GaveUp,
}

/// A lease taken out of its session, with the secrets that renew and release it.
#[derive(Debug, Clone)]
pub struct Detached {
    /// What the server last confirmed.
    pub held: super::Held,
    /// The secret of its checkout.
    pub nonce: Nonce,
    /// The chain's last acknowledged token (T6).
    pub acknowledged: Token,
    /// The token sent since, if one was.
    pub under_way: Option<Token>,
    /// The length wished for.
    pub length_ms: Option<DurationMs>,
}

impl Detached {
    /// Gives the seats back; `fresh` is used only if no step is under way (T6).
    pub fn release(&self, fresh: Token) -> Release {
        Release {
            lease: self.held.granted.id,
            nonce: self.nonce,
            link: Link {
                previous: self.acknowledged,
                next: self.under_way.unwrap_or(fresh),
            },
        }
    }
}
