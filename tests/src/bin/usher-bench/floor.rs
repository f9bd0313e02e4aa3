//! The floor of design 8: what no license server could leave out. A bare quinn echo of the same sizes under the same
//! transport limits, one signature and one strict verification per lease, one append and `fdatasync` per batch.
//!
//! Must not learn anything of Usher but its TLS and transport settings: whatever else it shared would be no floor.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileExt;
use std::thread;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use tokio::sync::{mpsc, oneshot};
use usher_client::{
    socket,
    tls::{self, ExpectedServer},
};

use crate::drive::{Load, Talker, drive as drive_all};

/// Whole frames of the real protocol, in bytes.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Sizes {
    #[arg(long, default_value_t = 0)]
    pub(crate) checkout: usize,
    #[arg(long, default_value_t = 0)]
    pub(crate) renew: usize,
    #[arg(long, default_value_t = 0)]
    pub(crate) release: usize,
    #[arg(long, default_value_t = 0)]
    pub(crate) granted: usize,
    #[arg(long, default_value_t = 0)]
    pub(crate) released: usize,
}

impl Sizes {
    /// As arguments of another process of this program.
    pub(crate) fn arguments(self) -> Vec<String> {
        let sizes = [
            ("checkout", self.checkout),
            ("renew", self.renew),
            ("release", self.release),
            ("granted", self.granted),
            ("released", self.released),
        ];
        sizes.map(|(name, size)| format!("--{name}={size}")).into()
    }

    /// Reads [`Sizes::arguments`] back.
    pub(crate) fn read(arguments: &[String]) -> Self {
        let size = |name: &str| {
            let mut sizes = arguments.iter().filter_map(|it| it.strip_prefix("--"));
            let size = sizes.find_map(|it| it.strip_prefix(name)?.strip_prefix('='));
            size.unwrap().parse().unwrap()
        };
        Self {
            checkout: size("checkout"),
            renew: size("renew"),
            release: size("release"),
            granted: size("granted"),
            released: size("released"),
        }
    }
}

/// Serves until standard input closes; prints its address. Appends to a file in the working directory.
pub(crate) fn serve(sizes: Sizes) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let key = SigningKey::from_bytes(&[7; 32]);
    let endpoint = runtime.block_on(async {
        let config = tls::server_config(&key).unwrap();
        endpoint(Ipv4Addr::LOCALHOST, Some(config))
    });
    println!("{}", endpoint.local_addr().unwrap());
    let (queue, queued) = mpsc::channel(8192);
    thread::spawn(move || commit(queued));
    runtime.spawn(async move {
        while let Some(incoming) = endpoint.accept().await {
            let (queue, key) = (queue.clone(), key.clone());
            tokio::spawn(async move {
                // Whoever leaves early is no fault.
                let Ok(connection) = incoming.await else {
                    return;
                };
                if let Ok((send, receive)) = connection.accept_bi().await {
                    echo(send, receive, queue, key, sizes).await;
                }
            });
        }
    });
    let _ = std::io::stdin().read(&mut [0]);
}

/// On a socket that holds as much as the daemon's and the client's.
fn endpoint(local: Ipv4Addr, server: Option<quinn::ServerConfig>) -> Endpoint {
    let socket = socket::bind((local, 0).into(), true).unwrap();
    let runtime = quinn::default_runtime().unwrap();
    Endpoint::new(quinn::EndpointConfig::default(), server, socket, runtime).unwrap()
}

type Waiting = (Vec<u8>, oneshot::Sender<()>);

/// One thread makes what is queued durable at once, as the daemon's core does.
fn commit(mut queue: mpsc::Receiver<Waiting>) {
    let log = prepared_log();
    let mut at = 0;
    while let Some(first) = queue.blocking_recv() {
        let (mut bytes, first) = first;
        let mut waiting = vec![first];
        while waiting.len() < BATCH_MAX
            && let Ok((more, next)) = queue.try_recv()
        {
            bytes.extend_from_slice(&more);
            waiting.push(next);
        }
        if at + bytes.len() as u64 > LOG_BYTES {
            at = 0;
        }
        log.write_all_at(&bytes, at).unwrap();
        at += bytes.len() as u64;
        log.sync_data().unwrap();
        for each in waiting {
            let _ = each.send(());
        }
    }
}

/// Written once beforehand, so that an append syncs its own bytes and nothing of the file system's.
fn prepared_log() -> File {
    let mut log = File::create("floor.log").unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..LOG_BYTES / zeros.len() as u64 {
        log.write_all(&zeros).unwrap();
    }
    log.sync_all().unwrap();
    log
}

async fn echo(
    mut send: SendStream,
    mut receive: RecvStream,
    queue: mpsc::Sender<Waiting>,
    key: SigningKey,
    sizes: Sizes,
) {
    while let Some(request) = read(&mut receive).await {
        let kind = request[0];
        if kind != RENEW {
            let (committed, wait) = oneshot::channel();
            queue.send((request, committed)).await.unwrap();
            wait.await.unwrap();
        }
        let reply = match kind {
            RELEASE => frame(sizes.released, |_| ()),
            _ => frame(sizes.granted, |bytes| {
                let (signature, body) = bytes.split_at_mut(SIGNATURE);
                signature.copy_from_slice(&key.sign(body).to_bytes());
            }),
        };
        if send.write_all(&reply).await.is_err() {
            return;
        }
    }
}

/// Drives the floor's server.
pub(crate) fn drive(address: SocketAddr, load: Load, sizes: Sizes) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let door = Door::new(address, sizes);
        let mut talkers = Vec::new();
        for _ in 0..load.connections {
            talkers.push(door.open().await);
        }
        drive_all(talkers, load, sizes).await;
    });
}

/// How the floor is reached, and by whom.
#[derive(Clone)]
pub(crate) struct Door {
    endpoint: Endpoint,
    address: SocketAddr,
    sizes: Sizes,
}

impl Door {
    pub(crate) fn new(address: SocketAddr, sizes: Sizes) -> Self {
        Self {
            endpoint: endpoint(Ipv4Addr::UNSPECIFIED, None),
            address,
            sizes,
        }
    }

    pub(crate) async fn open(&self) -> Echo {
        let key = SigningKey::from_bytes(&[8; 32]);
        let config = tls::client_config(&key, ExpectedServer::Any).unwrap();
        let connecting = (self.endpoint).connect_with(config, self.address, tls::SERVER_NAME);
        let connection = connecting.unwrap().await.unwrap();
        Echo::open(connection, self.sizes).await
    }
}

/// One connection to the floor.
pub(crate) struct Echo {
    send: SendStream,
    receive: RecvStream,
    site: VerifyingKey,
    sizes: Sizes,
    _connection: Connection,
}

impl Echo {
    async fn open(connection: Connection, sizes: Sizes) -> Self {
        let (send, receive) = connection.open_bi().await.unwrap();
        let site = tls::peer_key(&connection).unwrap();
        Self {
            send,
            receive,
            site: VerifyingKey::from_bytes(site.as_bytes()).unwrap(),
            sizes,
            _connection: connection,
        }
    }

    async fn ask(&mut self, kind: u8, size: usize) -> Vec<u8> {
        let request = frame(size, |bytes| bytes[0] = kind);
        self.send.write_all(&request).await.unwrap();
        read(&mut self.receive).await.unwrap()
    }

    fn verify(&self, reply: &[u8]) {
        let (signature, body) = reply.split_at(SIGNATURE);
        let signature = Signature::from_slice(signature).unwrap();
        self.site.verify_strict(body, &signature).unwrap();
    }
}

impl Talker for Echo {
    async fn checkout(&mut self) -> u32 {
        let reply = self.ask(CHECKOUT, self.sizes.checkout).await;
        self.verify(&reply);
        0
    }

    async fn renew(&mut self) {
        let reply = self.ask(RENEW, self.sizes.renew).await;
        self.verify(&reply);
    }

    async fn release(&mut self) {
        self.ask(RELEASE, self.sizes.release).await;
    }
}

/// A frame of `size` bytes in all, its length first.
fn frame(size: usize, fill: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut bytes = vec![0; size];
    let length = u32::try_from(size - PREFIX).unwrap();
    bytes[..PREFIX].copy_from_slice(&length.to_be_bytes());
    fill(&mut bytes[PREFIX..]);
    bytes
}

async fn read(receive: &mut RecvStream) -> Option<Vec<u8>> {
    let mut prefix = [0; PREFIX];
    receive.read_exact(&mut prefix).await.ok()?;
    let mut bytes = vec![0; usize::try_from(u32::from_be_bytes(prefix)).unwrap()];
    receive.read_exact(&mut bytes).await.ok()?;
    Some(bytes)
}

const CHECKOUT: u8 = 0;
const RENEW: u8 = 1;
const RELEASE: u8 = 2;
const PREFIX: usize = 4;
const SIGNATURE: usize = 64;
/// As many as the daemon takes at once.
const BATCH_MAX: usize = usherd::limits::BATCH_INPUTS_MAX;
const LOG_BYTES: u64 = 32 << 20;
