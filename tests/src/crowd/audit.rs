//! Holds a daemon that came back to what was acknowledged before: its leases, the administrator's acts, its usage log.
//!
//! Decides what may be unknown: what was asked and not answered, and what had run out. Asks through the real commands.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use usher_client::clock::Clock;
use usher_client::connection::{Connection, Dialer};
use usher_client::session::Answer;
use usher_protocol::ids::Token;
use usher_protocol::wire::{Attach, Link, Request};

use super::memory::{Fate, Memory, Stage};
use super::{POOLS, SPARE, key, marks, wanted, workstation};
use crate::daemon::{Daemon, Vendor};
use crate::station::{Station, told};

/// What must not be, in words; all empty is well.
#[derive(Debug, Default)]
pub struct Findings {
    /// Acknowledged leases that the daemon does not know, or knows otherwise.
    pub lost_leases: Vec<String>,
    /// Acknowledged releases, and refusals, whose leases are out again.
    pub undone_releases: Vec<String>,
    /// Acknowledged acts of the administrator that were forgotten.
    pub lost_acts: Vec<String>,
    /// Why nothing is granted, where nothing should keep it from that.
    pub not_granting: Vec<String>,
    /// Pools with more out than they have.
    pub double_uses: Vec<String>,
    /// What the usage log lacks or has twice.
    pub log_faults: Vec<String>,
    /// Acknowledged leases that were looked for.
    pub looked_for: u64,
}

impl Findings {
    /// Everything bad, one a line.
    pub fn told(&self) -> Vec<String> {
        let named = [
            ("lost lease", &self.lost_leases),
            ("undone release", &self.undone_releases),
            ("lost act", &self.lost_acts),
            ("not granting", &self.not_granting),
            ("double use", &self.double_uses),
            ("usage log", &self.log_faults),
        ];
        let lines = named.iter().flat_map(|(what, found)| {
            let line = move |it| format!("{what}: {it}");
            found.iter().map(line)
        });
        lines.collect()
    }

    /// Takes in what another audit found.
    pub fn add(&mut self, other: Self) {
        self.lost_leases.extend(other.lost_leases);
        self.undone_releases.extend(other.undone_releases);
        self.lost_acts.extend(other.lost_acts);
        self.not_granting.extend(other.not_granting);
        self.double_uses.extend(other.double_uses);
        self.log_faults.extend(other.log_faults);
        self.looked_for += other.looked_for;
    }

    /// Holds the daemon's leases and the administrator's acts to the memory.
    pub fn look(&mut self, daemon: &Daemon, memory: &Memory) {
        let listed = json(daemon, &["leases", "--json"]);
        let listed: BTreeMap<u32, &Value> =
            rows(&listed).map(|lease| (tag(lease), lease)).collect();
        // After the listing: what runs out meanwhile is no loss.
        let now = Clock::new().boot().0;
        for (tag, seat, proof) in memory.leases() {
            let found = listed.get(&tag);
            let is_same = found.is_some_and(|it| it["id"] == proof.lease.to_string());
            let must = seat.stage == Stage::Held && memory.is_believed(tag, now);
            self.looked_for += u64::from(must);
            if must && !is_same {
                let lease = proof.lease;
                self.lost_leases
                    .push(format!("{lease}, {:?}: {found:?}", seat.stage));
            }
            let is_marked =
                |it: &&Value| it["note"].as_str().is_some_and(|it| it.contains("evicted"));
            if must && seat.evicted == Fate::Yes && !found.is_some_and(is_marked) {
                self.lost_acts
                    .push(format!("eviction of {}: {found:?}", proof.lease));
            }
        }
        self.strangers(memory, &listed);
        self.acts(daemon, memory);
    }

    /// A lease that is listed was acknowledged, or its answer may have been lost.
    fn strangers(&mut self, memory: &Memory, listed: &BTreeMap<u32, &Value>) {
        for (tag, lease) in listed {
            let stage = memory.seats.get(tag).map(|seat| seat.stage);
            if matches!(stage, None | Some(Stage::Over | Stage::Refused)) {
                self.undone_releases.push(format!("{stage:?}: {lease}"));
            }
        }
        for pool in &POOLS {
            let feature = format!("acme/{}", pool.feature);
            let out = listed
                .values()
                .filter(|it| it["feature"] == *feature)
                .count();
            if out > pool.seats as usize {
                let seats = pool.seats;
                self.double_uses
                    .push(format!("{out} of {seats} seats of {feature} are out"));
            }
        }
    }

    fn acts(&mut self, daemon: &Daemon, memory: &Memory) {
        let acts = &memory.acts;
        let status = json(daemon, &["status", "--json"]);
        let serial = status["licenses"][0]["serial"].as_u64().unwrap_or_default();
        if !(acts.serial..=acts.serial_asked).contains(&serial) {
            let (known, asked) = (acts.serial, acts.serial_asked);
            self.lost_acts.push(format!(
                "license serial {serial}, acknowledged {known}, asked {asked}"
            ));
        }
        let mut pools = status["pools"].as_array().into_iter().flatten();
        let spare = pools.find(|pool| pool["feature"] == format!("acme/{SPARE}"));
        let is_suspended = spare.is_some_and(|pool| !pool["suspended"].is_null());
        if acts.serial > 0 && contradicts(acts.suspended, is_suspended) {
            self.lost_acts.push(format!(
                "suspended {is_suspended}, acknowledged {:?}",
                acts.suspended
            ));
        }
        let clients = json(daemon, &["clients", "--json"]);
        let names: Vec<_> = rows(&clients)
            .filter_map(|it| it["name"].as_str())
            .collect();
        for (name, fate) in &acts.accepted {
            if contradicts(*fate, names.contains(&name.as_str())) {
                self.lost_acts
                    .push(format!("client {name}, acknowledged {fate:?}: {names:?}"));
            }
        }
        if let Some(stopped) = status["stopped"].as_array().filter(|it| !it.is_empty()) {
            self.not_granting.push(format!("{stopped:?}"));
        }
    }

    /// Shows the acknowledged leases of one workstation to a daemon, as it would itself.
    pub fn reattach(&mut self, at: &Place<'_>, memory: &Memory, number: u32) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let dialer = Dialer::new(key(number)).unwrap();
            let marks = marks(at.station, "auditor");
            let address = at.daemon.address();
            let opened = Connection::open(&dialer, address, &wanted(at.vendor), &marks).await;
            let connection = match opened {
                Ok((connection, _)) => connection,
                Err(error) => return self.lost_leases.push(format!("no server: {error}")),
            };
            let now = Clock::new().boot().0;
            let mine = memory.leases().filter(|(tag, seat, _)| {
                let is_mine = seat.workstation == number && seat.stage == Stage::Held;
                let is_renewed = seat.evicted == Fate::No && POOLS[seat.pool].feature != "home";
                is_mine && is_renewed && memory.is_believed(*tag, now + SOON_MS)
            });
            for (tag, seat, proof) in mine {
                let link = Link {
                    previous: proof.token,
                    next: Token([9; 16]),
                };
                let attach = Request::Attach(Attach {
                    lease: proof.signed.clone(),
                    nonce: proof.nonce,
                    link,
                    length_ms: None,
                });
                let ask = workstation::ask(number, tag, seat.pool);
                match connection.ask(&ask, attach).await {
                    Ok(Answer::Granted(granted)) if granted.id == proof.lease => {}
                    other => self
                        .lost_leases
                        .push(format!("{} shown: {other:?}", proof.lease)),
                }
            }
        });
    }
}

/// A daemon that is held to somebody's memory.
pub struct Place<'a> {
    /// Where the auditor sits.
    pub station: &'a Station,
    /// Whose licenses.
    pub vendor: &'a Vendor,
    /// Which.
    pub daemon: &'a Daemon,
}

/// The usage log as far as it was read; it only grows, wherever its parts are.
#[derive(Debug)]
pub struct Log {
    /// Where the administrator keeps what was retired.
    retired: PathBuf,
    read: u64,
    /// How often each lease was granted, and how often it ended.
    granted: BTreeMap<String, u32>,
    ended: BTreeMap<String, u32>,
}

impl Log {
    /// Nothing was read yet; `retired` may not be there.
    pub fn new(retired: PathBuf) -> Self {
        Self {
            retired,
            read: 0,
            granted: BTreeMap::new(),
            ended: BTreeMap::new(),
        }
    }

    /// Proves its chain, reads on, and holds it to the memory.
    pub fn look(&mut self, daemon: &Daemon, memory: &Memory, findings: &mut Findings) {
        let proved = daemon.admin(&["usage", "verify"]).output().unwrap();
        if !proved.status.success() {
            let said = String::from_utf8_lossy(&proved.stderr).into_owned();
            findings.log_faults.push(said);
            return;
        }
        self.read_on(daemon);
        for (lease, times) in &self.granted {
            if *times != 1 {
                findings
                    .log_faults
                    .push(format!("{lease} granted {times} times"));
            }
        }
        for (_, seat, proof) in memory.leases() {
            let lease = proof.lease.to_string();
            if !self.granted.contains_key(&lease) {
                findings
                    .log_faults
                    .push(format!("the grant of {lease} is missing"));
            }
            let ended = self.ended.get(&lease).copied().unwrap_or_default();
            if ended > 1 || (ended == 0 && seat.stage == Stage::Over) {
                findings
                    .log_faults
                    .push(format!("{lease} ended {ended} times, {:?}", seat.stage));
            }
        }
    }

    fn read_on(&mut self, daemon: &Daemon) {
        let from = (self.read + 1).to_string();
        let mut export = daemon.admin(&["usage", "export", "--json", "--from", &from]);
        // The daemon's own part is proved by now, and as long as what it has told.
        let whole = self.whole(&daemon.state_dir().join("usage"));
        export.env("USHERD_STATE_DIR", whole.home());
        let text = told(&export.output().unwrap(), "usage export");
        for line in text.lines() {
            let entry: Value = serde_json::from_str(line).unwrap();
            self.read = entry["number"].as_u64().unwrap();
            let counts = match entry["event"].as_str().unwrap() {
                "granted" => &mut self.granted,
                "released" | "reclaimed" => &mut self.ended,
                _ => continue,
            };
            let lease = entry["lease"].as_str().unwrap().to_owned();
            *counts.entry(lease).or_default() += 1;
        }
    }

    /// A copy of all parts in one place: the daemon's own, and what was retired before it.
    fn whole(&self, own: &Path) -> Station {
        let state = Station::in_memory();
        let usage = state.home().join("usage");
        fs::create_dir(&usage).unwrap();
        let mine = parts(own);
        let mut all = parts(&self.retired);
        // What was retired since this daemon's disk was copied is in both.
        all.retain(|it| {
            mine.first()
                .is_none_or(|first| it.file_name() < first.file_name())
        });
        for part in all.iter().chain(&mine) {
            fs::copy(part, usage.join(part.file_name().unwrap())).unwrap();
        }
        state
    }
}

/// The files of a log or a part of one, in order.
fn parts(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_part = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("usage-") && name.ends_with(".log")
    };
    let mut parts: Vec<_> = paths.filter(is_part).collect();
    parts.sort();
    parts
}

fn contradicts(fate: Fate, is_so: bool) -> bool {
    match fate {
        Fate::Maybe => false,
        Fate::Yes => !is_so,
        Fate::No => is_so,
    }
}

fn json(daemon: &Daemon, arguments: &[&str]) -> Value {
    serde_json::from_str(&daemon.ask(arguments)).unwrap()
}

fn rows(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn tag(lease: &Value) -> u32 {
    u32::try_from(lease["process"].as_u64().unwrap()).unwrap()
}

/// What runs out as soon as this may do so on its way.
const SOON_MS: u64 = 1000;
