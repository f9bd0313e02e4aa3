//! Drives a real `usherd` through the client library's connection: every lease is verified and judged as any program's.
//! Must not reach past what the library offers.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use usher_client::connection::{Connection, Dialer, Wanted};
use usher_client::keyfile::ClientIdentity;
use usher_client::marks::Marks;
use usher_client::paths::Paths;
use usher_client::session::{Answer, Ask};
use usher_protocol::documents::vendor::VendorKey;
use usher_protocol::ids::{LeaseId, Nonce, Token};
use usher_protocol::time::DurationMs;
use usher_protocol::wire::{
    Checkout, ClientFrame, Environment, Grant, Link, Release, Renew, Reply, Request, ServerFrame,
};

use crate::drive::{Load, Talker, drive as drive_all};
use crate::floor::Sizes;
use crate::stopwatch::now_ns;

/// Drives the daemon at `address`, which must serve the feature `solver` of this vendor.
pub(crate) fn drive(address: SocketAddr, load: Load, vendor: &Path) {
    let vendor: VendorKey = fs::read_to_string(vendor).unwrap().parse().unwrap();
    let wanted = Wanted {
        root: vendor.root,
        environment: Environment::Live,
        site: None,
    };
    let paths = Paths::from_environment().unwrap();
    let key = ClientIdentity::load_or_create(&paths).unwrap();
    let marks = Marks::new(paths);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let dialer = Dialer::new(key).unwrap();
        let mut talkers = Vec::new();
        for number in 0..load.connections {
            let opened = Connection::open(&dialer, address, &wanted, &marks).await;
            talkers.push(Lender::new(opened.unwrap().0, number));
        }
        let sizes = talkers[0].sizes().await;
        drive_all(talkers, load, sizes).await;
    });
}

struct Lender {
    connection: Connection,
    ask: Ask,
    /// Never the same twice: whose, since when, how many.
    drawn: [u64; 2],
    nonce: Nonce,
    token: Token,
    lease: Option<LeaseId>,
}

impl Lender {
    fn new(connection: Connection, number: usize) -> Self {
        let ask = Ask {
            feature: "solver".parse().unwrap(),
            environment: Environment::Live,
            seats: 1,
            version: None,
            length_ms: None,
            holder: usher_client::client::local_holder(),
        };
        Self {
            connection,
            ask,
            drawn: [now_ns(), (number as u64) << 40],
            nonce: Nonce([0; 16]),
            token: Token([0; 16]),
            lease: None,
        }
    }

    fn draw(&mut self) -> [u8; 16] {
        self.drawn[1] += 1;
        let halves = self.drawn.map(u64::to_le_bytes);
        halves.concat().try_into().unwrap()
    }

    async fn granted(&mut self, request: Request) {
        match self.connection.ask(&self.ask, request).await.unwrap() {
            Answer::Granted(granted) => self.lease = Some(granted.id),
            other => panic!("no lease: {other:?}"),
        }
    }

    fn checkout_request(&mut self) -> Request {
        self.nonce = Nonce(self.draw());
        self.token = Token(self.draw());
        Request::Checkout(Checkout {
            wait: false,
            nonce: self.nonce,
            token: self.token,
            feature: self.ask.feature.clone(),
            environment: self.ask.environment,
            seats: self.ask.seats,
            version: None,
            length_ms: None,
            holder: self.ask.holder.clone(),
        })
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
        let checkout = self.checkout_request();
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
    async fn checkout(&mut self) {
        let request = self.checkout_request();
        self.granted(request).await;
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
