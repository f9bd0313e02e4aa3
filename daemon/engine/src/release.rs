//! Seats given back by their holder: the one way a deadline moves back (L2).

use usher_protocol::{refusal::RefusalCode, wire::Release};

use crate::{
    api::{Answer, Caller},
    engine::Engine,
    record::What,
    step::{Asked, CLIENT, Step},
};

impl Engine {
    /// Frees the seats at once, but for those that linger. A branch frees nothing: the other side may still work (T6). What is
    /// over already is released again without harm, and an eviction is acknowledged so (L7).
    pub(crate) fn release(&mut self, step: &mut Step, caller: &Caller, release: &Release) -> Asked {
        let taken = self.take_step(
            step,
            caller.client,
            release.lease,
            release.nonce,
            release.link,
        );
        let lease = self.state.leases.get(&release.lease);
        let borrowed = lease.and_then(|entry| entry.borrowed);
        match (taken, borrowed) {
            (Ok(_), Some(borrowed)) => Ok(self.give_back(step, release.lease, borrowed)),
            (Ok(_), None) => {
                self.end_and_linger(step, caller, release.lease);
                self.event(step, CLIENT, What::Released(release.lease));
                Ok(Answer::Released)
            }
            (Err(refusal), _) if refusal.code == RefusalCode::LeaseEnded => Ok(Answer::Released),
            (Err(refusal), _) => Err(refusal),
        }
    }
}
