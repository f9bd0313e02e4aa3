//! Several features at once, all or nothing: what is asked for, and the wait for the answer.

use super::{Client, asking::Terms};
use crate::{error::Error, seat::Seat};
use std::{future::IntoFuture, pin::Pin, time::Duration};
use usher_protocol::{limits::FEATURES_PER_CHECKOUT_MAX, wire::Place};

/// A checkout of several features that is not sent yet: await it for one [`Seat`] guard each, in the
/// order asked for. Each lease renews and ends by itself from then on.
#[derive(Debug, Clone)]
#[must_use = "a checkout does nothing until it is awaited"]
pub struct CheckoutAllBuilder {
    client: Client,
    wanted: Vec<(String, u32)>,
    version: Option<String>,
    terms: Terms,
}

impl CheckoutAllBuilder {
    pub(super) fn new<'a>(client: &Client, features: impl IntoIterator<Item = &'a str>) -> Self {
        let features = features.into_iter();
        Self {
            client: client.clone(),
            wanted: features.map(|name| (name.to_owned(), 1)).collect(),
            version: None,
            terms: Terms::new(),
        }
    }

    /// How many seats of each feature named so far; 1 without this call.
    pub fn seats(mut self, count: u32) -> Self {
        for (_, seats) in &mut self.wanted {
            *seats = count;
        }
        self
    }

    /// One feature more, with a number of seats of its own.
    pub fn also(mut self, feature: &str, seats: u32) -> Self {
        self.wanted.push((feature.to_owned(), seats));
        self
    }

    /// As [`super::CheckoutBuilder::version`], for each of them.
    pub fn version(mut self, version: &str) -> Self {
        self.version = Some(version.to_owned());
        self
    }

    /// As [`super::CheckoutBuilder::length`], for each of them.
    pub fn length(mut self, length: Duration) -> Self {
        self.terms.length(length);
        self
    }

    /// As [`super::CheckoutBuilder::patience`].
    pub fn patience(mut self, wait: Duration) -> Self {
        self.terms.patience(wait);
        self
    }

    /// As [`super::CheckoutBuilder::wait`]: they wait together, until all can be had at once.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.terms.wait(wait);
        self
    }

    /// As [`super::CheckoutBuilder::on_wait`].
    pub fn on_wait(mut self, listener: impl Fn(Place) + Send + Sync + 'static) -> Self {
        self.terms.on_wait(listener);
        self
    }

    async fn send(self) -> Result<Vec<Seat>, Error> {
        let count = self.wanted.len();
        if !(1..=FEATURES_PER_CHECKOUT_MAX).contains(&count) {
            let bounds = format!("1 to {FEATURES_PER_CHECKOUT_MAX}");
            return Err(Error::OutOfBounds(format!(
                "{count} features at once: expected {bounds}"
            )));
        }
        let mut asks = Vec::with_capacity(count);
        for (feature, seats) in &self.wanted {
            let version = self.version.as_deref();
            let ask = self.terms.ask(&self.client, feature, *seats, version)?;
            if asks
                .iter()
                .any(|it: &crate::session::Ask| it.feature == ask.feature)
            {
                return Err(Error::OutOfBounds(format!(
                    "`{}` twice: expected each feature once, with a number of seats",
                    ask.feature
                )));
            }
            asks.push(ask);
        }
        self.terms.send(&self.client, asks).await
    }
}

impl IntoFuture for CheckoutAllBuilder {
    type Output = Result<Vec<Seat>, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// # Errors
    /// As awaiting [`super::CheckoutBuilder`]; then none of them is held.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
