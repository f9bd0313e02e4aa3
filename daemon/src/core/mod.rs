//! The core: one thread owns the engine and the journal, and decides when an answer may leave (A2).
//!
//! It drains what is queued (bounded), runs the engine on each input, commits all records in one
//! durable batch, then releases the answers. It must not decide about seats, encode bytes, or sign.

mod batch;
mod connections;
mod feed;
mod handle;
mod item;
mod meter;
mod reading;
mod start;
mod thread;
mod works;

pub use batch::{News, Pending, Waiting};
pub use connections::{AnswerSink, Line, Outgoing, Overrun};
pub use feed::Feed;
pub use handle::CoreHandle;
pub use meter::{Denial, Meter, Reading};
pub use start::{Ended, StartError, Started, start};
pub use thread::CoreError;
pub use works::{Beginning, Question, Works};

#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
mod tick_tests;
