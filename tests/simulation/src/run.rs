//! Random worlds: one from each seed, judged to its end.

use std::{
    fmt,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
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
    let violation = match live(seed, planted, 0) {
        (Ok(figures), _) => return Ok(figures),
        (Err(violation), _) => violation,
    };
    let (_, trace) = live(seed, planted, TRACE_LINES);
    Err(Box::new(Found {
        seed,
        violation,
        trace,
    }))
}

/// Runs the worlds of all seeds; the figures of those that held, and what was found.
pub fn campaign(seeds: Range<u64>) -> (Figures, Vec<Found>) {
    let mut figures = Figures::default();
    let mut found = Vec::new();
    for seed in seeds {
        match run(seed, None) {
            Ok(more) => figures.add(&more),
            Err(violation) => found.push(*violation),
        }
    }
    figures.violations = found.len() as u64;
    (figures, found)
}

/// Looks for a defect: how many worlds it took to find it, if so many are enough.
pub fn find(planted: Planted, worlds_max: u64) -> Option<(u64, Box<Found>)> {
    (1..=worlds_max).find_map(|seed| Some((seed, run(seed, Some(planted)).err()?)))
}

/// A world's life, and the last things that happened in it. An engine that stops on a broken count is a
/// violation like any other.
fn live(seed: u64, planted: Option<Planted>, lines: usize) -> (Result<Figures, String>, String) {
    let mut dice = Dice::new(!seed);
    let knobs = Knobs::draw(&mut dice);
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
