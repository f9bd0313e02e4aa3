//! What can happen next, whoever does it.

use crate::{
    Fault,
    state::{CLIENTS, MESSAGES, Message, OLD, Phase, State},
};

/// How large the world is.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Seats of the pool.
    pub seats: usize,
    /// Places in the queue.
    pub places: usize,
    /// Crashes of the daemon.
    pub restarts: u8,
    /// The two lengths R, the shorter first, in ticks.
    pub lengths: [u8; 2],
    /// The guard time G.
    pub guard: u8,
    /// How long an offer stands.
    pub offer: u8,
    /// By how many ticks a client's clock may be slow over a length.
    pub client_drifts: &'static [i8],
    /// By how many the daemon's may be fast over a length and its guard.
    pub server_drifts: &'static [i8],
    /// Messages under way at once.
    pub messages: usize,
    /// Whether the length of leases changes, to and fro; else it is one of the two for good.
    pub changes: bool,
    /// Whether an administrator evicts, one lease at a time.
    pub evicts: bool,
    /// The rule that is broken.
    pub fault: Option<Fault>,
}

/// One step of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A tick of real time.
    Tick,
    /// A client begins a checkout.
    Ask(usize),
    /// A client sends what its phase asks for, for the first time or again.
    Send(usize),
    /// A client is done.
    Stop(usize),
    /// A client's process ends, or gives up.
    Vanish(usize),
    /// A message arrives, and a copy of it stays under way if `doubled`.
    Deliver {
        /// Whose.
        client: usize,
        /// Which.
        message: Message,
        /// The network delivers it again later.
        doubled: bool,
        /// How wrong the clock is that measures what comes of it.
        drift: i8,
    },
    /// A message is lost.
    Lose(usize, Message),
    /// The daemon looks at what is due.
    Wake,
    /// Its batch is durable, and the replies leave (A2).
    Commit,
    /// An administrator evicts a client's lease (L7).
    Evict(usize),
    /// The length of leases changes.
    ChangeLength,
    /// The daemon is killed, or its machine.
    Crash,
    /// It starts again; its clock is so wrong over each hold.
    Start(i8),
}

impl Bounds {
    /// Every state that can follow, with what led to it.
    pub fn each_next(&self, state: &State, mut found: impl FnMut(Action, State)) {
        let mut at = |action| {
            if let Some(next) = self.after(state, action) {
                found(action, next);
            }
        };
        at(Action::Commit);
        at(Action::Crash);
        if state.dirty && self.fault != Some(Fault::RepliesFirst) {
            // What else happens until the batch is durable might as well happen after that: nothing
            // that it changed can be seen before. If it is lost, the request might as well have been.
            return;
        }
        at(Action::Tick);
        at(Action::Wake);
        at(Action::ChangeLength);
        for drift in self.server_drifts {
            at(Action::Start(*drift));
        }
        for index in 0..CLIENTS {
            at(Action::Ask(index));
            at(Action::Send(index));
            at(Action::Stop(index));
            at(Action::Vanish(index));
            at(Action::Evict(index));
            let messages = state.clients[index].messages;
            for (place, message) in messages.iter().enumerate() {
                let known = &messages[..place];
                if let Some(message) = message.filter(|it| !known.contains(&Some(*it))) {
                    at(Action::Lose(index, message));
                    self.each_delivery(index, message, &mut at);
                }
            }
        }
    }

    fn each_delivery(&self, client: usize, message: Message, at: &mut impl FnMut(Action)) {
        let drifts = match message {
            Message::Granted(_) => self.client_drifts,
            Message::Checkout(_) | Message::Renew(_) => self.server_drifts,
            Message::Release | Message::Ended => &[0],
        };
        // A reply heard again says nothing that a slower clock would not have said the first time.
        let is_request = !matches!(message, Message::Granted(_) | Message::Ended);
        for drift in drifts {
            for doubled in [false, true] {
                if doubled && !is_request {
                    continue;
                }
                at(Action::Deliver {
                    client,
                    message,
                    doubled,
                    drift: *drift,
                });
            }
        }
    }

    /// The state after this step; none where it cannot be taken.
    pub fn after(&self, state: &State, action: Action) -> Option<State> {
        let mut next = *state;
        let may = match action {
            Action::Tick => self.tick(&mut next),
            Action::Ask(client) => self.ask(&mut next, client),
            Action::Send(client) => self.send(&mut next, client),
            Action::Stop(client) => self.stop(&mut next, client),
            Action::Vanish(client) => vanish(&mut next, client),
            Action::Deliver {
                client,
                message,
                doubled,
                drift,
            } => self.deliver(&mut next, client, message, doubled, drift),
            Action::Lose(client, message) => take(&mut next, client, message),
            Action::Wake => self.wake(&mut next),
            Action::Commit => commit(&mut next),
            Action::Evict(client) => self.evicts && self.evict(&mut next, client),
            Action::ChangeLength => self.changes && self.change_length(&mut next),
            Action::Crash => crash(&mut next),
            Action::Start(drift) => self.start(&mut next, drift),
        };
        (may && next != *state).then(|| next.plain())
    }

    fn deliver(
        &self,
        state: &mut State,
        client: usize,
        message: Message,
        doubled: bool,
        drift: i8,
    ) -> bool {
        if !doubled && !take(state, client, message) {
            return false;
        }
        match message {
            Message::Granted(left) => state.clients[client].granted(left, drift),
            Message::Ended => state.clients[client].ended(),
            request => return self.handle(state, client, request, drift),
        }
        true
    }

    fn tick(&self, state: &mut State) -> bool {
        for client in &mut state.clients {
            client.right = client.right.saturating_sub(1);
            if let Some(lease) = &mut client.lease {
                lease.deadline = lease.deadline.saturating_sub(1);
            }
            if let crate::Place::Offered(left) = &mut client.place
                && self.fault != Some(Fault::OfferForEver)
            {
                *left = left.saturating_sub(1);
            }
            for message in client.messages.iter_mut().chain([&mut client.unreleased]) {
                *message = message.and_then(|it| self.older(it));
            }
        }
        true
    }

    /// A message a tick later; a grant of which nothing is left is as good as lost.
    fn older(&self, message: Message) -> Option<Message> {
        let older = |age| if age < self.lengths[1] { age + 1 } else { OLD };
        match message {
            Message::Checkout(age) => Some(Message::Checkout(older(age))),
            Message::Renew(age) => Some(Message::Renew(older(age))),
            Message::Granted(_) if self.fault == Some(Fault::CountsFromReceipt) => Some(message),
            Message::Granted(left) => left.checked_sub(1).map(Message::Granted),
            Message::Release | Message::Ended => Some(message),
        }
    }

    /// Whether one more message may be under way.
    pub(crate) fn has_room(&self, state: &State, client: usize) -> bool {
        let own = state.clients[client].messages;
        state.messages() < self.messages && own.iter().flatten().count() < MESSAGES
    }
}

/// Takes a message from its way.
fn take(state: &mut State, client: usize, message: Message) -> bool {
    let mut messages = state.clients[client].messages.iter_mut();
    let found = messages.find(|it| **it == Some(message));
    found.map(|it| *it = None).is_some()
}

fn vanish(state: &mut State, client: usize) -> bool {
    let client = &mut state.clients[client];
    let vanishes = client.phase != Phase::Idle;
    client.phase = Phase::Idle;
    client.right = 0;
    vanishes
}

fn commit(state: &mut State) -> bool {
    if !state.up || !state.dirty {
        return false;
    }
    state.dirty = false;
    for client in &mut state.clients {
        client.stored = client.lease.map(|it| it.stored);
        if let Some(reply) = client.unreleased.take() {
            client.put(reply);
        }
    }
    true
}

/// What was not written is gone, and so is the queue.
fn crash(state: &mut State) -> bool {
    if !state.up || state.restarts == 0 {
        return false;
    }
    state.restarts -= 1;
    state.up = false;
    state.dirty = false;
    for client in &mut state.clients {
        client.lease = None;
        client.place = crate::Place::None;
        client.ended = false;
        client.unreleased = None;
    }
    true
}
