//! Golden bytes of every record and event, and that each reads back (S5).

use std::fmt::Write as _;

use proptest::prelude::*;
use usher_engine::record::{
    Borrowed, EnrolledClient, LeaseRecord, Mark, Retirement, Suspension, TextPiece, Trouble,
};
use usher_protocol::{
    documents::license::Grouping,
    ids::{Nonce, PublicKey},
    refusal::RefusalCode,
    time::{DurationMs, WallMs},
    wire::Holder,
};

use super::*;
use crate::testing;

/// No field is as it usually is, so that each shows in the bytes.
fn lease() -> LeaseRecord {
    LeaseRecord {
        id: LeaseId {
            epoch: Epoch(0x6921_0abc),
            commit: Commit(17),
        },
        root: Fingerprint([0xaa; 32]),
        client: PublicKey::from(&testing::client_key()),
        nonce: Nonce([0xbb; 16]),
        holder: testing::checkout(1).holder,
        address: Some(std::net::Ipv4Addr::new(10, 1, 2, 3).into()),
        evicted: Some("maintenance".to_owned()),
        forked: true,
        grouping: Grouping::User,
        share_since: LeaseId {
            epoch: Epoch(0x6921_0abc),
            commit: Commit(12),
        },
        overdraft_seats: 1,
        waited_ms: DurationMs::seconds(90),
        ..testing::lease()
    }
}

fn borrowed() -> LeaseRecord {
    LeaseRecord {
        borrowed: Some(Borrowed {
            until: WallMs(1_795_953_600_000),
            returned: true,
            written_off: true,
        }),
        evicted: None,
        ..lease()
    }
}

fn client() -> EnrolledClient {
    EnrolledClient {
        client: PublicKey::from(&testing::client_key()),
        name: "lab-7".to_owned(),
        since: WallMs(1_795_348_800_000),
    }
}

fn suspension(key: SuspensionKey) -> Suspension {
    Suspension {
        key,
        reason: "audit".to_owned(),
        since: WallMs(1_795_348_800_000),
    }
}

fn suspended_license() -> SuspensionKey {
    SuspensionKey::License("acme-0001".parse().unwrap())
}

fn suspended_feature() -> SuspensionKey {
    SuspensionKey::Feature(Fingerprint([0xaa; 32]), "solver".parse().unwrap())
}

fn records() -> Vec<(&'static str, Record)> {
    let root = Fingerprint([0xaa; 32]);
    let id: LicenseId = "acme-0001".parse().unwrap();
    let list = Signed::new(
        usher_protocol::envelope::DocumentType::REVOCATION,
        b"list".to_vec(),
        &testing::root_key(),
    );
    vec![
        ("lease", Record::PutLease(Box::new(lease()))),
        ("lease dropped", Record::DropLease(lease().id)),
        (
            "license",
            Record::PutLicense(testing::license(10, DurationMs::minutes(10))),
        ),
        ("license dropped", Record::DropLicense(id.clone())),
        (
            "serial",
            Record::PutSerial(LicenseSerial {
                root,
                license: id,
                serial: 3,
            }),
        ),
        (
            "root",
            Record::PutRoot(PinnedRoot {
                vendor: "acme".parse().unwrap(),
                root: PublicKey::from(&testing::root_key()),
            }),
        ),
        ("revocations", Record::PutRevocations(root, list)),
        (
            "mark",
            Record::PutMark(Mark {
                license_time: WallMs(1_795_348_800_000),
                issued_newest: WallMs(1_790_000_000_000),
            }),
        ),
        (
            "trouble",
            Record::PutTrouble(Trouble {
                rolled_back: true,
                clone: Some("10.0.0.2:27443".to_owned()),
                hold_since: Some(Epoch(7)),
                lost_before: Epoch(8),
                borrows_lost: Some(WallMs(1_800_000_000_000)),
            }),
        ),
        ("borrowed lease", Record::PutLease(Box::new(borrowed()))),
        ("client", Record::PutClient(client())),
        ("client dropped", Record::DropClient(client().client)),
        (
            "suspended license",
            Record::PutSuspension(suspension(suspended_license())),
        ),
        (
            "suspended license dropped",
            Record::DropSuspension(suspended_license()),
        ),
        (
            "suspended feature",
            Record::PutSuspension(suspension(suspended_feature())),
        ),
        (
            "suspended feature dropped",
            Record::DropSuspension(suspended_feature()),
        ),
    ]
}

fn events() -> Vec<What> {
    let id = lease().id;
    let holder: Holder = lease().holder;
    vec![
        What::Started("1.0.0".to_owned()),
        What::Granted(Box::new(lease())),
        What::Changed(Box::new(lease())),
        What::Released(id),
        What::Reclaimed(id),
        What::Adopted(Box::new(lease())),
        What::Denied {
            root: Fingerprint([0xaa; 32]),
            feature: "solver".parse().unwrap(),
            holder: holder.clone(),
            code: RefusalCode::NoSeat,
            count: 3,
        },
        What::LicenseInstalled("acme-0001".parse().unwrap(), 1),
        What::LicenseRemoved("acme-0001".parse().unwrap(), 1),
        What::RootPinned("acme".parse().unwrap(), Fingerprint([0xaa; 32])),
        What::Trouble("store-rolled-back".to_owned()),
        What::Clock("stepped".to_owned()),
        What::Granted(Box::new(borrowed())),
        What::GaveUp {
            root: Fingerprint([0xaa; 32]),
            feature: "solver".parse().unwrap(),
            holder,
            waited_ms: DurationMs::seconds(90),
        },
        What::Suspended(suspension(suspended_license())),
        What::Suspended(suspension(suspended_feature())),
        What::Resumed(suspended_feature()),
        What::ClientAccepted(client()),
        What::ClientRemoved(client().client),
        What::Policy("2 rules".to_owned()),
        What::LicenseText(TextPiece {
            license: "acme-0001".parse().unwrap(),
            piece: 1,
            pieces: 2,
            text: "[license]".to_owned(),
        }),
        What::LogRetired(Retirement {
            through: 9,
            hash: [1; 32],
            base: 12,
            base_digest: [2; 32],
        }),
    ]
}

fn event(what: What) -> Event {
    Event {
        at: WallMs(1_795_348_800_000),
        license_time: WallMs(1_795_348_800_001),
        epoch: Epoch(7),
        actor: "root(0)".to_owned(),
        what,
    }
}

#[test]
fn the_bytes_of_every_record_are_frozen() {
    let mut golden = String::new();
    for (name, record) in records() {
        let journal::Write { key, value } = write(&record).unwrap();
        // A license is its text; the protocol's own tests freeze that.
        let value = match (&record, value) {
            (Record::PutLicense(_), Some(value)) => format!("{} text", hex(&value[..2])),
            (_, Some(value)) => hex(&value),
            (_, None) => "removed".to_owned(),
        };
        writeln!(golden, "{name}\n  {}\n  {value}", hex(&key)).unwrap();
    }
    insta::assert_snapshot!(golden);
}

#[test]
fn the_bytes_of_every_event_are_frozen() {
    let mut golden = String::new();
    for what in events() {
        let bytes = event_body(&event(what)).unwrap().body;
        writeln!(golden, "{}", hex(&bytes)).unwrap();
    }
    insta::assert_snapshot!(golden);
}

#[test]
fn every_record_reads_back_from_its_own_key_alone() {
    for (name, record) in records() {
        let journal::Write {
            key,
            value: Some(value),
        } = write(&record).unwrap()
        else {
            continue;
        };
        assert_eq!(read(&key, &value).unwrap(), record, "{name}");
        let mut elsewhere = key.clone();
        elsewhere.push(b'x');
        assert!(
            read(&elsewhere, &value).is_err(),
            "{name} under another key"
        );
        let mut newer = value.clone();
        newer[0] += 1;
        assert!(read(&key, &newer).is_err(), "{name} of a newer version");
        let mut longer = value;
        longer.push(b'\n');
        assert!(
            read(&key, &longer).is_err(),
            "{name} with something after it"
        );
    }
}

#[test]
fn every_event_reads_back() {
    for what in events() {
        let event = event(what);
        let bytes = event_body(&event).unwrap().body;
        assert_eq!(read_event(&bytes).unwrap(), event);
        assert!(read_event(&bytes[..bytes.len() - 1]).is_err());
    }
}

#[test]
fn a_license_edited_in_the_store_is_not_genuine() {
    let license = testing::license(10, DurationMs::minutes(10));
    let journal::Write {
        key,
        value: Some(value),
    } = write(&Record::PutLicense(license)).unwrap()
    else {
        panic!("no value");
    };
    let text = String::from_utf8(value[2..].to_vec()).unwrap();
    let edited = text.replacen("seats = 10", "seats = 99", 1);
    assert_ne!(text, edited);
    let mut value = value[..2].to_vec();
    value.extend_from_slice(edited.as_bytes());
    let error = read(&key, &value).unwrap_err();
    assert!(matches!(error, RecordError::License { .. }), "{error}");
}

#[test]
fn replaying_the_events_of_a_lease_gives_its_state() {
    let granted = replay(&event(What::Granted(Box::new(lease())))).unwrap();
    assert_eq!(
        granted,
        Some(write(&Record::PutLease(Box::new(lease()))).unwrap())
    );
    let reclaimed = replay(&event(What::Reclaimed(lease().id))).unwrap();
    assert_eq!(
        reclaimed,
        Some(write(&Record::DropLease(lease().id)).unwrap())
    );
    assert_eq!(replay(&event(What::Clock("x".to_owned()))).unwrap(), None);
}

/// What an administrator has said since the copy holds after the restore: nobody says it twice.
#[test]
fn replaying_clients_and_suspensions_gives_their_state() {
    let cases = [
        (What::ClientAccepted(client()), Record::PutClient(client())),
        (
            What::ClientRemoved(client().client),
            Record::DropClient(client().client),
        ),
        (
            What::Suspended(suspension(suspended_feature())),
            Record::PutSuspension(suspension(suspended_feature())),
        ),
        (
            What::Resumed(suspended_license()),
            Record::DropSuspension(suspended_license()),
        ),
    ];
    for (what, record) in cases {
        let replayed = replay(&event(what)).unwrap();
        assert_eq!(replayed, Some(write(&record).unwrap()), "{record:?}");
    }
}

/// One of a vendor's features is not its license of that name, nor another vendor's.
#[test]
fn no_two_suspensions_share_a_key() {
    let keys = [
        SuspensionKey::License("solver".parse().unwrap()),
        SuspensionKey::Feature(Fingerprint([0xaa; 32]), "solver".parse().unwrap()),
        SuspensionKey::Feature(Fingerprint([0xab; 32]), "solver".parse().unwrap()),
    ];
    let mut bytes: Vec<_> = keys.iter().map(suspension_key).collect();
    bytes.sort();
    bytes.dedup();
    assert_eq!(bytes.len(), keys.len());
}

/// L12: with the log a restored state has every license as its installation left it, and the license time.
#[test]
fn replaying_a_licenses_text_gives_the_license_its_serial_its_root_and_the_mark() {
    let license = testing::license(10, DurationMs::minutes(10));
    let text = license.text();
    let middle = text.floor_char_boundary(text.len() / 2);
    let piece = |piece, text: &str| {
        event(What::LicenseText(TextPiece {
            license: license.id.clone(),
            piece,
            pieces: 2,
            text: text.to_owned(),
        }))
    };
    let (first, second) = (piece(1, &text[..middle]), piece(2, &text[middle..]));
    let mut live = journal::Live::new();
    let mut log = Replay::default();
    for event in [&first, &second] {
        for write in log.play(event, &live).unwrap().writes {
            live.insert(write.key, write.value.unwrap());
        }
    }
    let live_records: Vec<_> = live
        .iter()
        .map(|(key, value)| read(key, value).unwrap())
        .collect();
    let has = |wanted: &dyn Fn(&Record) -> bool| live_records.iter().any(wanted);
    assert!(has(
        &|it| matches!(it, Record::PutLicense(it) if it.hash() == license.hash())
    ));
    assert!(has(
        &|it| matches!(it, Record::PutSerial(it) if it.serial == license.serial)
    ));
    assert!(has(
        &|it| matches!(it, Record::PutRoot(it) if it.root == license.root())
    ));
    assert!(has(&|it| matches!(it, Record::PutMark(it)
        if it.license_time == second.license_time && it.issued_newest == license.issued)));
    // The end alone is no license, and an edited text none that is believed.
    let mut cut = Replay::default();
    assert!(cut.play(&second, &live).unwrap().license.is_none());
    let mut edited = Replay::default();
    let changed = text[..middle].replacen("10", "11", 1);
    edited.play(&piece(1, &changed), &live).unwrap();
    assert!(changed == text[..middle] || edited.play(&second, &live).is_err());
}

/// L12: a log played on top is no proof that what an earlier trouble lost has come back.
#[test]
fn a_replayed_trouble_holds_seats_again_and_a_clone_stays_found() {
    let replayed = |word: &str| {
        let event = event(What::Trouble(word.to_owned()));
        let write = replay(&event).unwrap().unwrap();
        match read(&write.key, &write.value.unwrap()).unwrap() {
            Record::PutTrouble(trouble) => (trouble, event.epoch),
            other => panic!("{other:?}"),
        }
    };
    let (trouble, epoch) = replayed("held seats are free again");
    assert_eq!(trouble.hold_since, Some(Epoch(epoch.0 + 1)));
    assert_eq!(trouble.clone, None);
    let (trouble, _) = replayed("clone-found: another daemon with this site key answered");
    assert!(trouble.clone.is_some() && trouble.hold_since.is_some());
}

proptest! {
    #[test]
    fn any_lease_reads_back(seats in 1..u32::MAX, since: u64, longest: u64, user in ".{1,40}", forked: bool, epoch: u64, commit: u64) {
        let mut lease = lease();
        lease.id = LeaseId { epoch: Epoch(epoch), commit: Commit(commit) };
        lease.seats = seats;
        lease.since = WallMs(since);
        lease.length_ms_longest = DurationMs(longest);
        lease.holder.user = user;
        lease.forked = forked;
        let record = Record::PutLease(Box::new(lease));
        let write = write(&record).unwrap();
        prop_assert_eq!(read(&write.key, &write.value.unwrap()).unwrap(), record);
    }

    #[test]
    fn no_bytes_make_it_panic(key in prop::collection::vec(any::<u8>(), 0..40), value in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&key, &value);
        let _ = read_event(&value);
    }

    /// The order of keys is the order of leases: pages and scans rely on it.
    #[test]
    fn lease_keys_sort_like_lease_ids(a: (u64, u64), b: (u64, u64)) {
        let id = |(epoch, commit)| LeaseId { epoch: Epoch(epoch), commit: Commit(commit) };
        prop_assert_eq!(lease_key(id(a)).cmp(&lease_key(id(b))), id(a).cmp(&id(b)));
    }
}
