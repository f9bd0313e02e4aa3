//! Asks every interface once in a while by a query from an ephemeral port (RFC 6762 §6.7): each
//! server answers it at once and by unicast, exempt from the one-second rate limit that a browse
//! waits for. It decides when and where to ask; what an answer means, `packet` decides.

use super::candidate::{Candidate, Origin, dialable};
use super::interfaces::{self, Interface};
use super::limits::{INTERFACES_EVERY, PACKET_BYTES_MAX, SOCKETS_MAX};
use super::mdns::Sink;
use super::packet::{self, Advert};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// Asks until dropped. Whatever fails is reported and tried again.
pub(super) async fn run(sink: Sink) {
    let mut id = [0; 2];
    if let Err(error) = getrandom::fill(&mut id) {
        return sink.report.problem(format!("no randomness: {error}"));
    }
    let id = u16::from_ne_bytes(id);
    let query = match packet::query(id) {
        Ok(query) => query,
        Err(error) => return sink.report.problem(format!("no query: {error}")),
    };
    let mut asker = Asker {
        sink,
        id,
        query,
        sockets: HashMap::new(),
    };
    for tick in 0_u32.. {
        asker.ask(asks_all(tick)).await;
        tokio::time::sleep(INTERFACES_EVERY).await;
    }
}

/// At the start, after 0.25, 1, 2 and 4 s, then every 4 s; a new interface is asked when it is seen.
fn asks_all(tick: u32) -> bool {
    matches!(tick, 0 | 1 | 4 | 8) || tick.is_multiple_of(16)
}

struct Asker {
    sink: Sink,
    id: u16,
    query: Vec<u8>,
    sockets: HashMap<Outlet, Listening>,
}

/// One way out: an interface and a source address on it (IPv6: the family, the kernel picks).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Outlet {
    index: u32,
    interface: String,
    source: IpAddr,
}

/// A socket and the task that reads it, which ends with it.
struct Listening {
    socket: Arc<UdpSocket>,
    _reader: JoinSet<()>,
}

impl Asker {
    async fn ask(&mut self, all: bool) {
        let outlets = match interfaces::up() {
            Ok(interfaces) => outlets(&interfaces),
            Err(error) => return self.sink.report.problem(format!("no interfaces: {error}")),
        };
        if outlets.is_empty() {
            self.sink
                .report
                .problem("no network interface is up".to_owned());
        }
        self.sockets.retain(|outlet, _| outlets.contains(outlet));
        for outlet in outlets {
            let known = self.sockets.contains_key(&outlet);
            if !all && known {
                continue;
            }
            if let Err(error) = self.ask_on(&outlet).await {
                self.sockets.remove(&outlet);
                self.report_failure(&outlet, &error);
            }
        }
    }

    async fn ask_on(&mut self, outlet: &Outlet) -> io::Result<()> {
        let socket = match self.sockets.get(outlet) {
            Some(listening) => Arc::clone(&listening.socket),
            None => self.listen(outlet)?,
        };
        let group: IpAddr = match outlet.source {
            IpAddr::V4(_) => GROUP_V4.into(),
            IpAddr::V6(_) => GROUP_V6.into(),
        };
        socket.send_to(&self.query, (group, MDNS_PORT)).await?;
        self.sink.report.asked_on(&outlet.interface);
        Ok(())
    }

    fn listen(&mut self, outlet: &Outlet) -> io::Result<Arc<UdpSocket>> {
        let socket = Arc::new(open(outlet)?);
        let mut reader = JoinSet::new();
        reader.spawn(read(
            Arc::clone(&socket),
            self.id,
            outlet.index,
            self.sink.clone(),
        ));
        let listening = Listening {
            socket: Arc::clone(&socket),
            _reader: reader,
        };
        self.sockets.insert(outlet.clone(), listening);
        Ok(socket)
    }

    /// Loopback often refuses multicast, which nobody needs to read about.
    fn report_failure(&self, outlet: &Outlet, error: &io::Error) {
        if !outlet.source.is_loopback() {
            self.sink
                .report
                .problem(format!("{}: {error}", outlet.interface));
        }
    }
}

/// Each IPv4 address is its own way out (its subnet's servers answer it), IPv6 one per interface.
fn outlets(interfaces: &[Interface]) -> Vec<Outlet> {
    let mut outlets = Vec::new();
    for each in interfaces {
        let v4 = each.v4.iter().map(|ip| IpAddr::V4(*ip));
        let any_v6 = if each.loopback {
            Ipv6Addr::LOCALHOST
        } else {
            Ipv6Addr::UNSPECIFIED
        };
        let v6 = (!each.v6.is_empty()).then_some(IpAddr::V6(any_v6));
        outlets.extend(v4.chain(v6).map(|source| Outlet {
            index: each.index,
            interface: each.name.clone(),
            source,
        }));
    }
    outlets.truncate(SOCKETS_MAX);
    outlets
}

fn open(outlet: &Outlet) -> io::Result<UdpSocket> {
    let socket = match outlet.source {
        IpAddr::V4(source) => {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
            socket.set_multicast_if_v4(&source)?;
            socket.set_multicast_ttl_v4(HOPS)?;
            socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into())?;
            socket
        }
        IpAddr::V6(_) => {
            let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
            socket.set_only_v6(true)?;
            socket.set_multicast_if_v6(outlet.index)?;
            socket.set_multicast_hops_v6(HOPS)?;
            socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into())?;
            socket
        }
    };
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket.into())
}

async fn read(socket: Arc<UdpSocket>, id: u16, scope: u32, sink: Sink) {
    // One byte more than is taken, so that a longer message shows.
    let mut buffer = vec![0; PACKET_BYTES_MAX + 1];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            // An ICMP error of an earlier send; the pause keeps a broken socket from spinning.
            tokio::time::sleep(INTERFACES_EVERY).await;
            continue;
        };
        // RFC 6762 §6: an answer from another port must be ignored.
        if from.port() != MDNS_PORT {
            continue;
        }
        match packet::parse_reply(&buffer[..length], id) {
            Ok(adverts) => {
                for advert in adverts {
                    sink.offer(candidate(advert, from, scope)).await;
                }
            }
            Err(error) => tracing::debug!(%from, %error, "mDNS answer ignored"),
        }
    }
}

fn candidate(advert: Advert, from: SocketAddr, scope: u32) -> Candidate {
    // An answer without addresses still came from one.
    let sender = advert.ips.is_empty().then_some(from.ip());
    let ips = advert.ips.into_iter().chain(sender);
    Candidate {
        origin: Origin::Mdns,
        name: advert.instance,
        addrs: dialable(
            ips.map(|ip| (ip, scope)),
            advert.port,
            from.ip().is_loopback(),
        ),
        hints: advert.hints,
        told_by: Some(from.ip()),
    }
}

const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
const MDNS_PORT: u16 = 5353;
/// RFC 6762 §11; some servers ignore what has come through a router.
const HOPS: u32 = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_often_at_first_and_seldom_later() {
        let asked: Vec<_> = (0..=48).filter(|tick| asks_all(*tick)).collect();
        assert_eq!(asked, [0, 1, 4, 8, 16, 32, 48]);
    }

    #[test]
    fn every_v4_address_and_each_v6_interface_is_a_way_out() {
        let interface = Interface {
            name: "eth0".to_owned(),
            index: 2,
            v4: vec![Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 1)],
            v6: vec!["fe80::1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            loopback: false,
            point_to_point: false,
        };
        assert_eq!(outlets(std::slice::from_ref(&interface)).len(), 3);
        assert_eq!(outlets(&vec![interface; 100]).len(), SOCKETS_MAX);
    }

    #[test]
    fn an_advert_without_addresses_is_at_its_senders() {
        let advert = Advert {
            instance: "lic01".to_owned(),
            port: 9,
            ips: vec![],
            hints: crate::discover::Hints::default(),
        };
        let from = "[fe80::7%4]:5353".parse().unwrap();
        let candidate = candidate(advert, from, 4);
        assert_eq!(candidate.addrs, ["[fe80::7%4]:9".parse().unwrap()]);
    }
}
