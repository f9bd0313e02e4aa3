//! May this asker have these seats now: the one order in which all rules are asked, for checkouts, for
//! waiters, borrows and `usherd explain` alike. It changes nothing.
//!
//! Stopped? · bounds · served? · accepted key? · suspended? · cooling down? · deny · allow · maximum ·
//! seats (own lingering ones, own reservation, shared, overdraft; behind those who wait before it) ·
//! borrow.
//! docs/semantics.md says the same to administrators.

use std::net::IpAddr;

use usher_protocol::{
    ids::{Fingerprint, PublicKey},
    names::Version,
    refusal::{Refusal, RefusalCode},
    time::DurationMs,
    wire::{Checkout, Holder},
};

use crate::{
    api::Caller,
    checkout::check_seats,
    engine::Engine,
    explain::Reasons,
    policy::Subject,
    pool::{FeatureKey, PoolIndex},
    queue::Rank,
    step::Step,
};

/// Who asks, as the rules see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) root: Fingerprint,
    /// None is a key that nobody has seen.
    pub(crate) client: Option<PublicKey>,
    /// None is in no network.
    pub(crate) address: Option<IpAddr>,
    pub(crate) holder: &'a Holder,
}

impl<'a> Asker<'a> {
    /// A caller in its own words.
    pub(crate) fn of(caller: &Caller, holder: &'a Holder) -> Self {
        Self {
            root: caller.root,
            client: Some(caller.client),
            address: Some(caller.address),
            holder,
        }
    }

    /// As the policy sees it. A key that nobody has seen is in no list.
    pub(crate) fn subject(&self) -> Subject<'a> {
        Subject {
            client: self.client.into(),
            user: &self.holder.user,
            host: &self.holder.host,
            address: self.address,
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) key: FeatureKey,
    pub(crate) seats: u32,
    pub(crate) version: Option<Version>,
    /// Who waits before this rank is served before it (L9).
    pub(crate) rank: Rank,
    /// For off-line use, this long (L10).
    pub(crate) borrow_ms: Option<DurationMs>,
}

impl Wish {
    /// What a checkout asks for, at this rank.
    pub(crate) fn of(root: Fingerprint, checkout: &Checkout, rank: Rank) -> Self {
        Self {
            key: FeatureKey::of(root, checkout),
            seats: checkout.seats,
            version: checkout.version,
            rank,
            borrow_ms: None,
        }
    }
}

/// What the rules come to, where they do not refuse for good.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Seats of this pool.
    Seats(PoolIndex),
    /// None now, and each pool's reason: what a waiter waits for. For who does not wait,
    /// [`Engine::explain`] makes a refusal of it, which costs more than to find it out.
    Wait(Reasons),
}

impl Engine {
    /// The verdict, or the refusal that waiting does not change.
    pub(crate) fn decide(
        &self,
        step: &Step,
        asker: &Asker<'_>,
        wish: &Wish,
    ) -> Result<Verdict, Box<Refusal>> {
        self.check_stops(step)?;
        check_seats(wish.seats)?;
        self.check_bounds(asker)?;
        if let Err(refusal) = self.admit(step, asker, wish) {
            // What nobody gets now is nobody's fault: that is asked first, when it matters.
            self.check_served(step, asker, wish)?;
            return Err(refusal);
        }
        let verdict = self.find_room(step, asker, wish)?;
        if let (Verdict::Seats(pool), Some(length)) = (&verdict, wish.borrow_ms) {
            self.check_borrow(asker, wish, *pool, length)?;
        }
        Ok(verdict)
    }

    /// The same after leases that are over have been taken back: a queue of expiries must not refuse a
    /// seat that is free already.
    pub(crate) fn decide_fresh(
        &mut self,
        step: &mut Step,
        asker: &Asker<'_>,
        wish: &Wish,
    ) -> Result<Verdict, Box<Refusal>> {
        let first = self.decide(step, asker, wish);
        let may_change = match &first {
            Ok(Verdict::Wait(_)) => true,
            Err(refusal) => refusal.code == RefusalCode::MaximumReached,
            Ok(Verdict::Seats(_)) => false,
        };
        // With nothing over and nobody's turn come, the answer would be the same.
        if !may_change || !(self.is_any_due(step) || self.queue.is_due()) {
            return first;
        }
        if first.is_err() {
            self.reclaim_counted(step, asker, wish);
        }
        let kept = self.reserved_for_others(asker, &wish.key);
        let kept: u64 = kept.iter().map(|(_, idle)| idle).sum();
        let needed = u32::try_from(kept + u64::from(wish.seats)).unwrap_or(u32::MAX);
        for index in self.state.serving(&wish.key).to_vec() {
            self.reclaim_for(step, index, needed);
        }
        // Those who wait come before whoever asks now (L9).
        self.offer_free_seats(step);
        self.decide(step, asker, wish)
    }
}
