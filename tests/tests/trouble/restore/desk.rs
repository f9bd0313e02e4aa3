//! Somebody at a desk who takes seats, renews some, forgets some, takes some home and brings them back; and who comes
//! back to a daemon that was restored. Believes what it was told, and nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use usher_client::clock::Clock;
use usher_protocol::ids::Fingerprint;
use usher_protocol::time::DurationMs;
use usher_protocol::wire::{Borrow, Checkout, Grant, Reply, Request};
use usher_tests::peer::{Held, Peer, a_seat, key};
use usher_tests::proof::Dice;

use super::book::{Book, POOLS, Place};

pub(super) struct Desk {
    number: u8,
    root: Fingerprint,
    book: Arc<Book>,
    dice: Dice,
    has: Vec<Has>,
    lost: Vec<String>,
    crowded: Vec<String>,
    older: Vec<String>,
}

/// A lease at this desk.
struct Has {
    held: Held,
    place: Place,
    /// It is kept by nobody any more, and believed in until it ends.
    forgotten: bool,
}

impl Desk {
    pub(super) fn new(number: u8, root: Fingerprint, book: Arc<Book>, seed: u64) -> Self {
        Self {
            number,
            root,
            book,
            dice: Dice::new(seed),
            has: Vec::new(),
            lost: Vec::new(),
            crowded: Vec::new(),
            older: Vec::new(),
        }
    }

    /// So many things, one after the other.
    pub(super) async fn work(&mut self, address: SocketAddr, operations: u32) {
        let Some(mut peer) = Peer::try_welcomed(address, &key(self.number), self.root).await else {
            return;
        };
        for _ in 0..operations {
            if self.next(&mut peer).await.is_none() {
                return;
            }
            let pause = Duration::from_millis(self.dice.below(20));
            tokio::time::sleep(pause).await;
        }
        peer.leave().await;
    }

    /// Shows everything whose right runs; what is not taken back is lost. `issue` is that of the license installed now.
    pub(super) async fn come_back(&mut self, address: SocketAddr, issue: Fingerprint) {
        let mut peer = Peer::welcomed(address, &key(self.number), self.root).await;
        for has in &mut self.has {
            if has.forgotten && !has.held.lease.borrowed {
                continue;
            }
            let asked = boot();
            let (attach, link) = has.held.attach();
            match peer.ask(attach).await {
                Reply::Granted(grant) => {
                    let to = asked + length_of(&grant);
                    has.held.take(grant, link);
                    self.book.extended(&mut has.place, asked, boot(), to);
                }
                Reply::Refused(no)
                    if has.held.lease.borrowed && no.code.name() == "lease-borrowed" => {}
                // It counts, and so does what was given back since the copy: too many for now (L7).
                Reply::Refused(no) if no.code.name() == "overcommitted" => {
                    self.crowded
                        .push(format!("lease {}: {no:?}", has.held.lease.id));
                    has.forgotten = true;
                }
                // It may run to its end, and is not extended by a license that it was not lent under (L12).
                Reply::Refused(no)
                    if no.code.name() == "holding" && has.held.lease.license_hash != issue =>
                {
                    self.older
                        .push(format!("lease {}: {no:?}", has.held.lease.id));
                    has.forgotten = true;
                }
                other => {
                    // An answer that comes after the end of the right may say so.
                    if self.book.is_believed(has.place, boot()) {
                        self.lost
                            .push(format!("lease {}: {other:?}", has.held.lease.id));
                    }
                    has.forgotten = true;
                }
            }
        }
        peer.leave().await;
    }

    /// What should have been taken back and was not.
    pub(super) fn lost(&self) -> Vec<String> {
        self.lost.clone()
    }

    /// What counts again and is not renewed, as leases that were given back count as well.
    pub(super) fn crowded(&self) -> Vec<String> {
        self.crowded.clone()
    }

    /// What shows an issue of the license that a restored daemon does not know.
    pub(super) fn older(&self) -> Vec<String> {
        self.older.clone()
    }

    /// One thing; none when the daemon is gone.
    async fn next(&mut self, peer: &mut Peer) -> Option<()> {
        let kept: Vec<usize> = (0..self.has.len())
            .filter(|at| !self.has[*at].forgotten)
            .collect();
        let full = kept.len() as u64 > self.dice.below(4);
        if !full {
            return self.take(peer).await;
        }
        let at = kept[usize::try_from(self.dice.below(kept.len() as u64)).unwrap()];
        match self.dice.below(10) {
            0..5 if !self.has[at].held.lease.borrowed => self.renew(peer, at).await,
            5..7 => {
                self.has[at].forgotten = true;
                Some(())
            }
            7..10 => self.give_back(peer, at).await,
            _ => Some(()),
        }
    }

    async fn take(&mut self, peer: &mut Peer) -> Option<()> {
        let pool = usize::from(self.dice.permille(400));
        let borrowed = pool == 1 && self.dice.permille(500);
        let seat = Checkout {
            feature: POOLS[pool].feature.parse().unwrap(),
            length_ms: borrowed.then(|| DurationMs::hours(1)),
            ..a_seat()
        };
        let wall = Clock::new().now().wall;
        let request = if borrowed {
            Request::Borrow(Borrow {
                checkout: seat.clone(),
                wall,
            })
        } else {
            Request::Checkout(seat.clone())
        };
        let asked = boot();
        if let Reply::Granted(grant) = peer.try_ask(request).await? {
            let to = asked + length_of(&grant);
            let held = Held::of(&seat, grant);
            let place = self
                .book
                .granted(pool, held.lease.id.to_string(), borrowed, boot(), to);
            self.has.push(Has {
                held,
                place,
                forgotten: false,
            });
        }
        Some(())
    }

    async fn renew(&mut self, peer: &mut Peer, at: usize) -> Option<()> {
        let has = &mut self.has[at];
        let (request, link) = has.held.renewing(None);
        let asked = boot();
        match peer.try_ask(request).await? {
            Reply::Granted(grant) => {
                let to = asked + length_of(&grant);
                has.held.take(grant, link);
                self.book.extended(&mut has.place, asked, boot(), to);
            }
            // It may be over; what is left of its right is believed in.
            _ => has.forgotten = true,
        }
        Some(())
    }

    async fn give_back(&mut self, peer: &mut Peer, at: usize) -> Option<()> {
        let has = self.has.swap_remove(at);
        self.book.ended(has.place, boot());
        peer.try_ask(has.held.release()).await.map(drop)
    }
}

/// How long what was asked for just now is good (L1, L10).
fn length_of(grant: &Grant) -> u64 {
    let held = Held::of(&a_seat(), grant.clone());
    let now = Clock::new().now();
    if held.lease.borrowed {
        held.lease.not_after.since(now.wall).0
    } else {
        held.lease.length_ms.0
    }
}

/// The boot clock, in milliseconds.
pub(super) fn boot() -> u64 {
    Clock::new().boot().0
}
