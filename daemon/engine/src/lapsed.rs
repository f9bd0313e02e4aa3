//! Who lost seats by silence (lid-close): for ten minutes its next checkout of them is served before
//! all who wait (L6). Volatile and bounded; what is offered or reserved for others it never takes.

use std::collections::{BTreeMap, VecDeque};

use usher_protocol::{ids::PublicKey, time::BootMs};

use crate::{
    limits::{LAPSE_KEPT_MS, LAPSES_MAX},
    pool::FeatureKey,
};

/// Seats that lapsed, for which the ex-holder comes first until then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lapse {
    pub(crate) key: FeatureKey,
    pub(crate) seats: u32,
    pub(crate) until: BootMs,
}

/// The lapses of the last ten minutes.
#[derive(Debug, Default)]
pub(crate) struct Lapses {
    known: BTreeMap<(PublicKey, FeatureKey), Vec<(BootMs, u32)>>,
    by_age: VecDeque<(BootMs, PublicKey, FeatureKey)>,
}

impl Lapses {
    /// Nobody's lease lapsed lately.
    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// A lease was taken back at its deadline.
    pub(crate) fn remember(&mut self, now: BootMs, client: PublicKey, key: FeatureKey, seats: u32) {
        let until = now.plus(LAPSE_KEPT_MS);
        if self.by_age.len() >= LAPSES_MAX {
            self.drop_oldest();
        }
        self.by_age.push_back((until, client, key.clone()));
        self.known
            .entry((client, key))
            .or_default()
            .push((until, seats));
    }

    /// Whether so many seats lapsed for this client.
    pub(crate) fn cover(
        &self,
        now: BootMs,
        client: PublicKey,
        key: &FeatureKey,
        seats: u32,
    ) -> bool {
        let Some(known) = self.known.get(&(client, key.clone())) else {
            return false;
        };
        let live = known.iter().filter(|(until, _)| now < *until);
        live.fold(0_u32, |sum, (_, seats)| sum.saturating_add(*seats)) >= seats
    }

    /// Uses them up for one checkout, the oldest first; [`Self::put_back`] undoes it.
    pub(crate) fn take(
        &mut self,
        now: BootMs,
        client: PublicKey,
        key: &FeatureKey,
        seats: u32,
    ) -> Vec<Lapse> {
        let mut taken = Vec::new();
        let mut left = seats;
        let Some(known) = self.known.get_mut(&(client, key.clone())) else {
            return taken;
        };
        for (until, seats) in known.iter_mut().filter(|(until, _)| now < *until) {
            let some = left.min(*seats);
            *seats -= some;
            left -= some;
            if some > 0 {
                taken.push(Lapse {
                    key: key.clone(),
                    seats: some,
                    until: *until,
                });
            }
        }
        taken
    }

    /// They were not used after all.
    pub(crate) fn put_back(&mut self, client: PublicKey, lapses: Vec<Lapse>) {
        for lapse in lapses {
            // What is forgotten meanwhile is over.
            if let Some(known) = self.known.get_mut(&(client, lapse.key)) {
                let same = known.iter_mut().find(|(until, _)| *until == lapse.until);
                if let Some((_, seats)) = same {
                    *seats = seats.saturating_add(lapse.seats);
                }
            }
        }
    }

    /// Forgets what is over.
    pub(crate) fn forget(&mut self, now: BootMs) {
        while self.by_age.front().is_some_and(|first| first.0 <= now) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some((until, client, key)) = self.by_age.pop_front() else {
            return;
        };
        let place = (client, key);
        if let Some(known) = self.known.get_mut(&place) {
            if let Some(oldest) = known.iter().position(|(at, _)| *at == until) {
                known.remove(oldest);
            }
            if known.is_empty() {
                self.known.remove(&place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use usher_protocol::wire::Environment;

    use super::*;

    const KEPT: u64 = LAPSE_KEPT_MS.0;

    fn place() -> (PublicKey, FeatureKey) {
        let key = FeatureKey {
            root: crate::tests::root(),
            environment: Environment::Live,
            feature: "solver".parse().unwrap(),
        };
        (PublicKey::from(&crate::tests::key(7)), key)
    }

    /// One seat lapsed at 0, three at 10.
    fn lapses() -> Lapses {
        let (client, key) = place();
        let mut lapses = Lapses::default();
        lapses.remember(BootMs(0), client, key.clone(), 1);
        lapses.remember(BootMs(10), client, key, 3);
        lapses
    }

    fn most(lapses: &Lapses, now: u64) -> u32 {
        let (client, key) = place();
        let covered = |seats: &u32| lapses.cover(BootMs(now), client, &key, *seats);
        (1..9).take_while(covered).count().try_into().unwrap()
    }

    #[test]
    fn l6_each_lapse_counts_for_ten_minutes_and_is_forgotten_then() {
        let mut lapses = lapses();
        assert_eq!(most(&lapses, KEPT - 1), 4);
        assert_eq!(most(&lapses, KEPT), 3);
        lapses.forget(BootMs(KEPT - 1));
        assert_eq!(lapses.by_age.len(), 2);
        lapses.forget(BootMs(KEPT));
        assert_eq!((lapses.by_age.len(), most(&lapses, 0)), (1, 3));
        lapses.forget(BootMs(KEPT + 10));
        assert!(lapses.known.is_empty() && lapses.by_age.is_empty());
    }

    #[test]
    fn l6_the_oldest_lapse_is_used_up_first_and_can_be_put_back() {
        let (client, key) = place();
        let mut lapses = lapses();
        let taken = lapses.take(BootMs(20), client, &key, 2);
        let seats: Vec<_> = taken.iter().map(|it| (it.until.0, it.seats)).collect();
        assert_eq!(seats, [(KEPT, 1), (KEPT + 10, 1)]);
        assert_eq!(most(&lapses, 20), 2);
        let more = lapses.take(BootMs(20), client, &key, 1);
        assert_eq!(more.len(), 1, "what is used up is not taken");
        lapses.put_back(client, more);
        lapses.put_back(client, taken);
        assert_eq!(most(&lapses, 20), 4);
        // The older one is over at this very moment.
        let taken = lapses.take(BootMs(KEPT), client, &key, 4);
        assert_eq!(taken.iter().map(|it| it.seats).collect::<Vec<_>>(), [3]);
    }
}
