//! Does nobody wait for ever? From any state on, whoever wants a seat and goes on asking gets one in
//! bounded time, even if everybody else falls silent for good and whatever is under way is lost (L9).

use crate::{
    state::{Message, Phase, State},
    steps::{Action, Bounds},
};

impl Bounds {
    /// Ticks until this client believes that it holds a seat, from `state` on; none if that takes longer
    /// than it may.
    pub(crate) fn ticks_to_seat(&self, state: &State, client: usize) -> Option<u32> {
        let mut state = *state;
        for it in &mut state.clients {
            it.messages = Default::default();
            it.unreleased = None;
        }
        if state.clients[client].phase == Phase::Releasing {
            state.clients[client].phase = Phase::Idle;
        }
        for ticks in 0..=self.patience() {
            if !state.up {
                self.force(&mut state, Action::Start(0));
            }
            // Twice: the first answer may be that its last lease is over.
            for _ in 0..2 {
                self.force(&mut state, Action::Commit);
                self.force(&mut state, Action::Wake);
                self.force(&mut state, Action::Commit);
                self.exchange(&mut state, client);
                if state.clients[client].right > 0 {
                    return Some(ticks);
                }
            }
            self.force(&mut state, Action::Tick);
        }
        None
    }

    /// What is out comes home, is offered to somebody who does not answer, and comes home again; and
    /// so once more where a restart or the client's own last lease comes in between.
    fn patience(&self) -> u32 {
        2 * u32::from(self.lengths[1] + self.guard + self.offer) + 2
    }

    /// The client asks, and hears the answer at once.
    fn exchange(&self, state: &mut State, client: usize) {
        self.force(state, Action::Ask(client));
        self.force(state, Action::Send(client));
        while let Some(message) = next_message(state, client) {
            self.force(
                state,
                Action::Deliver {
                    client,
                    message,
                    doubled: false,
                    drift: 0,
                },
            );
            self.force(state, Action::Commit);
        }
    }

    fn force(&self, state: &mut State, action: Action) {
        if let Some(next) = self.after(state, action) {
            *state = next;
        }
    }
}

fn next_message(state: &State, client: usize) -> Option<Message> {
    state.clients[client]
        .messages
        .iter()
        .flatten()
        .next()
        .copied()
}
