//! Decides how asking the DNS is told: what came of it, and the next step. It asks nothing.

use super::domain::Domain;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// What became of asking the DNS for the servers of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsReport {
    /// Which.
    pub domain: Domain,
    /// What came of it.
    pub outcome: DnsOutcome,
}

/// How the DNS answered, what says least first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DnsOutcome {
    /// There is no `_usher._udp.DOMAIN`; there may not even be the domain.
    NoSuchName,
    /// That name is there, without a record that names a server.
    NoRecord,
    /// An SRV record says in so many words that there is no server.
    NotOffered,
    /// Nothing came back, or not in time.
    NoAnswer,
    /// The resolver or the DNS server failed; how.
    Failed(String),
    /// Servers, `host:port`, the preferred one first; at most 8.
    Named(Vec<String>),
}

impl fmt::Display for DnsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let domain = &self.domain;
        match &self.outcome {
            DnsOutcome::NoSuchName => write!(f, "there is no _usher._udp.{domain}"),
            DnsOutcome::NoRecord => write!(f, "_usher._udp.{domain} names no server"),
            DnsOutcome::NotOffered => {
                write!(f, "_usher._udp.{domain} says that there is no server")
            }
            DnsOutcome::NoAnswer => write!(f, "no answer about _usher._udp.{domain}"),
            DnsOutcome::Failed(why) => write!(f, "_usher._udp.{domain}: {why}"),
            DnsOutcome::Named(names) => {
                write!(f, "_usher._udp.{domain} names {}", names.join(", "))
            }
        }
    }
}

impl DnsReport {
    /// What a person can do about it; `None` where servers were named.
    pub fn next_step(&self) -> Option<String> {
        let domain = &self.domain;
        Some(match self.outcome {
            DnsOutcome::NoSuchName | DnsOutcome::NoRecord | DnsOutcome::NotOffered => format!(
                "check the domain for a slip; who keeps it adds the lines that `usherd dns-records --domain {domain}` prints on the server"
            ),
            DnsOutcome::NoAnswer => "see whether a DNS server of /etc/resolv.conf can be reached (a VPN that is down?), or name the server: USHER_SERVER=HOST".to_owned(),
            DnsOutcome::Failed(_) => "ask who keeps the DNS server of /etc/resolv.conf, or name the server: USHER_SERVER=HOST".to_owned(),
            DnsOutcome::Named(_) => return None,
        })
    }
}

/// The report while it is being written.
#[derive(Clone, Debug)]
pub(super) struct DnsReporter(Arc<Mutex<DnsReport>>);

impl DnsReporter {
    /// Nothing has been answered so far.
    pub(super) fn new(domain: Domain) -> Self {
        Self(Arc::new(Mutex::new(DnsReport {
            domain,
            outcome: DnsOutcome::NoAnswer,
        })))
    }

    pub(super) fn set(&self, outcome: DnsOutcome) {
        let mut report = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        report.outcome = outcome;
    }

    pub(super) fn so_far(&self) -> DnsReport {
        let report = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        report.clone()
    }
}
