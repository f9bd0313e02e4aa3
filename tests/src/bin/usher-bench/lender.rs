//! Drives a real `usherd` through the client library's connection: every lease is verified and judged as any program's.
//! Must not reach past what the library offers.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use ed25519_dalek::SigningKey;
use tokio::sync::mpsc;
use usher_client::connection::{ConnectError, Connection, Dialer, Wanted};
use usher_client::keyfile::ClientIdentity;
use usher_client::marks::Marks;
use usher_client::paths::Paths;
use usher_client::session::{Answer, Ask};
use usher_protocol::documents::vendor::VendorKey;
use usher_protocol::ids::{LeaseId, Nonce, Token};
use usher_protocol::time::DurationMs;
use usher_protocol::wire::{
    Checkout, ClientFrame, Environment, Grant, Link, Push, Release, Renew, Reply, Request,
    ServerFrame,
};

use crate::drive::{Load, Talker, drive as drive_all};
use crate::floor::Sizes;
use crate::stopwatch::now_ns;

/// Drives the daemon at `address`, which must serve the feature `solver` of this vendor.
pub(crate) fn drive(address: SocketAddr, load: Load, vendor: &Path, environment: Environment) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let door = Door::new(address, vendor, environment);
        let mut talkers = Vec::new();
        for _ in 0..load.connections {
            talkers.push(door.open().await);
        }
        let sizes = talkers[0].sizes().await;
        drive_all(talkers, load, sizes).await;
    });
}

/// How a daemon is reached, and by whom: one client key with its sockets.
#[derive(Clone)]
pub(crate) struct Door {
    dialer: Dialer,
    address: SocketAddr,
    wanted: Wanted,
    marks: Marks,
}

impl Door {
    /// With this machine's client key.
    pub(crate) fn new(address: SocketAddr, vendor: &Path, environment: Environment) -> Self {
        let vendor: VendorKey = fs::read_to_string(vendor).unwrap().parse().unwrap();
        let paths = Paths::from_environment().unwrap();
        let key = ClientIdentity::load_or_create(&paths).unwrap();
        Self {
            dialer: Dialer::new(key).unwrap(),
            address,
            wanted: Wanted {
                root: vendor.root,
                environment,
                site: None,
            },
            marks: Marks::new(paths),
        }
    }

    /// The same with a key and sockets of its own, as another workstation has them.
    pub(crate) fn of_another(&self, key: SigningKey) -> Self {
        let dialer = Dialer::new(key).unwrap();
        Self {
            dialer,
            ..self.clone()
        }
    }

    pub(crate) async fn open(&self) -> Lender {
        self.try_open().await.unwrap()
    }

    pub(crate) async fn try_open(&self) -> Result<Lender, ConnectError> {
        let opened = Connection::open(&self.dialer, self.address, &self.wanted, &self.marks).await;
        let (connection, pushes) = opened?;
        Ok(Lender::new(connection, pushes, self.wanted.environment))
    }
}

/// One connection to a daemon, with one lease at a time.
pub(crate) struct Lender {
    connection: Connection,
    pushes: mpsc::Receiver<Push>,
    ask: Ask,
    /// Never the same twice: since when, how many.
    drawn: [u64; 2],
    nonce: Nonce,
    token: Token,
    lease: Option<LeaseId>,
}

impl Lender {
    fn new(connection: Connection, pushes: mpsc::Receiver<Push>, environment: Environment) -> Self {
        static OPENED: AtomicU64 = AtomicU64::new(0);
        let ask = Ask {
            feature: "solver".parse().unwrap(),
            environment,
            seats: 1,
            version: None,
            length_ms: None,
            holder: usher_client::client::local_holder(),
        };
        let number = OPENED.fetch_add(1, Ordering::Relaxed);
        Self {
            connection,
            pushes,
            ask,
            drawn: [now_ns(), number << 40],
            nonce: Nonce([0; 16]),
            token: Token([0; 16]),
            lease: None,
        }
    }

    /// A checkout that takes its place in the queue where no seat is free, and claims what it is offered (L9);
    /// `queued` hears when it has a place.
    pub(crate) async fn checkout_waiting(&mut self, mut queued: impl FnMut() + Send) {
        let checkout = self.checkout_of(true);
        loop {
            let request = Request::Checkout(checkout.clone());
            match self.connection.ask(&self.ask, request).await.unwrap() {
                Answer::Granted(granted) => {
                    self.lease = Some(granted.id);
                    return;
                }
                Answer::Queued(_) => queued(),
                other => panic!("no lease: {other:?}"),
            }
            self.offered().await;
        }
    }

    async fn offered(&mut self) {
        loop {
            match self.pushes.recv().await.unwrap() {
                Push::Offered(nonce, _) if nonce == self.nonce => return,
                Push::Dismissed(_, refusal) => panic!("out of the queue: {refusal:?}"),
                _ => {}
            }
        }
    }

    fn draw(&mut self) -> [u8; 16] {
        self.drawn[1] += 1;
        let halves = self.drawn.map(u64::to_le_bytes);
        halves.concat().try_into().unwrap()
    }

    /// Returns how many seats are out.
    async fn granted(&mut self, request: Request) -> u32 {
        match self.connection.ask(&self.ask, request).await.unwrap() {
            Answer::Granted(granted) => {
                self.lease = Some(granted.id);
                granted.seats_out
            }
            other => panic!("no lease: {other:?}"),
        }
    }

    fn checkout_of(&mut self, wait: bool) -> Checkout {
        self.nonce = Nonce(self.draw());
        self.token = Token(self.draw());
        Checkout {
            wait,
            nonce: self.nonce,
            token: self.token,
            feature: self.ask.feature.clone(),
            environment: self.ask.environment,
            seats: self.ask.seats,
            version: None,
            length_ms: None,
            holder: self.ask.holder.clone(),
        }
    }

    fn link(&mut self) -> Link {
        let next = Token(self.draw());
        let previous = std::mem::replace(&mut self.token, next);
        Link { previous, next }
    }

    fn renew_request(&mut self) -> Request {
        Request::Renew(Renew {
            idle_ms: None,
            lease: self.lease.unwrap(),
            nonce: self.nonce,
            link: self.link(),
            length_ms: None,
        })
    }

    fn release_request(&mut self) -> Request {
        Request::Release(Release {
            lease: self.lease.take().unwrap(),
            nonce: self.nonce,
            link: self.link(),
        })
    }

    /// One whole cycle, for the sizes of its frames.
    async fn sizes(&mut self) -> Sizes {
        let of = |request: &Request| {
            let frame = ClientFrame::Request(1, request.clone());
            frame.encode().unwrap().len()
        };
        let checkout = Request::Checkout(self.checkout_of(false));
        let checkout_size = of(&checkout);
        let Answer::Granted(granted) = self.connection.ask(&self.ask, checkout).await.unwrap()
        else {
            panic!("no lease")
        };
        self.lease = Some(granted.id);
        let reply = Reply::Granted(Grant {
            lease: granted.signed,
            renew_after_ms: DurationMs::minutes(3),
            seats_out: granted.seats_out,
            seats_total: granted.seats_total,
        });
        let renew = self.renew_request();
        let renew_size = of(&renew);
        self.granted(renew).await;
        let release = self.release_request();
        let release_size = of(&release);
        self.connection.ask(&self.ask, release).await.unwrap();
        let reply_size = |reply| ServerFrame::Reply(1, reply).encode().unwrap().len();
        Sizes {
            checkout: checkout_size,
            renew: renew_size,
            release: release_size,
            granted: reply_size(reply),
            released: reply_size(Reply::Released),
        }
    }
}

impl Talker for Lender {
    async fn checkout(&mut self) -> u32 {
        let request = Request::Checkout(self.checkout_of(false));
        self.granted(request).await
    }

    async fn renew(&mut self) {
        let request = self.renew_request();
        self.granted(request).await;
    }

    async fn release(&mut self) {
        let request = self.release_request();
        let answer = self.connection.ask(&self.ask, request).await.unwrap();
        assert!(matches!(answer, Answer::Released), "{answer:?}");
    }
}
