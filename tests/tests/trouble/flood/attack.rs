//! What attackers do. Each attack prepares first, then waits for the word to begin.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use quinn::{ClientConfig, Endpoint, Runtime as _};
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::timeout;
use usher_client::tls::{self, ExpectedServer};
use usher_protocol::wire::{ClientFrame, Reply, Request, ServerFrame};
use usher_tests::hosts::Host;
use usher_tests::peer::{Held, Peer, a_seat, frame, hello, key, pause};
use usher_tests::proof::Dice;

use super::Target;

/// Prepares an attack from a host.
pub(super) type Attack = fn(&Host, &Target) -> Attackers;

/// An attack that is ready or under way.
pub(super) struct Attackers {
    begin: Sender<()>,
    thread: JoinHandle<Tally>,
}

impl Attackers {
    fn new(host: &Host, work: impl FnOnce(Receiver<()>) -> Tally + Send + 'static) -> Self {
        let (begin, word) = channel();
        let thread = host.spawn(move || {
            // Of this thread alone. It takes what the daemon and its clients leave of the cores.
            rustix::process::nice(19).unwrap();
            work(word)
        });
        Self { begin, thread }
    }

    pub(super) fn begin(&self) {
        self.begin.send(()).unwrap();
    }

    pub(super) fn end(self) -> Tally {
        self.thread.join().unwrap()
    }
}

/// What an attack amounted to.
pub(super) struct Tally {
    pub(super) count: u64,
    what: String,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.count, self.what)
    }
}

/// First packets of handshakes from addresses that nobody has, as if there were no end of them.
pub(super) fn spoofed(host: &Host, target: &Target) -> Attackers {
    let target = target.clone();
    let packets = first_packets(target.address, PACKETS);
    Attackers::new(host, move |word| {
        let (mut dice, mut sent) = (Dice::new(target.seed), 0);
        word.recv().unwrap();
        for packet in packets.iter().cycle() {
            if target.is_over() {
                break;
            }
            let [.., high, low] = dice.roll().to_be_bytes();
            let from = Ipv4Addr::new(10, 78, high, low.max(1));
            // A full buffer loses it; so would a network.
            let socket = UdpSocket::bind((from, 0)).unwrap();
            sent += u64::from(socket.send_to(packet, target.address).is_ok());
            if sent % PACKETS_AT_ONCE == 0 {
                std::thread::sleep(PACKETS_PAUSE);
            }
        }
        let what = "first packets from addresses that nobody has".to_owned();
        Tally { count: sent, what }
    })
}

/// Each begins a handshake of its own.
fn first_packets(server: SocketAddr, count: usize) -> Vec<Vec<u8>> {
    let mut endpoint = quinn_proto::Endpoint::new(Arc::default(), None, true, None);
    let config = config(1);
    let first = |_| {
        // Quinn's state machine wants its own clock's word; nothing is decided by it.
        let now = quinn::TokioRuntime.now();
        let (_, mut connection) = endpoint
            .connect(now, config.clone(), server, "usher")
            .unwrap();
        let mut packet = Vec::new();
        let initial = connection.poll_transmit(now, 1, &mut packet).unwrap();
        packet.truncate(initial.size);
        packet
    };
    (0..count).map(first).collect()
}

/// As many connections as can be had, each welcomed and then silent: past what one address may have, then from others.
pub(super) fn idle(host: &Host, target: &Target) -> Attackers {
    crowd(host, target, |crowd| async move {
        let mut endpoint = crowd.endpoint(0);
        let (mut held, mut tries) = (Vec::new(), 0);
        while !crowd.target.is_over() && held.len() < IDLE_MAX {
            tries += 1;
            if tries % IDLE_TRIES_OF_ONE == 0 {
                endpoint = crowd.endpoint(tries / IDLE_TRIES_OF_ONE);
            }
            match crowd.enter(&endpoint, 20).await {
                Some(peer) => held.push(peer),
                None => pause(5).await,
            }
        }
        while !crowd.target.is_over() {
            pause(50).await;
        }
    })
}

/// Handshakes that prove a key from an address that is really there, and then say nothing: more of them than there may
/// be half-open at once, again and again.
pub(super) fn half_open(host: &Host, target: &Target) -> Attackers {
    crowd(host, target, |crowd| async move {
        let mut round = 0;
        while !crowd.target.is_over() {
            let (mut silent, mut entering) = (Vec::new(), JoinSet::new());
            for address in 0..HALF_OPEN_ADDRESSES {
                let endpoint = crowd.endpoint(150 + (round + address) % 100);
                for _ in 0..HALF_OPEN_OF_ONE {
                    let to = crowd.target.address;
                    entering.spawn(Peer::connect_from(endpoint.clone(), to, config(50)));
                }
                while let Some(entered) = entering.join_next().await {
                    let Ok(Some(peer)) = entered else { continue };
                    crowd.count.fetch_add(1, Relaxed);
                    silent.push(peer);
                }
                if crowd.target.is_over() {
                    break;
                }
            }
            round += HALF_OPEN_ADDRESSES;
        }
    })
}

/// A byte a second: of a `Hello` that is never done in time, and of a request that goes on for hours.
pub(super) fn slow(host: &Host, target: &Target) -> Attackers {
    crowd(host, target, |crowd| async move {
        let endpoint = crowd.endpoint(100);
        let mut streams = JoinSet::new();
        for stream in 0..SLOW_STREAMS {
            let (crowd, endpoint) = (crowd.clone(), endpoint.clone());
            streams.spawn(async move {
                while !crowd.target.is_over() {
                    let is_welcome = stream % 2 == 0;
                    drip(&crowd, &endpoint, is_welcome).await;
                    pause(200).await;
                }
            });
        }
        streams.join_all().await;
    })
}

async fn drip(crowd: &Crowd, endpoint: &Endpoint, is_welcome: bool) -> Option<()> {
    let (mut peer, bytes) = if is_welcome {
        let request = ClientFrame::Request(1, Request::Checkout(a_seat()));
        (crowd.enter(endpoint, 30).await?, request.encode().unwrap())
    } else {
        let connecting = Peer::connect_from(endpoint.clone(), crowd.target.address, config(30));
        let peer = timeout(PATIENCE, connecting).await.ok()??;
        crowd.count.fetch_add(1, Relaxed);
        (peer, hello(crowd.target.root).encode().unwrap())
    };
    for byte in bytes {
        peer.send.write_all(&[byte]).await.ok()?;
        for _ in 0..20 {
            if crowd.target.is_over() {
                return None;
            }
            pause(50).await;
        }
    }
    None
}

/// One key, many connections, each of them as many requests as it may have unanswered, for ever: it takes all seats it
/// can get, renews them, gives them back.
pub(super) fn greedy(host: &Host, target: &Target) -> Attackers {
    crowd(host, target, |crowd| async move {
        // All of them from one address.
        let endpoint = Endpoint::client((crowd.address, 0).into()).unwrap();
        let mut connections = JoinSet::new();
        for _ in 0..GREEDY_CONNECTIONS {
            let (crowd, endpoint) = (crowd.clone(), endpoint.clone());
            connections.spawn(async move {
                while !crowd.target.is_over() {
                    if let Some(peer) = crowd.enter(&endpoint, 40).await {
                        grab(&crowd, peer).await;
                    }
                    pause(50).await;
                }
            });
        }
        connections.join_all().await;
    })
}

/// Keeps so many requests unanswered until told to stop, or until the daemon has had enough.
async fn grab(crowd: &Crowd, peer: Peer) -> Option<()> {
    let Peer {
        mut send,
        mut receive,
        connection: _connection,
        ..
    } = peer;
    let mut asked = std::collections::HashMap::new();
    let mut next = Vec::new();
    let mut number = 0;
    while !crowd.target.is_over() {
        while asked.len() < REQUESTS_AT_ONCE {
            let seat = a_seat();
            let request = next
                .pop()
                .unwrap_or_else(|| Request::Checkout(seat.clone()));
            number += 1;
            asked.insert(number, seat);
            let bytes = ClientFrame::Request(number, request).encode().unwrap();
            send.write_all(&bytes).await.ok()?;
        }
        let ServerFrame::Reply(answered, reply) = frame(&mut receive).await? else {
            continue;
        };
        let seat = asked.remove(&answered)?;
        crowd.count.fetch_add(1, Relaxed);
        if let Reply::Granted(grant) = reply
            && next.len() < REQUESTS_AT_ONCE
        {
            next.push(Held::of(&seat, grant).release());
        }
    }
    Some(())
}

/// Some threads of attackers, each a runtime of its own.
fn crowd<F>(host: &Host, target: &Target, work: fn(Crowd) -> F) -> Attackers
where
    F: Future<Output = ()> + 'static,
{
    let (target, address) = (target.clone(), host.addr());
    let std::net::IpAddr::V4(address) = address else {
        unreachable!()
    };
    Attackers::new(host, move |word| {
        word.recv().unwrap();
        let count = Arc::new(AtomicU64::new(0));
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                let crowd = Crowd {
                    target: target.clone(),
                    count: Arc::clone(&count),
                    number,
                    address,
                };
                // Born on this host, and as little urgent as its parent.
                std::thread::spawn(move || {
                    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
                    runtime.block_on(work(crowd));
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let what = "connections and answered requests".to_owned();
        Tally {
            count: count.load(Relaxed),
            what,
        }
    })
}

#[derive(Clone)]
struct Crowd {
    target: Target,
    count: Arc<AtomicU64>,
    number: usize,
    address: Ipv4Addr,
}

impl Crowd {
    /// A socket at the thread's own address number `number`.
    fn endpoint(&self, number: usize) -> Endpoint {
        let [thread, number] = [self.number + 1, number + 1].map(|it| u8::try_from(it).unwrap());
        let from = Ipv4Addr::new(10, 79, thread, number);
        Endpoint::client((from, 0).into()).unwrap()
    }

    /// A connection that the daemon welcomes.
    async fn enter(&self, endpoint: &Endpoint, key: u8) -> Option<Peer> {
        let entering = async {
            let endpoint = endpoint.clone();
            let mut peer = Peer::connect_from(endpoint, self.target.address, config(key)).await?;
            peer.greet(self.target.root).await.then_some(peer)
        };
        let peer = timeout(PATIENCE, entering).await.ok()??;
        self.count.fetch_add(1, Relaxed);
        Some(peer)
    }
}

fn config(number: u8) -> ClientConfig {
    tls::client_config(&key(number), ExpectedServer::Any).unwrap()
}

const PACKETS: usize = 2000;
/// So many, then a pause: five thousand a second at most.
const PACKETS_AT_ONCE: u64 = 50;
const PACKETS_PAUSE: Duration = Duration::from_millis(10);
const THREADS: usize = 2;
/// More than one address may have.
const IDLE_TRIES_OF_ONE: usize = 250;
const IDLE_MAX: usize = 20_000;
const HALF_OPEN_ADDRESSES: usize = 20;
const HALF_OPEN_OF_ONE: usize = 50;
const SLOW_STREAMS: usize = 150;
const GREEDY_CONNECTIONS: usize = 64;
const REQUESTS_AT_ONCE: usize = 64;
const PATIENCE: Duration = Duration::from_secs(5);
