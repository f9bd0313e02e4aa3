//! One checkout: what is asked for, and the wait for the answer.

use super::{Client, milliseconds};
use crate::{
    clock::Clock,
    driver::{Handle, Order, Shared, ended, fresh},
    error::Error,
    seat::Seat,
    session::{Ask, Session},
};
use std::{future::IntoFuture, pin::Pin, sync::Arc, time::Duration};
use tokio::sync::oneshot;
use usher_protocol::{
    limits::{LEASE_MS_MAX, LEASE_MS_MIN_TEST, SEATS_PER_CHECKOUT_MAX},
    names::{FeatureName, FeaturePath, Version},
    time::DurationMs,
};

/// A checkout that is not sent yet: await it for the [`Seat`].
#[derive(Debug, Clone)]
#[must_use = "a checkout does nothing until it is awaited"]
pub struct CheckoutBuilder {
    client: Client,
    feature: String,
    seats: u32,
    version: Option<String>,
    length: Option<Duration>,
    patience: DurationMs,
}

impl CheckoutBuilder {
    pub(super) fn new(client: &Client, feature: &str) -> Self {
        Self {
            client: client.clone(),
            feature: feature.to_owned(),
            seats: 1,
            version: None,
            length: None,
            patience: PATIENCE_MS,
        }
    }

    /// How many seats; 1 without this call.
    pub fn seats(mut self, count: u32) -> Self {
        self.seats = count;
        self
    }

    /// The version of the product that asks: the license must cover it.
    pub fn version(mut self, version: &str) -> Self {
        self.version = Some(version.to_owned());
        self
    }

    /// The lease length wished for; the license bounds it (L2).
    pub fn length(mut self, length: Duration) -> Self {
        self.length = Some(length);
        self
    }

    /// How long to wait for an answer; 10 s without this call. This is no wait for a free seat.
    pub fn patience(mut self, wait: Duration) -> Self {
        self.patience = milliseconds(wait);
        self
    }

    async fn send(self) -> Result<Seat, Error> {
        let ask = self.ask()?;
        let session = Session::new(ask, Clock::new().now(), fresh()?);
        let shared = Arc::new(Shared::new(session));
        let handle = self.client.handle.clone();
        let (granted, answer) = oneshot::channel();
        let wait = Wait {
            slot: handle.new_slot(),
            handle,
            settled: false,
        };
        wait.handle.order(Order::Checkout {
            slot: wait.slot,
            shared: Arc::clone(&shared),
            patience: self.patience,
            granted,
        });
        let answer = answer.await;
        let slot = wait.settle();
        answer.map_err(|_| ended())??;
        Ok(Seat::new(self.client.handle.clone(), slot, shared))
    }

    fn ask(&self) -> Result<Ask, Error> {
        let length_ms = self.length.map(milliseconds);
        if !(1..=SEATS_PER_CHECKOUT_MAX).contains(&self.seats) {
            let bounds = format!("1 to {SEATS_PER_CHECKOUT_MAX}");
            return Err(Error::OutOfBounds(format!(
                "{} seats: expected {bounds}",
                self.seats
            )));
        }
        if let Some(length) =
            length_ms.filter(|it| !(LEASE_MS_MIN_TEST..=LEASE_MS_MAX).contains(it))
        {
            let bounds = format!("{LEASE_MS_MIN_TEST} to {LEASE_MS_MAX}");
            return Err(Error::OutOfBounds(format!(
                "a lease of {length}: expected {bounds}"
            )));
        }
        Ok(Ask {
            feature: self.feature()?,
            environment: self.client.environment,
            seats: self.seats,
            version: self
                .version
                .as_deref()
                .map(str::parse::<Version>)
                .transpose()?,
            length_ms,
            holder: self.client.holder.clone(),
        })
    }

    /// The vendor in `acme/solver` is for people: the root decides whose servers are asked (T3).
    fn feature(&self) -> Result<FeatureName, Error> {
        if self.feature.contains('/') {
            Ok(self.feature.parse::<FeaturePath>()?.feature)
        } else {
            Ok(self.feature.parse()?)
        }
    }
}

impl IntoFuture for CheckoutBuilder {
    type Output = Result<Seat, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// A wait for a grant: given up, the seat that may still come is given back (L5).
struct Wait {
    handle: Handle,
    slot: u64,
    settled: bool,
}

impl Wait {
    fn settle(mut self) -> u64 {
        self.settled = true;
        self.slot
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if !self.settled {
            self.handle.order(Order::Release {
                slot: self.slot,
                released: None,
            });
        }
    }
}

const PATIENCE_MS: DurationMs = DurationMs::seconds(10);
