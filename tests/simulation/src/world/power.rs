//! How a daemon and its machine end and go on: crashes, power cuts, failing disks, sleep.

use usher_protocol::time::DurationMs;

use super::{Crash, Event, Machine, World, network::IDLE_MS_MAX};

impl World {
    /// The daemon dies now. It comes back by itself, after a while.
    pub fn crash(&mut self, crash: Crash) {
        self.end_life(crash);
    }

    /// The daemon dies now and stays down until [`World::start_server`].
    pub fn stop_server(&mut self, crash: Crash) {
        self.server.is_starting = true;
        self.end_life(crash);
    }

    /// So many more disk operations of the daemon succeed; the one after them is its last.
    pub fn set_fuse(&mut self, operations: u32) {
        self.server.storage.lock().fuse = Some(operations);
    }

    /// Ends the life, as the world's knobs have it.
    pub(crate) fn crash_as_drawn(&mut self) {
        let crash = self.draw_crash();
        self.end_life(crash);
    }

    pub(crate) fn draw_crash(&mut self) -> Crash {
        if self.dice.permille(self.knobs.faults.power_permille) {
            Crash::Power
        } else if self.dice.permille(200) {
            Crash::Disk
        } else {
            Crash::Process
        }
    }

    pub(crate) fn end_life(&mut self, crash: Crash) {
        self.note(|| format!("the daemon ends: {crash:?}"));
        self.server.life = None;
        match crash {
            Crash::Process | Crash::Disk => {
                self.figures.crashes += 1;
                self.server.storage.lock().close();
            }
            Crash::Power => {
                self.figures.power_cuts += 1;
                self.server.storage.lock().lose_power(&mut self.dice);
                self.server.clock.reboot(self.now);
            }
        }
        self.lose_clients(crash);
        if !self.server.is_starting {
            self.server.is_starting = true;
            let down = self.dice.below(self.knobs.faults.down_ms_max + 1);
            self.after(DurationMs(down), Event::Start);
        }
    }

    /// Clients hear of it at once from a machine that still runs, later from one that does not.
    fn lose_clients(&mut self, crash: Crash) {
        let late = if crash == Crash::Power {
            IDLE_MS_MAX
        } else {
            3_000
        };
        for station in 0..self.stations.len() {
            if let Some(connection) = self.stations[station].link.connection() {
                let delay = self.dice.below(late);
                self.after(DurationMs(delay), Event::ClientLoses(connection));
            }
        }
    }

    /// With some chance the next life of the disk is short.
    pub(crate) fn light_fuse(&mut self) {
        let permille = self.knobs.faults.commit_crash_permille;
        if self.is_restless && !self.is_mixed_up() && permille > 0 && self.dice.permille(permille) {
            let operations = self.dice.below(4);
            self.set_fuse(u32::try_from(operations).unwrap_or(0));
        }
    }

    /// The oscillator of a machine runs so much faster than the world from now on.
    pub fn set_drift(&mut self, machine: Machine, drift_ppm: i64) {
        let now = self.now;
        match machine {
            Machine::Server => {
                self.server.clock.set_drift(now, drift_ppm);
                self.set_ring();
            }
            Machine::Station(number) => {
                self.stations[number].clock.set_drift(now, drift_ppm);
                self.set_dues(number);
            }
        }
    }

    /// Whether a machine sleeps or is paused.
    pub(crate) fn is_still(&self, machine: Machine) -> bool {
        match machine {
            Machine::Server => self.server.is_still,
            Machine::Station(number) => self.stations[number].is_still,
        }
    }

    /// Keeps an event for a machine that does not run.
    pub(crate) fn hold(&mut self, machine: Machine, event: Event) {
        match machine {
            Machine::Server => self.server.held.push(event),
            Machine::Station(number) => self.stations[number].held.push(event),
        }
    }

    /// The machine sleeps for so long; its boot clock goes on (L3).
    pub fn suspend(&mut self, machine: Machine, length: DurationMs) {
        if self.is_still(machine) {
            return;
        }
        self.note(|| format!("{machine:?} sleeps for {length}"));
        self.figures.suspends += 1;
        let now = self.now;
        match machine {
            Machine::Server => {
                self.server.is_still = true;
                self.server.clock.suspend(now);
            }
            Machine::Station(number) => {
                self.stations[number].is_still = true;
                self.stations[number].clock.suspend(now);
            }
        }
        self.after(length, Event::Wakes(machine));
    }

    /// The hypervisor stops the machine for so long: neither clock goes on. A station's wall clock is
    /// right again as soon as it goes on; what nobody corrects is outside the guarantee (L14).
    pub fn pause(&mut self, machine: Machine, length: DurationMs) {
        if self.is_still(machine) {
            return;
        }
        self.note(|| format!("{machine:?} is paused for {length}"));
        self.figures.pauses += 1;
        let now = self.now;
        match machine {
            Machine::Server => {
                self.server.is_still = true;
                self.server.clock.pause(now);
            }
            Machine::Station(number) => {
                let station = &mut self.stations[number];
                station.is_still = true;
                station.wall_leads_ms = Some(station.clock.wall_leads_ms(now));
                station.clock.pause(now);
            }
        }
        self.after(length, Event::Wakes(machine));
    }

    pub(crate) fn wake(&mut self, machine: Machine) {
        let now = self.now;
        let held = match machine {
            Machine::Server => {
                self.server.is_still = false;
                self.server.clock.wake(now);
                self.server.clock.resume(now);
                self.set_ring();
                (0..self.stations.len()).for_each(|station| self.find_server(station));
                std::mem::take(&mut self.server.held)
            }
            Machine::Station(number) => {
                let station = &mut self.stations[number];
                station.is_still = false;
                station.clock.wake(now);
                station.clock.resume(now);
                if let Some(before) = station.wall_leads_ms.take() {
                    let lags = before - station.clock.wall_leads_ms(now);
                    station.clock.jump_wall(now, lags);
                }
                let held = std::mem::take(&mut station.held);
                self.set_dues(number);
                held
            }
        };
        self.watch.beliefs_changed = true;
        self.note(|| format!("{machine:?} goes on"));
        for event in held {
            let delay = self.dice.below(50);
            self.after(DurationMs(delay), event);
        }
    }
}
