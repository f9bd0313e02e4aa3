//! The lease protocol in the small: every state of it (`states`), and the real engine beside it (`engine`).

#![expect(
    clippy::unwrap_used,
    reason = "what cannot be set up must fail the test that asked for it"
)]

#[expect(
    unreachable_pub,
    dead_code,
    reason = "the same file is a public module of `usher-tests`, which would bring the whole product along"
)]
#[path = "../../../src/proof.rs"]
mod proof;

mod engine;
mod states;
