//! The one function that callgrind counts: what runs outside it is preparation.

use std::hint::black_box;

/// Does `work`, which is so many operations called `name`, where callgrind counts. Callgrind writes a
/// file at the end of each call; the lines printed here name those files in their order.
pub fn count<T>(name: &str, operations: usize, work: impl FnOnce() -> T) -> T {
    println!("{name}\t{operations}");
    counted_by_callgrind(work)
}

/// Callgrind knows this function by its name: see `tests/instructions/run`.
#[inline(never)]
fn counted_by_callgrind<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}
