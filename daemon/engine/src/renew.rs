//! More time for a lease: by its id, by its signed copy, or by its checkout once more (L5, L6, T6).

use usher_protocol::{
    documents::lease::{Lease, VerifiedLease},
    ids::{LeaseId, Nonce, PublicKey, Token},
    refusal::{Refusal, RefusalCode},
    time::DurationMs,
    wire::{Link, Renew},
};

use crate::{
    api::{Answer, Caller, Promise},
    borrow::lease_borrowed,
    chain::{Chain, Stray},
    engine::Engine,
    length,
    limits::LATE_RETRY_MS,
    pool::Pool,
    record::{LeaseRecord, Record, What},
    step::{Asked, CLIENT, DAEMON, Step, no},
};

impl Engine {
    /// More time by id and nonce.
    pub(crate) fn renew(&mut self, step: &mut Step, caller: &Caller, renew: &Renew) -> Asked {
        if !self.state.leases.contains_key(&renew.lease) {
            // L12: what may be ahead of our store must be shown in full.
            let ahead = self.is_ahead(renew.lease.epoch, renew.lease.commit);
            return Err(if ahead { unknown() } else { ended() });
        }
        let chain = self.take_step(step, caller.client, renew.lease, renew.nonce, renew.link)?;
        self.judge_idle(step, renew.lease, renew.idle_ms);
        self.extend(step, renew.lease, chain, renew.link.next, renew.length_ms)
    }

    /// More time by the signed lease itself, which may know more than our store does (L12).
    pub(crate) fn attach(
        &mut self,
        step: &mut Step,
        caller: &Caller,
        lease: &VerifiedLease,
        nonce: Nonce,
        link: Link,
        length_ms: Option<DurationMs>,
    ) -> Asked {
        if lease.client != caller.client {
            return Err(no(
                RefusalCode::WrongDevice,
                "this lease was granted to another workstation's key; check out here",
            ));
        }
        if !self.state.leases.contains_key(&lease.id) {
            self.judge_unknown(step, lease)?;
            self.adopt(step, caller, lease, nonce)?;
        } else if self.may_be_lent_on(step, lease) {
            return Err(ended());
        }
        let chain = self.take_step(step, caller.client, lease.id, nonce, link)?;
        self.state.shown(lease.id, lease.license_hash);
        self.extend(step, lease.id, chain, link.next, length_ms)
    }

    /// The step a chain takes, once key and nonce prove whose lease it is. A branch ends renewal for
    /// both sides, durably; the seat returns by its deadline, for one of them may still work (T6, L7).
    /// A late copy of an older step changes nothing.
    pub(crate) fn take_step(
        &mut self,
        step: &mut Step,
        client: PublicKey,
        id: LeaseId,
        nonce: Nonce,
        link: Link,
    ) -> Result<Chain, Box<Refusal>> {
        let Some(entry) = self.state.leases.get(&id) else {
            return Err(ended());
        };
        if entry.client != client {
            return Err(no(
                RefusalCode::WrongDevice,
                "this lease belongs to another workstation's key; check out here",
            ));
        }
        if entry.nonce != nonce {
            return Err(unknown());
        }
        if entry.forked {
            return Err(forked());
        }
        Chain::step(entry.chain, link).map_err(|stray| match stray {
            Stray::Late => late(),
            Stray::Branch => {
                self.mark_forked(step, id);
                forked()
            }
        })
    }

    /// Extends a lease whose step was taken, and promises it (L2).
    pub(crate) fn extend(
        &mut self,
        step: &mut Step,
        id: LeaseId,
        chain: Chain,
        token: Token,
        wish: Option<DurationMs>,
    ) -> Asked {
        let right = self.may_extend(step, id, wish)?;
        let longest = self.state.leases.get(&id).map(|it| it.length_ms_longest);
        if longest.is_some_and(|longest| right > longest) {
            // L2: a longer promise is durable before it is promised.
            self.change_lease(step, CLIENT, id, |lease| lease.length_ms_longest = right);
        }
        self.promise(step, id, chain, token, right)
    }

    /// Sets the deadline for `right` from now, and says so: the end of every grant and extension.
    pub(crate) fn promise(
        &mut self,
        step: &mut Step,
        id: LeaseId,
        chain: Chain,
        token: Token,
        right: DurationMs,
    ) -> Asked {
        let Some(old) = self.state.leases.get(&id).map(|entry| entry.deadline) else {
            return Err(ended());
        };
        let lease = self.lease(step, id, token, right).ok_or_else(ended)?;
        // L2: never back except by release.
        if !self.place_borrowed(step.now, id) {
            let new = length::deadline(step.now, right, lease.environment);
            let deadline = old.map_or(new, |old| old.max(new));
            self.state.set_deadline(id, deadline);
        }
        self.state.hear(id, chain);
        let pool = self.pool_of(id);
        Ok(Answer::Promised(Box::new(Promise {
            lease,
            renew_after_ms: length::renew_after(right),
            seats_out: pool.map_or(0, Pool::out_u32),
            seats_total: pool.and_then(Pool::seats),
        })))
    }

    /// Changes the durable part of a lease, and makes history of it.
    pub(crate) fn change_lease(
        &mut self,
        step: &mut Step,
        actor: &str,
        id: LeaseId,
        change: impl FnOnce(&mut LeaseRecord),
    ) {
        if let Some(mut lease) = self.state.record(id) {
            change(&mut lease);
            let lease = Box::new(lease);
            self.record(step, Record::PutLease(lease.clone()));
            self.event(step, actor, What::Changed(lease));
        }
    }

    /// The pool a lease draws on.
    pub(crate) fn pool_of(&self, id: LeaseId) -> Option<&Pool> {
        let entry = self.state.leases.get(&id)?;
        Some(self.state.pool(entry.pool))
    }

    fn mark_forked(&mut self, step: &mut Step, id: LeaseId) {
        self.change_lease(step, DAEMON, id, |lease| lease.forked = true);
    }

    /// R, or why there is no more time.
    fn may_extend(
        &self,
        step: &Step,
        id: LeaseId,
        wish: Option<DurationMs>,
    ) -> Result<DurationMs, Box<Refusal>> {
        let Some(entry) = self.state.leases.get(&id) else {
            return Err(ended());
        };
        if self.draining {
            return Err(Self::draining_refusal());
        }
        if entry.borrowed.is_some() {
            return Err(lease_borrowed());
        }
        if let Some(reason) = &entry.evicted {
            return Err(self.taken_back(entry, reason));
        }
        let pool = self.state.pool(entry.pool);
        let right = self.terms_for_renewal(step, entry, wish)?;
        self.check_belief(entry, pool)?;
        let share = self.state.standing(id);
        if share.is_some_and(|share| pool.refuses(share)) {
            return Err(Self::overcommitted(pool));
        }
        Ok(right)
    }

    fn lease(&self, step: &Step, id: LeaseId, token: Token, right: DurationMs) -> Option<Lease> {
        let entry = self.state.leases.get(&id)?;
        let pool = self.state.pool(entry.pool);
        let terms = pool.terms.as_ref()?;
        let wall = self.time.wall_for_leases(step.now);
        Some(Lease {
            borrowed: entry.borrowed.is_some(),
            grouping: entry.grouping,
            id,
            root: pool.key.root,
            license: pool.key.license.clone(),
            license_hash: terms.license.hash(),
            environment: pool.key.environment,
            feature: pool.key.feature.clone(),
            seats: entry.seats,
            client: entry.client,
            holder: entry.holder.clone(),
            epoch: self.life.epoch,
            commit: step.head_after(self.head),
            token,
            issued: wall,
            length_ms: right,
            not_after: entry.borrowed.map_or_else(
                || length::not_after(wall, right, terms.feature()),
                |it| it.until,
            ),
        })
    }
}

/// The lease is over.
pub(crate) fn ended() -> Box<Refusal> {
    no(
        RefusalCode::LeaseEnded,
        "this lease is over and its seats may be with others; check out anew",
    )
}

/// Not in our store.
fn unknown() -> Box<Refusal> {
    no(
        RefusalCode::LeaseUnknown,
        "no lease of this name and nonce is known here; show the signed lease, or check out anew",
    )
}

/// To a copy of a step that has been followed already. Its holder is not told that the lease is
/// gone, should this reach one: it tries again.
fn late() -> Box<Refusal> {
    let detail = "a late copy of a request that was answered before; the lease is as it was";
    let refusal = Refusal::new(RefusalCode::Busy, detail);
    Box::new(refusal.retry_after(LATE_RETRY_MS))
}

/// Two used one chain.
pub(crate) fn forked() -> Box<Refusal> {
    no(
        RefusalCode::LeaseForked,
        "two processes or machines used this lease; check out anew, one lease for each",
    )
}
