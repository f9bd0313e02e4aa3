//! Leases for off-line use (L10): who may borrow, how long, and when the seat comes back.
//!
//! A borrowed lease runs on wall clocks. Here it counts until its end and the tolerance by license time
//! (L11), whatever the boot clock and however many restarts say. It is never extended.

use usher_protocol::{
    ids::LeaseId,
    limits::{BORROW_CLOCKS_APART_MS_MAX, BORROW_TOLERANCE_MS, BORROW_TOLERANCE_MS_TEST},
    refusal::{Refusal, RefusalCode},
    time::{BootMs, DurationMs, Now, WallMs},
    wire::{Checkout, Environment},
};

use crate::{
    api::{Answer, Caller},
    chain::Chain,
    decide::{Asker, Wish},
    engine::Engine,
    explain::Why,
    policy::BorrowTerms,
    pool::{Pool, PoolIndex},
    record::{Borrowed, What},
    renew::ended,
    step::{Asked, CLIENT, Step, no},
};

impl Engine {
    /// A borrow runs on wall clocks, so both must show the same, and ours must be believed (L10, L11).
    pub(crate) fn check_clocks(&self, step: &Step, theirs: WallMs) -> Result<(), Box<Refusal>> {
        if let Some(worry) = self.time.worry() {
            let detail = format!("nothing is lent for off-line use while {worry}");
            return Err(no(RefusalCode::ClocksApart, detail));
        }
        let ours = step.now.wall;
        let apart = DurationMs(ours.0.abs_diff(theirs.0));
        if apart <= BORROW_CLOCKS_APART_MS_MAX {
            return Ok(());
        }
        let side = if theirs > ours { "ahead of" } else { "behind" };
        let detail = format!(
            "this machine's clock is {apart} {side} the server's, and a borrow allows {BORROW_CLOCKS_APART_MS_MAX}; correct the clock that is wrong"
        );
        Err(no(RefusalCode::ClocksApart, detail))
    }

    /// What license and policy say of this borrow, once seats were found for it.
    pub(crate) fn check_borrow(
        &self,
        asker: &Asker<'_>,
        wish: &Wish,
        pool: PoolIndex,
        length: DurationMs,
    ) -> Result<(), Box<Refusal>> {
        let pool = self.state.pool(pool);
        let feature = &wish.key.feature;
        let signed = pool
            .terms
            .as_ref()
            .map_or(DurationMs::ZERO, |terms| terms.feature().borrow_ms_max);
        if length > signed {
            let detail = format!(
                "the license lets {feature} be borrowed for {signed} at most, not for {length}"
            );
            return Err(no(RefusalCode::BorrowTooLong, detail));
        }
        let terms = self.borrow_terms(asker, wish);
        check_policy(&terms, wish, length)?;
        self.check_at_home(wish, terms)
    }

    /// What keeps a pool from lending for off-line use, if anything.
    pub(crate) fn why_not_borrowed(pool: &Pool, wish: &Wish) -> Option<Why> {
        wish.borrow_ms?;
        let terms = pool.terms.as_ref()?;
        (terms.feature().borrow_ms_max == DurationMs::ZERO).then_some(Why::NoBorrow)
    }

    /// A new borrowed lease; it ends with its license at the latest (L8).
    pub(crate) fn lend_out(
        &mut self,
        step: &mut Step,
        caller: &Caller,
        checkout: &Checkout,
        pool: PoolIndex,
    ) -> Asked {
        let wall = step.now.wall;
        let asked_until = wall.plus(checkout.length_ms.unwrap_or_default());
        let terms = self.state.pool(pool).terms.as_ref();
        let expires = terms.and_then(|terms| terms.feature().expires);
        let until = expires.map_or(asked_until, |expires| expires.min(asked_until));
        let id = step.next_lease(self.life.epoch, self.head);
        let mut lease = self.granted(step, caller, checkout, id, pool, until.since(wall));
        lease.borrowed = Some(Borrowed {
            until,
            returned: false,
            written_off: false,
        });
        self.put_granted(step, pool, lease);
        // S2: it survives a restore only if the log has it.
        step.output.wait_for_log = true;
        let right = until.since(wall);
        self.promise(
            step,
            id,
            Chain::start(checkout.token),
            checkout.token,
            right,
        )
    }

    /// The same borrowed lease once more, to the very same end (L5).
    pub(crate) fn borrowed_again(
        &mut self,
        step: &mut Step,
        id: LeaseId,
        borrowed: Borrowed,
        chain: Chain,
        checkout: &Checkout,
    ) -> Asked {
        let left = borrowed.until.since(self.time.wall_for_leases(step.now));
        if borrowed.returned || left == DurationMs::ZERO {
            return Err(ended());
        }
        self.promise(step, id, chain, checkout.token, left)
    }

    /// The holder gives a borrowed lease back. Its copy may have been kept, so the seat is lent anew at
    /// once only where the vendor says so (L10).
    pub(crate) fn give_back(&mut self, step: &mut Step, id: LeaseId, borrowed: Borrowed) -> Answer {
        let pool = self.pool_of(id);
        let terms = pool.and_then(|pool| pool.terms.as_ref());
        if terms.is_some_and(|terms| terms.feature().early_return) {
            self.end_lease(step, id);
            self.event(step, CLIENT, What::Released(id));
            return Answer::Released;
        }
        if !borrowed.returned {
            self.change_lease(step, CLIENT, id, |lease| {
                lease.borrowed = Some(Borrowed {
                    returned: true,
                    ..borrowed
                });
            });
        }
        Answer::Returned(self.borrow_left(step.now, id, borrowed.until))
    }

    /// When a borrowed seat comes back, as license time runs now.
    pub(crate) fn borrow_deadline(&self, now: Now, id: LeaseId, until: WallMs) -> BootMs {
        now.boot.plus(self.borrow_left(now, id, until))
    }

    /// L11: license time may have gone ahead of the boot clock, or have been lowered by a license, so
    /// the deadlines that were counted from it are counted anew.
    pub(crate) fn keep_borrow_deadlines(&mut self, now: Now) {
        let ahead = self.time.at(now.boot).0.wrapping_sub(now.boot.0);
        if self.borrow_ahead_ms.abs_diff(ahead) < CLOCK_STEP_MS_MIN {
            return;
        }
        self.borrow_ahead_ms = ahead;
        self.place_all_borrowed(now);
    }

    /// The deadlines of all that is borrowed, as license time runs now (L10).
    pub(crate) fn place_all_borrowed(&mut self, now: Now) {
        for id in self.state.borrowed.clone() {
            self.place_borrowed(now, id);
        }
    }

    /// A borrowed lease's deadline, by license time alone. False: this is no borrowed lease.
    pub(crate) fn place_borrowed(&mut self, now: Now, id: LeaseId) -> bool {
        let entry = self.state.leases.get(&id);
        let Some(borrowed) = entry.and_then(|entry| entry.borrowed) else {
            return false;
        };
        let deadline = self.borrow_deadline(now, id, borrowed.until);
        self.state.set_deadline(id, deadline);
        true
    }

    fn borrow_left(&self, now: Now, id: LeaseId, until: WallMs) -> DurationMs {
        let environment = self.pool_of(id).map(|pool| pool.key.environment);
        let tolerance = tolerance(environment.unwrap_or(Environment::Live));
        until.plus(tolerance).since(self.time.at(now.boot))
    }

    fn borrow_terms(&self, asker: &Asker<'_>, wish: &Wish) -> BorrowTerms {
        if self.policy.borrow.is_empty() {
            return BorrowTerms::default();
        }
        let feature = self.state.feature_path(&wish.key);
        self.policy.borrow(&feature, &asker.subject())
    }

    /// The seats at home are counted over all pools of the feature; an unlimited one always has some.
    fn check_at_home(&self, wish: &Wish, terms: BorrowTerms) -> Result<(), Box<Refusal>> {
        let pools = self.state.serving(&wish.key);
        let mut lendable = 0_u64;
        for index in pools {
            let pool = self.state.pool(*index);
            let Some(seats) = pool.seats() else {
                return Ok(());
            };
            lendable += u64::from(seats).saturating_sub(pool.borrowed);
        }
        let needed = u64::from(wish.seats) + u64::from(terms.at_home);
        if lendable >= needed {
            return Ok(());
        }
        let detail = format!(
            "{} of the seats of {} stay at home, and all others are borrowed; check one out on line, or ask a holder to return one",
            terms.at_home, wish.key.feature
        );
        let mut refusal = no(RefusalCode::KeptAtHome, detail);
        refusal.rule = terms.rule;
        Err(refusal)
    }
}

fn check_policy(terms: &BorrowTerms, wish: &Wish, length: DurationMs) -> Result<(), Box<Refusal>> {
    let feature = &wish.key.feature;
    let mut refusal = match terms.longest {
        Some(DurationMs::ZERO) => no(
            RefusalCode::BorrowNotAllowed,
            format!("the site's policy lets nobody like you borrow {feature}; use it on line"),
        ),
        Some(longest) if length > longest => no(
            RefusalCode::BorrowTooLong,
            format!(
                "the site's policy lets {feature} be borrowed for {longest} at most, not for {length}"
            ),
        ),
        _ => return Ok(()),
    };
    refusal.rule.clone_from(&terms.rule);
    Err(refusal)
}

/// How long after its end a borrowed lease still counts (L10).
pub(crate) const fn tolerance(environment: Environment) -> DurationMs {
    match environment {
        Environment::Live => BORROW_TOLERANCE_MS,
        Environment::Test => BORROW_TOLERANCE_MS_TEST, // T8
    }
}

/// A borrowed lease is never extended.
pub(crate) fn lease_borrowed() -> Box<Refusal> {
    no(
        RefusalCode::LeaseBorrowed,
        "a borrowed lease runs to its end and is not renewed; return it, then check out or borrow anew",
    )
}

/// License time that drifts less than this from the boot clock moves no deadline by itself.
const CLOCK_STEP_MS_MIN: u64 = 1000;
