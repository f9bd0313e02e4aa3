//! The engine's whole vocabulary: what goes in, what comes out. Effects are data.

use std::sync::Arc;

use usher_protocol::{
    documents::{
        endorsement::SignedEndorsement,
        lease::{Lease, VerifiedLease},
        license::VerifiedLicense,
    },
    ids::{Commit, Epoch, Fingerprint, LeaseId, LifeId, Nonce, PublicKey},
    names::{FeatureName, LicenseId},
    refusal::{HolderView, Refusal},
    time::{BootMs, DurationMs, WallMs},
    wire::{Checkout, Environment, FeatureView, Hello, Link, Release, Renew},
};

use crate::record::{Event, Record};

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
}

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
    /// License time (L11).
    pub license_time: WallMs,
    /// Why no seat is granted at all, when so; the first word is the refusal's name.
    pub stopped: Vec<String>,
    /// What is not as it should be while seats are granted: `clock: …`, `overcommitted: …`.
    pub degraded: Vec<String>,
}
