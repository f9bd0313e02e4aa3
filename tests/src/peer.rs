//! A client that speaks the wire itself, right or wrong, and a look at what it costs the daemon.
//! Decides nothing: each test says what must come back.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::daemon::{Daemon, Vendor};
use ed25519_dalek::SigningKey;
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use tokio::runtime::{Builder, Runtime};
use usher_client::tls::{self, ExpectedServer, SERVER_NAME};
use usher_protocol::codec::{self, FRAME_PREFIX_BYTES};
use usher_protocol::documents::lease::Lease;
use usher_protocol::documents::vendor::VendorKey;
use usher_protocol::ids::{Fingerprint, Nonce, Token};
use usher_protocol::refusal::{Refusal, RefusalCode};
use usher_protocol::time::DurationMs;
use usher_protocol::wire::{
    Attach, Checkout, ClientFrame, Environment, Grant, Hello, Holder, Link, Release, Renew, Reply,
    Request, ServerFrame, Welcome,
};

/// One connection to a daemon with the client's real TLS; what it says is up to the test.
pub struct Peer {
    endpoint: Endpoint,
    /// The connection itself.
    pub connection: Connection,
    /// Its one stream, towards the daemon.
    pub send: SendStream,
    /// Its one stream, from the daemon.
    pub receive: RecvStream,
    number: u64,
}

impl Peer {
    /// Handshake and stream, no `Hello`. None where the daemon lets nobody in.
    pub async fn connect(address: SocketAddr, key: &SigningKey) -> Option<Self> {
        let config = tls::client_config(key, ExpectedServer::Any).unwrap();
        Self::connect_with(address, config).await
    }

    /// As [`Peer::connect`], with TLS of the test's own.
    pub async fn connect_with(address: SocketAddr, config: quinn::ClientConfig) -> Option<Self> {
        let endpoint = Endpoint::client(any(address)).unwrap();
        Self::connect_from(endpoint, address, config).await
    }

    /// As [`Peer::connect_with`], from a socket that others may share.
    pub async fn connect_from(
        endpoint: Endpoint,
        address: SocketAddr,
        config: quinn::ClientConfig,
    ) -> Option<Self> {
        let connecting = endpoint.connect_with(config, address, SERVER_NAME).unwrap();
        let connection = connecting.await.ok()?;
        let (send, receive) = connection.open_bi().await.ok()?;
        Some(Self {
            endpoint,
            connection,
            send,
            receive,
            number: 0,
        })
    }

    /// Says `Hello`; true if a `Welcome` comes.
    pub async fn greet(&mut self, root: Fingerprint) -> bool {
        let sent = self.send.write_all(&hello(root).encode().unwrap()).await;
        sent.is_ok() && matches!(self.next().await, Some(ServerFrame::Welcome(_)))
    }

    /// As far as a `Welcome`; a refusal fails the test.
    pub async fn welcomed(address: SocketAddr, key: &SigningKey, root: Fingerprint) -> Self {
        Self::greeted(address, key, root).await.0
    }

    /// As [`Peer::welcomed`]; none where the daemon is gone, or goes meanwhile.
    pub async fn try_welcomed(
        address: SocketAddr,
        key: &SigningKey,
        root: Fingerprint,
    ) -> Option<Self> {
        let mut peer = Self::connect(address, key).await?;
        let hello = hello(root).encode().unwrap();
        peer.send.write_all(&hello).await.ok()?;
        let welcomed = matches!(peer.next().await?, ServerFrame::Welcome(_));
        welcomed.then_some(peer)
    }

    /// As [`Peer::welcomed`], with the `Welcome`.
    pub async fn greeted(
        address: SocketAddr,
        key: &SigningKey,
        root: Fingerprint,
    ) -> (Self, Welcome) {
        let mut peer = Self::connect(address, key).await.unwrap();
        peer.say(&hello(root)).await;
        match peer.next().await {
            Some(ServerFrame::Welcome(welcome)) => (peer, welcome),
            other => panic!("no Welcome: {other:?}"),
        }
    }

    /// Sends one frame.
    pub async fn say(&mut self, frame: &ClientFrame) {
        self.say_bytes(&frame.encode().unwrap()).await;
    }

    /// Sends these bytes, whatever they are.
    pub async fn say_bytes(&mut self, bytes: &[u8]) {
        self.send.write_all(bytes).await.unwrap();
    }

    /// The next frame; none when the daemon has ended the stream or the connection.
    pub async fn next(&mut self) -> Option<ServerFrame> {
        frame(&mut self.receive).await
    }

    /// Asks and waits for the answer; news in between are let pass.
    pub async fn ask(&mut self, request: Request) -> Reply {
        self.number += 1;
        let number = self.number;
        self.say(&ClientFrame::Request(number, request)).await;
        loop {
            match self.next().await {
                Some(ServerFrame::Reply(answered, reply)) if answered == number => return reply,
                Some(ServerFrame::Push(_)) => {}
                other => panic!("no answer: {other:?}, {:?}", self.connection.close_reason()),
            }
        }
    }

    /// Asks for a seat; none when the daemon is gone.
    pub async fn try_checkout(&mut self, seat: Checkout) -> Option<Reply> {
        self.try_ask(Request::Checkout(seat)).await
    }

    /// Asks and waits for the answer; none when the daemon is gone before it.
    pub async fn try_ask(&mut self, request: Request) -> Option<Reply> {
        self.number += 1;
        let frame = ClientFrame::Request(self.number, request);
        self.send.write_all(&frame.encode().unwrap()).await.ok()?;
        loop {
            match self.next().await? {
                ServerFrame::Reply(number, reply) if number == self.number => return Some(reply),
                ServerFrame::Push(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Asks, and must be granted.
    pub async fn granted(&mut self, request: Request) -> Grant {
        match self.ask(request).await {
            Reply::Granted(grant) => grant,
            other => panic!("not granted: {other:?}"),
        }
    }

    /// Asks, and must be refused.
    pub async fn refused(&mut self, request: Request) -> Refusal {
        match self.ask(request).await {
            Reply::Refused(refusal) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// Leaves in good order: the daemon has been told when this returns.
    pub async fn leave(self) {
        self.connection.close(0_u32.into(), b"");
        self.endpoint.wait_idle().await;
    }

    /// The connection itself is refused with this code, and closed after that; gives the reason in words.
    pub async fn ends_refused(mut self, code: RefusalCode) -> String {
        let refusal = match self.next().await {
            Some(ServerFrame::Reply(0, Reply::Refused(refusal))) => refusal,
            other => panic!(
                "not refused: {other:?}, {:?}",
                self.connection.close_reason()
            ),
        };
        assert_eq!(refusal.code, code, "{}", refusal.detail);
        assert_eq!(self.next().await, None);
        self.connection.closed().await;
        refusal.detail
    }
}

/// The next frame of a stream; none at its end.
pub async fn frame(receive: &mut RecvStream) -> Option<ServerFrame> {
    let mut prefix = [0; FRAME_PREFIX_BYTES];
    receive.read_exact(&mut prefix).await.ok()?;
    let length = codec::frame_length(u64::from(u32::from_be_bytes(prefix))).unwrap();
    let mut bytes = vec![0; length];
    receive.read_exact(&mut bytes).await.ok()?;
    Some(ServerFrame::decode(&bytes).unwrap())
}

/// A lease as a client holds it: with the secrets that renew and release it.
#[derive(Clone)]
pub struct Held {
    /// As it came.
    pub grant: Grant,
    /// What it says.
    pub lease: Lease,
    /// The checkout's secret.
    pub nonce: Nonce,
    token: Token,
}

impl Held {
    /// Checks one seat of `solver` out of test licenses.
    pub async fn checkout(peer: &mut Peer) -> Self {
        let seat = a_seat();
        let grant = peer.granted(Request::Checkout(seat.clone())).await;
        Self::of(&seat, grant)
    }

    /// The lease that came as the answer to this checkout.
    pub fn of(seat: &Checkout, grant: Grant) -> Self {
        let (nonce, token) = (seat.nonce, seat.token);
        Self {
            lease: lease_of(&grant),
            grant,
            nonce,
            token,
        }
    }

    /// Renews it, which must succeed.
    pub async fn renew(&mut self, peer: &mut Peer) {
        let link = self.step();
        let renew = Renew {
            idle_ms: None,
            lease: self.lease.id,
            nonce: self.nonce,
            link,
            length_ms: None,
        };
        self.take(peer.granted(Request::Renew(renew)).await, link);
    }

    /// Renews it; the refusal, if that is the answer.
    ///
    /// # Errors
    /// What the daemon said.
    pub async fn try_renew(&mut self, peer: &mut Peer) -> Result<(), Refusal> {
        let link = self.step();
        let renew = Renew {
            idle_ms: None,
            lease: self.lease.id,
            nonce: self.nonce,
            link,
            length_ms: None,
        };
        match peer.ask(Request::Renew(renew)).await {
            Reply::Granted(grant) => self.take(grant, link),
            Reply::Refused(refusal) => return Err(refusal),
            other => panic!("{other:?}"),
        }
        Ok(())
    }

    /// What shows this lease over a new connection.
    pub fn attach(&self) -> (Request, Link) {
        let (lease, link) = (self.grant.lease.clone(), self.step());
        (
            Request::Attach(Attach {
                lease,
                nonce: self.nonce,
                link,
                length_ms: None,
            }),
            link,
        )
    }

    /// Shows it over this connection, which must be believed (L6).
    pub async fn reattach(&mut self, peer: &mut Peer) {
        let (attach, link) = self.attach();
        self.take(peer.granted(attach).await, link);
    }

    /// What gives it back.
    pub fn release(&self) -> Request {
        Request::Release(Release {
            lease: self.lease.id,
            nonce: self.nonce,
            link: self.step(),
        })
    }

    /// What renews it.
    pub fn renewal(&self) -> Request {
        self.renewing(None).0
    }

    /// What renews it, with a wish for this length, and its link.
    pub fn renewing(&self, length_ms: Option<DurationMs>) -> (Request, Link) {
        let link = self.step();
        let renew = Request::Renew(Renew {
            idle_ms: None,
            lease: self.lease.id,
            nonce: self.nonce,
            link,
            length_ms,
        });
        (renew, link)
    }

    fn step(&self) -> Link {
        Link {
            previous: self.token,
            next: Token(unique()),
        }
    }

    /// Goes on with what came to a renewal or an attachment of this link.
    pub fn take(&mut self, grant: Grant, link: Link) {
        let lease = lease_of(&grant);
        assert_eq!(lease.id, self.lease.id);
        (self.grant, self.lease, self.token) = (grant, lease, link.next);
    }
}

fn lease_of(grant: &Grant) -> Lease {
    codec::decode(&grant.lease.body).unwrap()
}

/// A sensible checkout of one seat of `solver`, with a nonce of its own.
pub fn a_seat() -> Checkout {
    Checkout {
        wait: false,
        nonce: Nonce(unique()),
        token: Token(unique()),
        feature: "solver".parse().unwrap(),
        environment: Environment::Test,
        seats: 1,
        version: None,
        length_ms: None,
        holder: Holder {
            user: "anna".to_owned(),
            host: "ws1".to_owned(),
            display: None,
            process: 7,
        },
    }
}

/// What a client of this version says first.
pub fn hello(root: Fingerprint) -> ClientFrame {
    ClientFrame::Hello(Hello {
        version_min: 1,
        version_max: 1,
        root,
    })
}

/// The vendor's root, as the key file that ships with its software names it.
pub fn root_of(vendor: &Vendor) -> Fingerprint {
    let mut files = fs::read_dir(vendor.directory())
        .unwrap()
        .map(|file| file.unwrap().path());
    let key = files
        .find(|path| path.extension().is_some_and(|it| it == "pub"))
        .unwrap();
    let key: VendorKey = fs::read_to_string(key).unwrap().parse().unwrap();
    key.root.fingerprint()
}

/// A client key by number.
pub fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

/// What the daemon costs its machine right now.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Resident memory.
    pub memory_kib: u64,
    /// Open file descriptors.
    pub files: usize,
}

impl Cost {
    /// As of now.
    pub fn of(daemon: &Daemon) -> Self {
        let process = format!("/proc/{}", daemon.pid().as_raw_nonzero());
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        Self {
            memory_kib: line.split_whitespace().next().unwrap().parse().unwrap(),
            files: fs::read_dir(format!("{process}/fd")).unwrap().count(),
        }
    }

    /// Waits until what was closed is closed at the daemon's end as well.
    pub fn until_as_few_files(self, daemon: &Daemon) {
        for _ in 0..600 {
            if Self::of(daemon).files <= self.files + GROWTH_FILES_MAX {
                return;
            }
            std::thread::sleep(Duration::from_millis(POLL_MS));
        }
    }

    /// Prints both, and fails where memory or file descriptors have grown beyond the bound.
    pub fn grown_little(self, daemon: &Daemon, what: &str) {
        let now = Self::of(daemon);
        println!(
            "{what}: memory {} → {} KiB, descriptors {} → {}",
            self.memory_kib, now.memory_kib, self.files, now.files
        );
        assert!(
            now.memory_kib <= self.memory_kib + GROWTH_KIB_MAX,
            "{what}: memory grew"
        );
        assert!(
            now.files <= self.files + GROWTH_FILES_MAX,
            "{what}: descriptors grew"
        );
    }
}

/// Two threads: not for hosts of a test's own network, which a thread has to enter.
pub fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// Waits so many milliseconds.
pub async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// Waits for what another process brings about.
pub async fn until(what: &str, polls_max: u32, mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..polls_max {
        if done().await {
            return;
        }
        pause(POLL_MS).await;
    }
    panic!("never: {what}");
}

/// Lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// Not secret, never twice.
fn unique() -> [u8; 16] {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&COUNT.fetch_add(1, Relaxed).to_be_bytes());
    bytes[8..12].copy_from_slice(&std::process::id().to_be_bytes());
    bytes
}

fn any(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// Half-open handshakes are the dearest: [`usherd::limits::HALF_OPEN_UNPROVED_MAX`] of them and the allocator's reserve.
const GROWTH_KIB_MAX: u64 = 32 * 1024;
const GROWTH_FILES_MAX: usize = 8;
/// Between two looks.
pub const POLL_MS: u64 = 100;
