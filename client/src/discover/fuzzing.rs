//! Doors for `fuzz/`, which is built with `--cfg fuzzing`: an mDNS answer without its socket. Decides nothing.

use super::{
    candidate::{Hints, dialable},
    packet,
};
use std::net::SocketAddr;

/// One server that an answer tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its name for people.
    pub instance: String,
    /// Where it may be.
    pub addrs: Vec<SocketAddr>,
    /// What it says of itself.
    pub hints: Hints,
}

/// Reads the answer to the one-shot query of this id; none where it is no such answer.
pub fn reply(bytes: &[u8], id: u16) -> Option<Vec<Told>> {
    let adverts = packet::parse_reply(bytes, id).ok()?;
    let told = adverts.into_iter().map(|advert| Told {
        addrs: dialable(advert.ips.iter().map(|ip| (*ip, 2)), advert.port, false),
        instance: advert.instance,
        hints: advert.hints,
    });
    Some(told.collect())
}

/// The question that is asked.
pub fn query(id: u16) -> Vec<u8> {
    packet::query(id).unwrap_or_default()
}
