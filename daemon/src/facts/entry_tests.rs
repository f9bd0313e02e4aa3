//! The words and the JSON of every kind of event, frozen: scripts read them.

use usher_engine::record::{
    Borrowed, EnrolledClient, Event, LeaseRecord, Retirement, Suspension, SuspensionKey, What,
};
use usher_protocol::{
    ids::{Epoch, PublicKey},
    refusal::RefusalCode,
    time::{DurationMs, WallMs},
    wire::Environment,
};

use super::{EntryReport, Vendors};
use crate::{records, testing::lease, usage::Entry};

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
        What::Granted(Box::new(LeaseRecord {
            overdraft_seats: 1,
            waited_ms: DurationMs::seconds(90),
            ..lease()
        })),
        What::Granted(borrowed(false, false)),
        What::Changed(borrowed(true, false)),
        What::Changed(borrowed(false, true)),
    ];
    let events = events.into_iter().chain(administered());
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

fn borrowed(returned: bool, written_off: bool) -> Box<LeaseRecord> {
    Box::new(LeaseRecord {
        borrowed: Some(Borrowed {
            until: WallMs(1_795_953_600_000),
            returned,
            written_off,
        }),
        ..lease()
    })
}

fn administered() -> [What; 8] {
    let suspended = |key| {
        What::Suspended(Suspension {
            key,
            reason: "audit".to_owned(),
            since: WallMs(1_795_348_800_000),
        })
    };
    let feature = || SuspensionKey::Feature(key(1).fingerprint(), "solver".parse().unwrap());
    [
        suspended(SuspensionKey::License("acme-0001".parse().unwrap())),
        suspended(feature()),
        What::Resumed(feature()),
        What::ClientAccepted(EnrolledClient {
            client: key(2),
            name: "lab\u{7}7".to_owned(),
            since: WallMs(1_795_348_800_000),
        }),
        What::ClientRemoved(key(2)),
        What::Policy("3 rules of policy.toml".to_owned()),
        What::GaveUp {
            root: key(1).fingerprint(),
            feature: "solver".parse().unwrap(),
            holder: lease().holder,
            waited_ms: DurationMs::seconds(90),
        },
        What::LogRetired(Retirement {
            through: 9,
            hash: [1; 32],
            base: 12,
            base_digest: [2; 32],
        }),
    ]
}

fn key(seed: u8) -> PublicKey {
    PublicKey::from(&ed25519_dalek::SigningKey::from_bytes(&[seed; 32]))
}
