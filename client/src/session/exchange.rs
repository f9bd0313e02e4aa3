//! Decides when a request is sent again, and which answer belongs to which send. Must not decide
//! what is sent.

use usher_protocol::time::{BootMs, DurationMs, Now};

/// The sends of one step that are not answered yet, and when the next is due.
#[derive(Debug)]
pub(super) struct Exchange {
    flights: Vec<Flight>,
    /// Sends of this step so far.
    tries: u32,
    /// Sends ever, so that no number comes twice.
    sent: u64,
    sent_at: Option<BootMs>,
    /// None: nothing is due until something else happens.
    due: Option<BootMs>,
}

/// One send: its number and both clocks before it (L1).
#[derive(Debug, Clone, Copy)]
struct Flight {
    attempt: u64,
    c0: Now,
}

impl Exchange {
    pub(super) fn new(due: BootMs) -> Self {
        Self {
            flights: Vec::new(),
            tries: 0,
            sent: 0,
            sent_at: None,
            due: Some(due),
        }
    }

    pub(super) fn due(&self) -> Option<BootMs> {
        self.due
    }

    pub(super) fn is_due(&self, now: BootMs) -> bool {
        self.due.is_some_and(|due| now >= due)
    }

    /// Whether a send may still be answered.
    pub(super) fn is_waiting(&self) -> bool {
        !self.flights.is_empty()
    }

    /// Sends ever, over however many connections.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    pub(super) fn tries(&self) -> u32 {
        self.tries
    }

    /// Notes a send at `now`; the next is due after the back-off if no answer comes.
    pub(super) fn send(&mut self, now: Now, length: Option<DurationMs>) -> u64 {
        self.sent += 1;
        self.sent_at = Some(now.boot);
        if self.flights.len() == FLIGHTS_MAX {
            self.flights.remove(0);
        }
        self.flights.push(Flight {
            attempt: self.sent,
            c0: now,
        });
        self.put_off(now.boot, length);
        self.sent
    }

    /// Moves the next send one back-off away.
    pub(super) fn put_off(&mut self, now: BootMs, length: Option<DurationMs>) {
        self.due = Some(now.plus(back_off(self.tries, length)));
        self.tries = self.tries.saturating_add(1);
    }

    /// The same, but not sooner than the server asked for.
    pub(super) fn put_off_for(
        &mut self,
        now: BootMs,
        length: Option<DurationMs>,
        at_least: Option<DurationMs>,
    ) {
        self.flights.clear();
        self.put_off(now, length);
        let asked = now.plus(at_least.unwrap_or(DurationMs::ZERO).min(RETRY_AFTER_MS_MAX));
        self.due = self.due.max(Some(asked));
    }

    /// The clocks before the send that this answer belongs to; the answer to a step that is over
    /// belongs to none.
    pub(super) fn c0(&self, attempt: u64) -> Option<Now> {
        let mut flights = self.flights.iter();
        flights
            .find(|flight| flight.attempt == attempt)
            .map(|flight| flight.c0)
    }

    /// The step is answered; the next is due at `due`.
    pub(super) fn next_at(&mut self, due: BootMs) {
        self.flights.clear();
        self.tries = 0;
        self.due = Some(due);
    }

    /// The send of that number is answered, and so is every one before it.
    pub(super) fn answered(&mut self, attempt: u64) {
        self.flights.retain(|flight| flight.attempt > attempt);
    }

    /// Due at `at` at the latest, whatever is still to be answered.
    pub(super) fn due_by(&mut self, at: BootMs) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// A new step that is due at once and does not undo what was sent before.
    pub(super) fn follow(&mut self, now: BootMs) {
        self.tries = 0;
        self.due = Some(now);
    }

    /// A new step or a new connection: due at once.
    pub(super) fn restart(&mut self, now: BootMs) {
        self.next_at(now);
    }

    /// The connection is gone, and with it what it carried.
    pub(super) fn cut(&mut self) {
        self.flights.clear();
    }

    /// Nothing is sent any more until something else happens.
    pub(super) fn rest(&mut self) {
        self.flights.clear();
        self.due = None;
    }

    /// Due now, unless something was sent just now or is still to be answered.
    pub(super) fn hurry(&mut self, now: BootMs) {
        if self.is_waiting() {
            return;
        }
        let gap = self.sent_at.map_or(now, |at| at.plus(SEND_GAP_MS_MIN));
        let soon = now.max(gap);
        self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
    }
}

/// 5 → 30 s (L2), shorter where leases are (T8): a twelfth to a sixth of the length.
fn back_off(tries: u32, length: Option<DurationMs>) -> DurationMs {
    let length = length.unwrap_or(DurationMs(u64::MAX)).0;
    let first = (length / 12).clamp(RETRY_MS_FLOOR, RETRY_MS_FIRST);
    let last = (length / 6).clamp(RETRY_MS_FLOOR, RETRY_MS_LAST);
    let grown = first.saturating_mul(1 << tries.min(16));
    DurationMs(grown.min(last))
}

/// `length` ± 10 %, chosen by `jitter` over its whole range (L2).
pub(super) fn spread(length: DurationMs, jitter: u16) -> DurationMs {
    let tenth = u128::from(length.0 / 10);
    let off = 2 * tenth * u128::from(jitter) / u128::from(u16::MAX);
    let spread = u128::from(length.0) - tenth + off;
    DurationMs(u64::try_from(spread).unwrap_or(u64::MAX))
}

const RETRY_MS_FIRST: u64 = 5_000;
const RETRY_MS_LAST: u64 = 30_000;
const RETRY_MS_FLOOR: u64 = 100;

/// A server may ask for patience, but not for ever.
const RETRY_AFTER_MS_MAX: DurationMs = DurationMs::minutes(5);

/// Between two sends that are not retries, so that no server can make us spin.
pub(super) const SEND_GAP_MS_MIN: DurationMs = DurationMs(500);

/// Answers that may still come; older sends are forgotten.
const FLIGHTS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(length: Option<DurationMs>) -> Vec<u64> {
        (0..5).map(|tries| back_off(tries, length).0).collect()
    }

    #[test]
    fn l2_retries_grow_from_5_to_30_seconds() {
        let growing = [5_000, 10_000, 20_000, 30_000, 30_000];
        assert_eq!(steps(None), growing);
        assert_eq!(steps(Some(DurationMs::minutes(10))), growing);
        assert_eq!(back_off(u32::MAX, None), DurationMs(30_000));
    }

    #[test]
    fn t8_short_leases_are_retried_sooner() {
        assert_eq!(
            steps(Some(DurationMs::minutes(1))),
            [5_000, 10_000, 10_000, 10_000, 10_000]
        );
        assert_eq!(
            steps(Some(DurationMs::seconds(2))),
            [166, 332, 333, 333, 333]
        );
        assert_eq!(back_off(0, Some(DurationMs(1))), DurationMs(100));
    }

    #[test]
    fn l2_the_spread_is_a_tenth_to_both_sides() {
        let length = DurationMs(200_000);
        assert_eq!(spread(length, 0), DurationMs(180_000));
        assert_eq!(spread(length, u16::MAX), DurationMs(220_000));
        assert_eq!(spread(DurationMs(u64::MAX), u16::MAX), DurationMs(u64::MAX));
    }
}
