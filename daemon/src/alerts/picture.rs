//! Looks at the daemon as an administrator does, every few seconds, and has what is new told. The core is asked one
//! question at a time, as for `usherd status`; nothing waits for what comes of it.

use std::collections::BTreeMap;

use usher_client::clock::Clock;
use usher_engine::api::{AdminAsk, Answer, LicenseView, PoolView, Status};
use usher_protocol::{refusal::RefusalCode, wire::Environment};

use super::{
    detect::{Denied, Ends, Picture, Standing},
    event::{Kind, Sender},
    outbox::SharedOutbox,
};
use crate::{
    admin::{protocol::PoolReport, report},
    core::{CoreHandle, Denial},
    limits,
    serve::ACTOR,
};

/// Looks until dropped. Denials up to the one numbered `seen` are no news.
pub(super) async fn watch(core: CoreHandle, outbox: SharedOutbox, sender: Sender, mut seen: u64) {
    loop {
        if let Some((status, licenses)) = ask(&core).await {
            let (last, denials) = core.meter().denials_since(seen);
            seen = last;
            tell(&picture(status, &licenses, &denials), &outbox, &sender).await;
        }
        tokio::time::sleep(limits::ALERT_LOOK_MS.to_std()).await;
    }
}

async fn tell(picture: &Picture, outbox: &SharedOutbox, sender: &Sender) {
    let before = outbox.remembered();
    let mut remembered = before.clone();
    let found = remembered.look(picture);
    if remembered == before && found.is_empty() {
        return;
    }
    let events = found.iter().filter_map(|it| sender.event(it, picture.now));
    outbox.put(events.collect(), Some(remembered)).await;
}

async fn ask(core: &CoreHandle) -> Option<(Status, Vec<LicenseView>)> {
    let status = match core.ask_admin(ACTOR.to_owned(), AdminAsk::Status).await {
        Answer::Status(status) => *status,
        _ => return None,
    };
    match core.ask_admin(ACTOR.to_owned(), AdminAsk::Licenses).await {
        Answer::Licenses(licenses) => Some((status, licenses)),
        _ => None,
    }
}

fn picture(status: Status, licenses: &[LicenseView], denials: &[Denial]) -> Picture {
    let denied = denied(licenses, denials);
    let mut standing = troubles(&status);
    standing.extend(features(status.pools, &denied));
    Picture {
        now: Clock::new().now().wall,
        license_time: status.license_time,
        standing,
        ends: licenses.iter().flat_map(ends).collect(),
        denied,
    }
}

/// What stops or degrades granting as a whole; the words are the engine's.
fn troubles(status: &Status) -> Vec<Standing> {
    let mut found = Vec::new();
    for text in &status.stopped {
        let name = text.split(':').next().unwrap_or_default();
        if name == RefusalCode::Draining.name() {
            continue;
        }
        let is_clone = name == RefusalCode::CloneFound.name();
        let (kind, subject) = if is_clone {
            (Kind::Clone, "clone")
        } else {
            (Kind::Store, "store")
        };
        found.push(standing(kind, subject.to_owned(), text.clone(), true));
    }
    let clock = status.degraded.iter().filter(|it| it.starts_with("clock:"));
    found.extend(clock.map(|text| standing(Kind::Clock, "clock".to_owned(), text.clone(), true)));
    found
}

/// Seats of all a feature's pools together: who finds one pool full is lent of the next.
fn features(pools: Vec<PoolView>, denied: &[Denied]) -> Vec<Standing> {
    let mut by_feature: BTreeMap<String, Vec<PoolReport>> = BTreeMap::new();
    for pool in pools.into_iter().map(report::pool) {
        let name = subject(&pool.feature, pool.environment);
        by_feature.entry(name).or_default().push(pool);
    }
    let mut found = Vec::new();
    for (name, pools) in by_feature {
        if pools.iter().any(|pool| pool.overcommitted) {
            let text =
                "more seats are out than there are; none is granted until that ends".to_owned();
            found.push(standing(Kind::Overcommit, name.clone(), text, true));
        }
        if pools.iter().all(|pool| pool.free == Some(0)) {
            let seats: u32 = pools.iter().filter_map(|pool| pool.seats).sum();
            let waiting = pools.first().map_or(0, |pool| pool.queued);
            let no_seat = RefusalCode::NoSeat.name();
            let was_denied = denied
                .iter()
                .any(|it| it.feature == name && it.code == no_seat);
            let text = format!("none of {seats} seats is free; {waiting} wait");
            found.push(standing(
                Kind::Exhaustion,
                name,
                text,
                waiting > 0 || was_denied,
            ));
        }
    }
    found
}

fn standing(kind: Kind, subject: String, text: String, begins: bool) -> Standing {
    Standing {
        kind,
        subject,
        text,
        begins,
    }
}

/// Of features that are served: what strangers ask for is their own invention.
fn denied(licenses: &[LicenseView], denials: &[Denial]) -> Vec<Denied> {
    let of = |denial: &Denial| {
        let license = licenses.iter().find(|it| {
            let mut features = it.license.features.iter();
            it.root == denial.root && features.any(|feature| feature.feature == denial.feature)
        })?;
        let name = format!("{}/{}", license.license.vendor, denial.feature);
        Some(Denied {
            feature: subject(&name, license.license.environment),
            code: denial.code.name(),
            count: denial.count,
        })
    };
    denials.iter().filter_map(of).collect()
}

fn subject(feature: &str, environment: Environment) -> String {
    match environment {
        Environment::Live => feature.to_owned(),
        Environment::Test => format!("{feature} (test)"),
    }
}

/// A license ends with each of its features' ends, which may differ.
fn ends(view: &LicenseView) -> Vec<Ends> {
    let features = view.license.features.iter();
    let mut ends: Vec<_> = features.filter_map(|feature| feature.expires).collect();
    ends.sort_unstable();
    ends.dedup();
    let license = view.license.id.to_string();
    let end = |at| Ends {
        license: license.clone(),
        at,
    };
    ends.into_iter().map(end).collect()
}
