//! Is the network of the other tests what they take it for?

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use usher_tests::hosts::{Host, on_lan};

#[test]
fn hosts_reach_each_other_by_address() {
    on_lan(|lan| {
        let (one, two) = (lan.host("one"), lan.host("two"));
        for address in [one.addr(), one.addr6()] {
            two.sh(&format!("ping -c 1 -w 60 {address}"));
        }
        assert_eq!(one.sh("hostname"), "one\n");
        assert_ne!(one.sh("cat /etc/machine-id"), two.sh("cat /etc/machine-id"));
    });
}

#[test]
fn hosts_hear_multicast() {
    on_lan(|lan| {
        let (one, two) = (lan.host("one"), lan.host("two"));
        let listener = listen(&one);
        shout(&two, b"anyone?");
        assert_eq!(
            heard(&listener, PATIENCE),
            Some((b"anyone?".to_vec(), two.addr()))
        );
    });
}

#[test]
fn a_cut_host_hears_nothing_until_restored() {
    on_lan(|lan| {
        let (one, two) = (lan.host("one"), lan.host("two"));
        let listener = listen(&one);
        one.cut();
        shout(&two, b"lost");
        assert_eq!(heard(&listener, QUIET), None);
        one.restore();
        shout(&two, b"back");
        assert_eq!(
            heard(&listener, PATIENCE),
            Some((b"back".to_vec(), two.addr()))
        );
    });
}

#[test]
fn a_host_changes_its_address() {
    on_lan(|lan| {
        let (one, two) = (lan.host("one"), lan.host("two"));
        let old = one.addr();
        one.change_addr();
        assert_ne!(old, one.addr());
        two.sh(&format!("ping -c 1 -w 60 {}", one.addr()));
        two.sh(&format!("! ping -c 1 -W 1 {old}"));
        one.unplug();
        two.sh(&format!("! ping -c 1 -W 1 {}", one.addr()));
        one.plug();
        two.sh(&format!("ping -c 1 -w 60 {}", one.addr()));
    });
}

fn listen(host: &Host) -> UdpSocket {
    let socket = host.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, GROUP.port())).unwrap());
    let IpAddr::V4(interface) = host.addr() else {
        unreachable!("addr is IPv4")
    };
    let IpAddr::V4(group) = GROUP.ip() else {
        unreachable!("the group is IPv4")
    };
    socket.join_multicast_v4(&group, &interface).unwrap();
    socket
}

fn shout(host: &Host, words: &[u8]) {
    let socket = host.enter(|| UdpSocket::bind((host.addr(), 0)).unwrap());
    socket.send_to(words, GROUP).unwrap();
}

fn heard(socket: &UdpSocket, wait: Duration) -> Option<(Vec<u8>, IpAddr)> {
    socket.set_read_timeout(Some(wait)).unwrap();
    let mut buffer = [0; 64];
    match socket.recv_from(&mut buffer) {
        Ok((length, from)) => Some((buffer[..length].to_vec(), from.ip())),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("{error}"),
    }
}

const QUIET: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_mins(1);
const GROUP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(239, 77, 0, 1)), 7777);
