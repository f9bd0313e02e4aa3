//! The engine's whole vocabulary: what goes in, what comes out. Effects are data.

use std::{net::IpAddr, sync::Arc};

use usher_protocol::{
    documents::{
        endorsement::SignedEndorsement,
        lease::{Lease, VerifiedLease},
        license::VerifiedLicense,
    },
    ids::{Commit, Epoch, Fingerprint, LeaseId, LifeId, Nonce, PublicKey},
    names::{FeatureName, LicenseId, Version},
    refusal::{HolderView, Refusal},
    time::{BootMs, DurationMs, WallMs},
    wire::{Borrow, Checkout, Environment, FeatureView, Hello, Link, Place, Push, Release, Renew},
};

use crate::{
    policy::Policy,
    record::{EnrolledClient, Event, Record, Retirement, SuspensionKey},
};

/// One thing that happened. The core loop hands them over one at a time, with `now` read after each
/// was taken from the queue (L2).
#[derive(Debug, Clone)]
pub enum Input {
    /// A client asks; its key was proved by TLS, signatures were checked at the edge (T2).
    Client {
        /// Where the answer goes.
        reply_to: ReplyTo,
        /// Who asks.
        caller: Caller,
        /// What for.
        ask: ClientAsk,
    },
    /// An administrator asks.
    Admin {
        /// Where the answer goes.
        reply_to: ReplyTo,
        /// Who, by the socket's peer credentials: `user(uid)`.
        actor: String,
        /// What for.
        ask: AdminAsk,
    },
    /// The wake-up the engine asked for; early and spurious ones are harmless.
    Tick,
    /// Another daemon proved to run with our site key (L12).
    CloneFound {
        /// Its life; our own is ignored.
        life: LifeId,
        /// Where it answered, for people.
        address: String,
    },
    /// A client's connection is gone (L6, L9).
    Disconnected {
        /// Which.
        connection: ConnectionId,
        /// The client closed it itself: its places in the queue are given up at once. A connection
        /// that was cut keeps them for a while.
        orderly: bool,
    },
}

/// Names one connection of this life; what is pushed to it goes by this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Names the waiting side of one question; the core loop owns what it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyTo(pub u64);

/// A client as TLS and its `Hello` show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Proved by the handshake.
    pub client: PublicKey,
    /// The vendor root it wants (T3).
    pub root: Fingerprint,
    /// Where it calls from, for the networks of the policy.
    pub address: IpAddr,
    /// Over which connection.
    pub connection: ConnectionId,
}

/// What a client may ask.
#[derive(Debug, Clone)]
pub enum ClientAsk {
    /// The proof of authority; answered before anything else.
    Hello(Hello),
    /// Seats.
    Checkout(Checkout),
    /// More time.
    Renew(Renew),
    /// Seats back.
    Release(Release),
    /// More time, showing a lease that carries our own signature.
    Attach {
        /// The lease shown; its signature was checked against the site key.
        lease: Box<VerifiedLease>,
        /// The secret of its checkout.
        nonce: Nonce,
        /// The step of its chain.
        link: Link,
        /// The length wished for.
        length_ms: Option<DurationMs>,
    },
    /// What is served.
    Features,
    /// Who holds.
    Holders(FeatureName),
    /// One license's endorsement.
    Endorsement(LicenseId),
    /// Seats of several features, all or nothing.
    CheckoutAll(Vec<Checkout>),
    /// Out of the queue (L9).
    Leave(Nonce),
    /// A lease for off-line use (L10).
    Borrow(Borrow),
}

/// What an administrator may ask. Each acknowledged change is durable before its answer leaves.
#[derive(Debug, Clone)]
pub enum AdminAsk {
    /// Install or replace a license. `root_confirmed` must name the root at a vendor's first license (T3).
    InstallLicense {
        /// The license, its chain checked.
        license: Arc<VerifiedLicense>,
        /// The root fingerprint the administrator confirmed.
        root_confirmed: Option<Fingerprint>,
    },
    /// Remove a license; its leases run on, renewals are refused (L7).
    RemoveLicense(LicenseId),
    /// What is installed.
    Licenses,
    /// Everything a person wants to see at once.
    Status,
    /// Leases in order of their ids, a page at a time.
    Leases {
        /// The last one already seen.
        after: Option<LeaseId>,
        /// At most this many.
        count_max: usize,
    },
    /// Take a lease back at its next renewal (L7).
    Evict {
        /// Which.
        lease: LeaseId,
        /// Why, for its holder and the usage log.
        reason: String,
        /// How long its holder may not have the feature again; none is the usual.
        cool_down_ms: Option<DurationMs>,
    },
    /// Believe the wall clock although it leads (L11).
    ConfirmClock,
    /// This daemon is the one that stays; grant again after `D + G` (L12).
    KeepThisClone,
    /// An administrator looked at the rolled-back store; grant again after `D + G` (L12).
    AcceptRollback,
    /// New settings, already checked.
    Configure(Settings),
    /// Stop granting and renewing: the process is about to end.
    Drain,
    /// A policy, checked as far as that goes without licenses. One that cannot be met is refused and
    /// the running one stays.
    SetPolicy(Arc<Policy>),
    /// What a checkout would get, and why; changes nothing (A4).
    Explain(Question),
    /// Lend nothing of a license or feature, and why; renewals are refused too (L7).
    Suspend(SuspensionKey, String),
    /// Lend it again.
    Resume(SuspensionKey),
    /// Accepted client keys, and those that knocked.
    Clients,
    /// Accept a client key under a name.
    AcceptClient(PublicKey, String),
    /// Accept it no more; its leases are not renewed.
    RemoveClient(Fingerprint),
    /// Who waits, first in front.
    Queue,
    /// Count a borrowed lease against the signed allowance from now on, and why (L10).
    WriteOff {
        /// Which.
        lease: LeaseId,
        /// Why, for the usage log.
        reason: String,
    },
    /// Tell in the usage log that its oldest part may be elsewhere, durably (S2). Nothing else changes.
    RetireLog(Retirement),
}

/// A checkout that somebody might ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// `vendor/feature`, or the feature alone where one vendor is served.
    pub feature: String,
    /// Live or test.
    pub environment: Environment,
    /// How many seats.
    pub seats: u32,
    /// The lowest version that will do.
    pub version: Option<Version>,
    /// Who, in the client's own words.
    pub user: String,
    /// Where, in the client's own words.
    pub host: String,
    /// With which key; none is one never seen.
    pub client: Option<PublicKey>,
    /// From which address; none matches no network.
    pub address: Option<IpAddr>,
    /// For off-line use, this long (L10).
    pub borrow_ms: Option<DurationMs>,
}

/// What the configuration says to the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Serve test licenses (T8).
    pub serve_test: bool,
    /// Leases one client key may hold (A3).
    pub leases_per_client_max: usize,
    /// Leases in all (A3).
    pub leases_max: usize,
    /// Host names of this machine, for host bindings (T7).
    pub host_names: Vec<String>,
}

/// The daemon life that starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// Persisted and acquired (L12).
    pub epoch: Epoch,
    /// Random.
    pub life: LifeId,
    /// The daemon's public site key.
    pub site: PublicKey,
    /// The store was restored or repaired, or is younger than the site key: hold all seats (L12).
    pub hold_all: bool,
    /// The store's head as loaded.
    pub head: Commit,
}

/// What one input caused.
#[derive(Debug, Default)]
pub struct Output {
    /// To persist, in order, before any answer of this or a later output leaves (A2).
    pub records: Vec<Record>,
    /// For the usage log, riding in the same batch (S2).
    pub events: Vec<Event>,
    /// To release after the commit.
    pub answers: Vec<(ReplyTo, Answer)>,
    /// News for single connections, to send after the commit and after the answers.
    pub pushes: Vec<(ConnectionId, Push)>,
    /// Some of this batch must be in the usage log, not only on its way there, before the answers
    /// leave: a borrow was granted (S2).
    pub wait_for_log: bool,
    /// When to hand in a [`Input::Tick`]; replaces any earlier wish. None: not by time alone.
    pub wake: Option<BootMs>,
}

/// What a question gets.
#[derive(Debug, Clone)]
pub enum Answer {
    /// To `Hello`: what a `Welcome` is made of.
    Welcome(Box<Authority>),
    /// To checkout, renew and attach: sign it and send it.
    Promised(Box<Promise>),
    /// To release.
    Released,
    /// To `Features`.
    Features(Vec<FeatureView>),
    /// To `Holders`: the listed ones, and how many more.
    Holders(Vec<HolderView>, u32),
    /// To `Endorsement`.
    Endorsement(Box<SignedEndorsement>),
    /// To `InstallLicense`: what changed, for people.
    Installed(Box<LicenseView>),
    /// To `Licenses`.
    Licenses(Vec<LicenseView>),
    /// To `Status`.
    Status(Box<Status>),
    /// To `Leases`.
    Leases(Vec<LeaseView>),
    /// To the administrator's other verbs.
    Done,
    /// No.
    Refused(Box<Refusal>),
    /// To `CheckoutAll`: in the order asked for.
    PromisedAll(Vec<Promise>),
    /// To checkouts that wait (L9).
    Queued(Place),
    /// To `Leave`.
    Left,
    /// To release of a borrowed lease whose seat comes back after this long (L10).
    Returned(DurationMs),
    /// To `Explain`.
    Explained(Box<Explanation>),
    /// To `Clients`.
    Clients(Vec<ClientView>),
    /// To `Queue`.
    Queue(Vec<WaiterView>),
}

/// What a checkout would get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The refusal word for word as the client would get it, or none where it would get seats.
    pub refusal: Option<Refusal>,
    /// What it would get, or where it would stand in the queue, in words.
    pub detail: String,
}

/// A client key for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientView {
    /// Accepted by an administrator.
    Accepted(EnrolledClient),
    /// Refused for want of that, lately.
    Knocked {
        /// Its key.
        client: PublicKey,
        /// The client's own words.
        user: String,
        /// The client's own words.
        host: String,
        /// From where.
        address: IpAddr,
        /// Last seen this long ago.
        ago_ms: DurationMs,
    },
}

/// A waiter for people (L9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaiterView {
    /// `vendor/feature`; several for a set, with ` + ` between.
    pub feature: String,
    /// Its place.
    pub place: Place,
    /// Seats asked for.
    pub seats: u32,
    /// The client's own words.
    pub user: String,
    /// The client's own words.
    pub host: String,
    /// By policy; higher is served first.
    pub priority: i32,
    /// For this long.
    pub waited_ms: DurationMs,
    /// A seat is offered, for so much longer.
    pub offered_ms: Option<DurationMs>,
    /// Cut off, and its place kept for so much longer.
    pub cut_off_ms: Option<DurationMs>,
}

/// A vendor's word for this site.
#[derive(Debug, Clone)]
pub struct Authority {
    /// Live before test, newest first.
    pub endorsement: SignedEndorsement,
    /// The other licenses of this root.
    pub licenses_more: Vec<LicenseId>,
    /// This life.
    pub epoch: Epoch,
    /// This life.
    pub life: LifeId,
}

/// A lease to sign, and what to say with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// The lease, unsigned.
    pub lease: Lease,
    /// When to renew, from the client's send (L2). The client adds its own ±10 %.
    pub renew_after_ms: DurationMs,
    /// Seats out of this pool right now.
    pub seats_out: u32,
    /// Seats of this pool; none is unlimited.
    pub seats_total: Option<u32>,
}

/// A license for people.
#[derive(Debug, Clone)]
pub struct LicenseView {
    /// The license.
    pub license: Arc<VerifiedLicense>,
    /// The vendor (T3).
    pub root: Fingerprint,
    /// Why nothing is lent from it, when so: expired, starts later, test not served, wrong host.
    pub idle_because: Option<String>,
}

/// A lease for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseView {
    /// Its id.
    pub id: LeaseId,
    /// `vendor/feature`.
    pub feature: String,
    /// Its license.
    pub license: LicenseId,
    /// Live or test.
    pub environment: Environment,
    /// Seats.
    pub seats: u32,
    /// The workstation's key.
    pub client: Fingerprint,
    /// The secret of its checkout; for nobody but its holder (T6).
    pub nonce: Nonce,
    /// The client's own words.
    pub user: String,
    /// The client's own words.
    pub host: String,
    /// The client's own words.
    pub display: Option<String>,
    /// Its process.
    pub process: u32,
    /// Granted when, by the daemon's wall clock.
    pub since: WallMs,
    /// Comes free when, if it is not renewed.
    pub free_in_ms: DurationMs,
    /// What is wrong with it, when something is: `evicted: …`, `forked`, `held since restart`.
    pub note: Option<String>,
    /// Borrowed until then (L10).
    pub borrowed_until: Option<WallMs>,
    /// How many leases share its seats, itself included.
    pub sharing: u32,
}

/// One pool for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolView {
    /// The vendor's display name.
    pub vendor: String,
    /// What is served.
    pub view: FeatureView,
    /// More out than there is (L7).
    pub overcommitted: bool,
    /// Leases held since the restart and not yet heard of (L4).
    pub held: u32,
    /// Of the seats out, the borrowed ones (L10).
    pub borrowed: u32,
    /// Seats out beyond the pool, as signed.
    pub overdraft_used: u32,
    /// Seats written off, beside those out (L10).
    pub written_off: u32,
    /// Seats offered to waiters (L9).
    pub offered: u32,
    /// Seats that linger with their last holders.
    pub lingering: u32,
    /// Why an administrator lends none of it for now.
    pub suspended: Option<String>,
}

/// The daemon at one glance.
#[derive(Debug, Clone)]
pub struct Status {
    /// This life.
    pub epoch: Epoch,
    /// This life.
    pub life: LifeId,
    /// The store's head.
    pub head: Commit,
    /// Live leases.
    pub leases: usize,
    /// Every pool.
    pub pools: Vec<PoolView>,
    /// Reservations of the policy, and how they are used.
    pub reservations: Vec<ReservationView>,
    /// The policy in force, in words.
    pub policy: String,
    /// License time (L11).
    pub license_time: WallMs,
    /// Why no seat is granted at all, when so; the first word is the refusal's name.
    pub stopped: Vec<String>,
    /// What is not as it should be while seats are granted: `clock: …`, `overcommitted: …`.
    pub degraded: Vec<String>,
}

/// A reservation for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReservationView {
    /// `vendor/feature`.
    pub feature: String,
    /// For whom, in the policy's words.
    pub who: String,
    /// Seats reserved.
    pub seats: u32,
    /// Seats that its holders have out; what is beyond `seats` is shared ones.
    pub used: u32,
    /// The line of the policy.
    pub line: u32,
}
