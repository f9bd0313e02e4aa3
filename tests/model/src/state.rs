//! What there is to know at one instant, and nothing that makes no difference any more.

/// Clients of the model.
pub const CLIENTS: usize = 3;

/// Messages of one client that may be under way at once.
pub const MESSAGES: usize = 3;

/// The age of a request whose reply can bring no right any more.
pub(crate) const OLD: u8 = 7;

/// One instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State {
    /// In no order: which of them is which makes no difference.
    pub clients: [Client; CLIENTS],
    /// Whether the daemon runs.
    pub up: bool,
    /// Whether its memory is ahead of its disk: nothing is taken in until that is written (A2).
    pub dirty: bool,
    /// The length of leases today: an index into the two there are.
    pub length: u8,
    /// Crashes that may still come.
    pub restarts: u8,
}

/// One client, with everything that is about it: at the daemon, on its disk, on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Client {
    /// What it is doing.
    pub phase: Phase,
    /// Ticks for which it will still believe that it holds a seat.
    pub right: u8,
    /// Its lease as the daemon knows it.
    pub lease: Option<Lease>,
    /// Its lease as the disk knows it.
    pub stored: Option<Stored>,
    /// Its place in the queue.
    pub place: Place,
    /// The daemon remembers that this checkout's lease is over (L5).
    pub ended: bool,
    /// The reply that waits for the disk.
    pub unreleased: Option<Message>,
    /// What is under way to or from it, in no order.
    pub messages: [Option<Message>; MESSAGES],
}

/// What a client is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Phase {
    /// Nothing: not begun, or ended, or its process is gone.
    #[default]
    Idle,
    /// It asks for a seat, and may wait for it.
    Asking,
    /// It has been granted one; whether it still believes so is in its `right`.
    Holding,
    /// It is done and says so (L6, L9).
    Releasing,
}

/// A lease in the daemon's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease {
    /// Ticks until its seat comes free.
    pub deadline: u8,
    /// What is durable of it, once it is written.
    pub stored: Stored,
}

/// A lease on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stored {
    /// The longest length ever promised: an index (L2).
    pub longest: u8,
    /// Whether its renewals are refused (L7).
    pub evicted: bool,
}

/// A client in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Place {
    /// Not there.
    #[default]
    None,
    /// It waits.
    Waits,
    /// A seat is kept for it for so many more ticks (L9).
    Offered(u8),
}

/// A message under way. Requests carry how many ticks ago they were sent, which is what `c0` is.
/// "Not now", a place in the queue and an offer are not among them: a client may ask again at any time,
/// so hearing or missing them opens no way that is not open anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// The checkout, for the first time or once more: its nonce is always the same (L5).
    Checkout(u8),
    /// More time.
    Renew(u8),
    /// The seat back, or the place in the queue.
    Release,
    /// A grant or an extension, with what is left of its length since it was asked for.
    Granted(u8),
    /// The lease is over; also the answer to a release.
    Ended,
}

impl State {
    /// The beginning: nobody holds anything, and leases are short.
    pub fn first(restarts: u8) -> Self {
        Self {
            clients: [Client::default(); CLIENTS],
            up: true,
            dirty: false,
            length: 0,
            restarts,
        }
    }

    /// The same with everything that has no order put in one.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        for client in &mut self.clients {
            client.messages.sort_unstable();
        }
        self.clients.sort_unstable();
        self
    }

    /// The same without what can make no difference any more, so that fewer states are told apart.
    #[must_use]
    pub fn plain(mut self) -> Self {
        for client in &mut self.clients {
            client.drop_unheard();
        }
        self
    }

    /// Clients that believe now that they hold a seat.
    pub fn believers(&self) -> usize {
        self.clients.iter().filter(|it| it.right > 0).count()
    }

    /// Messages under way.
    pub fn messages(&self) -> usize {
        let all = self.clients.iter().flat_map(|it| it.messages);
        all.flatten().count()
    }
}

impl Client {
    /// Puts a message on its way, where there is room for one.
    pub(crate) fn put(&mut self, message: Message) -> bool {
        let Some(room) = self.messages.iter_mut().find(|it| it.is_none()) else {
            return false;
        };
        *room = Some(message);
        true
    }

    /// Replies that nobody waits for are as good as lost, it makes no difference when a request was sent
    /// whose reply nobody waits for, and a nonce that nobody can show again need not be remembered.
    fn drop_unheard(&mut self) {
        let phase = self.phase;
        let is_heard = |message| match message {
            Message::Granted(_) => matches!(phase, Phase::Asking | Phase::Holding),
            Message::Ended => phase != Phase::Idle,
            Message::Checkout(_) | Message::Renew(_) | Message::Release => true,
        };
        for message in &mut self.messages {
            *message = message.filter(|it| is_heard(*it));
            match message {
                Some(Message::Checkout(age) | Message::Renew(age))
                    if matches!(phase, Phase::Idle | Phase::Releasing) =>
                {
                    *age = OLD;
                }
                _ => {}
            }
        }
        let checks_out = |message: &Message| matches!(message, Message::Checkout(_));
        let mut messages = self.messages.iter().flatten();
        self.ended &= phase == Phase::Asking || messages.any(checks_out);
    }

    /// Whether nothing is left of its last checkout anywhere: so a new one has a nonce of its own.
    pub(crate) fn is_forgotten(&self) -> bool {
        let Self {
            phase: _,
            right: _,
            lease: None,
            stored: None,
            place: Place::None,
            ended: _,
            unreleased: None,
            messages,
        } = self
        else {
            return false;
        };
        messages.iter().all(Option::is_none)
    }
}
