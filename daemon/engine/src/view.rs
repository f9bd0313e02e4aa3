//! What people and workstations see: status, leases, pools, and the proof of authority.
//!
//! It changes nothing and decides nothing about seats.

use std::{cmp::Reverse, ops::Bound};

use usher_protocol::{
    ids::{Fingerprint, LeaseId},
    names::{FeatureName, LicenseId},
    refusal::RefusalCode,
    time::DurationMs,
    wire::{Environment, FeatureView, Hello, WIRE_VERSION},
};

use crate::{
    api::{Answer, Authority, Caller, LeaseView, PoolView, Status},
    engine::Engine,
    explain::Why,
    limits::LEASES_PER_PAGE_MAX,
    pool::{Pool, PoolIndex, Terms},
    state::LeaseEntry,
    step::{Asked, Step, no},
};

impl Engine {
    /// The vendor's word for this site (T4): of a license that lends, live before test, newest first.
    pub(crate) fn welcome(&self, hello: &Hello) -> Asked {
        if !(hello.version_min..=hello.version_max).contains(&WIRE_VERSION) {
            let detail = format!(
                "this daemon speaks protocol version {WIRE_VERSION}, the client {} to {}; update the older one",
                hello.version_min, hello.version_max
            );
            return Err(no(RefusalCode::UnsupportedVersion, detail));
        }
        let mut licenses: Vec<_> = self.licenses_of(hello.root).collect();
        licenses.sort_by_key(|license| {
            let idle = self.idle_because(license).is_some();
            (
                idle,
                license.environment,
                Reverse(license.issued),
                Reverse(license.serial),
            )
        });
        let Some((first, more)) = licenses.split_first() else {
            return Err(no(
                RefusalCode::UnknownVendor,
                "no license of this vendor root is installed here; look for another server with `usher find`",
            ));
        };
        Ok(Answer::Welcome(Box::new(Authority {
            endorsement: first.signed_endorsement().clone(),
            licenses_more: more.iter().map(|license| license.id.clone()).collect(),
            epoch: self.life.epoch,
            life: self.life.life,
        })))
    }

    /// The endorsement of one license of the caller's vendor.
    pub(crate) fn endorsement(&self, caller: &Caller, id: &LicenseId) -> Asked {
        let license = self
            .licenses_of(caller.root)
            .find(|license| license.id == *id);
        match license {
            Some(license) => Ok(Answer::Endorsement(Box::new(
                license.signed_endorsement().clone(),
            ))),
            None => Err(no(
                RefusalCode::NoLicense,
                format!("no license `{id}` of this vendor is installed here"),
            )),
        }
    }

    /// What the caller's vendor has served here now.
    pub(crate) fn features(&self, step: &Step, caller: &Caller) -> Answer {
        let open = self.state.pools().filter(|(_, pool)| {
            pool.key.root == caller.root && self.is_open_or_suspended(step, pool, None)
        });
        Answer::Features(
            open.map(|(_, pool)| self.feature_view(step, pool))
                .collect(),
        )
    }

    /// Who holds a feature of the caller's vendor.
    pub(crate) fn holders(&self, step: &Step, caller: &Caller, feature: &FeatureName) -> Answer {
        let pools: Vec<PoolIndex> = self
            .state
            .pools()
            .filter(|(_, pool)| pool.key.root == caller.root && pool.key.feature == *feature)
            .map(|(index, _)| index)
            .collect();
        let (listed, more) = self.holders_of(step, &pools);
        Answer::Holders(listed, more)
    }

    /// Leases in order of their ids, a page at a time.
    pub(crate) fn leases(
        &self,
        step: &Step,
        after: Option<LeaseId>,
        count_max: usize,
    ) -> Vec<LeaseView> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.state
            .leases
            .range((from, Bound::Unbounded))
            .take(count_max.min(LEASES_PER_PAGE_MAX))
            .map(|(id, entry)| self.lease_view(step, *id, entry))
            .collect()
    }

    /// The daemon at one glance.
    pub(crate) fn status(&self, step: &Step) -> Status {
        let stops = self.stops(step);
        let stopped = stops
            .iter()
            .map(|stop| format!("{}: {}", stop.code.name(), stop.detail))
            .collect();
        Status {
            policy: self.policy.summary(),
            reservations: self.reservations(),
            epoch: self.life.epoch,
            life: self.life.life,
            head: self.head,
            leases: self.state.leases.len(),
            pools: self
                .pools_in_use()
                .map(|pool| self.pool_view(step, pool))
                .collect(),
            license_time: self.time.at(step.now.boot),
            stopped,
            degraded: self.degraded(step),
        }
    }

    fn degraded(&self, step: &Step) -> Vec<String> {
        let clock = self.time.worry().map(|worry| {
            let depends = |(_, pool): (PoolIndex, &Pool)| {
                self.why_closed(step, pool, None) == Some(Why::ClockHeld)
            };
            if self.state.pools().any(depends) {
                format!("clock: {worry}; `clock-held` for what depends on it")
            } else {
                format!("clock: {worry}")
            }
        });
        let overcommitted = self.pools_in_use().filter(|pool| pool.excess.is_some());
        let boot = step.now.boot;
        let lost_borrows = self.pools_in_use().filter_map(|pool| {
            let seats = Some(self.borrows_held(boot, pool)).filter(|seats| *seats > 0)?;
            let left = self.borrows_held_for(boot, pool)?;
            let feature = &pool.key.feature;
            Some(format!("borrows: {seats} seats of {feature} stay home for {left} more, until borrowed leases the store may have lost are over (L12)"))
        });
        let reservations = self.unmet(&self.policy).into_iter();
        let reservations = reservations
            .map(|(rule, detail)| format!("reservation: {detail} ({}:{})", rule.file, rule.line));
        let aimless = self.policy.aimless(&self.state.paths_served()).into_iter();
        let aimless = aimless.map(|(line, feature)| {
            let file = &self.policy.file;
            format!(
                "policy: no installed license has {feature} ({file}:{line}); is the name right?"
            )
        });
        clock
            .into_iter()
            .chain(lost_borrows)
            .chain(reservations)
            .chain(aimless)
            .chain(
                overcommitted
                    .map(|pool| format!("overcommitted: {}", Self::overcommitted(pool).detail)),
            )
            .collect()
    }

    fn pools_in_use(&self) -> impl Iterator<Item = &Pool> {
        let pools = self.state.pools().map(|(_, pool)| pool);
        pools.filter(|pool| pool.terms.is_some() || pool.out > 0)
    }

    fn pool_view(&self, step: &Step, pool: &Pool) -> PoolView {
        PoolView {
            overdraft_used: u32_of(pool.overdraft_used()),
            suspended: self.suspension_of(pool).map(|it| it.reason.clone()),
            written_off: u32_of(pool.written_off),
            borrowed: u32_of(pool.borrowed),
            lingering: u32_of(pool.lingering),
            offered: u32_of(pool.offered),
            vendor: self.vendor_name(pool.key.root),
            view: self.feature_view(step, pool),
            overcommitted: pool.excess.is_some(),
            held: pool.held,
        }
    }

    fn lease_view(&self, step: &Step, id: LeaseId, entry: &LeaseEntry) -> LeaseView {
        let key = &self.state.pool(entry.pool).key;
        LeaseView {
            borrowed_until: entry.borrowed.map(|it| it.until),
            sharing: self.sharing_with(entry),
            id,
            feature: format!("{}/{}", self.vendor_name(key.root), key.feature),
            license: key.license.clone(),
            environment: key.environment,
            seats: entry.seats,
            client: entry.client.fingerprint(),
            nonce: entry.nonce,
            user: entry.holder.user.clone(),
            host: entry.holder.host.clone(),
            display: entry.holder.display.clone(),
            process: entry.holder.process,
            since: entry.since,
            free_in_ms: entry
                .deadline
                .map_or_else(Default::default, |it| it.since(step.now.boot)),
            note: note(entry),
        }
    }

    fn sharing_with(&self, entry: &LeaseEntry) -> u32 {
        let pool = self.state.pool(entry.pool);
        let share = pool.share(entry.share_key().as_ref());
        share.map_or(1, |share| u32_of(share.count() as u64))
    }

    fn feature_view(&self, step: &Step, pool: &Pool) -> FeatureView {
        let key = pool.key.feature_key();
        let feature = pool.terms.as_ref().map(Terms::feature);
        FeatureView {
            overdraft: feature.map_or(0, |it| it.overdraft),
            borrow_ms_max: feature.map_or(DurationMs::ZERO, |it| it.borrow_ms_max),
            reserved_idle: u32_of(self.reserved_idle(step, &key)),
            kept: u32_of(pool.offered + pool.lingering),
            queued: self.waiting_for(&key),
            suspended: self.suspension_of(pool).is_some(),
            feature: pool.key.feature.clone(),
            license: pool.key.license.clone(),
            environment: pool.key.environment,
            version: feature.and_then(|it| it.version),
            seats: pool.seats(),
            out: pool.out_u32(),
            expires: feature.and_then(|it| it.expires),
        }
    }

    /// The name people know; the root's first digits when none is pinned.
    pub(crate) fn vendor_name(&self, root: Fingerprint) -> String {
        self.state.vendor_name(root)
    }
}

fn u32_of(seats: u64) -> u32 {
    u32::try_from(seats).unwrap_or(u32::MAX)
}

fn note(entry: &LeaseEntry) -> Option<String> {
    match entry {
        LeaseEntry {
            evicted: Some(reason),
            ..
        } => Some(format!("evicted: {reason}")),
        LeaseEntry { forked: true, .. } => Some("forked".to_owned()),
        LeaseEntry {
            borrowed: Some(borrowed),
            ..
        } => match (borrowed.written_off, borrowed.returned) {
            (true, _) => Some("written off".to_owned()),
            (false, true) => Some("returned early".to_owned()),
            (false, false) => None,
        },
        LeaseEntry { heard: false, .. } => Some("held since restart".to_owned()),
        _ => None,
    }
}

/// How an environment is called.
pub(crate) const fn environment_word(environment: Environment) -> &'static str {
    match environment {
        Environment::Live => "live",
        Environment::Test => "test",
    }
}
