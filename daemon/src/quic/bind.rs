//! Decides how a UDP socket is bound: both IP families on one port where the machine has both.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
};

use rustix::io::Errno;
use usher_client::socket;

/// An address that cannot be served on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on UDP {address}: {source}; {}", advice(source, *address))]
pub struct BindError {
    /// Where.
    pub address: SocketAddr,
    /// The system's error.
    pub source: io::Error,
}

/// Binds every address, or none.
///
/// # Errors
/// [`BindError`] for the first that cannot be had.
pub(super) fn bind_all(addresses: &[SocketAddr]) -> Result<Vec<UdpSocket>, BindError> {
    addresses
        .iter()
        .map(|address| bind(*address, addresses))
        .collect()
}

fn bind(address: SocketAddr, all: &[SocketAddr]) -> Result<UdpSocket, BindError> {
    let failed = |address| move |source| BindError { address, source };
    let both = address.ip() == IpAddr::from(ANY_V6);
    // Whoever lists the same port of IPv4 as well wants it on a socket of its own.
    let only_v6 = !both
        || all
            .iter()
            .any(|it| it.is_ipv4() && it.port() == address.port());
    match socket::bind(address, only_v6) {
        Err(error) if both && !only_v6 && is_ipv6_off(&error) => {
            let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
            tracing::info!("IPv6 is off here: serving on {address} alone");
            socket::bind(address, false).map_err(failed(address))
        }
        bound => bound.map_err(failed(address)),
    }
}

fn is_ipv6_off(error: &io::Error) -> bool {
    let off = [
        Errno::AFNOSUPPORT,
        Errno::ADDRNOTAVAIL,
        Errno::PROTONOSUPPORT,
    ];
    Errno::from_io_error(error).is_some_and(|errno| off.contains(&errno))
}

fn advice(source: &io::Error, address: SocketAddr) -> String {
    let port = address.port();
    match source.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another program has the port (see: ss -ulpn 'sport = :{port}'); stop it, or choose another with `listen`"
        ),
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address; see `ip address`, then mend `listen`".to_owned()
        }
        io::ErrorKind::PermissionDenied => "choose a port of 1024 or more with `listen`".to_owned(),
        _ => "choose another address with `listen`".to_owned(),
    }
}

const ANY_V6: std::net::Ipv6Addr = std::net::Ipv6Addr::UNSPECIFIED;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_socket_serves_both_families() {
        let sockets = bind_all(&["[::]:0".parse().unwrap()]).unwrap();
        let port = sockets[0].local_addr().unwrap().port();
        sockets[0].set_nonblocking(false).unwrap();
        sockets[0]
            .set_read_timeout(Some(std::time::Duration::from_secs(5)))
            .unwrap();
        let from = UdpSocket::bind("127.0.0.1:0").unwrap();
        from.send_to(b"v4", ("127.0.0.1", port)).unwrap();
        let mut bytes = [0; 8];
        assert_eq!(sockets[0].recv_from(&mut bytes).unwrap().0, 2);
    }

    #[test]
    fn a_taken_port_is_an_error_that_names_it() {
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = bind_all(&[address]).unwrap_err().to_string();
        let port = address.port();
        assert!(error.contains(&format!("sport = :{port}")), "{error}");
    }

    #[test]
    fn both_families_may_also_have_a_socket_each() {
        let bound = || {
            let free = UdpSocket::bind("0.0.0.0:0").unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            bind_all(&[(ANY_V6, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()])
        };
        // Somebody may take the port in between, but not every time.
        let both = std::iter::repeat_with(bound).take(20).find_map(Result::ok);
        assert_eq!(both.unwrap().len(), 2);
    }
}
