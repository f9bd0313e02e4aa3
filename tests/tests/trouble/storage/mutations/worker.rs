//! Judges mutations in processes of their own: one that dies or hangs is itself an outcome.

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;
use std::{env, fs};

use super::super::ground::{memory_directory, names_next_step, side_by_side};
use super::reading::{Reading, read, repair};
use super::{Mutation, files, prepare};

/// The outcome of each seed: `same`, `mended`, `refused…` or `FAULT…`, and what was done.
pub(super) fn judge(fixtures: &[PathBuf], seeds: &[u64]) -> Vec<(u64, String)> {
    let slices = seeds.chunks(seeds.len().div_ceil(WORKERS).max(1));
    let outcomes = side_by_side(WORKERS, slices, |slice| slice_outcomes(fixtures, slice));
    outcomes.into_iter().flatten().collect()
}

fn slice_outcomes(fixtures: &[PathBuf], seeds: &[u64]) -> Vec<(u64, String)> {
    let mut outcomes: Vec<(u64, String)> = Vec::new();
    while outcomes.len() < seeds.len() {
        let mut child = start(fixtures, &seeds[outcomes.len()..]);
        let (sender, lines) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let ended = loop {
            match lines.recv_timeout(HANGS) {
                Ok(line) => outcomes.extend(outcome(&line)),
                Err(RecvTimeoutError::Timeout) => break "it hangs".to_owned(),
                Err(RecvTimeoutError::Disconnected) => break "its process has ended".to_owned(),
            }
        };
        let _ = child.kill();
        let status = child.wait().unwrap();
        if outcomes.len() < seeds.len() {
            let seed = seeds[outcomes.len()];
            outcomes.push((seed, format!("FAULT died: {ended}, {status}")));
        }
    }
    outcomes
}

fn start(fixtures: &[PathBuf], seeds: &[u64]) -> Child {
    let text = |path: &PathBuf| path.to_str().unwrap().to_owned();
    let numbers: Vec<_> = seeds.iter().map(u64::to_string).collect();
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "storage::mutations::worker::child",
            "--nocapture",
        ])
        .env(
            FIXTURES,
            fixtures.iter().map(text).collect::<Vec<_>>().join(":"),
        )
        .env(SEEDS, numbers.join(","))
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command.spawn().unwrap()
}

fn outcome(line: &str) -> Option<(u64, String)> {
    let (seed, outcome) = line.split_once("mutation ")?.1.split_once(' ')?;
    Some((seed.parse().ok()?, outcome.to_owned()))
}

/// Not a test of its own: the process that [`judge`] starts.
#[test]
fn child() {
    let Some(fixtures) = env::var_os(FIXTURES) else {
        return;
    };
    let fixtures: Vec<PathBuf> = env::split_paths(&fixtures).collect();
    let place = memory_directory();
    let expected: Vec<(Reading, u64)> = fixtures
        .iter()
        .map(|fixture| {
            let state = place.path().join("whole");
            super::copy(fixture, &state);
            let reading = read(&state).unwrap();
            fs::remove_dir_all(&state).unwrap();
            reading
        })
        .collect();
    for seed in env::var(SEEDS).unwrap().split(',') {
        let seed = seed.parse().unwrap();
        let state = place.path().join("state");
        let mutation = prepare(&fixtures, seed, &state);
        let (whole, epoch) = &expected[mutation.fixture];
        let outcome = outcome_of(&state, seed, whole, *epoch);
        let Mutation { fixture, words } = mutation;
        let line = format!("mutation {seed} {outcome} | fixture {fixture}, {words}");
        writeln!(std::io::stdout(), "\n{}", line.replace('\n', " ")).unwrap();
        fs::remove_dir_all(&state).unwrap();
    }
}

fn outcome_of(state: &Path, seed: u64, whole: &Reading, epoch: u64) -> String {
    let before = contents(state);
    match read(state) {
        Ok((found, _)) => opened(state, &before, &found, whole),
        Err(said) if !names_next_step(&said) => format!("FAULT no next step: {said}"),
        Err(said) => match read(state) {
            // What is refused once is refused again, or was mended by the first try.
            Ok((found, _)) => match opened(state, &before, &found, whole) {
                fault if fault.starts_with("FAULT") => fault,
                _ => format!("refused once: {said}"),
            },
            Err(_) if seed.is_multiple_of(REPAIR_EVERY) && said.contains("usherd repair") => {
                repaired(state, whole, epoch)
            }
            Err(_) => format!("refused: {said}"),
        },
    }
}

/// A start that took it: nothing changed, or it is said.
fn opened(state: &Path, before: &[(PathBuf, Vec<u8>)], found: &Reading, whole: &Reading) -> String {
    let same_but = |other: Reading| Reading {
        site: whole.site,
        log: whole.log.clone(),
        ..other
    };
    if same_but(found.clone()) != *whole {
        return format!("FAULT silent: {}", difference(found, whole));
    }
    match &found.log {
        Ok(log) if Ok(log) != whole.log.as_ref() => {
            return format!("FAULT silent: {}", difference(found, whole));
        }
        // The log's history is read, and proved, by who reads it.
        Err(said) => return format!("history: {said}"),
        Ok(_) => {}
    }
    if found.site != whole.site {
        // The licenses name the other key: nothing is lent, and `status` says why (see the whole daemons).
        return "site key: another one".to_owned();
    }
    let after = contents(state);
    let kept = before.iter().all(|file| after.contains(file));
    if kept { "same" } else { "mended" }.to_owned()
}

/// A repair gives a state with every lease that can be known, a new epoch, and the hold (S6, L12).
fn repaired(state: &Path, whole: &Reading, epoch: u64) -> String {
    let rebuilt = match repair(state) {
        Ok(rebuilt) => rebuilt,
        Err(said) => return format!("FAULT no repair: {said}"),
    };
    let (found, later) = match read(state) {
        Ok(found) => found,
        Err(said) => return format!("FAULT refused after a repair: {said}"),
    };
    let held = found.restored.as_ref().is_some_and(|it| !it.complete);
    if !held {
        return format!("FAULT nothing is held after a repair: {:?}", found.restored);
    }
    // The epoch may be lost with store and log; the clock is then above it.
    if later <= epoch && rebuilt.replaced_log.is_none() {
        return format!("FAULT the epoch went back: {later} after {epoch}");
    }
    let is_lease = |(key, _): &&(Vec<u8>, Vec<u8>)| key.first() == Some(&b'L');
    let missing = whole.live.iter().filter(is_lease);
    let missing = missing.filter(|lease| !found.live.contains(lease)).count();
    // What waited for the log in the store alone is gone with it.
    let is_whole = found
        .log
        .as_ref()
        .is_ok_and(|log| whole.log.as_ref().is_ok_and(|all| log.len() >= all.len()));
    if missing > 0 && is_whole && rebuilt.replaced_log.is_none() {
        return format!("FAULT {missing} leases are not rebuilt from a whole log");
    }
    format!("refused, repaired, {missing} leases to be adopted")
}

fn difference(found: &Reading, whole: &Reading) -> String {
    let mut parts = Vec::new();
    if found.live != whole.live {
        let gone = whole
            .live
            .iter()
            .filter(|it| !found.live.contains(it))
            .count();
        let new = found
            .live
            .iter()
            .filter(|it| !whole.live.contains(it))
            .count();
        parts.push(format!("{gone} records gone, {new} new"));
    }
    if found.log != whole.log {
        parts.push("another history".to_owned());
    }
    if (&found.restored, found.fresh) != (&whole.restored, whole.fresh) {
        parts.push(format!(
            "restored {:?}, fresh {}",
            found.restored, found.fresh
        ));
    }
    parts.join("; ")
}

fn contents(state: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = files(state).into_iter();
    let changes = [
        "store.witness",
        "store/db",
        "store/steps.0",
        "store/steps.1",
    ];
    files
        .filter(|path| !changes.iter().any(|it| path.ends_with(it)))
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

const WORKERS: usize = 2;
const FIXTURES: &str = "USHER_TEST_MUTATED";
const SEEDS: &str = "USHER_TEST_MUTATIONS";
const HANGS: Duration = Duration::from_mins(2);
const REPAIR_EVERY: u64 = 4;
