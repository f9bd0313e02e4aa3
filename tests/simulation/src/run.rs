//! Random worlds: one from each seed, judged to its end.

use std::{
    fmt,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use usher_protocol::time::DurationMs;
use usher_tests::proof::Dice;

use crate::{
    clock::Moment,
    figures::Figures,
    invariants::{self, Violation},
    knobs::Knobs,
    planted::Planted,
    world::World,
};

/// A world in which something did not hold.
#[derive(Debug, Clone)]
pub struct Found {
    /// Which one.
    pub seed: u64,
    /// What.
    pub violation: String,
    /// The last events before it.
    pub trace: String,
}

/// Runs the world of a seed to its end.
///
/// # Errors
/// [`Found`], with the trace of a second run of the same world.
pub fn run(seed: u64, planted: Option<Planted>) -> Result<Figures, Box<Found>> {
    run_adapted(seed, planted, &|_| {})
}

/// The same, with the knobs drawn from the seed changed in some way.
fn run_adapted(
    seed: u64,
    planted: Option<Planted>,
    adapt: &dyn Fn(&mut Knobs),
) -> Result<Figures, Box<Found>> {
    let violation = match live(seed, planted, 0, adapt) {
        (Ok(figures), _) => return Ok(figures),
        (Err(violation), _) => violation,
    };
    let (_, trace) = live(seed, planted, TRACE_LINES, adapt);
    Err(Box::new(Found {
        seed,
        violation,
        trace,
    }))
}

/// The last so many things that happened in the world of a seed, and how it ended.
pub fn tell(seed: u64, lines: usize) -> String {
    let (outcome, trace) = live(seed, None, lines, &|_| {});
    let knobs = Knobs::draw(&mut Dice::new(!seed));
    match outcome {
        Ok(figures) => format!("{knobs:#?}\n{trace}{figures:#?}\n"),
        Err(violation) => format!("{knobs:#?}\n{trace}{violation}\n"),
    }
}

/// Runs the worlds of all seeds, on every core; the figures of those that held, and what was found.
pub fn campaign(seeds: Range<u64>) -> (Figures, Vec<Found>) {
    let next = AtomicU64::new(seeds.start);
    let all = Mutex::new((Figures::default(), Vec::new()));
    let worker = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let outcome = run(seed, None);
            if let Err(found) = &outcome {
                println!("{found}");
            }
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            match outcome {
                Ok(figures) => all.0.add(&figures),
                Err(found) => all.1.push(*found),
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(worker))));
    let (mut figures, mut found) = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    figures.violations = found.len() as u64;
    found.sort_by_key(|it| it.seed);
    (figures, found)
}

/// Looks for a defect in worlds as `adapt` makes them: how many it took to find it, if so many are
/// enough. Worlds in which what it needs is common make it show soon; others show it, too, but later.
pub fn find(
    planted: Planted,
    worlds_max: u64,
    adapt: &dyn Fn(&mut Knobs),
) -> Option<(u64, Box<Found>)> {
    let run = |seed, planted| run_adapted(seed, planted, adapt);
    let (seed, found) =
        (1..=worlds_max).find_map(|seed| Some((seed, run(seed, Some(planted)).err()?)))?;
    // The same world holds without the defect, so it is the defect that was found.
    match run(seed, None) {
        Ok(_) => Some((seed, found)),
        Err(_) => None,
    }
}

/// A world's life, and the last things that happened in it. An engine that stops on a broken count is a
/// violation like any other.
fn live(
    seed: u64,
    planted: Option<Planted>,
    lines: usize,
    adapt: &dyn Fn(&mut Knobs),
) -> (Result<Figures, String>, String) {
    let mut dice = Dice::new(!seed);
    let mut knobs = Knobs::draw(&mut dice);
    adapt(&mut knobs);
    let length = DurationMs(knobs.terms.lease_ms.0 * (20 + dice.below(180)));
    let mut world = World::with_planted(seed, knobs, planted);
    world.trace.lines_max = lines;
    let lived = catch_unwind(AssertUnwindSafe(|| to_the_end(&mut world, length)));
    let outcome = match lived {
        Ok(Ok(())) => {
            world.figures.worlds = 1;
            world.figures.hours = world.now().since(Moment(0)).0 / DurationMs::hours(1).0;
            Ok(std::mem::take(&mut world.figures))
        }
        Ok(Err(violation)) => Err(violation.to_string()),
        Err(_) => Err("the engine stopped: see the panic above".to_owned()),
    };
    (outcome, world.trace.to_string())
}

fn to_the_end(world: &mut World, length: DurationMs) -> Result<(), Violation> {
    world.run_for(length)?;
    world.calm()?;
    invariants::at_end(world)
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.violation)?;
        write!(f, "{}", self.trace)
    }
}

/// Events told with a violation.
const TRACE_LINES: usize = 60;
