//! How many seats count for each maximum and each reservation of the policy.
//!
//! It counts; what follows from a count is decided in `admission.rs` and `reservation.rs`. A share
//! counts once, for the holder of its oldest lease, and what is written off does not count. So the
//! tally is a function of live leases and policy alone: the same after every restart. It stands empty
//! while the policy has no such rule.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use usher_protocol::ids::LeaseId;

use crate::{
    policy::{Counted, Maximum, Per, Policy, fold},
    pool::{FeatureKey, PoolIndex},
    share::{ShareChange, Standing},
    state::{LeaseEntry, State},
};

/// The seats that count, per feature.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    policy: Arc<Policy>,
    features: BTreeMap<FeatureKey, FeatureTally>,
}

/// Seats of one feature.
#[derive(Debug, Default, PartialEq, Eq)]
struct FeatureTally {
    counts: BTreeMap<Key, Count>,
}

/// What a count is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    User(String),
    Host(String),
    /// All whom the maximum at this place of the policy names.
    Group(usize),
    /// All who belong to the reservation at this place.
    Reservation(usize),
}

/// Seats that count together.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Count {
    /// In all.
    pub(crate) seats: u64,
    /// The oldest lease of each share; none are listed for a reservation.
    pub(crate) leases: BTreeSet<LeaseId>,
}

impl Tally {
    /// Nothing counted yet, for this policy.
    pub(crate) fn new(policy: Arc<Policy>) -> Self {
        Self {
            policy,
            features: BTreeMap::new(),
        }
    }

    /// The seats that count for a maximum; none where nothing does.
    pub(crate) fn of_maximum(&self, key: &FeatureKey, maximum: &Maximum) -> Option<&Count> {
        let of = match &maximum.counted {
            Counted::User(user) => Key::User(user.clone()),
            Counted::Host(host) => Key::Host(host.clone()),
            Counted::Group => Key::Group(maximum.rule),
        };
        self.features.get(key)?.counts.get(&of)
    }

    /// The seats that the holders of a reservation have out.
    pub(crate) fn of_reservation(&self, key: &FeatureKey, index: usize) -> u64 {
        let feature = self.features.get(key);
        let count = feature.and_then(|it| it.counts.get(&Key::Reservation(index)));
        count.map_or(0, |count| count.seats)
    }

    fn is_idle(&self) -> bool {
        self.policy.maximum.is_empty() && self.policy.reserve.is_empty()
    }

    fn enter(&mut self, key: FeatureKey, path: &str, entry: &LeaseEntry, share: Standing) {
        let policy = Arc::clone(&self.policy);
        let keys = keys(&policy, path, entry);
        if keys.is_empty() {
            return;
        }
        let feature = self.features.entry(key).or_default();
        for of in keys {
            let listed = !matches!(of, Key::Reservation(_));
            let count = feature.counts.entry(of).or_default();
            count.seats += u64::from(share.seats);
            if listed {
                count.leases.insert(share.oldest);
            }
        }
    }

    fn leave(&mut self, key: &FeatureKey, path: &str, entry: &LeaseEntry, share: Standing) {
        let policy = Arc::clone(&self.policy);
        let Some(feature) = self.features.get_mut(key) else {
            return;
        };
        for of in keys(&policy, path, entry) {
            if let Some(count) = feature.counts.get_mut(&of) {
                count.seats -= u64::from(share.seats);
                count.leases.remove(&share.oldest);
                if count.seats == 0 {
                    feature.counts.remove(&of);
                }
            }
        }
        if feature.counts.is_empty() {
            self.features.remove(key);
        }
    }
}

/// Everything that the seats of one holder count for.
fn keys(policy: &Policy, path: &str, entry: &LeaseEntry) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut once = |key: Key| {
        if !keys.contains(&key) {
            keys.push(key);
        }
    };
    let subject = entry.subject();
    for (index, rule) in policy.maximum.iter().enumerate() {
        if !rule.feature.matches(path) {
            continue;
        }
        match rule.says.per {
            // Whom a rule names is asked of who wants more; what that one has, counts all the same.
            Per::User => once(Key::User(fold(subject.user).into_owned())),
            Per::Host => once(Key::Host(fold(subject.host).into_owned())),
            Per::Group if policy.maximum_names(index, &subject) => once(Key::Group(index)),
            Per::Group => {}
        }
    }
    keys.extend(policy.reservation_of(path, &subject).map(Key::Reservation));
    keys
}

impl State {
    /// Counts anew: for a new policy, or when vendors are called otherwise.
    pub(crate) fn recount(&mut self, policy: Arc<Policy>) {
        self.tally = self.counted_anew(policy);
    }

    /// The tally of all live leases, from nothing.
    pub(crate) fn counted_anew(&self, policy: Arc<Policy>) -> Tally {
        let mut tally = Tally::new(policy);
        if tally.is_idle() {
            return tally;
        }
        for (id, entry) in &self.leases {
            if let Some(share) = self.standing(*id).filter(|share| share.oldest == *id) {
                let key = self.pool(entry.pool).key.feature_key();
                let path = self.feature_path(&key);
                tally.enter(key, &path, entry, share);
            }
        }
        tally
    }

    /// The policy that seats are counted for.
    pub(crate) fn counted_for(&self) -> Arc<Policy> {
        Arc::clone(&self.tally.policy)
    }

    /// A share opened, changed or closed; the leases named are still known.
    pub(crate) fn count_share(&mut self, index: PoolIndex, change: ShareChange) {
        if self.tally.is_idle() || change.before == change.after {
            return;
        }
        let key = self.pool(index).key.feature_key();
        let path = self.feature_path(&key);
        let leases = &self.leases;
        let known = |share: Standing| leases.get(&share.oldest).map(|entry| (entry, share));
        if let Some((entry, share)) = change.before.and_then(known) {
            self.tally.leave(&key, &path, entry, share);
        }
        if let Some((entry, share)) = change.after.and_then(known) {
            self.tally.enter(key, &path, entry, share);
        }
    }
}
