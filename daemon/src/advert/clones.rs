//! Decides which adverts are told as possible clones (L12): those that name our site from an address
//! that is not ours. A sighting is a hint, not proof; asking for a `Welcome` is the receiver's part.

use mdns_sd::{ResolvedService, ScopedIp};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use tokio::sync::mpsc;

/// Someone else advertises our site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloneSighting {
    /// Full name of the advert, as the network said it: do not print it unescaped.
    pub fullname: String,
    /// Where it says to be, our own addresses left out; at most 8.
    pub addrs: Vec<SocketAddr>,
}

/// Remembers what was seen, tells it at once and then four times a minute while it stands.
pub(super) struct Clones {
    site: String,
    port: u16,
    seen: VecDeque<CloneSighting>,
    told_since_tick: usize,
    sender: mpsc::Sender<CloneSighting>,
}

impl Clones {
    pub(super) fn new(site: &str, port: u16, sender: mpsc::Sender<CloneSighting>) -> Self {
        Self {
            site: site.to_owned(),
            port,
            seen: VecDeque::new(),
            told_since_tick: 0,
            sender,
        }
    }

    /// Takes in an advert; `own` are the addresses of this machine.
    pub(super) fn see(&mut self, advert: &ResolvedService, own: &[IpAddr]) {
        let site = advert.get_property_val_str("site");
        if !site.is_some_and(|site| site.eq_ignore_ascii_case(&self.site)) {
            return;
        }
        let addrs = advert
            .addresses
            .iter()
            .map(|ip| with_scope(ip, advert.port));
        self.note(&advert.fullname, addrs.collect(), own);
    }

    fn note(&mut self, fullname: &str, mut addrs: Vec<SocketAddr>, own: &[IpAddr]) {
        let is_us = |addr: &SocketAddr| addr.port() == self.port && own.contains(&addr.ip());
        addrs.retain(|addr| !is_us(addr) && !addr.ip().is_loopback());
        addrs.sort();
        addrs.truncate(ADDRS_MAX);
        let sighting = CloneSighting {
            fullname: fullname.chars().take(256).collect(),
            addrs,
        };
        if sighting.addrs.is_empty() || self.seen.contains(&sighting) {
            return;
        }
        // The newest counts: a flood of forged ones must not keep a real one out.
        self.seen.truncate(SEEN_MAX - 1);
        self.seen.push_front(sighting.clone());
        self.tell(sighting);
    }

    /// An advert was withdrawn.
    pub(super) fn forget(&mut self, fullname: &str) {
        self.seen.retain(|sighting| sighting.fullname != fullname);
    }

    /// Four times a minute: tells again what still stands, in case asking it failed.
    pub(super) fn tick(&mut self) {
        self.told_since_tick = 0;
        for sighting in self.seen.clone() {
            self.tell(sighting);
        }
    }

    fn tell(&mut self, sighting: CloneSighting) {
        if self.told_since_tick < TOLD_PER_TICK_MAX {
            self.told_since_tick += 1;
            // Full: the receiver is busy asking others; the next tick tells it again.
            let _ = self.sender.try_send(sighting);
        }
    }
}

fn with_scope(ip: &ScopedIp, port: u16) -> SocketAddr {
    match ip {
        ScopedIp::V6(v6) if v6.addr().is_unicast_link_local() => {
            SocketAddrV6::new(*v6.addr(), port, 0, v6.scope_id().index).into()
        }
        _ => SocketAddr::new(ip.to_ip_addr(), port),
    }
}

const ADDRS_MAX: usize = 8;
const SEEN_MAX: usize = 16;
const TOLD_PER_TICK_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> (Clones, mpsc::Receiver<CloneSighting>) {
        let (sender, receiver) = mpsc::channel(100);
        (Clones::new("0123456789abcdef", 27443, sender), receiver)
    }

    fn addrs(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|addr| addr.parse().unwrap()).collect()
    }

    #[test]
    fn our_own_addresses_are_no_clone_but_another_port_is() {
        let (mut clones, mut told) = watch();
        let own = ["192.0.2.1".parse().unwrap()];
        clones.note("us", addrs(&["192.0.2.1:27443", "127.0.0.1:9"]), &own);
        assert!(told.try_recv().is_err());
        clones.note("us", addrs(&["192.0.2.1:27443", "192.0.2.2:27443"]), &own);
        assert_eq!(told.try_recv().unwrap().addrs, addrs(&["192.0.2.2:27443"]));
        clones.note("copy", addrs(&["192.0.2.1:5"]), &own);
        assert_eq!(told.try_recv().unwrap().addrs, addrs(&["192.0.2.1:5"]));
    }

    #[test]
    fn a_sighting_is_told_once_a_tick_while_it_stands() {
        let (mut clones, mut told) = watch();
        for _ in 0..5 {
            clones.note("copy", addrs(&["192.0.2.2:1"]), &[]);
        }
        assert!(told.try_recv().is_ok() && told.try_recv().is_err());
        clones.tick();
        assert!(told.try_recv().is_ok() && told.try_recv().is_err());
        clones.forget("copy");
        clones.tick();
        assert!(told.try_recv().is_err());
    }

    #[test]
    fn a_flood_costs_a_bounded_number_of_questions() {
        let (mut clones, mut told) = watch();
        for n in 0..1000 {
            clones.note(&n.to_string(), addrs(&["192.0.2.2:1"]), &[]);
        }
        let count = std::iter::from_fn(|| told.try_recv().ok()).count();
        assert_eq!((count, clones.seen.len()), (TOLD_PER_TICK_MAX, SEEN_MAX));
        assert_eq!(clones.seen[0].fullname, "999");
    }
}
