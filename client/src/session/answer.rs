//! Decides what an answer means for the lease: which "no" ends it, which only delays it, and which
//! calls for another checkout. Must not judge whether a lease is genuine: that is done before.

use usher_protocol::{
    ids::LeaseId,
    refusal::{Refusal, RefusalCode},
    time::{DurationMs, Now},
};

use super::{
    Answer, Chain, Fresh, Granted, Held, LostWhy, Outcome, Output, Phase, Right, Session, Trouble,
    Unbelieved,
    exchange::{SEND_GAP_MS_MIN, spread},
};

impl Session {
    pub(super) fn answered(
        &mut self,
        now: Now,
        fresh: Fresh,
        attempt: u64,
        answer: Answer,
        output: &mut Output,
    ) {
        let Some(c0) = self.exchange.c0(attempt) else {
            return;
        };
        // "Not now" to a repeat says nothing of what came of the send before it.
        if !matches!(&answer, Answer::Refused(refusal) if passes(refusal.code)) {
            self.queue.answered(attempt);
        }
        output.outcome = match answer {
            Answer::Granted(granted) => self.granted(now, c0, fresh, *granted),
            Answer::GrantedAll(all) => self.granted_all(now, c0, fresh, all, output),
            Answer::Queued(place) => {
                self.queued(now, fresh, attempt, place);
                None
            }
            Answer::Left => self.left(),
            Answer::Released => self.released(),
            Answer::Refused(refusal) => self.refused(now, fresh, refusal),
            Answer::Unusable(reason, lease) => self.unusable(now, reason, lease),
            Answer::UnusableAll(reason, leases) => self.unusable_all(now, &reason, &leases, output),
        };
    }

    pub(super) fn granted(
        &mut self,
        now: Now,
        c0: Now,
        fresh: Fresh,
        granted: Granted,
    ) -> Option<Outcome> {
        if matches!(self.phase, Phase::Releasing { .. } | Phase::Over(_)) {
            return None;
        }
        self.chain.acknowledge();
        // A renewal that comes after the end would be none; but no server can make us spin.
        let latest = DurationMs(granted.length.0 / 3 * 2);
        let renew_after = spread(granted.renew_after, fresh.jitter).min(latest);
        let renew_after = renew_after.max(SEND_GAP_MS_MIN);
        self.exchange.next_at(c0.boot.plus(renew_after));
        let right = Right {
            since: c0,
            length: granted.length,
        };
        self.held = Some(Held { right, granted });
        self.unbelieved = None;
        self.trouble = None;
        self.attached = true;
        self.queue.begin_anew();
        match self.phase {
            Phase::Asking { abandoned: None } => {
                self.phase = Phase::Holding;
                Some(Outcome::Granted)
            }
            // A seat that comes while the queue is being left goes back, too (L9).
            Phase::Asking { .. } | Phase::Leaving { .. } => {
                self.exchange.restart(now.boot);
                self.phase = self.releasing(now, LostWhy::Released);
                None
            }
            _ => {
                self.phase = Phase::Holding;
                None
            }
        }
    }

    fn released(&mut self) -> Option<Outcome> {
        let Phase::Releasing { why, .. } = &self.phase else {
            return None;
        };
        self.phase = Phase::Over(why.clone());
        self.exchange.rest();
        Some(self.given_back(Outcome::Released))
    }

    pub(super) fn refused(
        &mut self,
        now: Now,
        fresh: Fresh,
        refusal: Box<Refusal>,
    ) -> Option<Outcome> {
        match self.phase.clone() {
            Phase::Asking { abandoned } => {
                self.asking_refused(now, fresh, refusal, abandoned.is_some())
            }
            Phase::Holding => {
                self.holding_refused(now, fresh, refusal);
                None
            }
            Phase::Lapsed { .. } => {
                self.lapsed_refused(now, fresh, &refusal);
                None
            }
            Phase::Releasing { why, .. } => {
                if passes(refusal.code) {
                    self.delay(now, &refusal);
                    return None;
                }
                // Whatever the reason, the server does not count this lease as ours any more.
                self.phase = Phase::Over(why);
                Some(self.given_back(Outcome::Released))
            }
            Phase::Leaving { .. } if passes(refusal.code) => {
                self.delay(now, &refusal);
                None
            }
            Phase::Leaving { .. } => self.left(),
            Phase::Over(_) => None,
        }
    }

    fn asking_refused(
        &mut self,
        now: Now,
        fresh: Fresh,
        refusal: Box<Refusal>,
        abandoned: bool,
    ) -> Option<Outcome> {
        // Our own checkout was granted, its reply lost, and the lease ran out meanwhile (L5).
        if refusal.code == RefusalCode::LeaseEnded && !abandoned && self.exchange.sent() > 1 {
            self.begin_anew(now, fresh);
            return None;
        }
        if passes(refusal.code) || self.queue.wait && is_waited_out(refusal.code) {
            self.delay(now, &refusal);
            self.last_no = Some(refusal);
            return None;
        }
        if abandoned && self.queue.may_stand() {
            self.leave(now);
            return None;
        }
        self.exchange.rest();
        self.phase = Phase::Over(LostWhy::Refused(refusal.clone()));
        Some(Outcome::Refused(refusal))
    }

    fn holding_refused(&mut self, now: Now, fresh: Fresh, refusal: Box<Refusal>) {
        match refusal.code {
            RefusalCode::LeaseEnded | RefusalCode::LeaseUnknown => {
                self.lapse_anew(now, fresh, LostWhy::Ended);
            }
            RefusalCode::LeaseForked => self.finish(LostWhy::Forked),
            RefusalCode::WrongDevice => self.finish(LostWhy::WrongDevice),
            RefusalCode::Evicted => {
                self.trouble = Some(Trouble::Evicted(refusal.detail));
                self.exchange.rest();
            }
            RefusalCode::Idle => {
                self.trouble = Some(Trouble::Idle(refusal));
                self.exchange.rest();
            }
            _ => {
                self.delay(now, &refusal);
                self.trouble = Some(Trouble::Refused(refusal));
            }
        }
    }

    fn lapsed_refused(&mut self, now: Now, fresh: Fresh, refusal: &Refusal) {
        let Phase::Lapsed { why, anew } = self.phase.clone() else {
            return;
        };
        match refusal.code {
            RefusalCode::LeaseForked => self.finish(LostWhy::Forked),
            RefusalCode::WrongDevice => self.finish(LostWhy::WrongDevice),
            RefusalCode::Evicted => self.finish(LostWhy::Evicted(refusal.detail.clone())),
            // The old lease cannot come back, another can.
            code if !anew && !passes(code) => self.lapse_anew(now, fresh, why),
            _ => {
                self.delay(now, refusal);
                // "Not now" is no reason; a seat that others have taken meanwhile is.
                if !passes(refusal.code) {
                    let why = LostWhy::Refused(Box::new(refusal.clone()));
                    self.phase = Phase::Lapsed { why, anew };
                }
            }
        }
    }

    pub(super) fn unusable(
        &mut self,
        now: Now,
        why: String,
        lease: Option<LeaseId>,
    ) -> Option<Outcome> {
        let length = self.length();
        self.exchange.put_off_for(now.boot, length, None);
        self.missed();
        match self.phase {
            Phase::Asking { abandoned } => {
                let is_first = self.disbelieve(why, lease);
                self.asking_unbelieved(now, is_first, abandoned.is_some())
            }
            // It is being asked for again, under the same nonce.
            Phase::Lapsed { anew: true, .. } => {
                self.disbelieve(why, lease);
                None
            }
            _ => None,
        }
    }

    /// Its license may have been replaced between the grant and the question for its endorsement:
    /// the same checkout once more is the same lease, of the newer issue (L5). What is not believed
    /// then is given back before that is told, for the daemon counts it as out.
    fn asking_unbelieved(&mut self, now: Now, is_first: bool, abandoned: bool) -> Option<Outcome> {
        if is_first && !abandoned {
            self.exchange.restart(now.boot);
        } else if self.named_in_vain().is_some() {
            let why = if abandoned {
                LostWhy::Released
            } else {
                LostWhy::Ended
            };
            self.exchange.restart(now.boot);
            self.phase = self.releasing(now, why);
        } else if !abandoned {
            self.finish(LostWhy::Ended);
            return Some(self.given_back(Outcome::GaveUp));
        }
        None
    }

    /// Notes it; true for the first of this checkout.
    fn disbelieve(&mut self, reason: String, lease: Option<LeaseId>) -> bool {
        let before = self.unbelieved.take();
        let is_first = before.is_none();
        self.unbelieved = Some(Unbelieved {
            reason,
            lease: lease.or(before.and_then(|it| it.lease)),
            site: self.connected,
        });
        is_first
    }

    /// The lease that the checkout under way brought and that was not believed.
    pub(super) fn named_in_vain(&self) -> Option<LeaseId> {
        self.unbelieved.as_ref().and_then(|it| it.lease)
    }

    /// What to tell at the end of a release: whose checkout was not believed waits to hear that.
    pub(super) fn given_back(&self, otherwise: Outcome) -> Outcome {
        match (&self.unbelieved, &self.phase) {
            (Some(it), Phase::Over(LostWhy::Ended)) => Outcome::Unusable(it.reason.clone()),
            _ => otherwise,
        }
    }

    pub(super) fn lapse_anew(&mut self, now: Now, fresh: Fresh, why: LostWhy) {
        self.phase = Phase::Lapsed { why, anew: true };
        self.trouble = None;
        self.begin_anew(now, fresh);
    }

    /// Another checkout: another nonce, another chain (L5, L6).
    fn begin_anew(&mut self, now: Now, fresh: Fresh) {
        self.nonce = fresh.nonce;
        self.chain = Chain::new(fresh.token);
        self.unbelieved = None;
        self.attached = false;
        self.queue.begin_anew();
        self.exchange.rest();
        self.exchange.hurry(now.boot);
    }

    fn finish(&mut self, why: LostWhy) {
        self.exchange.rest();
        self.trouble = None;
        self.phase = Phase::Over(why);
    }

    fn delay(&mut self, now: Now, refusal: &Refusal) {
        let length = self.length();
        self.exchange
            .put_off_for(now.boot, length, refusal.retry_after_ms);
    }
}

/// Whether it is the moment that is wrong, not the request.
fn passes(code: RefusalCode) -> bool {
    matches!(code, RefusalCode::Busy | RefusalCode::Draining)
}

/// Whether a caller who is ready to wait for a seat waits this out as well: the daemon will restart,
/// or holds seats only for a while.
fn is_waited_out(code: RefusalCode) -> bool {
    matches!(code, RefusalCode::StorageTrouble | RefusalCode::Holding)
}
