//! End to end, through the real programs: one file per question.
#![expect(
    clippy::unwrap_used,
    reason = "a test whose ground gives way must fail"
)]

mod admin;
mod admin_ground;
mod admin_store;
mod discovery;
mod lan;
mod lease;
mod life;
mod usher_lease;
mod usher_run;
mod usher_site;
mod usher_trust;
