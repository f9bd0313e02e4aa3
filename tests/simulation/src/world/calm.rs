//! The calm at a world's end: faults cease, administrators mend, whoever works finishes. What does not
//! come right then never would.

use usher_engine::{
    api::{AdminAsk, Answer},
    policy::Policy,
};
use usher_protocol::time::DurationMs;
use usherd::core::{Beginning, Pending, Question, Works};

use super::{Event, Machine, World};
use crate::{
    invariants::Violation,
    journal::{Shared, SimJournal},
    site::Terms,
};

impl World {
    /// Ends all trouble and lets the world come to rest.
    ///
    /// # Errors
    /// As for [`World::run_for`].
    pub fn calm(&mut self) -> Result<(), Violation> {
        self.note(|| "calm".to_owned());
        self.is_restless = false;
        self.start_right_machine();
        self.server.storage.lock().fuse = None;
        for machine in self.machines() {
            if self.is_still(machine) {
                self.wake(machine);
            }
        }
        for station in 0..self.stations.len() {
            self.unblock(station);
        }
        let now = self.now;
        self.server.clock.correct_wall(now);
        self.run_for(DurationMs::minutes(2))?;
        if self.server.life.is_none() {
            self.start_server();
        }
        self.mend();
        let longest = self.longest();
        for is_second in [false, true] {
            if let Some(terms) = self.license(is_second) {
                let terms = Terms {
                    serial: terms.serial + 1,
                    expires: None,
                    ..terms
                };
                self.replace_license(terms);
            }
        }
        self.suspend_license(false);
        self.set_policy(Policy::default());
        // What may be out unknown is held first (L12), then whoever waits has its turn.
        let round = DurationMs(longest.0 * 11 / 10 + 120_000);
        self.run_for(round)?;
        self.mend();
        for _ in 0..CALM_ROUNDS_MAX {
            if self.is_at_rest() {
                return Ok(());
            }
            self.finish_work();
            self.run_for(round)?;
        }
        Ok(())
    }

    fn machines(&self) -> Vec<Machine> {
        let stations = (0..self.stations.len()).map(Machine::Station);
        stations.chain([Machine::Server]).collect()
    }

    fn is_at_rest(&self) -> bool {
        self.stations.iter().all(|station| station.seats.is_empty())
    }

    /// Whoever has a seat gives it back in a moment; whoever waits goes on waiting.
    fn finish_work(&mut self) {
        for station in 0..self.stations.len() {
            for seat in self.seats_of(station) {
                if self.holds(seat) {
                    self.after(DurationMs::seconds(1), Event::Done(seat));
                }
            }
        }
    }

    /// The longest that anything may be out under any license so far.
    fn longest(&self) -> DurationMs {
        let lengths = self.server.signed.values().map(Terms::longest);
        lengths.max().unwrap_or_default()
    }

    /// Asks the running daemon something, between two batches, and has the answer at once.
    pub(crate) fn look_at(&mut self, ask: AdminAsk) -> Option<Answer> {
        let now = self.server_now();
        let life = self.server.life.as_mut()?;
        ask_works(&mut life.works, now, ask)
    }

    /// Asks a daemon that starts from a copy of the disk.
    pub(crate) fn look_replayed(&mut self, ask: AdminAsk) -> Option<Answer> {
        let now = self.server_now();
        let beginning = Beginning {
            site: crate::site::site(),
            site_is_older: true,
            life: usher_protocol::ids::LifeId([9; 16]),
            settings: self.server.settings.clone(),
            policy: self.server.policy.clone(),
        };
        let copy = Shared::default();
        *copy.lock() = self.image();
        let journal = Box::new(SimJournal::open(&copy));
        let mut works = Works::begin(journal, beginning, &mut || now).ok()?;
        ask_works(&mut works, now, ask)
    }
}

fn ask_works(works: &mut Works, now: usher_protocol::time::Now, ask: AdminAsk) -> Option<Answer> {
    let answered = super::server::Released::default();
    let mut pending = Pending::default();
    let waiter = super::server::Waiter::outside(&answered);
    let question = Question::Admin("root(0)".to_owned(), ask, waiter);
    works.take(now, question, &mut pending).ok()?;
    works.commit(&pending).ok()?;
    drop(pending.release());
    let mut answered = answered.borrow_mut();
    answered.pop().map(|(_, answer)| answer)
}

/// Rounds of a calm, each as long as the longest lease.
const CALM_ROUNDS_MAX: usize = 8;
