//! The last things that happened, in words; kept only where somebody will read them.

use std::{collections::VecDeque, fmt};

use usher_protocol::time::DurationMs;

use crate::clock::Moment;

/// The last lines.
#[derive(Debug, Default, Clone)]
pub struct Trace {
    /// How many are kept; none by default, for words cost time.
    pub lines_max: usize,
    lines: VecDeque<(Moment, String)>,
}

impl Trace {
    pub(crate) fn note(&mut self, at: Moment, what: impl FnOnce() -> String) {
        if self.lines_max == 0 {
            return;
        }
        if self.lines.len() == self.lines_max {
            self.lines.pop_front();
        }
        self.lines.push_back((at, what()));
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, what) in &self.lines {
            writeln!(f, "  {:>14} {what}", stamp(*at))?;
        }
        Ok(())
    }
}

/// Hours, minutes, seconds, milliseconds since the beginning.
pub(crate) fn stamp(at: Moment) -> String {
    let ms = at.since(Moment(0)).0;
    let hours = ms / DurationMs::hours(1).0;
    format!(
        "{hours}:{:02}:{:02}.{:03}",
        ms / 60_000 % 60,
        ms / 1000 % 60,
        ms % 1000
    )
}
