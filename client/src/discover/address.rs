//! Decides what a server address written by a person means. Pure: it resolves no name and knows no
//! interface; whether anybody answers there is the hunt's business.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The one UDP port of every `usherd`, for all vendors (DESIGN 7).
pub const DEFAULT_PORT: u16 = 27443;

/// A server address as it was written: `host`, `host:port`, `192.0.2.7:27443`, `2001:db8::7`,
/// `[2001:db8::7]:27443`, `fe80::7%eth0`, `[fe80::7%eth0]:27443`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// Whom to ask.
    pub host: Host,
    /// UDP port, never 0; [`DEFAULT_PORT`] when none was written.
    pub port: u16,
}

/// The host part of an [`Address`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name for the system's resolver, at most 253 characters.
    Name(String),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address; link-local ones need the interface they are meant on, by name or number.
    V6(Ipv6Addr, Option<String>),
}

/// Why a text is no address, with what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a server address: {problem}; {advice}")]
pub struct MalformedAddress {
    /// The text as given, cut to 80 characters.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
    /// What to do next.
    pub advice: &'static str,
}

impl Address {
    /// Reads a comma-separated list, as `USHER_SERVER` may hold; an empty text is an empty list.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, MalformedAddress> {
        if text.trim().is_empty() {
            return Ok(Vec::new());
        }
        text.split(',').map(|part| part.trim().parse()).collect()
    }
}

impl FromStr for Address {
    type Err = MalformedAddress;

    fn from_str(text: &str) -> Result<Self, MalformedAddress> {
        parse(text.trim()).map_err(|(problem, advice)| MalformedAddress {
            text: text.chars().take(80).collect(),
            problem,
            advice,
        })
    }
}

impl fmt::Display for Address {
    /// Writes what [`FromStr`] reads, the port always included.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "{name}:{}", self.port),
            Host::V4(ip) => write!(f, "{ip}:{}", self.port),
            Host::V6(ip, None) => write!(f, "[{ip}]:{}", self.port),
            Host::V6(ip, Some(scope)) => write!(f, "[{ip}%{scope}]:{}", self.port),
        }
    }
}

impl From<std::net::SocketAddr> for Address {
    fn from(addr: std::net::SocketAddr) -> Self {
        let host = match addr {
            std::net::SocketAddr::V4(v4) => Host::V4(*v4.ip()),
            std::net::SocketAddr::V6(v6) => {
                let scope = (v6.scope_id() != 0).then(|| v6.scope_id().to_string());
                Host::V6(*v6.ip(), scope)
            }
        };
        Self {
            host,
            port: addr.port(),
        }
    }
}

type Problem = (&'static str, &'static str);

fn parse(text: &str) -> Result<Address, Problem> {
    if text.is_empty() {
        return Err(("it is empty", EXAMPLES));
    }
    if text.contains("://") {
        return Err(("it looks like a URL", "leave out the part up to `//`"));
    }
    if text.contains('@') {
        return Err(("it has an `@`", "write host:port, not port@host"));
    }
    if text.contains('/') {
        return Err(("it has a `/`", EXAMPLES));
    }
    if let Some(rest) = text.strip_prefix('[') {
        return parse_bracketed(rest);
    }
    match text.matches(':').count() {
        0 => address(text, DEFAULT_PORT),
        1 => {
            let (host, port) = text.split_once(':').unwrap_or((text, ""));
            address(host, parse_port(port)?)
        }
        // Two colons or more: an IPv6 address without brackets, so without a port.
        _ => Ok(Address {
            host: parse_v6(text)?,
            port: DEFAULT_PORT,
        }),
    }
}

fn parse_bracketed(rest: &str) -> Result<Address, Problem> {
    let Some((inside, after)) = rest.split_once(']') else {
        return Err((
            "the `[` is never closed",
            "write it like [2001:db8::7]:27443",
        ));
    };
    let port = match after.strip_prefix(':') {
        Some(port) => parse_port(port)?,
        None if after.is_empty() => DEFAULT_PORT,
        None => return Err(("only `:port` may follow the `]`", EXAMPLES)),
    };
    Ok(Address {
        host: parse_v6(inside)?,
        port,
    })
}

fn address(host: &str, port: u16) -> Result<Address, Problem> {
    let host = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => v4(ip)?,
        Ok(IpAddr::V6(ip)) => v6(ip, None)?,
        Err(_) => name(host)?,
    };
    Ok(Address { host, port })
}

fn parse_port(text: &str) -> Result<u16, Problem> {
    let advice = "a port is a number from 1 to 65535; leave it out for 27443";
    // `u16::from_str` takes a leading `+`.
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(("what follows the `:` is not a port number", advice));
    }
    match text.parse() {
        Ok(0) | Err(_) => Err(("the port is out of range", advice)),
        Ok(port) => Ok(port),
    }
}

fn parse_v6(text: &str) -> Result<Host, Problem> {
    let (ip, scope) = match text.split_once('%') {
        None => (text, None),
        Some((ip, scope)) => (ip, Some(parse_scope(scope)?)),
    };
    match ip.parse() {
        Ok(ip) => v6(ip, scope),
        Err(_) => Err((
            "the IPv6 address in it cannot be read",
            "an IPv6 address with a port goes in brackets, like [2001:db8::7]:27443",
        )),
    }
}

fn parse_scope(scope: &str) -> Result<String, Problem> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    // 15 is Linux' longest interface name; other systems name theirs in up to 64.
    if scope.is_empty() || scope.len() > 64 || !scope.chars().all(fine) {
        return Err((
            "what follows the `%` is no interface",
            "write the interface's name, like fe80::7%eth0",
        ));
    }
    Ok(scope.to_owned())
}

fn v4(ip: Ipv4Addr) -> Result<Host, Problem> {
    if ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast() {
        return Err(("no single host has that address", EXAMPLES));
    }
    Ok(Host::V4(ip))
}

fn v6(ip: Ipv6Addr, scope: Option<String>) -> Result<Host, Problem> {
    if ip.is_unspecified() || ip.is_multicast() {
        return Err(("no single host has that address", EXAMPLES));
    }
    if ip.is_unicast_link_local() && scope.is_none() {
        return Err((
            "a link-local address needs its interface",
            "add `%` and the interface, like fe80::7%eth0",
        ));
    }
    Ok(Host::V6(ip, scope))
}

fn name(text: &str) -> Result<Host, Problem> {
    let bare = text.strip_suffix('.').unwrap_or(text);
    if bare.is_empty() {
        return Err(("the host is missing", EXAMPLES));
    }
    if bare.len() > 253 || bare.split('.').any(|label| label.len() > 63) {
        return Err(("the host name is too long", "check it for a slip"));
    }
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    if !bare
        .split('.')
        .all(|label| !label.is_empty() && label.chars().all(fine))
    {
        return Err(("the host name has characters no host name has", EXAMPLES));
    }
    // `getaddrinfo` reads 10.1 as 10.0.0.1: never what was meant.
    if bare
        .split('.')
        .all(|label| label.bytes().all(|b| b.is_ascii_digit()))
    {
        return Err((
            "it is made of digits but is not an IPv4 address",
            "write four numbers, like 192.0.2.7",
        ));
    }
    Ok(Host::Name(text.to_owned()))
}

const EXAMPLES: &str = "write it like lic01, lic01:27443 or [2001:db8::7]:27443";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> String {
        match text.parse::<Address>() {
            Ok(address) => address.to_string(),
            Err(error) => format!("! {}", error.problem),
        }
    }

    #[test]
    fn every_form_gets_its_port() {
        for (text, meaning) in [
            ("lic01", "lic01:27443"),
            (" lic01.example.com ", "lic01.example.com:27443"),
            ("lic01:5", "lic01:5"),
            ("192.0.2.7", "192.0.2.7:27443"),
            ("192.0.2.7:65535", "192.0.2.7:65535"),
            ("::1", "[::1]:27443"),
            ("2001:db8::7", "[2001:db8::7]:27443"),
            ("[2001:db8::7]", "[2001:db8::7]:27443"),
            ("[2001:db8::7]:9", "[2001:db8::7]:9"),
            ("fe80::7%eth0", "[fe80::7%eth0]:27443"),
            ("[fe80::7%3]:9", "[fe80::7%3]:9"),
            ("bücher.example", "bücher.example:27443"),
        ] {
            assert_eq!(read(text), meaning, "{text}");
        }
    }

    #[test]
    fn a_slip_is_named() {
        for (text, problem) in [
            ("", "! it is empty"),
            ("https://lic01", "! it looks like a URL"),
            ("27000@lic01", "! it has an `@`"),
            ("lic01/x", "! it has a `/`"),
            ("lic01:", "! what follows the `:` is not a port number"),
            ("lic01:+5", "! what follows the `:` is not a port number"),
            ("lic01:0", "! the port is out of range"),
            ("lic01:65536", "! the port is out of range"),
            (":27443", "! the host is missing"),
            ("[::1", "! the `[` is never closed"),
            ("[::1]x", "! only `:port` may follow the `]`"),
            ("[lic01]:5", "! the IPv6 address in it cannot be read"),
            ("1:2:3", "! the IPv6 address in it cannot be read"),
            ("fe80::7", "! a link-local address needs its interface"),
            ("fe80::7%", "! what follows the `%` is no interface"),
            ("fe80::7%a b", "! what follows the `%` is no interface"),
            ("0.0.0.0", "! no single host has that address"),
            ("[ff02::fb]", "! no single host has that address"),
            ("10.1", "! it is made of digits but is not an IPv4 address"),
            ("lic 01", "! the host name has characters no host name has"),
            ("a..b", "! the host name has characters no host name has"),
        ] {
            assert_eq!(read(text), problem, "{text}");
        }
    }

    #[test]
    fn the_message_names_the_next_step() {
        insta::assert_snapshot!("lic01:x".parse::<Address>().unwrap_err(), @r#""lic01:x" is not a server address: what follows the `:` is not a port number; a port is a number from 1 to 65535; leave it out for 27443"#);
    }

    #[test]
    fn a_list_is_read_in_its_order() {
        let list = Address::parse_list("b, a:1 ,[::1]").unwrap();
        let list: Vec<_> = list.iter().map(ToString::to_string).collect();
        assert_eq!(list, ["b:27443", "a:1", "[::1]:27443"]);
        assert!(Address::parse_list("  ").unwrap().is_empty());
        assert!(Address::parse_list("a,,b").is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_read_is_written_back(text in "\\PC{0,100}") {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
            }
        }

        #[test]
        fn likely_texts_come_back(text in "[\\[]?[a-f0-9:.%]{1,20}[\\]]?(:[0-9]{1,6})?") {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
            }
        }
    }
}
