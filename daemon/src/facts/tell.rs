//! Tells what has just become history, one line a fact (docs/logs.md). Decides which facts there are and how loud each
//! is; where lines go is `log`'s.
//!
//! Must never be waited for: past its pace it only says how many facts are in the usage log alone.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};
use tokio::{sync::oneshot, task::JoinHandle};
use usher_engine::{
    api::{AdminAsk, Answer},
    record::{Event, What},
};
use usher_protocol::{ids::LeaseId, printable::printable};

use super::entry::{LeaseEntry, Vendors, WhatReport};
use crate::{
    core::{CoreHandle, Feed},
    limits,
    serve::ACTOR,
};

/// The lines about what the core does. They end with it.
#[derive(Debug)]
pub struct Facts {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Facts {
    /// Tells from now on.
    pub fn start(core: &CoreHandle) -> Self {
        let feed = core.meter().feed().clone();
        feed.listen();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(tell(core.clone(), feed, stopped));
        Self { stop, task }
    }

    /// The core has ended: tells the rest, as far as it was kept.
    pub async fn end(self) {
        drop(self.stop);
        drop(self.task.await);
    }
}

async fn tell(core: CoreHandle, feed: Feed, mut stopped: oneshot::Receiver<()>) {
    let mut teller = Teller::default();
    teller.name_vendors(&core).await;
    loop {
        tokio::select! {
            (events, missed) = feed.next(limits::FACTS_AT_ONCE_MAX) => {
                // A license may be a new vendor's.
                if events.iter().any(|it| matches!(it.what, What::LicenseInstalled(..))) {
                    teller.name_vendors(&core).await;
                }
                teller.say_all(events, missed);
            }
            _ = &mut stopped => break,
        }
        tokio::select! {
            () = tokio::time::sleep(limits::FACTS_PAUSE_MS.to_std()) => {}
            _ = &mut stopped => break,
        }
    }
    let (events, missed) = feed.take(limits::FACTS_AT_ONCE_MAX);
    let (rest, _) = feed.take(usize::MAX);
    teller.say_all(events, missed + rest.len() as u64);
}

/// What it has to know to say who and what.
#[derive(Debug, Default)]
struct Teller {
    vendors: Vendors,
    /// Leases whose grant was told, the oldest to be forgotten first.
    leases: BTreeMap<LeaseId, Box<LeaseEntry>>,
}

/// One line.
#[derive(Debug)]
struct Fact {
    text: String,
    /// Names and values, as `usherd usage export` has them.
    fields: Map<String, Value>,
    loud: Loud,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loud {
    /// Leases come and go.
    Info,
    /// Somebody was denied a seat, or an administrator did something.
    Notice,
    /// Somebody should look.
    Warning,
}

impl Teller {
    async fn name_vendors(&mut self, core: &CoreHandle) {
        let answer = core.ask_admin(ACTOR.to_owned(), AdminAsk::Licenses).await;
        if let Answer::Licenses(licenses) = answer {
            for it in licenses {
                self.vendors.name(it.root, it.license.vendor.clone());
            }
        }
    }

    fn say_all(&mut self, events: Vec<Event>, missed: u64) {
        for event in events {
            self.fact(event).say();
        }
        if missed > 0 {
            tracing::warn!(
                event = "not-told",
                count = missed,
                "{missed} more facts came faster than they are told here; they are in the usage log: usherd usage show"
            );
        }
    }

    fn fact(&mut self, event: Event) -> Fact {
        let id = lease_of(&event.what);
        let is_over = matches!(event.what, What::Released(_) | What::Reclaimed(_));
        let by_itself = matches!(event.actor.as_str(), "client" | ACTOR);
        let report = self.vendors.what(event.what);
        let known = id
            .filter(|_| is_over)
            .and_then(|id| self.leases.remove(&id));
        let mut text = report.to_string();
        let mut fields = fields(&report);
        if let Some(lease) = known {
            let (verb, _) = text.split_once(' ').unwrap_or((&text, ""));
            text = format!("{verb} {lease}");
            // What it was; the event's own name stays.
            for (name, value) in self::fields(&lease) {
                fields.entry(name).or_insert(value);
            }
        }
        if !by_itself {
            text = format!("{}: {text}", printable(&event.actor));
        }
        fields.insert("actor".to_owned(), event.actor.into());
        let loud = loud(&report, by_itself);
        if let (Some(id), Some(lease)) = (id, report.into_lease()) {
            self.remember(id, lease);
        }
        Fact { text, fields, loud }
    }

    fn remember(&mut self, id: LeaseId, lease: Box<LeaseEntry>) {
        self.leases.insert(id, lease);
        if self.leases.len() > limits::FACTS_LEASES_MAX {
            self.leases.pop_first();
        }
    }
}

impl Fact {
    fn say(self) {
        let text = self.text;
        let fact = Value::Object(self.fields).to_string();
        let fact = fact.as_str();
        match self.loud {
            Loud::Info => tracing::info!(fact, "{text}"),
            Loud::Notice => tracing::info!(fact, notice = true, "{text}"),
            Loud::Warning => tracing::warn!(fact, "{text}"),
        }
    }
}

fn lease_of(what: &What) -> Option<LeaseId> {
    match what {
        What::Granted(lease) | What::Changed(lease) | What::Adopted(lease) => Some(lease.id),
        What::Released(id) | What::Reclaimed(id) => Some(*id),
        _ => None,
    }
}

fn loud(report: &WhatReport, by_itself: bool) -> Loud {
    match report {
        WhatReport::Trouble { .. } | WhatReport::Clock { .. } => Loud::Warning,
        // Two renewed one lease (T6).
        WhatReport::Changed(lease) if lease.is_forked() => Loud::Warning,
        WhatReport::Granted(_)
        | WhatReport::Changed(_)
        | WhatReport::Released { .. }
        | WhatReport::Reclaimed { .. }
        | WhatReport::GaveUp { .. }
            if by_itself =>
        {
            Loud::Info
        }
        _ => Loud::Notice,
    }
}

fn fields(of: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(of) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
#[path = "tell_tests.rs"]
mod tests;
