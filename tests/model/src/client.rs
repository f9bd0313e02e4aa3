//! A client's side: what it sends, and until when it believes (L1).

use crate::{
    Fault,
    state::{Client, Message, Phase, State},
    steps::Bounds,
};

impl Bounds {
    /// A new checkout has a nonce of its own, so nothing may be left of the last one: else its
    /// messages could not be told from the new one's here.
    pub(crate) fn ask(&self, state: &mut State, index: usize) -> bool {
        let client = &mut state.clients[index];
        if client.phase != Phase::Idle || !client.is_forgotten() {
            return false;
        }
        client.phase = Phase::Asking;
        client.ended = false;
        self.send(state, index)
    }

    /// What the phase asks for. A right that ran out is renewed like any other (L6).
    pub(crate) fn send(&self, state: &mut State, index: usize) -> bool {
        if !self.has_room(state, index) {
            return false;
        }
        let client = &mut state.clients[index];
        let message = match client.phase {
            Phase::Idle => return false,
            Phase::Asking => Message::Checkout(0),
            Phase::Holding => Message::Renew(0),
            Phase::Releasing => Message::Release,
        };
        client.put(message)
    }

    /// It works no more from this instant on, whatever becomes of the release.
    pub(crate) fn stop(&self, state: &mut State, index: usize) -> bool {
        let client = &mut state.clients[index];
        let stops = matches!(client.phase, Phase::Asking | Phase::Holding);
        client.phase = Phase::Releasing;
        if self.fault != Some(Fault::WorksOn) {
            client.right = 0;
        }
        stops
    }
}

impl Client {
    /// Its right ends `c0 + R` by its own clock (L1).
    pub(crate) fn granted(&mut self, left: u8, drift: i8) {
        let right = left.saturating_add_signed(drift);
        if right > 0 && matches!(self.phase, Phase::Asking | Phase::Holding) {
            self.phase = Phase::Holding;
            self.right = self.right.max(right);
        }
    }

    /// The daemon knows the lease no more, or has taken it back.
    pub(crate) fn ended(&mut self) {
        self.phase = Phase::Idle;
        self.right = 0;
    }
}
