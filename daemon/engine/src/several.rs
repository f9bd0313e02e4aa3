//! Seats of several features, all or nothing, in one step and one commit.
//!
//! Each is asked for by the rules of `decide.rs` while those before it are lent already, so whatever
//! counts leases or seats counts them too. If one gets a "no", what was lent is taken back before
//! anybody hears of it, and nothing is left: no record, no event, no nonce.

use usher_protocol::{
    ids::LeaseId,
    refusal::{Refusal, RefusalCode},
    time::DurationMs,
    wire::Checkout,
};

use crate::{
    api::{Answer, Caller, Promise},
    decide::{Asker, Verdict, Wish},
    engine::Engine,
    queue::Rank,
    record::{Record, What},
    renew::ended,
    step::{Asked, Grants, Step, no},
    wait::Again,
};

impl Engine {
    /// All of these checkouts, or the refusal of the first that cannot be had now.
    pub(crate) fn checkout_all(
        &mut self,
        step: &mut Step,
        caller: &Caller,
        checkouts: &[Checkout],
    ) -> Asked {
        if let Some(repeated) = self.repeat_all(step, caller, checkouts) {
            return repeated.map(Answer::PromisedAll);
        }
        let nonces = checkouts.iter().map(|it| it.nonce);
        let mut waiting = nonces.filter_map(|nonce| self.queue.find(caller.client, nonce));
        if let Some(number) = waiting.next() {
            match self.wait_on(step, caller, number, checkouts)? {
                Again::Granted(leases) => {
                    let leases = leases.into_iter().map(|lease| promised(Ok(lease)));
                    return leases.collect::<Result<_, _>>().map(Answer::PromisedAll);
                }
                Again::Waits(answer) => return Ok(answer),
                Again::Left => {}
            }
        }
        let rank = self.rank_of(step, caller, checkouts);
        match self.grant_all(step, caller, checkouts, rank, DurationMs::ZERO) {
            Ok(promises) => {
                self.take_lapses(step, caller, checkouts, rank);
                Ok(Answer::PromisedAll(promises))
            }
            Err(_) if self.may_wait(step, caller, checkouts, rank) => {
                self.stand_in_line(step, caller, checkouts, rank)
            }
            Err((failed, refusal)) => {
                self.note_denial(step, caller, failed, refusal.code);
                Err(naming(failed, refusal))
            }
        }
    }

    /// A set waits as a whole, for what waiting helps with (L9).
    fn may_wait(&self, step: &Step, caller: &Caller, checkouts: &[Checkout], rank: Rank) -> bool {
        checkouts.iter().all(|checkout| {
            let asker = Asker::of(caller, &checkout.holder);
            let wish = Wish::of(caller.root, checkout, rank);
            checkout.wait && self.decide(step, &asker, &wish).is_ok()
        })
    }

    /// L5: the same nonces from the same key are the same leases, renewed. None: it is a new set.
    fn repeat_all(
        &mut self,
        step: &mut Step,
        caller: &Caller,
        checkouts: &[Checkout],
    ) -> Option<Result<Vec<Promise>, Box<Refusal>>> {
        let mut nonces = checkouts.iter().map(|it| it.nonce);
        if nonces.any(|nonce| self.ended.has(caller.client, nonce)) {
            return Some(Err(ended()));
        }
        let known = |it: &Checkout| {
            let nonce = (caller.client, it.nonce);
            self.state.by_nonce.get(&nonce).copied()
        };
        let known: Vec<LeaseId> = checkouts.iter().filter_map(known).collect();
        if known.is_empty() {
            return None;
        }
        if known.len() < checkouts.len() {
            return Some(Err(no(
                RefusalCode::NonceReused,
                "some of these nonces belong to leases and some are new; make fresh ones for each set",
            )));
        }
        let repeated = checkouts
            .iter()
            .zip(known)
            .map(|(checkout, id)| promised(self.repeat(step, caller, checkout, false, id)));
        Some(repeated.collect())
    }

    /// Lends all, or nothing and which one stood in the way.
    pub(crate) fn grant_all<'a>(
        &mut self,
        step: &mut Step,
        caller: &Caller,
        checkouts: &'a [Checkout],
        rank: Rank,
        waited_ms: DurationMs,
    ) -> Result<Vec<Promise>, (&'a Checkout, Box<Refusal>)> {
        let before = step.grants();
        let mut promises = Vec::with_capacity(checkouts.len());
        for checkout in checkouts {
            match self.grant_of_set(step, caller, checkout, rank, waited_ms) {
                Ok(promise) => promises.push(promise),
                Err(refusal) => {
                    let lent: Vec<_> = promises.iter().map(|it| it.lease.id).collect();
                    self.take_back(step, &lent, before);
                    return Err((checkout, refusal));
                }
            }
        }
        Ok(promises)
    }

    fn grant_of_set(
        &mut self,
        step: &mut Step,
        caller: &Caller,
        checkout: &Checkout,
        rank: Rank,
        waited_ms: DurationMs,
    ) -> Result<Promise, Box<Refusal>> {
        let asker = Asker::of(caller, &checkout.holder);
        let wish = Wish::of(caller.root, checkout, rank);
        match self.decide_fresh(step, &asker, &wish)? {
            Verdict::Seats(pool) => promised(self.lend(step, caller, checkout, pool, waited_ms)),
            Verdict::Wait(reasons) => Err(self.explain(step, &asker, &wish, &reasons)),
        }
    }

    /// As if these leases had never been lent: none of it has left the engine.
    fn take_back(&mut self, step: &mut Step, lent: &[LeaseId], before: Grants) {
        for id in lent {
            let pool = self.state.leases.get(id).map(|entry| entry.pool);
            self.state.apply(&Record::DropLease(*id));
            // Who waits may have been looked at meanwhile (L9).
            if let Some(pool) = pool {
                self.touch_pool(pool);
            }
        }
        for taken in step.forget_grants(before) {
            self.put_lingering_back(taken);
        }
        let output = &mut step.output;
        output.records.retain(|record| match record {
            Record::PutLease(lease) => !lent.contains(&lease.id),
            _ => true,
        });
        output.events.retain(|event| match &event.what {
            What::Granted(lease) => !lent.contains(&lease.id),
            _ => true,
        });
    }
}

fn promised(asked: Asked) -> Result<Promise, Box<Refusal>> {
    match asked? {
        Answer::Promised(promise) => Ok(*promise),
        _ => Err(ended()),
    }
}

/// Which of the set stood in the way.
fn naming(failed: &Checkout, mut refusal: Box<Refusal>) -> Box<Refusal> {
    refusal.detail = format!("{}, of a set: {}", failed.feature, refusal.detail);
    refusal
}
