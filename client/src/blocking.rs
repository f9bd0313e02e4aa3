//! The same library for programs without a runtime: every call blocks its thread. The work is done
//! by the client's own thread either way.

use crate::{
    client,
    connection::Server,
    error::Error,
    seat,
    session::{Change, State},
};
use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};
use usher_protocol::wire::{FeatureView, Place};

/// As [`client::Client`].
#[derive(Debug, Clone)]
pub struct Client(client::Client);

/// As [`seat::Seat`]; dropped, it is given back.
#[derive(Debug)]
pub struct Seat(seat::Seat);

/// As [`client::CheckoutBuilder`]; [`CheckoutBuilder::send`] sends it.
#[derive(Debug, Clone)]
#[must_use = "a checkout does nothing until `send`"]
pub struct CheckoutBuilder(client::CheckoutBuilder);

/// As [`client::CheckoutAllBuilder`]; [`CheckoutAllBuilder::send`] sends it.
#[derive(Debug, Clone)]
#[must_use = "a checkout does nothing until `send`"]
pub struct CheckoutAllBuilder(client::CheckoutAllBuilder);

impl Client {
    /// As [`client::Client::connect`].
    ///
    /// # Errors
    /// The same.
    pub fn connect(vendor_key: impl AsRef<[u8]>) -> Result<Self, Error> {
        block_on(client::Client::connect(vendor_key)).map(Self)
    }

    /// With the choices that were made.
    ///
    /// # Errors
    /// As [`client::Builder::connect`].
    pub fn build(builder: client::Builder) -> Result<Self, Error> {
        block_on(builder.connect()).map(Self)
    }

    /// As [`client::Client::checkout`].
    pub fn checkout(&self, feature: &str) -> CheckoutBuilder {
        CheckoutBuilder(self.0.checkout(feature))
    }

    /// As [`client::Client::checkout_all`].
    pub fn checkout_all<'a>(
        &self,
        features: impl IntoIterator<Item = &'a str>,
    ) -> CheckoutAllBuilder {
        CheckoutAllBuilder(self.0.checkout_all(features))
    }

    /// As [`client::Client::features`].
    ///
    /// # Errors
    /// The same.
    pub fn features(&self) -> Result<Vec<FeatureView>, Error> {
        block_on(self.0.features())
    }

    /// The server that answered last.
    pub fn server(&self) -> Option<Server> {
        self.0.server()
    }
}

impl CheckoutBuilder {
    /// As [`client::CheckoutBuilder::seats`].
    pub fn seats(self, count: u32) -> Self {
        Self(self.0.seats(count))
    }

    /// As [`client::CheckoutBuilder::version`].
    pub fn version(self, version: &str) -> Self {
        Self(self.0.version(version))
    }

    /// As [`client::CheckoutBuilder::length`].
    pub fn length(self, length: Duration) -> Self {
        Self(self.0.length(length))
    }

    /// As [`client::CheckoutBuilder::patience`].
    pub fn patience(self, wait: Duration) -> Self {
        Self(self.0.patience(wait))
    }

    /// As [`client::CheckoutBuilder::wait`].
    pub fn wait(self, wait: Duration) -> Self {
        Self(self.0.wait(wait))
    }

    /// As [`client::CheckoutBuilder::on_wait`].
    pub fn on_wait(self, listener: impl Fn(Place) + Send + Sync + 'static) -> Self {
        Self(self.0.on_wait(listener))
    }

    /// Sends it and waits for the seat.
    ///
    /// # Errors
    /// As awaiting [`client::CheckoutBuilder`].
    pub fn send(self) -> Result<Seat, Error> {
        block_on(self.0.into_future()).map(Seat)
    }
}

impl CheckoutAllBuilder {
    /// As [`client::CheckoutAllBuilder::seats`].
    pub fn seats(self, count: u32) -> Self {
        Self(self.0.seats(count))
    }

    /// As [`client::CheckoutAllBuilder::also`].
    pub fn also(self, feature: &str, seats: u32) -> Self {
        Self(self.0.also(feature, seats))
    }

    /// As [`client::CheckoutAllBuilder::version`].
    pub fn version(self, version: &str) -> Self {
        Self(self.0.version(version))
    }

    /// As [`client::CheckoutAllBuilder::length`].
    pub fn length(self, length: Duration) -> Self {
        Self(self.0.length(length))
    }

    /// As [`client::CheckoutAllBuilder::patience`].
    pub fn patience(self, wait: Duration) -> Self {
        Self(self.0.patience(wait))
    }

    /// As [`client::CheckoutAllBuilder::wait`].
    pub fn wait(self, wait: Duration) -> Self {
        Self(self.0.wait(wait))
    }

    /// As [`client::CheckoutAllBuilder::on_wait`].
    pub fn on_wait(self, listener: impl Fn(Place) + Send + Sync + 'static) -> Self {
        Self(self.0.on_wait(listener))
    }

    /// Sends it and waits for the seats.
    ///
    /// # Errors
    /// As awaiting [`client::CheckoutAllBuilder`].
    pub fn send(self) -> Result<Vec<Seat>, Error> {
        let seats = block_on(self.0.into_future())?;
        Ok(seats.into_iter().map(Seat).collect())
    }
}

impl Seat {
    /// As [`seat::Seat::state`].
    pub fn state(&self) -> State {
        self.0.state()
    }

    /// As [`seat::Seat::on_change`].
    pub fn on_change(&self, listener: impl Fn(Change) + Send + 'static) {
        self.0.on_change(listener);
    }

    /// As [`seat::Seat::report_activity`].
    pub fn report_activity(&self) {
        self.0.report_activity();
    }

    /// As [`seat::Seat::release`].
    ///
    /// # Errors
    /// The same.
    pub fn release(self) -> Result<(), Error> {
        block_on(self.0.release())
    }

    /// Everything else that a seat knows of itself.
    pub fn as_async(&self) -> &seat::Seat {
        &self.0
    }
}

/// Waits for a future of this library on this thread; it must not be one that needs a runtime.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
