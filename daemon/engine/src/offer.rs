//! Whose turn it is (L9): waiters are looked at in order of rank, who has room is offered it, and the
//! first that has none keeps the pools it waits for from all behind it, unless the policy lets smaller
//! requests pass.
//!
//! Whether there is room is decided in `decide.rs`, for waiters as for everybody. Work is bounded in
//! each step: what is left is done in the next, and nobody passes who was not looked at.

use usher_protocol::{
    documents::license::Grouping,
    limits::OFFER_MS,
    refusal::{Refusal, RefusalCode},
    time::{BootMs, DurationMs, Now},
    wire::{Checkout, Push},
};

use crate::{
    api::Caller,
    decide::{Asker, Verdict, Wish},
    engine::Engine,
    limits::WAITERS_LOOKED_AT_MAX,
    line::LineIndex,
    pool::{FeatureKey, Pool, PoolIndex},
    queue::{Kept, Offer, Rank},
    record::{LeaseRecord, Record},
    step::Step,
    wait::Again,
};

/// What a look at a waiter comes to.
pub(crate) enum Turn {
    /// There is room for all it asks for, and these seats are kept for it.
    Room(Vec<Kept>),
    /// No room: it waits, and all behind it that want the same.
    Blocked,
    /// Nothing for itself just now; others need not wait for that.
    PassedOver,
    /// It can never be served any more.
    Over(Box<Refusal>),
}

impl Engine {
    /// Offers what came free to those whose turn it is, as far as this step goes.
    pub(crate) fn offer_free_seats(&mut self, step: &mut Step) {
        if !self.queue.is_due() || self.check_stops(step).is_err() {
            return;
        }
        let mut looks = WAITERS_LOOKED_AT_MAX;
        while looks > 0 {
            // Shares that grow without end must not keep the lines from their turn.
            let alone_first = looks > WAITERS_LOOKED_AT_MAX / 2 || !self.queue.is_line_due();
            if alone_first && let Some(rank) = self.queue.next_alone() {
                looks -= 1;
                self.look_at_one(step, rank);
                continue;
            }
            let Some(line) = self.queue.next_due() else {
                return;
            };
            self.look_at(step, line, &mut looks);
        }
    }

    /// Now, when there is more to look at than one step may.
    pub(crate) fn look_due(&self, now: Now) -> Option<BootMs> {
        let stopped = || self.check_stops(&Step::new(now)).is_err();
        (self.queue.is_due() && !stopped()).then_some(now.boot)
    }

    /// Whether somebody who waits keeps these seats of a pool from a wish: nobody passes the queue but
    /// into the idle seats of its own reservation (L9).
    pub(crate) fn is_behind(
        &self,
        pool: PoolIndex,
        asker: &Asker<'_>,
        wish: &Wish,
        seats: u64,
    ) -> bool {
        let Some(line) = self.queue.line_of(&wish.key) else {
            return false;
        };
        let line = self.queue.line(line);
        if seats == 0 || !line.is_kept_from(pool, wish.rank, self.backfill(&wish.key)) {
            return false;
        }
        self.reserved_for(asker, &wish.key)
            .is_none_or(|(reservation, idle)| {
                seats > idle || line.is_reservation_kept_from(reservation, wish.rank)
            })
    }

    /// Grants what a waiter was offered. All rules are asked anew, but nobody comes before it: those
    /// very seats were kept for it.
    pub(crate) fn claim(
        &mut self,
        step: &mut Step,
        caller: &Caller,
        number: u64,
        checkouts: &[Checkout],
        waited_ms: DurationMs,
    ) -> Result<Again, Box<Refusal>> {
        self.withdraw(number);
        match self.turn_of(step, caller, checkouts, Rank::FIRST) {
            Turn::Room(kept) => {
                self.unkeep(&kept);
                self.served(number);
                let lent = checkouts.iter().zip(&kept).map(|(checkout, kept)| {
                    self.lend(step, caller, checkout, kept.pool, waited_ms)
                });
                lent.collect::<Result<_, _>>().map(Again::Granted)
            }
            Turn::Blocked | Turn::PassedOver => {
                self.block(step, number);
                Ok(Again::Waits(self.tell_place(number)))
            }
            Turn::Over(refusal) => {
                self.take_out(number);
                Err(refusal)
            }
        }
    }

    /// Takes an offer back, if there is one: its seats may be offered to others.
    pub(crate) fn withdraw(&mut self, number: u64) {
        if let Some(offer) = self.queue.withdraw(number) {
            self.unkeep(&offer.kept);
            for kept in offer.kept {
                self.touch_pool(kept.pool);
            }
        }
    }

    /// A waiter without room keeps the pools that could serve it from all behind it.
    pub(crate) fn block(&mut self, step: &Step, number: u64) {
        let Some(waiter) = self.queue.waiter(number) else {
            return;
        };
        let (rank, root) = (waiter.rank, waiter.caller.root);
        let reservations: Vec<_> = waiter.standings().collect();
        let checkouts = std::sync::Arc::clone(&waiter.checkouts);
        for checkout in checkouts.iter() {
            let key = FeatureKey::of(root, checkout);
            if self.backfill(&key) {
                continue;
            }
            let line = self.queue.open_line(&key);
            for pool in self.state.serving(&key).to_vec() {
                if self.can_serve(step, pool, checkout) {
                    self.queue.line_mut(line).block(pool, rank);
                }
            }
            let own = reservations.iter().find(|(index, _)| *index == line);
            if let Some((_, Some(reservation))) = own {
                let line = self.queue.line_mut(line);
                line.block_reservation(*reservation, rank);
            }
        }
    }

    /// Seats of a pool may have come free.
    pub(crate) fn touch_pool(&mut self, pool: PoolIndex) {
        if self.queue.is_empty() {
            return;
        }
        let key = self.state.pool(pool).key.feature_key();
        if let Some(line) = self.queue.line_of(&key) {
            self.queue.touch(line, false);
        }
    }

    /// What a record changes for those who wait, beside the seats it frees.
    pub(crate) fn touch_for(&mut self, record: &Record, is_new: bool) {
        match record {
            // Who shares a seat with a new lease needs none of its own.
            Record::PutLease(lease) if is_new && lease.grouping != Grouping::Process => {
                self.touch_sharing(lease);
            }
            Record::PutLease(_)
            | Record::DropLease(_)
            | Record::PutMark(_)
            | Record::PutSerial(_)
            | Record::PutRoot(_) => {}
            Record::PutLicense(_)
            | Record::DropLicense(_)
            | Record::PutRevocations(..)
            | Record::PutTrouble(_)
            | Record::PutClient(_)
            | Record::DropClient(_)
            | Record::PutSuspension(_)
            | Record::DropSuspension(_) => self.queue.touch_all(),
        }
    }

    /// Those of this client key, or all where a share spans keys.
    fn touch_sharing(&mut self, lease: &LeaseRecord) {
        let key = FeatureKey {
            root: lease.root,
            environment: lease.environment,
            feature: lease.feature.clone(),
        };
        let Some(line) = self.queue.line_of(&key) else {
            return;
        };
        if lease.grouping == Grouping::User {
            self.queue.touch(line, true);
        } else {
            self.queue.touch_client(lease.client);
        }
    }

    fn look_at(&mut self, step: &mut Step, index: LineIndex, looks: &mut usize) {
        let (mut from, everybody) = self.queue.line_mut(index).begin_look();
        let unseen_from = loop {
            let Some(rank) = self.queue.line(index).from(from).next() else {
                break None;
            };
            if !everybody && self.is_shut(step, index) {
                break Some(rank);
            }
            self.queue.line_mut(index).look_on(rank, everybody);
            if *looks == 0 {
                return self.queue.put_off(index);
            }
            *looks -= 1;
            self.look_at_one(step, rank);
            from = Rank {
                number: rank.number + 1,
                ..rank
            };
        };
        if self.queue.line_mut(index).end_look(unseen_from) {
            self.queue.put_off(index);
        } else if unseen_from.is_some() {
            self.look_at_reservations(step, index, looks);
        }
    }

    /// Those further back may have idle seats of their own reservations.
    fn look_at_reservations(&mut self, step: &mut Step, index: LineIndex, looks: &mut usize) {
        let key = self.queue.line(index).key.clone();
        for reservation in self.queue.line(index).reservations() {
            let mut from = Rank::FIRST;
            while self.idle_in(&key, reservation) > 0 {
                let Some(rank) = self.queue.line(index).member_from(reservation, from) else {
                    break;
                };
                if *looks == 0 {
                    return self.queue.touch(index, false);
                }
                *looks -= 1;
                // Where smaller ones may pass, all who have room were asked in the line.
                if self.look_at_one(step, rank) {
                    break;
                }
                from = Rank {
                    number: rank.number + 1,
                    ..rank
                };
            }
        }
    }

    /// Whether it has to wait, and those behind it that want the same.
    fn look_at_one(&mut self, step: &mut Step, rank: Rank) -> bool {
        #[cfg(test)]
        {
            self.queue.looks += 1;
        }
        let Some(waiter) = self.queue.waiter(rank.number) else {
            return false;
        };
        let (caller, checkouts) = (waiter.caller, std::sync::Arc::clone(&waiter.checkouts));
        match self.turn_of(step, &caller, &checkouts, rank) {
            Turn::Room(kept) => self.offer(step, rank.number, kept),
            Turn::Blocked => {
                self.block(step, rank.number);
                return true;
            }
            Turn::PassedOver => {}
            Turn::Over(refusal) => self.dismiss(step, rank.number, *refusal),
        }
        false
    }

    /// Whether there is room for all of these together; then it is kept.
    fn turn_of(
        &mut self,
        step: &Step,
        caller: &Caller,
        checkouts: &[Checkout],
        rank: Rank,
    ) -> Turn {
        let mut kept = Vec::with_capacity(checkouts.len());
        let mut lingered = Vec::new();
        for checkout in checkouts {
            let asker = Asker::of(caller, &checkout.holder);
            let wish = Wish::of(caller.root, checkout, rank);
            let turn = match self.decide(step, &asker, &wish) {
                Ok(Verdict::Seats(pool)) => {
                    let seats = self.seats_new_in(&asker, pool, checkout.seats);
                    // What lingers with it becomes part of its offer.
                    let taken = self.take_lingering(caller.client, &checkout.holder, pool, seats);
                    lingered.extend(taken);
                    self.state.keep(pool, seats);
                    let line = self.queue.open_line(&wish.key);
                    kept.push(Kept { pool, line, seats });
                    continue;
                }
                Ok(Verdict::Wait(_)) => Turn::Blocked,
                Err(no) => after(no),
            };
            self.unkeep(&kept);
            for taken in lingered {
                self.put_lingering_back(taken);
            }
            return turn;
        }
        Turn::Room(kept)
    }

    fn offer(&mut self, step: &mut Step, number: u64, kept: Vec<Kept>) {
        let until = step.now.boot.plus(OFFER_MS);
        self.queue.offer(number, Offer { until, kept });
        if let Some(waiter) = self.queue.waiter(number) {
            let push = Push::Offered(waiter.nonce(), OFFER_MS);
            step.push(waiter, push);
        }
    }

    fn unkeep(&mut self, kept: &[Kept]) {
        for kept in kept {
            self.state.unkeep(kept.pool, kept.seats);
        }
    }

    /// Nobody further back can be served: each pool is kept for somebody in front, or has fewer seats
    /// free than anybody asks for. Where it has not as many in all, they are looked at: what let them wait may be
    /// over, as a share of their own was, and then they are to hear so (L9).
    fn is_shut(&self, step: &Step, index: LineIndex) -> bool {
        let line = self.queue.line(index);
        let fewest = line.fewest_seats();
        let is_short = |pool: &Pool| {
            let in_all = pool.seats_and_overdraft();
            pool.free() < fewest && in_all.is_none_or(|seats| fewest <= seats)
        };
        let mut open = self
            .state
            .serving(&line.key)
            .iter()
            .filter(|pool| {
                let pool = self.state.pool(**pool);
                self.why_closed(step, pool, None).is_none()
            })
            .peekable();
        open.peek().is_some()
            && open.all(|pool| line.is_blocked(*pool) || is_short(self.state.pool(*pool)))
    }

    /// Whether this pool would do if all its seats were free.
    fn can_serve(&self, step: &Step, pool: PoolIndex, checkout: &Checkout) -> bool {
        let pool = self.state.pool(pool);
        let is_large = pool
            .seats_and_overdraft()
            .is_none_or(|seats| u64::from(checkout.seats) <= seats);
        is_large && self.why_closed(step, pool, checkout.version).is_none()
    }

    /// Whether smaller requests pass those that have no room, by policy.
    fn backfill(&self, key: &FeatureKey) -> bool {
        !self.policy.queue.is_empty() && self.policy.backfill(&self.state.feature_path(key))
    }
}

/// What a "no" means for a waiter.
fn after(no: Box<Refusal>) -> Turn {
    match no.code {
        // Its own seats, leases or time have to come first.
        RefusalCode::MaximumReached
        | RefusalCode::CoolingDown
        | RefusalCode::TooManyLeases
        | RefusalCode::Evicted => Turn::PassedOver,
        RefusalCode::UnknownFeature
        | RefusalCode::TooManySeats
        | RefusalCode::VersionNotServed
        | RefusalCode::LicenseExpired
        | RefusalCode::NotYetValid
        | RefusalCode::NoLicense
        | RefusalCode::Denied
        | RefusalCode::NotAdmitted
        | RefusalCode::NotEnrolled
        | RefusalCode::BadRequest => Turn::Over(no),
        _ => Turn::Blocked,
    }
}
