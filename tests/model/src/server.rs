//! The daemon's side: who gets a seat, until when it is kept, what is durable.

use crate::{
    Fault,
    state::{Lease, Message, Place, State, Stored},
    steps::Bounds,
};

impl Bounds {
    /// One request: what is due by time comes first, and what came free is offered before anybody
    /// else asks for it.
    pub(crate) fn handle(
        &self,
        state: &mut State,
        index: usize,
        request: Message,
        drift: i8,
    ) -> bool {
        if !state.up || state.dirty {
            return false;
        }
        self.look(state);
        let reply = match request {
            Message::Checkout(age) => self.checkout(state, index, age, drift),
            Message::Renew(age) => self.renew(state, index, age, drift),
            Message::Release => Some(release(state, index)),
            Message::Granted(_) | Message::Ended => None,
        };
        self.offer(state);
        self.finish(state, index, reply);
        true
    }

    /// The daemon's own wake-up.
    pub(crate) fn wake(&self, state: &mut State) -> bool {
        if !state.up || state.dirty {
            return false;
        }
        self.look(state);
        self.finish(state, 0, None);
        true
    }

    /// Renewals are refused from now on; the running right is not cut (L7). One at a time.
    pub(crate) fn evict(&self, state: &mut State, index: usize) -> bool {
        let mut leases = state.clients.iter().filter_map(|it| it.lease);
        if leases.any(|it| it.stored.evicted) {
            return false;
        }
        if state.dirty {
            return false;
        }
        self.look(state);
        let Some(lease) = state.clients[index].lease else {
            return false;
        };
        let mut evicted = lease;
        evicted.stored.evicted = true;
        let kept = self.fault != Some(Fault::EvictsAtOnce);
        state.clients[index].lease = kept.then_some(evicted);
        self.offer(state);
        self.finish(state, index, None);
        true
    }

    /// Another serial of the license, with another length.
    pub(crate) fn change_length(&self, state: &mut State) -> bool {
        state.length = 1 - state.length;
        self.wake(state)
    }

    /// Every lease is held for as long as its holder may believe in it (L4).
    pub(crate) fn start(&self, state: &mut State, drift: i8) -> bool {
        if state.up {
            return false;
        }
        state.up = true;
        let today = state.length;
        for client in &mut state.clients {
            client.lease = client.stored.map(|stored| {
                let longest = match self.fault {
                    Some(Fault::ForgetsLongest) => today,
                    _ => stored.longest,
                };
                let deadline = match self.fault {
                    Some(Fault::NoHold) => 0,
                    _ => self.held(longest, drift),
                };
                Lease { deadline, stored }
            });
        }
        true
    }

    /// R + G by a clock that is so wrong.
    fn held(&self, length: u8, drift: i8) -> u8 {
        let guard = match self.fault {
            Some(Fault::NoGuard) => 0,
            _ => self.guard,
        };
        (self.lengths[usize::from(length)] + guard).saturating_add_signed(-drift)
    }

    /// What time alone decides: leases that are over, offers that nobody claimed, whose turn it is.
    fn look(&self, state: &mut State) {
        for client in &mut state.clients {
            if client.lease.is_some_and(|it| it.deadline == 0) {
                client.lease = None;
                client.ended = true;
            }
            if client.place == Place::Offered(0) {
                client.place = Place::None;
            }
        }
        self.offer(state);
    }

    fn offer(&self, state: &mut State) {
        while self.free(state) > 0 {
            let mut clients = state.clients.iter_mut();
            let Some(first) = clients.find(|it| it.place == Place::Waits) else {
                return;
            };
            first.place = Place::Offered(self.offer);
        }
    }

    fn free(&self, state: &State) -> usize {
        let leases = state.clients.iter().filter(|it| it.lease.is_some()).count();
        let offered = |place| matches!(place, Place::Offered(_));
        let offers = state.clients.iter().filter(|it| offered(it.place)).count();
        let kept = match self.fault {
            Some(Fault::OfferKeepsNothing) => 0,
            _ => offers,
        };
        self.seats.saturating_sub(leases + kept)
    }

    fn checkout(&self, state: &mut State, index: usize, age: u8, drift: i8) -> Option<Message> {
        let client = &state.clients[index];
        if client.lease.is_some() {
            return self.extend(state, index, age, drift);
        }
        if client.ended {
            return Some(Message::Ended);
        }
        match client.place {
            Place::Waits => return None,
            Place::Offered(_) => {}
            Place::None if self.free(state) > 0 => {}
            Place::None => {
                let waiters = state.clients.iter().filter(|it| it.place != Place::None);
                if waiters.count() < self.places {
                    state.clients[index].place = Place::Waits;
                }
                return None;
            }
        }
        let length = state.length;
        state.clients[index].place = Place::None;
        state.clients[index].lease = Some(Lease {
            deadline: self.held(length, drift),
            stored: Stored {
                longest: length,
                evicted: false,
            },
        });
        self.promise(length, age)
    }

    fn renew(&self, state: &mut State, index: usize, age: u8, drift: i8) -> Option<Message> {
        match state.clients[index].lease {
            Some(_) => self.extend(state, index, age, drift),
            None => Some(Message::Ended),
        }
    }

    /// No lease is extended after it was evicted, and no deadline moves back (L2, L7).
    fn extend(&self, state: &mut State, index: usize, age: u8, drift: i8) -> Option<Message> {
        let length = state.length;
        let lease = state.clients[index].lease.as_mut()?;
        if lease.stored.evicted {
            return None;
        }
        let anew = self.held(length, drift);
        lease.deadline = match self.fault {
            Some(Fault::DeadlineMovesBack) => anew,
            _ => lease.deadline.max(anew),
        };
        if self.fault != Some(Fault::StoresFirstLengthOnly) {
            lease.stored.longest = lease.stored.longest.max(length);
        }
        self.promise(length, age)
    }

    fn promise(&self, length: u8, age: u8) -> Option<Message> {
        let length = self.lengths[usize::from(length)];
        if self.fault == Some(Fault::CountsFromReceipt) {
            return Some(Message::Granted(length));
        }
        length.checked_sub(age).map(Message::Granted)
    }

    /// What changed must be durable before the reply leaves; a reply that depends on nothing new
    /// leaves at once (L2, A2).
    fn finish(&self, state: &mut State, index: usize, reply: Option<Message>) {
        let mut clients = state.clients.iter();
        state.dirty = clients.any(|it| it.stored != it.lease.map(|lease| lease.stored));
        let first = self.fault == Some(Fault::RepliesFirst);
        let client = &mut state.clients[index];
        match reply {
            Some(reply) if state.dirty && !first => client.unreleased = Some(reply),
            Some(reply) => {
                client.put(reply);
            }
            None => {}
        }
    }
}

/// The one way in which a seat comes back before its deadline.
fn release(state: &mut State, index: usize) -> Message {
    let client = &mut state.clients[index];
    client.ended |= client.lease.is_some();
    client.lease = None;
    client.place = Place::None;
    Message::Ended
}
