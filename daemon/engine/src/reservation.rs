//! Seats kept for some: how many are idle now, for whom, and whether a policy asks for more than the
//! licenses have.
//!
//! A holder belongs to the first reservation that names it; all others see what is free less what the
//! other reservations have idle. Nothing here takes a seat from anybody.

use usher_protocol::{
    refusal::{Refusal, RefusalCode, RuleRef},
    wire::Environment,
};

use crate::{
    api::ReservationView,
    decide::{Asker, Wish},
    engine::Engine,
    policy::{FeaturePattern, Policy, Reservation},
    pool::FeatureKey,
    state::State,
    step::{Step, no},
};

impl Engine {
    /// Refuses a policy whose reservations the installed licenses cannot meet, at the first such line.
    pub(crate) fn check_reservations(&self, policy: &Policy) -> Result<(), Box<Refusal>> {
        match self.unmet(policy).into_iter().next() {
            None => Ok(()),
            Some((rule, detail)) => {
                let mut refusal = no(RefusalCode::BadRequest, detail);
                refusal.rule = Some(rule);
                Err(refusal)
            }
        }
    }

    /// Every reservation that the installed licenses cannot meet, with those before it, and why.
    pub(crate) fn unmet(&self, policy: &Policy) -> Vec<(RuleRef, String)> {
        let mut found = Vec::new();
        for (index, rule) in policy.reserve.iter().enumerate() {
            let FeaturePattern::One(path) = &rule.feature else {
                continue;
            };
            let before = policy.reserve[..=index].iter();
            let same = before.filter(|it| it.feature == rule.feature);
            let reserved: u64 = same.map(|it| u64::from(it.says.seats)).sum();
            let detail = match self.state.seats_installed(path) {
                Installed::Nowhere => {
                    format!("no installed license has {path}, of which seats are reserved")
                }
                Installed::Seats(seats) if reserved > seats => {
                    format!("{reserved} seats of {path} are reserved, the licenses have {seats}")
                }
                Installed::Seats(_) | Installed::Unlimited => continue,
            };
            found.push((policy.rule_of_reservation(index), detail));
        }
        found
    }

    /// The reservation that keeps so many free seats from this asker, if one does.
    pub(crate) fn reserved_away(
        &self,
        step: &Step,
        asker: &Asker<'_>,
        wish: &Wish,
        seats: u64,
    ) -> Option<Reservation> {
        if self.policy.reserve.is_empty() || seats == 0 {
            return None;
        }
        let others = self.reserved_for_others(asker, &wish.key);
        let idle = others.iter().map(|(_, idle)| idle).sum();
        let free = self.free_in_all(step, &wish.key).saturating_sub(idle);
        if free >= seats {
            return None;
        }
        let mut kept = others.into_iter().filter(|(_, idle)| *idle > 0);
        kept.next().map(|(reservation, _)| reservation)
    }

    /// The reservation of this asker, and how many of its seats nobody has.
    pub(crate) fn reserved_for(&self, asker: &Asker<'_>, key: &FeatureKey) -> Option<(usize, u64)> {
        let own = self.reservation_of(asker, key)?;
        Some((own, self.idle_in(key, own)))
    }

    /// The reservation of this asker.
    pub(crate) fn reservation_of(&self, asker: &Asker<'_>, key: &FeatureKey) -> Option<usize> {
        if self.policy.reserve.is_empty() {
            return None;
        }
        let path = self.state.feature_path(key);
        self.policy.reservation_of(&path, &asker.subject())
    }

    /// Seats of a reservation that nobody has.
    pub(crate) fn idle_in(&self, key: &FeatureKey, index: usize) -> u64 {
        let path = self.state.feature_path(key);
        let mut reservations = self.policy.reservations(&path).into_iter();
        let reservation = reservations.find(|it| it.index == index);
        reservation.map_or(0, |it| self.idle_of(key, &it))
    }

    /// Reservations that are not the asker's, each with its idle seats.
    pub(crate) fn reserved_for_others(
        &self,
        asker: &Asker<'_>,
        key: &FeatureKey,
    ) -> Vec<(Reservation, u64)> {
        if self.policy.reserve.is_empty() {
            return Vec::new();
        }
        let path = self.state.feature_path(key);
        let own = self.policy.reservation_of(&path, &asker.subject());
        let others = self.policy.reservations(&path).into_iter();
        let others = others.filter(|it| Some(it.index) != own);
        others
            .map(|it| {
                let idle = self.idle_of(key, &it);
                (it, idle)
            })
            .collect()
    }

    /// The asker's own reservation, while seats of it are idle.
    pub(crate) fn own_reservation(
        &self,
        asker: &Asker<'_>,
        key: &FeatureKey,
    ) -> Option<Reservation> {
        let path = self.state.feature_path(key);
        let own = self.policy.reservation_of(&path, &asker.subject())?;
        let mut reservations = self.policy.reservations(&path).into_iter();
        let own = reservations.find(|it| it.index == own)?;
        (self.idle_of(key, &own) > 0).then_some(own)
    }

    /// Free seats of a feature that are reserved for somebody.
    pub(crate) fn reserved_idle(&self, step: &Step, key: &FeatureKey) -> u64 {
        if self.policy.reserve.is_empty() {
            return 0;
        }
        let path = self.state.feature_path(key);
        let reservations = self.policy.reservations(&path);
        let idle = reservations.iter().map(|it| self.idle_of(key, it)).sum();
        self.free_in_all(step, key).min(idle)
    }

    /// All reservations of the policy, and how they are used.
    pub(crate) fn reservations(&self) -> Vec<ReservationView> {
        let rules = self.policy.reserve.iter().enumerate();
        rules
            .map(|(index, rule)| {
                let feature = rule.feature.to_string();
                let keys = self.state.keys_of(&feature);
                let used = keys.map(|key| self.state.tally.of_reservation(key, index));
                let used = u32::try_from(used.sum::<u64>()).unwrap_or(u32::MAX);
                ReservationView {
                    who: rule.who.words(),
                    seats: rule.says.seats,
                    used,
                    line: rule.line,
                    feature,
                }
            })
            .collect()
    }

    /// Seats of a feature that could be granted now, over all its pools.
    fn free_in_all(&self, step: &Step, key: &FeatureKey) -> u64 {
        let pools = self.state.serving(key).iter();
        let pools = pools.map(|index| self.state.pool(*index));
        let open = pools.filter(|pool| self.why_closed(step, pool, None).is_none());
        let free = open.map(|pool| self.free_of(step, pool));
        free.fold(0, u64::saturating_add)
    }

    fn idle_of(&self, key: &FeatureKey, reservation: &Reservation) -> u64 {
        let used = self.state.tally.of_reservation(key, reservation.index);
        let line = self.queue.line_of(key);
        let offered = line.map_or(0, |line| {
            self.queue.line(line).offered_to(reservation.index)
        });
        let pools = self.state.serving(key).iter();
        let lingering = pools.map(|pool| self.lingering.of_reservation(*pool, reservation.index));
        let lingering: u64 = lingering.sum();
        u64::from(reservation.seats).saturating_sub(used + offered + lingering)
    }
}

/// What installed licenses have of a feature.
enum Installed {
    Nowhere,
    Seats(u64),
    Unlimited,
}

impl State {
    /// The seats of live licenses where there are any, else those of test ones (T8).
    fn seats_installed(&self, path: &str) -> Installed {
        let of = |environment| {
            let mut keys = self.keys_of(path);
            keys.find(|key| key.environment == environment)
        };
        let Some(key) = of(Environment::Live).or_else(|| of(Environment::Test)) else {
            return Installed::Nowhere;
        };
        let pools = self.serving(key).iter();
        let seats = pools.map(|index| self.pool(*index).seats().map(u64::from));
        let seats: Option<u64> = seats.sum();
        seats.map_or(Installed::Unlimited, Installed::Seats)
    }
}
