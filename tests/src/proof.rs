//! What every proof of reliability shares: how many rounds, from which seed on, and what came of them.
//!
//! A proof does so many rounds in its short form; `tests/campaign` asks for more of them, from another seed on,
//! and gathers the figures. Each round is a function of its seed alone, as far as the kernel lets it.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::ops::Range;

/// The seeds of this run: `short` of them from 1 on, unless the campaign says otherwise
/// (`USHER_TEST_ROUNDS`, `USHER_TEST_SEED`).
pub fn seeds(short: u64) -> Range<u64> {
    let first = number("USHER_TEST_SEED").unwrap_or(1);
    first..first + number("USHER_TEST_ROUNDS").unwrap_or(short)
}

/// A number that the environment may hold.
fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let read = text.parse();
    Some(read.unwrap_or_else(|_| panic!("{variable} is {text:?}, and should be a number")))
}

/// Prints what a proof saw, and adds it to the file that `USHER_TEST_FIGURES` names: a line for each figure,
/// `proof`, `figure` and count with tabs between. Counts of several runs must be such that they can be added up.
pub fn tell(proof: &str, figures: &[(&str, u64)]) {
    let mut lines = String::new();
    for (figure, count) in figures {
        println!("{proof}: {figure}: {count}");
        writeln!(lines, "{proof}\t{figure}\t{count}").unwrap();
    }
    if let Some(path) = std::env::var_os("USHER_TEST_FIGURES") {
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.unwrap().write_all(lines.as_bytes()).unwrap();
    }
}

/// A small generator of numbers that are the same for one seed on every machine (SplitMix64, Steele et al. 2014).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// For this seed; other seeds give other numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to, not with, `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    /// True in so many of a thousand.
    pub fn permille(&mut self, of_thousand: u64) -> bool {
        self.below(1000) < of_thousand
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dice_are_the_published_generator() {
        let mut dice = Dice::new(1_234_567);
        assert_eq!(dice.roll(), 6_457_827_717_110_365_317);
        assert_eq!(dice.roll(), 3_203_168_211_198_807_973);
    }
}
