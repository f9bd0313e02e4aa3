//! What every checkout has in common: who waits how long, and what becomes of a wait given up.
//! Must not decide what is asked for.

use super::{Client, milliseconds};
use crate::{
    clock::Clock,
    driver::{Checkout, Handle, Order, Patience, PlaceListener, Shared, ended, fresh},
    error::Error,
    seat::Seat,
    session::{Ask, Session},
};
use std::{fmt, sync::Arc, time::Duration};
use tokio::sync::oneshot;
use usher_protocol::{
    limits::{LEASE_MS_MAX, LEASE_MS_MIN_TEST, SEATS_PER_CHECKOUT_MAX},
    names::{FeatureName, FeaturePath, Version},
    time::DurationMs,
    wire::{Place, Reply, Request},
};

/// How long a caller waits, and who is told meanwhile.
#[derive(Clone)]
pub(super) struct Terms {
    patience: Patience,
    listener: Option<PlaceListener>,
    length: Option<Duration>,
}

impl Terms {
    pub(super) fn new() -> Self {
        let patience = Patience {
            answer: PATIENCE_MS,
            seat: DurationMs::ZERO,
        };
        Self {
            patience,
            listener: None,
            length: None,
        }
    }

    pub(super) fn patience(&mut self, wait: Duration) {
        self.patience.answer = milliseconds(wait);
    }

    pub(super) fn wait(&mut self, wait: Duration) {
        self.patience.seat = milliseconds(wait);
    }

    pub(super) fn on_wait(&mut self, listener: impl Fn(Place) + Send + Sync + 'static) {
        self.listener = Some(Arc::new(listener));
    }

    pub(super) fn length(&mut self, length: Duration) {
        self.length = Some(length);
    }

    /// What one feature is asked for with, in bounds.
    pub(super) fn ask(
        &self,
        client: &Client,
        feature: &str,
        seats: u32,
        version: Option<&str>,
    ) -> Result<Ask, Error> {
        if !(1..=SEATS_PER_CHECKOUT_MAX).contains(&seats) {
            let bounds = format!("1 to {SEATS_PER_CHECKOUT_MAX}");
            return Err(Error::OutOfBounds(format!(
                "{seats} seats: expected {bounds}"
            )));
        }
        let length_ms = self.length.map(milliseconds);
        if let Some(length) =
            length_ms.filter(|it| !(LEASE_MS_MIN_TEST..=LEASE_MS_MAX).contains(it))
        {
            let bounds = format!("{LEASE_MS_MIN_TEST} to {LEASE_MS_MAX}");
            return Err(Error::OutOfBounds(format!(
                "a lease of {length}: expected {bounds}"
            )));
        }
        Ok(Ask {
            feature: name_of(feature)?,
            environment: client.environment,
            seats,
            version: version.map(str::parse::<Version>).transpose()?,
            length_ms,
            holder: client.holder.clone(),
        })
    }

    /// Sends the checkout and waits; one guard for each of `asks`, in their order.
    pub(super) async fn send(self, client: &Client, asks: Vec<Ask>) -> Result<Vec<Seat>, Error> {
        let features: Vec<FeatureName> = asks.iter().map(|ask| ask.feature.clone()).collect();
        match self.send_once(client, asks).await {
            Err(Error::WaitedInVain(mut waited)) => {
                // Whom to ask, where the server says so in time.
                if let [feature, ..] = features.as_slice()
                    && let Ok(Reply::Holders(holders, more)) =
                        client.handle.ask(Request::Holders(feature.clone())).await
                {
                    (waited.holders, waited.holders_more) = (holders, more);
                }
                Err(Error::WaitedInVain(waited))
            }
            other => other,
        }
    }

    async fn send_once(self, client: &Client, asks: Vec<Ask>) -> Result<Vec<Seat>, Error> {
        let handle = client.handle.clone();
        let slots: Vec<u64> = asks.iter().map(|_| handle.new_slot()).collect();
        let mut asks = asks.into_iter();
        let Some(first) = asks.next() else {
            return Err(Error::OutOfBounds("no feature: expected at least 1".into()));
        };
        let session = Session::new(first, Clock::new().now(), fresh()?);
        let mut session = session.together_with(asks.collect());
        if self.patience.seat > DurationMs::ZERO {
            session = session.waiting();
        }
        let (granted, answer) = oneshot::channel();
        let wait = Wait {
            slots: slots.clone(),
            handle: handle.clone(),
            settled: false,
        };
        handle.order(Order::Checkout(Checkout {
            slots,
            shared: Arc::new(Shared::new(session).telling(self.listener)),
            patience: self.patience,
            granted,
        }));
        let answer = answer.await;
        let slots = wait.settle();
        let sessions = answer.map_err(|_| ended())??;
        let seats = slots.into_iter().zip(sessions);
        Ok(seats
            .map(|(slot, shared)| Seat::new(handle.clone(), slot, shared))
            .collect())
    }
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms")
            .field("patience", &self.patience)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// The vendor in `acme/solver` is for people: the root decides whose servers are asked (T3).
fn name_of(feature: &str) -> Result<FeatureName, Error> {
    if feature.contains('/') {
        Ok(feature.parse::<FeaturePath>()?.feature)
    } else {
        Ok(feature.parse()?)
    }
}

/// A wait for a grant: given up, its place is left and the seat that may still come is given back
/// (L5, L9).
struct Wait {
    handle: Handle,
    slots: Vec<u64>,
    settled: bool,
}

impl Wait {
    fn settle(mut self) -> Vec<u64> {
        self.settled = true;
        std::mem::take(&mut self.slots)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if !self.settled {
            for slot in self.slots.drain(..) {
                self.handle.order(Order::Release {
                    slot,
                    released: None,
                });
            }
        }
    }
}

const PATIENCE_MS: DurationMs = DurationMs::seconds(10);
