//! Denials as history (S2): one request is one denial, however often it is repeated, and a client in a
//! loop cannot fill the usage log.
//!
//! Requests of one client for one feature that are refused for one reason become one entry, written when
//! the client has been quiet for a minute, or after ten. No refusal waits for this, and who waits in the
//! queue is not denied anything.

use std::collections::{BTreeMap, VecDeque};

use usher_protocol::{
    ids::{Fingerprint, Nonce, PublicKey},
    names::FeatureName,
    refusal::RefusalCode,
    time::BootMs,
    wire::{Checkout, Holder},
};

use crate::{
    api::Caller,
    engine::Engine,
    limits::{DENIALS_HELD_MS, DENIALS_HELD_MS_MAX, DENIALS_MAX, DENIED_KEPT_MAX, DENIED_KEPT_MS},
    record::What,
    step::Step,
};

/// What is counted together. A feature that nobody serves is any feature: a client may invent names.
type Kind = (PublicKey, Fingerprint, Option<FeatureName>, u16);

/// What was denied and is not history yet; volatile and bounded.
#[derive(Debug, Default)]
pub(crate) struct Denials {
    open: BTreeMap<Kind, Open>,
    /// Not later than the first of them is due.
    due: Option<BootMs>,
    /// Requests that were refused before, as what.
    requests: BTreeMap<(PublicKey, Nonce), Kind>,
    by_age: VecDeque<(BootMs, PublicKey, Nonce)>,
}

/// Refusals that become one entry.
#[derive(Debug)]
struct Open {
    feature: FeatureName,
    holder: Holder,
    count: u32,
    first: BootMs,
    last: BootMs,
}

impl Open {
    fn due(&self) -> BootMs {
        let quiet = self.last.plus(DENIALS_HELD_MS);
        quiet.min(self.first.plus(DENIALS_HELD_MS_MAX))
    }
}

impl Denials {
    /// Counts one refusal.
    fn count(&mut self, now: BootMs, caller: &Caller, checkout: &Checkout, code: RefusalCode) {
        self.forget(now);
        let request = (caller.client, checkout.nonce);
        if let Some(kind) = self.requests.get(&request) {
            // The same request once more: counted while its entry is open, and never a second entry.
            if let Some(open) = self.open.get_mut(kind) {
                open.count = open.count.saturating_add(1);
                open.last = now;
            }
            return;
        }
        let unserved = matches!(code, RefusalCode::UnknownFeature | RefusalCode::NoLicense);
        let feature = (!unserved).then(|| checkout.feature.clone());
        let kind = (caller.client, caller.root, feature, u16::from(code));
        let open = self.open.entry(kind.clone()).or_insert_with(|| Open {
            feature: checkout.feature.clone(),
            holder: checkout.holder.clone(),
            count: 0,
            first: now,
            last: now,
        });
        open.count = open.count.saturating_add(1);
        open.last = now;
        let due = open.due();
        self.due = Some(self.due.map_or(due, |first| first.min(due)));
        self.requests.insert(request, kind);
        self.by_age.push_back((now, caller.client, checkout.nonce));
    }

    /// When there may be something to write; early is harmless.
    pub(crate) fn due(&self) -> Option<BootMs> {
        self.due
    }

    /// What has become history; all of it when there is too much, or when the process is about to end.
    pub(crate) fn take_due(&mut self, now: BootMs, all: bool) -> Vec<What> {
        let all = all || self.open.len() >= DENIALS_MAX;
        if !all && self.due.is_none_or(|due| now < due) {
            return Vec::new();
        }
        let mut written = Vec::new();
        self.open.retain(|(_, root, _, code), open| {
            let is_due = all || open.due() <= now;
            if is_due {
                written.push(What::Denied {
                    root: *root,
                    feature: open.feature.clone(),
                    holder: open.holder.clone(),
                    code: RefusalCode::from(*code),
                    count: open.count,
                });
            }
            !is_due
        });
        self.due = self.open.values().map(Open::due).min();
        written
    }

    /// Requests that were refused long ago, and the oldest of too many.
    fn forget(&mut self, now: BootMs) {
        while let Some((at, client, nonce)) = self.by_age.front().copied() {
            let is_old = at.plus(DENIED_KEPT_MS) < now;
            if !is_old && self.by_age.len() < DENIED_KEPT_MAX {
                return;
            }
            self.requests.remove(&(client, nonce));
            self.by_age.pop_front();
        }
    }
}

impl Engine {
    /// A checkout was refused: counted for history, and remembered where an administrator may accept
    /// the key that asked.
    pub(crate) fn note_denial(
        &mut self,
        step: &Step,
        caller: &Caller,
        checkout: &Checkout,
        code: RefusalCode,
    ) {
        if code == RefusalCode::NotEnrolled {
            self.note_knock(step, caller, &checkout.holder);
        }
        self.denials.count(step.now.boot, caller, checkout, code);
    }
}
