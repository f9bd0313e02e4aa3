//! Which leases each token has out, for the bound on its seats. The engine's word counts; this remembers it, so that a
//! request need not ask for all leases there are.
//!
//! A token's leases belong to a key that nobody has (`tokens`), so none is there that did not come through here.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use usher_engine::api::{AdminAsk, Answer, LeaseView};
use usher_protocol::{
    ids::{Commit, Epoch, LeaseId, Nonce, PublicKey},
    time::BootMs,
};

use super::failure::Failure;
use crate::{core::CoreHandle, limits};

/// The books of all tokens.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    books: Mutex<HashMap<PublicKey, SharedBook>>,
}

/// One token's book; who holds its lock is the only one who takes seats for that token.
pub(super) type SharedBook = Arc<tokio::sync::Mutex<Book>>;

/// One token's leases.
#[derive(Debug, Default)]
pub(super) struct Book {
    is_filled: bool,
    out: BTreeMap<LeaseId, Entry>,
    released: VecDeque<LeaseId>,
}

/// One lease.
#[derive(Debug, Clone)]
struct Entry {
    feature: String,
    seats: u32,
    nonce: Nonce,
    /// Before this it is certainly not over, unless it was given back.
    sure_until: BootMs,
}

impl Ledger {
    /// The book of a token's key.
    pub(super) fn book(&self, client: PublicKey) -> SharedBook {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        // Bounded by the tokens there are: those of revoked ones are few, and small.
        Arc::clone(books.entry(client).or_default())
    }
}

impl Book {
    /// Takes over what the store knew before this life.
    pub(super) async fn fill(
        &mut self,
        core: &CoreHandle,
        client: PublicKey,
        now: BootMs,
    ) -> Result<(), Failure> {
        if self.is_filled {
            return Ok(());
        }
        let (fingerprint, mut after) = (client.fingerprint(), None);
        loop {
            let page = leases(core, after, limits::ADMIN_LEASES_PER_PAGE_MAX).await?;
            after = page.last().map(|view| view.id);
            let is_last = page.len() < limits::ADMIN_LEASES_PER_PAGE_MAX;
            for view in page.into_iter().filter(|it| it.client == fingerprint) {
                self.put(view.id, view.feature, view.seats, view.nonce, now);
            }
            if is_last {
                self.is_filled = true;
                return Ok(());
            }
        }
    }

    /// Whether a checkout of this nonce has a lease: it is the same lease then (L5).
    pub(super) fn has(&self, nonce: Nonce) -> bool {
        self.out.values().any(|it| it.nonce == nonce)
    }

    /// What a lease that was here before is of.
    pub(super) fn feature(&self, id: LeaseId) -> Option<&str> {
        self.out.get(&id).map(|it| it.feature.as_str())
    }

    /// Seats of a feature that are out, asking again for those leases that may be over.
    pub(super) async fn seats_out(
        &mut self,
        core: &CoreHandle,
        feature: &str,
        now: BootMs,
    ) -> Result<u32, Failure> {
        let doubtful = self.out.iter().filter(|(_, it)| it.sure_until <= now);
        let doubtful: Vec<LeaseId> = doubtful.map(|(id, _)| *id).collect();
        for id in doubtful {
            match lease(core, id).await? {
                Some(view) => {
                    let until = now.plus(view.free_in_ms);
                    self.prolong(id, until);
                }
                None => drop(self.out.remove(&id)),
            }
        }
        let of_feature = self.out.values().filter(|it| it.feature == feature);
        Ok(of_feature.fold(0, |sum, it| sum.saturating_add(it.seats)))
    }

    /// A lease was granted, or repeated.
    pub(super) fn put(
        &mut self,
        id: LeaseId,
        feature: String,
        seats: u32,
        nonce: Nonce,
        sure_until: BootMs,
    ) {
        let entry = Entry {
            feature,
            seats,
            nonce,
            sure_until,
        };
        self.out.insert(id, entry);
    }

    /// It runs at least until then.
    pub(super) fn prolong(&mut self, id: LeaseId, until: BootMs) {
        if let Some(entry) = self.out.get_mut(&id) {
            entry.sure_until = entry.sure_until.max(until);
        }
    }

    /// It was given back.
    pub(super) fn release(&mut self, id: LeaseId) {
        self.out.remove(&id);
        if self.was_released(id) {
            return;
        }
        if self.released.len() >= RELEASED_MAX {
            self.released.pop_front();
        }
        self.released.push_back(id);
    }

    /// Whether it was given back lately, in this life.
    pub(super) fn was_released(&self, id: LeaseId) -> bool {
        self.released.contains(&id)
    }

    /// Whether it was out when it was last heard of.
    pub(super) fn knows(&self, id: LeaseId) -> bool {
        self.out.contains_key(&id)
    }
}

/// One lease, if it is there.
pub(super) async fn lease(core: &CoreHandle, id: LeaseId) -> Result<Option<LeaseView>, Failure> {
    let page = leases(core, Some(before(id)), 1).await?;
    Ok(page.into_iter().find(|view| view.id == id))
}

async fn leases(
    core: &CoreHandle,
    after: Option<LeaseId>,
    count_max: usize,
) -> Result<Vec<LeaseView>, Failure> {
    let ask = AdminAsk::Leases { after, count_max };
    match core.ask_admin(ACTOR.to_owned(), ask).await {
        Answer::Leases(views) => Ok(views),
        Answer::Refused(refusal) => Err(Failure::refused(*refusal)),
        other => {
            tracing::error!("the engine answered Leases with {other:?}");
            Err(Failure::not_found("usherd answered out of turn"))
        }
    }
}

/// The greatest id that comes before.
fn before(id: LeaseId) -> LeaseId {
    match (id.epoch.0, id.commit.0) {
        (epoch, commit) if commit > 0 => LeaseId {
            epoch: Epoch(epoch),
            commit: Commit(commit - 1),
        },
        (epoch, _) => LeaseId {
            epoch: Epoch(epoch.saturating_sub(1)),
            commit: Commit(u64::MAX),
        },
    }
}

const ACTOR: &str = "http";

/// Leases of one token that are remembered as given back.
const RELEASED_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn id(epoch: u64, commit: u64) -> LeaseId {
        LeaseId {
            epoch: Epoch(epoch),
            commit: Commit(commit),
        }
    }

    #[test]
    fn what_comes_before_an_id_is_less_than_it_and_nothing_is_between() {
        for it in [id(5, 7), id(5, 0), id(1, 1)] {
            assert!(before(it) < it);
        }
        assert_eq!(before(id(5, 7)), id(5, 6));
        assert_eq!(before(id(5, 0)), id(4, u64::MAX));
    }

    #[test]
    fn what_was_given_back_is_remembered_for_a_while() {
        let mut book = Book::default();
        book.put(id(1, 0), "a/b".to_owned(), 1, Nonce([1; 16]), BootMs(9));
        assert!(book.has(Nonce([1; 16])) && book.knows(id(1, 0)));
        for commit in 0..=RELEASED_MAX as u64 {
            book.release(id(1, commit));
        }
        assert!(!book.knows(id(1, 0)) && !book.was_released(id(1, 0)));
        assert!(book.was_released(id(1, RELEASED_MAX as u64)));
    }
}
