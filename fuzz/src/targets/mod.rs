//! The targets.

pub mod admin;
pub mod config;
pub mod documents;
pub mod engine;
pub mod flexnet;
pub mod frame;
pub mod lease_file;
pub mod license;
pub mod log_segment;
pub mod mdns_answer;
pub mod mdns_packet;
pub mod mdns_txt;
pub mod policy;
pub mod reply;
pub mod session;
pub mod signed;
pub mod store;
pub mod words;

/// The bytes as text, where they are one.
fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// What people are shown of a fault steers no terminal.
fn shown(message: &str) {
    let steers = |c: char| c.is_control() && c != '\n';
    assert!(!message.contains(steers), "{message:?}");
}
