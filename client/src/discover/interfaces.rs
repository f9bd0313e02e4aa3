//! Decides which network interfaces are asked. The list is taken anew each time: interfaces come
//! and go.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

/// An interface that is up, with its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name, like `eth0`.
    pub name: String,
    /// The kernel's number for it, the scope of link-local addresses on it.
    pub index: u32,
    /// Its IPv4 addresses.
    pub v4: Vec<Ipv4Addr>,
    /// Its IPv6 addresses.
    pub v6: Vec<Ipv6Addr>,
    /// Whether it is the loopback interface.
    pub loopback: bool,
    /// Whether it leads to one other host only, as tunnels do; mdns-sd leaves those out.
    pub point_to_point: bool,
}

/// Lists the interfaces that are up and have an address, by number.
///
/// # Errors
/// What the system says if it cannot list them.
pub fn up() -> io::Result<Vec<Interface>> {
    let mut found: BTreeMap<u32, Interface> = BTreeMap::new();
    for each in if_addrs::get_if_addrs()? {
        let Some(index) = each.index.filter(|_| each.is_oper_up()) else {
            continue;
        };
        let interface = found.entry(index).or_insert_with(|| Interface {
            name: each.name.clone(),
            index,
            v4: Vec::new(),
            v6: Vec::new(),
            loopback: each.is_loopback(),
            point_to_point: each.is_p2p(),
        });
        match each.addr {
            if_addrs::IfAddr::V4(v4) => interface.v4.push(v4.ip),
            if_addrs::IfAddr::V6(v6) => interface.v6.push(v6.ip),
        }
    }
    Ok(found.into_values().collect())
}

/// The number of the interface a person named, by name or by number.
pub(super) fn index_of(scope: &str) -> Option<u32> {
    if let Ok(index) = scope.parse() {
        return Some(index);
    }
    let named = up().ok()?.into_iter().find(|each| each.name == scope);
    named.map(|each| each.index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_a_number_or_a_name_that_is_there() {
        assert_eq!(index_of("7"), Some(7));
        assert_eq!(index_of("no-such-if"), None);
        if let Some(first) = up().unwrap().first() {
            assert_eq!(index_of(&first.name), Some(first.index));
        }
    }
}
