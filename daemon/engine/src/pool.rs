//! Pools: the seats of one feature of one license, and how many of them are out.
//!
//! It counts. Who gets a seat is decided in `checkout.rs`.

use std::sync::Arc;

use usher_protocol::{
    documents::license::{Feature, VerifiedLicense},
    ids::{Fingerprint, LeaseId},
    names::{FeatureName, LicenseId},
    wire::{Checkout, Environment},
};

use crate::{overcommit::Excess, record::Borrowed};

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
            root: self.license.root().fingerprint(),
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
    /// Seats out.
    pub(crate) out: u64,
    /// Of those, the borrowed ones (L10).
    pub(crate) borrowed: u64,
    /// Seats of borrowed leases that were written off: they count against the signed allowance, and
    /// no more as out (L10).
    pub(crate) written_off: u64,
    /// Leases held since the restart and not yet heard of (L4).
    pub(crate) held: u32,
    /// Stands while more is out than there is (L7).
    pub(crate) excess: Option<Excess>,
}

impl Pool {
    /// A pool with nothing out.
    pub(crate) fn new(key: PoolKey) -> Self {
        Self {
            key,
            terms: None,
            out: 0,
            borrowed: 0,
            written_off: 0,
            held: 0,
            excess: None,
        }
    }

    /// Seats in all; none is unlimited. A pool without terms has none left to give.
    pub(crate) fn seats(&self) -> Option<u32> {
        match &self.terms {
            Some(terms) => terms.feature().seats,
            None => Some(0),
        }
    }

    /// Seats that may still be granted.
    pub(crate) fn free(&self) -> u64 {
        match self.seats() {
            Some(seats) => u64::from(seats).saturating_sub(self.out),
            None => u64::MAX,
        }
    }

    /// How many more are out than there are; a removed license's leases merely run out.
    pub(crate) fn seats_over(&self) -> u64 {
        match self.terms.as_ref().map(|terms| terms.feature().seats) {
            Some(Some(seats)) => self.out.saturating_sub(u64::from(seats)),
            _ => 0,
        }
    }

    /// A lease goes out.
    fn take(&mut self, lease: LeaseId, seats: u32) {
        self.out += u64::from(seats);
        if let Some(excess) = &mut self.excess {
            excess.add(lease, seats);
        }
    }

    /// A lease comes back.
    fn give_back(&mut self, lease: LeaseId, seats: u32) {
        self.out = self.out.saturating_sub(u64::from(seats));
        if let Some(excess) = &mut self.excess {
            excess.remove(lease);
        }
    }

    /// A lease begins to count: against the pool, or, written off, against the allowance (L10).
    pub(crate) fn enter(&mut self, lease: LeaseId, seats: u32, borrowed: Option<Borrowed>) {
        match borrowed {
            Some(it) if it.written_off => self.written_off += u64::from(seats),
            other => {
                self.borrowed += other.map_or(0, |_| u64::from(seats));
                self.take(lease, seats);
            }
        }
    }

    /// A lease counts so no more.
    pub(crate) fn leave(&mut self, lease: LeaseId, seats: u32, borrowed: Option<Borrowed>) {
        match borrowed {
            Some(it) if it.written_off => self.written_off -= u64::from(seats),
            other => {
                self.borrowed -= other.map_or(0, |_| u64::from(seats));
                self.give_back(lease, seats);
            }
        }
    }

    /// Seats out as the wire has them.
    pub(crate) fn out_u32(&self) -> u32 {
        u32::try_from(self.out).unwrap_or(u32::MAX)
    }
}
