//! Which client keys an administrator has accepted, and who knocked without (`enroll = "required"`).
//!
//! Acceptance is the administrator's act and durable. A key that a policy group names is not accepted
//! by that: the group says who somebody is, not that it may come in.

use std::{collections::BTreeMap, net::IpAddr};

use usher_protocol::{
    ids::{Fingerprint, LeaseId, Nonce, PublicKey},
    refusal::{Refusal, RefusalCode},
    time::BootMs,
    wire::Holder,
};

use crate::{
    api::{Answer, Caller, ClientView},
    decide::Asker,
    engine::Engine,
    limits::{CLIENT_NAME_BYTES_MAX, CLIENTS_MAX, KNOCKS_MAX},
    record::{EnrolledClient, Record, What},
    step::{Asked, Step, no},
};

/// Keys that were refused for want of acceptance, lately; volatile and bounded.
#[derive(Debug, Default)]
pub(crate) struct Knocks(BTreeMap<PublicKey, Knock>);

#[derive(Debug)]
struct Knock {
    user: String,
    host: String,
    address: IpAddr,
    at: BootMs,
}

impl Knocks {
    fn note(&mut self, now: BootMs, caller: &Caller, holder: &Holder) {
        if self.0.len() >= KNOCKS_MAX && !self.0.contains_key(&caller.client) {
            let oldest = self.0.iter().min_by_key(|(_, knock)| knock.at);
            if let Some(client) = oldest.map(|(client, _)| *client) {
                self.0.remove(&client);
            }
        }
        let knock = Knock {
            user: holder.user.clone(),
            host: holder.host.clone(),
            address: caller.address,
            at: now,
        };
        self.0.insert(caller.client, knock);
    }
}

impl Engine {
    /// Refuses a key that nobody accepted, where the policy asks for that.
    pub(crate) fn check_enrolled(&self, asker: &Asker<'_>) -> Result<(), Box<Refusal>> {
        let Some(rule) = self.policy.enroll_required() else {
            return Ok(());
        };
        let clients = &self.state.clients;
        if asker
            .client
            .is_some_and(|client| clients.contains_key(&client))
        {
            return Ok(());
        }
        let detail = match asker.client.map(|client| client.fingerprint()) {
            Some(key) => format!(
                "this workstation's key is not accepted here yet: give its fingerprint {key} to the administrator, who says `usherd client accept {key} --name NAME`"
            ),
            None => "no key of this workstation is accepted here yet; `usherd clients --pending` shows those that asked".to_owned(),
        };
        let mut refusal = no(RefusalCode::NotEnrolled, detail);
        refusal.rule = Some(rule);
        Err(refusal)
    }

    /// Remembers who was refused for that, for the administrator to see.
    pub(crate) fn note_knock(&mut self, step: &Step, caller: &Caller, holder: &Holder) {
        self.knocks.note(step.now.boot, caller, holder);
    }

    /// Accepted keys, the oldest first, and then those that knocked, the latest first.
    pub(crate) fn clients(&self, step: &Step) -> Answer {
        let mut accepted: Vec<_> = self.state.clients.values().cloned().collect();
        accepted.sort_by_key(|it| it.since);
        let accepted = accepted.into_iter().map(ClientView::Accepted);
        let mut knocks: Vec<_> = self.knocks.0.iter().collect();
        knocks.sort_by_key(|(_, knock)| std::cmp::Reverse(knock.at));
        let knocked = knocks
            .into_iter()
            .map(|(client, knock)| ClientView::Knocked {
                client: *client,
                user: knock.user.clone(),
                host: knock.host.clone(),
                address: knock.address,
                ago_ms: step.now.boot.since(knock.at),
            });
        Answer::Clients(accepted.chain(knocked).collect())
    }

    /// Accepts a key, or gives an accepted one another name.
    pub(crate) fn accept_client(
        &mut self,
        step: &mut Step,
        actor: &str,
        client: PublicKey,
        name: String,
    ) -> Asked {
        if name.len() > CLIENT_NAME_BYTES_MAX {
            let detail = format!("a client's name has at most {CLIENT_NAME_BYTES_MAX} bytes");
            return Err(no(RefusalCode::BadRequest, detail));
        }
        let known = self.state.clients.get(&client);
        if known.is_none() && self.state.clients.len() >= CLIENTS_MAX {
            let detail = format!("{CLIENTS_MAX} client keys are accepted, as many as may be");
            return Err(no(RefusalCode::BadRequest, detail));
        }
        self.knocks.0.remove(&client);
        if known.is_none_or(|known| known.name != name) {
            let since = known.map_or(step.now.wall, |known| known.since);
            let client = EnrolledClient {
                client,
                name,
                since,
            };
            self.record(step, Record::PutClient(client.clone()));
            self.event(step, actor, What::ClientAccepted(client));
        }
        Ok(Answer::Done)
    }

    /// Accepts a key no more. Where acceptance is required, its running leases are not renewed (L7).
    pub(crate) fn remove_client(
        &mut self,
        step: &mut Step,
        actor: &str,
        key: Fingerprint,
    ) -> Asked {
        let mut clients = self.state.clients.keys();
        let Some(client) = clients.find(|client| client.fingerprint() == key).copied() else {
            let detail = format!(
                "no accepted client key has the fingerprint {key}; `usherd clients` lists them"
            );
            return Err(no(RefusalCode::BadRequest, detail));
        };
        self.record(step, Record::DropClient(client));
        self.event(step, actor, What::ClientRemoved(client));
        if self.policy.enroll.is_some() {
            for id in self.leases_of(client) {
                self.flag(step, actor, id, NOT_ACCEPTED);
            }
        }
        Ok(Answer::Done)
    }

    fn leases_of(&self, client: PublicKey) -> Vec<LeaseId> {
        let all = (client, Nonce([0; 16]))..=(client, Nonce([0xff; 16]));
        self.state.by_nonce.range(all).map(|(_, id)| *id).collect()
    }
}

const NOT_ACCEPTED: &str = "this workstation's key is accepted no more";
