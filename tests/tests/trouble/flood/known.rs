//! Clients that the daemon knows: some stay connected, some come back again and again. How long each answer takes.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use tokio::runtime::Builder;
use tokio::time::timeout;
use usher_protocol::ids::Fingerprint;
use usher_protocol::refusal::RefusalCode;
use usher_protocol::wire::{Reply, Request};
use usher_tests::hosts::Host;
use usher_tests::peer::{Held, Peer, a_seat, key, pause};

use super::boot;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Renewal,
    Checkout,
    /// A new connection, from the first packet to the lease that was shown and believed.
    Return,
}

/// Known clients at work.
pub(super) struct Known {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Seen>>,
}

/// What they saw.
#[derive(Default)]
pub(super) struct Seen {
    samples: Vec<Sample>,
    /// Answers `busy`, and connections refused or lost on the way.
    pub(super) refused: u64,
}

struct Sample {
    kind: Kind,
    at: u64,
    took_ms: u64,
}

impl Known {
    /// Starts them; returns once each holds a seat.
    pub(super) fn start(desk: &Host, address: SocketAddr, root: Fingerprint) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (ready, is_ready) = std::sync::mpsc::channel();
        let mut threads = Vec::new();
        for number in 0..STAYING + RETURNING {
            let (stop, ready) = (Arc::clone(&stop), ready.clone());
            threads.push(desk.spawn(move || {
                let runtime = Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let key = key(100 + number);
                    let mut peer = Peer::welcomed(address, &key, root).await;
                    let held = Held::checkout(&mut peer).await;
                    ready.send(()).unwrap();
                    let client = Client {
                        address,
                        root,
                        key,
                        held,
                        stop,
                        seen: Seen::default(),
                    };
                    if number < STAYING {
                        client.stay(peer).await
                    } else {
                        client.come_back(peer).await
                    }
                })
            }));
        }
        for _ in &threads {
            is_ready.recv().unwrap();
        }
        Self { stop, threads }
    }

    /// Each gives its seat back, which it must still have.
    pub(super) fn end(self) -> Seen {
        self.stop.store(true, Relaxed);
        let mut all = Seen::default();
        for thread in self.threads {
            let seen = thread.join().unwrap();
            all.samples.extend(seen.samples);
            all.refused += seen.refused;
        }
        all
    }
}

struct Client {
    address: SocketAddr,
    root: Fingerprint,
    key: SigningKey,
    held: Held,
    stop: Arc<AtomicBool>,
    seen: Seen,
}

impl Client {
    async fn stay(mut self, mut peer: Peer) -> Seen {
        while !self.stop.load(Relaxed) {
            let asked = boot();
            while let Err(refusal) = self.held.try_renew(&mut peer).await {
                self.refused(refusal.code).await;
            }
            self.took(Kind::Renewal, asked);
            pause(PAUSE_MS).await;
            let asked = boot();
            let other = self.checkout(&mut peer).await;
            self.took(Kind::Checkout, asked);
            self.release(&other, &mut peer).await;
            pause(PAUSE_MS).await;
        }
        self.release(&self.held.clone(), &mut peer).await;
        self.seen
    }

    async fn come_back(mut self, mut peer: Peer) -> Seen {
        while !self.stop.load(Relaxed) {
            peer.leave().await;
            pause(PAUSE_MS).await;
            let began = boot();
            peer = self.connect().await;
            self.held.reattach(&mut peer).await;
            self.took(Kind::Return, began);
        }
        self.release(&self.held.clone(), &mut peer).await;
        self.seen
    }

    async fn connect(&mut self) -> Peer {
        loop {
            let connecting = async {
                let mut peer = Peer::connect(self.address, &self.key).await?;
                peer.greet(self.root).await.then_some(peer)
            };
            match timeout(PATIENCE, connecting).await {
                Ok(Some(peer)) => return peer,
                _ => self.seen.refused += 1,
            }
            pause(PAUSE_MS).await;
        }
    }

    async fn checkout(&mut self, peer: &mut Peer) -> Held {
        loop {
            let seat = a_seat();
            match peer.ask(Request::Checkout(seat.clone())).await {
                Reply::Granted(grant) => return Held::of(&seat, grant),
                Reply::Refused(refusal) => self.refused(refusal.code).await,
                other => panic!("{other:?}"),
            }
        }
    }

    async fn release(&mut self, held: &Held, peer: &mut Peer) {
        loop {
            match peer.ask(held.release()).await {
                Reply::Released => return,
                Reply::Refused(refusal) => self.refused(refusal.code).await,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Only "later" will do as a "no".
    async fn refused(&mut self, code: RefusalCode) {
        assert_eq!(code, RefusalCode::Busy);
        self.seen.refused += 1;
        pause(PAUSE_MS).await;
    }

    fn took(&mut self, kind: Kind, asked: u64) {
        let took_ms = boot() - asked;
        self.seen.samples.push(Sample {
            kind,
            at: asked,
            took_ms,
        });
    }
}

/// Of one kind of question, over some time.
pub(super) struct Figures {
    pub(super) count: u64,
    p50_ms: u64,
    pub(super) p99_ms: u64,
    max_ms: u64,
    /// How many took over 100 ms.
    pub(super) slow: u64,
}

impl Seen {
    pub(super) fn figures(&self, kind: Kind, from: u64, to: u64) -> Figures {
        let asked = self
            .samples
            .iter()
            .filter(|it| it.kind == kind && (from..to).contains(&it.at));
        let mut took: Vec<_> = asked.map(|it| it.took_ms).collect();
        took.sort_unstable();
        let at = |percent: usize| {
            took.get((took.len() * percent / 100).min(took.len().saturating_sub(1)))
        };
        Figures {
            count: took.len() as u64,
            p50_ms: at(50).copied().unwrap_or(0),
            p99_ms: at(99).copied().unwrap_or(0),
            max_ms: took.last().copied().unwrap_or(0),
            slow: took.iter().filter(|it| **it > SLOW_MS).count() as u64,
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            count,
            p50_ms,
            p99_ms,
            max_ms,
            slow,
        } = self;
        write!(
            f,
            "{count}, p50 {p50_ms} ms, p99 {p99_ms} ms, max {max_ms} ms, {slow} over {SLOW_MS} ms"
        )
    }
}

const STAYING: u8 = 4;
const RETURNING: u8 = 2;
const PAUSE_MS: u64 = 15;
const SLOW_MS: u64 = 100;
/// As a client's own.
const PATIENCE: Duration = Duration::from_secs(5);
