//! The network face over loopback, with the client's real TLS and the wire's own types.

mod crowd;
mod queue;

use std::{net::SocketAddr, time::Duration};

use ed25519_dalek::SigningKey;
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use usher_client::tls::{self, ExpectedServer, SERVER_NAME};
use usher_engine::api::{AdminAsk, Answer, ConnectionId};
use usher_protocol::{
    codec::{self, FRAME_PREFIX_BYTES},
    documents::{
        endorsement::VerifiedEndorsement,
        lease::{Lease, VerifiedLease},
    },
    envelope::Signed,
    ids::{Fingerprint, Nonce, PublicKey, Token},
    limits::FRAME_BYTES_MAX,
    refusal::{Refusal, RefusalCode},
    time::DurationMs,
    wire::{
        Attach, ClientFrame, Grant, Hello, Link, Push, Release, Renew, Reply, Request, ServerFrame,
        Welcome,
    },
};

use super::*;
use crate::{
    advert::CloneSighting,
    clones::{self, CloneWatch},
    core::Started,
    journal::{MemoryJournal, MemoryStore, SledJournal, SledOptions},
    testing,
};

struct Site {
    core: Started,
    server: Server,
    address: SocketAddr,
}

async fn site(seats: u32, connections_per_address_max: usize) -> Site {
    let core = testing::start(MemoryJournal::open(&MemoryStore::default()));
    testing::install(
        &core.handle,
        &testing::license(seats, DurationMs::minutes(10)),
    )
    .await;
    serving(core, connections_per_address_max)
}

fn serving(core: Started, connections_per_address_max: usize) -> Site {
    serving_on("127.0.0.1:0", core, connections_per_address_max)
}

fn serving_on(listen: &str, core: Started, connections_per_address_max: usize) -> Site {
    crowding(listen, core, connections_per_address_max, 100)
}

fn crowding(
    listen: &str,
    core: Started,
    connections_per_address_max: usize,
    strangers_max: usize,
) -> Site {
    let parts = ServerParts {
        core: core.handle.clone(),
        site_key: testing::site_key(),
        site: PublicKey::from(&testing::site_key()),
        name: "lic01".to_owned(),
        connections_per_address_max,
        strangers_max,
    };
    let server = Server::start(&[listen.parse().unwrap()], parts).unwrap();
    let address = server.addresses()[0];
    Site {
        core,
        server,
        address,
    }
}

/// A client that speaks frames, right and wrong ones.
struct Peer {
    _endpoint: Endpoint,
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
}

impl Peer {
    async fn connect(address: SocketAddr, key: &SigningKey) -> Option<Self> {
        let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let config = tls::client_config(key, ExpectedServer::Any).unwrap();
        let connecting = endpoint.connect_with(config, address, SERVER_NAME);
        let connection = connecting.unwrap().await.ok()?;
        let (send, receive) = connection.open_bi().await.ok()?;
        Some(Self {
            _endpoint: endpoint,
            connection,
            send,
            receive,
        })
    }

    async fn welcomed(address: SocketAddr) -> Self {
        let mut peer = Self::connect(address, &testing::client_key())
            .await
            .unwrap();
        peer.hello(testing::caller().root).await;
        assert!(matches!(peer.next().await, Some(ServerFrame::Welcome(_))));
        peer
    }

    async fn hello(&mut self, root: Fingerprint) {
        let hello = Hello {
            version_min: 1,
            version_max: 1,
            root,
        };
        self.say(&ClientFrame::Hello(hello)).await;
    }

    async fn say(&mut self, frame: &ClientFrame) {
        self.say_bytes(&frame.encode().unwrap()).await;
    }

    async fn say_bytes(&mut self, bytes: &[u8]) {
        self.send.write_all(bytes).await.unwrap();
    }

    async fn ask(&mut self, number: u64, request: Request) -> Reply {
        self.say(&ClientFrame::Request(number, request)).await;
        loop {
            match self.next().await {
                Some(ServerFrame::Reply(answered, reply)) if answered == number => return reply,
                Some(ServerFrame::Push(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn granted(&mut self, number: u64, request: Request) -> Grant {
        match self.ask(number, request).await {
            Reply::Granted(grant) => grant,
            other => panic!("{other:?}"),
        }
    }

    async fn next(&mut self) -> Option<ServerFrame> {
        let mut prefix = [0; FRAME_PREFIX_BYTES];
        self.receive.read_exact(&mut prefix).await.ok()?;
        let length = codec::frame_length(u64::from(u32::from_be_bytes(prefix))).unwrap();
        let mut bytes = vec![0; length];
        self.receive.read_exact(&mut bytes).await.ok()?;
        Some(ServerFrame::decode(&bytes).unwrap())
    }

    /// The next frame, but for the installation's own news, which may come after its answer.
    async fn next_of_note(&mut self) -> Option<ServerFrame> {
        loop {
            match self.next().await {
                Some(ServerFrame::Push(Push::FeaturesChanged)) => {}
                other => return other,
            }
        }
    }

    /// The connection itself is refused, and closed after that.
    async fn ends_refused(mut self, code: RefusalCode) {
        match self.next().await {
            Some(ServerFrame::Reply(0, Reply::Refused(refusal))) => {
                assert_eq!(refusal.code, code, "{}", refusal.detail);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(self.next().await, None);
        self.connection.closed().await;
    }
}

fn lease_of(grant: &Grant) -> VerifiedLease {
    VerifiedLease::verify(&grant.lease, &PublicKey::from(&testing::site_key())).unwrap()
}

fn link(previous: u8, next: u8) -> Link {
    Link {
        previous: Token([previous; 16]),
        next: Token([next; 16]),
    }
}

fn checkout(nonce: u8) -> Request {
    Request::Checkout(testing::checkout(nonce))
}

#[tokio::test]
async fn hello_checkout_renew_attach_release() {
    let site = site(2, 10).await;
    let mut peer = Peer::connect(site.address, &testing::client_key())
        .await
        .unwrap();
    peer.hello(testing::caller().root).await;
    let Some(ServerFrame::Welcome(welcome)) = peer.next().await else {
        panic!("no Welcome");
    };
    assert_proves_authority(&peer, &welcome);

    let grant = peer.granted(1, checkout(1)).await;
    assert_eq!((grant.seats_out, grant.seats_total), (1, Some(2)));
    let lease = lease_of(&grant);
    assert_eq!(lease.client, PublicKey::from(&testing::client_key()));
    let renew = Request::Renew(Renew {
        idle_ms: None,
        lease: lease.id,
        nonce: Nonce([1; 16]),
        link: link(1, 2),
        length_ms: None,
    });
    let renewed = peer.granted(2, renew).await;
    assert_eq!(lease_of(&renewed).id, lease.id);

    // A lost connection frees nothing; the lease shown is the way back (L6).
    drop(peer);
    let mut peer = Peer::welcomed(site.address).await;
    let attach = Request::Attach(Attach {
        lease: renewed.lease,
        nonce: Nonce([1; 16]),
        link: link(2, 3),
        length_ms: None,
    });
    let attached = peer.granted(1, attach).await;
    assert_eq!((lease_of(&attached).id, attached.seats_out), (lease.id, 1));
    let release = Request::Release(Release {
        lease: lease.id,
        nonce: Nonce([1; 16]),
        link: link(3, 4),
    });
    assert_eq!(peer.ask(2, release).await, Reply::Released);
    match peer.ask(3, Request::Features).await {
        Reply::Features(views) => assert_eq!(views[0].out, 0),
        other => panic!("{other:?}"),
    }
}

/// T4: the endorsement is of this very connection's key.
fn assert_proves_authority(peer: &Peer, welcome: &Welcome) {
    let root = PublicKey::from(&testing::root_key());
    let endorsement = VerifiedEndorsement::verify(&welcome.endorsement, &root).unwrap();
    assert_eq!(endorsement.site, tls::peer_key(&peer.connection).unwrap());
    assert_eq!(welcome.server, "lic01");
}

#[tokio::test]
async fn requests_are_pipelined_and_each_is_answered() {
    let site = site(40, 10).await;
    let mut peer = Peer::welcomed(site.address).await;
    let mut bytes = Vec::new();
    for number in 1..=200_u8 {
        let frame = ClientFrame::Request(u64::from(number), checkout(number));
        bytes.append(&mut frame.encode().unwrap());
    }
    peer.say_bytes(&bytes).await;
    let (mut granted, mut refused) = (0, 0);
    for _ in 0..200 {
        match peer.next_of_note().await {
            Some(ServerFrame::Reply(_, Reply::Granted(_))) => granted += 1,
            Some(ServerFrame::Reply(_, Reply::Refused(refusal))) => {
                assert_eq!(refusal.code, RefusalCode::NoSeat);
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((granted, refused), (40, 160));
}

#[tokio::test]
async fn nothing_is_answered_before_the_hello() {
    let site = site(2, 10).await;
    let mut peer = Peer::connect(site.address, &testing::client_key())
        .await
        .unwrap();
    peer.say(&ClientFrame::Request(1, Request::Features)).await;
    peer.ends_refused(RefusalCode::HelloFirst).await;
}

#[tokio::test]
async fn an_unknown_root_learns_nothing_but_that() {
    let site = site(2, 10).await;
    let mut peer = Peer::connect(site.address, &testing::client_key())
        .await
        .unwrap();
    peer.hello(Fingerprint([0; 32])).await;
    peer.ends_refused(RefusalCode::UnknownVendor).await;
}

#[tokio::test]
async fn a_second_hello_and_unspoken_versions_are_refused() {
    let site = site(2, 10).await;
    let mut peer = Peer::welcomed(site.address).await;
    peer.hello(testing::caller().root).await;
    peer.ends_refused(RefusalCode::BadRequest).await;
    let mut peer = Peer::connect(site.address, &testing::client_key())
        .await
        .unwrap();
    let hello = Hello {
        version_min: 7,
        version_max: 9,
        root: testing::caller().root,
    };
    peer.say(&ClientFrame::Hello(hello)).await;
    peer.ends_refused(RefusalCode::UnsupportedVersion).await;
}

#[tokio::test]
async fn frames_that_are_none_end_the_connection_before_and_after_the_hello() {
    let site = site(2, 10).await;
    let mut trailing = ClientFrame::Request(1, Request::Features).encode().unwrap();
    trailing.push(0);
    trailing[3] += 1;
    let over = u32::try_from(FRAME_BYTES_MAX + 1)
        .unwrap()
        .to_be_bytes()
        .to_vec();
    let bad = [
        vec![0, 0, 0, 4, 1, 2, 0xff, 0xff],
        vec![0, 0, 0, 0],
        vec![0, 0, 0, 3, 9, 1, 0],
        over,
        vec![0xff; 64],
        trailing,
    ];
    for bytes in bad {
        let mut peer = Peer::welcomed(site.address).await;
        peer.say_bytes(&bytes).await;
        peer.ends_refused(RefusalCode::BadRequest).await;
        let mut peer = Peer::connect(site.address, &testing::client_key())
            .await
            .unwrap();
        peer.say_bytes(&bytes).await;
        match peer.next().await {
            Some(ServerFrame::Reply(0, Reply::Refused(_))) => {}
            other => panic!("{other:?} to {bytes:?}"),
        }
    }
    assert!(matches!(
        Peer::welcomed(site.address).await.ask(1, checkout(1)).await,
        Reply::Granted(_)
    ));
}

#[tokio::test]
async fn a_request_that_makes_no_sense_ends_refused_and_the_connection_goes_on() {
    let site = site(2, 10).await;
    let mut peer = Peer::welcomed(site.address).await;
    let mut absurd = testing::checkout(1);
    absurd.length_ms = Some(DurationMs(u64::MAX));
    match peer.ask(1, Request::Checkout(absurd)).await {
        Reply::Refused(refusal) => assert_eq!(refusal.code, RefusalCode::BadRequest),
        other => panic!("{other:?}"),
    }
    peer.granted(2, checkout(1)).await;
}

#[tokio::test]
async fn a_lease_of_another_site_is_not_genuine() {
    let site = site(2, 10).await;
    let mut peer = Peer::welcomed(site.address).await;
    let grant = peer.granted(1, checkout(1)).await;
    let lease: Lease = (*lease_of(&grant)).clone();
    let forged = lease.sign(&SigningKey::from_bytes(&[66; 32])).unwrap();
    let mut cut = grant.lease.clone();
    cut.body.pop();
    for lease in [forged, cut] {
        let reply = peer.ask(2, attach_of(lease)).await;
        match reply {
            Reply::Refused(refusal) => assert_eq!(refusal.code, RefusalCode::NotGenuine),
            other => panic!("{other:?}"),
        }
    }
}

fn attach_of(lease: Signed) -> Request {
    Request::Attach(Attach {
        lease,
        nonce: Nonce([1; 16]),
        link: link(1, 2),
        length_ms: None,
    })
}

#[tokio::test]
async fn there_is_one_stream() {
    let site = site(2, 10).await;
    let peer = Peer::welcomed(site.address).await;
    let second = tokio::time::timeout(Duration::from_millis(300), peer.connection.open_bi());
    assert!(second.await.is_err(), "a second stream was allowed");
    let third = tokio::time::timeout(Duration::from_millis(100), peer.connection.open_uni());
    assert!(
        third.await.is_err(),
        "a stream in one direction was allowed"
    );
}

#[tokio::test]
async fn news_reach_whom_they_concern() {
    let site = site(2, 10).await;
    let mut holder = Peer::welcomed(site.address).await;
    let mut other = Peer::welcomed(site.address).await;
    let lease = lease_of(&holder.granted(1, checkout(1)).await).id;
    let evict = AdminAsk::Evict {
        cool_down_ms: None,
        lease,
        reason: "maintenance".to_owned(),
    };
    site.core
        .handle
        .ask_admin("root(0)".to_owned(), evict)
        .await;
    let evicted = Push::Evicted(lease, "maintenance".to_owned());
    let told = holder.next_of_note().await;
    assert_eq!(told, Some(ServerFrame::Push(evicted)));
    let drain = AdminAsk::Drain;
    site.core.handle.ask_admin("daemon".to_owned(), drain).await;
    let draining = ServerFrame::Push(Push::Draining(crate::limits::DRAIN_RECONNECT_MS));
    assert_eq!(holder.next_of_note().await, Some(draining.clone()));
    assert_eq!(
        other.next_of_note().await,
        Some(draining),
        "not the eviction of another"
    );
    let reply = other.ask(1, checkout(2)).await;
    assert!(matches!(reply, Reply::Refused(refusal) if refusal.code == RefusalCode::Draining));
}

#[tokio::test]
async fn l9_what_is_pushed_reaches_its_connection_alone() {
    let site = site(2, 10).await;
    let mut first = Peer::welcomed(site.address).await;
    let mut second = Peer::welcomed(site.address).await;
    let offer = Push::Offered(Nonce([1; 16]), DurationMs::seconds(30));
    // Named in the order in which they came.
    let handle = &site.core.handle;
    handle.push(ConnectionId(2), offer.clone());
    handle.push(ConnectionId(3), Push::FeaturesChanged);
    assert_eq!(second.next().await, Some(ServerFrame::Push(offer)));
    // Whatever was pushed to the first would have come before this.
    let frame = ClientFrame::Request(1, Request::Features);
    first.say(&frame).await;
    assert!(matches!(first.next().await, Some(ServerFrame::Reply(1, _))));
}

/// It comes back, asks again, and is told.
#[tokio::test]
async fn l9_whoever_does_not_read_what_it_must_not_miss_is_closed() {
    let site = site(2, 10).await;
    let peer = Peer::welcomed(site.address).await;
    let over = Push::Dismissed(
        Nonce([1; 16]),
        Refusal::new(RefusalCode::NoSeat, "over ".repeat(2000)),
    );
    let closed = tokio::spawn({
        let connection = peer.connection.clone();
        async move { connection.closed().await }
    });
    testing::until("it is told to go", || {
        site.core.handle.push(ConnectionId(1), over.clone());
        closed.is_finished()
    })
    .await;
    match closed.await.unwrap() {
        quinn::ConnectionError::ApplicationClosed(close) => assert_eq!(close.reason, "slow"),
        other => panic!("{other:?}"),
    }
}

/// The straight line in full: QUIC, core, sled, signature; and again after the process's end.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_from_sled_survives_a_restart_and_is_attached() {
    let dir = tempfile::tempdir().unwrap();
    let options = SledOptions::default();
    let open = || testing::start(SledJournal::open(dir.path(), &options).unwrap());
    let core = open();
    testing::install(&core.handle, &testing::license(1, DurationMs::minutes(10))).await;
    let first = serving(core, 10);
    let mut peer = Peer::welcomed(first.address).await;
    let grant = peer.granted(1, checkout(1)).await;
    drop(peer);
    first.core.handle.stop().await;
    first.core.ended.await.unwrap().unwrap();
    first.server.close().await;

    let second = serving(open(), 10);
    let mut peer = Peer::welcomed(second.address).await;
    let other = peer.ask(1, checkout(2)).await;
    assert!(matches!(other, Reply::Refused(refusal) if refusal.code == RefusalCode::NoSeat));
    let lease = lease_of(&grant);
    let attached = lease_of(&peer.granted(2, attach_of(grant.lease)).await);
    assert_eq!(attached.id, lease.id);
    assert!(attached.epoch > lease.epoch);
}

/// L12: two daemons with one site key, and the same daemon relayed.
#[tokio::test(flavor = "multi_thread")]
async fn a_clone_is_found_by_its_life_and_our_own_life_is_ignored() {
    let ours = site(200, 10).await;
    let theirs = site(5, 10).await;
    let sighting = |address| CloneSighting {
        fullname: "lic02._usher._udp.local.".to_owned(),
        addrs: vec![address],
    };
    let (sightings, seen) = tokio::sync::mpsc::channel(4);
    let watch = CloneWatch {
        core: ours.core.handle.clone(),
        site: PublicKey::from(&testing::site_key()),
        life: ours.core.life.life,
    };
    tokio::spawn(clones::watch(watch, seen));
    sightings.send(sighting(ours.address)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let seat = ours
        .core
        .handle
        .ask(testing::caller(), testing::ask_seat(1));
    assert!(
        matches!(seat.await, Answer::Promised(_)),
        "our own life stopped us"
    );
    sightings.send(sighting(theirs.address)).await.unwrap();
    for nonce in 2..200 {
        let seat = testing::ask_seat(nonce);
        match ours.core.handle.ask(testing::caller(), seat).await {
            Answer::Refused(refusal) if refusal.code == RefusalCode::CloneFound => return,
            // It is asked in its own time.
            Answer::Promised(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            other => panic!("{other:?}"),
        }
    }
    panic!("the other's life never stopped us");
}
