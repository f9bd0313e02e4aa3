//! The same for the verbs that rebuild a store: an error at any of their writes leaves what a daemon starts on, or
//! refuses with a next step, and the verb said again does it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use usher_tests::proof::{seeds, tell};
use usher_tests::shim::{Call, Shim};

use super::ground::{Ground, State, copy, names_next_step, said, side_by_side};
use super::points::{FEATURES, Point, THREADS, every_point, log_of, off, points, put, site};
use super::visit::{Told, Visit, missing, runtime};

/// A stopped site, its backup, and what it had acknowledged after that.
struct Stopped<'a> {
    ground: &'a Ground,
    state: PathBuf,
    backup: PathBuf,
    told: Told,
}

#[test]
fn s6_an_error_in_a_restore_a_repair_or_a_backup_costs_nothing_but_the_verb() {
    let ground = Ground::new(FEATURES, FEATURES);
    let stopped = stopped(&ground);
    let mut tries = Vec::new();
    for verb in 0..VERBS {
        let calls = counted(&stopped, verb);
        let sites = calls.iter().map(site).collect::<BTreeSet<_>>().len();
        println!(
            "{:?}: {} calls at {sites} sites",
            words(verb, &stopped),
            calls.len()
        );
        tries.extend(
            points(&calls, &every_point())
                .into_iter()
                .enumerate()
                .map(|(rank, point)| (rank, verb, point)),
        );
    }
    // The first of each come first: every site of every verb before any again.
    tries.sort_by_key(|(rank, verb, _)| (*rank, *verb));
    let chosen = seeds(SHORT).map(|seed| {
        let (_, verb, point) = &tries[usize::try_from(seed - 1).unwrap() % tries.len()];
        (seed, *verb, point.clone())
    });
    let outcomes = side_by_side(THREADS, chosen, |(seed, verb, point)| {
        tried(&stopped, seed, verb, &point)
    });
    let faults: Vec<_> = outcomes.iter().flat_map(|(_, faults)| faults).collect();
    tell(
        "storage errors in off-line verbs",
        &[
            ("rounds", outcomes.len() as u64),
            (
                "calls that failed",
                outcomes.iter().filter(|(reached, _)| *reached).count() as u64,
            ),
            ("faults", faults.len() as u64),
        ],
    );
    assert!(faults.is_empty(), "{faults:#?}");
}

fn stopped(ground: &Ground) -> Stopped<'_> {
    let state = ground.state();
    let mut daemon = ground.daemon(&state);
    let shim = Shim::new(&state.0, &log_of(ground, &state));
    put(&shim, &mut daemon);
    daemon.start_again();
    let backup = ground.station.home().join("early.snapshot");
    daemon.ask(&["backup", backup.to_str().unwrap()]);
    let runtime = runtime();
    let mut visit = Visit::new(ground, &mut daemon, &shim, &runtime);
    assert!(visit.run());
    let told = visit.told;
    assert!(daemon.terminate().success());
    let kept = ground.station.home().join("stopped");
    copy(&state.0, &kept);
    Stopped {
        ground,
        state: kept,
        backup,
        told,
    }
}

fn counted(stopped: &Stopped<'_>, verb: usize) -> Vec<Call> {
    let state = stopped.ground.state_like(&stopped.state);
    let shim = Shim::new(&state.0, &log_of(stopped.ground, &state));
    let output = run(stopped, &state, verb, &shim);
    assert!(output.is_ok(), "{output:?}");
    shim.calls()
}

/// Whether the call came to pass, and what was wrong then.
fn tried(stopped: &Stopped<'_>, seed: u64, verb: usize, point: &Point) -> (bool, Vec<String>) {
    let ground = stopped.ground;
    let state = ground.state_like(&stopped.state);
    let shim = Shim::new(&state.0, &log_of(ground, &state));
    let shim = shim.failing(point.call.number, point.error, &point.how);
    let first = run(stopped, &state, verb, &shim);
    let failed = shim.calls().into_iter().find(|call| call.failed);
    let mut faults = Vec::new();
    match &first {
        Err(said) if failed.is_none() => {
            faults.push(format!("it failed although the disk did not: {said}"));
        }
        Err(said) if !names_next_step(said) => faults.push(format!("no next step: {said}")),
        _ => {}
    }
    let runtime = runtime();
    let mut daemon = ground.daemon(&state);
    off(&mut daemon);
    let mut say_again = first.is_err();
    // Every second time the administrator starts the daemon before saying it again.
    if first.is_err() && seed.is_multiple_of(2) {
        match daemon.try_start() {
            Ok(()) => {
                faults.extend(missing(ground, &daemon, &stopped.told, &runtime));
                daemon.terminate();
                say_again = false;
            }
            Err(problem) if names_next_step(&problem) => {}
            Err(problem) => faults.push(problem),
        }
    }
    if say_again {
        let whole_disk = Shim::new(Path::new("/nonexistent"), &log_of(ground, &state));
        let again = run(stopped, &state, verb, &whole_disk);
        faults.extend(
            again
                .err()
                .map(|said| format!("said again it fails: {said}")),
        );
    }
    if daemon_runs_with_all(&mut daemon, stopped, &runtime, &mut faults) && verb == BACKUP {
        let status = daemon.ask(&["status"]);
        if status.contains("holding") {
            faults.push(format!("a backup made it hold: {status}"));
        }
    }
    let Point { call, error, how } = point;
    let about = |fault: String| {
        format!(
            "seed {seed}, {:?}, {how:?} error {error} at call {} {} {} (met: {failed:?}): {fault}",
            words(verb, stopped),
            call.number,
            call.kind,
            call.path.display()
        )
    };
    (failed.is_some(), faults.into_iter().map(about).collect())
}

fn daemon_runs_with_all(
    daemon: &mut usher_tests::daemon::Daemon,
    stopped: &Stopped<'_>,
    runtime: &tokio::runtime::Runtime,
    faults: &mut Vec<String>,
) -> bool {
    match daemon.try_start() {
        Ok(()) => {
            faults.extend(missing(stopped.ground, daemon, &stopped.told, runtime));
            true
        }
        Err(problem) => {
            faults.push(format!("it does not start: {problem}"));
            false
        }
    }
}

/// Says the verb on this disk; the error is all it said.
fn run(stopped: &Stopped<'_>, state: &State, verb: usize, shim: &Shim) -> Result<(), String> {
    let target = stopped.ground.station.home().join(format!(
        "{}.backup",
        state.0.file_name().unwrap().to_string_lossy()
    ));
    let _ = std::fs::remove_file(&target);
    let daemon = stopped.ground.daemon(state);
    let mut words = words(verb, stopped);
    if verb == BACKUP {
        words.push(target.to_str().unwrap().to_owned());
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut command = daemon.admin(&words);
    for (name, value) in shim.variables() {
        command.env(name, value);
    }
    let output = command.output().unwrap();
    let _ = std::fs::remove_file(&target);
    if output.status.success() {
        Ok(())
    } else {
        Err(said(&output))
    }
}

fn words(verb: usize, stopped: &Stopped<'_>) -> Vec<String> {
    let backup = stopped.backup.to_str().unwrap();
    let words: &[&str] = match verb {
        0 => &["restore", "--yes", backup],
        1 => &["repair", "--yes"],
        _ => &["backup"],
    };
    words.iter().map(|word| (*word).to_owned()).collect()
}

const VERBS: usize = 3;
const BACKUP: usize = 2;
const SHORT: u64 = 45;
