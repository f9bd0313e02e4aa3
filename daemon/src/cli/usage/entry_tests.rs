//! The words and the JSON of every kind of event, frozen: scripts read them.

use usher_engine::record::{Event, LeaseRecord, What};
use usher_protocol::{
    ids::{Commit, Epoch, LeaseId, Nonce, PublicKey},
    refusal::RefusalCode,
    time::{DurationMs, WallMs},
    wire::{Environment, Holder},
};

use super::{EntryReport, Vendors};
use crate::{records, usage::Entry};

#[test]
fn every_event_has_its_line() {
    let lines: Vec<_> = all().iter().map(|entry| entry.what.to_string()).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn every_event_has_its_json() {
    let lines: Vec<_> = all()
        .iter()
        .map(|entry| serde_json::to_string(entry).unwrap())
        .collect();
    assert!(lines.iter().all(|line| !line.contains("nonce")));
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_vendor_that_the_log_has_not_named_is_its_root() {
    let entry = Vendors::default().report(&entry(1, What::Granted(Box::new(lease()))));
    let line = entry.unwrap().what.to_string();
    assert!(
        line.contains(&format!("{}/solver", key(1).fingerprint().short())),
        "{line}"
    );
}

fn all() -> Vec<EntryReport> {
    let pinned = What::RootPinned("acme".parse().unwrap(), key(1).fingerprint());
    let id = lease().id;
    let evicted = LeaseRecord {
        evicted: Some("maintenance".to_owned()),
        ..lease()
    };
    let forked = LeaseRecord {
        forked: true,
        ..lease()
    };
    let events = [
        pinned,
        What::Started("1.0.0".to_owned()),
        What::LicenseInstalled("acme-0001".parse().unwrap(), 3),
        What::Granted(Box::new(lease())),
        What::Changed(Box::new(lease())),
        What::Changed(Box::new(evicted)),
        What::Changed(Box::new(forked)),
        What::Released(id),
        What::Reclaimed(id),
        What::Adopted(Box::new(LeaseRecord {
            environment: Environment::Test,
            seats: 1,
            ..lease()
        })),
        What::Denied {
            root: key(1).fingerprint(),
            feature: "solver".parse().unwrap(),
            holder: lease().holder,
            code: RefusalCode::NoSeat,
            count: 12,
        },
        What::LicenseRemoved("acme-0001".parse().unwrap(), 3),
        What::Trouble("clone-found: another daemon".to_owned()),
        What::Clock("the wall clock went back 10m".to_owned()),
    ];
    let mut vendors = Vendors::default();
    let numbered = (1..).zip(events);
    let reports = numbered.map(|(number, what)| vendors.report(&entry(number, what)).unwrap());
    reports.collect()
}

fn entry(number: u64, what: What) -> Entry {
    let event = Event {
        at: WallMs(1_795_348_800_000),
        license_time: WallMs(1_795_348_800_000),
        epoch: Epoch(5),
        actor: "anna(1000)".to_owned(),
        what,
    };
    Entry {
        number,
        epoch: 5,
        head: 40 + number,
        body: records::event_body(&event).unwrap().body,
    }
}

fn lease() -> LeaseRecord {
    LeaseRecord {
        waited_ms: DurationMs::ZERO,
        borrowed: None,
        grouping: usher_protocol::documents::license::Grouping::Process,
        overdraft_seats: 0,
        id: LeaseId {
            epoch: Epoch(5),
            commit: Commit(44),
        },
        root: key(1).fingerprint(),
        license: "acme-0001".parse().unwrap(),
        environment: Environment::Live,
        feature: "solver".parse().unwrap(),
        seats: 2,
        version: Some("2027.1".parse().unwrap()),
        length_ms_wished: None,
        client: key(2),
        nonce: Nonce([7; 16]),
        holder: Holder {
            user: "anna".to_owned(),
            host: "ws1".to_owned(),
            display: Some(":0".to_owned()),
            process: 4711,
        },
        since: WallMs(1_795_348_800_000),
        length_ms_longest: DurationMs::minutes(10),
        evicted: None,
        forked: false,
    }
}

fn key(seed: u8) -> PublicKey {
    PublicKey::from(&ed25519_dalek::SigningKey::from_bytes(&[seed; 32]))
}
