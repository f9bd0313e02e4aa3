//! Asks the DNS for the servers of a domain: instances as RFC 6763 has them (PTR, then SRV and TXT), and SRV records
//! alone (RFC 2782), for an administrator may have written no more. It decides what is asked, how often, and which server
//! is tried before which; the resolver reads the messages. What it hands on are hints (T4).

use super::candidate::{Candidate, Hints, Origin, dialable, printable};
use super::dns_report::{DnsOutcome, DnsReporter};
use super::domain::Domain;
use super::feed::{Lead, look_up, pause};
use super::limits::{DNS_ASKED_MAX, DNS_SERVERS_MAX, DNS_TIMES_MAX, PRIORITY_HEAD_START, STAGGER};
use domain::base::iana::{Rcode, Rtype};
use domain::base::{Message, Name, Question, RelativeName, ToName};
use domain::rdata::{Ptr, Txt};
use domain::resolv::Resolver;
use domain::resolv::lookup::srv::{FoundSrvs, SrvError, lookup_srv};
use domain::resolv::stub::{Answer, StubResolver, conf::ResolvConf};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Asks once and hands on what is named, the preferred server first; returns how many were named.
pub(super) async fn ask(
    domain: &Domain,
    report: &DnsReporter,
    sender: &mpsc::Sender<Lead>,
) -> usize {
    let services = match services(&Asker::new(), domain).await {
        Ok(services) => services,
        Err(outcome) => {
            report.set(outcome);
            return 0;
        }
    };
    let names = services.iter().map(Service::name).collect();
    report.set(DnsOutcome::Named(names));
    let named = services.len();
    let mut tasks = JoinSet::new();
    for (service, wait) in with_head_starts(services) {
        let sender = sender.clone();
        tasks.spawn(async move {
            let (lead, ()) = tokio::join!(service.lead(), pause(wait));
            let _ = sender.send(lead).await;
        });
    }
    while tasks.join_next().await.is_some() {}
    named
}

/// A server as its SRV record has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Service {
    target: String,
    port: u16,
    priority: u16,
    hints: Hints,
}

impl Service {
    /// Says what an administrator can find in the zone.
    fn name(&self) -> String {
        printable(&format!("{}:{}", self.target, self.port), 253)
    }

    async fn lead(self) -> Lead {
        let name = self.name();
        // With its last dot, no search domain is put behind it.
        match look_up(&format!("{}.", self.target), self.port).await {
            Ok(addrs) if !reachable(&addrs).is_empty() => Lead::Candidate(Candidate {
                origin: Origin::Dns,
                name,
                addrs: reachable(&addrs),
                hints: self.hints,
                told_by: None,
            }),
            Ok(_) => Lead::Unresolved {
                origin: Origin::Dns,
                name,
                reason: "its address is of no other host".to_owned(),
            },
            Err(reason) => Lead::Unresolved {
                origin: Origin::Dns,
                name,
                reason,
            },
        }
    }
}

/// What the DNS says is believed neither of ourselves nor of a link that it cannot know.
fn reachable(addrs: &[SocketAddr]) -> Vec<SocketAddr> {
    let port = addrs.first().map_or(0, SocketAddr::port);
    let ips = addrs.iter().map(SocketAddr::ip);
    let ips = ips.filter(|ip| !matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local()));
    dialable(ips.map(|ip| (ip, 0)), port, false)
}

/// Servers of one priority follow each other closely; the next priority waits until these may have answered.
fn with_head_starts(services: Vec<Service>) -> Vec<(Service, Duration)> {
    let (mut wait, mut before) = (Duration::ZERO, None);
    let mut all = Vec::new();
    for service in services {
        wait += match before {
            None => Duration::ZERO,
            Some(priority) if priority == service.priority => STAGGER,
            Some(_) => PRIORITY_HEAD_START,
        };
        before = Some(service.priority);
        all.push((service, wait));
    }
    all
}

/// Every server that the domain names, in the order of priority and weight.
async fn services(asker: &Asker, domain: &Domain) -> Result<Vec<Service>, DnsOutcome> {
    let Ok(service) = domain.service().parse::<Name<Vec<u8>>>() else {
        return Err(DnsOutcome::Failed("the domain is too long".to_owned()));
    };
    let (listed, plain) = tokio::join!(instances(asker, &service), srv(asker, &service));
    let mut found = Vec::new();
    let mut vain = Vec::new();
    match listed {
        Ok(instances) => found.extend(instances),
        Err(outcome) => vain.push(outcome),
    }
    match plain {
        Ok(srvs) => found.push((srvs, Hints::default())),
        Err(outcome) => vain.push(outcome),
    }
    let services = in_order(found);
    if !services.is_empty() {
        return Ok(services);
    }
    // The one that tells most.
    Err(vain.into_iter().max().unwrap_or(DnsOutcome::NoRecord))
}

/// The library puts them in order: together, as if one answer had brought them (RFC 2782).
fn in_order(found: Vec<(FoundSrvs, Hints)>) -> Vec<Service> {
    let mut hints = Vec::new();
    let mut all: Option<FoundSrvs> = None;
    for (srvs, hint) in found {
        for srv in srvs.clone().into_srvs().take(DNS_SERVERS_MAX) {
            hints.push((srv.target().to_string(), srv.port(), hint.clone()));
        }
        match &mut all {
            Some(all) => all.merge(&srvs),
            None => all = Some(srvs),
        }
    }
    let mut services: Vec<Service> = Vec::new();
    let srvs = all.into_iter().flat_map(FoundSrvs::into_srvs);
    // The library's own word for "none" is a record without a port.
    for srv in srvs.filter(|srv| srv.port() != 0 && !srv.target().is_root()) {
        let (target, port) = (srv.target().to_string(), srv.port());
        let same = |it: &Service| it.target == target && it.port == port;
        if services.len() == DNS_SERVERS_MAX || services.iter().any(same) {
            continue;
        }
        let hint = hints.iter().find(|it| it.0 == target && it.1 == port);
        services.push(Service {
            target,
            port,
            priority: srv.priority(),
            hints: hint.map(|it| it.2.clone()).unwrap_or_default(),
        });
    }
    services
}

/// What PTR records list, each with its SRV and TXT records.
async fn instances(
    asker: &Asker,
    service: &Name<Vec<u8>>,
) -> Result<Vec<(FoundSrvs, Hints)>, DnsOutcome> {
    let names = listed(asker, service).await?;
    let mut tasks = JoinSet::new();
    for (place, name) in names.into_iter().enumerate() {
        let asker = asker.clone();
        tasks.spawn(async move {
            let (srvs, hints) = tokio::join!(srv(&asker, &name), hints(&asker, &name));
            (place, srvs, hints)
        });
    }
    let mut all = tasks.join_all().await;
    all.sort_by_key(|(place, ..)| *place);
    let mut found = Vec::new();
    let mut vain = None;
    for (_, srvs, hints) in all {
        match srvs {
            Ok(srvs) => found.push((srvs, hints)),
            Err(outcome) => vain = vain.max(Some(outcome)),
        }
    }
    match vain {
        Some(outcome) if found.is_empty() => Err(outcome),
        _ => Ok(found),
    }
}

async fn listed(asker: &Asker, service: &Name<Vec<u8>>) -> Result<Vec<Name<Vec<u8>>>, DnsOutcome> {
    let answer = asker.query((service, Rtype::PTR)).await;
    let message = answer.map_err(|error| outcome(&error))?.into_message();
    match names_in(message.for_slice()) {
        Some(names) if !names.is_empty() => Ok(names),
        Some(_) => Err(DnsOutcome::NoRecord),
        None => Err(garbled()),
    }
}

fn names_in(message: &Message<[u8]>) -> Option<Vec<Name<Vec<u8>>>> {
    let section = message.answer().ok()?;
    let mut names: Vec<Name<Vec<u8>>> = Vec::new();
    for record in section.limit_to_in::<Ptr<_>>().flatten() {
        let name = record.data().ptrdname().to_name();
        if names.len() < DNS_SERVERS_MAX && !names.contains(&name) {
            names.push(name);
        }
    }
    Some(names)
}

async fn srv(asker: &Asker, name: &Name<Vec<u8>>) -> Result<FoundSrvs, DnsOutcome> {
    let nothing = RelativeName::<Vec<u8>>::empty_vec();
    match lookup_srv(asker, nothing, name, 0).await {
        Ok(Some(srvs)) if srvs.clone().into_srvs().any(|srv| srv.port() != 0) => Ok(srvs),
        Ok(Some(_)) => Err(DnsOutcome::NoRecord),
        Ok(None) => Err(DnsOutcome::NotOffered),
        Err(SrvError::Query(error)) => Err(outcome(&error)),
        Err(_) => Err(garbled()),
    }
}

/// Without them a server is asked all the same.
async fn hints(asker: &Asker, name: &Name<Vec<u8>>) -> Hints {
    match asker.query((name, Rtype::TXT)).await {
        Ok(answer) => hints_in(answer.into_message().for_slice()),
        Err(_) => Hints::default(),
    }
}

fn hints_in(message: &Message<[u8]>) -> Hints {
    let mut hints = Hints::default();
    let Ok(section) = message.answer() else {
        return hints;
    };
    for record in section.limit_to_in::<Txt<_>>().flatten() {
        for text in record.data().iter() {
            let mut parts = text.splitn(2, |byte| *byte == b'=');
            let key = parts.next().unwrap_or_default();
            hints.take(key, parts.next().unwrap_or_default());
        }
    }
    hints
}

/// The system's resolver, asked again after a lost packet, whose every "no" is an error.
#[derive(Clone)]
struct Asker(std::sync::Arc<StubResolver>);

impl Asker {
    fn new() -> Self {
        let mut conf = ResolvConf::default();
        conf.servers.truncate(RESOLVERS_MAX);
        conf.options.timeout = DNS_ASKED_MAX;
        Self(std::sync::Arc::new(StubResolver::from_conf(conf)))
    }
}

impl Resolver for Asker {
    type Octets = <StubResolver as Resolver>::Octets;
    type Answer = Answer;
    type Query<'a> = Pin<Box<dyn Future<Output = io::Result<Answer>> + Send + 'a>>;

    fn query<N: ToName, Q: Into<Question<N>>>(&self, question: Q) -> Self::Query<'_> {
        let question = question.into();
        let (name, kind) = (question.qname().to_vec(), question.qtype());
        Box::pin(async move {
            for _ in 0..DNS_TIMES_MAX {
                let asked = self.0.query((&name, kind));
                match tokio::time::timeout(DNS_ASKED_MAX, asked).await {
                    Ok(Err(error)) if error.kind() != io::ErrorKind::TimedOut => return Err(error),
                    Ok(Ok(answer)) => return judged(answer),
                    Ok(Err(_)) | Err(_) => {}
                }
            }
            Err(io::ErrorKind::TimedOut.into())
        })
    }
}

fn judged(answer: Answer) -> io::Result<Answer> {
    let code = answer.as_ref().header().rcode();
    if code == Rcode::NOERROR {
        return Ok(answer);
    }
    Err(if code == Rcode::NXDOMAIN {
        io::ErrorKind::NotFound.into()
    } else {
        io::Error::other(format!("the DNS server answered {code}"))
    })
}

fn outcome(error: &io::Error) -> DnsOutcome {
    match error.kind() {
        io::ErrorKind::TimedOut => DnsOutcome::NoAnswer,
        io::ErrorKind::NotFound => DnsOutcome::NoSuchName,
        _ => DnsOutcome::Failed(printable(&error.to_string(), 200)),
    }
}

fn garbled() -> DnsOutcome {
    DnsOutcome::Failed("the answer cannot be read".to_owned())
}

/// As many as the system's own resolver takes of `/etc/resolv.conf`.
const RESOLVERS_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use domain::base::{MessageBuilder, iana::Class};
    use domain::rdata::Srv;
    use proptest::prelude::*;
    use std::future::ready;

    fn name(text: &str) -> Name<Vec<u8>> {
        text.parse().unwrap()
    }

    /// What a DNS server might answer to all three questions.
    fn message() -> Vec<u8> {
        let service = name("_usher._udp.cad.example.");
        let instance = name("lic01._usher._udp.cad.example.");
        let mut answer = MessageBuilder::new_vec().question();
        answer.header_mut().set_qr(true);
        answer.push((&service, Rtype::PTR)).unwrap();
        let mut answer = answer.answer();
        let record = (&service, Class::IN, 300, Ptr::new(instance.clone()));
        answer.push(record).unwrap();
        for (priority, host) in [(10, "second"), (0, "first"), (10, "third")] {
            let target = name(&format!("{host}.cad.example."));
            let srv = Srv::new(priority, 0, 27443, target);
            answer.push((&service, Class::IN, 300, srv)).unwrap();
        }
        let txt = Txt::<Vec<u8>>::from_octets(b"\x03v=1\x0eroots=deadbeef".to_vec());
        let record = (&instance, Class::IN, 300, txt.unwrap());
        answer.push(record).unwrap();
        answer.finish()
    }

    /// Gives one answer to everything.
    struct Fixed(Vec<u8>);

    impl Resolver for Fixed {
        type Octets = Vec<u8>;
        type Answer = Box<Message<Vec<u8>>>;
        type Query<'a> = std::future::Ready<io::Result<Self::Answer>>;

        fn query<N: ToName, Q: Into<Question<N>>>(&self, _: Q) -> Self::Query<'_> {
            let message = Message::from_octets(self.0.clone());
            ready(message.map(Box::new).map_err(io::Error::other))
        }
    }

    async fn srvs(bytes: Vec<u8>) -> Option<FoundSrvs> {
        let nothing = RelativeName::<Vec<u8>>::empty_vec();
        let fixed = Fixed(bytes);
        let asked = lookup_srv(&fixed, nothing, name("_usher._udp.cad.example."), 0);
        asked.await.ok().flatten()
    }

    #[tokio::test]
    async fn servers_come_by_priority_and_the_next_priority_waits() {
        let found = vec![(srvs(message()).await.unwrap(), Hints::default())];
        let services = in_order(found);
        assert_eq!(services[0].name(), "first.cad.example:27443");
        assert_eq!(services.len(), 3);
        let waits: Vec<_> = with_head_starts(services).iter().map(|it| it.1).collect();
        let second = PRIORITY_HEAD_START;
        assert_eq!(waits, [Duration::ZERO, second, second + STAGGER]);
    }

    #[tokio::test]
    async fn a_server_that_is_listed_twice_is_tried_once() {
        let twice = srvs(message()).await.unwrap();
        let mut hints = Hints::default();
        hints.take(b"roots", b"deadbeef");
        let services = in_order(vec![
            (twice.clone(), hints.clone()),
            (twice, Hints::default()),
        ]);
        assert_eq!(services.len(), 3);
        assert!(services.iter().all(|it| it.hints == hints));
    }

    #[test]
    fn instances_and_hints_are_read() {
        let message = Message::from_octets(message()).unwrap();
        let names = names_in(message.for_slice()).unwrap();
        assert_eq!(names, [name("lic01._usher._udp.cad.example.")]);
        assert_eq!(hints_in(message.for_slice()).roots, ["deadbeef"]);
    }

    #[test]
    fn the_dns_names_no_loopback_and_no_link_local_address() {
        let addrs = ["127.0.0.1:7", "[::1]:7", "[fe80::1]:7", "224.0.0.1:7"];
        let addrs = addrs.map(|it| it.parse().unwrap());
        assert!(reachable(&addrs).is_empty());
        let addrs = ["[2001:db8::1]:7", "192.0.2.1:7"].map(|it| it.parse().unwrap());
        assert_eq!(reachable(&addrs).len(), 2);
    }

    proptest! {
        /// A DNS server may say what it likes.
        #[test]
        fn no_answer_panics(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            keep in any::<prop::sample::Index>(),
        ) {
            let mut bytes = message();
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            bytes.truncate(12 + keep.index(bytes.len()));
            let message = Message::from_octets(bytes.clone()).unwrap();
            let listed = names_in(message.for_slice()).unwrap_or_default();
            prop_assert!(listed.len() <= DNS_SERVERS_MAX);
            hints_in(message.for_slice());
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            if let Some(found) = runtime.block_on(srvs(bytes)) {
                let services = in_order(vec![(found, Hints::default())]);
                prop_assert!(services.len() <= DNS_SERVERS_MAX);
                prop_assert!(services.iter().all(|it| !it.name().chars().any(char::is_control)));
            }
        }
    }
}
