//! A workstation's one connection: dialed, welcomed, lost, dialed again. As `client/src/driver` does it.

use usher_client::{marks::Mark, session::Input};
use usher_engine::api::Answer;
use usher_protocol::{
    documents::endorsement::VerifiedEndorsement,
    ids::{Epoch, PublicKey},
    limits::HANDSHAKE_MS_MAX,
    names::LicenseId,
    time::DurationMs,
};

use super::{Event, Machine, World, network::FromClient};
use crate::{planted::Planted, site};

/// Where a workstation stands with its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// Nothing, and maybe a dial to come.
    Down,
    /// A `Hello` is under way over that connection.
    Dialing(u64),
    /// Welcomed by a life of that epoch.
    Up(u64, Epoch),
}

impl Link {
    /// The connection there is.
    pub(crate) fn connection(self) -> Option<u64> {
        match self {
            Self::Down => None,
            Self::Dialing(connection) | Self::Up(connection, _) => Some(connection),
        }
    }

    /// The connection that requests go over.
    pub(crate) fn up(self) -> Option<u64> {
        match self {
            Self::Up(connection, _) => Some(connection),
            _ => None,
        }
    }

    /// The epoch of the life at its other end.
    pub(crate) fn epoch(self) -> Option<Epoch> {
        match self {
            Self::Up(_, epoch) => Some(epoch),
            _ => None,
        }
    }
}

impl World {
    /// A seat needs the server: dial, unless that is under way.
    pub(crate) fn want_link(&mut self, station: usize) {
        if self.stations[station].link == Link::Down {
            self.dial_after(station, DurationMs(0));
        }
    }

    /// The server can be reached again: whoever needs it finds it within the longest pause between
    /// two dials.
    pub(crate) fn find_server(&mut self, station: usize) {
        let it = &self.stations[station];
        if it.link == Link::Down && it.needs_link() {
            let wait = self.dice.below(DIAL_MS_LAST);
            self.dial_after(station, DurationMs(wait));
        }
    }

    fn dial_after(&mut self, station: usize, wait: DurationMs) {
        let it = &mut self.stations[station];
        it.dials += 1;
        let wish = it.dials;
        self.after(wait, Event::Dial(station, wish));
    }

    pub(crate) fn dial(&mut self, station: usize, wish: u64) {
        let it = &self.stations[station];
        if it.dials != wish || it.link != Link::Down || !it.needs_link() {
            return;
        }
        // In vain, so it is not tried every half minute of the world: see `find_server`.
        let is_there = self.server.life.is_some() && !self.is_still(Machine::Server);
        if it.is_blocked || !is_there || !self.meets_the_machine(station) {
            return;
        }
        let connection = self.open_connection(station);
        self.stations[station].link = Link::Dialing(connection);
        self.send_to_server(connection, &FromClient::Hello);
        self.after(HANDSHAKE_MS_MAX, Event::DialEnds(station, connection));
    }

    pub(crate) fn dial_ends(&mut self, station: usize, connection: u64) {
        if self.stations[station].link == Link::Dialing(connection) {
            self.dial_failed(station, connection);
        }
    }

    fn dial_failed(&mut self, station: usize, connection: u64) {
        self.drop_link(station, connection);
        let failures = self.stations[station].failures;
        self.stations[station].failures = failures.saturating_add(1);
        let wait = (100 << failures.min(9)).min(DIAL_MS_LAST);
        let wait = wait / 2 + self.dice.below(wait / 2);
        self.dial_after(station, DurationMs(wait));
    }

    /// The client is done with a connection; the server hears it sooner or later.
    fn drop_link(&mut self, station: usize, connection: u64) {
        let it = &mut self.stations[station];
        it.link = Link::Down;
        it.calls.retain(|(of, _), _| *of != connection);
        let delay = self.dice.below(super::network::IDLE_MS_MAX);
        self.after(DurationMs(delay), Event::ServerLoses(connection, false));
    }

    /// The server's answer to a `Hello` (T4, L12).
    pub(crate) fn welcomed(&mut self, station: usize, connection: u64, answer: &Answer) {
        if self.stations[station].link != Link::Dialing(connection) {
            return;
        }
        let Answer::Welcome(authority) = answer else {
            return self.dial_failed(station, connection);
        };
        let (license, serial) = self.endorsed(&authority.endorsement);
        let shown = Mark {
            serial,
            epoch: authority.epoch,
            life: (self.planted != Some(Planted::LifeIgnored)).then_some(authority.life),
        };
        if !self.knows_the_right_machine(station, &license, serial) {
            return self.dial_failed(station, connection);
        }
        let seen = self.stations[station].marks.get(&license).copied();
        match Mark::after(seen, shown) {
            Ok(mark) => drop(self.stations[station].marks.insert(license.clone(), mark)),
            Err(_) if self.planted == Some(Planted::EpochIgnored) => {}
            Err(seen) => {
                self.figures.epochs_refused += 1;
                self.note(|| format!("station {station} has seen epoch {}", seen.epoch.0));
                return self.dial_failed(station, connection);
            }
        }
        self.note(|| {
            format!(
                "station {station} is welcomed by epoch {}",
                authority.epoch.0
            )
        });
        let it = &mut self.stations[station];
        it.link = Link::Up(connection, authority.epoch);
        it.failures = 0;
        let before = it.seen.get(&license);
        let serial_max = before.map_or(serial, |(before, _)| serial.max(*before));
        it.seen.insert(license, (serial_max, authority.epoch));
        let site = site::site();
        self.feed_all(station, &Input::Connected(site));
        self.ask_for_home_again(station);
    }

    /// License and serial of an endorsement, checked once for each.
    fn endorsed(
        &mut self,
        signed: &usher_protocol::documents::endorsement::SignedEndorsement,
    ) -> (LicenseId, u64) {
        let key = signed.endorsement.signature.to_bytes();
        if let Some(known) = self.watch.endorsed.get(&key) {
            return known.clone();
        }
        let root = PublicKey::from(site::root_key());
        let verified = VerifiedEndorsement::verify(signed, &root).unwrap();
        let named = (verified.license.clone(), verified.serial);
        self.watch.endorsed.insert(key, named.clone());
        named
    }

    /// The client hears that its connection is gone.
    pub(crate) fn client_loses(&mut self, connection: u64) {
        let mut stations = self.stations.iter();
        let Some(station) = stations.position(|it| it.link.connection() == Some(connection)) else {
            return;
        };
        match self.stations[station].link {
            Link::Dialing(_) => self.dial_failed(station, connection),
            _ => self.lose_link(station, connection),
        }
    }

    /// The session has had enough of a connection that does not answer.
    pub(crate) fn abandon(&mut self, station: usize) {
        if let Some(connection) = self.stations[station].link.up() {
            self.lose_link(station, connection);
        }
    }

    fn lose_link(&mut self, station: usize, connection: u64) {
        self.note(|| format!("station {station} has no connection any more"));
        self.drop_link(station, connection);
        let wait = self.dice.below(100);
        self.dial_after(station, DurationMs(wait));
        self.feed_all(station, &Input::Disconnected);
    }
}

/// Between two dials at most, as in the client's driver.
const DIAL_MS_LAST: u64 = 30_000;
