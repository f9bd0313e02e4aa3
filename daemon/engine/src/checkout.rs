//! Is a seat free, and whose turn is it: the one place that grants (L2, L5).

use usher_protocol::{
    documents::license::Grouping,
    ids::LeaseId,
    limits::SEATS_PER_CHECKOUT_MAX,
    refusal::{Refusal, RefusalCode},
    time::{DurationMs, WallMs},
    wire::{Checkout, Environment},
};

use crate::{
    api::Caller,
    chain::Chain,
    decide::{Asker, Verdict, Wish},
    engine::Engine,
    length,
    limits::BUSY_RETRY_MS,
    pool::{PoolIndex, Terms},
    record::{LeaseRecord, Record, What},
    renew::{ended, forked},
    share::ShareKey,
    step::{Asked, CLIENT, Step, no},
    wait::{Again, nonce_waits},
};

impl Engine {
    /// Grants seats, or the same lease once more if this nonce names one (L5). A borrow carries the
    /// client's wall clock (L10).
    pub(crate) fn checkout(
        &mut self,
        step: &mut Step,
        caller: &Caller,
        checkout: &Checkout,
        borrow: Option<WallMs>,
    ) -> Asked {
        let nonce = (caller.client, checkout.nonce);
        if let Some(id) = self.state.by_nonce.get(&nonce).copied() {
            return self.repeat(step, caller, checkout, borrow.is_some(), id);
        }
        if self.ended.has(caller.client, checkout.nonce) {
            return Err(ended());
        }
        let asked = match self.queue.find(caller.client, checkout.nonce) {
            Some(number) if borrow.is_none() => self.go_on_waiting(step, caller, number, checkout),
            Some(_) => return Err(nonce_waits()),
            None => self.grant(step, caller, checkout, borrow),
        };
        if let Err(refusal) = &asked {
            self.note_denial(step, caller, checkout, refusal.code);
        }
        asked
    }

    /// L5: the same nonce from the same key is the same lease, renewed.
    pub(crate) fn repeat(
        &mut self,
        step: &mut Step,
        caller: &Caller,
        checkout: &Checkout,
        borrows: bool,
        id: LeaseId,
    ) -> Asked {
        let known = self.state.record(id).ok_or_else(ended)?;
        if !is_same(&known, caller, checkout) || known.borrowed.is_some() != borrows {
            return Err(no(
                RefusalCode::NonceReused,
                "this nonce belongs to a checkout of something else; make a fresh one for each checkout",
            ));
        }
        if known.forked {
            return Err(forked());
        }
        let chain = self.state.leases.get(&id).and_then(|entry| entry.chain);
        // T6: the lease has gone on under other hands, or the repeat is merely late: no mark.
        let chain = Chain::repeat(chain, checkout.token).map_err(|_| forked())?;
        match known.borrowed {
            Some(borrowed) => self.borrowed_again(step, id, borrowed, chain, checkout),
            None => self.extend(step, id, chain, checkout.token, checkout.length_ms),
        }
    }

    fn grant(
        &mut self,
        step: &mut Step,
        caller: &Caller,
        checkout: &Checkout,
        borrow: Option<WallMs>,
    ) -> Asked {
        if let Some(wall) = borrow {
            self.check_clocks(step, wall)?;
        }
        let asker = Asker::of(caller, &checkout.holder);
        let alone = std::slice::from_ref(checkout);
        let rank = self.rank_of(step, caller, alone);
        let mut wish = Wish::of(caller.root, checkout, rank);
        wish.borrow_ms = borrow.and(checkout.length_ms);
        match self.decide_fresh(step, &asker, &wish)? {
            Verdict::Seats(pool) => {
                self.take_lapses(step, caller, alone, rank);
                if borrow.is_some() {
                    return self.lend_out(step, caller, checkout, pool);
                }
                self.lend(step, caller, checkout, pool, DurationMs::ZERO)
            }
            Verdict::Wait(_) if checkout.wait && borrow.is_none() => {
                self.stand_in_line(step, caller, alone, rank)
            }
            Verdict::Wait(reasons) => Err(self.explain(step, &asker, &wish, &reasons)),
        }
    }

    /// A checkout that waits is sent once more (L9).
    fn go_on_waiting(
        &mut self,
        step: &mut Step,
        caller: &Caller,
        number: u64,
        checkout: &Checkout,
    ) -> Asked {
        let alone = std::slice::from_ref(checkout);
        match self.wait_on(step, caller, number, alone)? {
            Again::Granted(mut leases) => leases.pop().ok_or_else(ended),
            Again::Waits(answer) => Ok(answer),
            Again::Left => self.grant(step, caller, checkout, None),
        }
    }

    /// A new lease on seats that were found free, after so long a wait (L2).
    pub(crate) fn lend(
        &mut self,
        step: &mut Step,
        caller: &Caller,
        checkout: &Checkout,
        pool: PoolIndex,
        waited_ms: DurationMs,
    ) -> Asked {
        let asker = Asker::of(caller, &checkout.holder);
        let right = self.right_in(step, &asker, pool, checkout.length_ms);
        let id = step.next_lease(self.life.epoch, self.head);
        let mut lease = self.granted(step, caller, checkout, id, pool, right);
        lease.waited_ms = waited_ms;
        self.put_granted(step, pool, lease);
        let chain = Chain::start(checkout.token);
        self.promise(step, id, chain, checkout.token, right)
    }

    /// Takes the seats of a new lease: first those that linger with its holder.
    pub(crate) fn put_granted(&mut self, step: &mut Step, pool: PoolIndex, lease: LeaseRecord) {
        let seats_new = self.state.seats_new_of(pool, &lease);
        let taken = self.take_lingering(lease.client, &lease.holder, pool, seats_new);
        step.lingering_taken.extend(taken);
        let lease = Box::new(lease);
        self.record(step, Record::PutLease(lease.clone()));
        self.event(step, CLIENT, What::Granted(lease));
    }

    /// R of a lease from this pool (L2).
    pub(crate) fn right_in(
        &self,
        step: &Step,
        asker: &Asker<'_>,
        index: PoolIndex,
        wish: Option<DurationMs>,
    ) -> DurationMs {
        let pool = self.state.pool(index);
        let by_policy = self.length_by_policy(pool, || asker.subject());
        let license_time = self.time.at(step.now.boot);
        pool.terms.as_ref().map_or(DurationMs::ZERO, |terms| {
            length::right(terms.feature(), by_policy, wish, license_time)
        })
    }

    /// A3.
    pub(crate) fn check_bounds(&self, asker: &Asker<'_>) -> Result<(), Box<Refusal>> {
        if self.state.leases.len() >= self.settings.leases_max {
            let detail = format!(
                "the daemon holds as many leases as it may ({}); `leases-max` raises that",
                self.settings.leases_max
            );
            return Err(Box::new(
                Refusal::new(RefusalCode::Busy, detail).retry_after(BUSY_RETRY_MS),
            ));
        }
        let leases = &self.state.leases_by_client;
        let of_client = asker.client.and_then(|client| leases.get(&client));
        if of_client.is_some_and(|count| *count >= self.settings.leases_per_client_max) {
            let detail = format!(
                "this workstation's user holds {} leases, as many as one may; release some, or let the administrator raise `leases-per-client-max`",
                self.settings.leases_per_client_max
            );
            return Err(no(RefusalCode::TooManyLeases, detail));
        }
        Ok(())
    }

    pub(crate) fn granted(
        &self,
        step: &Step,
        caller: &Caller,
        checkout: &Checkout,
        id: LeaseId,
        index: PoolIndex,
        right: DurationMs,
    ) -> LeaseRecord {
        let pool = self.state.pool(index);
        let terms = pool.terms.as_ref().map(Terms::feature);
        let grouping = terms.map_or(Grouping::Process, |it| it.grouping);
        let share = ShareKey::of(grouping, Some(caller.client), &checkout.holder);
        let overdraft_seats = pool.overdraft_of(share.as_ref(), checkout.seats);
        let joined = pool.share(share.as_ref()).and_then(|it| it.sum().standing);
        let key = &pool.key;
        LeaseRecord {
            waited_ms: DurationMs::ZERO,
            borrowed: None,
            grouping,
            share_since: joined.map_or(id, |share| share.since),
            overdraft_seats,
            id,
            root: key.root,
            license: key.license.clone(),
            environment: key.environment,
            feature: key.feature.clone(),
            seats: checkout.seats,
            version: checkout.version,
            length_ms_wished: checkout.length_ms,
            client: caller.client,
            nonce: checkout.nonce,
            holder: checkout.holder.clone(),
            address: Some(caller.address),
            since: step.now.wall,
            length_ms_longest: right,
            evicted: None,
            forked: false,
        }
    }
}

/// A3.
pub(crate) fn check_seats(seats: u32) -> Result<(), Box<Refusal>> {
    if (1..=SEATS_PER_CHECKOUT_MAX).contains(&seats) {
        return Ok(());
    }
    let detail = format!("{seats} seats: ask for 1 to {SEATS_PER_CHECKOUT_MAX}");
    Err(no(RefusalCode::BadRequest, detail))
}

fn is_same(known: &LeaseRecord, caller: &Caller, checkout: &Checkout) -> bool {
    let asked: (_, Environment, _, _, _) = (
        caller.root,
        checkout.environment,
        &checkout.feature,
        checkout.seats,
        checkout.version,
    );
    asked
        == (
            known.root,
            known.environment,
            &known.feature,
            known.seats,
            known.version,
        )
        && checkout.length_ms == known.length_ms_wished
        && checkout.holder == known.holder
}
