//! What happens by chance, and how often: people's wishes and the world's faults.

use usher_engine::{
    api::AdminAsk,
    policy::{
        FeaturePattern, LeaseRule, LingerRule, MaximumRule, Per, Policy, QueueRule, Rule, Who,
    },
};
use usher_protocol::{
    names::LicenseId,
    time::{DurationMs, WallMs},
};

use super::{Event, Machine, SeatId, Wish, World};
use crate::{
    clock::{Moment, WALL_AT_BEGINNING},
    site::Terms,
};

/// One kind of thing that happens again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chance {
    Work(usize),
    ServerCrash,
    Cut,
    Block,
    ClientCrash,
    Suspend,
    Pause,
    ServerPause,
    WallJump,
    ServerWallJump,
    Admin,
    Restore,
    /// Somebody at a workstation thinks of going home.
    Home,
    /// Whoever works on line beside what is at home is asked to bring that back.
    Recall,
    /// Clocks are set right.
    Clocks,
    /// An old copy of the server's machine.
    Mixup,
    /// The right machine again.
    RightMachine,
    /// A license ends at that time.
    LicenseEnds(WallMs),
    /// A suspension ends.
    Resume,
}

impl Chance {
    /// Whether it is done to the machine that holds the leases, or asked of its daemon.
    fn needs_right_machine(self) -> bool {
        matches!(
            self,
            Self::ServerCrash
                | Self::ServerPause
                | Self::ServerWallJump
                | Self::Admin
                | Self::Restore
                | Self::Mixup
                | Self::LicenseEnds(_)
                | Self::Resume
        )
    }
}

impl World {
    pub(crate) fn begin_chances(&mut self) {
        let mut all = vec![
            Chance::ServerCrash,
            Chance::Cut,
            Chance::Block,
            Chance::ClientCrash,
            Chance::Suspend,
            Chance::Pause,
            Chance::ServerPause,
            Chance::WallJump,
            Chance::ServerWallJump,
            Chance::Admin,
            Chance::Restore,
            Chance::Home,
            Chance::Clocks,
            Chance::Mixup,
        ];
        all.extend((0..self.stations.len()).map(Chance::Work));
        for chance in all {
            self.plan(chance);
        }
    }

    /// It happens again after a while.
    fn plan(&mut self, chance: Chance) {
        if let Some(mean) = self.mean(chance) {
            let wait = self.dice.below(mean.0 * 2 + 1);
            self.after(DurationMs(wait), Event::Chance(chance));
        }
    }

    fn mean(&self, chance: Chance) -> Option<DurationMs> {
        let faults = &self.knobs.faults;
        match chance {
            Chance::Work(_) => self.knobs.work.think,
            Chance::ServerCrash => faults.server_crash,
            Chance::Cut => faults.cut,
            Chance::Block => faults.block,
            Chance::ClientCrash => faults.client_crash,
            Chance::Suspend => faults.suspend,
            Chance::Pause => faults.pause,
            Chance::ServerPause => faults.server_pause,
            Chance::WallJump => faults.wall_jump,
            Chance::ServerWallJump => faults.server_wall_jump,
            Chance::Admin => faults.admin,
            Chance::Restore => faults.restore,
            Chance::Home => self.knobs.work.home,
            Chance::Clocks => self.knobs.work.home.map(|_| DurationMs::hours(1)),
            Chance::Mixup => faults.mixup,
            Chance::Recall | Chance::Resume | Chance::RightMachine | Chance::LicenseEnds(_) => None,
        }
    }

    pub(crate) fn chance(&mut self, chance: Chance) {
        if !self.is_restless {
            return;
        }
        self.plan(chance);
        if self.is_mixed_up() && chance.needs_right_machine() {
            return self.postpone(chance);
        }
        let station = self.draw(self.stations.len());
        match chance {
            Chance::Work(station) => self.work(station),
            Chance::ServerCrash if self.server.is_still => {}
            Chance::ServerCrash => self.crash_as_drawn(),
            Chance::Cut => self.cut(station),
            Chance::Block => {
                let length = DurationMs(self.knobs.terms.lease_ms.0 / 2);
                let length = length.plus(self.draw_length(2));
                self.block(station, length);
            }
            Chance::ClientCrash => self.kill_client(station),
            Chance::Suspend => {
                let length = self.draw_length(2);
                self.suspend(Machine::Station(station), length);
            }
            Chance::Pause if !self.stations[station].jumps => {
                let length = self.draw_length(2);
                self.pause(Machine::Station(station), length);
            }
            Chance::ServerPause => self.server_pause(),
            Chance::WallJump if self.stations[station].jumps => {
                let by_ms = self.draw_jump();
                self.jump_station_wall(station, by_ms);
            }
            Chance::ServerWallJump => {
                let by_ms = self.draw_jump();
                // Whoever sets it forward stands for it, and frees what is at home (L11, L14).
                let is_kept = self.knobs.work.home.is_some();
                self.jump_server_wall(if is_kept { -by_ms.abs() } else { by_ms });
            }
            Chance::Pause | Chance::WallJump => {}
            Chance::Admin => self.administer(),
            Chance::Restore => self.back_up_or_restore(),
            Chance::Home => self.go_or_come_home(station),
            Chance::Recall => self.recall(),
            Chance::Clocks => self.correct_clocks(),
            Chance::Mixup => self.take_or_start_image(),
            Chance::RightMachine => self.start_right_machine(),
            Chance::LicenseEnds(expires) => self.license_ends(expires),
            Chance::Resume => drop(self.suspend_license(false)),
        }
    }

    /// What is due once comes when the right machine runs again.
    fn postpone(&mut self, chance: Chance) {
        if matches!(chance, Chance::Resume | Chance::LicenseEnds(_)) {
            self.after(DurationMs::minutes(1), Event::Chance(chance));
        }
    }

    fn work(&mut self, station: usize) {
        let is_full = self.stations[station].seats.len() >= self.knobs.work.sessions_max;
        if is_full || self.is_still(Machine::Station(station)) {
            return;
        }
        let seats = 1 + self.dice.below(u64::from(self.knobs.work.seats_max));
        let user = if self.dice.permille(500) {
            "ann"
        } else {
            "bob"
        };
        let wish = Wish {
            seats: u32::try_from(seats).unwrap_or(1),
            waits: self.dice.permille(self.knobs.work.wait_permille),
            length_ms: None,
            user: user.to_owned(),
            second: self.knobs.work.set_permille > 0
                && self.dice.permille(self.knobs.work.set_permille),
        };
        let seat = self.check_out(station, &wish);
        self.lose_patience(seat);
    }

    /// Nobody waits for ever, and nobody who waits is idle: an hour of it costs as much as a day's use.
    pub(crate) fn lose_patience(&mut self, seat: SeatId) {
        if self.knobs.work.think.is_some() {
            let patience = self.draw_length(4).min(DurationMs::hours(1));
            self.after(patience, Event::Tired(seat));
        }
    }

    pub(crate) fn tired(&mut self, seat: SeatId) {
        if self.is_restless && !self.holds(seat) {
            self.release(seat);
        }
    }

    /// A seat that was granted is used for a while. Only a schedule's users decide for themselves.
    pub(crate) fn use_seat(&mut self, seat: SeatId) {
        if !self.is_restless {
            // The calm: others wait.
            self.after(DurationMs::seconds(1), Event::Done(seat));
        } else if self.knobs.work.think.is_some() {
            let use_ms = self.dice.below(self.knobs.work.hold.0 * 2 + 1);
            self.after(DurationMs(use_ms), Event::Done(seat));
        }
    }

    fn server_pause(&mut self) {
        let length = self.draw_length(2);
        if self.dice.permille(500) {
            self.suspend(Machine::Server, length);
        } else {
            self.pause(Machine::Server, length);
        }
    }

    /// Somebody sets the server's wall clock.
    pub fn jump_server_wall(&mut self, by_ms: i64) {
        self.figures.wall_jumps += 1;
        self.note(|| format!("the server's wall clock jumps by {by_ms} ms"));
        let now = self.now;
        self.server.clock.jump_wall(now, by_ms);
    }

    fn administer(&mut self) {
        let writes_off = u64::from(self.knobs.terms.write_off > 0);
        match self.dice.below(8 + 2 * writes_off) {
            0 | 1 => self.change_license(),
            2 | 3 => self.evict_somebody(),
            4 => {
                self.suspend_license(true);
                let length = self.draw_length(1);
                self.after(length, Event::Chance(Chance::Resume));
            }
            5 => {
                // What was removed comes back under a higher serial alone (T7).
                let terms = self.draw_license();
                self.remove(terms.license);
                let serial = terms.serial + 1;
                self.replace_license(Terms { serial, ..terms });
            }
            6 => {
                let policy = self.draw_policy();
                self.note(|| format!("a policy of {} rules", policy.rules()));
                self.set_policy(policy);
            }
            7 => self.mend(),
            _ => self.write_off_somebody(),
        }
    }

    /// A rule or two, or none any more.
    fn draw_policy(&mut self) -> Policy {
        let lease = self.knobs.terms.lease_ms.0;
        let mut policy = Policy::default();
        if self.dice.permille(400) {
            let length = DurationMs(lease / (1 + self.dice.below(4)));
            policy.lease.push(rule(LeaseRule { length }));
        }
        if self.dice.permille(400) {
            let length = DurationMs(self.dice.below(lease));
            policy.linger.push(rule(LingerRule { length }));
        }
        if self.dice.permille(300) {
            let seats = 1 + u32::try_from(self.dice.below(3)).unwrap_or(0);
            let per = [Per::User, Per::User, Per::Host][self.draw(3)];
            policy.maximum.push(rule(MaximumRule { seats, per }));
        }
        if self.dice.permille(300) {
            let backfill = true;
            policy.queue.push(rule(QueueRule { backfill }));
        }
        policy
    }

    /// What an administrator says who has read `usherd status`.
    pub(crate) fn mend(&mut self) {
        self.admin(AdminAsk::ConfirmClock);
        self.admin(AdminAsk::AcceptRollback);
        self.admin(AdminAsk::KeepThisClone);
        self.add_the_newest();
    }

    /// After a loss the newest license is added again, so that what is held is held no longer than it must (S6).
    pub(crate) fn add_the_newest(&mut self) {
        for is_second in [false, true] {
            if let Some(terms) = self.license(is_second) {
                self.install(&terms);
            }
        }
    }

    /// The newest issue of the first or of the second license.
    pub(crate) fn license(&self, is_second: bool) -> Option<Terms> {
        if is_second {
            self.knobs.second.clone()
        } else {
            Some(self.knobs.terms.clone())
        }
    }

    /// The newest issue of a license by its name.
    pub(crate) fn newest(&self, license: &LicenseId) -> Option<Terms> {
        let issues = [false, true].into_iter();
        let mut issues = issues.filter_map(|is_second| self.license(is_second));
        issues.find(|terms| terms.id() == *license)
    }

    /// The vendor issues it, and it is installed.
    pub(crate) fn replace_license(&mut self, terms: Terms) {
        self.install(&terms);
        if terms.license == self.knobs.terms.license {
            self.knobs.terms = terms;
        } else {
            self.knobs.second = Some(terms);
        }
    }

    fn draw_license(&mut self) -> Terms {
        let is_second = self.knobs.second.is_some() && self.dice.permille(400);
        let drawn = self.license(is_second);
        drawn.unwrap_or_else(|| self.knobs.terms.clone())
    }

    /// Most administrators do so as soon as the daemon is back.
    pub(crate) fn add_the_newest_after_a_loss(&mut self) {
        let works = self.knobs.work.think.is_some() && self.is_restless && !self.is_mixed_up();
        if works && self.server.went_back && self.dice.permille(900) {
            self.add_the_newest();
        }
    }

    fn change_license(&mut self) {
        let now = self.draw_license();
        let (seats, overdraft) = self.draw_seats(&now);
        let shorter = self.dice.permille(300);
        let shortest = now.shortest();
        let lease_ms = if shorter {
            DurationMs((now.lease_ms.0 / 4).max(shortest.0))
        } else {
            DurationMs((now.lease_ms.0 * 2).min(DurationMs::hours(24).0))
        };
        let changes_length = self.dice.permille(400);
        let terms = Terms {
            serial: now.serial + 1,
            seats,
            overdraft,
            lease_ms: if changes_length {
                lease_ms
            } else {
                now.lease_ms
            },
            expires: now.expires.map(|expires| self.renew_end(expires)),
            ..now
        };
        self.replace_license(terms);
    }

    /// A license that ends is issued for longer once it is over.
    fn renew_end(&mut self, expires: WallMs) -> WallMs {
        let wall = WALL_AT_BEGINNING.plus(self.now.since(Moment(0)));
        if expires > wall {
            return expires;
        }
        let leases = 2 + self.dice.below(40);
        wall.plus(DurationMs(self.knobs.terms.lease_ms.0 * leases))
    }

    fn evict_somebody(&mut self) {
        let seats: Vec<_> = (0..self.stations.len())
            .flat_map(|station| self.seats_of(station))
            .filter_map(|seat| Some(self.session(seat)?.held()?.granted.id))
            .collect();
        if seats.is_empty() {
            return;
        }
        let lease = seats[self.draw(seats.len())];
        self.note(|| format!("{lease} is evicted"));
        self.admin(AdminAsk::Evict {
            lease,
            reason: "needed elsewhere".to_owned(),
            cool_down_ms: None,
        });
    }

    fn back_up_or_restore(&mut self) {
        let replays = self.dice.permille(500);
        let restores = self.dice.permille(500);
        if let Some(copy) = self.copies.pop().filter(|_| restores) {
            return self.restore(&copy, replays);
        }
        let copy = self.backup();
        self.copies.extend(copy);
    }

    pub(crate) fn draw(&mut self, count: usize) -> usize {
        usize::try_from(self.dice.below(count as u64)).unwrap_or(0)
    }

    /// From nothing to so many lease lengths, short ones more often.
    pub(crate) fn draw_length(&mut self, leases_max: u64) -> DurationMs {
        let max = self.knobs.terms.lease_ms.0 * leases_max;
        let max = if self.dice.permille(500) {
            max
        } else {
            max / 16
        };
        DurationMs(1 + self.dice.below(max))
    }

    fn draw_jump(&mut self) -> i64 {
        let max = match self.dice.below(4) {
            0 => 5_000,
            1 => self.knobs.terms.lease_ms.0,
            2 => DurationMs::days(2).0,
            _ => DurationMs::days(3653).0,
        };
        let by = i64::try_from(self.dice.below(max)).unwrap_or(0);
        if self.dice.permille(500) { -by } else { by }
    }
}

fn rule<T>(says: T) -> Rule<T> {
    Rule {
        line: 1,
        feature: FeaturePattern::Every,
        who: Who::Everybody,
        says,
    }
}
