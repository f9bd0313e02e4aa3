//! What a world is like: drawn from its seed, or said by a schedule. Decides how often things happen,
//! never what they do.

use usher_protocol::{
    documents::license::Grouping,
    time::{DurationMs, WallMs},
    wire::Environment,
};
use usher_tests::proof::Dice;

use crate::{
    clock::WALL_AT_BEGINNING,
    site::{LICENSE_SECOND, Terms},
};

/// Everything that makes one world different from another.
#[derive(Debug, Clone)]
pub struct Knobs {
    /// Workstations.
    pub stations: usize,
    /// The license it begins with.
    pub terms: Terms,
    /// A second one for the same features, if there is one.
    pub second: Option<Terms>,
    /// How messages travel.
    pub network: NetworkKnobs,
    /// How far clocks may drift: the oscillators are drawn from plus and minus this.
    pub drift_ppm_max: i64,
    /// Both ends at the limits of their drift, against each other.
    pub drifts_apart: bool,
    /// How often what happens. The mean time between two; none is never.
    pub faults: FaultKnobs,
    /// What people do.
    pub work: WorkKnobs,
    /// From a message's arrival to the engine, at most.
    pub queue_ms_max: u64,
    /// How long a commit takes, at most.
    pub disk_ms_max: u64,
}

/// How messages travel.
#[derive(Debug, Clone)]
pub struct NetworkKnobs {
    /// So many of a thousand are lost.
    pub loss_permille: u64,
    /// So many of a thousand come twice.
    pub twice_permille: u64,
    /// They may overtake each other.
    pub overtakes: bool,
    /// Usual delay, at most.
    pub delay_ms_max: u64,
    /// So many of a thousand are delayed for long: up to `long_ms_max`.
    pub long_permille: u64,
    /// The longest delay.
    pub long_ms_max: u64,
}

/// Mean times between faults.
#[derive(Debug, Clone, Default)]
pub struct FaultKnobs {
    /// The daemon's process dies, or its machine loses power, or its disk fails.
    pub server_crash: Option<DurationMs>,
    /// Of a thousand crashes so many are power cuts.
    pub power_permille: u64,
    /// Of a thousand batches so many are the last of their life, at some step of their commit.
    pub commit_crash_permille: u64,
    /// The daemon is down at most this long.
    pub down_ms_max: u64,
    /// A connection is cut.
    pub cut: Option<DurationMs>,
    /// A workstation cannot reach the server for a while.
    pub block: Option<DurationMs>,
    /// A client process dies.
    pub client_crash: Option<DurationMs>,
    /// A workstation sleeps.
    pub suspend: Option<DurationMs>,
    /// A workstation is paused by its hypervisor; its wall clock is right when it goes on.
    pub pause: Option<DurationMs>,
    /// The server sleeps or is paused.
    pub server_pause: Option<DurationMs>,
    /// A workstation's wall clock jumps, up to ten years.
    pub wall_jump: Option<DurationMs>,
    /// The server's wall clock jumps.
    pub server_wall_jump: Option<DurationMs>,
    /// An administrator does something.
    pub admin: Option<DurationMs>,
    /// Of a thousand changes of a license so many leave fewer seats than are out (L7).
    pub fewer_permille: u64,
    /// A backup is taken, and sometimes an old one is restored.
    pub restore: Option<DurationMs>,
    /// A snapshot of the server's machine is taken, or started by mistake.
    pub mixup: Option<DurationMs>,
}

/// What people do.
#[derive(Debug, Clone)]
pub struct WorkKnobs {
    /// Between two wishes of one workstation, on average; none is no work but a schedule's.
    pub think: Option<DurationMs>,
    /// How long a seat is used, on average.
    pub hold: DurationMs,
    /// Of a thousand checkouts so many wait in the queue.
    pub wait_permille: u64,
    /// Seats asked for at once, at most.
    pub seats_max: u32,
    /// Sessions of one workstation at once, at most.
    pub sessions_max: usize,
    /// Of a thousand checkouts so many want a seat of the second feature, too.
    pub set_permille: u64,
    /// Between two thoughts of going home; none is nobody goes home. Where people do, clocks are kept right.
    pub home: Option<DurationMs>,
    /// Of a thousand who think of it so many work on line then.
    pub home_from_work_permille: u64,
}

impl Default for Knobs {
    /// A quiet world: nothing fails, nobody works, every clock is right.
    fn default() -> Self {
        Self {
            stations: 2,
            terms: Terms::default(),
            second: None,
            network: NetworkKnobs {
                loss_permille: 0,
                twice_permille: 0,
                overtakes: false,
                delay_ms_max: 5,
                long_permille: 0,
                long_ms_max: 0,
            },
            drift_ppm_max: 0,
            drifts_apart: false,
            faults: FaultKnobs {
                down_ms_max: 1000,
                ..FaultKnobs::default()
            },
            work: WorkKnobs {
                think: None,
                hold: DurationMs::minutes(10),
                wait_permille: 0,
                seats_max: 1,
                sessions_max: 1,
                set_permille: 0,
                home: None,
                home_from_work_permille: 0,
            },
            queue_ms_max: 2,
            disk_ms_max: 2,
        }
    }
}

impl Knobs {
    /// A world of trouble.
    pub fn draw(dice: &mut Dice) -> Self {
        let mut knobs = Self::draw_usual(dice);
        knobs.draw_more(dice);
        knobs
    }

    /// What some worlds have beside: a second feature and a second license, licenses that end, people who go
    /// home, a machine that is mistaken for the server.
    fn draw_more(&mut self, dice: &mut Dice) {
        let lease = self.terms.lease_ms;
        if dice.permille(400) {
            self.terms.seats_second = Some(1 + u32::try_from(dice.below(3)).unwrap_or(0));
            self.work.set_permille = 100 + dice.below(500);
        }
        if self.terms.environment == Environment::Live && dice.permille(400) {
            self.draw_home(dice);
        }
        if dice.permille(300) {
            self.terms.expires = Some(draw_end(dice, lease));
        }
        if dice.permille(350) {
            self.second = Some(Terms {
                license: LICENSE_SECOND,
                seats: 1 + u32::try_from(dice.below(3)).unwrap_or(0),
                overdraft: 0,
                expires: dice.permille(400).then(|| draw_end(dice, lease)),
                ..self.terms.clone()
            });
        }
        if dice.permille(350) {
            self.faults.mixup = Some(times(lease, 5 + dice.below(200), 10));
        }
    }

    /// A borrow runs on wall clocks, which somebody keeps right: they drift as others do, and what they drift
    /// until the next time, asleep for days at the most, is less than the tolerance (L10, L14).
    fn draw_home(&mut self, dice: &mut Dice) {
        let lease = self.terms.lease_ms;
        self.drift_ppm_max = self.drift_ppm_max.min(DRIFT_PPM_MAX_AT_HOME);
        let longest = DurationMs(lease.0 * (2 + dice.below(9)));
        self.terms.borrow_ms_max = longest.clamp(DurationMs::hours(1), DurationMs::days(10));
        self.work.home = Some(times(lease, 1 + dice.below(15), 10));
        if dice.permille(SHARED_PERMILLE_AT_HOME) {
            // What is at home is in one share with what runs on line there.
            self.terms.grouping = [Grouping::Host, Grouping::UserHost][pick(dice, 2)];
            self.work.home_from_work_permille = 800;
            self.work.home = Some(times(lease, 1 + dice.below(6), 10));
            self.faults.fewer_permille = 700;
            self.faults.admin = Some(times(lease, 2 + dice.below(30), 10));
            self.terms.seats += 1 + u32::try_from(dice.below(2)).unwrap_or(0);
        }
        self.terms.early_return = dice.permille(700);
        self.terms.write_off = u32::try_from(dice.below(3)).unwrap_or(0);
        self.terms.seats += 1 + u32::try_from(dice.below(2)).unwrap_or(0);
    }

    fn draw_usual(dice: &mut Dice) -> Self {
        let terms = draw_terms(dice);
        let lease = terms.lease_ms;
        let seats_max = if terms.seats > 1 && dice.permille(300) {
            2
        } else {
            1
        };
        Self {
            stations: 2 + pick(dice, 7),
            drift_ppm_max: DRIFTS_PPM[pick(dice, DRIFTS_PPM.len())],
            drifts_apart: dice.permille(200),
            network: draw_network(dice, lease),
            faults: draw_faults(dice, lease),
            work: WorkKnobs {
                think: Some(times(lease, 1 + dice.below(20), 10)),
                hold: times(lease, 1 + dice.below(60), 10),
                wait_permille: dice.below(1001),
                seats_max,
                sessions_max: 1 + pick(dice, 3),
                set_permille: 0,
                home: None,
                home_from_work_permille: 0,
            },
            second: None,
            queue_ms_max: [1, 20, 1_000][pick(dice, 3)],
            disk_ms_max: [1, 50, 1_000][pick(dice, 3)],
            terms,
        }
    }
}

fn draw_terms(dice: &mut Dice) -> Terms {
    let is_test = dice.permille(150);
    let lengths = if is_test { &TINY[..] } else { &LENGTHS[..] };
    let lease_ms = lengths[pick(dice, lengths.len())];
    let seats = 1 + u32::try_from(dice.below(4)).unwrap_or(0);
    let overdraft = u32::from(dice.permille(200));
    let grouping = if dice.permille(250) {
        Grouping::ALL[pick(dice, Grouping::ALL.len())]
    } else {
        Grouping::Process
    };
    Terms {
        seats,
        overdraft,
        lease_ms,
        grouping,
        environment: if is_test {
            Environment::Test
        } else {
            Environment::Live
        },
        ..Terms::default()
    }
}

/// Some way into the world, or after its end.
fn draw_end(dice: &mut Dice, lease: DurationMs) -> WallMs {
    WALL_AT_BEGINNING.plus(DurationMs(lease.0 * (2 + dice.below(100))))
}

fn draw_network(dice: &mut Dice, lease: DurationMs) -> NetworkKnobs {
    NetworkKnobs {
        loss_permille: [0, 10, 50, 200][pick(dice, 4)],
        twice_permille: [0, 20, 200][pick(dice, 3)],
        overtakes: dice.permille(300),
        delay_ms_max: [2, 100, 1_000][pick(dice, 3)],
        long_permille: [0, 20, 200][pick(dice, 3)],
        long_ms_max: lease.0 * 3 / 2,
    }
}

/// Rates go by the lease length, so that as much happens to a lease of a day as to one of a minute.
fn draw_faults(dice: &mut Dice, lease: DurationMs) -> FaultKnobs {
    let mut sometimes = |permille: u64, tenths_max: u64| {
        dice.permille(permille)
            .then(|| times(lease, 2 + dice.below(tenths_max), 10))
    };
    FaultKnobs {
        server_crash: sometimes(800, 300),
        cut: sometimes(600, 100),
        block: sometimes(500, 100),
        client_crash: sometimes(500, 200),
        suspend: sometimes(400, 100),
        pause: sometimes(300, 100),
        server_pause: sometimes(300, 200),
        wall_jump: sometimes(300, 100),
        server_wall_jump: sometimes(250, 200),
        admin: sometimes(700, 100),
        restore: sometimes(300, 300),
        fewer_permille: [0, 200, 600][pick(dice, 3)],
        mixup: None,
        power_permille: [0, 500, 1000][pick(dice, 3)],
        commit_crash_permille: [0, 0, 1, 10][pick(dice, 4)],
        down_ms_max: [100, 5_000, 60_000, lease.0 / 2, lease.0 * 2][pick(dice, 5)],
    }
}

fn pick(dice: &mut Dice, count: usize) -> usize {
    usize::try_from(dice.below(count as u64)).unwrap_or(0)
}

fn times(length: DurationMs, over: u64, under: u64) -> DurationMs {
    DurationMs(length.0 / under * over)
}

/// Lease lengths of the worlds: longer ones more often, as an hour of them costs less.
const LENGTHS: [DurationMs; 8] = [
    DurationMs::minutes(1),
    DurationMs::minutes(10),
    DurationMs::minutes(30),
    DurationMs::hours(1),
    DurationMs::hours(4),
    DurationMs::hours(8),
    DurationMs::hours(24),
    DurationMs::hours(24),
];

const DRIFTS_PPM: [i64; 4] = [0, 100, 10_000, 10_000];

/// Two clocks that nobody set right for four days are less than an hour apart.
const DRIFT_PPM_MAX_AT_HOME: i64 = 5_000;

/// Of a thousand worlds with borrows so many have those of a host, or of a user on it, in one share.
const SHARED_PERMILLE_AT_HOME: u64 = 650;

/// Of test licenses (T8).
const TINY: [DurationMs; 3] = [
    DurationMs::seconds(2),
    DurationMs::seconds(10),
    DurationMs::seconds(30),
];
