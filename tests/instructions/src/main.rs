//! `usher-instructions`: single steps of engine, codec, envelope and commit path, for callgrind to count, and
//! the judgment of what it counted by the numbers in `counts.txt`.
//!
//! `tests/instructions/run` builds and calls it. It reads no clock and measures nothing itself.
#![expect(
    clippy::unwrap_used,
    reason = "a step that cannot be prepared must stop"
)]

mod codec;
mod counts;
mod desk;
mod engine;
mod envelope;
mod judge;
mod policy;
mod queue;

use usher_instructions::{counted, samples};

use std::{env, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["do", part] => work(part),
        ["judge", directory, numbers, machine] => {
            judge::judge(Path::new(directory), Path::new(numbers), machine)
        }
        ["accept", directory, numbers, machine] => {
            judge::accept(Path::new(directory), Path::new(numbers), machine)
        }
        _ => {
            eprintln!("usage: tests/instructions/run --help");
            ExitCode::from(2)
        }
    }
}

/// Does the steps of one part; what callgrind sees of it is in [`counted`].
fn work(part: &str) -> ExitCode {
    match part {
        "engine" => engine::steps(),
        "crowd" => engine::steps_in_a_crowd(),
        "codec" => codec::steps(),
        "envelope" => envelope::steps(),
        _ => return ExitCode::from(2),
    }
    ExitCode::SUCCESS
}
