//! Denials as history: counted together, so that a client in a loop cannot fill the usage log (S2).
//!
//! No refusal waits for this.

use std::collections::BTreeMap;

use usher_protocol::{
    ids::{Fingerprint, PublicKey},
    names::FeatureName,
    refusal::RefusalCode,
    time::BootMs,
    wire::Holder,
};

use crate::{
    limits::{DENIALS_HELD_MS, DENIALS_MAX},
    record::What,
};

/// What was denied since the last time it became history; volatile and bounded.
#[derive(Debug, Default)]
pub(crate) struct Denials {
    waiting: BTreeMap<(PublicKey, Fingerprint, FeatureName, u16), (Holder, u32)>,
    since: Option<BootMs>,
}

impl Denials {
    /// Counts one.
    pub(crate) fn count(
        &mut self,
        now: BootMs,
        client: PublicKey,
        root: Fingerprint,
        feature: &FeatureName,
        holder: &Holder,
        code: RefusalCode,
    ) {
        let key = (client, root, feature.clone(), u16::from(code));
        let entry = self
            .waiting
            .entry(key)
            .or_insert_with(|| (holder.clone(), 0));
        entry.1 = entry.1.saturating_add(1);
        self.since.get_or_insert(now);
    }

    /// When they become history at the latest.
    pub(crate) fn due(&self) -> Option<BootMs> {
        self.since.map(|since| since.plus(DENIALS_HELD_MS))
    }

    /// Whether that is now.
    pub(crate) fn is_due(&self, now: BootMs) -> bool {
        self.waiting.len() >= DENIALS_MAX || self.due().is_some_and(|due| due <= now)
    }

    /// Everything counted, as history.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = What> + use<> {
        self.since = None;
        let waiting = std::mem::take(&mut self.waiting);
        waiting
            .into_iter()
            .map(|((_, root, feature, code), (holder, count))| What::Denied {
                root,
                feature,
                holder,
                code: RefusalCode::from(code),
                count,
            })
    }
}
