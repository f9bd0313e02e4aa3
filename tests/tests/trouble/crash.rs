//! Is anything that the daemon acknowledged ever lost when it is killed, under load or during its start?

use std::thread;
use std::time::Duration;

use usher_client::clock::Clock;
use usher_tests::crowd::administrator::{Administrator, install_first, retired};
use usher_tests::crowd::audit::{Findings, Log};
use usher_tests::crowd::{self, Crowd};
use usher_tests::daemon::{Daemon, Vendor};
use usher_tests::proof::{self, Dice};
use usher_tests::station::Station;

/// A round is a site of its own whose daemon is killed twenty times, six of them while it starts.
#[test]
fn kill_nine_under_load_loses_nothing_acknowledged_and_lends_nothing_twice() {
    let seeds = proof::seeds(5);
    let station = Station::here();
    let vendor = Vendor::new(&station, "acme");
    let mut total = Total::default();
    for seed in seeds.clone() {
        let mut site = Site::new(&vendor, seed);
        while site.total.kills < KILLS {
            site.kill();
        }
        total.add(site.end());
    }
    proof::tell("kill -9", &total.figures(seeds.end - seeds.start));
    assert!(total.bad.is_empty(), "{:#?}", total.bad);
    assert_eq!(total.failures, 0);
    assert!(total.in_start * 10 >= total.kills * 3, "{total:?}");
    assert!(
        total.retirements > 0 && total.retirements_killed > 0,
        "{total:?}"
    );
}

/// A daemon, those who use it, and what came of it.
struct Site {
    seed: u64,
    dice: Dice,
    daemon: Daemon,
    crowd: Crowd,
    administrator: Administrator,
    log: Log,
    findings: Findings,
    /// The longest start so far.
    start_ms: u64,
    total: Total,
    _station: Station,
}

/// What one site or all of them saw.
#[derive(Debug, Default)]
struct Total {
    kills: u64,
    in_start: u64,
    leases: u64,
    looked_for: u64,
    acts: u64,
    retirements: u64,
    retirements_killed: u64,
    lost: u64,
    other: u64,
    doubles: u64,
    failures: u64,
    bad: Vec<String>,
}

impl Site {
    fn new(vendor: &Vendor, seed: u64) -> Self {
        let station = Station::in_memory();
        let crowd = Crowd::new(&station, vendor, seed, WORKSTATIONS);
        let mut daemon = Daemon::on(&station, &station.home().join("lib/usherd"));
        let (mut dice, mut total) = (Dice::new(seed), Total::default());
        // Even before there is a key, a store, a log.
        for _ in 0..FIRST_KILLS {
            total.kill_in_start(&mut daemon, &mut dice, FIRST_START_MS);
        }
        total.start(&mut daemon);
        let mut licenses: Vec<_> = (0..SERIALS)
            .map(|_| crowd::license(vendor, &daemon, seed))
            .collect();
        install_first(&daemon, crowd.book(), &licenses.remove(0));
        crowd.open(daemon.address());
        let administrator = Administrator::start(&station, &daemon, crowd.book(), licenses, seed);
        Self {
            seed,
            dice,
            daemon,
            crowd,
            administrator,
            log: Log::new(retired(&station)),
            findings: Findings::default(),
            start_ms: FIRST_START_MS,
            total,
            _station: station,
        }
    }

    /// Lets them work for a while, kills the daemon, and holds the next one to what they were told.
    fn kill(&mut self) {
        self.work();
        self.daemon.kill();
        self.total.kills += 1;
        // What had left the daemon has arrived by then; if not, it only counts as unanswered.
        thread::sleep(SETTLE);
        self.crowd.close();
        while self.total.in_start * 10 < self.total.kills * 3 {
            let (daemon, dice) = (&mut self.daemon, &mut self.dice);
            self.total.kill_in_start(daemon, dice, self.start_ms);
        }
        let took = self.total.start(&mut self.daemon);
        self.start_ms = self.start_ms.midpoint(took).max(5);
        let _paused = self.administrator.pause();
        let memory = self.crowd.book().copy();
        let before = self.findings.told().len();
        self.findings.look(&self.daemon, &memory);
        self.log.look(&self.daemon, &memory, &mut self.findings);
        let told = self.findings.told();
        if told.len() > before {
            println!("seed {}, kill {}: {told:#?}", self.seed, self.total.kills);
        }
        self.crowd.open(self.daemon.address());
    }

    fn work(&mut self) {
        let acknowledged = self.crowd.book().acknowledgements();
        if self.dice.permille(500) {
            let more = acknowledged + 1 + self.dice.below(100);
            assert!(
                self.crowd.book().wait_acknowledgements(more),
                "they do not work"
            );
        } else {
            thread::sleep(Duration::from_micros(self.dice.below(WORK_US)));
        }
    }

    fn end(mut self) -> Total {
        let memory = self.crowd.book().copy();
        let mut doubles = memory.double_uses();
        doubles.append(&mut self.findings.double_uses);
        self.total.leases = memory.leases().count() as u64;
        self.total.looked_for = self.findings.looked_for;
        self.total.acts = memory.acts.acknowledged;
        self.total.retirements = memory.acts.retirements;
        self.total.retirements_killed = memory.acts.retirements_killed;
        self.total.doubles = doubles.len() as u64;
        self.total.lost = self.findings.lost_leases.len() as u64;
        self.total.bad = [self.findings.told(), doubles, memory.faults].concat();
        self.total.other = self.total.bad.len() as u64 - self.total.lost - self.total.doubles;
        println!("seed {}: {:?}", self.seed, self.total);
        self.total
    }
}

impl Total {
    /// Kills it at any moment of a start that takes about so long.
    fn kill_in_start(&mut self, daemon: &mut Daemon, dice: &mut Dice, start_ms: u64) {
        daemon.begin_start();
        thread::sleep(Duration::from_micros(dice.below(start_ms * 1000)));
        let was_ready = daemon.is_ready();
        daemon.kill();
        self.kills += 1;
        self.in_start += u64::from(!was_ready);
    }

    /// Starts it, as often as that takes; returns how long it took.
    fn start(&mut self, daemon: &mut Daemon) -> u64 {
        let began = Clock::new().boot().0;
        while let Err(problem) = daemon.try_start() {
            self.failures += 1;
            println!("{problem}");
            assert!(
                self.failures < FAILURES_MAX,
                "it does not mend this by itself"
            );
        }
        Clock::new().boot().0 - began
    }

    fn add(&mut self, site: Self) {
        self.kills += site.kills;
        self.in_start += site.in_start;
        self.leases += site.leases;
        self.looked_for += site.looked_for;
        self.acts += site.acts;
        self.retirements += site.retirements;
        self.retirements_killed += site.retirements_killed;
        self.lost += site.lost;
        self.other += site.other;
        self.doubles += site.doubles;
        self.failures += site.failures;
        self.bad.extend(site.bad);
    }

    fn figures(&self, rounds: u64) -> [(&'static str, u64); 12] {
        [
            ("rounds", rounds),
            ("kills", self.kills),
            ("of them during start-up", self.in_start),
            ("acknowledged leases", self.leases),
            (
                "acknowledged leases looked for after a kill",
                self.looked_for,
            ),
            ("acknowledged leases lost", self.lost),
            ("acknowledged acts of the administrator", self.acts),
            ("retirements from the usage log", self.retirements),
            ("commands killed amid a retirement", self.retirements_killed),
            ("other findings", self.other),
            ("double uses", self.doubles),
            ("start-up failures", self.failures),
        ]
    }
}

const KILLS: u64 = 20;
const FIRST_KILLS: u64 = 2;
const FIRST_START_MS: u64 = 50;
const WORKSTATIONS: u32 = 8;
const SERIALS: u64 = 4;
const WORK_US: u64 = 300_000;
const SETTLE: Duration = Duration::from_millis(5);
const FAILURES_MAX: u64 = 5;
