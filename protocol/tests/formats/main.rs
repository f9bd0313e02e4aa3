//! The formats as others see them: their bytes, their bounds, and what is never accepted (S5, T1–T8).

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod confusion;
mod documented;
mod golden;
mod lease_file;
mod mutation;
mod openssl;
mod roundtrip;
mod samples;
mod size;
mod strategies;
