//! Who may stand in the queue, and how one leaves it: with seats, at its own word, cut off for too
//! long, or dismissed because it can never be served (L9).
//!
//! Whose turn it is, is decided in `offer.rs`.

use std::cmp::Reverse;

use usher_protocol::{
    ids::Nonce,
    refusal::{Refusal, RefusalCode},
    wire::{Checkout, Push},
};

use crate::{
    api::{Answer, Caller, ConnectionId},
    decide::Asker,
    engine::Engine,
    lapsed::Lapse,
    limits::{
        GAVE_UP_MS_MIN, PLACE_KEPT_MS, QUEUE_RETRY_MS, WAITERS_MAX, WAITERS_PER_CLIENT_MAX,
        WAITERS_PER_FEATURE_MAX, WAITS_ENDED_MAX,
    },
    line::LineIndex,
    place::NOWHERE,
    pool::FeatureKey,
    queue::{Rank, Waiter},
    record::What,
    step::{Asked, CLIENT, DAEMON, Step, no},
};

impl Engine {
    /// The rank of a checkout, or of a set of them, that comes now: an ex-holder of all of it is
    /// before everybody (L6), the others stand by the lowest priority of what they ask for. A set has
    /// one rank in all its lines, so that no two sets wait for each other.
    pub(crate) fn rank_of(&self, step: &Step, caller: &Caller, checkouts: &[Checkout]) -> Rank {
        Rank {
            is_newcomer: !self.has_lapsed(step, caller, checkouts),
            ..Rank::last(self.priority_of(caller, checkouts))
        }
    }

    /// Another policy: who waits stands where that says, and is judged by it.
    pub(crate) fn rank_anew(&mut self) {
        let standings: Vec<_> = self
            .queue
            .waiters()
            .map(|(number, waiter)| {
                let priority = self.priority_of(&waiter.caller, &waiter.checkouts);
                let rank = Rank {
                    priority: Reverse(priority),
                    ..waiter.rank
                };
                let reservations =
                    self.reservations_of(&waiter.caller, &waiter.checkouts, &waiter.lines);
                (number, rank, reservations)
            })
            .collect();
        for (number, rank, reservations) in standings {
            self.queue.rank_anew(number, rank, reservations);
        }
        self.queue.touch_all();
    }

    /// Uses the lapses up that gave a checkout its rank.
    pub(crate) fn take_lapses(
        &mut self,
        step: &Step,
        caller: &Caller,
        checkouts: &[Checkout],
        rank: Rank,
    ) -> Vec<Lapse> {
        if rank.is_newcomer {
            return Vec::new();
        }
        let taken = checkouts.iter().flat_map(|checkout| {
            let key = FeatureKey::of(caller.root, checkout);
            let seats = checkout.seats;
            self.lapses.take(step.now.boot, caller.client, &key, seats)
        });
        taken.collect()
    }

    /// Stands in the queue behind all of its rank. The checkouts have no room now.
    pub(crate) fn stand_in_line(
        &mut self,
        step: &mut Step,
        caller: &Caller,
        checkouts: &[Checkout],
        rank: Rank,
    ) -> Asked {
        let mut lines: Vec<LineIndex> = checkouts
            .iter()
            .map(|it| self.queue.open_line(&FeatureKey::of(caller.root, it)))
            .collect();
        lines.sort_unstable();
        lines.dedup();
        self.check_queue(caller, &lines)?;
        let lapses = self.take_lapses(step, caller, checkouts, rank);
        let number = self.queue.next_number();
        let rank = Rank { number, ..rank };
        self.queue.join(Waiter {
            rank,
            caller: *caller,
            checkouts: checkouts.into(),
            reservations: self.reservations_of(caller, checkouts, &lines),
            lines,
            since: step.now.boot,
            offer: None,
            cut_off: None,
            told: NOWHERE,
            lapses,
        });
        self.block(step, number);
        Ok(self.tell_place(number))
    }

    /// A waiter asks once more: it claims what it is offered, hears where it stands, or does not wish
    /// to wait any more.
    pub(crate) fn wait_on(
        &mut self,
        step: &mut Step,
        caller: &Caller,
        number: u64,
        checkouts: &[Checkout],
    ) -> Result<Again, Box<Refusal>> {
        let known = self.queue.waiter(number);
        let same =
            known.filter(|it| it.caller.root == caller.root && is_same(&it.checkouts, checkouts));
        let Some(waiter) = same else {
            return Err(nonce_waits());
        };
        let waited_ms = step.now.boot.since(waiter.since);
        let is_offered = waiter.offer.is_some();
        self.queue.bind(number, *caller);
        if is_offered {
            return self.claim(step, caller, number, checkouts, waited_ms);
        }
        if !checkouts.iter().all(|it| it.wait) {
            self.give_up(step, CLIENT, number);
            return Ok(Again::Left);
        }
        Ok(Again::Waits(self.tell_place(number)))
    }

    /// The answer to a waiter: where it stands.
    pub(crate) fn tell_place(&mut self, number: u64) -> Answer {
        let place = self.place_of(number);
        self.queue.tell(number, place);
        Answer::Queued(place)
    }

    /// Out of the queue at the client's word; once more, or never there, is as good.
    pub(crate) fn leave(&mut self, step: &mut Step, caller: &Caller, nonce: Nonce) -> Answer {
        if let Some(number) = self.queue.find(caller.client, nonce) {
            self.give_up(step, CLIENT, number);
        }
        Answer::Left
    }

    /// A connection is gone: closed by the client, its waiters leave; cut, their places are kept.
    pub(crate) fn disconnected(
        &mut self,
        step: &mut Step,
        connection: ConnectionId,
        orderly: bool,
    ) {
        for number in self.queue.over(connection) {
            if orderly {
                self.give_up(step, CLIENT, number);
            } else {
                self.queue
                    .cut_off(number, step.now.boot.plus(PLACE_KEPT_MS));
            }
        }
    }

    /// Ends what nobody claimed and whose place is kept no longer. Who is still there queues anew, at
    /// the end: a waiter that does not answer may not hold up the others twice.
    pub(crate) fn end_waits(&mut self, step: &mut Step) {
        for _ in 0..WAITS_ENDED_MAX {
            let Some((at, number)) = self.queue.first_end() else {
                return;
            };
            if step.now.boot < at {
                return;
            }
            let offered = self.queue.waiter(number).map(|it| it.offer.is_some());
            if offered == Some(true) {
                self.push_dismissed(step, number, unclaimed());
            }
            self.give_up(step, DAEMON, number);
        }
    }

    /// Can never be served: out, with the reason.
    pub(crate) fn dismiss(&mut self, step: &mut Step, number: u64, refusal: Refusal) {
        let code = refusal.code;
        self.push_dismissed(step, number, refusal);
        if let Some(waiter) = self.take_out(number) {
            self.count_denials(step, &waiter, code);
        }
    }

    /// Served: out, with nothing to say.
    pub(crate) fn served(&mut self, number: u64) {
        if let Some(waiter) = self.queue.remove(number) {
            debug_assert!(waiter.offer.is_none(), "what was offered is counted as out");
        }
    }

    fn give_up(&mut self, step: &mut Step, actor: &str, number: u64) {
        let Some(waiter) = self.take_out(number) else {
            return;
        };
        let waited_ms = step.now.boot.since(waiter.since);
        if waited_ms < GAVE_UP_MS_MIN {
            return self.count_denials(step, &waiter, RefusalCode::NoSeat);
        }
        for checkout in waiter.checkouts.iter() {
            let what = What::GaveUp {
                root: waiter.caller.root,
                feature: checkout.feature.clone(),
                holder: checkout.holder.clone(),
                waited_ms,
            };
            self.event(step, actor, what);
        }
    }

    /// Out of the queue without seats: its offer and its lapses are given back.
    pub(crate) fn take_out(&mut self, number: u64) -> Option<Waiter> {
        self.withdraw(number);
        let waiter = self.queue.remove(number)?;
        self.lapses
            .put_back(waiter.caller.client, waiter.lapses.clone());
        Some(waiter)
    }

    fn push_dismissed(&self, step: &mut Step, number: u64, refusal: Refusal) {
        if let Some(waiter) = self.queue.waiter(number) {
            let push = Push::Dismissed(waiter.nonce(), refusal);
            step.push(waiter, push);
        }
    }

    fn count_denials(&mut self, step: &Step, waiter: &Waiter, code: RefusalCode) {
        for checkout in waiter.checkouts.iter() {
            self.note_denial(step, &waiter.caller, checkout, code);
        }
    }

    /// The reservation that the holder belongs to in each of these lines.
    fn reservations_of(
        &self,
        caller: &Caller,
        checkouts: &[Checkout],
        lines: &[LineIndex],
    ) -> Vec<Option<usize>> {
        let of = |index: &LineIndex| {
            let key = &self.queue.line(*index).key;
            let mut same = checkouts.iter();
            let same = same.find(|it| FeatureKey::of(caller.root, it) == *key)?;
            self.reservation_of(&Asker::of(caller, &same.holder), key)
        };
        lines.iter().map(of).collect()
    }

    fn priority_of(&self, caller: &Caller, checkouts: &[Checkout]) -> i32 {
        if self.policy.priority.is_empty() {
            return 0;
        }
        let priorities = checkouts.iter().map(|checkout| {
            let asker = Asker::of(caller, &checkout.holder);
            self.priority(&asker, &FeatureKey::of(caller.root, checkout))
        });
        priorities.min().unwrap_or_default()
    }

    fn has_lapsed(&self, step: &Step, caller: &Caller, checkouts: &[Checkout]) -> bool {
        if self.lapses.is_empty() {
            return false;
        }
        checkouts.iter().enumerate().all(|(index, checkout)| {
            let key = FeatureKey::of(caller.root, checkout);
            // Several of one feature need lapses for all of them.
            let same = |it: &&Checkout| FeatureKey::of(caller.root, it) == key;
            let seats = checkouts[..=index].iter().filter(same).map(|it| it.seats);
            let seats = seats.fold(0, u32::saturating_add);
            self.lapses.cover(step.now.boot, caller.client, &key, seats)
        })
    }

    /// A3.
    fn check_queue(&self, caller: &Caller, lines: &[LineIndex]) -> Result<(), Box<Refusal>> {
        let longest = lines.iter().map(|line| self.queue.line(*line).len()).max();
        let longest = longest.unwrap_or_default();
        let bounds = [
            (longest, WAITERS_PER_FEATURE_MAX, "for this feature"),
            (
                self.queue.len_of(caller.client),
                WAITERS_PER_CLIENT_MAX,
                "with this client key",
            ),
            (self.queue.len(), WAITERS_MAX, "here in all"),
        ];
        let Some((count, _, whose)) = bounds.into_iter().find(|(count, max, _)| count >= max)
        else {
            return Ok(());
        };
        let detail = format!("{count} wait {whose}, as many as may; ask again later");
        let refusal = Refusal::new(RefusalCode::QueueFull, detail);
        Err(Box::new(refusal.retry_after(QUEUE_RETRY_MS)))
    }
}

/// What a waiter gets that asks once more.
pub(crate) enum Again {
    /// Its leases, in the order asked for.
    Granted(Vec<Answer>),
    /// Not its turn, or the rules changed their mind: its place.
    Waits(Answer),
    /// It is out of the queue by its own wish.
    Left,
}

/// `wait` and the chain's first token are no part of what a repeat must match.
fn is_same(known: &[Checkout], asked: &[Checkout]) -> bool {
    let same = |(known, asked): (&Checkout, &Checkout)| {
        let asked = Checkout {
            wait: known.wait,
            token: known.token,
            ..asked.clone()
        };
        *known == asked
    };
    known.len() == asked.len() && known.iter().zip(asked).all(same)
}

/// The nonce names a waiter that asks for something else (L5).
pub(crate) fn nonce_waits() -> Box<Refusal> {
    no(
        RefusalCode::NonceReused,
        "this nonce belongs to a checkout of something else that waits; make a fresh one for each checkout",
    )
}

fn unclaimed() -> Refusal {
    Refusal::new(
        RefusalCode::NoSeat,
        "a seat was offered and not claimed in time, so it went to the next; ask again to stand in the queue anew",
    )
}
