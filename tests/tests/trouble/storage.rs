//! Storage that fails: the full or broken disk at each single call, the disk that gets space again, and damage to every
//! file. Never an acknowledgement after the error, never a silent change, never a crash loop, always a next step (L13,
//! S3, S4).

mod full;
pub(crate) mod ground;
mod mutations;
mod order;
mod points;
mod verbs;
mod visit;
