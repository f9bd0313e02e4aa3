//! What administrators do: licenses, evictions, suspensions, backups. Schedules do the same.

use std::sync::Arc;

use usher_engine::{
    api::{AdminAsk, Answer},
    policy::Policy,
    record::SuspensionKey,
};
use usher_protocol::names::LicenseId;
use usherd::core::Question;

use super::{Crash, World, server::To};
use crate::{
    invariants::{self, replay_equals_live::Base},
    planted::Planted,
    site::{self, Terms},
    storage::{Copy, Storage},
};

/// Names one question of an administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

impl Ticket {
    /// Of nobody in the world.
    pub(crate) const OUTSIDE: Self = Self(0);
}

impl World {
    /// Asks the daemon; the answer comes in its time, if it comes.
    pub fn admin(&mut self, ask: AdminAsk) -> Ticket {
        let ticket = self.ticket();
        self.enqueue(Some(To::Admin(ticket)), |waiter| match waiter {
            Some(waiter) => Question::Admin("root(0)".to_owned(), ask, waiter),
            None => Question::Ring,
        });
        ticket
    }

    pub(crate) fn ticket(&mut self) -> Ticket {
        self.figures.admin_asks += 1;
        Ticket(self.figures.admin_asks)
    }

    /// The answer to a question, once it came.
    pub fn answer(&mut self, ticket: Ticket) -> Option<Answer> {
        self.watch.answers.remove(&ticket)
    }

    pub(crate) fn admin_answered(&mut self, ticket: Ticket, answer: Answer) {
        if let Answer::Refused(refusal) = &answer {
            self.note(|| format!("an administrator is told {}", refusal.detail));
        }
        if let Some(lease) = self.write_offs.remove(&ticket) {
            self.answered_write_off(lease, &answer);
        }
        self.watch.answers.insert(ticket, answer);
    }

    /// Installs a license of these terms.
    pub fn install(&mut self, terms: &Terms) -> Ticket {
        if let Some(expires) = terms.expires {
            self.look_for_end(expires);
        }
        let license = match self.planted {
            Some(Planted::EndIgnored) => terms.without_end().sign(),
            _ => terms.sign(),
        };
        self.server.signed.insert(license.hash(), terms.clone());
        self.note(|| {
            format!(
                "license {} serial {}: {} seats, leases of {}",
                terms.license, terms.serial, terms.seats, terms.lease_ms
            )
        });
        let root_confirmed = Some(license.root().fingerprint());
        self.admin(AdminAsk::InstallLicense {
            license,
            root_confirmed,
        })
    }

    /// Removes the license; its leases run on (L7).
    pub fn remove_license(&mut self) -> Ticket {
        self.remove(site::LICENSE)
    }

    /// Removes a license by its name.
    pub fn remove(&mut self, license: &str) -> Ticket {
        self.note(|| format!("the license {license} is removed"));
        self.admin(AdminAsk::RemoveLicense(license.parse().unwrap()))
    }

    /// Lends nothing of the license, or lends again.
    pub fn suspend_license(&mut self, suspended: bool) -> Ticket {
        self.note(|| format!("the license is suspended: {suspended}"));
        let key = SuspensionKey::License(license_id());
        self.admin(if suspended {
            AdminAsk::Suspend(key, "for a while".to_owned())
        } else {
            AdminAsk::Resume(key)
        })
    }

    /// Another policy comes into force, now and for later lives.
    pub fn set_policy(&mut self, policy: Policy) -> Ticket {
        let policy = Arc::new(policy);
        self.server.policy = Arc::clone(&policy);
        self.admin(AdminAsk::SetPolicy(policy))
    }

    /// `usherd backup`: a copy of the live state (S6). None while no daemon runs.
    pub fn backup(&mut self) -> Option<Copy> {
        let mut storage = self.server.storage.lock();
        storage.carry().ok()?;
        storage.copy()
    }

    /// Stops the daemon, `usherd restore`s the copy, with the usage log played on top or not, and
    /// starts it again after a while (L12).
    pub fn restore(&mut self, copy: &Copy, replays: bool) {
        self.note(|| {
            format!(
                "the copy of head {} is restored, replay: {replays}",
                copy.head
            )
        });
        self.figures.restores += 1;
        self.crash(Crash::Process);
        let floor = self.server_now().wall.unix_seconds();
        let restored = self.server.storage.lock().restore(copy, replays, floor);
        self.lose_track();
        if let Err(damaged) = restored {
            let fault = invariants::start_failed(self, &format!("{damaged:?}"));
            self.fault(Err(fault));
        }
    }

    /// The whole disk as it is now: a snapshot of the server's virtual machine.
    pub fn image(&self) -> Storage {
        let mut image = self.server.storage.lock().clone();
        image.close();
        image
    }

    /// The server's virtual machine is reverted to an image, and nobody tells the daemon.
    pub fn revert(&mut self, image: &Storage) {
        self.note(|| "the server's disk goes back to an image".to_owned());
        self.crash(Crash::Process);
        *self.server.storage.lock() = image.clone();
        self.lose_track();
    }

    /// Leases may be out that the store does not know (L12).
    fn lose_track(&mut self) {
        self.server.went_back = true;
        let at_home = self.stations.iter_mut().flat_map(|it| &mut it.at_home);
        at_home.for_each(|it| it.may_be_lost = true);
        let seats = self
            .stations
            .iter_mut()
            .flat_map(|it| it.seats.values_mut());
        seats.for_each(|seat| seat.may_be_lost = true);
        self.watch.told_from = Base::of(&self.server.storage.lock().state());
    }
}

fn license_id() -> LicenseId {
    site::LICENSE.parse().unwrap()
}
