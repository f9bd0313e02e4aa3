//! ENOSPC and EIO at each call by which a daemon changes its disk: the error ends it with a next step, nothing is
//! acknowledged after it, and the next start has everything that was acknowledged (L13, S4).

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitStatus;

use tokio::runtime::Runtime;
use usher_tests::daemon::Daemon;
use usher_tests::proof::{Dice, seeds, tell};
use usher_tests::shim::{Call, How, Shim};

use super::ground::{Ground, State, names_next_step, side_by_side};
use super::visit::{Told, Visit, missing, runtime};

/// Which call fails, and how.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub(super) call: Call,
    pub(super) error: i32,
    pub(super) how: How,
}

#[derive(Default)]
struct Outcome {
    /// The call came to pass.
    reached: bool,
    acknowledged: u64,
    /// The start after the fault asked for a repair.
    repairs: u64,
    faults: Vec<String>,
    late: u64,
    lost: u64,
    start_failures: u64,
}

#[test]
fn l13_an_error_at_each_write_point_acknowledges_nothing_and_loses_nothing() {
    let ground = Ground::new(FEATURES, FEATURES);
    let calls = counted(&ground);
    let points = points(&calls, &every_point());
    let sites = calls.iter().map(site).collect::<BTreeSet<_>>().len();
    println!(
        "{} calls at {sites} sites, {} points",
        calls.len(),
        points.len()
    );
    let seeds = seeds(SHORT);
    let chosen = seeds.map(|seed| {
        let index = usize::try_from(seed - 1).unwrap() % points.len();
        (seed, points[index].clone())
    });
    let outcomes = side_by_side(THREADS, chosen, |(seed, point)| {
        tried(&ground, seed, &point)
    });
    let sum = |count: fn(&Outcome) -> u64| outcomes.iter().map(count).sum::<u64>();
    let faults: Vec<_> = outcomes.iter().flat_map(|it| &it.faults).collect();
    tell(
        "storage errors at write points",
        &[
            ("rounds", outcomes.len() as u64),
            ("calls that failed", sum(|it| u64::from(it.reached))),
            ("acknowledgements", sum(|it| it.acknowledged)),
            ("acknowledgements after the error", sum(|it| it.late)),
            ("acknowledged things lost", sum(|it| it.lost)),
            (
                "start-up failures after the error",
                sum(|it| it.start_failures),
            ),
            ("repairs asked for", sum(|it| it.repairs)),
            ("faults", faults.len() as u64),
        ],
    );
    assert!(faults.is_empty(), "{faults:#?}");
}

/// What one undisturbed life does to its disk.
fn counted(ground: &Ground) -> Vec<Call> {
    let state = ground.state();
    let mut daemon = ground.daemon(&state);
    let shim = Shim::new(&state.0, &log_of(ground, &state));
    put(&shim, &mut daemon);
    daemon.start_again();
    let runtime = runtime();
    let mut visit = Visit::new(ground, &mut daemon, &shim, &runtime);
    assert!(visit.run(), "the round is not complete");
    let told = visit.told;
    assert!(daemon.terminate().success());
    let calls = shim.calls();
    off(&mut daemon);
    daemon.start_again();
    let missing = missing(ground, &daemon, &told, &runtime);
    assert!(missing.is_empty(), "{missing:#?}");
    calls
}

/// Each site first, once with one of the errors, then everything else.
pub(super) fn points(calls: &[Call], errors: &[(i32, How)]) -> Vec<Point> {
    let mut dice = Dice::new(1);
    let all = |call: &Call| {
        let call = call.clone();
        errors.iter().map(move |(error, how)| Point {
            call: call.clone(),
            error: *error,
            how: how.clone(),
        })
    };
    let (mut seen, mut first, mut rest) = (BTreeSet::new(), Vec::new(), Vec::new());
    for call in calls {
        let mut of_this: Vec<_> = all(call).collect();
        if seen.insert(site(call)) {
            let index = dice.below(of_this.len() as u64);
            first.push(of_this.remove(usize::try_from(index).unwrap()));
        }
        rest.extend(of_this);
    }
    for last in (1..rest.len()).rev() {
        rest.swap(last, usize::try_from(dice.below(last as u64 + 1)).unwrap());
    }
    first.extend(rest);
    first
}

/// What is done to which kind of file, and how far the daemon is by then, roughly.
pub(super) fn site(call: &Call) -> (String, String, u64) {
    let name = call.path.file_name().unwrap().to_string_lossy();
    let name = name
        .split(['-', '.'])
        .filter(|part| !part.starts_with(|it: char| it.is_ascii_digit()));
    let of = call
        .path
        .parent()
        .unwrap()
        .file_name()
        .unwrap()
        .to_string_lossy();
    let name: Vec<_> = name.collect();
    let phase = u64::from(call.number > START_CALLS);
    (call.kind.clone(), format!("{of}/{}", name.join(".")), phase)
}

fn tried(ground: &Ground, seed: u64, point: &Point) -> Outcome {
    let state = ground.state();
    let mut daemon = ground.daemon(&state);
    let shim = Shim::new(&state.0, &log_of(ground, &state));
    let shim = shim.failing(point.call.number, point.error, &point.how);
    put(&shim, &mut daemon);
    let runtime = runtime();
    let mut outcome = Outcome::default();
    let told = life_that_fails(ground, &state, &mut daemon, &shim, &runtime, &mut outcome);
    let failed = shim.calls().into_iter().find(|call| call.failed);
    off(&mut daemon);
    life_after(ground, &mut daemon, &told, &runtime, &mut outcome);
    let about = |fault: String| {
        let Point { call, error, how } = point;
        format!(
            "seed {seed}, {how:?} error {error} at call {} {} {} (met: {failed:?}): {fault}",
            call.number,
            call.kind,
            call.path.display()
        )
    };
    outcome.faults = outcome.faults.into_iter().map(about).collect();
    outcome
}

/// The life in which the call fails: nothing is acknowledged after it, and it ends with a next step.
fn life_that_fails(
    ground: &Ground,
    state: &State,
    daemon: &mut Daemon,
    shim: &Shim,
    runtime: &Runtime,
    outcome: &mut Outcome,
) -> Told {
    let is_failed = || shim.calls().into_iter().find(|call| call.failed);
    let (mut told, mut status) = (Told::default(), None);
    if daemon.try_start().is_ok() {
        let mut visit = Visit::new(ground, daemon, shim, runtime);
        let whole = visit.run();
        told = visit.told;
        let must_end = |call: Call| !whole && !may_go_on(&call, &state.0);
        status = if is_failed().is_some_and(must_end) {
            ended(daemon, outcome)
        } else {
            // An error that comes with the very end shows there.
            Some(daemon.terminate())
        };
    }
    outcome.acknowledged = told.acknowledged;
    outcome.late = told.late.len() as u64;
    let late = told.late.iter();
    let late = late.map(|what| format!("acknowledged after the error: {what}"));
    outcome.faults.extend(late);
    let failed = is_failed();
    outcome.reached = failed.is_some();
    let ended_well = status.is_some_and(|status| status.success());
    let log = daemon.log();
    outcome.faults.extend(match failed {
        Some(call) if ended_well && !may_go_on(&call, &state.0) => {
            Some("it ended as if nothing had happened".to_owned())
        }
        Some(_) if !ended_well && !names_next_step(&log) => Some(format!("no next step:\n{log}")),
        None if !ended_well => Some(format!("it failed although the disk did not:\n{log}")),
        _ => None,
    });
    told
}

/// Waits for a daemon that must end by itself.
fn ended(daemon: &mut Daemon, outcome: &mut Outcome) -> Option<ExitStatus> {
    let ended = catch_unwind(AssertUnwindSafe(|| daemon.wait()));
    if ended.is_err() {
        outcome.faults.push("it does not end".to_owned());
        daemon.kill();
    }
    ended.ok()
}

/// The life after it, on a whole disk: everything that was acknowledged is there.
fn life_after(
    ground: &Ground,
    daemon: &mut Daemon,
    told: &Told,
    runtime: &Runtime,
    outcome: &mut Outcome,
) {
    let before = daemon.log().matches("usherd repair").count();
    let mut again = daemon.try_start();
    if let Err(problem) = &again
        && problem.matches("usherd repair").count() > before
    {
        outcome.repairs += 1;
        daemon.ask(&["repair", "--yes"]);
        again = daemon.try_start();
    }
    if let Err(problem) = again {
        outcome.start_failures += 1;
        let fault = format!("it does not start again: {problem}");
        outcome.faults.push(fault);
        return;
    }
    let missing = missing(ground, daemon, told, runtime);
    outcome.lost += missing.len() as u64;
    outcome.faults.extend(missing);
    if !daemon.terminate().success() {
        let fault = format!("the next life does not end well:\n{}", daemon.log());
        outcome.faults.push(fault);
    }
}

/// Each way to fail: once, half, and for good, as disks do.
pub(super) fn every_point() -> [(i32, How); 4] {
    let for_good = How::OnUntil("/nonexistent".into());
    [
        (ENOSPC, How::Once),
        (EIO, How::Once),
        (ENOSPC, How::Short),
        (EIO, for_good),
    ]
}

/// The daemon's work does not depend on these: it says so and goes on. The state directory itself is synced by a running
/// daemon for its new entry `backups` alone, before it asks its journal for anything; and the store's file by a daemon
/// that has started is synced whole by sled's end alone, when each step has long been made durable (S1).
fn may_go_on(call: &Call, state: &Path) -> bool {
    let path = &call.path;
    let is_last = call.kind == "fsync" && path.ends_with("store/db");
    path.ends_with("site.key.unused") || path.ends_with("backups") || path == state || is_last
}

pub(super) fn log_of(ground: &Ground, state: &State) -> std::path::PathBuf {
    let name = state.0.file_name().unwrap().to_string_lossy().into_owned();
    ground.station.home().join(format!("{name}.calls"))
}

pub(super) fn put(shim: &Shim, daemon: &mut Daemon) {
    for (name, value) in shim.variables() {
        daemon.set_variable(name, value);
    }
}

/// A whole disk again.
pub(super) fn off(daemon: &mut Daemon) {
    daemon.set_variable("USHER_SHIM_BELOW", "");
}

pub(super) const FEATURES: &[&str] = &["solver:20", "laptop:3,borrow-max=7d", "spare:1"];
pub(super) const ENOSPC: i32 = 28;
pub(super) const EIO: i32 = 5;
pub(super) const THREADS: usize = 3;
const START_CALLS: u64 = 60;
const SHORT: u64 = 60;
