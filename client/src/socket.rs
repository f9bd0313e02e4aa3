//! The UDP sockets of both ends: how many bytes they hold until somebody reads.
//!
//! Must not decide on which addresses anybody listens.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
};

use socket2::{Domain, Protocol, Socket, Type};

/// A socket that waits for nobody, bound to `address`; of IPv6 alone, or where the address is the unspecified one
/// also of IPv4.
///
/// # Errors
/// The system's, such as an address in use.
pub fn bind(address: SocketAddr, only_v6: bool) -> io::Result<UdpSocket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // Said explicitly: the default is the administrator's sysctl.
        socket.set_only_v6(only_v6)?;
    }
    // The small default drops a burst: of handshakes at a daemon, of a batch's answers at a program with hundreds of
    // connections. A refusal is no error.
    drop(socket.set_recv_buffer_size(BUFFER_BYTES));
    drop(socket.set_send_buffer_size(BUFFER_BYTES));
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// At most: what waits takes memory, and nothing else does.
const BUFFER_BYTES: usize = 2 << 20;

#[cfg(test)]
mod tests {
    use socket2::SockRef;

    use super::*;

    #[test]
    fn it_holds_more_than_the_system_gives_by_itself_where_it_may() {
        let local = "127.0.0.1:0".parse().unwrap();
        let ours = bind(local, true).unwrap();
        let usual = UdpSocket::bind(local).unwrap();
        let held = |socket| SockRef::from(socket).recv_buffer_size().unwrap();
        let limit = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap();
        let limit: usize = limit.trim().parse().unwrap();
        // The kernel doubles what it is asked for.
        assert_eq!(held(&ours), 2 * BUFFER_BYTES.min(limit));
        assert!(held(&ours) >= held(&usual));
    }
}
