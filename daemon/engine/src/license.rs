//! Licenses come and go: install, replace, remove, and whether anything is lent from one (T3, T7, L7).
//!
//! Whether a license is genuine was decided before it came here (T2). Nothing here cuts a running lease.

use std::sync::Arc;

use usher_protocol::{
    documents::license::VerifiedLicense,
    ids::Fingerprint,
    names::LicenseId,
    refusal::{Refusal, RefusalCode},
    wire::Environment,
};

use crate::{
    api::{Answer, LicenseView},
    engine::Engine,
    record::{LicenseSerial, Mark, PinnedRoot, Record, TextPiece, What},
    step::{Asked, Step, no},
    trouble::longest_lease,
};

impl Engine {
    /// Installs a license, or replaces one: leases go on under the new one's pools of the same name.
    /// What is installed already, to the byte, is installed again without change; in a hold that says that
    /// no newer one is known (L12).
    pub(crate) fn install(
        &mut self,
        step: &mut Step,
        actor: &str,
        license: &Arc<VerifiedLicense>,
        root_confirmed: Option<Fingerprint>,
    ) -> Asked {
        let installed = self.state.licenses.get(&license.id);
        if installed.is_some_and(|it| it.hash() == license.hash() && it.root() == license.root()) {
            self.note_newest(license, None);
            return Ok(self.installed(license));
        }
        self.check_site(license)?;
        self.check_root(license, root_confirmed)?;
        self.check_serial(license)?;
        self.check_revoked(license)?;
        let replaced = installed.and_then(|it| longest_lease(it));
        self.pin_root(step, actor, license);
        self.keep_revocations(step, license);
        self.put_license(step, actor, license);
        self.lower_mark(step, license);
        self.note_newest(license, replaced);
        self.resume_hold(step);
        Ok(self.installed(license))
    }

    /// Removes a license. Its leases run on, their renewals are refused (L7); its serial is kept (T7).
    pub(crate) fn remove(&mut self, step: &mut Step, actor: &str, id: &LicenseId) -> Asked {
        if !self.state.licenses.contains_key(id) {
            let detail =
                format!("no license `{id}` is installed; `usherd license list` shows them");
            return Err(no(RefusalCode::NoLicense, detail));
        }
        self.drop_license(step, actor, id);
        Ok(Answer::Done)
    }

    /// What is installed.
    pub(crate) fn licenses(&self) -> Vec<LicenseView> {
        let licenses = self.state.licenses.values();
        licenses.map(|license| self.license_view(license)).collect()
    }

    /// The licenses of one vendor.
    pub(crate) fn licenses_of(
        &self,
        root: Fingerprint,
    ) -> impl Iterator<Item = &Arc<VerifiedLicense>> {
        let licenses = self.state.licenses.values();
        licenses.filter(move |license| license.vendor_root() == root)
    }

    /// Why nothing at all is lent from a license, when so. Its dates are judged per feature.
    pub(crate) fn idle_because(&self, license: &VerifiedLicense) -> Option<String> {
        // No client believes it from this daemon: a site key that was damaged or lost must not be a riddle.
        if license.site != self.life.site {
            return Some(format!(
                "it is for the site key {}, this daemon has {}: put the old site.key back from its copy, or send the vendor a new `usherd request`",
                license.site, self.life.site
            ));
        }
        if license.environment == Environment::Test && !self.settings.serve_test {
            return Some("test licenses are not served; `serve-test` allows them".to_owned());
        }
        let runs_here = |host: &String| self.settings.host_names.contains(host);
        if !license.hosts.is_empty() && !license.hosts.iter().any(runs_here) {
            let hosts = license.hosts.join(", ");
            return Some(format!("it is for other hosts: {hosts}"));
        }
        let list = self.state.revocations.get(&license.vendor_root())?;
        license.verify_against(list).err().map(|it| it.to_string())
    }

    fn installed(&self, license: &Arc<VerifiedLicense>) -> Answer {
        Answer::Installed(Box::new(self.license_view(license)))
    }

    fn license_view(&self, license: &Arc<VerifiedLicense>) -> LicenseView {
        LicenseView {
            license: Arc::clone(license),
            root: license.root().fingerprint(),
            idle_because: self.idle_because(license),
        }
    }

    fn check_site(&self, license: &VerifiedLicense) -> Result<(), Box<Refusal>> {
        if license.site == self.life.site {
            return Ok(());
        }
        Err(not_installed(format!(
            "the license is for the site key {}, this daemon has {}; send the vendor a new `usherd request`",
            license.site, self.life.site
        )))
    }

    /// T3: a vendor is its root; its first license must name the root an administrator confirmed.
    fn check_root(
        &self,
        license: &VerifiedLicense,
        confirmed: Option<Fingerprint>,
    ) -> Result<(), Box<Refusal>> {
        let (root, vendor) = (license.root(), &license.vendor);
        match self.state.roots.get(vendor) {
            Some(pinned) if *pinned == root => {}
            Some(pinned) => {
                return Err(not_installed(format!(
                    "another root is known as `{vendor}`: {}, and this license has {}; ask the vendor which is theirs",
                    pinned.fingerprint(),
                    root.fingerprint()
                )));
            }
            None if confirmed == Some(root.fingerprint()) => {}
            None => {
                let detail = format!(
                    "the first license of `{vendor}`: compare its root fingerprint {} with the vendor's, then confirm it",
                    root.fingerprint()
                );
                return Err(Box::new(Refusal::new(RefusalCode::RootUnconfirmed, detail)));
            }
        }
        match self.state.licenses.get(&license.id) {
            Some(other) if other.root() != root => Err(not_installed(format!(
                "a license `{}` of another vendor ({}) is installed; ask for another id",
                license.id, other.vendor
            ))),
            _ => Ok(()),
        }
    }

    fn check_serial(&self, license: &VerifiedLicense) -> Result<(), Box<Refusal>> {
        let key = (license.root().fingerprint(), license.id.clone());
        match self.state.serials.get(&key) {
            Some(highest) if license.serial <= *highest => Err(not_installed(format!(
                "serial {} of `{}` is not newer than serial {highest}, seen here before; ask the vendor for a higher one",
                license.serial, license.id
            ))),
            _ => Ok(()),
        }
    }

    fn check_revoked(&self, license: &VerifiedLicense) -> Result<(), Box<Refusal>> {
        let known = self.state.revocations.get(&license.root().fingerprint());
        match known.map(|list| license.verify_against(list)) {
            Some(Err(error)) => Err(not_installed(format!("{error}; {}", error.next_step()))),
            _ => Ok(()),
        }
    }

    fn pin_root(&mut self, step: &mut Step, actor: &str, license: &VerifiedLicense) {
        let (vendor, root) = (license.vendor.clone(), license.root());
        if !self.state.roots.contains_key(&vendor) {
            let pinned = PinnedRoot {
                vendor: vendor.clone(),
                root,
            };
            self.record(step, Record::PutRoot(pinned));
            self.event(step, actor, What::RootPinned(vendor, root.fingerprint()));
        }
    }

    /// T7: for ever, and the newest number wins.
    fn keep_revocations(&mut self, step: &mut Step, license: &VerifiedLicense) {
        let Some(list) = license.revocations() else {
            return;
        };
        let root = license.root().fingerprint();
        let known = self.state.revocations.get(&root);
        if known.is_none_or(|known| known.number < list.number) {
            self.record(step, Record::PutRevocations(root, list.signed().clone()));
        }
    }

    fn put_license(&mut self, step: &mut Step, actor: &str, license: &Arc<VerifiedLicense>) {
        let root = license.root().fingerprint();
        self.record(step, Record::PutLicense(Arc::clone(license)));
        let serial = LicenseSerial {
            root,
            license: license.id.clone(),
            serial: license.serial,
        };
        self.record(step, Record::PutSerial(serial));
        let what = What::LicenseInstalled(license.id.clone(), license.serial);
        self.event(step, actor, what);
        self.log_text(step, actor, license);
        for id in &license.replaces {
            let replaced = self.state.licenses.get(id);
            if *id != license.id && replaced.is_some_and(|it| it.root() == license.root()) {
                self.drop_license(step, actor, id);
            }
        }
    }

    fn log_text(&mut self, step: &mut Step, actor: &str, license: &VerifiedLicense) {
        let pieces = pieces_of(license.text());
        let count = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
        for (piece, text) in (1..).zip(pieces) {
            let piece = TextPiece {
                license: license.id.clone(),
                piece,
                pieces: count,
                text: text.to_owned(),
            };
            self.event(step, actor, What::LicenseText(piece));
        }
    }

    fn drop_license(&mut self, step: &mut Step, actor: &str, id: &LicenseId) {
        if let Some(license) = self.state.licenses.get(id) {
            let what = What::LicenseRemoved(id.clone(), license.serial);
            self.record(step, Record::DropLicense(id.clone()));
            self.event(step, actor, what);
        }
    }

    /// L11: a license issued later than every one before it is the vendor's word about the time. It
    /// may lower the mark of that vendor's licenses alone: nobody may turn back another's clock.
    fn lower_mark(&mut self, step: &mut Step, license: &VerifiedLicense) {
        let mark = self.state.mark.unwrap_or_default();
        if license.issued <= mark.issued_newest {
            return;
        }
        let is_alone = |other: &Arc<VerifiedLicense>| other.root() == license.root();
        if self.state.licenses.values().all(is_alone) {
            self.time.lower(license.issued, step.now);
        }
        let mark = Mark {
            license_time: self.time.at(step.now.boot),
            issued_newest: license.issued,
        };
        self.record(step, Record::PutMark(mark));
    }
}

/// A text in pieces of at most [`TEXT_PIECE_BYTES`], cut between characters.
fn pieces_of(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(TEXT_PIECE_BYTES));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// A log entry waits in the store, whose records are short (S2).
const TEXT_PIECE_BYTES: usize = 4 << 10;

fn not_installed(detail: String) -> Box<Refusal> {
    no(RefusalCode::BadRequest, detail)
}
