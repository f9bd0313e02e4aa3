//! By which issue of its license a holder believes, as far as this life knows, and whether that may be
//! changed while leases may be out that the store does not know (L12).
//!
//! An extension makes its holder one of those who believe by the seats of the license as it stands then
//! (L7). Where the store has lost leases, others may believe by the same seats unknown. So meanwhile a lease
//! is extended only where its holder believes by as few seats already: by the same issue, or by one that is
//! known to have no more. Nothing here grants or ends anything.

use std::{num::NonZeroU16, sync::Arc};

use usher_protocol::{
    documents::license::VerifiedLicense,
    ids::{Fingerprint, LeaseId},
    names::FeatureName,
    refusal::{Refusal, RefusalCode},
};

use crate::{
    engine::Engine,
    pool::Pool,
    state::{LeaseEntry, State},
    step::no,
};

/// Names an issue of a license that was installed in this life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Issue(NonZeroU16);

/// Every issue that was installed in this life, as many as can be named; by one beyond those nobody is known
/// to believe.
#[derive(Debug, Default)]
pub(crate) struct Issues(Vec<Arc<VerifiedLicense>>);

impl Issues {
    /// An issue is in force from now on.
    pub(crate) fn note(&mut self, license: &Arc<VerifiedLicense>) -> Option<Issue> {
        self.named(license.hash()).or_else(|| {
            let number = u16::try_from(self.0.len() + 1).ok()?;
            self.0.push(Arc::clone(license));
            NonZeroU16::new(number).map(Issue)
        })
    }

    /// The one of that hash.
    fn named(&self, hash: Fingerprint) -> Option<Issue> {
        let index = self.0.iter().rposition(|it| it.hash() == hash)?;
        NonZeroU16::new(u16::try_from(index + 1).ok()?).map(Issue)
    }

    /// How many seats of a feature may be out under it; none is without end.
    fn seats(&self, issue: Issue, feature: &FeatureName) -> Option<u64> {
        let license = self.0.get(usize::from(issue.0.get()) - 1);
        let mut features = license.into_iter().flat_map(|it| &it.features);
        match features.find(|it| it.feature == *feature) {
            Some(it) => Some(u64::from(it.seats?) + u64::from(it.overdraft)),
            None => Some(0),
        }
    }
}

impl State {
    /// Its holder showed a lease of that issue: it believes by that one, if by any.
    pub(crate) fn shown(&mut self, id: LeaseId, license_hash: Fingerprint) {
        let issue = self.issues.named(license_hash);
        if let Some(entry) = self.leases.get_mut(&id) {
            entry.believed_by = issue;
        }
    }

    /// Whether an extension now would leave its holder believing by no fewer seats than before.
    fn keeps_belief(&self, entry: &LeaseEntry, pool: &Pool) -> bool {
        let (Some(before), Some(now)) = (entry.believed_by, pool.issue) else {
            return false;
        };
        let seats = |issue| self.issues.seats(issue, &pool.key.feature);
        before == now || seats(now).is_none_or(|now| seats(before).is_some_and(|it| it <= now))
    }
}

impl Engine {
    /// While leases may be lost, refuses an extension by fewer seats, or one of which that is not known.
    pub(crate) fn check_belief(&self, entry: &LeaseEntry, pool: &Pool) -> Result<(), Box<Refusal>> {
        let trouble = &self.state.trouble;
        let may_be_lost =
            trouble.hold_since.is_some() || trouble.rolled_back || trouble.clone.is_some();
        if !may_be_lost || self.state.keeps_belief(entry, pool) {
            return Ok(());
        }
        let license = &pool.key.license;
        Err(no(
            RefusalCode::Holding,
            format!(
                "leases may be out that the store has lost, and this one was not extended under license `{license}` as it is installed now: it is extended again once the issue that it shows is installed (`usherd license add`), or when nothing is held any more"
            ),
        ))
    }
}
