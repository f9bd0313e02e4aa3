//! How messages travel: lost, doubled, late, overtaken. Knows nothing of what they say.

use usher_client::session;
use usher_engine::api::{Answer, ConnectionId};
use usher_protocol::{
    ids::LeaseId,
    time::DurationMs,
    wire::{Push, Request},
};

use super::{Event, World};
use crate::clock::Moment;

/// One connection, as both ends see it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) station: usize,
    /// The daemon life that answered, once one did.
    pub(crate) life: Option<u64>,
    /// What is under way arrives in this order, unless messages overtake each other.
    server_next: Moment,
    client_next: Moment,
}

/// What a client sends.
#[derive(Debug, Clone)]
pub(crate) enum FromClient {
    Hello,
    Request(u64, Box<Request>),
}

/// What a server sends. Leases are signed only where a signature is looked at: see `station.rs`.
#[derive(Debug, Clone)]
pub(crate) enum FromServer {
    /// To a `Hello`, or to a request of that number.
    Answer(Option<u64>, Box<Answer>),
    Pushed(Box<Push>),
}

impl World {
    pub(crate) fn open_connection(&mut self, station: usize) -> u64 {
        self.figures.connections += 1;
        let number = self.figures.connections;
        let connection = Connection {
            station,
            life: None,
            server_next: self.now,
            client_next: self.now,
        };
        self.connections.insert(number, connection);
        number
    }

    /// Whether the life that answers there is the one that lives now.
    pub(crate) fn is_with_this_life(&self, connection: u64) -> bool {
        let life = self.connections.get(&connection).and_then(|it| it.life);
        self.server.life.is_some() && life == Some(self.server.lives)
    }

    pub(crate) fn send_to_server(&mut self, connection: u64, message: &FromClient) {
        for at in self.travel(connection, true) {
            self.at(at, Event::ToServer(connection, message.clone()));
        }
    }

    pub(crate) fn send_to_client(&mut self, connection: u64, message: &FromServer) {
        for at in self.travel(connection, false) {
            self.at(at, Event::ToClient(connection, message.clone()));
        }
    }

    /// When a message arrives: never, once, or twice.
    fn travel(&mut self, connection: u64, to_server: bool) -> Vec<Moment> {
        let Some(station) = self.connections.get(&connection).map(|it| it.station) else {
            return Vec::new();
        };
        self.figures.messages += 1;
        let is_lossy = self.is_restless;
        let is_deaf = !to_server && self.deaf.contains(&station);
        if self.stations[station].is_blocked
            || is_deaf
            || is_lossy && self.dice.permille(self.knobs.network.loss_permille)
        {
            self.figures.lost += 1;
            return Vec::new();
        }
        let mut arrivals = vec![self.arrival(connection, to_server)];
        if is_lossy && self.dice.permille(self.knobs.network.twice_permille) {
            self.figures.doubled += 1;
            let again = self.arrival(connection, to_server);
            arrivals.push(again);
        }
        arrivals
    }

    fn arrival(&mut self, connection: u64, to_server: bool) -> Moment {
        let network = &self.knobs.network;
        let (usual, long, overtakes) =
            (network.delay_ms_max, network.long_ms_max, network.overtakes);
        let is_long = self.is_restless && self.dice.permille(network.long_permille);
        // As late as a session still waits for, or later than any does.
        let long = if self.dice.permille(700) {
            long / 8
        } else {
            long
        };
        let delay_ms = self.dice.below(if is_long { long } else { usual } + 1);
        let delay_us = delay_ms * 1000 + self.dice.below(1000);
        let mut at = Moment(self.now.0 + delay_us);
        if let Some(connection) = self.connections.get_mut(&connection) {
            let next = if to_server {
                &mut connection.server_next
            } else {
                &mut connection.client_next
            };
            if !overtakes {
                at = at.max(*next);
            }
            *next = at.max(*next);
        }
        at
    }

    /// The connection breaks: each end hears of it in its own time, and what is under way may still
    /// arrive.
    pub fn cut(&mut self, station: usize) {
        let Some(connection) = self.stations[station].link.connection() else {
            return;
        };
        self.figures.cuts += 1;
        self.note(|| format!("the connection {connection} of station {station} is cut"));
        let (client, server) = (self.dice.below(5_000), self.dice.below(IDLE_MS_MAX));
        self.after(DurationMs(client), Event::ClientLoses(connection));
        self.after(DurationMs(server), Event::ServerLoses(connection, false));
    }

    /// Nothing passes between the station and the server any more, for so long.
    pub fn block(&mut self, station: usize, length: DurationMs) {
        self.note(|| format!("station {station} is cut off for {length}"));
        self.figures.blocks += 1;
        self.stations[station].is_blocked = true;
        if let Some(connection) = self.stations[station].link.connection()
            && length.0 > IDLE_MS_MAX
        {
            self.after(DurationMs(IDLE_MS_MAX), Event::ClientLoses(connection));
            self.after(
                DurationMs(IDLE_MS_MAX),
                Event::ServerLoses(connection, false),
            );
        }
        self.after(length, Event::Unblocked(station));
    }

    pub(crate) fn unblock(&mut self, station: usize) {
        self.stations[station].is_blocked = false;
        self.find_server(station);
    }

    /// Nobody looks at it any more.
    pub(crate) fn forget_connection(&mut self, connection: u64) {
        self.connections.remove(&connection);
    }
}

/// What the server calls it.
pub(crate) fn id(connection: u64) -> ConnectionId {
    ConnectionId(connection)
}

/// The push as the session takes it; none is for the driver.
pub(crate) fn input(push: Push) -> Option<session::Input> {
    Some(match push {
        Push::Evicted(lease, reason) => session::Input::Evicted(lease, reason),
        Push::FeaturesChanged => session::Input::FeaturesChanged,
        Push::Queued(nonce, place) => session::Input::Queued(nonce, place),
        Push::Offered(nonce, _) => session::Input::Offered(nonce),
        Push::Dismissed(nonce, refusal) => session::Input::Dismissed(nonce, Box::new(refusal)),
        Push::Draining(_) => return None,
    })
}

/// Whether a push goes to whoever was promised that lease alone.
pub(crate) fn is_for(push: &Push) -> Option<LeaseId> {
    match push {
        Push::Evicted(lease, _) => Some(*lease),
        _ => None,
    }
}

/// A connection that hears nothing ends after this long.
pub(crate) const IDLE_MS_MAX: u64 = 30_000;
