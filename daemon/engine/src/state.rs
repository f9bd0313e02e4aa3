//! The durable state and the one way it changes: [`State::apply`] (A1).
//!
//! Live running and reload take the same path, so what is replayed equals what was lived. Deadlines
//! and chains are volatile: they hang on the leases here but are set by those who decide them.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use usher_protocol::{
    codec,
    documents::{
        license::{Grouping, VerifiedLicense},
        revocation::{RevocationList, VerifiedRevocationList},
    },
    envelope::Signed,
    ids::{Fingerprint, LeaseId, Nonce, PublicKey},
    names::{LicenseId, VendorName, Version},
    time::{BootMs, DurationMs, WallMs},
    wire::Holder,
};

use crate::{
    chain::Chain,
    deadline::DeadlineIndex,
    invariants,
    issue::{Issue, Issues},
    overcommit::Excess,
    pool::{FeatureKey, Pool, PoolIndex, PoolKey, Terms},
    record::{
        Borrowed, EnrolledClient, LeaseRecord, Mark, Record, Suspension, SuspensionKey, Trouble,
    },
    share::{Part, Share, ShareChange, ShareKey, Standing, Sum},
    tally::Tally,
};

/// A lease that is out.
#[derive(Debug)]
pub(crate) struct LeaseEntry {
    pub(crate) pool: PoolIndex,
    pub(crate) seats: u32,
    pub(crate) version: Option<Version>,
    pub(crate) length_ms_wished: Option<DurationMs>,
    pub(crate) client: PublicKey,
    pub(crate) nonce: Nonce,
    pub(crate) holder: Holder,
    pub(crate) address: Option<IpAddr>,
    pub(crate) since: WallMs,
    pub(crate) length_ms_longest: DurationMs,
    pub(crate) evicted: Option<Box<str>>,
    pub(crate) forked: bool,
    pub(crate) grouping: Grouping,
    pub(crate) share_since: LeaseId,
    pub(crate) overdraft_seats: u32,
    pub(crate) waited_ms: DurationMs,
    pub(crate) borrowed: Option<Borrowed>,
    /// Volatile: when it comes free (L2). Not before it is set.
    pub(crate) deadline: Option<BootMs>,
    /// Volatile: the last step of its chain in this life (T6).
    pub(crate) chain: Option<Chain>,
    /// Volatile: heard of in this life (L4).
    pub(crate) heard: bool,
    /// Volatile: its last renewal said that it was idle for as long as the policy allows.
    pub(crate) idle: bool,
    /// Volatile: the issue of its license that its holder believes by, where this life knows it (L12).
    pub(crate) believed_by: Option<Issue>,
}

impl LeaseEntry {
    /// What it shares its seats by.
    pub(crate) fn share_key(&self) -> Option<ShareKey> {
        ShareKey::of(self.grouping, Some(self.client), &self.holder)
    }

    fn part(&self, lease: LeaseId) -> Part {
        Part {
            lease,
            since: self.share_since,
            seats: self.seats,
            borrowed: self.borrowed,
            evicted: self.evicted.is_some(),
        }
    }
}

/// Everything that the store knows, indexed for the questions asked of it.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) leases: BTreeMap<LeaseId, Box<LeaseEntry>>,
    pub(crate) by_nonce: BTreeMap<(PublicKey, Nonce), LeaseId>,
    pub(crate) leases_by_client: BTreeMap<PublicKey, usize>,
    pub(crate) deadlines: DeadlineIndex,
    /// The borrowed ones among the leases (L10).
    pub(crate) borrowed: BTreeSet<LeaseId>,
    pub(crate) licenses: BTreeMap<LicenseId, Arc<VerifiedLicense>>,
    pub(crate) serials: BTreeMap<(Fingerprint, LicenseId), u64>,
    pub(crate) roots: BTreeMap<VendorName, PublicKey>,
    /// Derived from licenses and roots: the names people know.
    pub(crate) vendor_names: BTreeMap<Fingerprint, String>,
    pub(crate) revocations: BTreeMap<Fingerprint, VerifiedRevocationList>,
    pub(crate) mark: Option<Mark>,
    pub(crate) trouble: Trouble,
    pub(crate) clients: BTreeMap<PublicKey, EnrolledClient>,
    pub(crate) suspensions: BTreeMap<SuspensionKey, Suspension>,
    /// Derived from leases and policy: what counts for its rules.
    pub(crate) tally: Tally,
    /// Volatile: the licenses of this life, each issue of them (L12).
    pub(crate) issues: Issues,
    pools: Vec<Pool>,
    pool_by_key: BTreeMap<PoolKey, PoolIndex>,
    serving: BTreeMap<FeatureKey, Vec<PoolIndex>>,
}

impl State {
    /// As `apply`, of a record that nobody else needs: a million leases keep their words and copy none.
    pub(crate) fn take_in(&mut self, record: Record) {
        let Record::PutLease(lease) = record else {
            return self.apply(&record);
        };
        self.put_lease(Cow::Owned(*lease));
    }

    /// One change. Putting what is there already replaces it; dropping what is not there does nothing.
    pub(crate) fn apply(&mut self, record: &Record) {
        match record {
            Record::PutLease(lease) => return self.put_lease(Cow::Borrowed(lease)),
            Record::DropLease(id) => self.drop_lease(*id),
            Record::PutLicense(license) => self.put_license(license),
            Record::DropLicense(id) => self.drop_license(id),
            Record::PutSerial(seen) => {
                let key = (seen.root, seen.license.clone());
                let highest = self.serials.entry(key).or_default();
                *highest = seen.serial.max(*highest);
            }
            Record::PutRoot(pinned) => {
                self.roots.insert(pinned.vendor.clone(), pinned.root);
                self.name_vendors();
            }
            Record::PutRevocations(root, list) => {
                self.revocations
                    .extend(read(list).map(|list| (*root, list)));
            }
            Record::PutMark(mark) => self.mark = Some(*mark),
            Record::PutTrouble(trouble) => self.trouble = trouble.clone(),
            Record::PutClient(it) => drop(self.clients.insert(it.client, it.clone())),
            Record::DropClient(client) => drop(self.clients.remove(client)),
            Record::PutSuspension(it) => {
                self.suspensions.insert(it.key.clone(), it.clone());
            }
            Record::DropSuspension(key) => drop(self.suspensions.remove(key)),
        }
        invariants::after_apply(self);
    }

    /// Moves a lease's deadline; whether it may is the caller's rule (L2).
    pub(crate) fn set_deadline(&mut self, id: LeaseId, deadline: BootMs) {
        if let Some(entry) = self.leases.get_mut(&id) {
            let old = entry.deadline.replace(deadline);
            self.deadlines.place(entry.pool, id, old, Some(deadline));
        }
    }

    /// Gives every lease a deadline, whatever it had: one index for all, instead of a million moves in it.
    pub(crate) fn set_deadlines(&mut self, deadline: impl Fn(&LeaseEntry, &Pool) -> BootMs) {
        let mut placed = vec![Vec::new(); self.pools.len()];
        for (id, entry) in &mut self.leases {
            let at = deadline(entry, &self.pools[entry.pool.0]);
            entry.deadline = Some(at);
            placed[entry.pool.0].push((at, *id));
        }
        self.deadlines = DeadlineIndex::of(placed);
    }

    /// A lease was heard of in this life, at this step of its chain, and is promised by the license as it
    /// stands (L4, T6, L7).
    pub(crate) fn hear(&mut self, id: LeaseId, chain: Chain) {
        if let Some(entry) = self.leases.get_mut(&id) {
            let pool = &mut self.pools[entry.pool.0];
            entry.chain = Some(chain);
            entry.believed_by = pool.issue;
            if !std::mem::replace(&mut entry.heard, true) {
                pool.held -= 1;
            }
        }
    }

    /// Seats are kept for a waiter (L9).
    pub(crate) fn keep(&mut self, index: PoolIndex, seats: u32) {
        self.pools[index.0].offered += u64::from(seats);
    }

    /// They are kept no longer.
    pub(crate) fn unkeep(&mut self, index: PoolIndex, seats: u32) {
        let pool = &mut self.pools[index.0];
        debug_assert!(pool.offered >= u64::from(seats), "kept before (L9)");
        pool.offered = pool.offered.saturating_sub(u64::from(seats));
    }

    /// So many seats came free.
    pub(crate) fn note_flow(&mut self, index: PoolIndex, now: BootMs, seats: u64) {
        self.pools[index.0].flow.came_free(now, seats);
    }

    /// What the last renewal of a lease said of its use.
    pub(crate) fn report_idle(&mut self, id: LeaseId, idle: bool) {
        if let Some(entry) = self.leases.get_mut(&id) {
            entry.idle = idle;
        }
    }

    /// A pool by its place.
    pub(crate) fn pool(&self, index: PoolIndex) -> &Pool {
        &self.pools[index.0]
    }

    /// A pool whose volatile counts change; the durable ones change by records alone.
    pub(crate) fn pool_mut(&mut self, index: PoolIndex) -> &mut Pool {
        &mut self.pools[index.0]
    }

    /// The share of a lease: itself alone, unless it was granted in a group. None has nothing out.
    pub(crate) fn standing(&self, id: LeaseId) -> Option<Standing> {
        let entry = self.leases.get(&id)?;
        let share = self.pool(entry.pool).share(entry.share_key().as_ref());
        share
            .map_or_else(|| Sum::of(entry.part(id)), Share::sum)
            .standing
    }

    /// How many seats a lease that is granted now takes beyond those of the share it joins.
    pub(crate) fn seats_new_of(&self, pool: PoolIndex, lease: &LeaseRecord) -> u32 {
        let key = ShareKey::of(lease.grouping, Some(lease.client), &lease.holder);
        let share = self.pool(pool).share(key.as_ref());
        let of_share = share.map_or(0, |share| share.sum().seats());
        lease.seats.saturating_sub(of_share)
    }

    /// The leases that share the seats of one, itself included.
    pub(crate) fn sharing(&self, id: LeaseId) -> Vec<LeaseId> {
        let share = self.leases.get(&id).and_then(|entry| {
            let pool = self.pool(entry.pool);
            pool.share(entry.share_key().as_ref())
        });
        share.map_or_else(|| vec![id], |share| share.leases().collect())
    }

    /// Every pool of this life.
    pub(crate) fn pools(&self) -> impl Iterator<Item = (PoolIndex, &Pool)> {
        let indexed = self.pools.iter().enumerate();
        indexed.map(|(index, pool)| (PoolIndex(index), pool))
    }

    /// The pools that installed licenses open for a feature, those that expire first in front.
    pub(crate) fn serving(&self, key: &FeatureKey) -> &[PoolIndex] {
        self.serving.get(key).map_or(&[], Vec::as_slice)
    }

    /// Every feature served, as `vendor/feature`.
    pub(crate) fn paths_served(&self) -> Vec<String> {
        let keys = self.serving.keys();
        keys.map(|key| self.feature_path(key)).collect()
    }

    /// The features called so, one for each environment (T8).
    pub(crate) fn keys_of(&self, path: &str) -> impl Iterator<Item = &FeatureKey> {
        let keys = self.serving.keys();
        keys.filter(move |key| self.feature_path(key) == path)
    }

    /// The pool of this name, where there ever was one in this life.
    pub(crate) fn pool_named(&self, key: &PoolKey) -> Option<&Pool> {
        let index = self.pool_by_key.get(key)?;
        Some(self.pool(*index))
    }

    /// A lease as its record has it.
    pub(crate) fn record(&self, id: LeaseId) -> Option<LeaseRecord> {
        let entry = self.leases.get(&id)?;
        let key = &self.pool(entry.pool).key;
        Some(LeaseRecord {
            waited_ms: entry.waited_ms,
            borrowed: entry.borrowed,
            grouping: entry.grouping,
            share_since: entry.share_since,
            overdraft_seats: entry.overdraft_seats,
            id,
            root: key.root,
            license: key.license.clone(),
            environment: key.environment,
            feature: key.feature.clone(),
            seats: entry.seats,
            version: entry.version,
            length_ms_wished: entry.length_ms_wished,
            client: entry.client,
            nonce: entry.nonce,
            holder: entry.holder.clone(),
            address: entry.address,
            since: entry.since,
            length_ms_longest: entry.length_ms_longest,
            evicted: entry.evicted.as_deref().map(str::to_owned),
            forked: entry.forked,
        })
    }

    fn put_lease(&mut self, record: Cow<'_, LeaseRecord>) {
        let (id, nonce) = (record.id, (record.client, record.nonce));
        if !self.change_lease(&record) {
            self.add_lease(record.into_owned());
        }
        invariants::after_lease(self, id, &nonce);
    }

    /// False: there is no such lease.
    fn change_lease(&mut self, record: &LeaseRecord) -> bool {
        let Some(entry) = self.leases.get_mut(&record.id) else {
            return false;
        };
        let before = entry.part(record.id);
        // What a lease was granted for never changes; only these do.
        entry.length_ms_longest = record.length_ms_longest;
        entry.evicted = record.evicted.as_deref().map(Box::from);
        entry.forked = record.forked;
        entry.borrowed = record.borrowed;
        let (pool, key, after) = (entry.pool, entry.share_key(), entry.part(record.id));
        if before != after {
            let left = self.pools[pool.0].leave(key.clone(), before);
            let entered = self.pools[pool.0].enter(key, after);
            let change = ShareChange {
                before: left.before,
                after: entered.after,
            };
            // L7: leaving, it may have taken itself off the list of those refused, though its share
            // stands as it stood.
            self.settle(pool);
            self.count_share(pool, change);
        }
        true
    }

    fn add_lease(&mut self, record: LeaseRecord) {
        let (id, client) = (record.id, record.client);
        if record.borrowed.is_some() {
            self.borrowed.insert(id);
        }
        self.by_nonce.insert((client, record.nonce), id);
        *self.leases_by_client.entry(client).or_default() += 1;
        let entry = self.entry_of(record);
        let (pool, key, part) = (entry.pool, entry.share_key(), entry.part(id));
        self.leases.insert(id, Box::new(entry));
        self.pools[pool.0].held += 1;
        let change = self.pools[pool.0].enter(key, part);
        self.moved(pool, change);
    }

    fn entry_of(&mut self, record: LeaseRecord) -> LeaseEntry {
        let pool = self.open_pool(PoolKey {
            root: record.root,
            license: record.license,
            environment: record.environment,
            feature: record.feature,
        });
        LeaseEntry {
            pool,
            seats: record.seats,
            version: record.version,
            length_ms_wished: record.length_ms_wished,
            client: record.client,
            nonce: record.nonce,
            holder: record.holder,
            address: record.address,
            since: record.since,
            length_ms_longest: record.length_ms_longest,
            evicted: record.evicted.map(String::into_boxed_str),
            forked: record.forked,
            grouping: record.grouping,
            share_since: record.share_since,
            overdraft_seats: record.overdraft_seats,
            waited_ms: record.waited_ms,
            borrowed: record.borrowed,
            deadline: None,
            chain: None,
            heard: false,
            idle: false,
            believed_by: None,
        }
    }

    fn drop_lease(&mut self, id: LeaseId) {
        let Some(entry) = self.leases.get(&id) else {
            return;
        };
        let (index, client) = (entry.pool, entry.client);
        self.deadlines.place(index, id, entry.deadline, None);
        self.by_nonce.remove(&(client, entry.nonce));
        self.borrowed.remove(&id);
        let pool = &mut self.pools[index.0];
        pool.held -= u32::from(!entry.heard);
        let change = pool.leave(entry.share_key(), entry.part(id));
        // Its holder may be who counted for the rules: it is asked about before it is forgotten.
        self.moved(index, change);
        self.leases.remove(&id);
        if let Some(count) = self.leases_by_client.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                self.leases_by_client.remove(&client);
            }
        }
    }

    /// Tells everybody who counts by shares. The leases that a change names are all still known.
    fn moved(&mut self, index: PoolIndex, change: ShareChange) {
        // L7: what it could bring back may be another, though the share stands as it stood.
        self.settle(index);
        self.count_share(index, change);
    }

    fn put_license(&mut self, license: &Arc<VerifiedLicense>) {
        self.drop_license(&license.id);
        let issue = self.issues.note(license);
        for terms in Terms::of(license) {
            let pool = self.open_pool(terms.key());
            self.pools[pool.0].terms = Some(terms);
            self.pools[pool.0].issue = issue;
            self.settle(pool);
        }
        self.licenses
            .insert(license.id.clone(), Arc::clone(license));
        self.index_serving();
        self.name_vendors();
    }

    fn drop_license(&mut self, id: &LicenseId) {
        let Some(license) = self.licenses.remove(id) else {
            return;
        };
        for terms in Terms::of(&license) {
            let pool = self.open_pool(terms.key());
            self.pools[pool.0].terms = None;
            self.pools[pool.0].issue = None;
            self.settle(pool);
        }
        self.index_serving();
        self.name_vendors();
    }

    fn open_pool(&mut self, key: PoolKey) -> PoolIndex {
        if let Some(index) = self.pool_by_key.get(&key) {
            return *index;
        }
        let index = PoolIndex(self.pools.len());
        self.pool_by_key.insert(key.clone(), index);
        self.pools.push(Pool::new(key));
        index
    }

    fn index_serving(&mut self) {
        self.serving.clear();
        for license in self.licenses.values() {
            for terms in Terms::of(license) {
                let key = terms.key();
                let place = key.feature_key();
                let pool = self.pool_by_key.get(&key).copied();
                self.serving.entry(place).or_default().extend(pool);
            }
        }
        let pools = &self.pools;
        let expiry = |index: &PoolIndex| {
            let terms = pools[index.0].terms.as_ref();
            terms
                .and_then(|terms| terms.feature().expires)
                .unwrap_or(WallMs(u64::MAX))
        };
        for places in self.serving.values_mut() {
            places.sort_by_key(expiry);
        }
    }

    /// Opens, moves or closes the list of those whose renewals an overcommitted pool refuses (L7).
    fn settle(&mut self, index: PoolIndex) {
        let pool = &mut self.pools[index.0];
        let seats_over = pool.seats_over();
        if seats_over == 0 {
            pool.excess = None;
            return;
        }
        let (leases, shares) = (&self.leases, &pool.shares);
        let excess = pool.excess.get_or_insert_with(|| {
            let alone = leases
                .iter()
                .filter(|(_, entry)| entry.pool == index && entry.grouping == Grouping::Process);
            let alone = alone.map(|(id, entry)| Sum::of(entry.part(*id)));
            let standings = alone.chain(shares.values().map(Share::sum));
            let mut excess = Excess::default();
            standings
                .filter_map(|sum| sum.recallable())
                .for_each(|it| excess.add(it.since, it.seats));
            excess
        });
        excess.settle(seats_over);
    }
}

/// Its root is pinned inside it; it was verified when it came in, and is once more (T2).
fn read(list: &Signed) -> Option<VerifiedRevocationList> {
    let root = codec::decode::<RevocationList>(&list.body).ok()?.root;
    VerifiedRevocationList::verify(list, &root).ok()
}

#[cfg(test)]
impl State {
    /// Everything durable, as a store would have it after a clean replay.
    pub(crate) fn durable(&self) -> BTreeMap<String, Record> {
        let mut store = BTreeMap::new();
        let leases = self.leases.keys().filter_map(|id| self.record(*id));
        let serials =
            self.serials
                .iter()
                .map(|((root, license), serial)| crate::record::LicenseSerial {
                    root: *root,
                    license: license.clone(),
                    serial: *serial,
                });
        let roots = self
            .roots
            .iter()
            .map(|(vendor, root)| crate::record::PinnedRoot {
                vendor: vendor.clone(),
                root: *root,
            });
        let trouble = (self.trouble != Trouble::default()).then(|| self.trouble.clone());
        leases
            .map(|lease| Record::PutLease(Box::new(lease)))
            .chain(self.licenses.values().cloned().map(Record::PutLicense))
            .chain(serials.map(Record::PutSerial))
            .chain(roots.map(Record::PutRoot))
            .chain(self.mark.map(Record::PutMark))
            .chain(trouble.map(Record::PutTrouble))
            .chain(self.clients.values().cloned().map(Record::PutClient))
            .chain(
                self.suspensions
                    .values()
                    .cloned()
                    .map(Record::PutSuspension),
            )
            .for_each(|record| crate::tests::store_record(&mut store, record));
        store
    }
}
