//! Whether clients can reach the daemon: its port answers with its key, and its advert is seen on the network.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use quinn::Endpoint;
use usher_client::{
    discover::Search,
    doctor::Check,
    keyfile,
    tls::{self, ExpectedServer, SERVER_NAME},
};
use usher_protocol::{ids::PublicKey, limits::HANDSHAKE_MS_MAX};

use crate::{admin::protocol::StatusReport, config::Config};

pub(super) fn checks(config: &Config, status: &StatusReport) -> Vec<Check> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let (Ok(runtime), Ok(site)) = (runtime, status.site.parse::<PublicKey>()) else {
        let next = "free memory and file handles, then try again";
        return vec![Check::fail("port", "it cannot be asked from here", next)];
    };
    let mut checks = vec![listening(config, status)];
    checks.extend(runtime.block_on(async {
        let mut checks = Vec::new();
        for address in &status.listen {
            checks.push(answering(address, site).await);
        }
        checks.push(advert(&status.advert, site).await);
        checks
    }));
    checks
}

/// Without a daemon its port should be free.
pub(super) fn port_of_a_stopped_daemon(config: &Config) -> Check {
    for address in &config.listen {
        if let Err(error) = UdpSocket::bind(address) {
            return Check::fail(
                "port",
                format!("UDP {address} cannot be had: {error}"),
                format!("see who has it: ss -lunp 'sport = :{}'", address.port()),
            );
        }
    }
    Check::ok(
        "port",
        format!("UDP {} is free for usherd", super::wanted_port(config)),
    )
}

/// A configuration that was changed and not restarted for is one that clients do not find.
fn listening(config: &Config, status: &StatusReport) -> Check {
    let wanted = super::wanted_port(config);
    // Flags and variables of `serve` are not known here: without a word in the file none is missed.
    if config.listen_is_default || port_of(status) == Some(wanted) {
        return Check::ok("listen", format!("UDP {}", status.listen.join(", ")));
    }
    Check::warn(
        "listen",
        format!(
            "it serves on {}, the configuration says port {wanted}",
            status.listen.join(", ")
        ),
        "systemctl restart usherd, or name the configuration that it runs with: --config",
    )
}

async fn answering(address: &str, site: PublicKey) -> Check {
    let Some(target) = address.parse().ok().map(reachable) else {
        return Check::warn(
            "port",
            format!("{address} cannot be asked"),
            "usherd status",
        );
    };
    // Patience only, so it may stop in a suspend.
    let asked = tokio::time::timeout(HANDSHAKE_MS_MAX.to_std(), shows_key(target, site)).await;
    if asked == Ok(true) {
        return Check::ok("port", format!("UDP {target} answers with the site key"));
    }
    Check::fail(
        "port",
        format!("nobody answers with the site key on UDP {target}"),
        "journalctl -u usherd; look for a packet filter that drops UDP on this machine itself: nft list ruleset",
    )
}

/// An address of any kind is asked over the loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    };
    SocketAddr::new(ip, address.port())
}

/// Whoever lacks the site key does not even finish the handshake (T4).
async fn shows_key(address: SocketAddr, site: PublicKey) -> bool {
    let Ok(key) = keyfile::new_key() else {
        return false;
    };
    let Ok(config) = tls::client_config(&key, ExpectedServer::Key(site)) else {
        return false;
    };
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let Ok(endpoint) = Endpoint::client(any) else {
        return false;
    };
    match endpoint.connect_with(config, address, SERVER_NAME) {
        Ok(connecting) => connecting.await.is_ok(),
        Err(_) => false,
    }
}

/// Asks the network as a client does, over every interface, and looks for ourselves among the answers.
async fn advert(said: &str, site: PublicKey) -> Check {
    if said == "off" {
        return Check::ok(
            "mdns",
            "off: clients need the server's address (USHER_SERVER)",
        );
    }
    if !said.starts_with("advertised") {
        return Check::warn(
            "mdns",
            said,
            "seats are granted all the same; see UDP port 5353 and multicast",
        );
    }
    let own = data_encoding::HEXLOWER.encode(&site.as_bytes()[..8]);
    let mut search = Search::start();
    let seen = async {
        while let Some(candidate) = search.next().await {
            // What is heard over the loopback says nothing of the network.
            let addresses = candidate.addrs.iter().filter(|it| !it.ip().is_loopback());
            let addresses: Vec<_> = addresses.map(SocketAddr::to_string).collect();
            if candidate.hints.site.as_ref() == Some(&own) && !addresses.is_empty() {
                return addresses;
            }
        }
        Vec::new()
    };
    match tokio::time::timeout(SEEN_WAIT, seen).await {
        Ok(addresses) if !addresses.is_empty() => Check::ok(
            "mdns",
            format!("the advert is seen: {}", addresses.join(", ")),
        ),
        _ => Check::warn(
            "mdns",
            "advertised, but a question over every interface found nothing",
            "allow UDP port 5353 and multicast here and in the switches; try `usher find` elsewhere; or give clients USHER_SERVER",
        ),
    }
}

/// The first address's.
pub(super) fn port_of(status: &StatusReport) -> Option<u16> {
    status.listen.first()?.rsplit(':').next()?.parse().ok()
}

/// A browse answers within 1.05 s even when someone else has just asked.
const SEEN_WAIT: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_address_is_asked_over_the_loopback() {
        let asked = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(asked("[::]:27443"), "[::1]:27443");
        assert_eq!(asked("0.0.0.0:7"), "127.0.0.1:7");
        assert_eq!(asked("192.0.2.1:7"), "192.0.2.1:7");
    }
}
