//! A lease taken back by an administrator: its renewals are refused from now on, and its seats return
//! when its holder gives them back or its time is over (L7). A running lease is never cut.

use usher_protocol::{
    ids::LeaseId,
    refusal::{Refusal, RefusalCode},
    time::DurationMs,
};

use crate::{
    api::Answer,
    cooldown,
    engine::Engine,
    limits::REASON_BYTES_MAX,
    state::LeaseEntry,
    step::{Asked, Step, no},
};

impl Engine {
    /// Flags the lease and all that share its seats, durably: a seat that one of them still uses does
    /// not come back. Once more changes only the reason; a borrowed one among them runs on (L10).
    pub(crate) fn evict(
        &mut self,
        step: &mut Step,
        actor: &str,
        id: LeaseId,
        reason: &str,
        cool_down_ms: Option<DurationMs>,
    ) -> Asked {
        check_reason(reason)?;
        let cool_down = cooldown::checked(cool_down_ms)?;
        let Some(entry) = self.state.leases.get(&id) else {
            let detail = format!("no lease {id} is out; `usherd leases` lists them");
            return Err(no(RefusalCode::LeaseUnknown, detail));
        };
        if let Some(borrowed) = entry.borrowed {
            let left = borrowed.until.since(step.now.wall);
            let detail = format!(
                "the lease {id} is borrowed for {left} more and cannot be called back; its holder may return it, and `usherd write-off` counts it against the vendor's allowance"
            );
            return Err(no(RefusalCode::LeaseBorrowed, detail));
        }
        for id in self.state.sharing(id) {
            self.flag(step, actor, id, reason);
            self.cool_down(step, id, cool_down);
        }
        Ok(Answer::Done)
    }

    /// Flags one lease, unless it is borrowed or flagged so already.
    pub(crate) fn flag(&mut self, step: &mut Step, actor: &str, id: LeaseId, reason: &str) {
        let entry = self.state.leases.get(&id);
        let changes =
            |it: &LeaseEntry| it.borrowed.is_none() && it.evicted.as_deref() != Some(reason);
        if entry.is_some_and(|entry| changes(entry)) {
            let reason = reason.to_owned();
            self.change_lease(step, actor, id, |lease| lease.evicted = Some(reason));
            self.stop_lingering_with(id);
        }
    }
}

/// A3.
pub(crate) fn check_reason(reason: &str) -> Result<(), Box<Refusal>> {
    if reason.len() <= REASON_BYTES_MAX {
        return Ok(());
    }
    let detail = format!("a reason has at most {REASON_BYTES_MAX} bytes");
    Err(no(RefusalCode::BadRequest, detail))
}
