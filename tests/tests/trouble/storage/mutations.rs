//! Flipped bits, zeroed and garbled blocks, cut and lost files, everywhere in the state directory: what is read is what
//! was written, or it is refused with a next step (S3). Never a silent change, a panic, a hang.
//!
//! Most are judged by the daemon's own way of opening, in processes of their own, which may die; some by whole daemons.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use usher_tests::proof::{Dice, seeds, tell};
use usher_tests::shim::Shim;
use usherd::journal::{Batch, Event, Journal as _, SledJournal, SledOptions};

use super::ground::{Ground, copy, names_next_step, side_by_side};
use super::points::{FEATURES, log_of, off, put};
use super::visit::{Visit, runtime};

mod reading;
mod worker;

/// One change to one file, made from a seed.
pub(super) struct Mutation {
    pub(super) fixture: usize,
    pub(super) words: String,
}

#[test]
fn s3_damage_to_any_file_is_never_a_silent_change() {
    let ground = Ground::new(FEATURES, FEATURES);
    let fixtures = fixtures(&ground);
    let seeds: Vec<u64> = seeds(SHORT).collect();
    let outcomes = worker::judge(&fixtures, &seeds);
    let whole: Vec<u64> = seeds
        .iter()
        .copied()
        .filter(|seed| seed.is_multiple_of(WHOLE_EVERY))
        .collect();
    let started = side_by_side(THREADS, whole, |seed| {
        whole_daemon(&ground, &fixtures, seed)
    });
    let count = |word: &str| {
        outcomes
            .iter()
            .filter(|(_, it)| it.starts_with(word))
            .count() as u64
    };
    let mut faults: Vec<_> = outcomes
        .iter()
        .filter(|(_, outcome)| outcome.starts_with("FAULT"))
        .map(|(seed, outcome)| format!("seed {seed}: {outcome}"))
        .collect();
    faults.extend(started.iter().filter_map(|it| it.as_ref().err().cloned()));
    tell(
        "damaged files",
        &[
            ("mutations", outcomes.len() as u64),
            ("not noticed, nothing changed", count("same")),
            ("mended, nothing changed", count("mended")),
            ("history damaged, told by `usage verify`", count("history")),
            ("site key changed, told by `status`", count("site key")),
            ("refused with a next step", count("refused")),
            ("refused and then repaired", count("refused, repaired")),
            ("daemons started on them", started.len() as u64),
            ("silent changes", count("FAULT silent")),
            ("panics and hangs", count("FAULT died")),
            ("faults", faults.len() as u64),
        ],
    );
    assert!(faults.is_empty(), "{faults:#?}");
}

/// State directories as daemons leave them: one that ended well, one that was killed, and one with a long log.
fn fixtures(ground: &Ground) -> Vec<PathBuf> {
    let names = ["ended", "killed", "long"];
    let at = |name: &str| ground.station.home().join(name);
    for name in &names[..2] {
        let state = ground.state();
        let mut daemon = ground.daemon(&state);
        let shim = Shim::new(&state.0, &log_of(ground, &state));
        put(&shim, &mut daemon);
        daemon.start_again();
        let runtime = runtime();
        assert!(Visit::new(ground, &mut daemon, &shim, &runtime).run());
        if *name == "killed" {
            daemon.kill();
        } else {
            assert!(daemon.terminate().success());
        }
        copy(&state.0, &at(name));
    }
    copy(&at("ended"), &at("long"));
    lengthen(&at("long"));
    names.map(at).into()
}

/// Many small segments, and a store that has been written to for long.
fn lengthen(state: &Path) {
    let options = SledOptions {
        segment_bytes_max: 3000,
        ..SledOptions::default()
    };
    let mut journal = SledJournal::open(state, &options).unwrap();
    let epoch = journal.acquire(0).unwrap();
    let head = journal.load(epoch).unwrap().head;
    let live = journal.all_records(epoch).unwrap();
    // The first entry says that a daemon started: played again it changes nothing.
    let mut old = usherd::usage::Reader::open(&state.join("usage"), None).unwrap();
    let body = old.next().unwrap().unwrap().body;
    for step in 1..=LONG {
        let (key, value) = &live[usize::try_from(step).unwrap() % live.len()];
        let (key, value) = (key.clone(), Some(value.clone()));
        let batch = Batch {
            writes: vec![usherd::journal::Write { key, value }],
            events: vec![Event { body: body.clone() }],
            ..Batch::default()
        };
        journal.commit(epoch, head + step, &batch).unwrap();
    }
    journal.resign().unwrap();
}

/// Changes a file of this copy of a fixture.
pub(super) fn mutate(state: &Path, dice: &mut Dice) -> String {
    let files = files(state);
    let index = usize::try_from(dice.below(files.len() as u64)).unwrap();
    let file = &files[index];
    let mut bytes = fs::read(file).unwrap();
    let used = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |at| at + 1);
    // sled fills its file up in advance: mostly where something stands.
    let reach = if dice.permille(900) {
        used
    } else {
        bytes.len()
    };
    let at = usize::try_from(dice.below(reach.max(1) as u64)).unwrap();
    let name = file.strip_prefix(state).unwrap().display();
    let words = match dice.below(100) {
        0..50 if !bytes.is_empty() => {
            let bit = dice.below(8);
            bytes[at] ^= 1 << bit;
            format!("{name}: bit {bit} of byte {at} flipped")
        }
        50..70 => {
            let block = [1, 16, 512, 4096][usize::try_from(dice.below(4)).unwrap()];
            let from = at / block * block;
            let to = (from + block).min(bytes.len());
            bytes[from..to].fill(0);
            format!("{name}: zeros from {from} to {to}")
        }
        70..80 => {
            let to = (at + 512).min(bytes.len());
            bytes[at..to].fill_with(|| u8::try_from(dice.below(256)).unwrap());
            format!("{name}: garbage from {at} to {to}")
        }
        80..95 => {
            bytes.truncate(at);
            format!("{name}: cut to {at} bytes")
        }
        95..98 => {
            bytes.extend((0..40).map(|_| u8::try_from(dice.below(256)).unwrap()));
            format!("{name}: 40 bytes too many")
        }
        _ => {
            fs::remove_file(file).unwrap();
            return format!("{name}: removed");
        }
    };
    fs::write(file, bytes).unwrap();
    words
}

/// Every file below a directory, in order.
pub(super) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The fixture and its mutation of a seed, on a fresh copy at `state`.
pub(super) fn prepare(fixtures: &[PathBuf], seed: u64, state: &Path) -> Mutation {
    let mut dice = Dice::new(seed);
    let fixture = usize::try_from(dice.below(fixtures.len() as u64)).unwrap();
    copy(&fixtures[fixture], state);
    let words = mutate(state, &mut dice);
    Mutation { fixture, words }
}

/// A whole daemon on a damaged state: it serves what it should, or says what to do; and then that is done.
fn whole_daemon(ground: &Ground, fixtures: &[PathBuf], seed: u64) -> Result<(), String> {
    let state = ground.state();
    fs::remove_dir_all(&state.0).unwrap();
    let mutation = prepare(fixtures, seed, &state.0);
    let known = {
        let whole = ground.state_like(&fixtures[mutation.fixture]);
        let mut daemon = ground.daemon(&whole);
        daemon.start_again();
        leases(&daemon.ask(&["leases", "--json"]))
    };
    let fixture = &fixtures[mutation.fixture];
    let key = fs::read(fixture.join("site.key")).unwrap();
    let mut daemon = ground.daemon(&state);
    off(&mut daemon);
    let fault = |what: &str| Err(format!("seed {seed}, {}: {what}", mutation.words));
    match daemon.try_start() {
        Ok(()) => {
            let status = daemon.ask(&["status"]);
            if fs::read(state.0.join("site.key")).unwrap_or_default() != key {
                // A change that is no other key needs no word.
                let site = usherd::site::SiteKey::load_or_create(&state.0).unwrap();
                if site.public != site_of(fixture) && !status.contains("put the old site.key back")
                {
                    return fault(&format!("another site key, and no word: {status}"));
                }
            }
            let found = leases(&daemon.ask(&["leases", "--json"]));
            if found != known {
                return fault(&format!("{found:?}, not {known:?}"));
            }
        }
        Err(problem) => {
            if problem.contains("signal") || !names_next_step(&problem) {
                return fault(&problem);
            }
            if !problem.contains("usherd repair") {
                return Ok(());
            }
            daemon.ask(&["repair", "--yes"]);
            if let Err(problem) = daemon.try_start() {
                return fault(&format!("after the repair: {problem}"));
            }
            let status = daemon.ask(&["status"]);
            if !status.contains("holding") {
                return fault(&format!("after the repair nothing is held: {status}"));
            }
        }
    }
    Ok(())
}

fn site_of(state: &Path) -> usher_protocol::ids::PublicKey {
    usherd::site::SiteKey::load_or_create(state).unwrap().public
}

/// Their ids and features.
fn leases(json: &str) -> BTreeMap<String, String> {
    let leases: serde_json::Value = serde_json::from_str(json).unwrap();
    let leases = leases.as_array().unwrap().iter();
    let pair = |it: &serde_json::Value| {
        let word = |name: &str| it[name].as_str().unwrap().to_owned();
        (word("id"), word("feature"))
    };
    leases.map(pair).collect()
}

const SHORT: u64 = 1000;
const WHOLE_EVERY: u64 = 50;
const THREADS: usize = 2;
const LONG: u64 = 300;
