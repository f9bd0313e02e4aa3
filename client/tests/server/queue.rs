//! The server's small queue: first come, first served, by (first) nonce. It keeps no offered seat from
//! others: whoever claims first has it.

use super::{Plan, refuse};
use ed25519_dalek::SigningKey;
use usher_client::protocol::{
    ids::{Nonce, PublicKey},
    refusal::RefusalCode,
    time::DurationMs,
    wire::{Checkout, Place, Push, Reply},
};

impl Plan {
    pub(super) fn checkout_or_queue(
        &mut self,
        asked: Checkout,
        client: PublicKey,
        site: &SigningKey,
    ) -> Reply {
        if !self.has_room(std::slice::from_ref(&asked)) {
            return self.enqueue(asked.nonce, asked.wait);
        }
        self.leave(asked.nonce);
        self.checkout(asked, client, site)
    }

    pub(super) fn checkout_all(
        &mut self,
        all: Vec<Checkout>,
        client: PublicKey,
        site: &SigningKey,
    ) -> Reply {
        if !self.has_room(&all) {
            return self.enqueue(all[0].nonce, all[0].wait);
        }
        self.leave(all[0].nonce);
        let mut grants = Vec::new();
        for asked in all {
            match self.checkout(asked, client, site) {
                Reply::Granted(grant) => grants.push(grant),
                other => return other,
            }
        }
        Reply::GrantedAll(grants)
    }

    pub(super) fn leave(&mut self, nonce: Nonce) -> Reply {
        self.queue.retain(|it| *it != nonce);
        for (at, waiter) in self.queue.iter().enumerate() {
            self.pushes.push(Push::Queued(*waiter, self.place(at)));
        }
        Reply::Left
    }

    /// A seat is free: the first who waits is told.
    pub(crate) fn seat_freed(&mut self) {
        if let Some(first) = self.queue.first().filter(|_| !self.mutes) {
            let offered = Push::Offered(*first, DurationMs::seconds(30));
            self.pushes.push(offered);
        }
    }

    fn has_room(&self, all: &[Checkout]) -> bool {
        let new = all.iter().filter(|it| !self.leases.contains_key(&it.nonce));
        let new = new.count();
        new == 0 || self.leases.len() + new <= self.seats as usize
    }

    fn enqueue(&mut self, nonce: Nonce, wait: bool) -> Reply {
        if !wait {
            return refuse(RefusalCode::NoSeat);
        }
        let known = self.queue.iter().position(|it| *it == nonce);
        let at = known.unwrap_or_else(|| {
            self.queue.push(nonce);
            self.queue.len() - 1
        });
        Reply::Queued(self.place(at))
    }

    fn place(&self, at: usize) -> Place {
        Place {
            position: at as u32 + 1,
            waiting: self.queue.len() as u32,
            expected_ms: None,
        }
    }
}
