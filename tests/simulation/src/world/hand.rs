//! What comes to the daemon without a session behind it: a copied key, a laptop that went off line, a
//! relayed question. Schedules send it by hand; it does not travel, and its answer waits to be read.

use usher_engine::api::{Answer, Caller, ClientAsk};
use usher_protocol::{
    documents::lease::{Lease, VerifiedLease},
    ids::{LifeId, Nonce, Token},
    time::DurationMs,
    wire::{Borrow, Checkout, Holder, Link, Release},
};
use usherd::core::Question;

use super::{World, admin::Ticket, network, server::To};
use crate::{invariants::Violation, site};

impl World {
    /// Asks the daemon with the key of a workstation, over a connection of its own.
    pub fn ask_by_hand(&mut self, station: usize, ask: ClientAsk) -> Ticket {
        let ticket = self.ticket();
        let octet = u8::try_from(station + 1).unwrap_or(u8::MAX);
        let caller = Caller {
            client: self.stations[station].key,
            root: site::root(),
            address: std::net::Ipv4Addr::new(10, 0, 1, octet).into(),
            // No session of this world has it.
            connection: network::id(u64::MAX - u64::from(octet)),
        };
        self.enqueue(Some(To::Admin(ticket)), |waiter| match waiter {
            Some(waiter) => Question::Client(caller, ask, waiter),
            None => Question::Ring,
        });
        ticket
    }

    /// Borrows a seat for off-line use (L10), with the workstation's own wall clock.
    pub fn borrow(&mut self, station: usize, nonce: Nonce, length: DurationMs) -> Ticket {
        let checkout = self.seat_to_take_home(station, nonce, Token(nonce.0), length, 1);
        let wall = self.station_now(station).wall;
        self.ask_by_hand(station, ClientAsk::Borrow(Borrow { checkout, wall }))
    }

    /// One seat, asked for by Ann at her workstation, for so long.
    pub(crate) fn seat_to_take_home(
        &self,
        station: usize,
        nonce: Nonce,
        token: Token,
        length: DurationMs,
        process: u32,
    ) -> Checkout {
        Checkout {
            wait: false,
            nonce,
            token,
            feature: site::FEATURE.parse().unwrap(),
            environment: self.knobs.terms.environment,
            seats: 1,
            version: None,
            length_ms: Some(length),
            holder: Holder {
                user: "ann".to_owned(),
                host: format!("ws{station}"),
                display: None,
                process,
            },
        }
    }

    /// Gives a lease back.
    pub fn give_back(&mut self, station: usize, lease: &Lease, nonce: Nonce, link: Link) -> Ticket {
        let lease = lease.id;
        let release = Release { lease, nonce, link };
        self.ask_by_hand(station, ClientAsk::Release(release))
    }

    /// Shows a signed lease, as whoever has a copy of it can.
    pub fn show(&mut self, station: usize, lease: &Lease, nonce: Nonce, link: Link) -> Ticket {
        let signed = lease.sign(site::site_key()).unwrap();
        let site = site::site();
        let lease = VerifiedLease::verify(&signed, &site).unwrap();
        let ask = ClientAsk::Attach {
            lease: Box::new(lease),
            nonce,
            link,
            length_ms: None,
        };
        self.ask_by_hand(station, ask)
    }

    /// Waits for the answer to a question. None where the daemon died over it.
    ///
    /// # Errors
    /// As for [`World::run_for`].
    pub fn hear(&mut self, ticket: Ticket) -> Result<Option<Answer>, Violation> {
        let is_there = |world: &Self| world.watch.answers.contains_key(&ticket);
        self.run_until(DurationMs::minutes(1), is_there)?;
        Ok(self.answer(ticket))
    }

    /// The daemon is told that a life with its site key answered somewhere (L12).
    pub fn find_clone(&mut self, life: LifeId) {
        self.note(|| format!("life {life} is found"));
        self.enqueue(None, |_| {
            Question::CloneFound(life, "10.0.0.9:27443".to_owned())
        });
    }

    /// The daemon's life, while one runs.
    pub fn life(&self) -> Option<LifeId> {
        let life = self.server.life.as_ref()?;
        Some(life.works.life().life)
    }

    /// What the server sends to a workstation is lost, from now on or no more.
    pub fn deafen(&mut self, station: usize, is_deaf: bool) {
        self.note(|| format!("station {station} hears nothing: {is_deaf}"));
        if is_deaf {
            self.deaf.insert(station);
        } else {
            self.deaf.remove(&station);
        }
    }
}
