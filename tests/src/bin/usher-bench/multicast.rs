//! Plays the other machines of a network: one that has just asked, and one that browses as everybody's library does.
//! Must not use Usher's own discovery, which is what is measured.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::time::Duration;

use mdns_sd::{ServiceDaemon, ServiceEvent};
use usher_tests::hosts::Host;

use crate::stopwatch::{now_ns, us_since};

/// Asks from `host` by multicast, over IPv4 and then IPv6, and waits until a server has answered to all over each:
/// from then on it is silent to multicast questions for a second (RFC 6762 §6).
pub(crate) fn ask_all(host: &Host) {
    let line = host.sh("ip -o link show eth0");
    let index: u32 = line.split(':').next().unwrap().parse().unwrap();
    let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    for any in any {
        let socket = host.enter(|| UdpSocket::bind((any, PORT)).unwrap());
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let group: SocketAddr = match host.addr() {
            IpAddr::V4(own) if any.is_ipv4() => {
                socket.join_multicast_v4(&GROUP, &own).unwrap();
                (GROUP, PORT).into()
            }
            _ => {
                socket.join_multicast_v6(&GROUP_V6, index).unwrap();
                SocketAddrV6::new(GROUP_V6, PORT, 0, index).into()
            }
        };
        socket.send_to(QUESTION, group).unwrap();
        while !is_response(&socket) {}
    }
}

/// What comes here came to all: the question bears the port that forbids a unicast answer (RFC 6762 §6.7).
fn is_response(socket: &UdpSocket) -> bool {
    let mut packet = [0; 9000];
    let (length, from) = socket.recv_from(&mut packet).unwrap();
    length > 2 && packet[2] & 0x80 != 0 && from.port() == PORT
}

/// How long a plain browse on `host` takes to resolve a server, in milliseconds.
pub(crate) fn browse(host: &Host) -> f64 {
    host.enter(|| {
        let began = now_ns();
        let daemon = ServiceDaemon::new().unwrap();
        let events = daemon.browse("_usher._udp.local.").unwrap();
        loop {
            let event = events.recv_timeout(PATIENCE).unwrap();
            if let ServiceEvent::ServiceResolved(_) = event {
                let took = us_since(began) / 1000.0;
                let _ = daemon.shutdown().map(|ended| ended.recv());
                return took;
            }
        }
    })
}

/// PTR of `_usher._udp.local`, class IN, no wish for unicast.
const QUESTION: &[u8] = b"\0\0\0\0\0\x01\0\0\0\0\0\0\x06_usher\x04_udp\x05local\0\0\x0c\0\x01";
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
const PORT: u16 = 5353;
const PATIENCE: Duration = Duration::from_secs(6);
