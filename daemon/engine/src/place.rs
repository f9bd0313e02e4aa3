//! What waiters are told of their places (L9): the first of a line at once, the others at most once a
//! second, each only when something changed for it. Nobody has to ask.

use usher_protocol::{
    time::BootMs,
    wire::{Place, Push},
};

use crate::{
    api::WaiterView,
    engine::Engine,
    flow,
    limits::{PLACES_AT_ONCE_MAX, PLACES_PER_STEP_MAX, WAITERS_SHOWN_MAX},
    line::LineIndex,
    pool::FeatureKey,
    queue::{Rank, Waiter},
    step::Step,
};

impl Engine {
    /// Where a waiter stands: a set stands where it is furthest back.
    pub(crate) fn place_of(&self, number: u64) -> Place {
        let Some(waiter) = self.queue.waiter(number) else {
            return NOWHERE;
        };
        let places = waiter.lines.iter().map(|index| {
            let position = self.queue.line(*index).position(waiter.rank);
            self.place(*index, count(position))
        });
        places.max_by_key(|place| place.position).unwrap_or(NOWHERE)
    }

    /// How many wait for a feature, those who are offered seats left out.
    pub(crate) fn waiting_for(&self, key: &FeatureKey) -> u32 {
        let line = self.queue.line_of(key);
        line.map_or(0, |line| count(self.queue.line(line).len()))
    }

    /// Says what changed in this step, and what is left from earlier ones.
    pub(crate) fn tell_places(&mut self, step: &mut Step) {
        for index in self.queue.take_moved() {
            self.tell_first(step, index);
        }
        let mut left = PLACES_PER_STEP_MAX;
        while left > 0 {
            let Some(index) = self.queue.take_rest(step.now.boot) else {
                return;
            };
            self.tell_rest(step, index, &mut left);
        }
    }

    /// Who waits, line by line, first in front; those who are offered seats before them.
    pub(crate) fn waiters(&self, step: &Step) -> Vec<WaiterView> {
        let mut views = Vec::new();
        for index in self.queue.lines() {
            let offered = self.queue.waiters().filter(|(_, waiter)| {
                waiter.offer.is_some() && waiter.lines.first() == Some(&index)
            });
            views.extend(offered.map(|(_, waiter)| self.waiter_view(step, waiter, NOWHERE)));
            for (before, rank) in self.queue.line(index).from(Rank::FIRST).enumerate() {
                let Some(waiter) = self.queue.waiter(rank.number) else {
                    continue;
                };
                let place = match waiter.lines[..] {
                    [_] => self.place(index, count(before + 1)),
                    _ => waiter.told,
                };
                if waiter.lines.first() == Some(&index) {
                    views.push(self.waiter_view(step, waiter, place));
                }
                if views.len() >= WAITERS_SHOWN_MAX {
                    return views;
                }
            }
        }
        views
    }

    fn tell_first(&mut self, step: &mut Step, index: LineIndex) {
        let line = self.queue.line(index);
        let first: Vec<Rank> = line.from(Rank::FIRST).take(PLACES_AT_ONCE_MAX).collect();
        let is_longer = line.len() > first.len();
        for (before, rank) in first.into_iter().enumerate() {
            self.tell_one(step, index, rank.number, count(before + 1));
        }
        if is_longer {
            self.queue.tell_rest_later(index, step.now.boot);
        }
    }

    /// A piece of those behind the first.
    fn tell_rest(&mut self, step: &mut Step, index: LineIndex, left: &mut usize) {
        let line = self.queue.line(index);
        let (from, skipped, before) = match line.telling.rest_from {
            Some((rank, before)) => (rank, 0, before),
            None => (Rank::FIRST, PLACES_AT_ONCE_MAX, PLACES_AT_ONCE_MAX),
        };
        let ranks = line.from(from).skip(skipped);
        let mut piece: Vec<Rank> = ranks.take(*left + 1).collect();
        let next = (piece.len() > *left).then(|| piece.pop()).flatten();
        let told = piece.len();
        for (place, rank) in piece.into_iter().enumerate() {
            self.tell_one(step, index, rank.number, count(before + place + 1));
        }
        *left -= told;
        let now = step.now.boot;
        self.queue
            .told_rest(index, now, next.map(|rank| (rank, before + told)));
    }

    fn tell_one(&mut self, step: &mut Step, index: LineIndex, number: u64, position: u32) {
        let Some(waiter) = self.queue.waiter(number) else {
            return;
        };
        let place = match waiter.lines[..] {
            [_] => self.place(index, position),
            _ => self.place_of(number),
        };
        if differs(&waiter.told, &place) {
            step.push(waiter, Push::Queued(waiter.nonce(), place));
            self.queue.tell(number, place);
        }
    }

    fn place(&self, index: LineIndex, position: u32) -> Place {
        let line = self.queue.line(index);
        let pools = self.state.serving(&line.key).iter();
        let rates = pools.filter_map(|pool| self.state.pool(*pool).flow.rate());
        let rate = rates.fold(0, u64::saturating_add);
        Place {
            position,
            waiting: count(line.len()),
            expected_ms: flow::expected(position, rate),
        }
    }

    fn waiter_view(&self, step: &Step, waiter: &Waiter, place: Place) -> WaiterView {
        let vendor = self.vendor_name(waiter.caller.root);
        let features = waiter.checkouts.iter();
        let features: Vec<_> = features
            .map(|checkout| format!("{vendor}/{}", checkout.feature))
            .collect();
        let holder = &waiter.checkouts[0].holder;
        let left = |until: BootMs| until.since(step.now.boot);
        WaiterView {
            feature: features.join(" + "),
            place,
            seats: waiter.seats(),
            user: holder.user.clone(),
            host: holder.host.clone(),
            priority: waiter.rank.priority.0,
            waited_ms: step.now.boot.since(waiter.since),
            offered_ms: waiter.offer.as_ref().map(|offer| left(offer.until)),
            cut_off_ms: waiter.cut_off.map(left),
        }
    }
}

/// The place of who stands in no line: what it is offered is its own.
pub(crate) const NOWHERE: Place = Place {
    position: 0,
    waiting: 0,
    expected_ms: None,
};

/// Whether it is worth a word: another position, or an estimate that is off by more than a quarter.
fn differs(told: &Place, place: &Place) -> bool {
    if told.position != place.position {
        return true;
    }
    match (told.expected_ms, place.expected_ms) {
        (Some(told), Some(now)) => told.0.abs_diff(now.0) > told.0 / 4,
        (told, now) => told != now,
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use usher_protocol::time::DurationMs;

    use super::*;

    fn place(position: u32, expected: Option<u64>) -> Place {
        Place {
            position,
            waiting: 9,
            expected_ms: expected.map(DurationMs),
        }
    }

    #[test]
    fn l9_another_place_or_an_estimate_off_by_more_than_a_quarter_is_told() {
        let told = place(3, Some(100));
        for same in [place(3, Some(100)), place(3, Some(125)), place(3, Some(75))] {
            assert!(!differs(&told, &same), "{same:?}");
        }
        for other in [place(3, Some(126)), place(3, Some(74)), place(2, Some(100))] {
            assert!(differs(&told, &other), "{other:?}");
        }
        assert!(differs(&told, &place(3, None)));
        assert!(differs(&place(3, None), &told));
        assert!(!differs(&place(3, None), &place(3, None)));
    }
}
