//! Verbs whose words must be looked up before the engine can be asked. Decides nothing: `resolve.rs` does.

use usher_engine::api::{self, AdminAsk};
use usher_protocol::ids::PublicKey;

use super::{AdminParts, refused};
use crate::admin::{
    protocol::{Answer, Ask},
    resolve,
};

impl AdminParts {
    /// A dry run: the key is the only thing in it that has to be looked up.
    pub(super) async fn explain(&self, actor: &str, ask: Ask) -> Answer {
        let Ask::Explain {
            feature,
            environment,
            seats,
            version,
            user,
            host,
            client,
            address,
            borrow_ms,
        } = ask
        else {
            return Answer::failed("this usherd does not know that verb");
        };
        let client = match client {
            Some(word) => match self.key_of(actor, &word).await {
                Ok(key) => Some(key),
                Err(answer) => return answer,
            },
            None => None,
        };
        let question = api::Question {
            feature,
            environment,
            seats,
            version,
            user,
            host,
            client,
            address: address.map(|address| address.to_canonical()),
            borrow_ms,
        };
        self.ask(actor, AdminAsk::Explain(question)).await
    }

    /// Suspends for a reason, resumes without one.
    pub(super) async fn suspend(&self, actor: &str, what: &str, reason: Option<String>) -> Answer {
        let asked = self.core.ask_admin(actor.to_owned(), AdminAsk::Licenses);
        let licenses = match asked.await {
            api::Answer::Licenses(licenses) => licenses,
            api::Answer::Refused(refusal) => return refused(*refusal),
            _ => Vec::new(),
        };
        let (key, what) = match resolve::suspension(what, &licenses) {
            Ok(found) => found,
            Err(message) => return Answer::failed(message),
        };
        let ask = match reason {
            Some(reason) => AdminAsk::Suspend(key, reason),
            None => AdminAsk::Resume(key),
        };
        match self.ask(actor, ask).await {
            Answer::Done => Answer::Suspension { what },
            other => other,
        }
    }

    /// Accepts under a name, removes without one.
    pub(super) async fn client(&self, actor: &str, word: &str, name: Option<String>) -> Answer {
        let key = match self.key_of(actor, word).await {
            Ok(key) => key,
            Err(answer) => return answer,
        };
        let client = key.fingerprint();
        let ask = match name {
            Some(name) => AdminAsk::AcceptClient(key, name),
            None => AdminAsk::RemoveClient(client),
        };
        match self.ask(actor, ask).await {
            Answer::Done => Answer::Client { client },
            other => other,
        }
    }

    async fn key_of(&self, actor: &str, word: &str) -> Result<PublicKey, Answer> {
        let asked = self.core.ask_admin(actor.to_owned(), AdminAsk::Clients);
        let known = match asked.await {
            api::Answer::Clients(known) => known,
            api::Answer::Refused(refusal) => return Err(refused(*refusal)),
            _ => Vec::new(),
        };
        resolve::client(word, &known).map_err(Answer::failed)
    }
}
