//! Who must wait after an evict, so that an application does not take the seat back at once.
//!
//! The holder (client key and user) gets no new seat of the feature while the evicted lease runs and for
//! a while after its end. Volatile and bounded: a restart forgets it, and the eviction itself does not.

use std::collections::BTreeMap;

use usher_protocol::{
    ids::{LeaseId, PublicKey},
    refusal::{Refusal, RefusalCode},
    time::{BootMs, DurationMs},
};

use crate::{
    decide::{Asker, Wish},
    engine::Engine,
    limits::{COOL_DOWN_MS_DEFAULT, COOL_DOWN_MS_MAX, COOL_DOWNS_MAX},
    policy::fold,
    pool::FeatureKey,
    step::{Step, no},
};

/// Client key, user as names are compared, feature.
type Holder = (PublicKey, String, FeatureKey);

/// The holders that must wait.
#[derive(Debug, Default)]
pub(crate) struct Cooling {
    holders: BTreeMap<Holder, Wait>,
    /// Not later than the first end of a pause.
    next_end: Option<BootMs>,
}

/// How long one must wait.
#[derive(Debug, Default)]
struct Wait {
    /// Evicted leases that still run, and the pause after each.
    running: BTreeMap<LeaseId, DurationMs>,
    /// The end of the pauses after leases that are over.
    until: BootMs,
}

impl Cooling {
    /// When a pause may end next; early is harmless.
    pub(crate) fn next_end(&self) -> Option<BootMs> {
        self.next_end
    }

    /// Forgets pauses that are over. Whether there were any.
    fn end_due(&mut self, now: BootMs) -> bool {
        if self.next_end.is_none_or(|end| now < end) {
            return false;
        }
        let before = self.holders.len();
        let lasts = |wait: &Wait| !wait.running.is_empty() || now < wait.until;
        self.holders.retain(|_, wait| lasts(wait));
        let ends = self.holders.values().map(|wait| wait.until);
        self.next_end = ends.filter(|until| now < *until).min();
        self.holders.len() < before
    }

    fn make_room(&mut self, now: BootMs) {
        let lasts = |wait: &Wait| !wait.running.is_empty() || now < wait.until;
        self.holders.retain(|_, wait| lasts(wait));
        if self.holders.len() >= COOL_DOWNS_MAX {
            // Whose pause ends first loses least by being forgotten.
            let key = |(_, wait): &(&Holder, &Wait)| (!wait.running.is_empty(), wait.until);
            let first = self.holders.iter().min_by_key(key);
            if let Some(holder) = first.map(|(holder, _)| holder.clone()) {
                self.holders.remove(&holder);
            }
        }
    }
}

/// The pause an administrator asked for, or the usual one.
///
/// # Errors
/// One that is too long.
pub(crate) fn checked(cool_down_ms: Option<DurationMs>) -> Result<DurationMs, Box<Refusal>> {
    let length = cool_down_ms.unwrap_or(COOL_DOWN_MS_DEFAULT);
    if length <= COOL_DOWN_MS_MAX {
        return Ok(length);
    }
    let detail = format!("a cool-down lasts {COOL_DOWN_MS_MAX} at the longest");
    Err(no(RefusalCode::BadRequest, detail))
}

impl Engine {
    /// The holder of an evicted lease waits, from now until so long after its end.
    pub(crate) fn cool_down(&mut self, step: &Step, id: LeaseId, length: DurationMs) {
        let Some(holder) = self.cooling_holder(id) else {
            return;
        };
        if length > DurationMs::ZERO {
            self.cooling.make_room(step.now.boot);
            let wait = self.cooling.holders.entry(holder).or_default();
            wait.running.insert(id, length);
        } else if let Some(wait) = self.cooling.holders.get_mut(&holder) {
            wait.running.remove(&id);
        }
    }

    /// A lease is over: the pause after it is counted from here.
    pub(crate) fn begin_cool_down(&mut self, step: &Step, id: LeaseId) {
        if self.cooling.holders.is_empty() {
            return;
        }
        let holder = self.cooling_holder(id);
        let wait = holder.and_then(|holder| self.cooling.holders.get_mut(&holder));
        let Some(wait) = wait else { return };
        if let Some(length) = wait.running.remove(&id) {
            wait.until = wait.until.max(step.now.boot.plus(length));
            let end = wait.until;
            let next = self.cooling.next_end.map_or(end, |next| next.min(end));
            self.cooling.next_end = Some(next);
        }
    }

    /// Who waited in the queue through a pause, is looked at again (L9).
    pub(crate) fn end_cool_downs(&mut self, now: BootMs) {
        if self.cooling.end_due(now) {
            self.queue.touch_all();
        }
    }

    /// Refuses who must wait.
    pub(crate) fn check_cooling(
        &self,
        step: &Step,
        asker: &Asker<'_>,
        wish: &Wish,
    ) -> Result<(), Box<Refusal>> {
        let Some(client) = asker.client.filter(|_| !self.cooling.holders.is_empty()) else {
            return Ok(());
        };
        let user = fold(&asker.holder.user).into_owned();
        let holder = (client, user, wish.key.clone());
        let Some(wait) = self.cooling.holders.get(&holder) else {
            return Ok(());
        };
        let after = |(id, length): (&LeaseId, &DurationMs)| {
            let lease = self.state.leases.get(id)?;
            Some(lease.deadline?.plus(*length))
        };
        let ends = wait.running.iter().filter_map(after);
        let until = ends.fold(wait.until, BootMs::max);
        if until <= step.now.boot {
            return Ok(());
        }
        let left = until.since(step.now.boot);
        let detail = match wait.running.len() {
            0 => format!(
                "the administrator took your seat of {} back; it may be asked for again in {left}",
                wish.key.feature
            ),
            _ => format!(
                "the administrator takes your seat of {} back; give it back, and ask again a while later, in {left} at the latest",
                wish.key.feature
            ),
        };
        let refusal = Refusal::new(RefusalCode::CoolingDown, detail);
        Err(Box::new(refusal.retry_after(left)))
    }

    fn cooling_holder(&self, id: LeaseId) -> Option<Holder> {
        let entry = self.state.leases.get(&id)?;
        let key = self.state.pool(entry.pool).key.feature_key();
        let user = fold(&entry.holder.user).into_owned();
        Some((entry.client, user, key))
    }
}

#[cfg(test)]
mod tests {
    use usher_protocol::{
        ids::{Commit, Epoch},
        wire::Environment,
    };

    use super::*;

    const NOW: BootMs = BootMs(100);

    fn holder(user: &str) -> Holder {
        let client = PublicKey::from(&crate::tests::key(7));
        let key = FeatureKey {
            root: crate::tests::root(),
            environment: Environment::Live,
            feature: "solver".parse().unwrap(),
        };
        (client, user.to_owned(), key)
    }

    fn wait(until: u64, runs: bool) -> Wait {
        let lease = LeaseId {
            epoch: Epoch(1),
            commit: Commit(1),
        };
        let running = runs.then_some((lease, DurationMs(9)));
        Wait {
            running: running.into_iter().collect(),
            until: BootMs(until),
        }
    }

    /// Pauses over before and at `NOW`, one that goes on, and two of leases that still run.
    fn cooling() -> Cooling {
        let holders = [
            ("before", wait(99, false)),
            ("at", wait(100, false)),
            ("later", wait(200, false)),
            ("runs", wait(0, true)),
            ("runs again", wait(100, true)),
        ];
        Cooling {
            holders: holders.map(|(user, wait)| (holder(user), wait)).into(),
            next_end: Some(BootMs(99)),
        }
    }

    fn users(cooling: &Cooling) -> Vec<&str> {
        let users = cooling.holders.keys().map(|(_, user, _)| user.as_str());
        users.collect()
    }

    #[test]
    fn l7_a_pause_ends_at_its_moment_and_that_of_a_lease_that_runs_does_not() {
        let mut cooling = cooling();
        assert!(!cooling.end_due(BootMs(98)));
        assert_eq!(users(&cooling).len(), 5);
        assert!(cooling.end_due(NOW));
        assert_eq!(users(&cooling), ["later", "runs", "runs again"]);
        assert_eq!(cooling.next_end(), Some(BootMs(200)));
        // Waking early ends nothing, and sleeping long ends what is over.
        cooling.next_end = Some(NOW);
        assert!(!cooling.end_due(NOW));
        assert_eq!(cooling.next_end(), Some(BootMs(200)));
        assert!(cooling.end_due(BootMs(900)));
        assert_eq!(users(&cooling), ["runs", "runs again"]);
        assert_eq!(cooling.next_end(), None);
    }

    #[test]
    fn a3_room_is_made_of_what_is_over_and_then_of_the_pause_that_ends_first() {
        let mut cooling = cooling();
        cooling.make_room(NOW);
        assert_eq!(users(&cooling), ["later", "runs", "runs again"]);
        for number in cooling.holders.len()..COOL_DOWNS_MAX {
            let pause = wait(300, false);
            cooling.holders.insert(holder(&format!("n{number}")), pause);
        }
        cooling.make_room(NOW);
        assert_eq!(cooling.holders.len(), COOL_DOWNS_MAX - 1);
        assert!(!users(&cooling).contains(&"later"));
        assert!(users(&cooling).contains(&"runs"));
        cooling.make_room(NOW);
        assert_eq!(cooling.holders.len(), COOL_DOWNS_MAX - 1);
    }
}
