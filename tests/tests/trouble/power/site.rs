//! A daemon on a disk of its own, those who use it, and what each cut of its power leaves.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use usher_tests::crowd::administrator::{Administrator, install_first, retired};
use usher_tests::crowd::audit::{Findings, Log, Place};
use usher_tests::crowd::memory::Memory;
use usher_tests::crowd::{self, Crowd};
use usher_tests::daemon::{Daemon, Vendor};
use usher_tests::disk::{Disk, FileSystem, Image, Stopped};
use usher_tests::proof::Dice;
use usher_tests::shim::Shim;
use usher_tests::station::Station;

/// One site.
pub(super) struct Site<'a> {
    seed: u64,
    kind: FileSystem,
    dice: Dice,
    vendor: &'a Vendor,
    station: Station,
    daemon: Daemon,
    crowd: Crowd,
    administrator: Option<Administrator>,
    findings: Findings,
    total: Total,
    /// Last: nobody uses it any more when it goes.
    disk: Disk,
}

/// What one site or all of them saw.
#[derive(Debug, Default)]
pub(super) struct Total {
    ext4: u64,
    xfs: u64,
    /// Of these, before the first start was over.
    in_start: u64,
    /// Of these, while a daemon started on what an earlier cut had left.
    twice: u64,
    leases: u64,
    looked_for: u64,
    acts: u64,
    retirements: u64,
    lost: u64,
    doubles: u64,
    other: u64,
    pub(super) failures: u64,
    pub(super) bad: Vec<String>,
}

impl<'a> Site<'a> {
    /// Nothing runs yet. The calls named `void` say that they did what they were asked, and do nothing.
    pub(super) fn new(vendor: &'a Vendor, seed: u64, kind: FileSystem, void: &[&str]) -> Self {
        let (disk, station) = (Disk::make(kind), Station::in_memory());
        let mut daemon = Daemon::on(&station, &state(&disk));
        if !void.is_empty() {
            let shim = Shim::new(disk.at(), &station.home().join("calls")).void(void);
            for (name, value) in shim.variables() {
                daemon.set_variable(name, value);
            }
        }
        Self {
            seed,
            kind,
            dice: Dice::new(seed),
            vendor,
            crowd: Crowd::new(&station, vendor, seed, WORKSTATIONS),
            station,
            daemon,
            administrator: None,
            findings: Findings::default(),
            total: Total::default(),
            disk,
        }
    }

    pub(super) fn start(&mut self) {
        self.daemon.begin_start();
        self.daemon.finish_start().unwrap();
    }

    /// Cut while it makes its key, its store and its log: whatever is left, a daemon starts on it.
    pub(super) fn first_start(&mut self) {
        self.daemon.begin_start();
        let cuts = [(); 3].map(|()| {
            thread::sleep(Duration::from_micros(self.dice.below(START_US)));
            self.total.in_start += u64::from(!self.daemon.is_ready());
            self.cut()
        });
        self.daemon.finish_start().unwrap();
        for (image, memory) in cuts {
            self.check(image, &memory);
        }
    }

    /// Cut right after the license was acknowledged, and right after the first lease was.
    pub(super) fn first_acknowledgements(&mut self) {
        self.license();
        let (image, memory) = self.cut();
        self.check(image, &memory);
        assert!(
            self.crowd.book().wait_acknowledgements(1),
            "they do not work"
        );
        let (image, memory) = self.cut();
        self.check(image, &memory);
    }

    /// From here on there is work.
    pub(super) fn license(&mut self) {
        let mut licenses: Vec<PathBuf> = (0..SERIALS)
            .map(|_| crowd::license(self.vendor, &self.daemon, self.seed))
            .collect();
        install_first(&self.daemon, self.crowd.book(), &licenses.remove(0));
        self.crowd.open(self.daemon.address());
        let (book, seed) = (self.crowd.book(), self.seed);
        let administrator = Administrator::start(&self.station, &self.daemon, book, licenses, seed);
        self.administrator = Some(administrator);
    }

    /// Cut when so many answers have come, or just so.
    pub(super) fn cut_under_load(&mut self) {
        if self.dice.permille(500) {
            let more = self.crowd.book().acknowledgements() + 1 + self.dice.below(40);
            assert!(
                self.crowd.book().wait_acknowledgements(more),
                "they do not work"
            );
        } else {
            thread::sleep(Duration::from_micros(self.dice.below(WORK_US)));
        }
        let (image, memory) = self.cut();
        self.check(image, &memory);
    }

    /// What the disk holds now, and what had been acknowledged.
    fn cut(&mut self) -> (Image, Memory) {
        let _stopped = Stopped::process(self.daemon.pid());
        // Before the memory: what the daemon had said by then is on its way to it.
        let image = self.disk.cut();
        (image, self.crowd.book().copy())
    }

    /// The last cut takes the disk away amid a write, which nothing else here does.
    pub(super) fn end(mut self) -> Total {
        thread::sleep(Duration::from_micros(self.dice.below(WORK_US)));
        // From then on it rightly refuses what it cannot store (L13).
        let faults = self.crowd.book().copy().faults;
        self.disk.shut_down();
        self.daemon.kill();
        self.crowd.close();
        drop(self.administrator.take());
        let (image, memory) = (self.disk.cut(), self.crowd.book().copy());
        self.check(image, &memory);
        let mut doubles = memory.double_uses();
        doubles.append(&mut self.findings.double_uses);
        let total = &mut self.total;
        total.leases = memory.leases().count() as u64;
        total.looked_for = self.findings.looked_for;
        total.acts = memory.acts.acknowledged;
        total.retirements = memory.acts.retirements;
        total.doubles = doubles.len() as u64;
        total.lost = self.findings.lost_leases.len() as u64;
        total.bad = [self.findings.told(), doubles, faults].concat();
        total.other = total.bad.len() as u64 - total.lost - total.doubles;
        println!("seed {}: {total:?}", self.seed);
        self.total
    }

    pub(super) fn has_found(&self) -> bool {
        self.total.failures > 0 || !self.findings.told().is_empty()
    }

    pub(super) fn found(&self) -> Vec<String> {
        let failed = (self.total.failures > 0).then(|| "a daemon does not start".to_owned());
        let found = self.findings.told().into_iter().chain(failed);
        found.collect()
    }

    /// Starts a daemon on what a cut has left, and holds it to what had been acknowledged.
    fn check(&mut self, image: Image, memory: &Memory) {
        self.count();
        let disk = Disk::mount(image);
        let station = Station::in_memory();
        let mut daemon = Daemon::on(&station, &state(&disk));
        if self.dice.permille(250) {
            let again = self.cut_in_start(&mut daemon, &disk);
            self.total.twice += 1;
            self.check(again, memory);
        } else {
            daemon.begin_start();
        }
        if let Err(problem) = daemon.finish_start() {
            println!("seed {}, {:?}: {problem}", self.seed, self.kind);
            self.total.failures += 1;
            return;
        }
        let mut findings = Findings::default();
        findings.look(&daemon, memory);
        Log::new(retired(&self.station)).look(&daemon, memory, &mut findings);
        let place = Place {
            station: &station,
            vendor: self.vendor,
            daemon: &daemon,
        };
        if memory.leases().count() > 0 {
            let one = 1 + self.dice.below(u64::from(WORKSTATIONS));
            findings.reattach(&place, memory, u32::try_from(one).unwrap());
        }
        if !findings.told().is_empty() {
            println!(
                "seed {}, {:?}: {:#?}",
                self.seed,
                self.kind,
                findings.told()
            );
        }
        self.findings.add(findings);
    }

    fn cut_in_start(&mut self, daemon: &mut Daemon, disk: &Disk) -> Image {
        daemon.begin_start();
        thread::sleep(Duration::from_micros(self.dice.below(START_US)));
        let _stopped = Stopped::process(daemon.pid());
        disk.cut()
    }

    fn count(&mut self) {
        match self.kind {
            FileSystem::Ext4 => self.total.ext4 += 1,
            FileSystem::Xfs => self.total.xfs += 1,
        }
    }
}

impl Total {
    pub(super) fn add(&mut self, site: Self) {
        self.ext4 += site.ext4;
        self.xfs += site.xfs;
        self.in_start += site.in_start;
        self.twice += site.twice;
        self.leases += site.leases;
        self.looked_for += site.looked_for;
        self.acts += site.acts;
        self.retirements += site.retirements;
        self.lost += site.lost;
        self.doubles += site.doubles;
        self.other += site.other;
        self.failures += site.failures;
        self.bad.extend(site.bad);
    }

    pub(super) fn figures(&self, rounds: u64) -> [(&'static str, u64); 13] {
        [
            ("rounds", rounds),
            ("cuts on ext4", self.ext4),
            ("cuts on xfs", self.xfs),
            ("of them during the first start", self.in_start),
            ("of them during the start after another cut", self.twice),
            ("acknowledged leases", self.leases),
            (
                "acknowledged leases looked for after a cut",
                self.looked_for,
            ),
            ("acknowledged leases lost", self.lost),
            ("acknowledged acts of the administrator", self.acts),
            ("retirements from the usage log", self.retirements),
            ("other findings", self.other),
            ("double uses", self.doubles),
            ("start-up failures", self.failures),
        ]
    }
}

fn state(disk: &Disk) -> PathBuf {
    Path::new(disk.at()).join("lib/usherd")
}

const WORKSTATIONS: u32 = 6;
const SERIALS: u64 = 3;
const WORK_US: u64 = 300_000;
/// About as long as a start takes.
const START_US: u64 = 60_000;
