//! One connection, one task: frames in, questions to the core, signed replies out.
//!
//! Before authority is shown nothing leaves but `Welcome` or a refusal (T4). Requests are pipelined up to
//! a bound and replies may overtake each other. Losing a connection frees nothing (L6).
//!
//! A client whose address changes connects anew: migration is off (`usher_client::tls`), because a
//! moved connection would escape the caps per address. The cost is one handshake, a millisecond, and
//! never a seat.

use std::{pin::pin, sync::Arc};

use quinn::{Connecting, Connection, ConnectionError, SendStream, VarInt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use usher_client::{clock::Clock, tls};
use usher_engine::api::{Answer, Authority, Caller, ClientAsk};
use usher_protocol::{
    codec::CodecError,
    limits::HANDSHAKE_MS_MAX,
    refusal::{Refusal, RefusalCode},
    wire::{self, ClientFrame, Hello, Push, Reply, Request, ServerFrame, WIRE_VERSION, Welcome},
};

use super::{
    ServerParts,
    admission::Permit,
    ask,
    frames::{self, FrameError, FrameReader},
    reply,
    ties::Ties,
};
use crate::{
    core::{Line, Outgoing, Overrun},
    limits,
};

/// Serves one connection to its end.
pub(super) async fn serve(connecting: Connecting, mut permit: Permit, parts: Arc<ServerParts>) {
    // From the first packet to the end of `Welcome`; patience only, so it may stop in a suspend.
    let overtaken = permit.overtaken();
    let opening = open(connecting, &parts, permit);
    let opening = tokio::time::timeout(HANDSHAKE_MS_MAX.to_std(), opening);
    let opened = tokio::select! {
        opened = opening => opened,
        () = overtaken => return,
    };
    let Ok(Some((mut session, reader, overrun))) = opened else {
        return;
    };
    let crowded_out = session.permit.welcomed();
    let end = tokio::select! {
        end = session.run(reader) => end,
        () = crowded_out => End::Crowded,
        // Even in the middle of a write, which may wait for a client that never reads again.
        _ = overrun => End::Slow,
    };
    let orderly = session.is_orderly(&end);
    let Caller { connection, .. } = session.caller;
    // What is pushed from here on finds nobody; the engine hears why at once, not after the goodbye.
    tokio::join!(
        parts.core.disconnected(connection, orderly),
        session.close(end)
    );
}

/// A welcomed client.
struct Session {
    parts: Arc<ServerParts>,
    connection: Connection,
    stream: SendStream,
    caller: Caller,
    line: Line,
    outstanding: usize,
    permit: Permit,
    /// What all connections of this address share: see [`limits::REQUESTS_PER_ADDRESS_MAX`].
    turns: Arc<Semaphore>,
    /// A request that waits for its turn; nothing more is read before it is put.
    waiting: Option<(u64, ClientAsk)>,
    ties: Ties,
}

/// Why a session ended.
enum End {
    /// The client has finished its stream.
    Left,
    /// The client is gone, or closed the connection.
    Gone,
    /// It did not read what it must not miss.
    Slow,
    /// Others need its place more.
    Crowded,
    /// It sent what makes no sense.
    Refused(Box<Refusal>),
}

/// The handshake, the first frame, and the answer to it. None: the client was refused, or is gone.
async fn open(
    connecting: Connecting,
    parts: &Arc<ServerParts>,
    permit: Permit,
) -> Option<(Session, FrameReader, Overrun)> {
    let connection = connecting.await.ok()?;
    let client = tls::peer_key(&connection).ok()?;
    let (mut stream, receive) = connection.accept_bi().await.ok()?;
    let mut reader = FrameReader::new(receive);
    let hello = match first(&mut reader).await? {
        Ok(hello) => hello,
        Err(refusal) => return refuse(&connection, stream, refusal).await,
    };
    let caller = Caller {
        address: connection.remote_address().ip().to_canonical(),
        connection: parts.core.name_connection(),
        client,
        root: hello.root,
    };
    let (line, overrun) = match parts.core.ask(caller, ClientAsk::Hello(hello)).await {
        Answer::Welcome(authority) => {
            // Before the client can ask for what is then pushed to it.
            let registered = parts.core.register(caller.connection);
            let welcome = ServerFrame::Welcome(welcome(*authority, parts));
            frames::send(&mut stream, &welcome).await.ok()?;
            registered
        }
        Answer::Refused(refusal) => return refuse(&connection, stream, refusal).await,
        other => {
            tracing::error!("the engine answered a Hello with {other:?}");
            return None;
        }
    };
    let session = Session {
        parts: Arc::clone(parts),
        connection,
        stream,
        caller,
        line,
        outstanding: 0,
        turns: Arc::clone(permit.turns()),
        permit,
        waiting: None,
        ties: Ties::default(),
    };
    Some((session, reader, overrun))
}

/// The `Hello`, or what to say of that which came instead. None: the client is gone.
async fn first(reader: &mut FrameReader) -> Option<Result<Hello, Box<Refusal>>> {
    match reader.next().await {
        Ok(Some(ClientFrame::Hello(hello))) => Some(Ok(hello)),
        Ok(Some(ClientFrame::Request(..))) => Some(Err(refusal(
            RefusalCode::HelloFirst,
            "a request came before the Hello",
        ))),
        Ok(None) | Err(FrameError::Gone) => None,
        Err(FrameError::Codec(error)) => Some(Err(malformed(&error))),
    }
}

fn welcome(authority: Authority, parts: &ServerParts) -> Welcome {
    Welcome {
        version: WIRE_VERSION,
        endorsement: authority.endorsement,
        licenses_more: authority.licenses_more,
        epoch: authority.epoch,
        life: authority.life,
        server: parts.name.clone(),
        wall: Clock::new().now().wall,
    }
}

/// Number 0 refuses the connection itself; the client gets some time to have it read, for a reason that is lost on
/// the way is none. Whoever acknowledges nothing is half-open as long, and no longer than without a `Hello`.
async fn refuse<T>(
    connection: &Connection,
    mut stream: SendStream,
    refusal: Box<Refusal>,
) -> Option<T> {
    let frame = ServerFrame::Reply(0, Reply::Refused(*refusal));
    say_last(&mut stream, &frame).await;
    connection.close(CLOSE_REFUSED, b"refused");
    None
}

async fn say_last(stream: &mut SendStream, frame: &ServerFrame) {
    if frames::send(stream, frame).await.is_ok() && stream.finish().is_ok() {
        drop(tokio::time::timeout(limits::REFUSAL_MS_MAX.to_std(), stream.stopped()).await);
    }
}

impl Session {
    async fn run(&mut self, mut reader: FrameReader) -> End {
        // One wait over all rounds: to begin or end one takes a lock that all connections share.
        let mut news = pin!(next_of(self.parts.core.news()));
        loop {
            // Past the bound nothing is read: the client's window fills and it waits (A3).
            let waits = self.waiting.is_some();
            let may_read = !waits && self.outstanding < limits::REQUESTS_OUTSTANDING_MAX;
            // Answers first: they make room for requests. A connection that is gone shows in either.
            let step = tokio::select! {
                biased;
                Some(outgoing) = self.line.outgoing.recv() => self.forward(outgoing).await,
                turn = turn_of(&self.turns), if waits => self.put(turn).await,
                frame = reader.next(), if may_read => self.take(frame).await,
                (push, more) = news.as_mut() => {
                    news.set(next_of(more));
                    self.push(push).await
                }
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn take(&mut self, frame: Result<Option<ClientFrame>, FrameError>) -> Result<(), End> {
        match frame {
            Ok(Some(ClientFrame::Request(number, request))) => match self.ask_of(request) {
                Ok(ask) => {
                    self.waiting = Some((number, ask));
                    match Arc::clone(&self.turns).try_acquire_owned() {
                        Ok(turn) => self.put(Some(turn)).await,
                        Err(_) => Ok(()),
                    }
                }
                Err(refusal) => self.refuse(number, refusal).await,
            },
            Ok(Some(ClientFrame::Hello(_))) => Err(End::Refused(refusal(
                RefusalCode::BadRequest,
                "a second Hello came",
            ))),
            Ok(None) => Err(End::Left),
            Err(FrameError::Gone) => Err(End::Gone),
            Err(FrameError::Codec(error)) => Err(End::Refused(malformed(&error))),
        }
    }

    /// Puts the request that waits on the core's queue; its turn is over with the answer.
    async fn put(&mut self, turn: Option<OwnedSemaphorePermit>) -> Result<(), End> {
        let Some((number, ask)) = self.waiting.take() else {
            return Ok(());
        };
        let sink = &self.line.sink;
        let posted = self.parts.core.post(self.caller, ask, number, sink, turn);
        match posted {
            Ok(()) => {
                self.outstanding += 1;
                Ok(())
            }
            Err(refusal) => self.refuse(number, refusal).await,
        }
    }

    /// Judges a request at the edge: past here everything is checked (T2).
    fn ask_of(&mut self, request: Request) -> Result<ClientAsk, Box<Refusal>> {
        ask::check(&request)?;
        self.ties.asked(&request);
        self.permit.tied(self.ties.any());
        ask::of_checked(request, &self.parts.site)
    }

    /// Signs and sends this and all that is ready with it, in one write.
    async fn forward(&mut self, first: Outgoing) -> Result<(), End> {
        let mut bytes = self.encoded(first)?;
        while let Ok(outgoing) = self.line.outgoing.try_recv() {
            bytes.append(&mut self.encoded(outgoing)?);
        }
        self.write(bytes).await
    }

    fn encoded(&mut self, outgoing: Outgoing) -> Result<Vec<u8>, End> {
        self.frame(outgoing).map_err(|error| {
            tracing::error!("a reply cannot be encoded: {error}");
            End::Gone
        })
    }

    fn frame(&mut self, outgoing: Outgoing) -> Result<Vec<u8>, CodecError> {
        match outgoing {
            Outgoing::Answered { number, answer } => {
                self.outstanding = self.outstanding.saturating_sub(1);
                self.ties.answered(&answer);
                self.permit.tied(self.ties.any());
                reply::frame(number, answer, &self.parts.site_key)
            }
            Outgoing::Pushed(push) => ServerFrame::Push(*push).encode(),
        }
    }

    async fn refuse(&mut self, number: u64, refusal: Box<Refusal>) -> Result<(), End> {
        let frame = ServerFrame::Reply(number, Reply::Refused(*refusal));
        self.send(&frame).await
    }

    /// News are hints: a slow connection misses some, and an eviction goes to its holder alone.
    async fn push(&mut self, push: Result<Push, broadcast::error::RecvError>) -> Result<(), End> {
        match push {
            Ok(Push::Evicted(lease, _)) if !self.ties.evicted(&lease) => Ok(()),
            Ok(push) => self.send(&ServerFrame::Push(push)).await,
            Err(broadcast::error::RecvError::Lagged(_)) => Ok(()),
            // Cannot be while this session holds a handle of the core.
            Err(broadcast::error::RecvError::Closed) => Err(End::Gone),
        }
    }

    async fn send(&mut self, frame: &ServerFrame) -> Result<(), End> {
        match frame.encode() {
            Ok(bytes) => self.write(bytes).await,
            Err(error) => {
                tracing::error!("a frame cannot be encoded: {error}");
                Err(End::Gone)
            }
        }
    }

    async fn write(&mut self, bytes: Vec<u8>) -> Result<(), End> {
        let written = frames::write(&mut self.stream, bytes).await;
        written.map_err(|_| End::Gone)
    }

    /// Whether the client ended it by its own will, and not the network or we (L9).
    fn is_orderly(&self, end: &End) -> bool {
        let reason = self.connection.close_reason();
        let done = VarInt::from_u32(wire::CLOSE_DONE);
        let closed = matches!(
            reason,
            Some(ConnectionError::ApplicationClosed(close)) if close.error_code == done
        );
        closed || matches!(end, End::Left)
    }

    async fn close(mut self, end: End) {
        match end {
            End::Refused(refusal) => {
                refuse::<()>(&self.connection, self.stream, refusal).await;
            }
            End::Crowded => {
                let later = ServerFrame::Push(Push::Draining(limits::CROWDED_RETRY_MS));
                say_last(&mut self.stream, &later).await;
                self.connection.close(CLOSE_CROWDED, b"crowded");
            }
            End::Slow => self.connection.close(CLOSE_SLOW, b"slow"),
            End::Left | End::Gone => {
                drop(self.stream.finish());
                self.connection.close(CLOSE_DONE, b"");
            }
        }
    }
}

type News = broadcast::Receiver<Push>;

async fn next_of(mut news: News) -> (Result<Push, broadcast::error::RecvError>, News) {
    (news.recv().await, news)
}

/// None: nobody gets turns any more.
async fn turn_of(turns: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(turns).acquire_owned().await.ok()
}

fn malformed(error: &CodecError) -> Box<Refusal> {
    refusal(RefusalCode::BadRequest, error.to_string())
}

fn refusal(code: RefusalCode, detail: impl Into<String>) -> Box<Refusal> {
    Box::new(Refusal::new(code, detail))
}

const CLOSE_DONE: VarInt = VarInt::from_u32(0);
const CLOSE_REFUSED: VarInt = VarInt::from_u32(2);
/// It did not read what it must not miss; connecting anew and asking again tells it.
const CLOSE_SLOW: VarInt = VarInt::from_u32(3);
/// It holds no seat and waits for none, and others want to come in.
const CLOSE_CROWDED: VarInt = VarInt::from_u32(4);
