//! Which connection of this life is reached how: answers and pushes, in the order they left the core.
//!
//! It decides what happens to a connection that does not keep up. It must not decide what is pushed:
//! the engine does.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::{mpsc, oneshot};
use usher_engine::api::{Answer, ConnectionId};
use usher_protocol::wire::Push;

use crate::limits::{PUSHES_WAITING_MAX, REQUESTS_OUTSTANDING_MAX};

/// One thing that a connection is to send.
#[derive(Debug)]
pub enum Outgoing {
    /// The answer to the connection's request of that number.
    Answered {
        /// The request's number.
        number: u64,
        /// The answer.
        answer: Answer,
    },
    /// News for this connection alone. Boxed: a connection's queue keeps room for 32 of these from its beginning.
    Pushed(Box<Push>),
}

const _: () = assert!(size_of::<Outgoing>() <= 40);

/// Where a connection's answers go.
pub type AnswerSink = mpsc::Sender<Outgoing>;

/// A registered connection's end of the core. Dropping it takes the connection out of the register.
#[derive(Debug)]
pub struct Line {
    /// Where its answers are to go.
    pub sink: AnswerSink,
    /// What it is to send, in order.
    pub outgoing: mpsc::Receiver<Outgoing>,
    connection: ConnectionId,
    register: Connections,
}

/// Resolves when a connection did not keep up: something it must not miss found no room, so it has to
/// go.
pub type Overrun = oneshot::Receiver<()>;

/// The register. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Connections(Arc<Shared>);

#[derive(Default)]
struct Shared {
    last: AtomicU64,
    open: Mutex<HashMap<ConnectionId, Open>>,
}

struct Open {
    sink: AnswerSink,
    /// Dropped to tell the connection to go.
    _overrun: oneshot::Sender<()>,
}

impl Connections {
    /// A name that no other connection of this life has or had.
    pub(super) fn next_id(&self) -> ConnectionId {
        ConnectionId(self.0.last.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// From here on `connection` gets what is pushed to it.
    pub(super) fn register(&self, connection: ConnectionId) -> (Line, Overrun) {
        // Every answer finds room whatever is pushed: see `push`.
        let (sink, outgoing) = mpsc::channel(REQUESTS_OUTSTANDING_MAX + PUSHES_WAITING_MAX);
        let (going, overrun) = oneshot::channel();
        let open = Open {
            sink: sink.clone(),
            _overrun: going,
        };
        self.open().insert(connection, open);
        let line = Line {
            sink,
            outgoing,
            connection,
            register: self.clone(),
        };
        (line, overrun)
    }

    /// Sends news to a connection. One that is gone misses it, and its end is an input of its own.
    /// One that does not keep up misses hints; where it may not miss this, it has to go: it comes
    /// back, asks again and is told.
    pub(super) fn push(&self, connection: ConnectionId, push: Push) {
        let mut open = self.open();
        let Some(it) = open.get(&connection) else {
            return;
        };
        let must_arrive = !is_hint(&push);
        // Only the core puts things in, so the room it leaves to answers here stays theirs.
        let has_room = it.sink.capacity() > REQUESTS_OUTSTANDING_MAX;
        let sent = has_room && it.sink.try_send(Outgoing::Pushed(Box::new(push))).is_ok();
        if !sent && must_arrive {
            open.remove(&connection);
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<ConnectionId, Open>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.register.open().remove(&self.connection);
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} connections", self.open().len())
    }
}

/// The next one says it again, and better.
const fn is_hint(push: &Push) -> bool {
    matches!(
        push,
        Push::Queued(..) | Push::FeaturesChanged | Push::Draining(_)
    )
}

#[cfg(test)]
mod tests {
    use usher_protocol::{
        ids::Nonce,
        refusal::{Refusal, RefusalCode},
        time::DurationMs,
        wire::Place,
    };

    use super::*;

    const NONCE: Nonce = Nonce([1; 16]);

    fn place(position: u32) -> Push {
        let place = Place {
            position,
            waiting: position,
            expected_ms: None,
        };
        Push::Queued(NONCE, place)
    }

    fn offer() -> Push {
        Push::Offered(NONCE, DurationMs::seconds(30))
    }

    fn fill(register: &Connections, connection: ConnectionId) {
        for _ in 0..PUSHES_WAITING_MAX + 10 {
            register.push(connection, place(1));
        }
    }

    fn is_told_to_go(overrun: &mut Overrun) -> bool {
        matches!(
            overrun.try_recv(),
            Err(oneshot::error::TryRecvError::Closed)
        )
    }

    #[test]
    fn no_two_connections_of_a_life_have_one_name() {
        let register = Connections::default();
        let first = register.next_id();
        drop(register.register(first));
        assert_ne!(register.next_id(), first);
    }

    #[test]
    fn a_push_goes_to_its_connection_alone_and_not_past_its_end() {
        let register = Connections::default();
        let (first, second) = (register.next_id(), register.next_id());
        let (mut line, _overrun) = register.register(first);
        let (mut other, _overrun) = register.register(second);
        register.push(first, offer());
        assert!(matches!(line.outgoing.try_recv(), Ok(Outgoing::Pushed(push)) if *push == offer()));
        assert!(other.outgoing.try_recv().is_err());
        drop(line);
        register.push(first, offer());
        assert_eq!(register.open().len(), 1, "nothing is left behind");
    }

    #[test]
    fn pushes_leave_room_for_every_answer() {
        let register = Connections::default();
        let connection = register.next_id();
        let (line, _overrun) = register.register(connection);
        fill(&register, connection);
        for number in 0..REQUESTS_OUTSTANDING_MAX as u64 {
            let answer = Answer::Left;
            let sent = line.sink.try_send(Outgoing::Answered { number, answer });
            assert!(sent.is_ok(), "no room for answer {number}");
        }
    }

    #[test]
    fn a_place_that_finds_no_room_is_missed_and_the_connection_stays() {
        let register = Connections::default();
        let connection = register.next_id();
        let (line, mut overrun) = register.register(connection);
        fill(&register, connection);
        assert!(!is_told_to_go(&mut overrun));
        assert_eq!(line.outgoing.len(), PUSHES_WAITING_MAX);
    }

    #[test]
    fn l9_an_offer_or_its_end_that_finds_no_room_ends_the_connection() {
        let over = Refusal::new(RefusalCode::NoSeat, "over");
        for push in [offer(), Push::Dismissed(NONCE, over)] {
            let register = Connections::default();
            let connection = register.next_id();
            let (_line, mut overrun) = register.register(connection);
            fill(&register, connection);
            register.push(connection, push);
            assert!(is_told_to_go(&mut overrun));
        }
    }
}
