//! Asks through mdns-sd's browse, the standing half of the search: it hears announcements of servers
//! that come up later, and resolves those that leave something out of their first answer.

use super::candidate::{Candidate, Hints, Origin, dialable, printable};
use super::mdns::Sink;
use super::packet::SERVICE;
use mdns_sd::{ResolvedService, ScopedIp, ServiceDaemon, ServiceEvent};

/// Listens until dropped. Its failure leaves the one-shot query.
pub(super) async fn run(sink: Sink) {
    let daemon = match ServiceDaemon::new() {
        Ok(daemon) => Running(daemon),
        Err(error) => return sink.report.problem(format!("browse: {error}")),
    };
    let events = match daemon.0.browse(SERVICE) {
        Ok(events) => events,
        Err(error) => return sink.report.problem(format!("browse: {error}")),
    };
    while let Ok(event) = events.recv_async().await {
        if let ServiceEvent::ServiceResolved(service) = event {
            sink.offer(candidate(&service)).await;
        }
    }
    sink.report.problem("browse: mdns-sd stopped".to_owned());
}

/// mdns-sd's thread outlives its handles unless told to stop.
struct Running(ServiceDaemon);

impl Drop for Running {
    fn drop(&mut self) {
        // Nobody waits for the answer; an error means it has stopped already.
        let _ = self.0.shutdown();
    }
}

fn candidate(service: &ResolvedService) -> Candidate {
    let ips = service.addresses.iter().map(|address| match address {
        ScopedIp::V6(v6) => (address.to_ip_addr(), v6.scope_id().index),
        _ => (address.to_ip_addr(), 0),
    });
    let mut hints = Hints::default();
    for property in service.txt_properties.iter() {
        hints.take(
            property.key().as_bytes(),
            property.val().unwrap_or_default(),
        );
    }
    Candidate {
        origin: Origin::Mdns,
        name: instance(&service.fullname),
        // mdns-sd does not say who sent it, so loopback is left to the one-shot query.
        addrs: dialable(ips, service.port, false),
        hints,
        told_by: None,
    }
}

/// The instance label out of a full name, its escapes (RFC 6763 §4.3) undone.
fn instance(fullname: &str) -> String {
    let mut label = String::new();
    let mut chars = fullname.chars();
    while let Some(c) = chars.next() {
        match c {
            '.' => break,
            '\\' => label.extend(chars.next()),
            c => label.push(c),
        }
    }
    printable(&label, 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instance_is_the_first_label_unescaped() {
        assert_eq!(
            instance(r"lic\.01 \\x (2)._usher._udp.local."),
            r"lic.01 \x (2)"
        );
        assert_eq!(instance("plain"), "plain");
        assert_eq!(instance(""), "");
        assert_eq!(instance("trailing\\"), "trailing");
    }
}
