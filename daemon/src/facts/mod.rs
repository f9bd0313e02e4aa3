//! What an event of the usage log says, to people and to scripts: in the verbs that show the log, and in the daemon's own
//! lines while it is new. Must not show a secret: a checkout's nonce stays in the log.

mod entry;
mod tell;
mod words;

pub(crate) use entry::{EntryReport, Vendors};
pub use tell::Facts;
pub(crate) use words::{counted, counted_as, environment};
