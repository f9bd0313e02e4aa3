//! Counts what the core did, for graphs: after each commit, never before (A2).
//!
//! It decides what is counted. It must not decide anything else: nothing reads it back but the metrics.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use usher_engine::{
    api::{Answer, Output},
    record::What,
};
use usher_protocol::{
    ids::Fingerprint, names::FeatureName, refusal::RefusalCode, time::WallMs, wire::Holder,
};

use super::feed::Feed;

/// What the core did in this life. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    grants: AtomicU64,
    renewals: AtomicU64,
    releases: AtomicU64,
    reclaims: AtomicU64,
    commits: [AtomicU64; COMMIT_BUCKETS_US.len() + 1],
    commits_us: AtomicU64,
    denials: Mutex<Denials>,
    feed: Feed,
}

#[derive(Debug, Default)]
struct Denials {
    by_code: BTreeMap<u16, u64>,
    last: VecDeque<Denial>,
    /// How many there were, those that are not kept any more included.
    number: u64,
}

/// Denials of one kind to one client, as they became history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// When, by the daemon's wall clock.
    pub at: WallMs,
    /// Of which vendor.
    pub root: Fingerprint,
    /// Which feature.
    pub feature: FeatureName,
    /// Who asked, in the client's own words.
    pub holder: Holder,
    /// Why not.
    pub code: RefusalCode,
    /// How often, repeats of one request included.
    pub count: u32,
}

/// What one batch counts for, once it is durable.
#[derive(Debug, Default)]
pub(super) struct Counted {
    grants: u64,
    promises: u64,
    releases: u64,
    reclaims: u64,
    denials: Vec<Denial>,
}

/// All counts at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Leases granted.
    pub grants: u64,
    /// Leases extended, repeats of a checkout included.
    pub renewals: u64,
    /// Leases given back.
    pub releases: u64,
    /// Leases taken back at their deadline.
    pub reclaims: u64,
    /// Requests denied, by the number of the refusal.
    pub denials: BTreeMap<u16, u64>,
    /// Durable commits that took at most so many microseconds, and those that took longer: each in one place.
    pub commits: Vec<(Option<u64>, u64)>,
    /// How long all commits took together, in microseconds.
    pub commits_us: u64,
}

impl Counted {
    /// Takes in what one input caused.
    pub(super) fn add(&mut self, output: &Output) {
        for event in &output.events {
            match &event.what {
                What::Granted(_) => self.grants += 1,
                What::Released(_) => self.releases += 1,
                What::Reclaimed(_) => self.reclaims += 1,
                What::Denied {
                    root,
                    feature,
                    holder,
                    code,
                    count,
                } => self.denials.push(Denial {
                    at: event.at,
                    root: *root,
                    feature: feature.clone(),
                    holder: holder.clone(),
                    code: *code,
                    count: *count,
                }),
                _ => {}
            }
        }
        for (_, answer) in &output.answers {
            match answer {
                Answer::Promised(_) => self.promises += 1,
                Answer::PromisedAll(all) => self.promises += all.len() as u64,
                _ => {}
            }
        }
    }
}

impl Meter {
    /// A batch is durable.
    pub(super) fn count(&self, counted: Counted) {
        let it = &self.0;
        it.grants.fetch_add(counted.grants, Relaxed);
        let renewals = counted.promises.saturating_sub(counted.grants);
        it.renewals.fetch_add(renewals, Relaxed);
        it.releases.fetch_add(counted.releases, Relaxed);
        it.reclaims.fetch_add(counted.reclaims, Relaxed);
        if !counted.denials.is_empty() {
            self.deny(counted.denials);
        }
    }

    /// A commit that waited for the disk took so long.
    pub(super) fn committed(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = COMMIT_BUCKETS_US.iter().position(|bound| us <= *bound);
        let bucket = bucket.unwrap_or(COMMIT_BUCKETS_US.len());
        self.0.commits[bucket].fetch_add(1, Relaxed);
        self.0.commits_us.fetch_add(us, Relaxed);
    }

    /// What has just become history.
    pub fn feed(&self) -> &Feed {
        &self.0.feed
    }

    /// All counts now.
    pub fn read(&self) -> Reading {
        let it = &self.0;
        let bounds = COMMIT_BUCKETS_US.iter().copied().map(Some).chain([None]);
        let commits = it.commits.iter().map(|count| count.load(Relaxed));
        Reading {
            grants: it.grants.load(Relaxed),
            renewals: it.renewals.load(Relaxed),
            releases: it.releases.load(Relaxed),
            reclaims: it.reclaims.load(Relaxed),
            denials: self.denials().by_code.clone(),
            commits: bounds.zip(commits).collect(),
            commits_us: it.commits_us.load(Relaxed),
        }
    }

    /// The last denials of this life, the newest first; at most 256.
    pub fn last_denials(&self) -> Vec<Denial> {
        self.denials().last.iter().rev().cloned().collect()
    }

    /// How many denials there were in this life, and those since there were `seen`, as far as they are kept.
    pub fn denials_since(&self, seen: u64) -> (u64, Vec<Denial>) {
        let denials = self.denials();
        let new = usize::try_from(denials.number.saturating_sub(seen)).unwrap_or(usize::MAX);
        let new = denials.last.iter().rev().take(new).rev();
        (denials.number, new.cloned().collect())
    }

    fn deny(&self, more: Vec<Denial>) {
        let mut denials = self.denials();
        for denial in more {
            let count = denials.by_code.entry(denial.code.into()).or_default();
            *count += u64::from(denial.count);
            if denials.last.len() >= DENIALS_KEPT_MAX {
                denials.last.pop_front();
            }
            denials.last.push_back(denial);
            denials.number += 1;
        }
    }

    fn denials(&self) -> std::sync::MutexGuard<'_, Denials> {
        self.0
            .denials
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Denials that can be looked at without reading the usage log.
const DENIALS_KEPT_MAX: usize = 256;

/// From a fast disk's flush to one that is in trouble.
const COMMIT_BUCKETS_US: [u64; 11] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 2_500_000,
];

#[cfg(test)]
mod tests {
    use usher_engine::{api::ReplyTo, record::Event};
    use usher_protocol::ids::Epoch;

    use super::*;

    fn denied(code: RefusalCode, count: u32) -> Event {
        Event {
            at: WallMs(1),
            license_time: WallMs(1),
            epoch: Epoch(1),
            actor: "client".to_owned(),
            what: What::Denied {
                root: Fingerprint([0; 32]),
                feature: "solver".parse().unwrap(),
                holder: Holder {
                    user: "anna".to_owned(),
                    host: "ws1".to_owned(),
                    display: None,
                    process: 1,
                },
                code,
                count,
            },
        }
    }

    #[test]
    fn denials_are_counted_by_code_and_the_last_are_kept() {
        let meter = Meter::default();
        for _ in 0..=DENIALS_KEPT_MAX {
            let mut counted = Counted::default();
            counted.add(&Output {
                events: vec![denied(RefusalCode::NoSeat, 2)],
                answers: vec![(ReplyTo(1), Answer::Released)],
                ..Output::default()
            });
            meter.count(counted);
        }
        let code = u16::from(RefusalCode::NoSeat);
        let all = 2 * (DENIALS_KEPT_MAX as u64 + 1);
        assert_eq!(meter.read().denials, BTreeMap::from([(code, all)]));
        assert_eq!(meter.last_denials().len(), DENIALS_KEPT_MAX);
        let (number, last) = meter.denials_since(DENIALS_KEPT_MAX as u64);
        assert_eq!((number, last.len()), (DENIALS_KEPT_MAX as u64 + 1, 1));
        assert!(meter.denials_since(number).1.is_empty());
        assert_eq!(meter.read().renewals, 0);
    }

    #[test]
    fn a_commit_falls_into_one_bucket() {
        let meter = Meter::default();
        for us in [100, 101, 9_999_999] {
            meter.committed(Duration::from_micros(us));
        }
        let reading = meter.read();
        let filled: Vec<_> = reading.commits.into_iter().filter(|it| it.1 > 0).collect();
        assert_eq!(filled, [(Some(100), 1), (Some(250), 1), (None, 1)]);
        assert_eq!(reading.commits_us, 10_000_200);
    }
}
