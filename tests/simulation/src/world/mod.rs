//! The world: virtual time, one queue of events, and everything in it. All of it is a function of the
//! seed and of what a schedule does to it.

mod admin;
mod calm;
mod chance;
mod hand;
mod home;
mod link;
mod mixup;
mod network;
mod power;
mod seat;
mod server;
mod shrink;
mod station;

pub use admin::Ticket;
pub(crate) use home::{AtHome, WrittenOff};
pub use server::Crash;
pub(crate) use station::{Extended, Station};
pub use station::{SeatId, Wish};

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

use usher_protocol::{
    ids::LeaseId,
    time::{DurationMs, Now},
};
use usher_tests::proof::Dice;

use crate::{
    clock::Moment,
    figures::Figures,
    invariants::{self, Violation, Watch},
    knobs::Knobs,
    planted::Planted,
    storage::Copy,
    trace::Trace,
};
use chance::Chance;
use mixup::{Image, Mixup};
use network::{Connection, FromClient, FromServer};
use server::{Server, Stage};

/// One world.
pub struct World {
    pub(crate) now: Moment,
    pub(crate) dice: Dice,
    pub(crate) knobs: Knobs,
    pub(crate) planted: Option<Planted>,
    pub(crate) server: Server,
    pub(crate) stations: Vec<Station>,
    pub(crate) connections: BTreeMap<u64, Connection>,
    pub(crate) watch: Watch,
    /// What happened so far, counted.
    pub figures: Figures,
    /// The last things that happened, in words, where they are kept.
    pub trace: Trace,
    pub(crate) violation: Option<Violation>,
    /// Faults and work go on.
    pub(crate) is_restless: bool,
    queue: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
    /// Backups taken so far.
    pub(crate) copies: Vec<Copy>,
    /// Leases that administrators asked to write off, by the question.
    pub(crate) write_offs: BTreeMap<Ticket, LeaseId>,
    /// A snapshot of the server's machine, and the right machine while that one runs by mistake.
    pub(crate) old_machine: Option<Image>,
    pub(crate) mixup: Option<Mixup>,
    /// Stations to which nothing comes through.
    pub(crate) deaf: BTreeSet<usize>,
}

/// Something that will happen.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A message comes to the server over that connection.
    ToServer(u64, FromClient),
    /// A message comes to a client over that connection.
    ToClient(u64, FromServer),
    /// The daemon's life of that number does its next step.
    Step(u64, Stage),
    /// The engine of that life asked to be woken; the number tells the last such wish.
    Ring(u64, u64),
    /// The usage log's thread carries what waits (S2).
    Carry(u64),
    /// The daemon starts.
    Start,
    /// The server hears that a connection is gone; whether its client closed it.
    ServerLoses(u64, bool),
    /// The client hears that a connection is gone.
    ClientLoses(u64),
    /// A seat's session asked to be woken; the number tells the last such wish.
    Due(SeatId, u64),
    /// A seat is looked at, as its driver does every few seconds.
    Look(SeatId),
    /// A station dials; the number tells the last such wish.
    Dial(usize, u64),
    /// A dial takes too long.
    DialEnds(usize, u64),
    /// The user of a seat is done with it.
    Done(SeatId),
    /// The user of a seat waits for it no more.
    Tired(SeatId),
    /// A machine that slept, was paused or cut off goes on.
    Wakes(Machine),
    /// A station that could not reach the server can.
    Unblocked(usize),
    /// Something happens by chance.
    Chance(Chance),
}

/// A machine of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// Where the daemon runs.
    Server,
    /// A workstation.
    Station(usize),
}

impl World {
    /// A world with a daemon that has its first license, and workstations that hold nothing.
    pub fn new(seed: u64, knobs: Knobs) -> Self {
        Self::with_planted(seed, knobs, None)
    }

    /// The same, with a defect.
    pub fn with_planted(seed: u64, knobs: Knobs, planted: Option<Planted>) -> Self {
        let mut dice = Dice::new(seed);
        let server = Server::new(&mut dice, &knobs, planted);
        let stations = (0..knobs.stations)
            .map(|number| Station::new(number, &mut dice, &knobs, planted))
            .collect();
        let mut world = Self {
            now: Moment(0),
            dice,
            planted,
            server,
            stations,
            connections: BTreeMap::new(),
            watch: Watch::default(),
            figures: Figures::default(),
            trace: Trace::default(),
            violation: None,
            is_restless: true,
            queue: BinaryHeap::new(),
            scheduled: 0,
            copies: Vec::new(),
            write_offs: BTreeMap::new(),
            old_machine: None,
            mixup: None,
            deaf: BTreeSet::new(),
            knobs,
        };
        world.start_server();
        let terms = world.knobs.terms.clone();
        world.install(&terms);
        if let Some(second) = world.knobs.second.clone() {
            world.install(&second);
        }
        world.run_for(DurationMs::seconds(1)).ok();
        world.begin_chances();
        world
    }

    /// The moment it is.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// Lets so much time pass, and what happens in it.
    ///
    /// # Errors
    /// The first [`Violation`]; the world stands still then.
    pub fn run_for(&mut self, length: DurationMs) -> Result<(), Violation> {
        self.run_to(self.now.plus(length))
    }

    /// Lets time pass up to `end`.
    ///
    /// # Errors
    /// As for [`World::run_for`].
    pub fn run_to(&mut self, end: Moment) -> Result<(), Violation> {
        while self.next_at().is_some_and(|at| at <= end) {
            self.step()?;
        }
        self.now = self.now.max(end);
        self.judge()
    }

    /// Lets time pass until `done`, at most `length`; false if it did not come.
    ///
    /// # Errors
    /// As for [`World::run_for`].
    pub fn run_until(
        &mut self,
        length: DurationMs,
        mut done: impl FnMut(&Self) -> bool,
    ) -> Result<bool, Violation> {
        let end = self.now.plus(length);
        while !done(self) {
            if self.next_at().is_none_or(|at| at > end) {
                self.now = end;
                self.judge()?;
                return Ok(done(self));
            }
            self.step()?;
        }
        Ok(true)
    }

    /// Does the next thing that is to happen.
    ///
    /// # Errors
    /// As for [`World::run_for`].
    pub fn step(&mut self) -> Result<(), Violation> {
        let Some(Reverse(next)) = self.queue.pop() else {
            return Ok(());
        };
        self.now = next.at;
        self.figures.events += 1;
        if self.figures.events == EVENTS_MAX {
            let what = format!("{EVENTS_MAX} events and no end");
            self.fault(Err(Violation::new(self, "comes_to_an_end", what)));
        }
        self.happen(next.event);
        self.judge()
    }

    /// Judges every invariant that can be judged at any moment.
    ///
    /// # Errors
    /// The first [`Violation`] there was.
    pub fn judge(&mut self) -> Result<(), Violation> {
        if self.violation.is_none() && std::mem::take(&mut self.watch.beliefs_changed) {
            self.violation = invariants::believers::judge(self).err();
        }
        match &self.violation {
            None => Ok(()),
            Some(violation) => Err(violation.clone()),
        }
    }

    /// Notes the first violation.
    pub(crate) fn fault(&mut self, outcome: Result<(), Violation>) {
        if self.violation.is_none() {
            self.violation = outcome.err();
        }
    }

    /// Puts an event on the queue, `delay` from now.
    pub(crate) fn after(&mut self, delay: DurationMs, event: Event) {
        self.at(self.now.plus(delay), event);
    }

    /// Puts an event on the queue.
    pub(crate) fn at(&mut self, at: Moment, event: Event) {
        self.scheduled += 1;
        let order = self.scheduled;
        self.queue.push(Reverse(Scheduled {
            at: at.max(self.now),
            order,
            event,
        }));
    }

    /// Notes what happened, in words that cost nothing while nobody keeps them.
    pub(crate) fn note(&mut self, what: impl FnOnce() -> String) {
        self.trace.note(self.now, what);
    }

    /// What the server's clocks show.
    pub fn server_now(&self) -> Now {
        self.server.clock.now(self.now)
    }

    fn next_at(&self) -> Option<Moment> {
        self.queue.peek().map(|Reverse(next)| next.at)
    }

    fn happen(&mut self, event: Event) {
        let machine = self.machine_of(&event);
        if let Some(machine) = machine
            && self.is_still(machine)
        {
            return self.hold(machine, event);
        }
        match event {
            Event::ToServer(connection, message) => self.server_receives(connection, message),
            Event::ToClient(connection, message) => self.client_receives(connection, message),
            Event::Step(life, stage) => self.server_step(life, stage),
            Event::Ring(life, wish) => self.ring(life, wish),
            Event::Carry(life) => self.carry(life),
            Event::Start => self.start_server(),
            Event::ServerLoses(connection, orderly) => self.server_loses(connection, orderly),
            Event::ClientLoses(connection) => self.client_loses(connection),
            Event::Due(seat, wish) => self.due(seat, wish),
            Event::Look(seat) => self.look(seat),
            Event::Dial(station, wish) => self.dial(station, wish),
            Event::DialEnds(station, connection) => self.dial_ends(station, connection),
            Event::Done(seat) => self.release(seat),
            Event::Tired(seat) => self.tired(seat),
            Event::Wakes(machine) => self.wake(machine),
            Event::Unblocked(station) => self.unblock(station),
            Event::Chance(chance) => self.chance(chance),
        }
    }

    /// The machine that an event needs awake.
    fn machine_of(&self, event: &Event) -> Option<Machine> {
        Some(match event {
            Event::ToServer(..)
            | Event::Step(..)
            | Event::Ring(..)
            | Event::Carry(_)
            | Event::Start
            | Event::ServerLoses(..) => Machine::Server,
            Event::ToClient(connection, _) | Event::ClientLoses(connection) => {
                Machine::Station(self.connections.get(connection)?.station)
            }
            Event::Due(seat, _) | Event::Look(seat) | Event::Done(seat) | Event::Tired(seat) => {
                Machine::Station(seat.station)
            }
            Event::Dial(station, _) | Event::DialEnds(station, _) => Machine::Station(*station),
            Event::Wakes(_) | Event::Unblocked(_) | Event::Chance(_) => return None,
        })
    }
}

/// More than any world needs: one that comes to so many goes round in circles.
const EVENTS_MAX: u64 = 10_000_000;

struct Scheduled {
    at: Moment,
    /// Of two at one moment the one that was put there first comes first.
    order: u64,
    event: Event,
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scheduled {}
