//! May this asker have the feature at all, by the administrator's word: accepted key, suspended, cooling
//! down, deny, allow, maximum, in this order.
//!
//! It refuses with the rule that decided, and its file and line (A4). The policy judges checkouts and
//! waiters; a running lease is renewed whatever a new policy says of its holder (L7).

use std::sync::Arc;

use usher_protocol::{
    refusal::{Refusal, RefusalCode},
    time::DurationMs,
};

use crate::{
    api::Answer,
    decide::{Asker, Wish},
    engine::Engine,
    policy::{Barred, BarredKind, Policy, Subject},
    pool::{FeatureKey, Pool},
    record::What,
    state::LeaseEntry,
    step::{Asked, Step, no},
};

impl LeaseEntry {
    /// Its holder, as the policy sees it.
    pub(crate) fn subject(&self) -> Subject<'_> {
        Subject {
            client: self.client.into(),
            user: &self.holder.user,
            host: &self.holder.host,
            address: self.address,
        }
    }
}

impl Engine {
    /// A policy comes into force; nothing that runs is cut (L7). One that the licenses cannot meet is
    /// refused, and the one before goes on.
    pub(crate) fn set_policy(
        &mut self,
        step: &mut Step,
        actor: &str,
        policy: Arc<Policy>,
    ) -> Asked {
        if self.policy != policy {
            self.check_reservations(&policy)?;
            let words = format!("{}: {}", policy.file, policy.summary());
            self.state.recount(Arc::clone(&policy));
            self.policy = policy;
            self.recount_lingering();
            self.event(step, actor, What::Policy(words));
            self.rank_anew();
        }
        Ok(Answer::Done)
    }

    /// The first rule against it, in the order of `decide.rs`.
    pub(crate) fn admit(
        &self,
        step: &Step,
        asker: &Asker<'_>,
        wish: &Wish,
    ) -> Result<(), Box<Refusal>> {
        self.check_enrolled(asker)?;
        self.check_suspended(step, wish)?;
        self.check_cooling(step, asker, wish)?;
        if self.policy.is_empty() {
            return Ok(());
        }
        let feature = self.state.feature_path(&wish.key);
        let barred = self.policy.admits(&feature, &asker.subject());
        barred.map_err(|barred| bar(&feature, barred))?;
        self.check_maxima(step, asker, wish)
    }

    /// Who waits, waits before those of a lower one (L9).
    pub(crate) fn priority(&self, asker: &Asker<'_>, key: &FeatureKey) -> i32 {
        if self.policy.priority.is_empty() {
            return 0;
        }
        let feature = self.state.feature_path(key);
        self.policy.priority(&feature, &asker.subject())
    }

    /// The usual and longest length that the policy gives, within the license's bounds.
    pub(crate) fn length_by_policy<'a>(
        &self,
        pool: &Pool,
        who: impl FnOnce() -> Subject<'a>,
    ) -> Option<DurationMs> {
        if self.policy.lease.is_empty() {
            return None;
        }
        let feature = self.state.feature_path(&pool.key.feature_key());
        self.policy.length(&feature, &who())
    }
}

fn bar(feature: &str, barred: Barred) -> Box<Refusal> {
    let reason = barred
        .reason
        .map_or_else(String::new, |it| format!(": {it}"));
    let mut refusal = match barred.kind {
        BarredKind::Denied => no(
            RefusalCode::Denied,
            format!("the site's policy denies you {feature}{reason}"),
        ),
        BarredKind::NotAllowed => no(
            RefusalCode::NotAdmitted,
            format!("the site's policy lends {feature} to others only; ask the administrator"),
        ),
    };
    refusal.rule = Some(barred.rule);
    refusal
}
