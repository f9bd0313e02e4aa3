//! A state in 16 bytes, so that millions of them fit into memory. Nothing is lost: what comes out is
//! what went in.

use crate::state::{Client, Lease, MESSAGES, Message, Phase, Place, State, Stored};

/// The bits of a state, taken from and put to the low end.
struct Bits(u128);

impl Bits {
    fn put(&mut self, value: u8, bits: u32) {
        debug_assert!(u32::from(value) < 1 << bits, "{value} in {bits} bits");
        self.0 = self.0 << bits | u128::from(value);
    }

    fn take(&mut self, bits: u32) -> u8 {
        let value = self.0 & ((1 << bits) - 1);
        self.0 >>= bits;
        u8::try_from(value).unwrap_or(u8::MAX)
    }

    fn take_flag(&mut self) -> bool {
        self.take(1) == 1
    }
}

/// All of it, in 120 bits.
pub(crate) fn pack(state: &State) -> u128 {
    let mut bits = Bits(0);
    for client in &state.clients {
        pack_client(&mut bits, client);
    }
    bits.put(u8::from(state.up), 1);
    bits.put(u8::from(state.dirty), 1);
    bits.put(state.length, 1);
    bits.put(state.restarts, 1);
    bits.0
}

/// What [`pack`] was given.
pub(crate) fn unpack(packed: u128) -> State {
    let mut bits = Bits(packed);
    let mut state = State::first(bits.take(1));
    state.length = bits.take(1);
    state.dirty = bits.take_flag();
    state.up = bits.take_flag();
    for client in state.clients.iter_mut().rev() {
        *client = unpack_client(&mut bits);
    }
    state
}

fn pack_client(bits: &mut Bits, client: &Client) {
    bits.put(client.phase as u8, 2);
    bits.put(client.right, 3);
    let lease = client.lease;
    bits.put(lease.map_or(0, |it| it.deadline), 3);
    bits.put(stored_to_code(lease.map(|it| it.stored)), 3);
    bits.put(stored_to_code(client.stored), 3);
    let place = match client.place {
        Place::None => 0,
        Place::Waits => 1,
        Place::Offered(left) => 2 + left,
    };
    bits.put(place, 3);
    bits.put(u8::from(client.ended), 1);
    bits.put(message_to_code(client.unreleased), 5);
    for message in client.messages {
        bits.put(message_to_code(message), 5);
    }
}

fn unpack_client(bits: &mut Bits) -> Client {
    let mut messages = [None; MESSAGES];
    for message in messages.iter_mut().rev() {
        *message = message_of_code(bits.take(5));
    }
    let unreleased = message_of_code(bits.take(5));
    let ended = bits.take_flag();
    let place = match bits.take(3) {
        0 => Place::None,
        1 => Place::Waits,
        left => Place::Offered(left - 2),
    };
    let stored = stored_of_code(bits.take(3));
    let leased = stored_of_code(bits.take(3));
    let deadline = bits.take(3);
    let right = bits.take(3);
    let phase = match bits.take(2) {
        0 => Phase::Idle,
        1 => Phase::Asking,
        2 => Phase::Holding,
        _ => Phase::Releasing,
    };
    Client {
        phase,
        right,
        lease: leased.map(|stored| Lease { deadline, stored }),
        stored,
        place,
        ended,
        unreleased,
        messages,
    }
}

fn stored_to_code(stored: Option<Stored>) -> u8 {
    stored.map_or(0, |it| 1 + it.longest + 2 * u8::from(it.evicted))
}

fn stored_of_code(code: u8) -> Option<Stored> {
    let code = code.checked_sub(1)?;
    Some(Stored {
        longest: code % 2,
        evicted: code >= 2,
    })
}

fn message_to_code(message: Option<Message>) -> u8 {
    match message {
        None => 0,
        Some(Message::Release) => 1,
        Some(Message::Ended) => 2,
        Some(Message::Checkout(age)) => 8 + age,
        Some(Message::Renew(age)) => 16 + age,
        Some(Message::Granted(left)) => 24 + left,
    }
}

fn message_of_code(code: u8) -> Option<Message> {
    Some(match code {
        0 => return None,
        1 => Message::Release,
        2 => Message::Ended,
        8..16 => Message::Checkout(code - 8),
        16..24 => Message::Renew(code - 16),
        _ => Message::Granted(code - 24),
    })
}
