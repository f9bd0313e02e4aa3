//! Decides what a place in the server's queue means (L9): when the checkout is sent once more, to
//! claim an offer or because news of one may be lost, and when the queue is left.
//! Must not decide who is next: that is the server's.

use usher_protocol::{
    refusal::{Refusal, RefusalCode},
    time::{BootMs, DurationMs, Now},
    wire::Place,
};

use super::{
    ABANDONED_MS_MAX, Fresh, LostWhy, Outcome, Phase, Session,
    exchange::{SEND_GAP_MS_MIN, spread},
};

/// What is known of the checkout under way as a waiter.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Queue {
    /// Whether the caller wants it to wait for a seat.
    pub(super) wait: bool,
    place: Option<Place>,
    /// The last send of the checkout until it is answered: a seat may have come of it.
    unanswered: Option<u64>,
    /// The checkout was sent as one that waits, so that the server may have it in the queue.
    was_sent: bool,
    /// An offer came, and the checkout was not sent since.
    offered: bool,
    /// The send that claimed the last offer, and when it was.
    claim: Option<(u64, BootMs)>,
}

impl Queue {
    /// Whether a send of the checkout may have brought a seat that we do not know of.
    pub(super) fn is_unanswered(&self) -> bool {
        self.unanswered.is_some()
    }

    /// Whether the server may keep a place for us, as far as we know.
    pub(super) fn may_stand(&self) -> bool {
        self.was_sent
    }

    /// The checkout is sent under this number.
    pub(super) fn sent(&mut self, attempt: u64, now: BootMs, waits: bool) {
        self.unanswered = Some(attempt);
        self.was_sent |= waits;
        if std::mem::take(&mut self.offered) {
            self.claim = Some((attempt, now));
        }
    }

    /// The server has said what became of that send, and so of every one before it.
    pub(super) fn answered(&mut self, attempt: u64) {
        self.unanswered = self.unanswered.filter(|last| *last > attempt);
    }

    /// Another checkout, or none any more; the caller's wish stays.
    pub(super) fn begin_anew(&mut self) {
        *self = Self {
            wait: self.wait,
            ..Self::default()
        };
    }

    fn forget_place(&mut self) {
        self.place = None;
        self.offered = false;
    }

    /// An offer must be claimed at once, but no server can make us spin.
    fn claim_from(&self, now: BootMs) -> BootMs {
        let gap = self.claim.map(|(_, at)| at.plus(SEND_GAP_MS_MIN));
        gap.map_or(now, |gap| gap.max(now))
    }
}

impl Session {
    /// Waits in the queue when no seat is free, until the caller has enough and releases it (L9).
    #[must_use]
    pub fn waiting(mut self) -> Self {
        self.queue.wait = true;
        self
    }

    /// Where the checkout stands in the queue, if it does.
    pub fn place(&self) -> Option<Place> {
        self.queue.place.filter(|_| self.wants_seat())
    }

    /// The checkout was answered with a place.
    pub(super) fn queued(&mut self, now: Now, fresh: Fresh, attempt: u64, place: Place) {
        self.exchange.answered(attempt);
        if self.wants_seat() {
            return self.placed(now, fresh, place);
        }
        if let Phase::Asking { .. } = self.phase {
            self.leave(now);
        }
    }

    /// The server told a place. Its silence from now on is no proof that nothing happened.
    pub(super) fn placed(&mut self, now: Now, fresh: Fresh, place: Place) {
        if !self.wants_seat() {
            return;
        }
        self.queue.place = Some(place);
        self.last_no = None;
        if !self.queue.offered && !self.exchange.is_waiting() {
            let again = spread(ASK_AGAIN_MS, fresh.jitter);
            self.exchange.next_at(now.boot.plus(again));
        }
    }

    /// A seat is kept for us: the checkout once more claims it, with a `c0` of its own (L9, L1).
    pub(super) fn offered(&mut self, now: Now) {
        let claim = self.queue.claim.map(|(attempt, _)| attempt);
        let claiming = claim.is_some_and(|attempt| self.exchange.c0(attempt).is_some());
        if self.wants_seat() && !claiming {
            self.queue.offered = true;
            self.exchange.due_by(self.queue.claim_from(now.boot));
        }
    }

    /// Out of the queue by the server's word.
    pub(super) fn dismissed(
        &mut self,
        now: Now,
        fresh: Fresh,
        refusal: Box<Refusal>,
    ) -> Option<Outcome> {
        if matches!(self.phase, Phase::Leaving { .. }) {
            return self.left();
        }
        if !self.wants_seat() {
            return None;
        }
        self.queue.forget_place();
        if self.queue.is_unanswered() {
            // What was sent since may have brought a seat all the same: its answer decides.
            self.last_no = Some(refusal);
            return None;
        }
        if refusal.code == RefusalCode::NoSeat {
            // An offer ran out that we did not hear of in time: nothing forbids to queue anew.
            self.exchange.hurry(now.boot);
            return None;
        }
        self.refused(now, fresh, refusal)
    }

    /// Says good-bye to the queue, as long as the server may keep the place.
    pub(super) fn leave(&mut self, now: Now) {
        self.exchange.follow(now.boot);
        self.phase = Phase::Leaving {
            until: now.boot.plus(ABANDONED_MS_MAX),
        };
    }

    /// The server has us in the queue no more.
    pub(super) fn left(&mut self) -> Option<Outcome> {
        if !matches!(self.phase, Phase::Leaving { .. }) {
            return None;
        }
        self.phase = Phase::Over(LostWhy::Released);
        self.exchange.rest();
        Some(Outcome::Released)
    }

    /// Whether a place in the queue is all that there is to give back.
    pub(super) fn is_only_queued(&self) -> bool {
        self.queue.place.is_some() && !self.queue.is_unanswered()
    }

    /// Whether the checkout under way is still wanted.
    pub(super) fn wants_seat(&self) -> bool {
        matches!(
            self.phase,
            Phase::Asking { abandoned: None } | Phase::Lapsed { anew: true, .. }
        )
    }
}

/// A waiter asks again now and then: a push, or an offer, may have been lost on the way.
const ASK_AGAIN_MS: DurationMs = DurationMs::minutes(1);
