//! A seat taken back from an application that reports itself idle for as long as the policy allows.
//!
//! Off without a rule, and without a report. Where processes share a seat, all of them must be idle:
//! a seat that one of them still uses does not come back.

use usher_protocol::{
    ids::LeaseId,
    refusal::{Refusal, RefusalCode},
    time::DurationMs,
};

use crate::{
    engine::Engine,
    state::LeaseEntry,
    step::{DAEMON, Step, no},
};

impl Engine {
    /// A renewal came with this report; a lease that was idle for too long is flagged, durably, and so
    /// are those that share its seat.
    pub(crate) fn judge_idle(&mut self, step: &mut Step, id: LeaseId, idle_ms: Option<DurationMs>) {
        if self.policy.idle.is_empty() {
            return;
        }
        let Some(entry) = self.state.leases.get(&id) else {
            return;
        };
        let after = self.idle_after(entry).map(|(after, _)| after);
        let over = after.zip(idle_ms).filter(|(after, idle)| idle >= after);
        self.state.report_idle(id, over.is_some());
        let Some((after, _)) = over else { return };
        let sharing = self.state.sharing(id);
        let is_idle = |id: &LeaseId| {
            let entry = self.state.leases.get(id);
            entry.is_none_or(|entry| entry.idle || entry.borrowed.is_some())
        };
        if sharing.iter().all(is_idle) {
            for id in sharing {
                self.flag(step, DAEMON, id, &format!("{IDLE}{after} or longer"));
            }
        }
    }

    /// The refusal of a lease that is taken back.
    pub(crate) fn taken_back(&self, entry: &LeaseEntry, reason: &str) -> Box<Refusal> {
        if !reason.starts_with(IDLE) {
            let detail =
                format!("an administrator takes the seat back: {reason}; save and release it");
            return no(RefusalCode::Evicted, detail);
        }
        let detail = format!(
            "the application was {reason}, so its seat is taken back; save, release it, and check out anew when it is used again"
        );
        let mut refusal = no(RefusalCode::Idle, detail);
        refusal.rule = self.idle_after(entry).map(|(_, rule)| rule);
        refusal
    }

    fn idle_after(
        &self,
        entry: &LeaseEntry,
    ) -> Option<(DurationMs, usher_protocol::refusal::RuleRef)> {
        let key = self.state.pool(entry.pool).key.feature_key();
        let feature = self.state.feature_path(&key);
        self.policy.idle_after(&feature, &entry.subject())
    }
}

/// How the reason begins that such a lease is flagged with.
const IDLE: &str = "idle for ";
