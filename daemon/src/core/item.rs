//! What waits in the core's queue, and where an answer goes.

use std::path::PathBuf;

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use usher_engine::api::{AdminAsk, Answer, Caller, ClientAsk, ConnectionId};
use usher_protocol::ids::LifeId;

use super::{
    batch::Waiting,
    connections::{AnswerSink, Outgoing},
};
use crate::journal::SnapshotInfo;

/// One thing for the core thread.
#[derive(Debug)]
pub(super) enum Item {
    Client(Caller, ClientAsk, Outlet),
    Admin(String, AdminAsk, Outlet),
    CloneFound(LifeId, String),
    /// A client's connection is gone; true when the client closed it itself.
    Disconnected(ConnectionId, bool),
    /// The alarm rang, the watchdog is due or the journal failed; the engine gets a tick either way.
    Ring,
    /// Between two batches (S6).
    Snapshot(PathBuf, oneshot::Sender<Result<SnapshotInfo, String>>),
    /// After this, nothing: resign.
    Stop,
}

/// The waiting side of one question.
#[derive(Debug)]
pub(super) enum Outlet {
    /// Somebody waits for this one answer.
    Once(oneshot::Sender<Answer>),
    /// A connection, which has room for as many answers as it has requests outstanding.
    /// The turn that the request had, if it needed one, ends with it.
    Connection(AnswerSink, u64, Option<OwnedSemaphorePermit>),
}

impl Waiting for Outlet {
    fn release(self, answer: Answer) {
        match self {
            Self::Once(waiting) => drop(waiting.send(answer)),
            Self::Connection(waiting, number, _turn) => {
                drop(waiting.try_send(Outgoing::Answered { number, answer }));
            }
        }
    }
}
