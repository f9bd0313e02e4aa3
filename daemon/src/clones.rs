//! Decides whether another daemon runs with our site key (L12): it asks the one advertised for a `Welcome`.
//!
//! An advert proves nothing; the TLS handshake with our own site key and a different life id in the
//! `Welcome` do. Our own life, relayed, is ignored, so forged adverts stop nobody.

use std::{
    collections::VecDeque,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use quinn::Endpoint;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};
use usher_client::{
    clock::{BootMs, Clock},
    keyfile,
    tls::{self, ExpectedServer, SERVER_NAME},
};
use usher_engine::api::{AdminAsk, Answer};
use usher_protocol::{
    codec::{self, FRAME_PREFIX_BYTES},
    ids::{Fingerprint, LifeId, PublicKey},
    limits::HANDSHAKE_MS_MAX,
    wire::{ClientFrame, Hello, ServerFrame, WIRE_VERSION},
};

use crate::{advert::CloneSighting, core::CoreHandle, limits};

/// What the watch needs.
#[derive(Debug)]
pub struct CloneWatch {
    /// Told of a proven clone.
    pub core: CoreHandle,
    /// The key a clone would have.
    pub site: PublicKey,
    /// Our own life, which proves nothing.
    pub life: LifeId,
}

/// Asks each sighting's addresses until `seen` is closed, many at once: adverts that lead nowhere must not hold up
/// the question to a real clone.
pub async fn watch(watch: CloneWatch, mut seen: mpsc::Receiver<CloneSighting>) {
    let (watch, turns) = (Arc::new(watch), Arc::new(Semaphore::new(ASKED_AT_ONCE_MAX)));
    let (mut asked, mut asking) = (Asked::default(), JoinSet::new());
    loop {
        tokio::select! {
            sighting = seen.recv() => {
                let Some(sighting) = sighting else { return };
                for address in sighting.addrs {
                    // A sighting that stands is told again.
                    if asking.len() < ASKED_MAX && !asked.recently(address) {
                        asking.spawn(look_at(Arc::clone(&watch), Arc::clone(&turns), address));
                    }
                }
            }
            Some(_) = asking.join_next() => {}
        }
    }
}

async fn look_at(watch: Arc<CloneWatch>, turns: Arc<Semaphore>, address: SocketAddr) {
    let _turn = turns.acquire().await;
    if let Some(life) = watch.ask(address).await
        && life != watch.life
    {
        tracing::error!(
            event = "clone-found",
            "another daemon runs with our site key: {address}, life {life}"
        );
        watch.core.clone_found(life, address.to_string());
    }
}

impl CloneWatch {
    /// The life that answers at `address` with our site key, if any does.
    async fn ask(&self, address: SocketAddr) -> Option<LifeId> {
        for root in self.roots().await {
            let asked = welcomed_by(address, self.site, root);
            // Patience only, so it may stop in a suspend.
            let answer = tokio::time::timeout(HANDSHAKE_MS_MAX.to_std(), asked).await;
            match answer {
                Ok(Some(life)) => return Some(life),
                // Whoever serves other vendors says so at once.
                Ok(None) => {}
                Err(_) => return None,
            }
        }
        None
    }

    /// A clone serves one of the licenses we serve; the first few roots will do.
    async fn roots(&self) -> Vec<Fingerprint> {
        let actor = crate::serve::ACTOR.to_owned();
        let Answer::Licenses(views) = self.core.ask_admin(actor, AdminAsk::Licenses).await else {
            return Vec::new();
        };
        let mut roots: Vec<_> = views.into_iter().map(|view| view.root).collect();
        roots.sort_unstable();
        roots.dedup();
        roots.truncate(ROOTS_ASKED_MAX);
        roots
    }
}

/// Connects like any client, with a key of the moment, and reads the life id of the `Welcome`.
async fn welcomed_by(address: SocketAddr, site: PublicKey, root: Fingerprint) -> Option<LifeId> {
    let key = keyfile::new_key().ok()?;
    // Whoever lacks our site key does not even finish the handshake.
    let config = tls::client_config(&key, ExpectedServer::Key(site)).ok()?;
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let endpoint = Endpoint::client(any).ok()?;
    let connecting = endpoint.connect_with(config, address, SERVER_NAME).ok()?;
    let connection = connecting.await.ok()?;
    let (mut send, mut receive) = connection.open_bi().await.ok()?;
    let hello = ClientFrame::Hello(Hello {
        version_min: WIRE_VERSION,
        version_max: WIRE_VERSION,
        root,
    });
    send.write_all(&hello.encode().ok()?).await.ok()?;
    let mut prefix = [0; FRAME_PREFIX_BYTES];
    receive.read_exact(&mut prefix).await.ok()?;
    let length = codec::frame_length(u64::from(u32::from_be_bytes(prefix))).ok()?;
    let mut bytes = vec![0; length];
    receive.read_exact(&mut bytes).await.ok()?;
    match ServerFrame::decode(&bytes) {
        Ok(ServerFrame::Welcome(welcome)) => Some(welcome.life),
        _ => None,
    }
}

/// Which addresses were asked lately, bounded.
#[derive(Debug, Default)]
struct Asked(VecDeque<(SocketAddr, BootMs)>);

impl Asked {
    /// Whether `address` was asked lately; if not, it now is.
    fn recently(&mut self, address: SocketAddr) -> bool {
        let now = Clock::new().boot();
        self.0
            .retain(|(_, at)| now.since(*at) < limits::CLONE_CHECK_MS);
        if self.0.iter().any(|(asked, _)| *asked == address) {
            return true;
        }
        if self.0.len() >= ASKED_MAX {
            self.0.pop_front();
        }
        self.0.push_back((address, now));
        false
    }
}

const ROOTS_ASKED_MAX: usize = 4;
/// Handshakes at once.
const ASKED_AT_ONCE_MAX: usize = 32;
/// Addresses asked or waiting to be: as many as the advert's watch tells of at once.
const ASKED_MAX: usize = 128;
