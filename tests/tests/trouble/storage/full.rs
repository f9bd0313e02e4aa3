//! A full disk that gets space again, time after time under load: the daemon stops granting, says so and ends; started
//! again while the disk is full it ends again; with space it goes on with everything that was acknowledged (L13).

use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio::task::JoinSet;
use usher_protocol::refusal::RefusalCode;
use usher_protocol::wire::{Reply, Request};
use usher_tests::daemon::{Daemon, Vendor};
use usher_tests::hosts::on_lan;
use usher_tests::peer::{Held, Peer, a_seat, key, root_of, runtime};
use usher_tests::proof::{Dice, seeds, tell};
use usher_tests::station::Station;

use super::ground::names_next_step;

#[test]
fn l13_a_disk_that_fills_up_and_gets_space_again_loses_nothing() {
    // Only for its mount namespace: the small disk is seen by this test and its daemons alone.
    on_lan(|_| {
        let station = Station::here();
        let vendor = Vendor::new(&station, "acme");
        let mut figures = Figures::default();
        let all: Vec<u64> = seeds(SHORT).collect();
        // The usage log only grows: a disk that full rounds have filled by themselves makes room for nobody.
        for some in all.chunks(ROUNDS_PER_DISK) {
            let mut site = Site::new(&station, &vendor);
            for seed in some {
                site.round(&mut Dice::new(*seed));
            }
            figures.add(&site.figures);
        }
        let Figures {
            rounds,
            acknowledged,
            starts,
            refused,
            lost,
        } = figures;
        tell(
            "full disks that get space again",
            &[
                ("rounds", rounds),
                ("acknowledged leases", acknowledged),
                ("acknowledged leases lost", lost),
                ("starts on a full disk", starts),
                ("of them that ended with a next step", refused),
                ("start-up failures with space", 0),
            ],
        );
        assert_eq!(lost, 0);
        assert!(acknowledged > 0);
    });
}

struct Site {
    daemon: Daemon,
    filler: std::path::PathBuf,
    root: usher_protocol::ids::Fingerprint,
    /// What each client holds.
    held: Vec<(u8, Held)>,
    figures: Figures,
}

#[derive(Default)]
struct Figures {
    rounds: u64,
    acknowledged: u64,
    lost: u64,
    starts: u64,
    refused: u64,
}

impl Figures {
    fn add(&mut self, other: &Self) {
        self.rounds += other.rounds;
        self.acknowledged += other.acknowledged;
        self.lost += other.lost;
        self.starts += other.starts;
        self.refused += other.refused;
    }
}

impl Site {
    /// A daemon with its license, on a small disk of its own.
    fn new(station: &Station, vendor: &Vendor) -> Self {
        let mut daemon = Daemon::start(station);
        daemon.install(&vendor.license(&daemon, TERMS));
        daemon.terminate();
        let state = daemon.state_dir();
        onto_small_disk(station, &state);
        Self {
            daemon,
            filler: state.join("filler"),
            root: root_of(vendor),
            held: Vec::new(),
            figures: Figures::default(),
        }
    }

    fn round(&mut self, dice: &mut Dice) {
        self.figures.rounds += 1;
        self.daemon.start_again();
        let runtime = runtime();
        // All that was acknowledged is there; most of it is given back, for the next round.
        let held = std::mem::take(&mut self.held);
        for (number, held) in held {
            let back = runtime.block_on(self.take_back(number, held));
            self.figures.lost += u64::from(!back);
        }
        let before = self.daemon.log().len();
        let (at, root, load) = (self.daemon.address(), self.root, 1 + dice.below(4));
        let acknowledged = runtime.block_on(async {
            let mut working = JoinSet::new();
            for number in 1..=CLIENTS {
                working.spawn(work(at, number, root));
            }
            tokio::time::sleep(Duration::from_millis(50 * load)).await;
            let filler = self.filler.clone();
            let filling = tokio::task::spawn_blocking(move || fill(&filler));
            let worked = working.join_all().await;
            filling.await.unwrap();
            worked
        });
        self.held = acknowledged.into_iter().flatten().collect();
        self.figures.acknowledged += self.held.len() as u64;
        assert!(!self.daemon.wait().success());
        let said = self.daemon.log()[before..].to_owned();
        assert!(names_next_step(&said), "no next step:\n{said}");
        // As the service manager does: again and again, while there is no space.
        for _ in 0..STARTS {
            self.figures.starts += 1;
            let before = self.daemon.log().len();
            if self.daemon.try_start().is_ok() {
                // A start needs little; the first grant shows it.
                runtime
                    .block_on(work(at, CLIENTS + 1, root))
                    .into_iter()
                    .for_each(|held| self.held.push(held));
                assert!(!self.daemon.wait().success());
            }
            let said = self.daemon.log()[before..].to_owned();
            assert!(names_next_step(&said), "no next step:\n{said}");
            self.figures.refused += 1;
        }
        fs::remove_file(&self.filler).unwrap();
    }

    /// Shows a lease and gives it back; false where it is not known.
    async fn take_back(&self, number: u8, mut held: Held) -> bool {
        let mut peer = Peer::welcomed(self.daemon.address(), &key(number), self.root).await;
        let (attach, link) = held.attach();
        match peer.ask(attach).await {
            Reply::Granted(grant) => held.take(grant, link),
            other => {
                println!("lease {}: {other:?}", held.lease.id);
                return false;
            }
        }
        matches!(peer.ask(held.release()).await, Reply::Released)
    }
}

/// Takes seats until there are no answers any more.
async fn work(
    at: std::net::SocketAddr,
    number: u8,
    root: usher_protocol::ids::Fingerprint,
) -> Vec<(u8, Held)> {
    let mut held = Vec::new();
    let Some(mut peer) = Peer::try_welcomed(at, &key(number), root).await else {
        return held;
    };
    while held.len() < LEASES_MAX {
        let seat = a_seat();
        match peer.try_ask(Request::Checkout(seat.clone())).await {
            Some(Reply::Granted(grant)) => held.push((number, Held::of(&seat, grant))),
            Some(Reply::Refused(no)) => {
                let trouble = [RefusalCode::StorageTrouble, RefusalCode::Draining];
                assert!(trouble.contains(&no.code), "{no:?}");
                // A4: storage text never crosses the network.
                assert!(!no.detail.contains("os error"), "{}", no.detail);
                break;
            }
            Some(other) => panic!("{other:?}"),
            None => break,
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    held
}

/// Moves a state directory onto a file system of a few MiB.
fn onto_small_disk(station: &Station, state: &Path) {
    let state = state.to_str().unwrap();
    station.sh(&format!(
        "cp -a {state} kept
        mount -t tmpfs -o size={DISK} tmpfs {state}
        cp -a kept/. {state}
        chmod 700 {state}"
    ));
}

/// Something else takes all the space there is.
fn fill(filler: &Path) {
    use std::io::Write as _;
    let mut file = fs::File::create(filler).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    // Less than a block as well.
    while file.write_all(&[1]).is_ok() {}
}

const TERMS: &[&str] = &["--environment", "test", "--feature", "solver:100000"];
const DISK: &str = "8m";
const CLIENTS: u8 = 4;
const LEASES_MAX: usize = 200;
const STARTS: u32 = 2;
const SHORT: u64 = 5;
const ROUNDS_PER_DISK: usize = 25;
