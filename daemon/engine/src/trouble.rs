//! What stops granting as a whole: a store that went back, a clone, a hold, an end (L12, L13).
//!
//! Renewals and re-attachment go on meanwhile, except when the process is about to end.

use usher_protocol::{
    documents::{lease::VerifiedLease, license::VerifiedLicense},
    ids::{Commit, Epoch, LeaseId, LifeId, Nonce},
    limits::LEASE_MS_MAX,
    refusal::{Refusal, RefusalCode},
    time::{BootMs, DurationMs},
    wire::Environment,
};

use crate::{
    api::{Answer, Caller},
    engine::Engine,
    length,
    limits::DRAIN_RETRY_MS,
    pool::PoolKey,
    record::{Borrowed, LeaseRecord, Record, Trouble, What},
    renew::ended,
    share::ShareKey,
    step::{DAEMON, Step, no},
};

impl Engine {
    /// Refuses every grant while something stops them all.
    pub(crate) fn check_stops(&self, step: &Step) -> Result<(), Box<Refusal>> {
        match self.stops(step).into_iter().next() {
            None => Ok(()),
            Some(stop) => Err(Box::new(stop)),
        }
    }

    /// Everything that stops granting right now, the gravest first.
    pub(crate) fn stops(&self, step: &Step) -> Vec<Refusal> {
        let trouble = &self.state.trouble;
        let rolled_back = trouble.rolled_back.then(|| {
            no(
                RefusalCode::StoreRolledBack,
                "the store went back in time; an administrator looks, then says `usherd rollback accept`",
            )
        });
        let clone = trouble.clone.as_ref().map(|address| {
            let detail = format!("another daemon with this site key answered at {address}; stop one, then say `usherd clone keep-this` to the other");
            no(RefusalCode::CloneFound, detail)
        });
        let holding = trouble.hold_since.map(|_| self.holding(step));
        let draining = self.draining.then(Self::draining_refusal);
        [rolled_back, clone, holding, draining]
            .into_iter()
            .flatten()
            .map(|stop| *stop)
            .collect()
    }

    /// The process is about to end.
    pub(crate) fn draining_refusal() -> Box<Refusal> {
        let refusal = Refusal::new(
            RefusalCode::Draining,
            "the daemon is stopping; its leases go on, ask again when it is back",
        );
        Box::new(refusal.retry_after(DRAIN_RETRY_MS))
    }

    /// Is this lease, which we signed and do not know, ahead of our store? Then the store went back:
    /// that is recorded, and the lease is adopted if it still runs. One that is over was no seat out
    /// any more, and others may have it (L12).
    pub(crate) fn judge_unknown(
        &mut self,
        step: &mut Step,
        lease: &VerifiedLease,
    ) -> Result<(), Box<Refusal>> {
        let ahead = self.is_ahead(lease.epoch, lease.commit);
        let running = lease.not_after > self.time.wall_for_leases(step.now);
        let trouble = &self.state.trouble;
        let of_earlier_life = lease.epoch < self.life.epoch;
        // What a restore is known to have lost comes home without alarm.
        let is_held_for = trouble
            .hold_since
            .is_some_and(|since| ahead || (of_earlier_life && lease.epoch < since));
        // A borrowed one may come home long after the hold of those on line (L10).
        let is_held_for =
            is_held_for || (lease.borrowed && of_earlier_life && lease.epoch < trouble.lost_before);
        let is_late = !running && lease.epoch < trouble.lost_before;
        if ahead && !is_held_for && !is_late {
            self.store_rolled_back(step);
        }
        if running && (ahead || is_held_for) {
            Ok(())
        } else {
            Err(ended())
        }
    }

    /// A lease of an earlier life that is over, shown to a store that knows it and has lost what came after:
    /// its seat may be out to somebody since, so it is no reason to promise it again (L12).
    pub(crate) fn may_be_lent_on(&self, step: &Step, lease: &VerifiedLease) -> bool {
        let is_lost = self.state.trouble.hold_since.is_some() && lease.epoch < self.life.epoch;
        is_lost && lease.not_after <= self.time.wall_for_leases(step.now)
    }

    /// Takes in a lease that is out and that our store does not know; more may be out than there is. Its age
    /// is that of this moment: leases that our store has lost are shown in any order, and one that was
    /// renewed meanwhile as the oldest known must not be overtaken by one that turns up later (L7).
    pub(crate) fn adopt(
        &mut self,
        step: &mut Step,
        caller: &Caller,
        lease: &VerifiedLease,
        nonce: Nonce,
    ) -> Result<(), Box<Refusal>> {
        if self.state.by_nonce.contains_key(&(lease.client, nonce)) {
            // Its checkout was answered anew since; that lease counts (L5).
            return Err(ended());
        }
        let share_since = self
            .share_joined(lease)
            .unwrap_or_else(|| step.next_lease(self.life.epoch, self.head));
        let adopted = Box::new(LeaseRecord {
            waited_ms: DurationMs::ZERO,
            borrowed: lease.borrowed.then_some(Borrowed {
                until: lease.not_after,
                returned: false,
                written_off: false,
            }),
            grouping: lease.grouping,
            share_since,
            overdraft_seats: 0,
            id: lease.id,
            root: lease.root,
            license: lease.license.clone(),
            environment: lease.environment,
            feature: lease.feature.clone(),
            seats: lease.seats,
            version: None,
            length_ms_wished: None,
            client: lease.client,
            nonce,
            holder: lease.holder.clone(),
            address: Some(caller.address),
            since: lease.issued,
            length_ms_longest: lease.length_ms,
            evicted: None,
            forked: false,
        });
        self.record(step, Record::PutLease(adopted.clone()));
        let deadline = length::deadline(step.now, lease.length_ms, lease.environment);
        if !self.place_borrowed(step.now, lease.id) {
            self.state.set_deadline(lease.id, deadline);
        }
        self.event(step, DAEMON, What::Adopted(adopted));
        Ok(())
    }

    /// The age of the share that a lease of ours belongs to, where others of it are known.
    fn share_joined(&self, lease: &VerifiedLease) -> Option<LeaseId> {
        let key = PoolKey {
            root: lease.root,
            license: lease.license.clone(),
            environment: lease.environment,
            feature: lease.feature.clone(),
        };
        let pool = self.state.pool_named(&key)?;
        let share = ShareKey::of(lease.grouping, Some(lease.client), &lease.holder);
        let standing = pool.share(share.as_ref())?.sum().standing?;
        Some(standing.since)
    }

    /// Another daemon runs with our site key. Our own life, relayed, is no proof (L12).
    pub(crate) fn clone_found(&mut self, step: &mut Step, life: LifeId, address: String) {
        if life == self.life.life || self.state.trouble.clone.is_some() {
            return;
        }
        let word = format!("clone-found: another daemon with this site key answered at {address}");
        let trouble = Trouble {
            clone: Some(address),
            ..self.state.trouble.clone()
        };
        self.put_trouble(step, DAEMON, trouble, word);
    }

    /// An administrator named this daemon as the one that stays.
    pub(crate) fn keep_this_clone(&mut self, step: &mut Step, actor: &str) -> Answer {
        if self.state.trouble.clone.is_some() {
            let trouble = Trouble {
                clone: None,
                ..self.state.trouble.clone()
            };
            self.hold_all(
                step,
                actor,
                trouble,
                "this daemon stays; all seats are held",
            );
        }
        Answer::Done
    }

    /// An administrator looked at the store that went back.
    pub(crate) fn accept_rollback(&mut self, step: &mut Step, actor: &str) -> Answer {
        if self.state.trouble.rolled_back {
            let trouble = Trouble {
                rolled_back: false,
                ..self.state.trouble.clone()
            };
            self.hold_all(
                step,
                actor,
                trouble,
                "the store is accepted; all seats are held",
            );
        }
        Answer::Done
    }

    /// A hold of this or an earlier life is counted anew from the start (L12). Who restores or repairs
    /// has looked at a store that went back.
    pub(crate) fn begin_hold(&mut self, step: &mut Step) {
        if self.life.hold_all {
            let trouble = Trouble {
                rolled_back: false,
                ..self.state.trouble.clone()
            };
            self.hold_all(
                step,
                DAEMON,
                trouble,
                "the store was restored or is younger than its site key; all seats are held",
            );
        }
        if self.state.trouble.hold_since.is_some() {
            self.hold_from = Some(step.now.boot);
        }
    }

    /// Ends a hold that has run out.
    pub(crate) fn end_hold(&mut self, step: &mut Step) {
        if self
            .hold_until()
            .is_some_and(|until| until <= step.now.boot)
        {
            let trouble = Trouble {
                hold_since: None,
                ..self.state.trouble.clone()
            };
            let word = "held seats are free again".to_owned();
            self.put_trouble(step, DAEMON, trouble, word);
        }
    }

    /// When a hold runs out: `D + G` of the longest installed license from its beginning, and of the
    /// longest there can be where a newer one may have been lost. Without a license nothing is known
    /// of D, so it does not.
    pub(crate) fn hold_until(&self) -> Option<BootMs> {
        self.state.trouble.hold_since?;
        Some(self.hold_from?.plus(self.hold_length()?))
    }

    /// An administrator added this license, again or for the first time: it is the newest there is,
    /// as far as anybody here can know. Leases that may be out are as long as it allows, or as long as
    /// the one that it replaces did, which may have been the present one when they were lost.
    pub(crate) fn note_newest(&mut self, license: &VerifiedLicense, replaced: Option<DurationMs>) {
        let before = self.newest.get(&license.id).copied().max(replaced);
        let longest = before.max(longest_lease(license)).unwrap_or_default();
        self.newest.insert(license.id.clone(), longest);
    }

    /// Resumes a hold that ran out in this life, when a license comes whose leases may be out longer.
    pub(crate) fn resume_hold(&mut self, step: &mut Step) {
        let Some((from, length)) = self.hold_from.zip(self.hold_length()) else {
            return;
        };
        if self.state.trouble.hold_since.is_none() && step.now.boot < from.plus(length) {
            let trouble = Trouble {
                hold_since: Some(self.next_epoch()),
                ..self.state.trouble.clone()
            };
            let word = "holding: leases of the new license may still be out".to_owned();
            self.put_trouble(step, DAEMON, trouble, word);
        }
    }

    fn hold_length(&self) -> Option<DurationMs> {
        let licenses = self.state.licenses.values().map(AsRef::as_ref);
        hold_length(licenses, |license| self.newest.get(&license.id).copied())
    }

    fn holding(&self, step: &Step) -> Box<Refusal> {
        let Some(until) = self.hold_until() else {
            return no(
                RefusalCode::Holding,
                "all seats are held until a license is installed and its longest lease is over",
            );
        };
        let left = until.since(step.now.boot);
        let mut detail = format!(
            "all seats are held for {left} more, until leases the store may have lost are over"
        );
        let licenses = || self.state.licenses.values().map(AsRef::as_ref);
        let named = |license: &VerifiedLicense| {
            self.newest
                .get(&license.id)
                .copied()
                .or_else(|| longest_lease(license))
        };
        if hold_length(licenses(), named) < self.hold_length() {
            detail.push_str("; less, once the newest licenses are added again (`usherd license add`), for a newer one with longer leases may be lost as well");
        }
        Box::new(Refusal::new(RefusalCode::Holding, detail).retry_after(left))
    }

    /// L12: an honest store of ours has every commit that we signed with: those of earlier lives are
    /// at most the head this life began with.
    pub(crate) fn is_ahead(&self, epoch: Epoch, commit: Commit) -> bool {
        match epoch.cmp(&self.life.epoch) {
            std::cmp::Ordering::Less => commit > self.life.head,
            std::cmp::Ordering::Equal => commit > self.head,
            std::cmp::Ordering::Greater => true,
        }
    }

    fn store_rolled_back(&mut self, step: &mut Step) {
        if self.state.trouble.rolled_back {
            return;
        }
        let trouble = Trouble {
            rolled_back: true,
            ..self.state.trouble.clone()
        };
        let word = "store-rolled-back: a lease from beyond this store was shown".to_owned();
        self.put_trouble(step, DAEMON, trouble, word);
    }

    fn hold_all(&mut self, step: &mut Step, actor: &str, trouble: Trouble, word: &str) {
        let trouble = Trouble {
            hold_since: Some(self.next_epoch()),
            lost_before: self.next_epoch(),
            borrows_lost: Some(self.time.at(step.now.boot)),
            ..trouble
        };
        self.hold_from = Some(step.now.boot);
        self.newest.clear();
        self.put_trouble(step, actor, trouble, word.to_owned());
    }

    fn put_trouble(&mut self, step: &mut Step, actor: &str, trouble: Trouble, word: String) {
        self.record(step, Record::PutTrouble(trouble));
        self.event(step, actor, What::Trouble(word));
    }

    /// Leases of this life and of those before it may have been lost.
    fn next_epoch(&self) -> Epoch {
        Epoch(self.life.epoch.0.saturating_add(1))
    }
}

/// How long all seats are held when leases of these licenses may be out unknown: the longest `D + G`;
/// none without a license (L12). Where nobody named the newest license of an id, with the longest lease that
/// it and those before it allow, that is the longest there can be. A test license is taken at its word (T8).
pub fn hold_length<'a>(
    licenses: impl Iterator<Item = &'a VerifiedLicense>,
    named: impl Fn(&VerifiedLicense) -> Option<DurationMs>,
) -> Option<DurationMs> {
    let longest = |license: &VerifiedLicense| match license.environment {
        Environment::Live => named(license).or(Some(LEASE_MS_MAX)),
        Environment::Test => named(license).max(longest_lease(license)),
    };
    licenses
        .filter_map(|license| Some(length::held(longest(license)?, license.environment)))
        .max()
}

/// The longest lease that a license allows.
pub fn longest_lease(license: &VerifiedLicense) -> Option<DurationMs> {
    let features = license.features.iter();
    features.map(|feature| feature.lease_ms_max).max()
}
