//! What a vendor is called: for people, and in the `vendor/feature` of the policy.
//!
//! A vendor is its root (T3); a name decides nothing about seats, only which rules are about them.

use usher_protocol::ids::Fingerprint;

use crate::{pool::FeatureKey, state::State};

impl State {
    /// The name in its licenses; the pinned one without; the root's first digits without either.
    pub(crate) fn vendor_name(&self, root: Fingerprint) -> String {
        let known = self.vendor_names.get(&root);
        known.cloned().unwrap_or_else(|| root.short())
    }

    /// `vendor/feature`.
    pub(crate) fn feature_path(&self, key: &FeatureKey) -> String {
        match self.vendor_names.get(&key.root) {
            Some(vendor) => format!("{vendor}/{}", key.feature),
            None => format!("{}/{}", key.root.short(), key.feature),
        }
    }

    /// Called anew when a license or a pinned root changes.
    pub(crate) fn name_vendors(&mut self) {
        let before = std::mem::take(&mut self.vendor_names);
        for license in self.licenses.values() {
            let root = license.root().fingerprint();
            let name = license.vendor.to_string();
            self.vendor_names.entry(root).or_insert(name);
        }
        for (name, root) in &self.roots {
            let name = name.to_string();
            self.vendor_names.entry(root.fingerprint()).or_insert(name);
        }
        if before != self.vendor_names {
            self.recount(self.counted_for());
        }
    }
}
