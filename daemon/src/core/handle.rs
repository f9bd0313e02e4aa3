//! The asynchronous edge of the core: put a question on its queue, get the answer after the commit.
//!
//! A full queue answers `busy` at once, a stopped core `draining`, one that failed `storage-trouble`:
//! never a stall (A3).

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{OwnedSemaphorePermit, broadcast, mpsc, oneshot};
use usher_engine::api::{AdminAsk, Answer, Caller, ClientAsk, ConnectionId};
use usher_protocol::{
    ids::LifeId,
    refusal::{Refusal, RefusalCode},
    wire::Push,
};

use super::{
    batch::storage_trouble,
    connections::{AnswerSink, Connections, Line, Overrun},
    item::{Item, Outlet},
    meter::Meter,
};
use crate::{journal::SnapshotInfo, limits};

/// Where questions are put. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CoreHandle {
    pub(super) queue: mpsc::Sender<Item>,
    pub(super) news: broadcast::Sender<Push>,
    pub(super) connections: Connections,
    /// Set before the queue closes for want of a durable write (L13).
    pub(super) failed: Arc<AtomicBool>,
    pub(super) meter: Meter,
}

impl CoreHandle {
    /// Asks for a client and waits for the answer.
    pub async fn ask(&self, caller: Caller, ask: ClientAsk) -> Answer {
        let (sender, receiver) = oneshot::channel();
        match self.put(Item::Client(caller, ask, Outlet::Once(sender))) {
            Ok(()) => self.answer(receiver).await,
            Err(refusal) => Answer::Refused(refusal),
        }
    }

    /// Asks for an administrator, or for the daemon itself, and waits for the answer. A full queue is
    /// waited out: whoever floods it must not lock the administrator out, and they are few.
    pub async fn ask_admin(&self, actor: String, ask: AdminAsk) -> Answer {
        let (sender, receiver) = oneshot::channel();
        let item = Item::Admin(actor, ask, Outlet::Once(sender));
        match self.queue.send(item).await {
            Ok(()) => self.answer(receiver).await,
            Err(_) => Answer::Refused(self.ended()),
        }
    }

    /// Asks for a client; the answer goes to `sink` under `number`, and ends the `turn`.
    ///
    /// # Errors
    /// The refusal to send at once when the queue is full or the core has stopped.
    pub fn post(
        &self,
        caller: Caller,
        ask: ClientAsk,
        number: u64,
        sink: &AnswerSink,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Result<(), Box<Refusal>> {
        let outlet = Outlet::Connection(sink.clone(), number, turn);
        self.put(Item::Client(caller, ask, outlet))
    }

    /// Copies the live state as of now into the new file `target` (S6).
    ///
    /// # Errors
    /// A message for people. A copy that fails for the disk's sake ends the daemon (L13).
    pub async fn snapshot(&self, target: PathBuf) -> Result<SnapshotInfo, String> {
        let (sender, receiver) = oneshot::channel();
        // A queue that is gone has dropped the sender, which the receiver then tells.
        drop(self.queue.send(Item::Snapshot(target, sender)).await);
        receiver.await.unwrap_or_else(|_| Err(self.ended().detail))
    }

    /// Another daemon proved to run with our site key (L12). Kept for later when the queue is full:
    /// the clone goes on advertising itself.
    pub fn clone_found(&self, life: LifeId, address: String) {
        drop(self.queue.try_send(Item::CloneFound(life, address)));
    }

    /// A name for a connection that begins; no other of this life has or had it.
    pub fn name_connection(&self) -> ConnectionId {
        self.connections.next_id()
    }

    /// From here on the connection gets what is pushed to it alone, until the line is dropped.
    pub fn register(&self, connection: ConnectionId) -> (Line, Overrun) {
        self.connections.register(connection)
    }

    /// A connection is gone; `orderly` when its client closed it itself. A full queue is waited out:
    /// places in the queue hang on this (L9).
    pub async fn disconnected(&self, connection: ConnectionId, orderly: bool) {
        let item = Item::Disconnected(connection, orderly);
        drop(self.queue.send(item).await);
    }

    /// News for every connection; see [`Push`].
    pub fn news(&self) -> broadcast::Receiver<Push> {
        self.news.subscribe()
    }

    /// What the core did in this life.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Ends the core after what is queued already.
    pub async fn stop(&self) {
        drop(self.queue.send(Item::Stop).await);
    }

    /// How much waits for the core.
    #[cfg(test)]
    pub(crate) fn queued(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// News for one connection, without an engine that has them.
    #[cfg(test)]
    pub(crate) fn push(&self, connection: ConnectionId, push: Push) {
        self.connections.push(connection, push);
    }

    fn put(&self, item: Item) -> Result<(), Box<Refusal>> {
        self.queue.try_send(item).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => busy(),
            mpsc::error::TrySendError::Closed(_) => self.ended(),
        })
    }

    /// A core that ends drops the question.
    async fn answer(&self, receiver: oneshot::Receiver<Answer>) -> Answer {
        receiver
            .await
            .unwrap_or_else(|_| Answer::Refused(self.ended()))
    }

    /// Why nobody answers any more.
    fn ended(&self) -> Box<Refusal> {
        if self.failed.load(Ordering::Acquire) {
            storage_trouble()
        } else {
            stopped()
        }
    }
}

fn busy() -> Box<Refusal> {
    let detail = "the server has more to do than it can queue; it will be free in a moment";
    Box::new(Refusal::new(RefusalCode::Busy, detail).retry_after(limits::BUSY_RETRY_MS))
}

fn stopped() -> Box<Refusal> {
    let detail = "the server is stopping; leases go on, connect again when it is back";
    Box::new(Refusal::new(RefusalCode::Draining, detail).retry_after(limits::DRAIN_RECONNECT_MS))
}
