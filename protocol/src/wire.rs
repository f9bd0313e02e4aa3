//! What client and daemon say to each other on one QUIC stream (ALPN `usher/1`).
//!
//! The client opens one bidirectional stream and sends [`Hello`]; the daemon answers [`Welcome`] or a
//! refusal and closes. Then requests and replies carry a number that pairs them; replies may overtake
//! each other. Pushes carry no number. This module decides shapes and frames, never outcomes.

mod check;

use serde::{Deserialize, Serialize};

pub use self::check::BadRequest;

use crate::{
    codec::{self, CodecError},
    documents::endorsement::SignedEndorsement,
    envelope::Signed,
    ids::{Epoch, Fingerprint, LeaseId, LifeId, Nonce, Token},
    names::{FeatureName, LicenseId, Version},
    refusal::{HolderView, Refusal},
    time::{DurationMs, WallMs},
};

/// The protocol version of this build; [`Hello`] carries a range (S7).
pub const WIRE_VERSION: u8 = 1;

/// The application protocol of the TLS handshake (T4).
pub const ALPN: &[u8] = b"usher/1";

/// A client closes its connection with this code when it is done: its places in the queue are given up
/// (L9).
pub const CLOSE_DONE: u32 = 0;

/// A client closes a connection of no more use with this code, and comes back over another: what it
/// waits for is kept as after a cut.
pub const CLOSE_RETURNING: u32 = 1;

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientFrame {
    /// The first frame and no other.
    Hello(Hello),
    /// A numbered request.
    Request(u64, Request),
}

/// What a daemon sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerFrame {
    /// The answer to a `Hello` the daemon can serve.
    Welcome(Welcome),
    /// The answer to the request of that number; number 0 refuses the connection itself.
    Reply(u64, Reply),
    /// News without a question.
    Push(Push),
}

/// All that a client reveals before the daemon has proved its authority, beside its key (T4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Lowest protocol version spoken.
    pub version_min: u8,
    /// Highest protocol version spoken.
    pub version_max: u8,
    /// The vendor root the client wants served (T3).
    pub root: Fingerprint,
}

/// The daemon's proof of authority for this very connection's key (T4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version both sides now speak.
    pub version: u8,
    /// A vendor-signed endorsement of this site key.
    pub endorsement: SignedEndorsement,
    /// Other licenses of this vendor served here; ask [`Request::Endorsement`] for theirs.
    pub licenses_more: Vec<LicenseId>,
    /// The daemon's life (L12).
    pub epoch: Epoch,
    /// The daemon's life by its random name (L12).
    pub life: LifeId,
    /// The server's name for people.
    pub server: String,
    /// The daemon's wall clock.
    pub wall: WallMs,
}

/// What a welcomed client may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Seats, please; also the repeat of a checkout (L5).
    Checkout(Checkout),
    /// More time for a lease.
    Renew(Renew),
    /// The seats back.
    Release(Release),
    /// More time for a lease, shown in full after a lost connection or a restart (L6, L12).
    Attach(Attach),
    /// What is served, and how much of it is free.
    Features,
    /// Who holds a feature's seats.
    Holders(FeatureName),
    /// The endorsement of one license.
    Endorsement(LicenseId),
    /// Seats of several features, all or nothing; at most [`crate::limits::FEATURES_PER_CHECKOUT_MAX`].
    /// They wait together or not at all; the first nonce names the set in the queue.
    CheckoutAll(Vec<Checkout>),
    /// Out of the queue: the waiter is named by its (first) nonce. Repeating it is harmless (L9).
    Leave(Nonce),
    /// A long lease for off-line use (L10).
    Borrow(Borrow),
}

/// `live` or `test`; the two share no pool (T8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Environment {
    /// Paid seats.
    Live,
    /// For tests and demonstrations, with tiny lengths allowed.
    Test,
}

/// Asks for seats of one feature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkout {
    /// Names this checkout; the same nonce is the same lease (L5).
    pub nonce: Nonce,
    /// The first link of the renewal chain (T6).
    pub token: Token,
    /// The feature, of the vendor named in `Hello`.
    pub feature: FeatureName,
    /// From live or from test licenses (T8).
    pub environment: Environment,
    /// How many seats, at least 1.
    pub seats: u32,
    /// The lowest version that will do, if it matters.
    pub version: Option<Version>,
    /// The length wished for; the license bounds it (L2).
    pub length_ms: Option<DurationMs>,
    /// Who asks, in the client's own words.
    pub holder: Holder,
    /// Stand in the queue when no seat is free (L9). No part of what a repeat must match.
    pub wait: bool,
}

/// Asks for a borrowed lease (L10).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Borrow {
    /// What for; `length_ms` says for how long and must be there, `wait` must not be set.
    pub checkout: Checkout,
    /// The client's wall clock: a borrow runs on wall clocks, so they must agree.
    pub wall: WallMs,
}

/// Where a waiter stands (L9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// 1 is next.
    pub position: u32,
    /// All that wait for this feature.
    pub waiting: u32,
    /// When its turn may come, guessed from how often seats came free lately; none without a guess.
    pub expected_ms: Option<DurationMs>,
}

/// Who holds a lease, beside the client key: the client's own words (T6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Login name.
    pub user: String,
    /// Host name.
    pub host: String,
    /// Display, where there is one.
    pub display: Option<String>,
    /// Process number on that host.
    pub process: u32,
}

/// One step of a lease's renewal chain, kept the same across retries (T6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The token of the last acknowledged step.
    pub previous: Token,
    /// A fresh token.
    pub next: Token,
}

/// Asks for more time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renew {
    /// Which lease.
    pub lease: LeaseId,
    /// The secret of its checkout.
    pub nonce: Nonce,
    /// The step.
    pub link: Link,
    /// The length wished for.
    pub length_ms: Option<DurationMs>,
    /// How long the application has reported no activity, if it reports any.
    pub idle_ms: Option<DurationMs>,
}

/// Gives seats back; repeating it is harmless.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Which lease.
    pub lease: LeaseId,
    /// The secret of its checkout.
    pub nonce: Nonce,
    /// The last step of its chain, like a renewal's: a branch may not free a seat the other side
    /// believes it holds (T6).
    pub link: Link,
}

/// Shows a lease and asks for more time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// The signed lease as it was granted or last renewed.
    pub lease: Signed,
    /// The secret of its checkout.
    pub nonce: Nonce,
    /// The step.
    pub link: Link,
    /// The length wished for.
    pub length_ms: Option<DurationMs>,
}

/// The daemon's answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// A lease, granted or extended. Its right ends its signed length after the request was sent (L1).
    Granted(Grant),
    /// The seats are back.
    Released,
    /// To [`Request::Features`].
    Features(Vec<FeatureView>),
    /// To [`Request::Holders`]; the listed ones and how many more.
    Holders(Vec<HolderView>, u32),
    /// To [`Request::Endorsement`].
    Endorsement(SignedEndorsement),
    /// No, and why.
    Refused(Refusal),
    /// No seat yet: a place in the queue (L9).
    Queued(Place),
    /// To [`Request::CheckoutAll`], in the order asked for.
    GrantedAll(Vec<Grant>),
    /// Out of the queue.
    Left,
    /// A borrowed lease was returned early, but its license does not free such a seat at once: it
    /// comes back after this long (L10).
    Returned(DurationMs),
}

/// A lease and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The lease, signed by the site key.
    pub lease: Signed,
    /// When to renew, counted from the send like the lease's length (L2).
    pub renew_after_ms: DurationMs,
    /// Seats of this pool out right now, this lease's included: "seat 4 of 10".
    pub seats_out: u32,
    /// Seats of the pool; none is unlimited.
    pub seats_total: Option<u32>,
}

/// One feature as a workstation sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureView {
    /// Its name within the vendor.
    pub feature: FeatureName,
    /// The license it comes from.
    pub license: LicenseId,
    /// From a live or from a test license.
    pub environment: Environment,
    /// Highest version served.
    pub version: Option<Version>,
    /// Seats in the pool; none is unlimited.
    pub seats: Option<u32>,
    /// Seats out, a share of a group counted once; above `seats`, they are overdraft.
    pub out: u32,
    /// Seats that may be out beyond `seats`, as signed.
    pub overdraft: u32,
    /// Free seats that policy reserves; of the feature, so the same in each of its pools.
    pub reserved_idle: u32,
    /// Seats offered to waiters or lingering with their last holders.
    pub kept: u32,
    /// Who waits for this feature; the same in each of its pools.
    pub queued: u32,
    /// Longest borrow the license allows; zero is none (L10).
    pub borrow_ms_max: DurationMs,
    /// An administrator lends none of it for now.
    pub suspended: bool,
    /// When the license of it ends, if it does.
    pub expires: Option<WallMs>,
}

/// News that needs no question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Push {
    /// The daemon is stopping; leases go on, reconnect after this long.
    Draining(DurationMs),
    /// Licenses changed; what `Features` said may be old.
    FeaturesChanged,
    /// An administrator takes this lease back: finish, then release it (L7).
    Evicted(
        LeaseId,
        #[serde(deserialize_with = "crate::printable::received")] String,
    ),
    /// The place of the waiter of this nonce, as it changes (L9).
    Queued(Nonce, Place),
    /// A seat is kept this long for the waiter of this nonce, which claims it by its checkout once
    /// more (L9).
    Offered(Nonce, DurationMs),
    /// The waiter of this nonce is out of the queue, and why; its checkout is over.
    Dismissed(Nonce, Refusal),
}

impl ClientFrame {
    /// The bytes for the stream, length first.
    ///
    /// # Errors
    /// [`CodecError::TooLarge`].
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        match self {
            Self::Hello(hello) => codec::frame(WIRE_VERSION, KIND_HELLO, hello),
            Self::Request(number, request) => {
                codec::frame(WIRE_VERSION, KIND_REQUEST, &(number, request))
            }
        }
    }

    /// Reads a frame without its length prefix.
    ///
    /// # Errors
    /// [`CodecError`] for anything but exactly one frame of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let tagged = codec::untag(WIRE_VERSION, bytes)?;
        match tagged.kind {
            KIND_HELLO => codec::decode(tagged.body).map(Self::Hello),
            KIND_REQUEST => {
                codec::decode(tagged.body).map(|(number, it)| Self::Request(number, it))
            }
            other => Err(unknown_kind(other)),
        }
    }
}

impl ServerFrame {
    /// The bytes for the stream, length first.
    ///
    /// # Errors
    /// [`CodecError::TooLarge`].
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        match self {
            Self::Welcome(welcome) => codec::frame(WIRE_VERSION, KIND_WELCOME, welcome),
            Self::Reply(number, reply) => codec::frame(WIRE_VERSION, KIND_REPLY, &(number, reply)),
            Self::Push(push) => codec::frame(WIRE_VERSION, KIND_PUSH, push),
        }
    }

    /// Reads a frame without its length prefix.
    ///
    /// # Errors
    /// [`CodecError`] for anything but exactly one frame of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let tagged = codec::untag(WIRE_VERSION, bytes)?;
        match tagged.kind {
            KIND_WELCOME => codec::decode(tagged.body).map(Self::Welcome),
            KIND_REPLY => codec::decode(tagged.body).map(|(number, it)| Self::Reply(number, it)),
            KIND_PUSH => codec::decode(tagged.body).map(Self::Push),
            other => Err(unknown_kind(other)),
        }
    }
}

fn unknown_kind(kind: u8) -> CodecError {
    CodecError::Malformed(format!("unknown frame kind {kind:#04x}"))
}

const KIND_HELLO: u8 = 0x01;
const KIND_REQUEST: u8 = 0x02;
const KIND_WELCOME: u8 = 0x81;
const KIND_REPLY: u8 = 0x82;
const KIND_PUSH: u8 = 0x83;
