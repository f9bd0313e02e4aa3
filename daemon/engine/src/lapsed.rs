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
