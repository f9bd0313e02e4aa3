//! How many seats the installed licenses have of a feature, by their texts in the log.

use std::{collections::BTreeMap, sync::Arc};

use usher_engine::record::{TextPiece, What};
use usher_protocol::{documents::license::VerifiedLicense, names::LicenseId, time::WallMs};

/// Licenses as the log has told of them so far. A log that was begun anew does not tell of older ones.
#[derive(Debug, Default)]
pub(super) struct Pools {
    texts: BTreeMap<LicenseId, String>,
    licenses: BTreeMap<LicenseId, Arc<VerifiedLicense>>,
}

impl Pools {
    /// As the base of a log knows it whose oldest part was retired.
    pub(super) fn know(&mut self, license: &Arc<VerifiedLicense>) {
        self.licenses
            .insert(license.id.clone(), Arc::clone(license));
    }

    pub(super) fn take(&mut self, what: &What) {
        match what {
            What::LicenseText(piece) => self.piece(piece),
            What::LicenseRemoved(license, _) => {
                self.licenses.remove(license);
            }
            _ => {}
        }
    }

    /// Of all licenses that hold at that moment; none where no license of the feature is known, or one is unlimited.
    pub(super) fn seats(&self, feature: &str, at: WallMs) -> Option<u32> {
        let mut all = None;
        for license in self.licenses.values() {
            let here = license.features.iter().filter(|it| {
                format!("{}/{}", license.vendor, it.feature) == feature
                    && it.starts <= at
                    && it.expires.is_none_or(|end| at < end)
            });
            for it in here {
                all = Some(all.unwrap_or(0) + it.seats?);
            }
        }
        all
    }

    fn piece(&mut self, it: &TextPiece) {
        if it.piece == 1 {
            self.texts.insert(it.license.clone(), String::new());
        }
        // A log that begins with a later piece does not have the text.
        let Some(known) = self.texts.get_mut(&it.license) else {
            return;
        };
        known.push_str(&it.text);
        if it.piece < it.pieces {
            return;
        }
        let text = self.texts.remove(&it.license).unwrap_or_default();
        if let Ok(license) = VerifiedLicense::verify(text.as_bytes()) {
            self.licenses.retain(|id, _| !license.replaces.contains(id));
            self.licenses.insert(it.license.clone(), Arc::new(license));
        }
    }
}
