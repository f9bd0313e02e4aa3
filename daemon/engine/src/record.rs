//! What the engine wants kept: records (state) and events (history).
//!
//! A record puts or drops one thing under one key; loading a store is applying all its puts (A1).
//! Records are data: how they are encoded and stored is the daemon's `records.rs` and its journal.

use std::{net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};
use usher_protocol::{
    documents::license::{Grouping, VerifiedLicense},
    envelope::Signed,
    ids::{Epoch, Fingerprint, LeaseId, Nonce, PublicKey},
    names::{FeatureName, LicenseId, VendorName, Version},
    refusal::RefusalCode,
    time::{DurationMs, WallMs},
    wire::{Environment, Holder},
};

/// One change of durable state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A lease as it now is.
    PutLease(Box<LeaseRecord>),
    /// A lease that is over.
    DropLease(LeaseId),
    /// An installed license; stored as its text, verified anew at load (T2).
    PutLicense(Arc<VerifiedLicense>),
    /// A removed or replaced license; installed ones have one id each, whatever their vendor.
    DropLicense(LicenseId),
    /// The highest serial ever seen of a license, kept after removal (T7).
    PutSerial(LicenseSerial),
    /// A vendor's root, pinned (T3).
    PutRoot(PinnedRoot),
    /// The newest revocation list of a root, kept for ever (T7).
    PutRevocations(Fingerprint, Signed),
    /// License time (L11).
    PutMark(Mark),
    /// Why no seat may be granted, across restarts (L12); the default value is "nothing is wrong".
    PutTrouble(Trouble),
    /// A client key that an administrator accepted (`enroll = "required"`).
    PutClient(EnrolledClient),
    /// A client key that is accepted no more.
    DropClient(PublicKey),
    /// A license or feature of which nothing is lent for now (L7).
    PutSuspension(Suspension),
    /// It is lent again.
    DropSuspension(SuspensionKey),
}

/// A lease as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRecord {
    /// Its name.
    pub id: LeaseId,
    /// The vendor.
    pub root: Fingerprint,
    /// Its license.
    pub license: LicenseId,
    /// Live or test.
    pub environment: Environment,
    /// Its feature.
    pub feature: FeatureName,
    /// Seats.
    pub seats: u32,
    /// Asked for.
    pub version: Option<Version>,
    /// The length the checkout wished for; part of what a repeat must match (L5).
    pub length_ms_wished: Option<DurationMs>,
    /// The workstation. Its key was checked when it connected (T1).
    #[serde(deserialize_with = "PublicKey::read_back")]
    pub client: PublicKey,
    /// The secret of its checkout.
    pub nonce: Nonce,
    /// The client's own words.
    pub holder: Holder,
    /// From where it was checked out, where that is known: for the networks of the policy.
    pub address: Option<IpAddr>,
    /// Granted when, by the daemon's wall clock.
    pub since: WallMs,
    /// The longest R ever promised to it (L2, L4).
    pub length_ms_longest: DurationMs,
    /// An administrator takes it back, and why (L7).
    pub evicted: Option<String>,
    /// Two renewed it (T6).
    pub forked: bool,
    /// What shares its seats, as its license said at the grant.
    pub grouping: Grouping,
    /// The lease that opened the share which it joined, itself where it opened one. A share is as old
    /// as that, also when its first lease is over: no share overtakes another (L7).
    pub share_since: LeaseId,
    /// How many of its seats were overdraft at the grant.
    pub overdraft_seats: u32,
    /// How long its holder stood in the queue for it (L9).
    pub waited_ms: DurationMs,
    /// Borrowed for off-line use (L10).
    pub borrowed: Option<Borrowed>,
}

/// What is special about a borrowed lease (L10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Borrowed {
    /// The right's end by wall clock; it counts until then and the tolerance.
    pub until: WallMs,
    /// Returned early under a license that frees no such seat at once.
    pub returned: bool,
    /// Written off: it counts against the signed allowance, no more against the pool.
    pub written_off: bool,
}

/// An accepted client key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolledClient {
    /// The workstation's key.
    pub client: PublicKey,
    /// What the administrator calls it.
    pub name: String,
    /// Accepted when, by the daemon's wall clock.
    pub since: WallMs,
}

/// What is suspended: a whole license, or one feature of a vendor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SuspensionKey {
    /// All of a license.
    License(LicenseId),
    /// A feature, from whatever license.
    Feature(Fingerprint, FeatureName),
}

/// A license or feature of which nothing is lent for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// Which.
    pub key: SuspensionKey,
    /// Why, for its holders.
    pub reason: String,
    /// Since when, by the daemon's wall clock.
    pub since: WallMs,
}

/// The highest serial of one license of one vendor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenseSerial {
    /// The vendor.
    pub root: Fingerprint,
    /// The license.
    pub license: LicenseId,
    /// The highest serial.
    pub serial: u64,
}

/// A vendor's root as confirmed at its first license.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedRoot {
    /// The one root under this name.
    pub vendor: VendorName,
    /// The root.
    pub root: PublicKey,
}

/// License time as last persisted (L11).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// License time never goes below this.
    pub license_time: WallMs,
    /// The newest issue date of a license ever installed: only one issued later lowers the mark.
    pub issued_newest: WallMs,
}

/// What stops all granting until an administrator acts (L12).
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// A lease from beyond our head was shown.
    pub rolled_back: bool,
    /// Another daemon with our key, where it answered.
    pub clone: Option<String>,
    /// Seats are held since a restore, a repair, or an administrator's word, counted anew in each life
    /// until it has run out in one. Leases of epochs before this one are adopted meanwhile.
    pub hold_since: Option<Epoch>,
    /// Leases of epochs before this one are known to be lost, by a restore or an administrator's word:
    /// one that is shown when it is over raises no alarm, however late.
    pub lost_before: Epoch,
    /// License time when leases were last lost: borrowed ones among them may run until the longest
    /// borrow since then is over (L10).
    pub borrows_lost: Option<WallMs>,
}

/// One entry of the usage log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// By the daemon's wall clock.
    pub at: WallMs,
    /// License time (L11).
    pub license_time: WallMs,
    /// The life.
    pub epoch: Epoch,
    /// Who did it: `client`, `daemon`, or an administrator by name.
    pub actor: String,
    /// What happened.
    pub what: What,
}

/// What happened. Renewals are not history (L4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// A daemon life began, with that version.
    Started(String),
    /// A grant.
    Granted(Box<LeaseRecord>),
    /// A first longer promise, an eviction, a fork: the lease as it now is.
    Changed(Box<LeaseRecord>),
    /// Given back by its holder.
    Released(LeaseId),
    /// Taken back at its deadline.
    Reclaimed(LeaseId),
    /// Adopted from a lease that was shown (L12).
    Adopted(Box<LeaseRecord>),
    /// Refusals of one kind to one client, counted together.
    Denied {
        /// Of which vendor.
        root: Fingerprint,
        /// Which feature.
        feature: FeatureName,
        /// Who asked.
        holder: Holder,
        /// Why not.
        code: RefusalCode,
        /// How often, repeats of one request included.
        count: u32,
    },
    /// A license went live.
    LicenseInstalled(LicenseId, u64),
    /// A license was removed or replaced.
    LicenseRemoved(LicenseId, u64),
    /// A vendor's root was pinned.
    RootPinned(VendorName, Fingerprint),
    /// Something stopped or resumed granting, in words.
    Trouble(String),
    /// The wall clock stepped or was confirmed, in words.
    Clock(String),
    /// A waiter left the queue without a seat, after this long (L9).
    GaveUp {
        /// Of which vendor.
        root: Fingerprint,
        /// Which feature.
        feature: FeatureName,
        /// Who waited.
        holder: Holder,
        /// How long.
        waited_ms: DurationMs,
    },
    /// Nothing is lent of it for now, and why.
    Suspended(Suspension),
    /// It is lent again.
    Resumed(SuspensionKey),
    /// A client key was accepted.
    ClientAccepted(EnrolledClient),
    /// A client key is accepted no more.
    ClientRemoved(PublicKey),
    /// A borrowed lease counts against the signed allowance from now on, and why (L10).
    WrittenOff(LeaseId, String),
    /// A policy came into force, in words.
    Policy(String),
    /// The text of a license that was installed, in pieces that follow each other: a state that is restored or
    /// rebuilt has it from here (L12).
    LicenseText(TextPiece),
    /// The oldest part of this log may be elsewhere from now on (S2).
    LogRetired(Retirement),
}

/// Which part of the usage log may be elsewhere, and what a repair goes on from in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retirement {
    /// Number of the last entry of that part.
    pub through: u64,
    /// The hash in the log's chain after that entry.
    pub hash: [u8; 32],
    /// Number of the last entry in the copy of the live state that is kept in its place: at least `through`.
    pub base: u64,
    /// SHA-256 of that copy, as stands at its end.
    pub base_digest: [u8; 32],
}

/// A piece of a license's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextPiece {
    /// Whose.
    pub license: LicenseId,
    /// Which piece, from 1 on.
    pub piece: u32,
    /// How many there are.
    pub pieces: u32,
    /// The piece.
    pub text: String,
}
