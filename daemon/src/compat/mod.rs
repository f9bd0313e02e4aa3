//! What tools made for other license servers read: `lmstat` text, Nagios lines, Slurm's counts, LSF's indices.
//!
//! It decides how pools and leases are told in their words. Pure: reports of the daemon go in, text comes out. It must
//! not ask the daemon nor run anything.

pub mod lmstat;
pub mod nagios;
mod names;
pub mod schedulers;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use usher_protocol::{time::WallMs, wire::Environment};

use crate::admin::protocol::{LeaseReport, PoolReport, StatusReport};

/// The site as such tools see it: live licenses alone, the pools of a feature as one.
#[derive(Debug)]
pub struct Site {
    /// The server's host, in letters that every parser takes.
    pub host: String,
    /// Its UDP port.
    pub port: u16,
    /// The daemon's version: digits and dots.
    pub version: String,
    /// Something can be lent.
    pub granting: bool,
    /// Why nothing is granted, and what is not as it should be.
    pub troubles: Vec<String>,
    /// Every feature, in the order of names.
    pub features: Vec<Feature>,
}

/// A feature with all its pools.
#[derive(Debug)]
pub struct Feature {
    /// `vendor/feature`.
    pub path: String,
    /// Its name where `/` and `.` may not stand: the feature's, with its vendor's before where two vendors have it.
    pub name: String,
    /// The vendor, in letters and digits.
    pub vendor: String,
    /// The highest version served: digits and dots.
    pub version: String,
    /// Seats that can be lent now; none is unlimited.
    pub seats: Option<u32>,
    /// Seats out.
    pub used: u32,
    /// When the last of its licenses ends, if all do.
    pub expires: Option<WallMs>,
    /// Who holds what.
    pub leases: Vec<LeaseReport>,
}

impl Site {
    /// What the daemon reported; `host` is this machine's name.
    pub fn of(status: &StatusReport, leases: Vec<LeaseReport>, host: &str) -> Self {
        let mut features = BTreeMap::<String, Feature>::new();
        let live = status
            .pools
            .iter()
            .filter(|pool| pool.environment == Environment::Live);
        for pool in live {
            let is_over = pool.expires.is_some_and(|end| end <= status.license_time);
            if let Some(feature) = features.get_mut(&pool.feature) {
                feature.add(pool, is_over);
            } else {
                features.insert(pool.feature.clone(), Feature::of(pool, is_over));
            }
        }
        for lease in leases {
            if let Some(feature) = features.get_mut(&lease.feature)
                && lease.environment == Environment::Live
            {
                feature.leases.push(lease);
            }
        }
        let mut features: Vec<_> = features.into_values().collect();
        names::tell_apart(&mut features);
        Self {
            host: names::host(host),
            port: port(status),
            version: names::version(&status.version),
            granting: status.stopped.is_empty(),
            troubles: status
                .stopped
                .iter()
                .chain(&status.degraded)
                .cloned()
                .collect(),
            features,
        }
    }

    /// The features that a word means: all without one; by path or by either of its names.
    pub fn meant<'a>(&'a self, word: Option<&'a str>) -> impl Iterator<Item = &'a Feature> {
        self.features.iter().filter(move |it| {
            let feature = it.path.rsplit('/').next();
            word.is_none_or(|word| it.path == word || it.name == word || feature == Some(word))
        })
    }
}

impl Feature {
    /// Seats that the next who asks may hope for.
    pub fn free(&self) -> u32 {
        self.seats.unwrap_or(UNLIMITED).saturating_sub(self.used)
    }

    fn of(pool: &PoolReport, is_over: bool) -> Self {
        let mut feature = Self {
            vendor: names::word(pool.feature.split('/').next().unwrap_or_default()),
            path: pool.feature.clone(),
            name: String::new(),
            version: names::version(pool.version.as_deref().unwrap_or_default()),
            seats: Some(0),
            used: 0,
            expires: pool.expires,
            leases: Vec::new(),
        };
        feature.add(pool, is_over);
        feature
    }

    /// What has run out lends nothing; what is still out of it is out.
    fn add(&mut self, pool: &PoolReport, is_over: bool) {
        self.used = self.used.saturating_add(pool.out);
        self.expires = match (self.expires, pool.expires) {
            (Some(one), Some(other)) => Some(one.max(other)),
            _ => None,
        };
        if !is_over {
            let both = self.seats.zip(pool.seats);
            self.seats = both.map(|(all, more)| all.saturating_add(more));
        }
    }
}

/// The first address names it; all have the same port unless somebody chose otherwise.
fn port(status: &StatusReport) -> u16 {
    let first = status.listen.first();
    let port = first.and_then(|address| address.rsplit(':').next()?.parse().ok());
    port.unwrap_or(usher_protocol::limits::PORT_DEFAULT)
}

/// What stands for "no end of seats" where a number must.
pub const UNLIMITED: u32 = 999_999;
