//! Decides which answer belongs to which question on the one stream, and when the stream is over.
//! Must not understand either.

use super::CallError;
use quinn::{RecvStream, SendStream, VarInt};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use usher_protocol::{
    codec::{CodecError, FRAME_PREFIX_BYTES, frame_length},
    wire::{CLOSE_DONE, CLOSE_RETURNING, ClientFrame, Push, Reply, Request, ServerFrame},
};

/// The one stream of a connection, shared by all who ask.
#[derive(Debug)]
pub(super) struct Exchange {
    quic: quinn::Connection,
    send: AsyncMutex<SendStream>,
    waiting: Arc<Mutex<Waiting>>,
    number: AtomicU64,
}

/// Who waits for which number.
#[derive(Debug, Default)]
struct Waiting {
    replies: HashMap<u64, oneshot::Sender<Reply>>,
    /// Why the stream is over, once it is.
    ended: Option<String>,
}

impl Exchange {
    /// Starts reading; the receiver gets pushes, and ends with the connection.
    pub(super) fn start(
        quic: quinn::Connection,
        send: SendStream,
        receive: RecvStream,
    ) -> (Self, mpsc::Receiver<Push>) {
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let (pushes, pushed) = mpsc::channel(PUSHES_MAX);
        tokio::spawn(read(receive, quic.clone(), Arc::clone(&waiting), pushes));
        let exchange = Self {
            quic,
            send: AsyncMutex::new(send),
            waiting,
            // Number 0 is the connection itself.
            number: AtomicU64::new(1),
        };
        (exchange, pushed)
    }

    pub(super) async fn call(&self, request: Request) -> Result<Reply, CallError> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let bytes = ClientFrame::Request(number, request).encode()?;
        let (reply, answered) = oneshot::channel();
        lock(&self.waiting).add(number, reply)?;
        let _turn = Turn {
            waiting: &self.waiting,
            number,
        };
        if let Err(error) = self.write(&bytes).await {
            return Err(CallError::Ended(error.to_string()));
        }
        answered.await.map_err(|_| {
            let ended = lock(&self.waiting).ended.clone();
            CallError::Ended(ended.unwrap_or_else(|| "closed".to_owned()))
        })
    }

    pub(super) fn close(&self) {
        self.quic.close(VarInt::from_u32(CLOSE_DONE), b"");
    }

    /// This connection is of no more use, and another will take its place.
    pub(super) fn abandon(&self) {
        abandon(&self.quic);
    }

    /// A frame is written whole or the stream is useless: the write is not left half done when its
    /// caller gives up, because it is cut only with the connection.
    async fn write(&self, bytes: &[u8]) -> Result<(), quinn::WriteError> {
        let mut send = self.send.lock().await;
        let mut frame = Whole {
            quic: &self.quic,
            begun: true,
        };
        let written = send.write_all(bytes).await;
        frame.begun = false;
        written
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.close();
    }
}

/// Ends the connection if a frame was begun and given up: what follows could not be understood.
struct Whole<'a> {
    quic: &'a quinn::Connection,
    begun: bool,
}

impl Drop for Whole<'_> {
    fn drop(&mut self) {
        if self.begun {
            abandon(self.quic);
        }
    }
}

impl Waiting {
    fn add(&mut self, number: u64, reply: oneshot::Sender<Reply>) -> Result<(), CallError> {
        if let Some(ended) = &self.ended {
            return Err(CallError::Ended(ended.clone()));
        }
        if self.replies.len() >= CALLS_MAX {
            return Err(CallError::TooMany(CALLS_MAX));
        }
        self.replies.insert(number, reply);
        Ok(())
    }
}

/// Not in the words of one that leaves: its place in the queue would be given up (L9).
fn abandon(quic: &quinn::Connection) {
    quic.close(VarInt::from_u32(CLOSE_RETURNING), b"");
}

/// Forgets a question whose asker has gone.
struct Turn<'a> {
    waiting: &'a Mutex<Waiting>,
    number: u64,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        lock(self.waiting).replies.remove(&self.number);
    }
}

async fn read(
    mut receive: RecvStream,
    quic: quinn::Connection,
    waiting: Arc<Mutex<Waiting>>,
    pushes: mpsc::Sender<Push>,
) {
    let ended = loop {
        match read_frame(&mut receive).await {
            // A reply nobody waits for any more is dropped.
            Ok(ServerFrame::Reply(number, reply)) if number != 0 => {
                let waiter = lock(&waiting).replies.remove(&number);
                if let Some(waiter) = waiter {
                    drop(waiter.send(reply));
                }
            }
            Ok(ServerFrame::Reply(_, Reply::Refused(refusal))) => {
                break format!("{}: {}", refusal.code.name(), refusal.detail);
            }
            // A push is news, and news may be missed: renewals say the same.
            Ok(ServerFrame::Push(push)) => drop(pushes.try_send(push)),
            Ok(_) => break "a frame out of place".to_owned(),
            Err(error) => break error.to_string(),
        }
    };
    abandon(&quic);
    let mut waiting = lock(&waiting);
    waiting.ended = Some(ended);
    waiting.replies.clear();
}

/// Why no frame could be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("{0}")]
    Stream(#[from] quinn::ReadExactError),
    #[error("{0}")]
    Codec(#[from] CodecError),
}

/// One frame; its length is judged before a byte of it is read (A3).
pub(super) async fn read_frame(receive: &mut RecvStream) -> Result<ServerFrame, ReadError> {
    let mut prefix = [0; FRAME_PREFIX_BYTES];
    receive.read_exact(&mut prefix).await?;
    let length = frame_length(u64::from(u32::from_be_bytes(prefix)))?;
    let mut bytes = vec![0; length];
    receive.read_exact(&mut bytes).await?;
    Ok(ServerFrame::decode(&bytes)?)
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Requests that may wait for answers on one connection.
const CALLS_MAX: usize = 4096;

/// Pushes that may wait to be read.
const PUSHES_MAX: usize = 64;
