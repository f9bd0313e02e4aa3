//! A license or feature of which an administrator lends nothing for now (L7): no grants and no
//! renewals; what runs is not cut, and who waits keeps its place.

use usher_protocol::{
    names::Version,
    refusal::{Refusal, RefusalCode},
};

use crate::{
    api::Answer,
    decide::Wish,
    engine::Engine,
    evict::check_reason,
    explain::Why,
    pool::Pool,
    record::{Record, Suspension, SuspensionKey, What},
    step::{Asked, Step, no},
};

impl Engine {
    /// Lends nothing of it from now on, durably. Once more changes only the reason.
    pub(crate) fn suspend(
        &mut self,
        step: &mut Step,
        actor: &str,
        key: SuspensionKey,
        reason: String,
    ) -> Asked {
        check_reason(&reason)?;
        self.check_is_served(&key)?;
        let known = self.state.suspensions.get(&key);
        if known.is_none_or(|known| known.reason != reason) {
            let since = known.map_or(step.now.wall, |known| known.since);
            let suspension = Suspension { key, reason, since };
            self.record(step, Record::PutSuspension(suspension.clone()));
            self.event(step, actor, What::Suspended(suspension));
        }
        Ok(Answer::Done)
    }

    /// Lends it again.
    pub(crate) fn resume(&mut self, step: &mut Step, actor: &str, key: SuspensionKey) -> Asked {
        if !self.state.suspensions.contains_key(&key) {
            let detail = "this is not suspended; `usherd status` shows what is";
            return Err(no(RefusalCode::BadRequest, detail));
        }
        self.record(step, Record::DropSuspension(key.clone()));
        self.event(step, actor, What::Resumed(key));
        Ok(Answer::Done)
    }

    /// Why nothing is lent of a pool for now.
    pub(crate) fn suspension_of(&self, pool: &Pool) -> Option<&Suspension> {
        let suspensions = &self.state.suspensions;
        if suspensions.is_empty() {
            return None;
        }
        let key = &pool.key;
        let of_license = SuspensionKey::License(key.license.clone());
        let of_feature = SuspensionKey::Feature(key.root, key.feature.clone());
        let suspended = suspensions.get(&of_feature);
        suspended.or_else(|| suspensions.get(&of_license))
    }

    /// Refuses what would be served, were it not suspended.
    pub(crate) fn check_suspended(&self, step: &Step, wish: &Wish) -> Result<(), Box<Refusal>> {
        if self.state.suspensions.is_empty() {
            return Ok(());
        }
        let serving = self.state.serving(&wish.key).iter();
        let pools: Vec<_> = serving.map(|index| self.state.pool(*index)).collect();
        let why = |pool: &&&Pool| self.why_closed(step, pool, wish.version);
        if pools.iter().any(|pool| why(&pool).is_none()) {
            return Ok(());
        }
        let suspended = pools.iter().find(|pool| why(pool) == Some(Why::Suspended));
        suspended.map_or(Ok(()), |pool| Err(self.suspended(pool)))
    }

    /// With the administrator's reason.
    pub(crate) fn suspended(&self, pool: &Pool) -> Box<Refusal> {
        let mut detail = format!("the administrator lends no {} for now", pool.key.feature);
        let reason = self.suspension_of(pool).map(|it| it.reason.as_str());
        if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
            detail.extend([": ", reason]);
        }
        no(RefusalCode::Suspended, detail)
    }

    /// Whether a pool would be open, were it not suspended.
    pub(crate) fn is_open_or_suspended(
        &self,
        step: &Step,
        pool: &Pool,
        version: Option<Version>,
    ) -> bool {
        let why = self.why_closed(step, pool, version);
        why.is_none_or(|why| why == Why::Suspended)
    }

    fn check_is_served(&self, key: &SuspensionKey) -> Result<(), Box<Refusal>> {
        let licenses = &self.state.licenses;
        match key {
            SuspensionKey::License(id) if !licenses.contains_key(id) => {
                let detail = format!(
                    "no license and no feature here is called `{id}`; `usherd status` lists both"
                );
                Err(no(RefusalCode::NoLicense, detail))
            }
            SuspensionKey::Feature(root, feature) => {
                let mut features = self.licenses_of(*root).flat_map(|it| &it.features);
                if features.any(|it| it.feature == *feature) {
                    return Ok(());
                }
                let detail = format!(
                    "no installed license has {}/{feature}; `usherd status` lists what is served",
                    self.state.vendor_name(*root)
                );
                Err(no(RefusalCode::UnknownFeature, detail))
            }
            SuspensionKey::License(_) => Ok(()),
        }
    }
}
