//! The table of design 8, row by row. Decides what a row says and in which order they are measured; must not measure.

use std::fmt::Write as _;
use std::panic::catch_unwind;

use crate::document::{self, Circumstances};
use crate::figures::{Figures, short};
use crate::stopwatch::{now_ns, us_since};
use crate::{disk, expiry, idle, load, memory, million, start};

/// One measure, as it came out.
pub(crate) struct Row {
    /// What was measured.
    pub(crate) measure: String,
    /// One figure of each run, mostly a ratio.
    pub(crate) figures: Figures,
    /// What design 8 wants, in its words; empty for a figure beside the table.
    pub(crate) aim: &'static str,
    /// The figures beneath, for whoever wants to know the size of things.
    pub(crate) beneath: String,
}

impl Row {
    pub(crate) fn new(
        measure: impl Into<String>,
        figures: Figures,
        aim: &'static str,
        beneath: impl Into<String>,
    ) -> Self {
        Self {
            measure: measure.into(),
            figures,
            aim,
            beneath: beneath.into(),
        }
    }

    /// Of pairs of figures, each pair of one run; `unit` is of both.
    pub(crate) fn ratio(
        measure: &str,
        aim: &'static str,
        pairs: &[(f64, f64)],
        [over, under, unit]: [&str; 3],
    ) -> Self {
        let ratios = Figures::of(pairs.iter().map(|(over, under)| over / under));
        let overs = Figures::of(pairs.iter().map(|(over, _)| *over)).told();
        let unders = Figures::of(pairs.iter().map(|(_, under)| *under)).told();
        let beneath = format!("{over} {overs}{unit}; {under} {unders}{unit}");
        Self::new(measure, ratios, aim, beneath)
    }

    fn print(&self) {
        println!(
            "  {:<72} {}  {}",
            self.measure,
            self.figures.told(),
            self.aim
        );
        println!("      {}", self.beneath);
    }

    fn line(&self) -> String {
        let [least, median, greatest] = [0.0, 0.5, 1.0].map(|share| short(self.figures.at(share)));
        format!(
            "| {} | {least} / **{median}** / {greatest} | {} | {} |\n",
            self.measure, self.aim, self.beneath
        )
    }
}

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Requests against the floor
    Load,
    /// `usher run` from cold
    Start,
    /// Memory of a connection
    Memory,
    /// A million leases
    Million,
    /// 100 000 leases that end at once
    Expiry,
    /// A thousand workstations that do nothing
    Idle,
    /// Disk after many grants and releases
    Disk,
}

impl Part {
    fn rows(self, runs: usize) -> Vec<Row> {
        match self {
            Self::Load => load::rows(runs),
            Self::Start => start::rows(runs),
            Self::Memory => memory::rows(runs),
            Self::Million => million::rows(runs),
            Self::Expiry => expiry::rows(runs),
            Self::Idle => idle::rows(runs),
            Self::Disk => disk::rows(runs),
        }
    }
}

/// Measures the parts named, or all of them, which is then written into the document.
pub(crate) fn run(parts: &[Part], runs: usize) {
    let circumstances = Circumstances::now();
    println!("{circumstances}\n{runs} runs each: min / median / max, and the aim\n");
    let chosen = if parts.is_empty() { ALL } else { parts };
    let mut lines = String::new();
    let mut failed = false;
    for part in chosen {
        let began = now_ns();
        // One that fails, and has said why, does not take the others with it.
        if let Ok(rows) = catch_unwind(|| part.rows(runs)) {
            rows.iter().for_each(Row::print);
            lines.extend(rows.iter().map(Row::line));
        } else {
            failed = true;
            let _ = writeln!(lines, "| {part:?} | the measurement failed | | |");
        }
        println!("    ({part:?}: {:.0} s)", us_since(began) / 1e6);
    }
    if parts.is_empty() {
        let head = "| measure | min / **median** / max | aim | beneath it |\n|---|---|---|---|\n";
        let loads = runs * load::ROUNDS_A_RUN;
        let text =
            format!("{circumstances} {runs} runs of each, {loads} of the loads.\n\n{head}{lines}");
        document::write("table", &text);
    }
    assert!(!failed, "not everything was measured");
}

const ALL: &[Part] = &[
    Part::Load,
    Part::Start,
    Part::Memory,
    Part::Million,
    Part::Expiry,
    Part::Idle,
    Part::Disk,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_formed_within_each_run() {
        let pairs = [(1.0, 2.0), (30.0, 10.0), (8.0, 8.0)];
        let row = Row::ratio("a ÷ b", "≤ 1", &pairs, ["usherd", "floor", " µs"]);
        let beneath = "usherd 1.00 / 8.00 / 30.0 µs; floor 2.00 / 8.00 / 10.0 µs";
        let expected = format!("| a ÷ b | 0.50 / **1.00** / 3.00 | ≤ 1 | {beneath} |\n");
        assert_eq!(row.line(), expected);
    }
}
