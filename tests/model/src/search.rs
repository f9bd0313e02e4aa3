//! Visits every state, nearest first, and judges each; a finding comes with a shortest way to it.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    hash::{BuildHasherDefault, Hasher},
};

use crate::{
    pack::{pack, unpack},
    state::{CLIENTS, State},
    steps::{Action, Bounds},
};

/// All that can be reached within some bounds.
pub struct Search {
    bounds: Bounds,
    /// Each state seen, with the one it was first reached from.
    seen: HashMap<u128, u128, BuildHasherDefault<Fold>>,
}

/// What a search without a finding saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// States that differ in more than the order of the clients.
    pub states: u64,
    /// Steps tried, each from a state to one that can follow.
    pub steps: u64,
    /// Steps of the shortest way to the farthest state.
    pub depth: u32,
    /// The longest that anybody waits for a seat who goes on asking, in ticks.
    pub ticks_to_seat_max: u32,
}

/// A state that must not be, and the way there.
pub struct Finding {
    /// Which rule it breaks.
    pub rule: &'static str,
    /// From the beginning on: each step and what it led to.
    pub way: Vec<(Action, State)>,
}

impl Search {
    /// Nothing seen yet.
    pub fn new(bounds: Bounds) -> Self {
        let seen = HashMap::default();
        Self { bounds, seen }
    }

    /// Visits everything.
    ///
    /// # Errors
    /// The nearest state that breaks a rule.
    pub fn run(mut self) -> Result<Figures, Finding> {
        let mut figures = Figures {
            states: 0,
            steps: 0,
            depth: 0,
            ticks_to_seat_max: 0,
        };
        let mut level = Vec::new();
        let first = pack(&State::first(self.bounds.restarts));
        self.seen.insert(first, first);
        level.push(first);
        while !level.is_empty() {
            let mut following = Vec::new();
            for packed in level {
                let state = unpack(packed);
                self.judge(&state, &mut figures)
                    .map_err(|rule| self.finding(rule, packed))?;
                let Self { bounds, seen } = &mut self;
                bounds.each_next(&state, |_, next| {
                    figures.steps += 1;
                    let next = pack(&next.sorted());
                    if let Entry::Vacant(place) = seen.entry(next) {
                        place.insert(packed);
                        following.push(next);
                    }
                });
            }
            level = following;
            figures.depth += u32::from(!level.is_empty());
        }
        figures.states = self.seen.len() as u64;
        Ok(figures)
    }

    fn judge(&self, state: &State, figures: &mut Figures) -> Result<(), &'static str> {
        if state.believers() > self.bounds.seats {
            return Err("more clients believe that they hold a seat than there are seats (L)");
        }
        if self.bounds.fault.is_none() {
            judge_sides(state)?;
        }
        // What is under way may be lost, so the states in which nothing is say it for all.
        let quiet = state.messages() == 0 && !state.dirty;
        for client in (0..CLIENTS).filter(|_| quiet) {
            let ticks = self.bounds.ticks_to_seat(state, client);
            let ticks = ticks.ok_or("a client asks for ever for a seat that is free (L9)")?;
            figures.ticks_to_seat_max = figures.ticks_to_seat_max.max(ticks);
        }
        Ok(())
    }

    /// The way is walked again from its beginning, so that each client keeps its number on it.
    fn finding(&self, rule: &'static str, last: u128) -> Finding {
        let mut packed = vec![last];
        let mut at = last;
        while let Some(before) = self.seen.get(&at).filter(|before| **before != at) {
            at = *before;
            packed.push(at);
        }
        let mut state = unpack(at);
        let mut way = Vec::new();
        for target in packed.into_iter().rev().skip(1) {
            let mut step = None;
            self.bounds.each_next(&state, |action, next| {
                if step.is_none() && pack(&next.sorted()) == target {
                    step = Some((action, next));
                }
            });
            if let Some((action, next)) = step {
                way.push((action, next));
                state = next;
            }
        }
        Finding { rule, way }
    }
}

/// Why that is so: what the clients believe, the daemon knows. With a fault this would be broken
/// first, and the fault is to be seen by its consequence.
fn judge_sides(state: &State) -> Result<(), &'static str> {
    for client in &state.clients {
        if client.right > 0 && client.stored.is_none() {
            return Err("a client believes in a lease that is not durable (L2)");
        }
        if state.up && client.right > client.lease.map_or(0, |it| it.deadline) {
            return Err("a client believes for longer than its seat is kept (L1, L2, L4)");
        }
    }
    Ok(())
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}; the way there:", self.rule)?;
        for (action, state) in &self.way {
            let rights = state.clients.map(|it| it.right);
            let deadlines = state.clients.map(|it| it.lease.map(|it| it.deadline));
            writeln!(
                f,
                "  {action:?}: rights {rights:?}, deadlines {deadlines:?}"
            )?;
        }
        Ok(())
    }
}

impl fmt::Debug for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Packed states need no more than to be stirred.
#[derive(Default)]
struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u128(u128::from(*byte));
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
    fn write_u128(&mut self, packed: u128) {
        let (high, low) = ((packed >> 64) as u64, packed as u64);
        let stirred = (low ^ self.0) ^ high.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let wide = u128::from(stirred ^ stirred >> 32) * 0xD6E8_FEB8_6659_FD93;
        self.0 = (wide >> 64) as u64 ^ wide as u64;
    }
}
