//! The guard of a seat: reads its session, gives it back when dropped. Must not decide anything
//! that the session decides.

use crate::{
    clock::Clock,
    connection::Server,
    driver::{Handle, Order, Released, Shared, ended},
    error::Error,
    lease_file::LeaseFile,
    session::{Change, Held, LostWhy, Right, State},
};
use std::{fmt, path::Path, sync::Arc, time::Duration};
use tokio::sync::oneshot;
use usher_protocol::{
    envelope::Signed,
    ids::LeaseId,
    names::{FeatureName, LicenseId},
    time::DurationMs,
    wire::Place,
};

/// Seats that are ours as long as [`Seat::state`] says so. They renew themselves.
///
/// Dropped, the seat is given back: the drop waits up to a quarter of a second for the server's
/// word, so that a program that ends right after it has given the seat back indeed. Where that must
/// not block, `seat.release().await` first.
pub struct Seat {
    handle: Handle,
    slot: u64,
    shared: Arc<Shared>,
    released: bool,
}

impl Seat {
    pub(crate) fn new(handle: Handle, slot: u64, shared: Arc<Shared>) -> Self {
        Self {
            handle,
            slot,
            shared,
            released: false,
        }
    }

    /// Whether the seat is ours at this moment: from the clocks, without any I/O (L1).
    pub fn state(&self) -> State {
        let (state, told) = self.shared.look(Clock::new().now());
        if !told {
            // The driver was stopped or late: it tells the others, and does what can be done.
            self.handle.order(Order::Look { slot: self.slot });
        }
        state.unwrap_or(State::Lost(LostWhy::Ended))
    }

    /// Calls `listener` at each change of state, on the library's thread: it must be short and must
    /// not block. Several listeners are called in order.
    pub fn on_change(&self, listener: impl Fn(Change) + Send + 'static) {
        self.shared.listen(Box::new(listener));
    }

    /// Tells that the application is in use at this moment. Where the site's policy reclaims seats
    /// of idle applications, only those that call this are measured: call it at each sign of work,
    /// as often as you like, for it costs nothing. Found idle, the seat is
    /// [`Trouble::Idle`](crate::Trouble::Idle) to the end of its right and then [`LostWhy::Idle`].
    pub fn report_activity(&self) {
        self.shared.session().report_activity(Clock::new().now());
    }

    /// Where the seat stands in the queue while it is lost and asked for again (L6).
    pub fn place(&self) -> Option<Place> {
        self.shared.session().place()
    }

    /// Gives the seat back and waits for the server's word.
    ///
    /// # Errors
    /// [`Error::NoAnswer`] when the server did not acknowledge in time; the seat then comes free
    /// when its lease ends, and this client goes on trying until then.
    pub async fn release(mut self) -> Result<(), Error> {
        self.released = true;
        let (tell, told) = oneshot::channel();
        self.order_release(Some(Released::Async(tell)));
        match told.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::NoAnswer(
                "the release was not acknowledged".to_owned(),
            )),
            Err(_) => Err(ended()),
        }
    }

    /// Writes the lease with its secrets to a private file and lets go of it: it is not renewed any
    /// more, but by [`LeaseFile::renew`], and not released when this guard is gone.
    ///
    /// # Errors
    /// [`Error::LeaseFile`] when it cannot be written, [`Error::NoAnswer`] when the seat is lost or
    /// the server out of reach; the seat is given back then.
    pub async fn keep(mut self, path: &Path) -> Result<LeaseFile, Error> {
        let gone = || Error::NoAnswer("the connection ended".to_owned());
        let connection = self.handle.connection().await?.ok_or_else(gone)?;
        let lost = || Error::NoAnswer("the seat is lost".to_owned());
        let detached = self.shared.session().detach(Clock::new().now());
        let detached = detached.ok_or_else(lost)?;
        self.handle.order(Order::Forget { slot: self.slot });
        self.released = true;
        LeaseFile::keep(path, &connection, &self.shared.ask(), detached).await
    }

    /// Writes the lease as it is now to a file that can be verified off line and does nothing else;
    /// the seat stays with this guard. Write it anew after a renewal, or it tells of an earlier end.
    ///
    /// # Errors
    /// As [`Seat::keep`]; nothing is given back.
    pub async fn show(&self, path: &Path) -> Result<LeaseFile, Error> {
        let gone = || Error::NoAnswer("the connection ended".to_owned());
        let connection = self.handle.connection().await?.ok_or_else(gone)?;
        let lost = || Error::NoAnswer("the seat is lost".to_owned());
        LeaseFile::show(path, &connection, self.held().ok_or_else(lost)?).await
    }

    /// The lease's name, as the server's admin sees it.
    pub fn id(&self) -> Option<LeaseId> {
        self.held().map(|held| held.granted.id)
    }

    /// The feature.
    pub fn feature(&self) -> FeatureName {
        self.shared.ask().feature
    }

    /// How many seats this guard stands for.
    pub fn seats(&self) -> u32 {
        self.shared.ask().seats
    }

    /// The license they come from.
    pub fn license(&self) -> Option<LicenseId> {
        self.held().map(|held| held.granted.license)
    }

    /// Seats of the pool out at the last renewal, these included, and all there are; none is
    /// unlimited: "seat 4 of 10".
    pub fn pool(&self) -> (u32, Option<u32>) {
        let held = self.held();
        held.map_or((0, None), |held| {
            (held.granted.seats_out, held.granted.seats_total)
        })
    }

    /// The lease's length **R**, and how often it is renewed.
    pub fn rhythm(&self) -> (DurationMs, DurationMs) {
        let held = self.held();
        held.map_or_else(Default::default, |held| {
            (held.granted.length, held.granted.renew_after)
        })
    }

    /// The right as the server confirmed it last; it may be over, which [`Seat::state`] says.
    pub fn right(&self) -> Option<Right> {
        self.held().map(|held| held.right)
    }

    /// What is left of the right if nothing extends it.
    pub fn left(&self) -> DurationMs {
        let now = Clock::new().now();
        self.held()
            .map_or(DurationMs::ZERO, |held| held.right.left(now))
    }

    /// The lease as the server signed it last.
    pub fn signed_lease(&self) -> Option<Signed> {
        self.held().map(|held| held.granted.signed)
    }

    /// The server that answered last.
    pub fn server(&self) -> Option<Server> {
        self.handle.server()
    }

    fn held(&self) -> Option<Held> {
        self.shared.held()
    }

    fn order_release(&self, released: Option<Released>) {
        self.handle.order(Order::Release {
            slot: self.slot,
            released,
        });
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.released {
            return;
        }
        if self.handle.is_driver_here() || self.handle.server().is_none() {
            return self.order_release(None);
        }
        let (tell, told) = std::sync::mpsc::channel();
        self.order_release(Some(Released::Blocking(tell)));
        let _ = told.recv_timeout(DROP_WAIT_MAX);
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat")
            .field("feature", &self.feature())
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

/// A program's end is not held up longer by a server that does not answer.
const DROP_WAIT_MAX: Duration = Duration::from_millis(250);
