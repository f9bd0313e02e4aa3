//! Why not: refusals that explain themselves (A4), with holders, the earliest free seat and the
//! vendor's support message.
//!
//! It words what others decided; the order of [`Why`] says which reason is nearest to a seat.

use usher_protocol::{
    ids::{Fingerprint, LeaseId},
    limits::HOLDERS_LISTED_MAX,
    names::Version,
    refusal::{HolderView, Refusal, RefusalCode},
    time::{BootMs, DurationMs},
};

use crate::{
    decide::{Asker, Wish},
    engine::Engine,
    length,
    pool::{FeatureKey, Pool, PoolIndex, Terms},
    state::LeaseEntry,
    step::{Step, no},
    view::environment_word,
};

/// What keeps a pool from granting; the later, the nearer to a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// Its license is gone or idle.
    Idle,
    /// Its license has run out.
    Expired,
    /// Its license starts later.
    NotYet,
    /// The wall clock must be confirmed first (L11).
    ClockHeld,
    /// It serves lower versions only.
    Version,
    /// An administrator lends none of it for now (L7).
    Suspended,
    /// Its license allows no borrow (L10).
    NoBorrow,
    /// It has fewer seats in all.
    TooMany,
    /// More is out than there is (L7).
    Overcommitted,
    /// All that would do are out.
    Full,
    /// Those that are free are reserved for others.
    Reserved,
    /// Some are free, for those who wait before this one (L9).
    Behind,
    /// The asker's own share of it is taken back, and takes nobody in (L7).
    Evicted,
}

impl Why {
    /// Whether waiting helps: seats come back by themselves.
    pub(crate) fn passes(self) -> bool {
        matches!(
            self,
            Self::Overcommitted | Self::Full | Self::Reserved | Self::Behind
        )
    }
}

/// What keeps each pool of a feature from granting.
pub(crate) type Reasons = Vec<(Why, PoolIndex)>;

impl Engine {
    /// What closes a pool to everybody, or to this version.
    pub(crate) fn why_closed(
        &self,
        step: &Step,
        pool: &Pool,
        version: Option<Version>,
    ) -> Option<Why> {
        let Some(terms) = &pool.terms else {
            return Some(Why::Idle);
        };
        if self.idle_because(&terms.license).is_some() {
            return Some(Why::Idle);
        }
        let license_time = self.time.at(step.now.boot);
        let closed = |at| match terms.feature() {
            it if it.expires.is_some_and(|expires| expires <= at) => Some(Why::Expired),
            it if at < it.starts => Some(Why::NotYet),
            _ => None,
        };
        let by_wall = closed(step.now.wall);
        match (closed(license_time), version, terms.feature().version) {
            // L11: what a clock that leads too far would change waits for a word.
            (why, ..) if self.time.leads() && why != by_wall => Some(Why::ClockHeld),
            (Some(why), ..) => Some(why),
            (None, Some(asked), Some(served)) if asked > served => Some(Why::Version),
            _ => self.suspension_of(pool).map(|_| Why::Suspended),
        }
    }

    /// The refusal of a checkout: of the nearest reason, about all pools that share it.
    pub(crate) fn explain(
        &self,
        step: &Step,
        asker: &Asker<'_>,
        wish: &Wish,
        reasons: &[(Why, PoolIndex)],
    ) -> Box<Refusal> {
        let Some(nearest) = reasons.iter().map(|(why, _)| *why).max() else {
            return self.nothing_serves(asker.root, &wish.key);
        };
        let pools: Vec<_> = reasons
            .iter()
            .filter(|(why, _)| *why == nearest)
            .map(|(_, index)| *index)
            .collect();
        let first = self.state.pool(pools[0]);
        let mut refusal = match nearest {
            Why::Full => self.full(&pools, wish.seats),
            Why::Reserved => self.reserved(step, asker, wish),
            Why::Overcommitted => Self::overcommitted(first),
            Why::Behind => self.behind(wish),
            why => self.closed(step, first, why),
        };
        if nearest >= Why::Overcommitted && nearest != Why::Evicted {
            (refusal.holders, refusal.holders_more) = self.holders_of(step, &pools);
            let earliest = self.earliest_room(step, asker, wish, &pools);
            self.tell_earliest(step, &mut refusal, earliest);
        }
        refusal.support = support(first);
        refusal
    }

    /// Refuses what no pool serves to anybody now.
    pub(crate) fn check_served(
        &self,
        step: &Step,
        asker: &Asker<'_>,
        wish: &Wish,
    ) -> Result<(), Box<Refusal>> {
        let mut reasons = Vec::new();
        for index in self.state.serving(&wish.key) {
            let pool = self.state.pool(*index);
            match self.why_closed(step, pool, wish.version) {
                None | Some(Why::Suspended) if has_seats(pool, wish.seats) => return Ok(()),
                None | Some(Why::Suspended) => reasons.push((Why::TooMany, *index)),
                Some(why) => reasons.push((why, *index)),
            }
        }
        Err(self.explain(step, asker, wish, &reasons))
    }

    /// R for a renewal, or why the license gives no more (L7, L8).
    pub(crate) fn terms_for_renewal(
        &self,
        step: &Step,
        entry: &LeaseEntry,
        wish: Option<DurationMs>,
    ) -> Result<DurationMs, Box<Refusal>> {
        let pool = self.state.pool(entry.pool);
        let why = match self.why_closed(step, pool, entry.version) {
            // Renewals go on by license time: a bad wall reading locks nobody out (L11).
            Some(Why::ClockHeld) => None,
            other => other,
        };
        let license_time = self.time.at(step.now.boot);
        let by_policy = self.length_by_policy(pool, || entry.subject());
        let right = pool
            .terms
            .as_ref()
            .map(|terms| length::right(terms.feature(), by_policy, wish, license_time));
        match (why, right) {
            (None, Some(right)) if right > DurationMs::ZERO => Ok(right),
            (why, _) => {
                let mut refusal = self.closed(step, pool, why.unwrap_or(Why::Expired));
                refusal.support = support(pool);
                Err(refusal)
            }
        }
    }

    /// More is out than there is (L7).
    pub(crate) fn overcommitted(pool: &Pool) -> Box<Refusal> {
        let seats = pool.seats_and_overdraft().unwrap_or_default();
        let detail = format!(
            "{} seats of {} are out and the license has {seats}; the newest leases are not renewed until that ends",
            pool.out, pool.key.feature
        );
        no(RefusalCode::Overcommitted, detail)
    }

    /// The leases of some pools that come free first, and how many more there are.
    pub(crate) fn holders_of(&self, step: &Step, pools: &[PoolIndex]) -> (Vec<HolderView>, u32) {
        let deadlines = &self.state.deadlines;
        let mut first: Vec<(BootMs, LeaseId)> = pools
            .iter()
            .flat_map(|index| deadlines.of_pool(*index).take(HOLDERS_LISTED_MAX))
            .collect();
        first.sort_unstable();
        first.truncate(HOLDERS_LISTED_MAX);
        let all: usize = pools.iter().map(|index| deadlines.count(*index)).sum();
        let more = u32::try_from(all - first.len()).unwrap_or(u32::MAX);
        let views = first
            .into_iter()
            .filter_map(|(deadline, id)| {
                let entry = self.state.leases.get(&id)?;
                Some(holder_view(entry, deadline.since(step.now.boot)))
            })
            .collect();
        (views, more)
    }

    fn full(&self, pools: &[PoolIndex], seats: u32) -> Box<Refusal> {
        let (out, total) = pools.iter().fold((0, 0), |(out, total), index| {
            let pool = self.state.pool(*index);
            let of_pool = pool.seats_and_overdraft().unwrap_or_default();
            (out + pool.out, total + of_pool)
        });
        let feature = &self.state.pool(pools[0]).key.feature;
        let detail = match seats {
            1 if out < total => format!(
                "{out} of {total} seats of {feature} are out, and the others are kept for those who were before; wait"
            ),
            1 => format!(
                "all {total} seats of {feature} are out; wait, or ask a holder to give one back"
            ),
            _ => format!(
                "{out} of {total} seats of {feature} are out, and {seats} were asked for; wait, or ask for fewer"
            ),
        };
        let detail = match self.waiting_for(&self.state.pool(pools[0]).key.feature_key()) {
            0 => detail,
            waiting => format!("{detail}; {waiting} wait in line (`--wait`)"),
        };
        no(RefusalCode::NoSeat, detail)
    }

    /// Seats are free, and whoever waits for them is before this one.
    fn behind(&self, wish: &Wish) -> Box<Refusal> {
        let waiting = self.waiting_for(&wish.key);
        let detail = format!(
            "{waiting} wait for {} already, and what comes free is theirs; wait in line with `--wait`",
            wish.key.feature
        );
        no(RefusalCode::NoSeat, detail)
    }

    fn reserved(&self, step: &Step, asker: &Asker<'_>, wish: &Wish) -> Box<Refusal> {
        let seats_new = u64::from(self.seats_new(step, asker, wish));
        let kept = self.reserved_away(step, asker, wish, seats_new);
        let who = kept.as_ref().map_or("others", |it| it.who.as_str());
        let detail = format!(
            "the free seats of {} are reserved for {who}; wait, or ask the administrator",
            wish.key.feature
        );
        let mut refusal = no(RefusalCode::Reserved, detail);
        refusal.rule = kept.map(|it| self.policy.rule_of_reservation(it.index));
        refusal
    }

    fn closed(&self, step: &Step, pool: &Pool, why: Why) -> Box<Refusal> {
        let feature = &pool.key.feature;
        let terms = pool.terms.as_ref().map(Terms::feature);
        match why {
            Why::Idle => no(RefusalCode::NoLicense, self.idle_detail(pool)),
            Why::Expired => no(
                RefusalCode::LicenseExpired,
                format!(
                    "the license `{}` of {feature} has run out; ask the vendor for a new one",
                    pool.key.license
                ),
            ),
            Why::NotYet => {
                let license_time = self.time.at(step.now.boot);
                let wait = terms.map(|it| it.starts.since(license_time));
                let mut refusal = no(
                    RefusalCode::NotYetValid,
                    format!(
                        "the license `{}` of {feature} starts in {}",
                        pool.key.license,
                        wait.unwrap_or_default()
                    ),
                );
                refusal.retry_after_ms = wait;
                refusal
            }
            Why::ClockHeld => no(
                RefusalCode::ClockHeld,
                self.time.worry().unwrap_or_default(),
            ),
            Why::Version => {
                let served = terms.and_then(|it| it.version).map(|it| it.to_string());
                no(
                    RefusalCode::VersionNotServed,
                    format!(
                        "the license serves {feature} up to version {}",
                        served.unwrap_or_default()
                    ),
                )
            }
            Why::Suspended => self.suspended(pool),
            Why::NoBorrow => no(
                RefusalCode::BorrowNotAllowed,
                format!(
                    "the license `{}` does not let {feature} be borrowed; use it on line",
                    pool.key.license
                ),
            ),
            Why::TooMany => no(
                RefusalCode::TooManySeats,
                format!(
                    "{feature} has {} seats in all; ask for fewer",
                    pool.seats_and_overdraft().unwrap_or_default()
                ),
            ),
            Why::Evicted => no(
                RefusalCode::Evicted,
                format!(
                    "an administrator takes back the seat of {feature} that your other processes share; end them, then ask anew"
                ),
            ),
            Why::Overcommitted | Why::Full | Why::Reserved | Why::Behind => {
                Self::overcommitted(pool)
            }
        }
    }

    fn nothing_serves(&self, root: Fingerprint, key: &FeatureKey) -> Box<Refusal> {
        let mut of_vendor = self.licenses_of(root).peekable();
        if of_vendor.peek().is_none() {
            return no(
                RefusalCode::NoLicense,
                "no license of this vendor is installed here; the administrator adds one with `usherd license add`",
            );
        }
        let detail = format!(
            "no {} license here has the feature {}; `usher features` lists what is served",
            environment_word(key.environment),
            key.feature
        );
        no(RefusalCode::UnknownFeature, detail)
    }

    fn idle_detail(&self, pool: &Pool) -> String {
        let license = &pool.key.license;
        match &pool.terms {
            None => format!(
                "the license `{license}` was removed or no longer has {}; check out anew",
                pool.key.feature
            ),
            Some(terms) => {
                let because = self.idle_because(&terms.license).unwrap_or_default();
                format!("nothing is lent from the license `{license}`: {because}")
            }
        }
    }
}

/// Whether the pool would do, were all its seats free.
fn has_seats(pool: &Pool, seats: u32) -> bool {
    let total = pool.seats_and_overdraft();
    total.is_none_or(|total| u64::from(seats) <= total)
}

/// A lease as others may see it.
pub(crate) fn holder_view(entry: &LeaseEntry, free_in_ms: DurationMs) -> HolderView {
    HolderView {
        borrowed: entry.borrowed.is_some(),
        user: entry.holder.user.clone(),
        host: entry.holder.host.clone(),
        display: entry.holder.display.clone(),
        process: entry.holder.process,
        seats: entry.seats,
        since: entry.since,
        free_in_ms,
    }
}

/// The vendor's support message.
pub(crate) fn support(pool: &Pool) -> Option<String> {
    pool.terms.as_ref()?.license.support.clone()
}
