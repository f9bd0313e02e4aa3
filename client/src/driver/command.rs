//! What callers order from a driver, and the handle they order through.

use super::slot::Shared;
use crate::{
    connection::{Connection, Server},
    error::Error,
};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, ThreadId},
};
use tokio::sync::{mpsc, oneshot};
use usher_protocol::{
    time::DurationMs,
    wire::{Reply, Request},
};

/// The server that answered last, shared with the callers.
pub(super) type ServerCell = Arc<Mutex<Option<Server>>>;

/// One order to the driver.
pub(crate) enum Order {
    /// Check out.
    Checkout(Checkout),
    /// Give back, or give up.
    Release {
        slot: u64,
        released: Option<Released>,
    },
    /// The seat lives on without this process.
    Forget { slot: u64 },
    /// A caller saw a state that was not reported yet.
    Look { slot: u64 },
    /// A question that no lease hangs on.
    Ask {
        request: Request,
        reply: oneshot::Sender<Result<Reply, Error>>,
    },
    /// The connection, if there is one just now.
    Connection {
        reply: oneshot::Sender<Option<Connection>>,
    },
    /// Tell when nothing is on its way back to the server any more.
    Settled { tell: oneshot::Sender<()> },
}

/// A checkout for the driver to carry.
pub(crate) struct Checkout {
    /// The slot of each lease, in the order asked for; the first stands for all until they are
    /// granted.
    pub(crate) slots: Vec<u64>,
    /// Its session is new and knows no connection.
    pub(crate) shared: Arc<Shared>,
    pub(crate) patience: Patience,
    /// Gets the sessions, one for each slot.
    pub(crate) granted: oneshot::Sender<Result<Vec<Arc<Shared>>, Error>>,
}

/// How long a caller waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For any answer.
    pub(crate) answer: DurationMs,
    /// For a seat, in the queue (L9); zero is not at all.
    pub(crate) seat: DurationMs,
}

/// Who is told that a seat is back: true if the server acknowledged it.
pub(crate) enum Released {
    Async(oneshot::Sender<bool>),
    Blocking(std::sync::mpsc::Sender<bool>),
}

impl Released {
    pub(super) fn tell(self, acknowledged: bool) {
        match self {
            Self::Async(waiter) => drop(waiter.send(acknowledged)),
            Self::Blocking(waiter) => drop(waiter.send(acknowledged)),
        }
    }
}

/// Shared by a client and its seats; the driver ends after the last one is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    shared: Arc<HandleShared>,
}

#[derive(Debug)]
struct HandleShared {
    orders: mpsc::UnboundedSender<Order>,
    server: ServerCell,
    thread: ThreadId,
    slots: AtomicU64,
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Order")
    }
}

impl Handle {
    pub(super) fn new(
        orders: mpsc::UnboundedSender<Order>,
        server: ServerCell,
        thread: ThreadId,
    ) -> Self {
        let shared = HandleShared {
            orders,
            server,
            thread,
            slots: AtomicU64::new(0),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Sends an order; a driver that has ended answers by dropping it.
    pub(crate) fn order(&self, order: Order) {
        let _ = self.shared.orders.send(order);
    }

    pub(crate) fn new_slot(&self) -> u64 {
        self.shared.slots.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn server(&self) -> Option<Server> {
        self.shared
            .server
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether the caller is the driver itself, who must never wait for itself.
    pub(crate) fn is_driver_here(&self) -> bool {
        thread::current().id() == self.shared.thread
    }

    /// Asks one question.
    pub(crate) async fn ask(&self, request: Request) -> Result<Reply, Error> {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Ask { request, reply });
        match answer.await.map_err(|_| ended())? {
            Ok(Reply::Refused(refusal)) => Err(Error::Refused(Box::new(refusal))),
            other => other,
        }
    }

    /// Waits until the server has acknowledged all that was given up or given back.
    pub(crate) async fn settled(&self) {
        let (tell, told) = oneshot::channel();
        self.order(Order::Settled { tell });
        // A driver that has ended has nothing under way.
        let _ = told.await;
    }

    /// The connection just now.
    pub(crate) async fn connection(&self) -> Result<Option<Connection>, Error> {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Connection { reply });
        answer.await.map_err(|_| ended())
    }
}

/// The driver's thread is gone: only a panic there can do that.
pub(crate) fn ended() -> Error {
    Error::Local("the thread of the usher client has ended".to_owned())
}
