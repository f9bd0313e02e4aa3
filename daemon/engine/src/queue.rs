//! Who waits for what, and in which order (L9). It keeps waiters, their lines and their timers, and
//! decides nothing: who may stand here is `wait.rs`, whose turn it is `offer.rs`, what they are told
//! `place.rs`. Volatile: after a restart clients queue anew.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use usher_protocol::{
    ids::{Nonce, PublicKey},
    time::BootMs,
    wire::{Checkout, Place},
};

use crate::{
    api::{Caller, ConnectionId},
    lapsed::Lapse,
    limits::{LINES_EACH_MS, PLACES_EACH_MS},
    line::{Line, LineIndex},
    pool::{FeatureKey, PoolIndex},
};

/// A place among those who wait; the smaller is served first. One order for all features, so that
/// sets which wait for several cannot block each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// False comes first: an ex-holder whose lease lapsed is at the head of the queue (L6).
    pub(crate) is_newcomer: bool,
    /// By policy; the higher is served first.
    pub(crate) priority: Reverse<i32>,
    /// In order of arrival.
    pub(crate) number: u64,
}

impl Rank {
    /// Before everybody: who claims an offer has had its turn.
    pub(crate) const FIRST: Self = Self {
        is_newcomer: false,
        priority: Reverse(i32::MAX),
        number: 0,
    };

    /// Behind everybody of its priority.
    pub(crate) const fn last(priority: i32) -> Self {
        Self {
            is_newcomer: true,
            priority: Reverse(priority),
            number: u64::MAX,
        }
    }
}

/// One that waits: a checkout, or a set of them that is served together or not at all.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) rank: Rank,
    /// As it asked last: what is pushed goes over this connection.
    pub(crate) caller: Caller,
    pub(crate) checkouts: Arc<[Checkout]>,
    /// The lines it stands in, each once.
    pub(crate) lines: Vec<LineIndex>,
    /// The reservation it belongs to in each of them.
    pub(crate) reservations: Vec<Option<usize>>,
    pub(crate) since: BootMs,
    pub(crate) offer: Option<Offer>,
    /// Cut off, and its place kept until then.
    pub(crate) cut_off: Option<BootMs>,
    /// What it was told last.
    pub(crate) told: Place,
    /// What it stands at the head for (L6); given back when it leaves without a seat.
    pub(crate) lapses: Vec<Lapse>,
}

/// Seats kept for a waiter until it claims them.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) until: BootMs,
    pub(crate) kept: Vec<Kept>,
}

/// Seats of one pool, kept for one of its line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    pub(crate) pool: PoolIndex,
    pub(crate) line: LineIndex,
    pub(crate) seats: u32,
}

impl Waiter {
    /// When it is over with it, if nothing is heard: an offer made meanwhile runs to its end.
    pub(crate) fn ends(&self) -> Option<BootMs> {
        self.offer.as_ref().map(|it| it.until).or(self.cut_off)
    }

    /// The name of it on the wire.
    pub(crate) fn nonce(&self) -> Nonce {
        self.checkouts[0].nonce
    }

    /// Its lines, and the reservation it belongs to in each.
    pub(crate) fn standings(&self) -> impl Iterator<Item = (LineIndex, Option<usize>)> + '_ {
        let lines = self.lines.iter().copied();
        lines.zip(self.reservations.iter().copied())
    }

    /// The reservation it belongs to in this line.
    fn reservation_in(&self, line: LineIndex) -> Option<usize> {
        let mut standings = self.standings();
        standings.find(|(index, _)| *index == line)?.1
    }

    /// Seats asked for in each of its lines, or fewer.
    fn seats_at_least(&self) -> u32 {
        match self.checkouts[..] {
            [ref only] => only.seats,
            _ => 1,
        }
    }

    /// Seats asked for in all.
    pub(crate) fn seats(&self) -> u32 {
        let seats = self.checkouts.iter().map(|it| it.seats);
        seats.fold(0, u32::saturating_add)
    }
}

/// Everybody who waits; volatile and bounded by `wait.rs`.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiters: BTreeMap<u64, Waiter>,
    by_nonce: BTreeMap<(PublicKey, Nonce), u64>,
    by_connection: BTreeSet<(ConnectionId, u64)>,
    by_client: BTreeMap<PublicKey, usize>,
    timers: BTreeSet<(BootMs, u64)>,
    lines: Vec<Line>,
    line_by_key: BTreeMap<FeatureKey, LineIndex>,
    /// Lines whose waiters are to be looked at.
    due: VecDeque<LineIndex>,
    /// Waiters to be looked at by themselves, wherever they stand.
    alone: BTreeSet<u64>,
    /// Lines in which places changed in this step.
    moved: BTreeSet<LineIndex>,
    /// When those further back in a line are told of it.
    rests: BTreeSet<(BootMs, LineIndex)>,
    /// When all lines are looked at, though nothing was seen to change.
    look_at: Option<BootMs>,
    number_last: u64,
    /// Waiters looked at so far: what a test counts instead of time.
    #[cfg(test)]
    pub(crate) looks: u64,
}

impl Queue {
    /// Nobody waits: all that concerns waiters can be left out.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// How many wait in all.
    pub(crate) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// How many of one client key wait.
    pub(crate) fn len_of(&self, client: PublicKey) -> usize {
        self.by_client.get(&client).copied().unwrap_or_default()
    }

    /// The next number of arrival.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.number_last += 1;
        self.number_last
    }

    /// The waiter whom one of these nonces names.
    pub(crate) fn find(&self, client: PublicKey, nonce: Nonce) -> Option<u64> {
        self.by_nonce.get(&(client, nonce)).copied()
    }

    /// One waiter.
    pub(crate) fn waiter(&self, number: u64) -> Option<&Waiter> {
        self.waiters.get(&number)
    }

    /// All waiters in order of arrival.
    pub(crate) fn waiters(&self) -> impl Iterator<Item = (u64, &Waiter)> {
        self.waiters
            .iter()
            .map(|(number, waiter)| (*number, waiter))
    }

    /// The line for a feature, opened when it is new.
    pub(crate) fn open_line(&mut self, key: &FeatureKey) -> LineIndex {
        if let Some(index) = self.line_by_key.get(key) {
            return *index;
        }
        let index = LineIndex(self.lines.len());
        self.lines.push(Line::new(key.clone()));
        self.line_by_key.insert(key.clone(), index);
        index
    }

    /// The line for a feature, when anybody waits or is offered something there.
    pub(crate) fn line_of(&self, key: &FeatureKey) -> Option<LineIndex> {
        if self.is_empty() {
            return None;
        }
        self.line_by_key.get(key).copied()
    }

    /// A line by its place.
    pub(crate) fn line(&self, index: LineIndex) -> &Line {
        &self.lines[index.0]
    }

    /// A line by its place, to change what is noted about it.
    pub(crate) fn line_mut(&mut self, index: LineIndex) -> &mut Line {
        &mut self.lines[index.0]
    }

    /// All lines.
    pub(crate) fn lines(&self) -> impl Iterator<Item = LineIndex> + use<> {
        (0..self.lines.len()).map(LineIndex)
    }

    /// Stands in its lines.
    pub(crate) fn join(&mut self, waiter: Waiter) {
        let (number, client) = (waiter.rank.number, waiter.caller.client);
        for checkout in waiter.checkouts.iter() {
            self.by_nonce.insert((client, checkout.nonce), number);
        }
        *self.by_client.entry(client).or_default() += 1;
        self.by_connection
            .insert((waiter.caller.connection, number));
        self.step_in(&waiter);
        self.waiters.insert(number, waiter);
    }

    /// Is gone, with its offer; the seats of that are its taker's to give back.
    pub(crate) fn remove(&mut self, number: u64) -> Option<Waiter> {
        let waiter = self.waiters.remove(&number)?;
        let client = waiter.caller.client;
        for checkout in waiter.checkouts.iter() {
            self.by_nonce.remove(&(client, checkout.nonce));
        }
        if let Some(count) = self.by_client.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                self.by_client.remove(&client);
            }
        }
        self.by_connection
            .remove(&(waiter.caller.connection, number));
        waiter.ends().map(|at| self.timers.remove(&(at, number)));
        self.step_out(&waiter);
        Some(waiter)
    }

    /// Is offered seats: out of its lines until it claims them.
    pub(crate) fn offer(&mut self, number: u64, offer: Offer) {
        self.move_to(number, |waiter| {
            let before = waiter.offer.replace(offer);
            debug_assert!(before.is_none(), "one offer at a time (L9)");
        });
    }

    /// Its offer is taken back; it stands where it stood.
    pub(crate) fn withdraw(&mut self, number: u64) -> Option<Offer> {
        let mut offer = None;
        self.move_to(number, |waiter| offer = waiter.offer.take());
        offer
    }

    /// Heard of: bound to this connection, and cut off no more.
    pub(crate) fn bind(&mut self, number: u64, caller: Caller) {
        let Some(waiter) = self.waiters.get(&number) else {
            return;
        };
        self.by_connection
            .remove(&(waiter.caller.connection, number));
        self.by_connection.insert((caller.connection, number));
        self.change(number, |waiter| {
            waiter.caller = caller;
            waiter.cut_off = None;
        });
    }

    /// Its connection is gone; its place is kept until then.
    pub(crate) fn cut_off(&mut self, number: u64, until: BootMs) {
        self.change(number, |waiter| waiter.cut_off = Some(until));
    }

    /// Stands at another rank of the same number, and belongs to other reservations.
    pub(crate) fn rank_anew(&mut self, number: u64, rank: Rank, reservations: Vec<Option<usize>>) {
        let Some(mut waiter) = self.waiters.remove(&number) else {
            return;
        };
        if waiter.rank != rank || waiter.reservations != reservations {
            self.step_out(&waiter);
            waiter.rank = rank;
            waiter.reservations = reservations;
            self.step_in(&waiter);
        }
        self.waiters.insert(number, waiter);
    }

    /// It was told this place.
    pub(crate) fn tell(&mut self, number: u64, place: Place) {
        if let Some(waiter) = self.waiters.get_mut(&number) {
            waiter.told = place;
        }
    }

    /// Who waits over this connection.
    pub(crate) fn over(&self, connection: ConnectionId) -> Vec<u64> {
        let first = (connection, 0);
        let last = (connection, u64::MAX);
        let numbers = self.by_connection.range(first..=last);
        numbers.map(|(_, number)| *number).collect()
    }

    /// Whose offer or kept place ends first, and when.
    pub(crate) fn first_end(&self) -> Option<(BootMs, u64)> {
        self.timers.first().copied()
    }

    /// Something changed for this line: its waiters are looked at again, from the first.
    pub(crate) fn touch(&mut self, index: LineIndex, everybody: bool) {
        let line = &mut self.lines[index.0];
        if !line.is_empty() && line.touch(everybody) {
            self.due.push_back(index);
        }
    }

    /// Something changed for all lines.
    pub(crate) fn touch_all(&mut self) {
        for index in self.lines() {
            self.touch(index, true);
        }
    }

    /// Something changed for all waiters of this client key.
    pub(crate) fn touch_client(&mut self, client: PublicKey) {
        let first = (client, Nonce([0; 16]));
        let last = (client, Nonce([u8::MAX; 16]));
        let numbers = self.by_nonce.range(first..=last);
        self.alone.extend(numbers.map(|(_, number)| *number));
    }

    /// The next waiter to look at by itself.
    pub(crate) fn next_alone(&mut self) -> Option<Rank> {
        while let Some(number) = self.alone.pop_first() {
            let waiter = self.waiters.get(&number);
            if let Some(waiter) = waiter.filter(|it| it.offer.is_none()) {
                return Some(waiter.rank);
            }
        }
        None
    }

    /// Whether waiters are to be looked at.
    pub(crate) fn is_due(&self) -> bool {
        !self.due.is_empty() || !self.alone.is_empty()
    }

    /// Whether a line is to be looked at.
    pub(crate) fn is_line_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// The next line to look at.
    pub(crate) fn next_due(&mut self) -> Option<LineIndex> {
        self.due.pop_front()
    }

    /// There is more to look at in this line, after the others had their turn.
    pub(crate) fn put_off(&mut self, index: LineIndex) {
        self.due.push_back(index);
    }

    /// The lines whose first ones are to be told.
    pub(crate) fn take_moved(&mut self) -> BTreeSet<LineIndex> {
        std::mem::take(&mut self.moved)
    }

    /// Those behind the first are told when their time comes.
    pub(crate) fn tell_rest_later(&mut self, index: LineIndex, now: BootMs) {
        let telling = &mut self.lines[index.0].telling;
        if telling.rest_at.is_none() {
            let soonest = telling.told_at.map(|told| told.plus(PLACES_EACH_MS));
            let at = soonest.map_or(now, |soonest| soonest.max(now));
            telling.rest_at = Some(at);
            self.rests.insert((at, index));
        } else {
            // Who was told already in this round may stand elsewhere by now.
            telling.again |= telling.rest_from.is_some();
        }
    }

    /// A line whose further ones are to be told now.
    pub(crate) fn take_rest(&mut self, now: BootMs) -> Option<LineIndex> {
        let (at, index) = self.rests.first().copied()?;
        (at <= now).then(|| {
            self.rests.pop_first();
            index
        })
    }

    /// They were told, or some of them: the next has so many before it.
    pub(crate) fn told_rest(&mut self, index: LineIndex, now: BootMs, next: Option<(Rank, usize)>) {
        let telling = &mut self.lines[index.0].telling;
        telling.rest_from = next;
        telling.rest_at = next.map(|_| now);
        if next.is_some() {
            self.rests.insert((now, index));
            return;
        }
        telling.told_at = Some(now);
        if std::mem::take(&mut telling.again) {
            self.tell_rest_later(index, now);
        }
    }

    /// Looks at all lines when it is time again.
    pub(crate) fn look_at_times(&mut self, now: BootMs) {
        if self.is_empty() {
            self.look_at = None;
            return;
        }
        let at = *self.look_at.get_or_insert(now.plus(LINES_EACH_MS));
        if at <= now {
            self.look_at = Some(now.plus(LINES_EACH_MS));
            for index in self.lines() {
                self.touch(index, false);
            }
        }
    }

    /// When there is something to do by time alone.
    pub(crate) fn wake(&self) -> Option<BootMs> {
        let end = self.timers.first().map(|first| first.0);
        let rest = self.rests.first().map(|first| first.0);
        let look = self.look_at.filter(|_| !self.is_empty());
        [end, rest, look].into_iter().flatten().min()
    }

    /// Changes a waiter, and its timer with it.
    fn change(&mut self, number: u64, change: impl FnOnce(&mut Waiter)) {
        let Some(mut waiter) = self.waiters.remove(&number) else {
            return;
        };
        let before = waiter.ends();
        change(&mut waiter);
        let after = waiter.ends();
        before.map(|at| self.timers.remove(&(at, number)));
        after.map(|at| self.timers.insert((at, number)));
        self.waiters.insert(number, waiter);
    }

    /// Changes where a waiter stands.
    fn move_to(&mut self, number: u64, change: impl FnOnce(&mut Waiter)) {
        if let Some(waiter) = self.waiters.remove(&number) {
            self.step_out(&waiter);
            self.waiters.insert(number, waiter);
        }
        self.change(number, change);
        if let Some(waiter) = self.waiters.remove(&number) {
            self.step_in(&waiter);
            self.waiters.insert(number, waiter);
        }
    }

    /// Stands in its lines, or beside them with its offer.
    fn step_in(&mut self, waiter: &Waiter) {
        let Some(offer) = &waiter.offer else {
            for (index, reservation) in waiter.standings() {
                let line = &mut self.lines[index.0];
                if line.insert(waiter.rank, waiter.seats_at_least(), reservation) {
                    self.moved.insert(index);
                }
            }
            return;
        };
        for kept in &offer.kept {
            if let Some(reservation) = waiter.reservation_in(kept.line) {
                self.lines[kept.line.0].offer_to(reservation, kept.seats);
            }
        }
    }

    /// Stands there no more. Who is no more in a line no longer blocks it.
    fn step_out(&mut self, waiter: &Waiter) {
        if let Some(offer) = &waiter.offer {
            for kept in &offer.kept {
                if let Some(reservation) = waiter.reservation_in(kept.line) {
                    self.lines[kept.line.0].withdraw_from(reservation, kept.seats);
                }
            }
            return;
        }
        for (index, reservation) in waiter.standings() {
            self.lines[index.0].remove(waiter.rank, waiter.seats_at_least(), reservation);
            self.moved.insert(index);
            self.touch(index, false);
        }
    }
}
