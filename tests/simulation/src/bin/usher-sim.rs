//! Random worlds by the hundred, for the campaign, or the story of one of them.
//!
//! `usher-sim` runs the worlds that `USHER_TEST_SEED` and `USHER_TEST_ROUNDS` name; it fails when
//! something did not hold. `usher-sim SEED LINES` tells the last things that happened in one world.

use std::process::ExitCode;

use usher_simulation::{campaign, tell};
use usher_tests::proof;

fn main() -> ExitCode {
    let numbers: Vec<u64> = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse().ok())
        .collect();
    if let [seed, lines] = numbers[..] {
        print!("{}", tell(seed, usize::try_from(lines).unwrap_or(0)));
        return ExitCode::SUCCESS;
    }
    let (figures, found) = campaign(proof::seeds(100));
    proof::tell("simulation", &figures.named());
    if found.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
