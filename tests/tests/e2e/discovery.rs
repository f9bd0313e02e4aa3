//! Is a server found by multicast alone, wherever it is and whenever it comes?

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot, watch};
use usher_client::clock::Clock;
use usher_client::discover::{Budget, Candidate, NotFound, Search, Source, race};
use usher_protocol::ids::{Fingerprint, PublicKey};
use usher_tests::hosts::{Host, Lan, on_lan};
use usherd::advert::{Advert, AdvertState, CloneSighting, Content, Setup};

#[test]
fn a_server_is_found_over_both_families_with_its_hints() {
    on_lan(|lan| {
        let (server, desk) = (lan.host("lic01"), lan.host("desk"));
        with_advert(&server, 1, |_| {
            let all_three = |heard: &[Candidate]| {
                let ips: BTreeSet<_> = heard.iter().flat_map(ips).collect();
                let wanted = [server.addr(), server.addr6()];
                wanted.iter().all(|ip| ips.contains(ip)) && ips.into_iter().any(is_link_local)
            };
            let (mut ips, mut scopes) = (BTreeSet::new(), BTreeSet::new());
            for heard in hear_until(&desk, Duration::from_secs(1), all_three) {
                assert_eq!((heard.name.as_str(), heard.hints.roots.len()), ("lic01", 1));
                assert_eq!(heard.hints.site.as_deref(), Some(site_hex(1).as_str()));
                for addr in heard.addrs {
                    assert_eq!(addr.port(), PORT);
                    if let SocketAddr::V6(v6) = addr {
                        scopes.extend(v6.ip().is_unicast_link_local().then_some(v6.scope_id()));
                    }
                    ips.insert(addr.ip());
                }
            }
            assert!(
                ips.contains(&server.addr()) && ips.contains(&server.addr6()),
                "{ips:?}"
            );
            let link = desk.sh("ip -o link show eth0");
            let eth0: u32 = link.split(':').next().unwrap().parse().unwrap();
            assert_eq!(
                scopes,
                [eth0].into(),
                "link-local addresses keep their interface"
            );
        });
    });
}

/// Prints how long the first candidate takes; a person reads it, no clock is asserted.
#[test]
fn the_first_candidate_comes_at_once_even_right_after_another_asked() {
    on_lan(|lan| {
        let (server, desk, other) = (lan.host("lic01"), lan.host("desk"), lan.host("other"));
        with_advert(&server, 1, |_| {
            thread::sleep(Duration::from_secs(2));
            let alone = mean_ms(|| first_candidate_ms(&desk));
            let after_another = mean_ms(|| {
                // Its browse makes the server answer by multicast, which starts the rate limit.
                hear(&other, Duration::from_millis(80));
                first_candidate_ms(&desk)
            });
            println!(
                "first candidate: {alone} ms on average; {after_another} ms when another host asked less than a second before"
            );
        });
    });
}

#[test]
fn a_server_that_says_goodbye_is_not_found_and_the_message_says_what_was_asked() {
    on_lan(|lan| {
        let (server, desk) = (lan.host("lic01"), lan.host("desk"));
        with_advert(&server, 1, |_| {
            assert_eq!(found(&desk, PATIENCE_S).unwrap().name, "lic01");
        });
        let missed = found(&desk, 1).unwrap_err();
        let report = missed.mdns.as_ref().unwrap();
        assert!(report.asked_on.contains("eth0"), "{report:?}");
        assert_eq!((report.servers, missed.failures.len()), (0, 0));
    });
}

#[test]
fn a_server_whose_address_changes_is_found_at_the_new_one() {
    on_lan(|lan| {
        let (server, desk) = (lan.host("lic01"), lan.host("desk"));
        let old = server.addr();
        let advert = Started::on(&server, 1);
        advert.wait("advertising at the old address", |state| {
            advertised_at(state, old)
        });
        server.change_addr();
        let new = server.addr();
        advert.wait("following to the new address", |state| {
            advertised_at(state, new) && !advertised_at(state, old)
        });
        let heard = hear_until(&desk, Duration::from_secs(2), |heard| {
            heard.iter().flat_map(ips).any(|ip| ip == new)
        });
        let ips: BTreeSet<_> = heard.iter().flat_map(ips).collect();
        assert!(ips.contains(&new) && !ips.contains(&old), "{ips:?}");
    });
}

#[test]
fn interfaces_may_come_while_looking_on_either_side() {
    on_lan(|lan| {
        let (server, desk) = (lan.host("lic01"), lan.host("desk"));
        with_advert(&server, 1, |advert| {
            desk.unplug();
            let missed = found(&desk, 1).unwrap_err();
            assert!(
                !missed.mdns.as_ref().unwrap().asked_on.contains("eth0"),
                "{missed}"
            );
            thread::scope(|scope| {
                let looking = scope.spawn(|| found(&desk, PATIENCE_S));
                thread::sleep(Duration::from_millis(500));
                desk.plug();
                assert_eq!(looking.join().unwrap().unwrap().name, "lic01");
            });
            server.unplug();
            advert.wait("noticing the pulled cable", |state| {
                !advertised_at(state, server.addr())
            });
            server.plug();
            advert.wait("coming back", |state| advertised_at(state, server.addr()));
            assert_eq!(found(&desk, PATIENCE_S).unwrap().name, "lic01");
        });
    });
}

#[test]
fn two_servers_of_one_name_get_different_names() {
    on_lan(|lan| {
        let (one, two, desk) = named_alike(lan);
        with_advert(&one, 1, |_| {
            with_advert(&two, 2, |_| {
                let names = |heard: &[Candidate]| -> BTreeSet<_> {
                    heard.iter().map(|each| each.name.clone()).collect()
                };
                let two_names = |heard: &[Candidate]| names(heard).len() > 1;
                let heard = hear_until(&desk, Duration::from_secs(2), two_names);
                assert_eq!(
                    names(&heard),
                    ["lic01", "lic01 (2)"].map(str::to_owned).into()
                );
            });
        });
    });
}

#[test]
fn two_daemons_of_one_site_see_each_other() {
    on_lan(|lan| {
        let (one, two, desk) = named_alike(lan);
        with_advert(&one, 1, |first| {
            with_advert(&two, 1, |second| {
                let seen = |started: &mut Started, other: &Host| {
                    let sighting = started.clones.blocking_recv().unwrap();
                    let ips: Vec<_> = sighting.addrs.iter().map(SocketAddr::ip).collect();
                    assert!(!ips.is_empty());
                    let theirs = |ip: &IpAddr| {
                        *ip == other.addr() || *ip == other.addr6() || is_link_local(*ip)
                    };
                    assert!(ips.iter().all(theirs), "{ips:?}");
                };
                seen(second, &one);
                seen(first, &two);
                assert!(found(&desk, PATIENCE_S).is_ok());
            });
            with_advert(&two, 3, |other| {
                thread::sleep(Duration::from_secs(2));
                assert!(other.clones.try_recv().is_err(), "another site is no clone");
            });
        });
    });
}

#[test]
fn an_advert_that_cannot_be_sent_says_so_and_comes_back() {
    on_lan(|lan| {
        let (server, desk) = (lan.host("lic01"), lan.host("desk"));
        // Without address reuse nobody else gets the port.
        let taken = server.enter(|| ["0.0.0.0:5353", "[::]:5353"].map(UdpSocket::bind));
        let advert = Started::on(&server, 1);
        advert.wait("noticing", |state| {
            matches!(state, AdvertState::Failing { .. })
        });
        insta::assert_snapshot!(*advert.states.borrow(), @"nothing could be advertised on eth0: is UDP port 5353 taken, or multicast blocked?");
        drop(taken);
        advert.wait("recovering", |state| advertised_at(state, server.addr()));
        assert_eq!(found(&desk, PATIENCE_S).unwrap().name, "lic01");
    });
}

#[test]
fn new_licenses_change_the_hints() {
    on_lan(|lan| {
        let (server, desk) = (lan.host("lic01"), lan.host("desk"));
        with_advert(&server, 1, |advert| {
            advert.update.send(content(1, &[7, 8, 9])).unwrap();
            let changed = (0..150).any(|_| {
                let heard = hear(&desk, Duration::from_millis(400));
                heard.iter().any(|each| each.hints.roots.len() == 3)
            });
            assert!(changed, "the new roots never showed");
        });
    });
}

/// An advert that runs on a host until dropped.
struct Started {
    states: watch::Receiver<AdvertState>,
    clones: mpsc::Receiver<CloneSighting>,
    update: mpsc::UnboundedSender<Content>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Started {
    fn on(host: &Host, site: u8) -> Self {
        let (clones_in, clones) = mpsc::channel(32);
        let (update, mut updates) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        let (states_in, states) = std::sync::mpsc::channel();
        let setup = Setup {
            // Hosts of a test may be meant to share a name.
            instance: "lic01".to_owned(),
            port: PORT,
            addresses: vec![],
        };
        let thread = host.spawn(move || {
            runtime().block_on(async move {
                let advert = Advert::start(setup, content(site, &[site]), clones_in);
                states_in.send(advert.states()).unwrap();
                let apply = async {
                    while let Some(content) = updates.recv().await {
                        advert.update(content);
                    }
                };
                tokio::select! {
                    () = apply => {}
                    _ = stopped => {}
                }
                advert.stop().await;
            });
        });
        Self {
            states: states.recv().unwrap(),
            clones,
            update,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn wait(&self, what: &str, is_so: impl Fn(&AdvertState) -> bool) {
        for _ in 0..3000 {
            if is_so(&self.states.borrow()) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("{what}: {:?}", *self.states.borrow());
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().map(thread::JoinHandle::join);
    }
}

fn with_advert(host: &Host, site: u8, work: impl FnOnce(&mut Started)) {
    let mut started = Started::on(host, site);
    started.wait("advertising", |state| advertised_at(state, host.addr()));
    work(&mut started);
}

fn advertised_at(state: &AdvertState, ip: IpAddr) -> bool {
    matches!(state, AdvertState::Advertising { addrs, .. } if addrs.iter().any(|addr| addr.ip() == ip))
}

fn named_alike(lan: &mut Lan) -> (Host, Host, Host) {
    (lan.host("one"), lan.host("two"), lan.host("desk"))
}

/// Everything heard of within `time`.
fn hear(host: &Host, time: Duration) -> Vec<Candidate> {
    hear_until(host, time, |_| true)
}

/// Everything heard of within `time`, and after that until it is enough.
fn hear_until(
    host: &Host,
    time: Duration,
    enough: impl Fn(&[Candidate]) -> bool + Sync,
) -> Vec<Candidate> {
    let collect = async {
        let (mut search, mut heard) = (Search::start(), Vec::new());
        let (mut wait, patience) = (time, Duration::from_secs(PATIENCE_S));
        loop {
            let listen = async {
                while let Some(candidate) = search.next().await {
                    heard.push(candidate);
                    if wait == patience && enough(&heard) {
                        break;
                    }
                }
            };
            let _ = tokio::time::timeout(wait, listen).await;
            if wait == patience || enough(&heard) {
                return heard;
            }
            wait = patience;
        }
    };
    host.enter(|| runtime().block_on(collect))
}

/// In milliseconds; the clock rounds down at both ends, so only a mean says more.
fn first_candidate_ms(host: &Host) -> u64 {
    let search = async {
        let begun = Clock::new().boot();
        Search::start().next().await.unwrap();
        Clock::new().boot().0 - begun.0
    };
    host.enter(|| runtime().block_on(search))
}

/// The first server, believed without proof: who it is, is another test's question.
fn found(host: &Host, wait_s: u64) -> Result<Candidate, NotFound<String>> {
    let budget = Budget {
        wait: Duration::from_secs(wait_s),
        ..Budget::default()
    };
    let hunt = race(vec![Source::Mdns], budget, |_| async { Ok(()) });
    let found = host.enter(|| runtime().block_on(hunt));
    found.map(|found| found.candidate.as_ref().clone())
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn content(site: u8, roots: &[u8]) -> Content {
    let roots: Vec<_> = roots.iter().map(|root| Fingerprint([*root; 32])).collect();
    Content::new(&site_key(site), &roots)
}

fn site_key(site: u8) -> PublicKey {
    PublicKey::from(&ed25519_dalek::SigningKey::from_bytes(&[site; 32]))
}

fn site_hex(site: u8) -> String {
    site_key(site).as_bytes()[..8]
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

fn ips(candidate: &Candidate) -> Vec<IpAddr> {
    candidate.addrs.iter().map(SocketAddr::ip).collect()
}

fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// Of so many that the rounding evens out.
fn mean_ms(mut once: impl FnMut() -> u64) -> f64 {
    let sum: u64 = (0..MEASURED).map(|_| once()).sum();
    f64::from(u32::try_from(sum).unwrap()) / f64::from(MEASURED)
}

const PORT: u16 = 27443;
const MEASURED: u32 = 40;
/// For what comes sooner or later, and at once where the machine is not busy.
const PATIENCE_S: u64 = 60;
