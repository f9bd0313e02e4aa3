//! One input on its way through the engine: its time and what it has caused so far.

use usher_protocol::{
    ids::{Commit, Epoch, LeaseId},
    refusal::{Refusal, RefusalCode},
    time::Now,
    wire::Push,
};

use crate::{
    api::{Answer, Output},
    engine::Engine,
    linger::Taken,
    queue::Waiter,
    record::{Event, Record, What},
    state::State,
};

/// What a question comes to.
pub(crate) type Asked = Result<Answer, Box<Refusal>>;

/// One call of [`Engine::handle`].
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) now: Now,
    pub(crate) output: Output,
    /// Leases granted in this step: each takes a commit number of its own.
    leases: u64,
    /// Lingering seats that grants of this step took back.
    pub(crate) lingering_taken: Vec<Taken>,
}

/// How far the grants of a step have come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grants {
    leases: u64,
    lingering_taken: usize,
}

impl Step {
    /// Nothing has happened yet.
    pub(crate) fn new(now: Now) -> Self {
        Self {
            now,
            output: Output::default(),
            leases: 0,
            lingering_taken: Vec::new(),
        }
    }

    /// The name of a lease that this step grants, over a store with this head.
    pub(crate) fn next_lease(&mut self, epoch: Epoch, head: Commit) -> LeaseId {
        self.leases += 1;
        LeaseId {
            epoch,
            commit: Commit(head.0 + self.leases),
        }
    }

    /// What this step has granted so far, to come back to if a set cannot be had as a whole.
    pub(crate) fn grants(&self) -> Grants {
        Grants {
            leases: self.leases,
            lingering_taken: self.lingering_taken.len(),
        }
    }

    /// Names leases as if those granted since had never been; gives the lingering seats they took.
    pub(crate) fn forget_grants(&mut self, before: Grants) -> Vec<Taken> {
        self.leases = before.leases;
        self.lingering_taken.split_off(before.lingering_taken)
    }

    /// News for a waiter; who is cut off asks when it is back.
    pub(crate) fn push(&mut self, waiter: &Waiter, push: Push) {
        if waiter.cut_off.is_none() {
            let connection = waiter.caller.connection;
            self.output.pushes.push((connection, push));
        }
    }

    /// The head that a store with this head has after this step: it names every lease granted (L12).
    pub(crate) fn head_after(&self, head: Commit) -> Commit {
        let recorded = u64::from(!self.output.records.is_empty());
        Commit(head.0 + self.leases.max(recorded))
    }
}

impl Engine {
    /// Changes durable state: applied here and now, persisted before any answer leaves (A2).
    pub(crate) fn record(&mut self, step: &mut Step, record: Record) {
        let pool = match &record {
            Record::DropLease(id) => self.state.leases.get(id),
            Record::PutLease(lease) => self.state.leases.get(&lease.id),
            _ => None,
        }
        .map(|entry| entry.pool);
        let free = |state: &State| pool.map(|pool| state.pool(pool).free());
        let before = free(&self.state);
        self.state.apply(&record);
        self.settle_lingering();
        let came_free = free(&self.state).zip(before);
        if let Some((pool, (after, before))) = pool.zip(came_free)
            && before < after
        {
            self.state.note_flow(pool, step.now.boot, after - before);
            self.touch_pool(pool);
        }
        self.touch_for(&record, pool.is_none());
        step.output.records.push(record);
    }

    /// Adds to the history, in the same batch.
    pub(crate) fn event(&self, step: &mut Step, actor: &str, what: What) {
        step.output.events.push(Event {
            at: step.now.wall,
            license_time: self.time.at(step.now.boot),
            epoch: self.life.epoch,
            actor: actor.to_owned(),
            what,
        });
    }
}

/// A refusal with nothing but its code and one sentence.
pub(crate) fn no(code: RefusalCode, detail: impl Into<String>) -> Box<Refusal> {
    Box::new(Refusal::new(code, detail))
}

/// The actor of what clients do.
pub(crate) const CLIENT: &str = "client";

/// The actor of what the engine does by itself.
pub(crate) const DAEMON: &str = "daemon";
