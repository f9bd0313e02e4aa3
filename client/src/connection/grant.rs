//! Decides whether a lease that came as an answer is genuine and is the one asked for (T2, T6, L8).

use super::{Connection, GrantError};
use crate::session::{Ask, Granted};
use usher_protocol::{
    documents::{
        endorsement::VerifiedEndorsement,
        lease::{Lease, VerifiedLease},
    },
    ids::{LeaseId, Token},
    time::DurationMs,
    wire::{Borrow, Checkout, Grant, Request},
};

/// What a lease must say to answer a request.
#[derive(Debug, Clone)]
pub struct Expected {
    /// What the seat is wanted for.
    pub ask: Ask,
    /// The step of the chain it must answer (T6).
    pub token: Token,
    /// The lease that is extended; none when it is granted.
    pub lease: Option<LeaseId>,
    /// Whether it is for off-line use (L10).
    pub borrowed: bool,
}

impl Expected {
    /// What the answer to `request` must say; none for a request that no lease answers.
    pub fn of(ask: &Ask, request: &Request) -> Option<Self> {
        let (token, lease) = match request {
            Request::Checkout(checkout) => return Some(Self::of_checkout(checkout)),
            Request::Borrow(borrow) => return Some(Self::of_borrow(borrow)),
            Request::Renew(renew) => (renew.link.next, Some(renew.lease)),
            // The lease shown is our own, verified when it came: its body says which one it is.
            Request::Attach(attach) => (attach.link.next, Some(shown(&attach.lease.body)?)),
            _ => return None,
        };
        Some(Self {
            ask: ask.clone(),
            token,
            lease,
            borrowed: false,
        })
    }

    /// What the lease that this checkout brings must say.
    pub fn of_checkout(checkout: &Checkout) -> Self {
        Self {
            ask: Ask::of(checkout),
            token: checkout.token,
            lease: None,
            borrowed: false,
        }
    }

    /// Judges whether `lease` is the one asked for; not whether it is genuine.
    ///
    /// # Errors
    /// [`GrantError::Differs`].
    pub fn check(&self, lease: &Lease) -> Result<(), GrantError> {
        let ask = &self.ask;
        let differs = [
            (lease.feature != ask.feature, "it is for another feature"),
            (
                lease.environment != ask.environment,
                "it is of another environment",
            ),
            (
                lease.seats != ask.seats,
                "it is for another number of seats",
            ),
            (lease.holder != ask.holder, "it names another holder"),
            (lease.token != self.token, "it answers another step"),
            (lease.borrowed && !self.borrowed, "it is a borrowed one"),
            (self.borrowed && !lease.borrowed, "it is no borrowed one"),
            (
                self.lease.is_some_and(|id| id != lease.id),
                "it is another lease",
            ),
        ];
        match differs.into_iter().find(|(differs, _)| *differs) {
            Some((_, what)) => Err(GrantError::Differs(what)),
            None => Ok(()),
        }
    }

    /// What the lease that this borrow brings must say (L10).
    fn of_borrow(borrow: &Borrow) -> Self {
        Self {
            borrowed: true,
            ..Self::of_checkout(&borrow.checkout)
        }
    }
}

impl Connection {
    /// Judges a grant; the lease in it may be relied on for its length from the send (L1).
    pub(super) async fn verify_grant(
        &self,
        grant: &Grant,
        expected: &Expected,
    ) -> Result<VerifiedLease, GrantError> {
        let lease = VerifiedLease::verify(&grant.lease, &self.inner.server.site)?;
        let endorsed = self
            .endorsed(&lease.license, Some(lease.license_hash))
            .await?;
        expected.check(&lease)?;
        self.check_authority(&lease, &endorsed.verified)?;
        Ok(lease)
    }

    /// A grant whose lease was verified.
    pub(super) fn granted(&self, grant: Grant, lease: &VerifiedLease) -> Granted {
        Granted {
            id: lease.id,
            site: self.inner.server.site,
            signed: grant.lease,
            license: lease.license.clone(),
            length: lease.length_ms,
            renew_after: grant.renew_after_ms,
            seats_out: grant.seats_out,
            seats_total: grant.seats_total,
        }
    }

    fn check_authority(
        &self,
        lease: &VerifiedLease,
        endorsement: &VerifiedEndorsement,
    ) -> Result<(), GrantError> {
        // L8: the length that fits its kind, too.
        lease.check_endorsed(endorsement, &self.inner.client)?;
        let exceeds = [
            (
                lease.epoch != self.inner.server.epoch,
                "it is of another life of the server",
            ),
            (lease.length_ms == DurationMs::ZERO, "it has no length"),
        ];
        match exceeds.into_iter().find(|(exceeds, _)| *exceeds) {
            Some((_, what)) => Err(GrantError::Exceeds(what)),
            None => Ok(()),
        }
    }
}

/// The name a lease gives itself; nothing of it is verified.
pub(super) fn shown(body: &[u8]) -> Option<LeaseId> {
    usher_protocol::codec::decode::<Lease>(body)
        .ok()
        .map(|lease| lease.id)
}
