//! What ties a client to us over one connection: leases promised, a place in the queue. Decides who is told of an
//! eviction, and who counts as a stranger; must not decide whether a lease stands: the engine does.

use std::collections::HashSet;

use usher_engine::api::Answer;
use usher_protocol::{ids::LeaseId, wire::Request};

use crate::limits;

/// The ties of one connection; they are hints, made of what it was answered.
#[derive(Debug, Default)]
pub(super) struct Ties {
    promised: HashSet<LeaseId>,
    waits: bool,
}

impl Ties {
    /// Whether there are any.
    pub(super) fn any(&self) -> bool {
        self.waits || !self.promised.is_empty()
    }

    /// Takes note of an answer.
    pub(super) fn answered(&mut self, answer: &Answer) {
        let promises = match answer {
            Answer::Promised(promise) => std::slice::from_ref(&**promise),
            Answer::PromisedAll(promises) => promises,
            Answer::Queued(_) => {
                self.waits = true;
                return;
            }
            _ => return,
        };
        self.waits = false;
        for promise in promises {
            // Bounded; being told of an eviction is a courtesy.
            if self.promised.len() >= limits::LEASES_PER_CLIENT_MAX_DEFAULT {
                self.promised.clear();
            }
            self.promised.insert(promise.lease.id);
        }
    }

    /// Takes note of what the client gives up.
    pub(super) fn asked(&mut self, request: &Request) {
        match request {
            Request::Release(release) => drop(self.promised.remove(&release.lease)),
            Request::Leave(_) => self.waits = false,
            _ => {}
        }
    }

    /// A lease was evicted; true if this connection is to be told.
    pub(super) fn evicted(&mut self, lease: &LeaseId) -> bool {
        self.promised.remove(lease)
    }
}
