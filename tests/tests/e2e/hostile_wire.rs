//! Does the daemon serve on, lose nothing and grow little, whatever comes over the network?
//!
//! A good client holds and renews a seat all the while; its latency is printed for a person to read.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use quinn::Runtime as _;
use tokio::time::timeout;
use usher_client::clock::Clock;
use usher_client::tls::{self, ExpectedServer};
use usher_protocol::ids::Fingerprint;
use usher_protocol::limits::FRAME_BYTES_MAX;
use usher_protocol::refusal::RefusalCode;
use usher_protocol::time::DurationMs;
use usher_protocol::wire::{ClientFrame, Hello, Reply, Request, ServerFrame, WIRE_VERSION};

use super::hostile_tls::{ecdsa, no_certificate};
use super::usher_site::Site;
use usher_tests::peer::{Cost, Held, Peer, a_seat, hello, key, pause, root_of, runtime, until};

#[test]
fn garbage_datagrams_and_half_open_handshakes_keep_nobody_out() {
    let ground = Ground::new();
    let garbage = UdpSocket::bind("127.0.0.1:0").unwrap();
    for length in 1..=1600_usize {
        // Long and short headers, known and unknown versions, and noise.
        for first in [0x00, 0x40, 0x80, 0xc0, 0xff] {
            let mut bytes: Vec<u8> = (0..length).map(|at| noise(at * 31 + length)).collect();
            bytes[0] = first;
            if let Some(version) = bytes.get_mut(1..5) {
                version.copy_from_slice(&u32::from(first & 1 == 0).to_be_bytes());
            }
            garbage.send_to(&bytes, ground.address).unwrap();
        }
    }
    garbage
        .send_to(&vec![0xc0; 65_000], ground.address)
        .unwrap();
    ground.serves_on("garbage datagrams of 1 to 1600 bytes");
    half_open(ground.address, HALF_OPEN);
    ground.serves_on(&format!("{HALF_OPEN} half-open handshakes, at once after"));
    // Given up after 5 s, and forgotten.
    let site = &ground.site;
    runtime().block_on(until("half-open ones forgotten", 600, async || {
        let n = connections(site);
        println!("{n} connections");
        n == 1
    }));
    ground.serves_on("half-open handshakes, forgotten");
    ground.end();
}

#[test]
fn whoever_does_not_prove_a_key_or_say_hello_is_let_go() {
    let ground = Ground::new();
    runtime().block_on(async {
        for (config, what) in [
            (no_certificate(), "no certificate"),
            (ecdsa(), "an ECDSA one"),
        ] {
            let reason = turned_away(ground.address, config).await;
            println!("{what}: {reason}");
            assert!(reason.contains("aborted by peer"), "{reason}");
        }
        let mut early = Peer::connect(ground.address, &key(3)).await.unwrap();
        early
            .say(&ClientFrame::Request(1, Request::Checkout(a_seat())))
            .await;
        println!("{}", early.ends_refused(RefusalCode::HelloFirst).await);

        let mut strange = Peer::connect(ground.address, &key(3)).await.unwrap();
        strange.say(&hello(Fingerprint([9; 32]))).await;
        println!("{}", strange.ends_refused(RefusalCode::UnknownVendor).await);

        for (version_min, version_max) in [(2, 9), (0, 0), (9, 2)] {
            let mut newer = Peer::connect(ground.address, &key(3)).await.unwrap();
            let hello = Hello {
                version_min,
                version_max,
                root: ground.root,
            };
            newer.say(&ClientFrame::Hello(hello)).await;
            println!(
                "{}",
                newer.ends_refused(RefusalCode::UnsupportedVersion).await
            );
        }
        // One that says nothing, one that begins a frame, and one that comes too late.
        let mut silent = Vec::new();
        for begun in [&[][..], &[0, 0, 0][..], &[0, 0, 0x40, 0, 1, 1][..]] {
            let mut peer = Peer::connect(ground.address, &key(3)).await.unwrap();
            peer.say_bytes(begun).await;
            silent.push(peer);
        }
        for mut peer in silent {
            let closed = timeout(PATIENCE, peer.connection.closed()).await;
            println!("says nothing: {}", closed.unwrap());
            let late = hello(ground.root).encode().unwrap();
            assert!(peer.send.write_all(&late).await.is_err() || peer.next().await.is_none());
        }
        until("places are free", 600, async || {
            connections(&ground.site) == 1
        })
        .await;
    });
    ground.serves_on("unproved keys, early requests, late and no hellos");
    ground.end();
}

#[test]
fn frames_that_are_none_end_one_connection_and_no_other() {
    let ground = Ground::new();
    runtime().block_on(async {
        for (what, bytes) in bad_frames() {
            let peer = ground.stranger().await;
            println!("{what}: {}", said(peer, &bytes).await);
            let peer = Peer::connect(ground.address, &key(3)).await.unwrap();
            said(peer, &bytes).await;
        }
        let mut twice = ground.stranger().await;
        twice.say(&hello(ground.root)).await;
        println!(
            "second hello: {}",
            twice.ends_refused(RefusalCode::BadRequest).await
        );
        // T5, DESIGN 7: one stream, no datagrams; a client that would open more waits for ever.
        let one = ground.stranger().await;
        let more = timeout(Duration::from_millis(300), one.connection.open_bi()).await;
        assert!(more.is_err(), "a second stream was allowed");
        let more = timeout(Duration::from_millis(100), one.connection.open_uni()).await;
        assert!(more.is_err(), "a stream in one direction was allowed");
        assert_eq!(one.connection.max_datagram_size(), None);
        for _ in 0..CHURN {
            let mut peer = Peer::connect(ground.address, &key(3)).await.unwrap();
            peer.say_bytes(&[0xff; 64]).await;
        }
    });
    ground.serves_on("frames that are none");
    ground.end();
}

#[test]
fn requests_that_make_no_sense_are_refused_and_cost_no_seat() {
    let ground = Ground::new();
    runtime().block_on(async {
        let mut peer = ground.stranger().await;
        for (what, request) in absurd_requests() {
            let refusal = peer.refused(request).await;
            println!("{what}: {}: {}", refusal.code.name(), refusal.detail);
            assert_eq!(
                refusal.code,
                RefusalCode::BadRequest,
                "{what}: {}",
                refusal.detail
            );
        }
        let mut too_many = a_seat();
        too_many.seats = 1000;
        assert_eq!(
            peer.refused(Request::Checkout(too_many)).await.code,
            RefusalCode::TooManySeats
        );
        let mut unknown = a_seat();
        unknown.feature = "no-such".parse().unwrap();
        assert_eq!(
            peer.refused(Request::Checkout(unknown)).await.code,
            RefusalCode::UnknownFeature
        );
        // L6, T6: a lease nobody ever signed.
        let held = Held::checkout(&mut peer).await;
        let mut forged = held.clone();
        forged.grant.lease.body[20] ^= 1;
        assert_eq!(
            peer.refused(forged.attach().0).await.code,
            RefusalCode::NotGenuine
        );
        assert_eq!(peer.ask(held.release()).await, Reply::Released);
    });
    ground.serves_on("requests that make no sense");
    ground.end();
}

/// A3: past the bound nothing is read; a client that does not read its replies keeps only itself waiting.
#[test]
fn a_slow_reader_keeps_only_itself_waiting() {
    let ground = Ground::new();
    runtime().block_on(async {
        let mut slow = ground.stranger().await;
        let Peer { send, receive, .. } = &mut slow;
        let late = async {
            pause(3000).await;
            ground.serves_on("10 000 requests of a slow reader, unread");
            replies(receive, PIPELINED).await
        };
        let (written, read) = timeout(PATIENCE, async { tokio::join!(flood(send), late) })
            .await
            .unwrap();
        assert_eq!((written, read), (PIPELINED, PIPELINED));

        // One that never reads is given up (WRITE_MS_MAX), and its place is free again.
        let mut never = ground.stranger().await;
        let written = timeout(PATIENCE, flood(&mut never.send)).await.unwrap();
        println!(
            "a client that never reads got {written} requests in, then: {:?}",
            never.connection.close_reason()
        );
        assert!(written < PIPELINED);
        drop(slow);
        until("places are free", 600, async || {
            connections(&ground.site) == 1
        })
        .await;
    });
    ground.serves_on("clients that do not read");
    ground.end();
}

/// A licensed daemon, and a good client that renews its one seat ten times a second.
struct Ground {
    site: Site,
    address: SocketAddr,
    root: Fingerprint,
    before: Cost,
    stop: Arc<AtomicBool>,
    good: JoinHandle<Vec<u64>>,
}

impl Ground {
    fn new() -> Self {
        let site = Site::new(&["--environment", "test", "--feature", "solver:10"]);
        let (address, root) = (site.daemon.address(), root_of(&site.vendor));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let good = thread::spawn(move || runtime().block_on(hold(address, root, stopped)));
        runtime().block_on(until("the good client holds its seat", 600, async || {
            site.daemon.ask(&["leases"]).contains("anna")
        }));
        let before = Cost::of(&site.daemon);
        Self {
            site,
            address,
            root,
            before,
            stop,
            good,
        }
    }

    async fn stranger(&self) -> Peer {
        Peer::welcomed(self.address, &key(3), self.root).await
    }

    /// Grants and takes back a seat, still has the good client's, and has not grown.
    fn serves_on(&self, what: &str) {
        assert!(
            !self.good.is_finished(),
            "the good client lost its seat: {what}"
        );
        let (address, root) = (self.address, self.root);
        // On a thread of its own, since some ask from within a runtime.
        thread::scope(|scope| {
            let asking = async {
                let mut peer = Peer::welcomed(address, &key(4), root).await;
                let held = Held::checkout(&mut peer).await;
                assert_eq!(held.grant.seats_out, 2, "{what}");
                assert_eq!(peer.ask(held.release()).await, Reply::Released);
                peer.leave().await;
            };
            scope.spawn(|| runtime().block_on(asking)).join().unwrap();
        });
        self.before.grown_little(&self.site.daemon, what);
    }

    fn end(self) {
        self.stop.store(true, Relaxed);
        let mut latencies = self.good.join().unwrap();
        latencies.sort_unstable();
        let count = latencies.len();
        println!(
            "the good client: {count} renewals, p50 {} ms, p99 {} ms",
            latencies[count / 2],
            latencies[count * 99 / 100]
        );
        assert_eq!(self.site.daemon.ask(&["leases"]).matches("anna").count(), 0);
    }
}

/// Renews until told to stop, then gives back; how long each renewal took, in ms.
async fn hold(address: SocketAddr, root: Fingerprint, stop: Arc<AtomicBool>) -> Vec<u64> {
    let (clock, mut latencies) = (Clock::new(), Vec::new());
    let mut peer = Peer::welcomed(address, &key(1), root).await;
    let mut held = Held::checkout(&mut peer).await;
    while !stop.load(Relaxed) {
        let asked = clock.boot();
        held.renew(&mut peer).await;
        latencies.push(clock.boot().since(asked).0);
        pause(100).await;
    }
    assert_eq!(peer.ask(held.release()).await, Reply::Released);
    latencies
}

/// First packets of handshakes that nobody goes on with, from many addresses of this machine.
fn half_open(server: SocketAddr, count: usize) {
    let tls = tls::client_config(&key(5), ExpectedServer::Any).unwrap();
    let sockets: Vec<_> = (1..=50_u8)
        .map(|host| UdpSocket::bind((Ipv4Addr::new(127, 0, 1, host), 0)).unwrap())
        .collect();
    let mut endpoint = quinn_proto::Endpoint::new(Arc::default(), None, true, None);
    for at in 0..count {
        // Quinn's state machine wants its own clock's word; nothing is decided by it.
        let now = quinn::TokioRuntime.now();
        let (_, mut connection) = endpoint.connect(now, tls.clone(), server, "usher").unwrap();
        let mut packet = Vec::new();
        let initial = connection.poll_transmit(now, 1, &mut packet).unwrap();
        sockets[at % sockets.len()]
            .send_to(&packet[..initial.size], server)
            .unwrap();
    }
}

/// How the daemon ends a connection with this TLS, on the first read at the latest.
async fn turned_away(address: SocketAddr, config: quinn::ClientConfig) -> String {
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let connection = match endpoint
        .connect_with(config, address, tls::SERVER_NAME)
        .unwrap()
        .await
    {
        Ok(connection) => connection,
        Err(error) => return error.to_string(),
    };
    timeout(PATIENCE, connection.closed())
        .await
        .unwrap()
        .to_string()
}

fn bad_frames() -> Vec<(&'static str, Vec<u8>)> {
    let over = u32::try_from(FRAME_BYTES_MAX + 1).unwrap().to_be_bytes();
    let features = ClientFrame::Request(1, Request::Features).encode().unwrap();
    let mut trailing = features.clone();
    trailing.push(0);
    trailing[3] += 1;
    let mut cut = features.clone();
    cut.truncate(features.len() - 1);
    cut[3] -= 1;
    vec![
        ("a frame of 4 GiB", vec![0xff; 16]),
        ("a frame one byte too long", over.to_vec()),
        ("an empty frame", vec![0, 0, 0, 0]),
        ("a frame of one byte", vec![0, 0, 0, 1, WIRE_VERSION]),
        ("an unknown kind", vec![0, 0, 0, 3, WIRE_VERSION, 0x7f, 0]),
        ("a daemon's kind", vec![0, 0, 0, 3, WIRE_VERSION, 0x81, 0]),
        ("an unknown version", vec![0, 0, 0, 3, 9, 2, 0]),
        (
            "an unknown request",
            vec![0, 0, 0, 4, WIRE_VERSION, 2, 1, 0x63],
        ),
        ("trailing bytes", trailing),
        ("a frame cut short inside", cut),
        (
            "a length of terabytes inside",
            vec![
                0,
                0,
                0,
                12,
                WIRE_VERSION,
                2,
                1,
                5,
                253,
                255,
                255,
                255,
                255,
                255,
                255,
                127,
            ],
        ),
        (
            "a user name that is not UTF-8",
            spoiled(b"anna", b"an\xffa"),
        ),
        (
            "a feature name with a line break",
            spoiled(b"solver", b"sol\nve"),
        ),
        ("a feature name in capitals", spoiled(b"solver", b"SOLVER")),
    ]
}

/// A checkout in which a name is replaced by one that the codec must not take.
fn spoiled(name: &[u8], by: &[u8]) -> Vec<u8> {
    let mut bytes = ClientFrame::Request(1, Request::Checkout(a_seat()))
        .encode()
        .unwrap();
    let at = bytes
        .windows(name.len())
        .position(|window| window == name)
        .unwrap();
    bytes[at..at + name.len()].copy_from_slice(by);
    bytes
}

/// What the daemon says to these bytes before it closes the connection; always a documented refusal.
async fn said(mut peer: Peer, bytes: &[u8]) -> String {
    peer.say_bytes(bytes).await;
    let refusal = match timeout(PATIENCE, peer.next()).await.unwrap() {
        Some(ServerFrame::Reply(0, Reply::Refused(refusal))) => refusal,
        other => panic!("{other:?} to {bytes:?}"),
    };
    assert!(
        [RefusalCode::BadRequest, RefusalCode::HelloFirst].contains(&refusal.code),
        "{refusal:?}"
    );
    timeout(PATIENCE, peer.connection.closed()).await.unwrap();
    format!("{}: {}", refusal.code.name(), refusal.detail)
}

fn absurd_requests() -> Vec<(&'static str, Request)> {
    let length = |ms| {
        Request::Checkout(usher_protocol::wire::Checkout {
            length_ms: Some(DurationMs(ms)),
            ..a_seat()
        })
    };
    let seats = |seats| Request::Checkout(usher_protocol::wire::Checkout { seats, ..a_seat() });
    let user = |text: &str| {
        let mut checkout = a_seat();
        text.clone_into(&mut checkout.holder.user);
        Request::Checkout(checkout)
    };
    let mut display = a_seat();
    display.holder.display = Some("\u{1b}[2J".to_owned());
    vec![
        ("no time at all", length(0)),
        ("100 years", length(100 * 365 * 86_400_000)),
        ("as long as can be", length(u64::MAX)),
        ("no seats", seats(0)),
        ("all seats there are", seats(u32::MAX)),
        ("a user of 129 bytes", user(&"x".repeat(129))),
        ("a user of 12 000 bytes", user(&"x".repeat(12_000))),
        ("no user", user("")),
        ("a user with a line break", user("an\nna")),
        ("a user with an escape", user("\u{1b}]0;pwned\u{7}")),
        ("a display with an escape", Request::Checkout(display)),
    ]
}

/// Asks for features so many times, or until the daemon has had enough; how often it asked.
async fn flood(send: &mut quinn::SendStream) -> u64 {
    for number in 1..=PIPELINED {
        let frame = ClientFrame::Request(number, Request::Features)
            .encode()
            .unwrap();
        if send.write_all(&frame).await.is_err() {
            return number - 1;
        }
    }
    PIPELINED
}

/// How many answers come, each once, up to `count`.
async fn replies(receive: &mut quinn::RecvStream, count: u64) -> u64 {
    let mut answered = std::collections::HashSet::new();
    while (answered.len() as u64) < count {
        match usher_tests::peer::frame(receive).await {
            Some(ServerFrame::Reply(number, Reply::Features(_))) => {
                assert!(answered.insert(number));
            }
            other => panic!("{other:?} after {} answers", answered.len()),
        }
    }
    count
}

fn connections(site: &Site) -> u64 {
    let status: serde_json::Value =
        serde_json::from_str(&site.daemon.ask(&["status", "--json"])).unwrap();
    status["connections"].as_u64().unwrap()
}

fn noise(seed: usize) -> u8 {
    (seed.wrapping_mul(0x9e37_79b9) >> 13).to_le_bytes()[0]
}

const HALF_OPEN: usize = 10_000;
const PIPELINED: u64 = 10_000;
/// Connections that come with nonsense, one after the other.
const CHURN: usize = 200;
const PATIENCE: Duration = Duration::from_mins(3);
