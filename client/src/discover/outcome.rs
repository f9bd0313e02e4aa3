//! Decides how the end of a hunt is told: what was found, and why each of the others was not it.

use super::candidate::{Candidate, Origin};
use super::dns_report::DnsReport;
use super::mdns::MdnsReport;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A server that was proven.
#[derive(Clone, Debug)]
pub struct Found<T> {
    /// What the probe made of it.
    pub value: T,
    /// Where it answered.
    pub addr: SocketAddr,
    /// What was known of it before.
    pub candidate: Arc<Candidate>,
}

/// One address, or one name, that led nowhere.
#[derive(Clone, Debug)]
pub struct Failure<E> {
    /// Who named it.
    pub origin: Origin,
    /// The address as written, or the mDNS instance name.
    pub name: String,
    /// The address tried; `None` if it never came to one.
    pub addr: Option<SocketAddr>,
    /// Why it failed.
    pub reason: Reason<E>,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason<E> {
    /// The probe said no, and why.
    Refused(E),
    /// Nothing came back in this time.
    NoAnswer(Duration),
    /// The time was over before its turn came.
    NoTurn,
    /// The name or the interface does not exist here.
    Unresolved(String),
    /// The probe itself failed: a fault in this program.
    Broken,
}

/// The end of a hunt that proved no server, or of the rest of a survey.
#[derive(Clone, Debug)]
pub struct NotFound<E> {
    /// What was tried and failed, at most 32.
    pub failures: Vec<Failure<E>>,
    /// How many more failed.
    pub failures_left_out: usize,
    /// What became of asking the DNS; `None` if no domain was named.
    pub dns: Option<Box<DnsReport>>,
    /// What became of asking the local network; `None` if it was not asked.
    pub mdns: Option<MdnsReport>,
    /// How long was waited at most.
    pub waited: Duration,
}

/// All servers proven in a given time.
#[derive(Clone, Debug)]
pub struct Survey<T, E> {
    /// The servers, the quickest first.
    pub found: Vec<Found<T>>,
    /// Everything else.
    pub missed: NotFound<E>,
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.name, self.origin)?;
        match self.addr {
            // A numeric address says it once.
            Some(addr) if addr.to_string() != self.name => write!(f, ", {addr}): ")?,
            _ => f.write_str("): ")?,
        }
        match &self.reason {
            Reason::Refused(error) => write!(f, "{error}"),
            Reason::NoAnswer(waited) => write!(f, "no answer within {}", seconds(*waited)),
            Reason::NoTurn => f.write_str("not tried, too many others were"),
            Reason::Unresolved(reason) => f.write_str(reason),
            Reason::Broken => f.write_str("trying it failed inside usher; please report this"),
        }
    }
}

impl<E: fmt::Display> fmt::Display for NotFound<E> {
    /// Several lines: what was tried, and last the next step.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no license server found")?;
        for failure in &self.failures {
            write!(f, "\n  {failure}")?;
        }
        if self.failures_left_out > 0 {
            write!(f, "\n  and {} more", self.failures_left_out)?;
        }
        if let Some(dns) = &self.dns {
            write!(f, "\n  DNS: {dns}")?;
        }
        if let Some(mdns) = &self.mdns {
            write!(f, "\n  local network: {mdns}")?;
        }
        write!(f, "\nnext: {}", self.next_step())
    }
}

impl<E: fmt::Display + fmt::Debug> std::error::Error for NotFound<E> {}

impl<E> NotFound<E> {
    /// What a person can do about it.
    pub fn next_step(&self) -> &'static str {
        let named = |failure: &Failure<E>| failure.origin < Origin::LastGood;
        let silent = |failure: &Failure<E>| matches!(failure.reason, Reason::NoAnswer(_));
        if self
            .failures
            .iter()
            .any(|failure| named(failure) && silent(failure))
        {
            "check that `usherd status` runs there and that UDP port 27443 is open to it"
        } else if self.failures.iter().any(named) {
            "check the address that was given"
        } else if self.failures.is_empty() {
            "name the server: set USHER_SERVER=HOST, or ask its admin for `usherd status`"
        } else {
            "see the reasons above, or name the server: set USHER_SERVER=HOST"
        }
    }
}

fn seconds(time: Duration) -> String {
    if time.subsec_millis() == 0 {
        format!("{} s", time.as_secs())
    } else {
        format!("{} ms", time.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(
        origin: Origin,
        name: &str,
        addr: Option<&str>,
        reason: Reason<&'static str>,
    ) -> Failure<&'static str> {
        Failure {
            origin,
            name: name.to_owned(),
            addr: addr.map(|addr| addr.parse().unwrap()),
            reason,
        }
    }

    #[test]
    fn a_silent_network_is_told_with_the_next_step() {
        let missed: NotFound<&str> = NotFound {
            failures: vec![],
            failures_left_out: 0,
            dns: None,
            mdns: Some(MdnsReport {
                asked_on: ["eth0".to_owned()].into(),
                ..MdnsReport::default()
            }),
            waited: Duration::from_secs(5),
        };
        insta::assert_snapshot!(missed, @r"
        no license server found
          local network: asked on eth0, nobody answered
        next: name the server: set USHER_SERVER=HOST, or ask its admin for `usherd status`
        ");
    }

    #[test]
    fn each_failure_is_told_with_its_origin() {
        let missed = NotFound {
            failures: vec![
                failure(
                    Origin::LastGood,
                    "192.0.2.9:27443",
                    Some("192.0.2.9:27443"),
                    Reason::NoAnswer(Duration::from_secs(3)),
                ),
                failure(
                    Origin::Mdns,
                    "lic02",
                    Some("[fe80::1%3]:27443"),
                    Reason::Refused("serves another vendor"),
                ),
                failure(Origin::Mdns, "rogue", Some("192.0.2.66:1"), Reason::NoTurn),
            ],
            failures_left_out: 4,
            dns: None,
            mdns: Some(MdnsReport::default()),
            waited: Duration::from_secs(5),
        };
        insta::assert_snapshot!(missed, @r"
        no license server found
          192.0.2.9:27443 (last good): no answer within 3 s
          lic02 (mDNS, [fe80::1%3]:27443): serves another vendor
          rogue (mDNS, 192.0.2.66:1): not tried, too many others were
          and 4 more
          local network: could not be asked
        next: see the reasons above, or name the server: set USHER_SERVER=HOST
        ");
    }
}
