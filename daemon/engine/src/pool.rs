//! Pools: the seats of one feature of one license, and how many of them are out.
//!
//! It counts. Who gets a seat is decided in `decide.rs`.

use std::{collections::BTreeMap, sync::Arc};

use usher_protocol::{
    documents::license::{Feature, VerifiedLicense},
    ids::Fingerprint,
    names::{FeatureName, LicenseId},
    wire::{Checkout, Environment},
};

use crate::{
    flow::Flow,
    issue::Issue,
    overcommit::Excess,
    share::{Part, Share, ShareChange, ShareKey, Standing, Sum},
};

/// Where a pool stands in [`crate::state::State`]; stable within one life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PoolIndex(pub(crate) usize);

/// What makes two leases draw on the same seats. Live and test share no pool (T8).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PoolKey {
    pub(crate) root: Fingerprint,
    pub(crate) license: LicenseId,
    pub(crate) environment: Environment,
    pub(crate) feature: FeatureName,
}

impl PoolKey {
    /// What the pool's seats are asked for by.
    pub(crate) fn feature_key(&self) -> FeatureKey {
        FeatureKey {
            root: self.root,
            environment: self.environment,
            feature: self.feature.clone(),
        }
    }
}

/// One feature as it is asked for, whatever licenses its seats come from. Queue, reservations and
/// maxima belong to it; seats to its pools.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FeatureKey {
    pub(crate) root: Fingerprint,
    pub(crate) environment: Environment,
    pub(crate) feature: FeatureName,
}

impl FeatureKey {
    /// What a checkout asks for.
    pub(crate) fn of(root: Fingerprint, checkout: &Checkout) -> Self {
        Self {
            root,
            environment: checkout.environment,
            feature: checkout.feature.clone(),
        }
    }
}

/// What the installed license says of one pool.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(crate) license: Arc<VerifiedLicense>,
    feature: usize,
}

impl Terms {
    /// One for each feature of a license.
    pub(crate) fn of(license: &Arc<VerifiedLicense>) -> impl Iterator<Item = Self> + '_ {
        (0..license.features.len()).map(|feature| Self {
            license: Arc::clone(license),
            feature,
        })
    }

    /// The feature's line in the license.
    pub(crate) fn feature(&self) -> &Feature {
        &self.license.features[self.feature]
    }

    /// The pool these terms are for.
    pub(crate) fn key(&self) -> PoolKey {
        PoolKey {
            root: self.license.vendor_root(),
            license: self.license.id.clone(),
            environment: self.license.environment,
            feature: self.feature().feature.clone(),
        }
    }
}

/// One pool. Without terms its license is gone, and its leases run out (L7).
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) key: PoolKey,
    pub(crate) terms: Option<Terms>,
    /// Volatile: that license among the issues of this life (L12).
    pub(crate) issue: Option<Issue>,
    /// Seats out, those of a share once.
    pub(crate) out: u64,
    /// Of those, the borrowed ones (L10).
    pub(crate) borrowed: u64,
    /// Seats of borrowed leases that were written off: they count against the signed allowance, and
    /// no more as out (L10).
    pub(crate) written_off: u64,
    /// Volatile: seats offered to waiters, counted by `offer.rs` (L9).
    pub(crate) offered: u64,
    /// Volatile: seats that stay with their last holders for a while, counted by `linger.rs`.
    pub(crate) lingering: u64,
    /// Leases held since the restart and not yet heard of (L4).
    pub(crate) held: u32,
    /// How often seats come free; volatile.
    pub(crate) flow: Flow,
    /// Stands while more is out than there is (L7).
    pub(crate) excess: Option<Excess>,
    /// What its leases share; one that shares with nobody is not in here.
    pub(crate) shares: BTreeMap<ShareKey, Share>,
}

impl Pool {
    /// A pool with nothing out.
    pub(crate) fn new(key: PoolKey) -> Self {
        Self {
            key,
            terms: None,
            issue: None,
            out: 0,
            borrowed: 0,
            written_off: 0,
            offered: 0,
            lingering: 0,
            held: 0,
            flow: Flow::default(),
            excess: None,
            shares: BTreeMap::new(),
        }
    }

    /// Seats in all; none is unlimited. A pool without terms has none left to give.
    pub(crate) fn seats(&self) -> Option<u32> {
        match &self.terms {
            Some(terms) => terms.feature().seats,
            None => Some(0),
        }
    }

    /// Seats that may be out, with those signed beyond the pool; none is unlimited.
    pub(crate) fn seats_and_overdraft(&self) -> Option<u64> {
        let overdraft = self.terms.as_ref().map(|terms| terms.feature().overdraft);
        let seats = u64::from(self.seats()?);
        Some(seats + u64::from(overdraft.unwrap_or_default()))
    }

    /// Seats out beyond the pool, whether signed as overdraft or not.
    pub(crate) fn overdraft_used(&self) -> u64 {
        self.seats()
            .map_or(0, |seats| self.out.saturating_sub(u64::from(seats)))
    }

    /// How many of a new lease's seats are beyond the pool.
    pub(crate) fn overdraft_of(&self, share: Option<&ShareKey>, seats: u32) -> u32 {
        let of_share = self.share(share).map_or(0, |share| share.sum().seats());
        let seats_new = u64::from(seats.saturating_sub(of_share));
        let Some(total) = self.seats() else { return 0 };
        let beyond = (self.out + seats_new).saturating_sub(u64::from(total));
        u32::try_from(beyond.min(seats_new)).unwrap_or(seats)
    }

    /// Seats that may still be granted to anybody.
    pub(crate) fn free(&self) -> u64 {
        match self.seats_and_overdraft() {
            Some(seats) => seats.saturating_sub(self.out + self.offered + self.lingering),
            None => u64::MAX,
        }
    }

    /// How many more are out than may be; a removed license's leases merely run out (L7).
    pub(crate) fn seats_over(&self) -> u64 {
        match (&self.terms, self.seats_and_overdraft()) {
            (Some(_), Some(seats)) => self.out.saturating_sub(seats),
            _ => 0,
        }
    }

    /// What one share of it costs.
    pub(crate) fn share(&self, key: Option<&ShareKey>) -> Option<&Share> {
        self.shares.get(key?)
    }

    /// A lease begins to count: against the pool, or, written off, against the allowance (L10).
    pub(crate) fn enter(&mut self, key: Option<ShareKey>, part: Part) -> ShareChange {
        let Some(key) = key else {
            return self.count(Sum::default(), Sum::of(part));
        };
        let share = self.shares.entry(key).or_default();
        let before = share.sum();
        share.enter(part);
        let after = share.sum();
        self.count(before, after)
    }

    /// A lease counts so no more.
    pub(crate) fn leave(&mut self, key: Option<ShareKey>, part: Part) -> ShareChange {
        let Some(key) = key else {
            return self.count(Sum::of(part), Sum::default());
        };
        let share = self.shares.entry(key.clone()).or_default();
        let before = share.sum();
        share.leave(part);
        let after = share.sum();
        if share.is_over() {
            self.shares.remove(&key);
        }
        self.count(before, after)
    }

    /// Whether the renewals of a share are refused because more is out than may be (L7). Where more is
    /// borrowed than that, all are: what is on line in a share that is borrowed costs no seat of its own,
    /// and would be believed in beside the others' (L10).
    pub(crate) fn refuses(&self, share: Standing) -> bool {
        let seats = self.seats_and_overdraft();
        let all_is_borrowed = || seats.is_some_and(|seats| self.borrowed > seats);
        let excess = self.excess.as_ref();
        excess.is_some_and(|excess| excess.refuses(share.since) || all_is_borrowed())
    }

    /// Seats out as the wire has them.
    pub(crate) fn out_u32(&self) -> u32 {
        u32::try_from(self.out).unwrap_or(u32::MAX)
    }

    fn count(&mut self, before: Sum, after: Sum) -> ShareChange {
        let moved = |count: u64, from: u32, to: u32| count - u64::from(from) + u64::from(to);
        self.out = moved(self.out, before.seats(), after.seats());
        self.borrowed = moved(self.borrowed, before.borrowed, after.borrowed);
        self.written_off = moved(self.written_off, before.written_off, after.written_off);
        let change = ShareChange {
            before: before.standing,
            after: after.standing,
        };
        let (before, after) = (before.recallable(), after.recallable());
        if let Some(excess) = self.excess.as_mut().filter(|_| before != after) {
            if let Some(share) = before {
                excess.remove(share.since);
            }
            if let Some(share) = after {
                excess.add(share.since, share.seats);
            }
        }
        change
    }
}
