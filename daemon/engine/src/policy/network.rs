//! Networks in CIDR notation: which addresses are inside. An IPv4 address is one, however a socket
//! wraps it.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// `10.1.0.0/16`, `fd00::/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

/// Why a text is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Not an address with a prefix length.
    #[error(
        "not a network: expected an address and the bits of its prefix, like `10.1.0.0/16` or `fd00::/8`"
    )]
    Text,
    /// More bits than the address has.
    #[error("{0} bits, and such an address has {1}")]
    Bits(u8, u8),
    /// The address has bits beyond the prefix.
    #[error("an address inside the network, not the network itself: did you mean `{0}`?")]
    Inside(Network),
}

impl Network {
    /// Whether this address, in its canonical form, is inside.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => masked_v4(address, self.bits) == first,
            (IpAddr::V6(first), IpAddr::V6(address)) => masked_v6(address, self.bits) == first,
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(prefix(bits)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Text)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        if bits > width {
            return Err(NetworkError::Bits(bits, width));
        }
        let first = match address {
            IpAddr::V4(address) => IpAddr::V4(masked_v4(address, bits)),
            IpAddr::V6(address) => IpAddr::V6(masked_v6(address, bits)),
        };
        let network = Self { first, bits }.canonical();
        if first == address {
            Ok(network)
        } else {
            Err(NetworkError::Inside(network))
        }
    }
}

impl Network {
    /// `::ffff:10.0.0.0/104` is `10.0.0.0/8`: addresses are compared in their canonical form.
    fn canonical(self) -> Self {
        match self.first.to_canonical() {
            first @ IpAddr::V4(_) if self.first.is_ipv6() && self.bits >= MAPPED_BITS => Self {
                first,
                bits: self.bits - MAPPED_BITS,
            },
            _ => self,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

fn prefix(digits: &str) -> Result<u8, NetworkError> {
    if digits.len() > 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NetworkError::Text);
    }
    digits.parse().map_err(|_| NetworkError::Text)
}

fn masked_v4(address: Ipv4Addr, bits: u8) -> Ipv4Addr {
    let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
    Ipv4Addr::from_bits(address.to_bits() & mask)
}

fn masked_v6(address: Ipv6Addr, bits: u8) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
    Ipv6Addr::from_bits(address.to_bits() & mask)
}

const MAPPED_BITS: u8 = 96;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_inside_or_not() {
        for (network, address, expected) in [
            ("10.1.0.0/16", "10.1.255.1", true),
            ("10.1.0.0/16", "10.2.0.1", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "192.0.2.1", false),
            ("::/0", "2001:db8::1", true),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("::1/128", "::1", true),
            // An IPv4 address that a dual-stack socket wraps is that IPv4 address.
            ("10.1.0.0/16", "::ffff:10.1.0.9", true),
            ("::ffff:10.1.0.0/112", "10.1.0.9", true),
            ("::ffff:10.1.0.0/112", "::ffff:10.2.0.9", false),
        ] {
            let network: Network = network.parse().unwrap();
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(
                network.contains(address.to_canonical()),
                expected,
                "{network} {address}"
            );
        }
    }

    #[test]
    fn a_wrong_network_says_what_it_should_be() {
        for text in [
            "",
            "10.1",
            "10.1.0.0/",
            "10.1.0.0/+8",
            "10.0.0.0/8/8",
            "lab",
            "10.1.0.0/999",
        ] {
            assert_eq!(text.parse::<Network>(), Err(NetworkError::Text), "{text}");
        }
        assert_eq!(
            "10.0.0.0/33".parse::<Network>(),
            Err(NetworkError::Bits(33, 32))
        );
        assert_eq!(
            "::/129".parse::<Network>(),
            Err(NetworkError::Bits(129, 128))
        );
        let error = "10.1.2.3/16".parse::<Network>().unwrap_err();
        assert!(error.to_string().contains("`10.1.0.0/16`"), "{error}");
    }
}
