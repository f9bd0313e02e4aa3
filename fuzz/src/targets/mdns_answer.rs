//! `mdns_answer`: an answer to the client's one-shot mDNS query, from anybody on the LAN.

use usher_client::discover::fuzzing::{Told, reply};
use usher_protocol::printable::printable;

/// Reads the packet as the answer to a query of its own id.
pub fn run(data: &[u8]) {
    let id = data
        .first_chunk::<2>()
        .map_or(0, |id| u16::from_be_bytes(*id));
    for told in reply(data, id).unwrap_or_default() {
        check(&told);
    }
}

/// What is told is bounded and can be shown.
pub(super) fn check(told: &Told) {
    assert!(told.instance.chars().count() <= 63 && told.addrs.len() <= 8);
    assert_eq!(told.instance, printable(&told.instance));
    assert!(told.addrs.iter().all(|it| it.port() != 0));
    let hints = &told.hints;
    assert!(hints.roots.len() <= 28 && hints.roots.iter().all(|it| it.len() == 8));
    assert!(hints.site.as_ref().is_none_or(|it| it.len() == 16));
    let version = hints.version.as_deref().unwrap_or_default();
    assert!(version.chars().count() <= 16 && version == printable(version));
}
