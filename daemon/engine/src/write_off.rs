//! A borrowed seat that will not come back before its end is counted against the allowance that the
//! vendor signed, and its seat is lent anew (L10). Beyond the allowance nothing helps but its end.

use usher_protocol::{ids::LeaseId, refusal::RefusalCode};

use crate::{
    api::Answer,
    engine::Engine,
    limits::REASON_BYTES_MAX,
    record::{Borrowed, What},
    step::{Asked, Step, no},
};

impl Engine {
    /// Writes a borrowed lease off, durably. Once more changes nothing.
    pub(crate) fn write_off(
        &mut self,
        step: &mut Step,
        actor: &str,
        id: LeaseId,
        reason: &str,
    ) -> Asked {
        if reason.len() > REASON_BYTES_MAX {
            let detail = format!("a reason has at most {REASON_BYTES_MAX} bytes");
            return Err(no(RefusalCode::BadRequest, detail));
        }
        let Some((seats, borrowed)) = self.borrowed_lease(id) else {
            let detail = format!("no borrowed lease {id} is out; `usherd borrows` lists them");
            return Err(no(RefusalCode::LeaseUnknown, detail));
        };
        if borrowed.written_off {
            return Ok(Answer::Done);
        }
        self.check_allowance(id, seats)?;
        self.change_lease(step, actor, id, |lease| {
            lease.borrowed = Some(Borrowed {
                written_off: true,
                ..borrowed
            });
        });
        self.event(step, actor, What::WrittenOff(id, reason.to_owned()));
        Ok(Answer::Done)
    }

    fn borrowed_lease(&self, id: LeaseId) -> Option<(u32, Borrowed)> {
        let entry = self.state.leases.get(&id)?;
        Some((entry.seats, entry.borrowed?))
    }

    fn check_allowance(
        &self,
        id: LeaseId,
        seats: u32,
    ) -> Result<(), Box<usher_protocol::refusal::Refusal>> {
        let Some(pool) = self.pool_of(id) else {
            return Ok(());
        };
        let terms = pool.terms.as_ref();
        let allowed = terms.map_or(0, |terms| terms.feature().write_off);
        if pool.written_off + u64::from(seats) <= u64::from(allowed) {
            return Ok(());
        }
        let detail = format!(
            "the license `{}` allows {allowed} seats of {} to be written off, and {} are; this one comes back when the borrow ends",
            pool.key.license, pool.key.feature, pool.written_off
        );
        Err(no(RefusalCode::WriteOffsUsedUp, detail))
    }
}
