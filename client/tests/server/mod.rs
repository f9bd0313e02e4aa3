//! A small server that speaks the wire for real (TLS, frames, signed documents) and can be told to
//! misbehave. It is no daemon: it keeps no seats safe.

mod queue;

use ed25519_dalek::SigningKey;
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};
use usher_client::{
    clock::Clock,
    protocol::{
        codec::{self, FRAME_PREFIX_BYTES},
        documents::{
            certificate::Certificate,
            endorsement::{EndorsedFeature, Endorsement, SignedEndorsement},
            lease::Lease,
        },
        envelope::{DocumentType, Signed},
        ids::{Commit, Epoch, Fingerprint, LeaseId, LifeId, Nonce, PublicKey, Token},
        refusal::{Refusal, RefusalCode},
        time::{DurationMs, WallMs},
        wire::{
            Checkout, ClientFrame, Environment, Grant, Push, Reply, Request, ServerFrame, Welcome,
        },
    },
    tls,
};

/// What the server is and does; changed by tests while it runs.
pub(crate) struct Plan {
    pub(crate) vendor: SigningKey,
    /// The key the endorsement names; the server's own unless a test says otherwise.
    pub(crate) endorsed: Option<PublicKey>,
    pub(crate) environment: Environment,
    pub(crate) epoch: u64,
    pub(crate) life: LifeId,
    pub(crate) serial: u64,
    pub(crate) seats: u32,
    pub(crate) length: DurationMs,
    pub(crate) length_max: DurationMs,
    /// A third of the length unless a test says otherwise.
    pub(crate) renew_after: Option<DurationMs>,
    pub(crate) borrow_max: DurationMs,
    pub(crate) version: u8,
    /// Connections that find no room before one does.
    pub(crate) turns_away: u32,
    /// Requests that are obeyed and whose answer is lost with the connection.
    pub(crate) replies_lost: u32,
    /// Answers every renewal and attachment with this instead.
    pub(crate) refuses: Option<RefusalCode>,
    /// Signs leases with another key.
    pub(crate) forges: bool,
    /// Changes each lease before it is signed.
    pub(crate) twists: Option<fn(&mut Lease)>,
    pub(crate) leases: HashMap<Nonce, Lease>,
    /// Who waits, by (first) nonce, in front who came first (L9).
    pub(crate) queue: Vec<Nonce>,
    /// Keeps its offers to itself.
    pub(crate) mutes: bool,
    /// To send to everybody after the next answer.
    pushes: Vec<Push>,
    /// The requests that came, in order.
    pub(crate) asked: Vec<Request>,
    connections: Vec<(
        quinn::Connection,
        Arc<tokio::sync::Mutex<quinn::SendStream>>,
    )>,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    plan: Arc<Mutex<Plan>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap())
    }

    fn start_at(address: SocketAddr) -> Self {
        let site = key(2);
        let config = tls::server_config(&site).unwrap();
        let endpoint = quinn::Endpoint::server(config, address).unwrap();
        let server = Self {
            address: endpoint.local_addr().unwrap(),
            plan: Arc::new(Mutex::new(Plan::new())),
        };
        let plan = Arc::clone(&server.plan);
        tokio::spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                let has_room = {
                    let mut plan = plan.lock().unwrap();
                    let has_room = plan.turns_away == 0;
                    plan.turns_away = plan.turns_away.saturating_sub(1);
                    has_room
                };
                if !has_room {
                    incoming.refuse();
                    continue;
                }
                let (plan, site) = (Arc::clone(&plan), site.clone());
                tokio::spawn(async move {
                    if let Ok(connection) = incoming.await {
                        let _ = serve(connection, plan, site).await;
                    }
                });
            }
        });
        server
    }

    pub(crate) fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap()
    }

    /// Cuts every connection, as a restart would.
    pub(crate) fn cut(&self) {
        for (connection, _) in self.plan().connections.drain(..) {
            connection.close(1_u32.into(), b"cut");
        }
    }

    pub(crate) async fn push(&self, push: Push) {
        push_all(&self.plan, vec![push]).await;
    }
}

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub(crate) fn vendor_key() -> String {
    PublicKey::from(&key(1)).to_string()
}

impl Plan {
    fn new() -> Self {
        Self {
            vendor: key(1),
            endorsed: None,
            environment: Environment::Live,
            epoch: 100,
            life: LifeId([9; 16]),
            serial: 1,
            seats: 2,
            length: DurationMs::minutes(1),
            length_max: DurationMs::hours(1),
            renew_after: None,
            borrow_max: DurationMs::days(7),
            version: 1,
            turns_away: 0,
            replies_lost: 0,
            refuses: None,
            forges: false,
            twists: None,
            leases: HashMap::new(),
            queue: Vec::new(),
            mutes: false,
            pushes: Vec::new(),
            asked: Vec::new(),
            connections: Vec::new(),
        }
    }

    fn welcome(&self, site: &SigningKey) -> Welcome {
        Welcome {
            version: self.version,
            endorsement: self.endorsement(site),
            licenses_more: Vec::new(),
            epoch: Epoch(self.epoch),
            life: self.life,
            server: "lic01".to_owned(),
            wall: Clock::new().now().wall,
        }
    }

    fn endorsement(&self, site: &SigningKey) -> SignedEndorsement {
        let issuing = key(3);
        let certificate = Certificate {
            root: PublicKey::from(&self.vendor),
            vendor: "acme".parse().unwrap(),
            issuing: PublicKey::from(&issuing),
            serial: 1,
            starts: WallMs(0),
            expires: WallMs(u64::MAX),
        };
        let endorsement = Endorsement {
            root: PublicKey::from(&self.vendor).fingerprint(),
            license: "acme-1".parse().unwrap(),
            serial: self.serial,
            license_hash: Fingerprint([7; 32]),
            customer: "c1".parse().unwrap(),
            environment: self.environment,
            site: self.endorsed.unwrap_or(PublicKey::from(site)),
            issued: WallMs(1_700_000_000_000),
            features: ["solver", "mesher"]
                .map(|name| EndorsedFeature {
                    feature: name.parse().unwrap(),
                    version: None,
                    lease_ms_max: self.length_max,
                    borrow_ms_max: self.borrow_max,
                    starts: WallMs(0),
                    expires: None,
                })
                .into(),
        };
        let body = codec::encode(&endorsement).unwrap();
        SignedEndorsement {
            certificate: certificate.sign(&self.vendor).unwrap(),
            endorsement: Signed::new(DocumentType::ENDORSEMENT, body, &issuing),
        }
    }

    fn obey(&mut self, request: Request, client: PublicKey, site: &SigningKey) -> Reply {
        self.asked.push(request.clone());
        let step = |it: &Option<RefusalCode>| it.map(refuse);
        match request {
            Request::Checkout(checkout) => self.checkout_or_queue(checkout, client, site),
            Request::CheckoutAll(all) => self.checkout_all(all, client, site),
            Request::Renew(renew) => match step(&self.refuses) {
                Some(refused) => refused,
                None => self.extend(renew.nonce, renew.link.next, client, site),
            },
            Request::Attach(attach) => match step(&self.refuses) {
                Some(refused) => refused,
                None => self.extend(attach.nonce, attach.link.next, client, site),
            },
            Request::Release(release) => match self.leases.remove(&release.nonce) {
                Some(_) => {
                    self.seat_freed();
                    Reply::Released
                }
                None => refuse(RefusalCode::LeaseUnknown),
            },
            Request::Endorsement(_) => Reply::Endorsement(self.endorsement(site)),
            Request::Features => Reply::Features(Vec::new()),
            Request::Holders(_) => Reply::Holders(Vec::new(), 0),
            Request::Leave(nonce) => self.leave(nonce),
            Request::Borrow(borrow) => self.borrow(borrow.checkout, client, site),
        }
    }

    fn checkout(&mut self, asked: Checkout, client: PublicKey, site: &SigningKey) -> Reply {
        let commit = Commit(self.leases.len() as u64 + 1);
        let epoch = Epoch(self.epoch);
        let wall = Clock::new().now().wall;
        let lease = Lease {
            borrowed: false,
            grouping: usher_protocol::documents::license::Grouping::Process,
            id: LeaseId { epoch, commit },
            root: PublicKey::from(&self.vendor).fingerprint(),
            license: "acme-1".parse().unwrap(),
            license_hash: Fingerprint([7; 32]),
            environment: asked.environment,
            feature: asked.feature,
            seats: asked.seats,
            client,
            holder: asked.holder,
            epoch,
            commit,
            token: asked.token,
            issued: wall,
            length_ms: self.length,
            not_after: wall.plus(self.length),
        };
        self.leases.entry(asked.nonce).or_insert(lease);
        self.extend(asked.nonce, asked.token, client, site)
    }

    fn borrow(&mut self, asked: Checkout, client: PublicKey, site: &SigningKey) -> Reply {
        let (nonce, token) = (asked.nonce, asked.token);
        let length = asked.length_ms.unwrap();
        if length > self.borrow_max {
            return refuse(RefusalCode::BorrowTooLong);
        }
        if !self.leases.contains_key(&nonce) {
            self.checkout(asked, client, site);
            let lease = self.leases.get_mut(&nonce).unwrap();
            lease.borrowed = true;
            lease.length_ms = length;
            lease.not_after = lease.issued.plus(length);
        }
        self.extend(nonce, token, client, site)
    }

    fn extend(&mut self, nonce: Nonce, next: Token, client: PublicKey, site: &SigningKey) -> Reply {
        let (epoch, length) = (Epoch(self.epoch), self.length);
        let Some(lease) = self.leases.get_mut(&nonce) else {
            return refuse(RefusalCode::LeaseUnknown);
        };
        if lease.client != client {
            return refuse(RefusalCode::WrongDevice);
        }
        (lease.token, lease.epoch) = (next, epoch);
        if !lease.borrowed {
            lease.length_ms = length;
        }
        let mut lease = lease.clone();
        if let Some(twist) = self.twists {
            twist(&mut lease);
        }
        let signer = if self.forges { &key(66) } else { site };
        Reply::Granted(Grant {
            lease: lease.sign(signer).unwrap(),
            renew_after_ms: self.renew_after.unwrap_or(DurationMs(length.0 / 3)),
            seats_out: self.leases.len() as u32,
            seats_total: Some(self.seats),
        })
    }
}

async fn serve(
    connection: quinn::Connection,
    plan: Arc<Mutex<Plan>>,
    site: SigningKey,
) -> Option<()> {
    let client = tls::peer_key(&connection).ok()?;
    let (send, mut receive) = connection.accept_bi().await.ok()?;
    let send = Arc::new(tokio::sync::Mutex::new(send));
    let ClientFrame::Hello(hello) = read(&mut receive).await? else {
        return None;
    };
    let hello_fits = hello.root == PublicKey::from(&key(1)).fingerprint();
    assert!(hello_fits, "T4: the client names the root it wants");
    let welcome = {
        let mut plan = plan.lock().unwrap();
        plan.connections
            .push((connection.clone(), Arc::clone(&send)));
        ServerFrame::Welcome(plan.welcome(&site))
    };
    send.lock()
        .await
        .write_all(&welcome.encode().ok()?)
        .await
        .ok()?;
    loop {
        let ClientFrame::Request(number, request) = read(&mut receive).await? else {
            return None;
        };
        let (reply, lost, pushes) = {
            let mut plan = plan.lock().unwrap();
            let reply = plan.obey(request, client, &site);
            let lost = plan.replies_lost > 0;
            plan.replies_lost = plan.replies_lost.saturating_sub(1);
            (reply, lost, std::mem::take(&mut plan.pushes))
        };
        if lost {
            connection.close(1_u32.into(), b"lost");
            return None;
        }
        let bytes = ServerFrame::Reply(number, reply).encode().ok()?;
        send.lock().await.write_all(&bytes).await.ok()?;
        push_all(&plan, pushes).await;
    }
}

async fn push_all(plan: &Mutex<Plan>, pushes: Vec<Push>) {
    let streams = |plan: &Plan| plan.connections.iter().map(|(_, it)| it.clone()).collect();
    let streams: Vec<_> = streams(&plan.lock().unwrap());
    for push in pushes {
        let bytes = ServerFrame::Push(push).encode().unwrap();
        for stream in &streams {
            let _ = stream.lock().await.write_all(&bytes).await;
        }
    }
}

async fn read(receive: &mut quinn::RecvStream) -> Option<ClientFrame> {
    let mut prefix = [0; FRAME_PREFIX_BYTES];
    receive.read_exact(&mut prefix).await.ok()?;
    let length = codec::frame_length(u64::from(u32::from_be_bytes(prefix))).ok()?;
    let mut bytes = vec![0; length];
    receive.read_exact(&mut bytes).await.ok()?;
    ClientFrame::decode(&bytes).ok()
}

fn refuse(code: RefusalCode) -> Reply {
    Reply::Refused(Refusal::new(code, "because"))
}
