//! The figures that change while somebody looks: said once, for the page as it is sent and for its news.
//!
//! A figure has a key; a page shows it in an element that names the key, and a script puts the newer text there.

use std::{collections::BTreeMap, hash::Hasher as _};

use serde::Serialize;

use super::{page, words};
use crate::{
    admin::{
        glance::{self, IdleReserved},
        protocol::{LicenseReport, PoolReport, StatusReport},
    },
    core::Reading,
};

/// All of them at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Glimpse {
    /// Which pools there are, in which order. With another one a page is to be had anew.
    pub(super) shape: String,
    /// `granting`, `degraded` or `stopped`.
    pub(super) state: &'static str,
    /// By key.
    pub(super) texts: BTreeMap<String, String>,
    /// By pool: seats used, reserved and kept, in hundredths of the pool.
    pub(super) bars: BTreeMap<String, [u32; 3]>,
    /// By what a page lists: another one says that the page is old.
    pub(super) marks: BTreeMap<&'static str, String>,
}

/// What a page that lists this begins with.
pub(super) fn mark(status: &StatusReport, counts: &Reading, name: &str) -> String {
    marks(status, counts).remove(name).unwrap_or_default()
}

/// A pool's key.
pub(super) fn key(index: usize) -> String {
    format!("p{index}")
}

impl Glimpse {
    pub(super) fn of(status: &StatusReport, licenses: &[LicenseReport], counts: &Reading) -> Self {
        let mut glimpse = Self {
            shape: shape(&status.pools),
            state: page::state(status, licenses),
            texts: BTreeMap::new(),
            bars: BTreeMap::new(),
            marks: marks(status, counts),
        };
        glimpse.whole(status, licenses);
        let mut idle = IdleReserved::default();
        for (index, pool) in status.pools.iter().enumerate() {
            glimpse.pool(&key(index), pool, idle.take(pool));
        }
        glimpse
    }

    /// The text of a key.
    pub(super) fn text(&self, key: &str) -> &str {
        self.texts.get(key).map_or("", String::as_str)
    }

    fn whole(&mut self, status: &StatusReport, licenses: &[LicenseReport]) {
        let out: u64 = status.pools.iter().map(|it| u64::from(it.out)).sum();
        let limited = status.pools.iter().filter_map(|it| it.seats);
        let free = status.pools.iter().filter_map(|it| it.free);
        let verdict = glance::verdict(status, licenses);
        for (key, text) in [
            ("verdict", words::shown(&verdict)),
            ("used", out.to_string()),
            ("seats", limited.map(u64::from).sum::<u64>().to_string()),
            ("free", free.map(u64::from).sum::<u64>().to_string()),
            ("leases", status.leases.to_string()),
            ("clients", status.connections.to_string()),
            ("waiting", waiting(&status.pools).to_string()),
        ] {
            self.texts.insert(key.to_owned(), text);
        }
    }

    fn pool(&mut self, key: &str, pool: &PoolReport, reserved: u32) {
        let free = pool.free.map(|free| free.saturating_sub(reserved));
        let kept = pool.offered.saturating_add(pool.lingering);
        for (name, text) in [
            ("used", pool.out.to_string()),
            ("free", words::seats(free)),
            ("reserved", reserved.to_string()),
            ("kept", kept.to_string()),
            ("queued", pool.queued.to_string()),
            ("note", note(pool)),
        ] {
            self.texts.insert(format!("{key}-{name}"), text);
        }
        if let Some(seats) = pool.seats {
            let all = u64::from(seats.max(pool.out)).max(1);
            let part = |count: u32| u32::try_from(u64::from(count) * 100 / all).unwrap_or(100);
            let bar = [part(pool.out), part(reserved), part(kept)];
            self.bars.insert(key.to_owned(), bar);
        }
    }
}

/// Waiters are a feature's, the same in each of its pools: counted once.
fn waiting(pools: &[PoolReport]) -> u64 {
    let features: BTreeMap<_, _> = pools
        .iter()
        .map(|it| ((it.feature.as_str(), it.environment as u8), it.queued))
        .collect();
    features.into_values().map(u64::from).sum()
}

fn marks(status: &StatusReport, counts: &Reading) -> BTreeMap<&'static str, String> {
    let denials: u64 = counts.denials.values().sum();
    let ended = counts.releases + counts.reclaims;
    BTreeMap::from([
        ("leases", format!("{}-{ended}", counts.grants)),
        (
            "queue",
            format!("{}-{}", waiting(&status.pools), counts.grants),
        ),
        ("denials", denials.to_string()),
    ])
}

fn note(pool: &PoolReport) -> String {
    let mut words = Vec::new();
    if pool.overcommitted {
        words.push("overcommitted".to_owned());
    }
    if let Some(reason) = &pool.suspended {
        words.push(format!("suspended: {}", words::shown(reason)));
    }
    for (count, word) in [
        (pool.overdraft_used, "overdraft"),
        (pool.borrowed, "borrowed"),
        (pool.held, "held since the restart"),
        (pool.written_off, "written off"),
    ] {
        if count > 0 {
            words.push(format!("{count} {word}"));
        }
    }
    words.join("; ")
}

fn shape(pools: &[PoolReport]) -> String {
    let mut hasher = std::hash::DefaultHasher::new();
    for pool in pools {
        let text = format!(
            "{}\0{}\0{:?}\0{:?}\0{:?}\0",
            pool.feature, pool.license, pool.environment, pool.seats, pool.expires
        );
        hasher.write(text.as_bytes());
    }
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pool_report;

    #[test]
    fn a_seat_is_in_one_column_and_a_waiter_counted_once() {
        let pool = PoolReport {
            seats: Some(10),
            out: 4,
            free: Some(5),
            reserved_idle: 2,
            offered: 1,
            queued: 3,
            ..pool_report("acme/solver")
        };
        let pools = [pool.clone(), pool];
        assert_eq!(waiting(&pools), 3);
        let mut glimpse = Glimpse {
            shape: String::new(),
            state: "granting",
            texts: BTreeMap::new(),
            bars: BTreeMap::new(),
            marks: BTreeMap::new(),
        };
        let mut idle = IdleReserved::default();
        for (index, pool) in pools.iter().enumerate() {
            glimpse.pool(&key(index), pool, idle.take(pool));
        }
        let said = |name| glimpse.text(name).to_owned();
        assert_eq!(
            ["p0-used", "p0-free", "p0-reserved", "p0-kept", "p0-queued"].map(said),
            ["4", "3", "2", "1", "3"]
        );
        assert_eq!(
            ["p1-free", "p1-reserved"].map(said),
            ["5", "0"],
            "a reserved seat is a feature's"
        );
        assert_eq!(glimpse.bars["p0"], [40, 20, 10]);
        assert_ne!(shape(&pools), shape(&pools[..1]));
    }
}
