//! Decides how the local network is asked: a one-shot query and mdns-sd's browse at once
//! (DESIGN 7), their answers merged and bounded. It judges no server: what it hands on are hints.

use super::candidate::Candidate;
use super::limits::{ADDRS_PER_RESPONDER_MAX, ADDRS_UNATTRIBUTED_MAX, CANDIDATES_MAX};
use super::{browse, oneshot};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The local network being asked, until dropped.
#[derive(Debug)]
pub struct Search {
    candidates: mpsc::Receiver<Candidate>,
    report: Report,
    _tasks: JoinSet<()>,
}

impl Search {
    /// Starts asking on every interface, those that come up later included. Never fails: what goes
    /// wrong is in the [report](Self::report).
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time enabled.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(Report::default())
    }

    pub(super) fn start_with(report: Report) -> Self {
        let (sender, candidates) = mpsc::channel(CANDIDATES_MAX);
        let sink = Sink {
            sieve: Arc::default(),
            sender,
            report: report.clone(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(oneshot::run(sink.clone()));
        tasks.spawn(browse::run(sink));
        Self {
            candidates,
            report,
            _tasks: tasks,
        }
    }

    /// The next server heard of, each address once. Ends only if asking failed for good.
    pub async fn next(&mut self) -> Option<Candidate> {
        self.candidates.recv().await
    }

    /// What became of the asking so far.
    pub fn report(&self) -> MdnsReport {
        self.report.lock().clone()
    }
}

/// What became of asking the local network, for the message when no server was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MdnsReport {
    /// Names of the interfaces a query left on.
    pub asked_on: BTreeSet<String>,
    /// What failed, in words.
    pub problems: BTreeSet<String>,
    /// How many servers were heard of.
    pub servers: usize,
}

impl fmt::Display for MdnsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |set: &BTreeSet<String>, between: &str| {
            let each: Vec<_> = set.iter().map(String::as_str).collect();
            each.join(between)
        };
        if self.asked_on.is_empty() {
            f.write_str("could not be asked")?;
        } else {
            write!(f, "asked on {}", list(&self.asked_on, ", "))?;
            match self.servers {
                0 => f.write_str(", nobody answered")?,
                1 => f.write_str(", 1 server answered")?,
                n => write!(f, ", {n} servers answered")?,
            }
        }
        if !self.problems.is_empty() {
            write!(f, " ({})", list(&self.problems, "; "))?;
        }
        Ok(())
    }
}

/// The report while it is being written.
#[derive(Clone, Debug, Default)]
pub(super) struct Report(Arc<Mutex<MdnsReport>>);

impl Report {
    pub(super) fn lock(&self) -> MutexGuard<'_, MdnsReport> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn asked_on(&self, interface: &str) {
        self.lock().asked_on.insert(interface.to_owned());
    }

    pub(super) fn problem(&self, problem: String) {
        let mut report = self.lock();
        if report.problems.len() < PROBLEMS_MAX {
            report.problems.insert(problem);
        }
    }
}

/// Where both ways of asking put what they hear.
#[derive(Clone)]
pub(super) struct Sink {
    sieve: Arc<Mutex<Sieve>>,
    sender: mpsc::Sender<Candidate>,
    pub(super) report: Report,
}

impl Sink {
    /// Hands on what is new. Waits while the channel is full: then the kernel drops packets, and
    /// nothing grows here.
    pub(super) async fn offer(&self, candidate: Candidate) {
        let (fresh, servers) = {
            let mut sieve = self.sieve.lock().unwrap_or_else(PoisonError::into_inner);
            (sieve.admit(candidate), sieve.names.len())
        };
        if let Some(fresh) = fresh {
            self.report.lock().servers = servers;
            // The receiver is gone once the hunt is over.
            let _ = self.sender.send(fresh).await;
        }
    }
}

/// Lets each address through once, and no more of them than the limits say.
#[derive(Default)]
struct Sieve {
    addrs: HashSet<SocketAddr>,
    names: HashSet<String>,
    by_responder: HashMap<Option<IpAddr>, usize>,
}

impl Sieve {
    /// `candidate` with the addresses not heard of before, if any and if there is room.
    fn admit(&mut self, mut candidate: Candidate) -> Option<Candidate> {
        if !self.names.contains(&candidate.name) && self.names.len() >= CANDIDATES_MAX {
            return None;
        }
        let used = self.by_responder.entry(candidate.told_by).or_default();
        let most = match candidate.told_by {
            Some(_) => ADDRS_PER_RESPONDER_MAX,
            None => ADDRS_UNATTRIBUTED_MAX,
        };
        candidate.addrs.retain(|addr| !self.addrs.contains(addr));
        candidate.addrs.truncate(most.saturating_sub(*used));
        if candidate.addrs.is_empty() {
            return None;
        }
        *used += candidate.addrs.len();
        self.addrs.extend(&candidate.addrs);
        self.names.insert(candidate.name.clone());
        Some(candidate)
    }
}

const PROBLEMS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::{Hints, Origin};

    fn heard(name: &str, told_by: Option<&str>, addrs: &[&str]) -> Candidate {
        Candidate {
            origin: Origin::Mdns,
            name: name.to_owned(),
            addrs: addrs.iter().map(|addr| addr.parse().unwrap()).collect(),
            hints: Hints::default(),
            told_by: told_by.map(|ip| ip.parse().unwrap()),
        }
    }

    #[test]
    fn each_address_passes_once_whoever_names_it() {
        let mut sieve = Sieve::default();
        let (a, b) = ("192.0.2.1:1", "[fe80::1%2]:1");
        assert!(sieve.admit(heard("s", Some("192.0.2.1"), &[a])).is_some());
        let more = sieve.admit(heard("s", None, &[a, b])).unwrap();
        assert_eq!(more.addrs, [b.parse().unwrap()]);
        assert_eq!(sieve.admit(heard("t", None, &[a, b])), None);
    }

    #[test]
    fn one_host_cannot_fill_the_list() {
        let mut sieve = Sieve::default();
        let mut passed = 0;
        for n in 1..200 {
            let addr = format!("198.51.100.{n}:1");
            let rogue = heard(&format!("rogue {n}"), Some("192.0.2.66"), &[&addr]);
            passed += usize::from(sieve.admit(rogue).is_some());
        }
        assert_eq!(passed, ADDRS_PER_RESPONDER_MAX);
        assert!(
            sieve
                .admit(heard("real", Some("192.0.2.1"), &["192.0.2.1:1"]))
                .is_some()
        );
    }

    #[test]
    fn no_more_servers_than_the_limit() {
        let mut sieve = Sieve::default();
        let passed = (0..100u8).filter(|n| {
            let ip = format!("192.0.2.{n}");
            let addr = format!("{ip}:1");
            sieve.admit(heard(&ip, Some(&ip), &[&addr])).is_some()
        });
        assert_eq!(passed.count(), CANDIDATES_MAX);
    }

    #[test]
    fn the_report_says_what_was_asked_and_what_failed() {
        let report = Report::default();
        report.problem("no network interface is up".to_owned());
        assert_eq!(
            report.lock().to_string(),
            "could not be asked (no network interface is up)"
        );
        report.lock().problems.clear();
        report.asked_on("eth1");
        report.asked_on("eth0");
        assert_eq!(
            report.lock().to_string(),
            "asked on eth0, eth1, nobody answered"
        );
    }
}
