//! Turns sources into leads: resolves names, keeps the order of preference, starts asking the DNS
//! and the local network. It tries nothing itself.

use super::address::{Address, Host};
use super::candidate::{Candidate, Hints, Origin, scoped};
use super::dns_report::DnsReporter;
use super::dns_sd;
use super::domain::Domain;
use super::interfaces;
use super::limits::{
    CANDIDATE_ADDRS_MAX, CANDIDATES_MAX, DNS_HEAD_START, LAST_GOOD_HEAD_START, STAGGER,
};
use super::mdns::{Report, Search};
use super::source::Source;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;

/// What a source came up with.
#[derive(Debug)]
pub(super) enum Lead {
    Candidate(Candidate),
    /// A name or an interface that does not exist here.
    Unresolved {
        origin: Origin,
        name: String,
        reason: String,
    },
}

/// The leads of all sources, as they come; asking ends when it is dropped.
pub(super) struct Feed {
    leads: mpsc::Receiver<Lead>,
    /// Rung when everything known so far has been tried: no reason to hold mDNS back.
    pub(super) idle: Arc<Notify>,
    /// Of the DNS, if it is asked.
    pub(super) dns: Option<DnsReporter>,
    /// Of the local network, once it is asked.
    pub(super) mdns: Option<Report>,
    tasks: JoinSet<()>,
}

impl Feed {
    pub(super) fn open(sources: Vec<Source>) -> Self {
        let (sender, leads) = mpsc::channel(CANDIDATES_MAX);
        let mut feed = Self {
            leads,
            idle: Arc::default(),
            dns: None,
            mdns: None,
            tasks: JoinSet::new(),
        };
        let mut head_start = Duration::ZERO;
        let mut after_dns = None;
        for source in sources {
            match source {
                Source::Addresses(origin, addresses) => {
                    feed.name(origin, addresses, &sender);
                    head_start = LAST_GOOD_HEAD_START;
                }
                Source::Dns(domain) => {
                    after_dns = Some(feed.ask_the_dns(domain, head_start, sender.clone()));
                }
                Source::Mdns => {
                    let turn = feed.turn_of_the_network(head_start, after_dns.take());
                    feed.ask_the_network(turn, sender.clone());
                }
            }
        }
        feed
    }

    /// The next lead; `None` once all sources are exhausted. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Lead> {
        self.leads.recv().await
    }

    fn name(&mut self, origin: Origin, addresses: Vec<Address>, sender: &mpsc::Sender<Lead>) {
        let mut wait = Duration::ZERO;
        for address in addresses.into_iter().take(CANDIDATES_MAX) {
            let sender = sender.clone();
            self.tasks.spawn(async move {
                // The first of a list is the preferred one.
                pause(wait).await;
                let _ = sender.send(lead(origin, &address).await).await;
            });
            wait += STAGGER;
        }
    }

    /// Asks after the last good server's head start; the receiver learns when nothing is to be waited for any more.
    fn ask_the_dns(
        &mut self,
        domain: Domain,
        head_start: Duration,
        sender: mpsc::Sender<Lead>,
    ) -> oneshot::Receiver<()> {
        let report = DnsReporter::new(domain.clone());
        self.dns = Some(report.clone());
        let idle = Arc::clone(&self.idle);
        let (done, after) = oneshot::channel();
        self.tasks.spawn(async move {
            give(head_start, &idle).await;
            let mut asking = pin!(dns_sd::ask(&domain, &report, &sender));
            // A dead DNS server costs the network's answer no more than this.
            if let Ok(named) = tokio::time::timeout(DNS_HEAD_START, &mut asking).await {
                if named > 0 {
                    give(DNS_HEAD_START, &idle).await;
                }
                let _ = done.send(());
            } else {
                let _ = done.send(());
                asking.await;
            }
        });
        after
    }

    /// When mDNS may be asked.
    fn turn_of_the_network(
        &self,
        head_start: Duration,
        after_dns: Option<oneshot::Receiver<()>>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let idle = Arc::clone(&self.idle);
        async move {
            match after_dns {
                // A sender that is gone is done, too.
                Some(after) => drop(after.await),
                None => give(head_start, &idle).await,
            }
        }
    }

    fn ask_the_network(
        &mut self,
        turn: impl Future<Output = ()> + Send + 'static,
        sender: mpsc::Sender<Lead>,
    ) {
        let report = Report::default();
        self.mdns = Some(report.clone());
        self.tasks.spawn(async move {
            turn.await;
            let mut search = Search::start_with(report);
            while let Some(candidate) = search.next().await {
                if sender.send(Lead::Candidate(candidate)).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// A head start for others, which ends early when all they named has been tried.
async fn give(head_start: Duration, idle: &Notify) {
    if !head_start.is_zero() {
        let _ = tokio::time::timeout(head_start, idle.notified()).await;
    }
}

/// A sleep, but none at all where none is wanted: tokio's shortest takes a millisecond.
pub(super) async fn pause(length: Duration) {
    if !length.is_zero() {
        tokio::time::sleep(length).await;
    }
}

async fn lead(origin: Origin, address: &Address) -> Lead {
    let name = address.to_string();
    match resolve(address).await {
        Ok(addrs) => Lead::Candidate(Candidate {
            origin,
            name,
            addrs,
            hints: Hints::default(),
            told_by: None,
        }),
        Err(reason) => Lead::Unresolved {
            origin,
            name,
            reason,
        },
    }
}

/// Every address of `address`, IPv4 and IPv6, in the resolver's order.
async fn resolve(address: &Address) -> Result<Vec<SocketAddr>, String> {
    let port = address.port;
    match &address.host {
        Host::V4(ip) => Ok(vec![SocketAddr::new(IpAddr::V4(*ip), port)]),
        Host::V6(ip, None) => Ok(vec![SocketAddr::new(IpAddr::V6(*ip), port)]),
        Host::V6(ip, Some(scope)) => match interfaces::index_of(scope) {
            Some(index) => Ok(vec![scoped(IpAddr::V6(*ip), port, index)]),
            None => Err(format!("this machine has no interface {scope} that is up")),
        },
        Host::Name(name) => look_up(name, port).await,
    }
}

pub(super) async fn look_up(name: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let found = tokio::time::timeout(LOOKUP_MAX, tokio::net::lookup_host((name, port))).await;
    let found = match found {
        Err(_) => return Err("the name service did not answer".to_owned()),
        Ok(Err(error)) => return Err(format!("the name was not found: {error}")),
        Ok(Ok(found)) => found,
    };
    let mut addrs: Vec<SocketAddr> = Vec::new();
    for addr in found {
        if !addrs.contains(&addr) && addrs.len() < CANDIDATE_ADDRS_MAX {
            addrs.push(addr);
        }
    }
    if addrs.is_empty() {
        return Err("the name has no address".to_owned());
    }
    Ok(addrs)
}

const LOOKUP_MAX: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests {
    use super::*;

    async fn leads(sources: Vec<Source>) -> Vec<Lead> {
        let mut feed = Feed::open(sources);
        let mut leads = Vec::new();
        while let Some(lead) = feed.next().await {
            leads.push(lead);
        }
        leads
    }

    fn named(list: &str) -> Vec<Source> {
        vec![Source::Addresses(
            Origin::Explicit,
            Address::parse_list(list).unwrap(),
        )]
    }

    #[tokio::test]
    async fn the_order_of_preference_is_kept_and_the_feed_ends() {
        let leads = leads(named("192.0.2.2, 192.0.2.1:5, [2001:db8::1]:6")).await;
        let addrs: Vec<_> = leads
            .iter()
            .map(|lead| match lead {
                Lead::Candidate(candidate) => candidate.addrs[0].to_string(),
                Lead::Unresolved { .. } => panic!("{lead:?}"),
            })
            .collect();
        assert_eq!(addrs, ["192.0.2.2:27443", "192.0.2.1:5", "[2001:db8::1]:6"]);
    }

    #[tokio::test]
    async fn no_pause_takes_no_time() {
        let ready = |length| async move {
            tokio::select! {
                biased;
                () = pause(length) => true,
                () = std::future::ready(()) => false,
            }
        };
        assert!(ready(Duration::ZERO).await);
        assert!(!ready(STAGGER).await);
    }

    #[tokio::test]
    async fn a_missing_interface_is_said() {
        let leads = leads(named("fe80::1%nosuchif")).await;
        let [Lead::Unresolved { reason, .. }] = &leads[..] else {
            panic!("{leads:?}");
        };
        assert_eq!(reason, "this machine has no interface nosuchif that is up");
    }

    #[tokio::test]
    async fn a_name_gives_all_its_addresses() {
        let leads = leads(named("localhost:7")).await;
        let [Lead::Candidate(candidate)] = &leads[..] else {
            panic!("{leads:?}");
        };
        assert!(
            candidate
                .addrs
                .iter()
                .all(|addr| addr.ip().is_loopback() && addr.port() == 7)
        );
    }
}
