//! One checkout: what is asked for, and the wait for the answer.

use super::{Client, asking::Terms};
use crate::{error::Error, seat::Seat};
use std::{future::IntoFuture, pin::Pin, time::Duration};
use usher_protocol::wire::Place;

/// A checkout that is not sent yet: await it for the [`Seat`].
///
/// ```no_run
/// # async fn example(client: usher_client::Client) -> Result<(), usher_client::Error> {
/// use std::time::Duration;
///
/// let seat = client
///     .checkout("solver")
///     .wait(Duration::from_secs(600))
///     .on_wait(|place| eprintln!("{} of {}", place.position, place.waiting))
///     .await?;
/// # drop(seat); Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a checkout does nothing until it is awaited"]
pub struct CheckoutBuilder {
    client: Client,
    feature: String,
    seats: u32,
    version: Option<String>,
    terms: Terms,
}

impl CheckoutBuilder {
    pub(super) fn new(client: &Client, feature: &str) -> Self {
        Self {
            client: client.clone(),
            feature: feature.to_owned(),
            seats: 1,
            version: None,
            terms: Terms::new(),
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
        self.terms.length(length);
        self
    }

    /// How long to wait for an answer; 10 s without this call. This is no wait for a free seat.
    pub fn patience(mut self, wait: Duration) -> Self {
        self.terms.patience(wait);
        self
    }

    /// How long to stand in the queue when no seat is free, counted from the call (L9). Zero, as
    /// without this call, is not at all. A checkout that is given up, by dropping its future,
    /// leaves the queue at once.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.terms.wait(wait);
        self
    }

    /// Calls `listener` with the place in the queue whenever it changes, on the library's thread: it
    /// must be short and must not block.
    pub fn on_wait(mut self, listener: impl Fn(Place) + Send + Sync + 'static) -> Self {
        self.terms.on_wait(listener);
        self
    }

    async fn send(self) -> Result<Seat, Error> {
        let version = self.version.as_deref();
        let ask = self
            .terms
            .ask(&self.client, &self.feature, self.seats, version)?;
        let mut seats = self.terms.send(&self.client, vec![ask]).await?;
        seats
            .pop()
            .ok_or_else(|| Error::Local("a grant without a seat".to_owned()))
    }
}

impl IntoFuture for CheckoutBuilder {
    type Output = Result<Seat, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// # Errors
    /// [`Error::Refused`] with the server's reason; [`Error::WaitedInVain`] when no seat came free
    /// in time; [`Error::NoAnswer`] or [`Error::Untrusted`] when the answer did not come or cannot
    /// be believed; [`Error::Name`] or [`Error::OutOfBounds`] before anything is sent.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
