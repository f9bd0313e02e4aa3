//! Decides what a place to try looks like, whichever source named it. Nothing in it is trusted: mDNS
//! and DNS are only hints (T4), and the probe alone says whether a server is genuine.

use super::limits::CANDIDATE_ADDRS_MAX;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use usher_protocol::printable::printable_char;

/// A server that may be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which source named it.
    pub origin: Origin,
    /// What to call it in front of a person: the address as written, or the mDNS instance name.
    /// Printable; at most 253 characters.
    pub name: String,
    /// Where it may answer, best first; at most 8. Link-local IPv6 addresses carry their scope.
    pub addrs: Vec<SocketAddr>,
    /// What its advert says of it; empty unless it came from mDNS or the DNS.
    pub hints: Hints,
    /// The host that sent the advert, when known: what one host may cost us is bounded.
    pub told_by: Option<IpAddr>,
}

/// Where a candidate comes from, in the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Given on the command line or in the program.
    Explicit,
    /// The environment variable `USHER_SERVER`.
    Environment,
    /// The configuration file.
    Configuration,
    /// The server that answered last time.
    LastGood,
    /// Named by the DNS under a configured domain.
    Dns,
    /// Advertised on the local network.
    Mdns,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Explicit => "given",
            Self::Environment => "USHER_SERVER",
            Self::Configuration => "configuration file",
            Self::LastGood => "last good",
            Self::Dns => "DNS",
            Self::Mdns => "mDNS",
        })
    }
}

/// The TXT record of an advert: hints to sort and to show, never to believe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// `v`: version of the advert.
    pub version: Option<String>,
    /// `roots`: first 8 hex digits of the fingerprint of each vendor root served.
    pub roots: Vec<String>,
    /// `site`: first 16 hex digits of the site key.
    pub site: Option<String>,
}

impl Hints {
    /// Most roots read from one TXT string of 255 bytes.
    const ROOTS_MAX: usize = 28;

    /// Takes one `key=value` of a TXT record in; unknown keys and values of another shape are
    /// ignored, and of a repeated key the first counts (RFC 6763 §6.4).
    pub fn take(&mut self, key: &[u8], value: &[u8]) {
        let Ok(value) = std::str::from_utf8(value) else {
            return;
        };
        let hex = |text: &str, len: usize| {
            text.len() == len && text.bytes().all(|b| b.is_ascii_hexdigit())
        };
        if key.eq_ignore_ascii_case(b"v") && self.version.is_none() {
            self.version = Some(printable(value, 16));
        } else if key.eq_ignore_ascii_case(b"site") && self.site.is_none() && hex(value, 16) {
            self.site = Some(value.to_ascii_lowercase());
        } else if key.eq_ignore_ascii_case(b"roots") && self.roots.is_empty() {
            let roots = value.split(',').filter(|root| hex(root, 8));
            self.roots = roots
                .take(Self::ROOTS_MAX)
                .map(str::to_ascii_lowercase)
                .collect();
        }
    }

    /// Whether the advert claims to serve the vendor root whose fingerprint starts with `hex8`.
    /// `None`: it does not say.
    pub fn claims_root(&self, hex8: &str) -> Option<bool> {
        (!self.roots.is_empty()).then(|| self.roots.iter().any(|root| root == hex8))
    }
}

/// A name out of the network, safe to print and at most `chars_max` characters long.
pub(super) fn printable(text: &str, chars_max: usize) -> String {
    text.chars().map(printable_char).take(chars_max).collect()
}

/// The addresses of an advert that may be dialled, best first: routable ones before link-local
/// ones. Each comes with the interface it was heard on; loopback is believed only of ourselves.
pub(super) fn dialable(
    ips: impl IntoIterator<Item = (IpAddr, u32)>,
    port: u16,
    from_self: bool,
) -> Vec<SocketAddr> {
    let mut addrs: Vec<SocketAddr> = ips
        .into_iter()
        .map(|(ip, scope)| (ip.to_canonical(), scope))
        .filter(|(ip, _)| is_host(*ip) && (from_self || !ip.is_loopback()))
        .map(|(ip, scope)| scoped(ip, port, scope))
        .collect();
    addrs.sort_by_key(|addr| (is_link_local(addr.ip()), *addr));
    addrs.dedup();
    addrs.truncate(CANDIDATE_ADDRS_MAX);
    addrs
}

/// Adds the interface to a link-local IPv6 address, which means nothing without it.
pub(super) fn scoped(ip: IpAddr, port: u16, scope: u32) -> SocketAddr {
    match ip {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            SocketAddrV6::new(v6, port, 0, scope).into()
        }
        _ => SocketAddr::new(ip, port),
    }
}

fn is_host(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4 != Ipv4Addr::BROADCAST && !v4.is_multicast() && v4.octets()[0] != 0,
        IpAddr::V6(v6) => v6 != Ipv6Addr::UNSPECIFIED && !v6.is_multicast(),
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_keep_the_first_of_each_key_and_drop_what_has_another_shape() {
        let mut hints = Hints::default();
        hints.take(b"V", b"1");
        hints.take(b"v", b"2");
        hints.take(b"site", b"0123456789ABCDEF");
        hints.take(b"roots", b"deadbeef,nothex!!,00000000,short");
        hints.take(b"other", b"x");
        assert_eq!(hints.version.as_deref(), Some("1"));
        assert_eq!(hints.site.as_deref(), Some("0123456789abcdef"));
        assert_eq!(hints.roots, ["deadbeef", "00000000"]);
        assert_eq!(hints.claims_root("deadbeef"), Some(true));
        assert_eq!(hints.claims_root("ffffffff"), Some(false));
        assert_eq!(Hints::default().claims_root("deadbeef"), None);
    }

    #[test]
    fn only_hosts_are_dialled_and_link_local_comes_last_with_its_scope() {
        let ips = [
            "fe80::1",
            "224.0.0.1",
            "0.0.0.0",
            "127.0.0.1",
            "192.0.2.1",
            "::ffff:192.0.2.1",
        ];
        let ips = ips.map(|ip| (ip.parse::<IpAddr>().unwrap(), 3));
        let addrs = dialable(ips, 7, false);
        let addrs: Vec<_> = addrs.iter().map(ToString::to_string).collect();
        assert_eq!(addrs, ["192.0.2.1:7", "[fe80::1%3]:7"]);
        assert_eq!(dialable(ips, 7, true).len(), 3);
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        assert_eq!(
            printable("a\u{1b}[31mb\u{202e}c", 80),
            "a\u{fffd}[31mb\u{fffd}c"
        );
        assert_eq!(printable("abcdef", 3), "abc");
    }
}
