//! The arithmetic of reports against a brute-force reckoning, and the formats frozen.

mod brute;
mod formats;
mod histories;

use usher_engine::{
    policy::Policy,
    record::{Borrowed, Event, LeaseRecord, What},
};
use usher_protocol::{
    documents::license::Grouping,
    ids::{Commit, Epoch, LeaseId, PublicKey},
    refusal::RefusalCode,
    time::{DurationMs, WallMs},
    wire::Holder,
};

use crate::testing;

use super::{By, Figures, Names, Reckoning, Report, SLICES_MAX, Scope};

const MIN: u64 = 60_000;
const HOUR: u64 = 60 * MIN;
/// 2026-11-01T00:00:00Z.
const BEGIN: u64 = 1_793_491_200_000;

#[test]
fn peak_mean_and_hours_are_those_of_the_seats_in_use() {
    let report = reckoned(
        scope(By::Feature, 0, 4 * HOUR),
        &[
            (0, granted(1, "anna", 2)),
            (HOUR, granted(2, "bert", 1)),
            (2 * HOUR, What::Released(id(1))),
            (3 * HOUR, What::Reclaimed(id(2))),
        ],
    );
    let row = only(&report);
    assert_eq!((row.name.as_str(), row.peak), ("acme/solver", 3));
    assert_eq!((row.hours, row.mean), (6.0, 1.5));
    assert_eq!((row.requests, row.granted, row.denied), (2, 2, 0));
    let hours: Vec<_> = report
        .users
        .iter()
        .map(|it| (it.name.as_str(), it.hours))
        .collect();
    assert_eq!(hours, [("anna", 4.0), ("bert", 2.0)]);
}

#[test]
fn what_was_granted_before_and_ends_after_counts_within_the_time_alone() {
    let report = reckoned(
        scope(By::Feature, 2 * HOUR, 3 * HOUR),
        &[
            (0, granted(1, "anna", 1)),
            (9 * HOUR, What::Released(id(1))),
        ],
    );
    let row = only(&report);
    assert_eq!((row.peak, row.mean, row.hours), (1, 1.0, 1.0));
    assert_eq!((row.requests, row.enough_for_99), (0, None));
}

#[test]
fn leases_that_share_a_seat_use_the_largest_once() {
    let shared = |number, seats| {
        let lease = LeaseRecord {
            share_since: id(1),
            grouping: Grouping::Host,
            ..lease(number, "anna", seats)
        };
        What::Granted(Box::new(lease))
    };
    let report = reckoned(
        scope(By::Feature, 0, 3 * HOUR),
        &[
            (0, shared(1, 1)),
            (0, shared(2, 3)),
            (HOUR, What::Released(id(1))),
            (2 * HOUR, What::Released(id(2))),
        ],
    );
    let row = only(&report);
    assert_eq!((row.peak, row.hours, row.granted), (3, 6.0, 2));
}

#[test]
fn a_denial_whose_seat_was_got_soon_is_none() {
    let report = reckoned(
        scope(By::Feature, 0, 5 * HOUR),
        &[
            (10 * MIN, denied("anna", RefusalCode::NoSeat)),
            (12 * MIN, granted(1, "anna", 1)),
            (20 * MIN, denied("bert", RefusalCode::NoSeat)),
            (40 * MIN, granted(2, "bert", 1)),
            (50 * MIN, denied("carl", RefusalCode::NotAdmitted)),
        ],
    );
    let row = only(&report);
    assert_eq!((row.denied, row.got_later, row.refused), (1, 1, 1));
    assert_eq!((row.requests, row.granted), (3, 2));
    let reasons: Vec<_> = report
        .refusals
        .iter()
        .map(|it| (it.reason, it.count))
        .collect();
    assert_eq!(reasons, [("no-seat", 1), ("not-admitted", 1)]);
}

#[test]
fn waits_are_those_of_granted_requests_and_count_from_when_they_came() {
    let waited = |number: u64, minutes| {
        let lease = LeaseRecord {
            waited_ms: DurationMs::minutes(minutes),
            ..lease(number, "anna", 1)
        };
        What::Granted(Box::new(lease))
    };
    let report = reckoned(
        scope(By::Feature, 0, HOUR),
        &[
            (0, granted(1, "anna", 1)),
            (10 * MIN, What::Released(id(1))),
            (10 * MIN, waited(2, 4)),
            (20 * MIN, What::Released(id(2))),
            (20 * MIN, waited(3, 8)),
            (30 * MIN, gave_up("bert", 5)),
        ],
    );
    let row = only(&report);
    assert_eq!((row.waited, row.gave_up, row.requests), (2, 1, 4));
    assert_eq!(row.wait_ms_mean, Some(DurationMs::minutes(6)));
    assert_eq!(row.wait_ms_max, Some(DurationMs::minutes(8)));
    assert_eq!(row.peak, 1);
    // At 12 min one used and one waited, since 6 min; the third came then.
    assert_eq!(row.enough_for_99, Some(2));
}

#[test]
fn a_row_is_a_user_a_host_or_a_group_and_pseudonyms_hide_the_first_two() {
    let events = [
        (0, granted(1, "Anna", 1)),
        (0, granted(2, "anna", 1)),
        (0, granted(3, "bert", 1)),
    ];
    let rows = |scope| {
        let report = reckoned(scope, &events);
        let rows = report.rows.into_iter();
        rows.map(|it| (it.name, it.peak)).collect::<Vec<_>>()
    };
    let named = |names: &[(&str, u32)]| -> Vec<(String, u32)> {
        names
            .iter()
            .map(|(name, peak)| ((*name).to_owned(), *peak))
            .collect()
    };
    assert_eq!(
        rows(scope(By::User, 0, HOUR)),
        named(&[("anna", 2), ("bert", 1)])
    );
    assert_eq!(rows(scope(By::Host, 0, HOUR)), named(&[("ws1", 3)]));
    let policy =
        "[groups.cfd]\nusers = [\"anna\"]\n[groups.all]\ngroups = [\"cfd\"]\nhosts = [\"ws*\"]\n";
    let grouped = Scope {
        policy: crate::policy::parse("policy.toml".as_ref(), policy).unwrap(),
        ..scope(By::Group, 0, HOUR)
    };
    assert_eq!(rows(grouped), named(&[("all", 3), ("cfd", 2)]));
    assert_eq!(rows(scope(By::Group, 0, HOUR)), named(&[("(no group)", 3)]));
    let hidden = Scope {
        names: Names::hidden_by(vec![7; 32]),
        ..scope(By::User, 0, HOUR)
    };
    let report = reckoned(hidden, &events);
    let all = serde_json::to_string(&report).unwrap();
    assert!(!all.contains("anna") && !all.contains("bert"), "{all}");
    assert_eq!(report.users.len(), 2);
}

#[test]
fn one_feature_alone_is_told_of_when_it_is_named() {
    let mesher = LeaseRecord {
        feature: "mesher".parse().unwrap(),
        ..lease(2, "anna", 1)
    };
    let events = [
        (0, granted(1, "anna", 1)),
        (0, What::Granted(Box::new(mesher))),
    ];
    for name in ["mesher", "acme/mesher"] {
        let one = Scope {
            feature: Some(name.to_owned()),
            ..scope(By::Feature, 0, HOUR)
        };
        assert_eq!(only(&reckoned(one, &events)).name, "acme/mesher");
    }
    assert_eq!(reckoned(scope(By::Feature, 0, HOUR), &events).rows.len(), 2);
}

#[test]
fn l10_a_lease_that_was_written_off_uses_no_seat() {
    let mut gone = lease(1, "anna", 1);
    gone.borrowed = Some(Borrowed {
        until: WallMs(BEGIN + 100 * HOUR),
        returned: false,
        written_off: true,
    });
    let report = reckoned(
        scope(By::Feature, 0, 4 * HOUR),
        &[
            (0, granted(1, "anna", 1)),
            (HOUR, What::Changed(Box::new(gone))),
            (2 * HOUR, What::Reclaimed(id(1))),
        ],
    );
    assert_eq!((only(&report).hours, only(&report).peak), (1.0, 1));
}

#[test]
fn a_lease_that_the_log_tells_of_late_counts_from_then_on_and_is_no_request() {
    let known = What::Changed(Box::new(lease(1, "anna", 2)));
    let report = reckoned(
        scope(By::Feature, 0, 2 * HOUR),
        &[(0, What::Started("1.0.0".to_owned())), (HOUR, known)],
    );
    let row = only(&report);
    assert_eq!((row.hours, row.peak, row.requests), (2.0, 2, 0));
}

#[test]
fn a_clock_that_goes_back_takes_nothing_away() {
    let report = reckoned(
        scope(By::Feature, 0, 4 * HOUR),
        &[
            (2 * HOUR, granted(1, "anna", 1)),
            (HOUR, granted(2, "bert", 1)),
            (3 * HOUR, What::Released(id(1))),
            (3 * HOUR, What::Released(id(2))),
        ],
    );
    assert_eq!((only(&report).hours, only(&report).peak), (2.0, 2));
}

fn scope(by: By, from: u64, to: u64) -> Scope {
    Scope {
        from: Some(WallMs(BEGIN + from)),
        to: WallMs(BEGIN + to),
        by,
        feature: None,
        policy: Policy::default(),
        names: Names::default(),
        slices_max: SLICES_MAX,
    }
}

/// Events by their milliseconds after [`BEGIN`], after one that names the vendor.
fn reckoned(scope: Scope, events: &[(u64, What)]) -> Report {
    let mut reckoning = Reckoning::new(scope);
    let pinned = What::RootPinned("acme".parse().unwrap(), key().fingerprint());
    reckoning.take(&event(0, pinned));
    for (at, what) in events {
        reckoning.take(&event(*at, what.clone()));
    }
    reckoning.end()
}

fn only(report: &Report) -> &Figures {
    let [row] = report.rows.as_slice() else {
        panic!("{:?}", report.rows);
    };
    row
}

fn event(at: u64, what: What) -> Event {
    Event {
        at: WallMs(BEGIN + at),
        license_time: WallMs(BEGIN + at),
        epoch: Epoch(1),
        actor: "client".to_owned(),
        what,
    }
}

fn granted(number: u64, user: &str, seats: u32) -> What {
    What::Granted(Box::new(lease(number, user, seats)))
}

fn denied(user: &str, code: RefusalCode) -> What {
    What::Denied {
        root: key().fingerprint(),
        feature: "solver".parse().unwrap(),
        holder: holder(user),
        code,
        count: 3,
    }
}

fn gave_up(user: &str, minutes: u64) -> What {
    What::GaveUp {
        root: key().fingerprint(),
        feature: "solver".parse().unwrap(),
        holder: holder(user),
        waited_ms: DurationMs::minutes(minutes),
    }
}

fn lease(number: u64, user: &str, seats: u32) -> LeaseRecord {
    LeaseRecord {
        id: id(number),
        root: key().fingerprint(),
        seats,
        version: None,
        client: key(),
        holder: holder(user),
        since: WallMs(BEGIN),
        share_since: id(number),
        ..testing::lease()
    }
}

fn holder(user: &str) -> Holder {
    Holder {
        user: user.to_owned(),
        host: "ws1".to_owned(),
        display: None,
        process: 7,
    }
}

fn id(number: u64) -> LeaseId {
    LeaseId {
        epoch: Epoch(1),
        commit: Commit(number),
    }
}

fn key() -> PublicKey {
    PublicKey::from(&ed25519_dalek::SigningKey::from_bytes(&[1; 32]))
}
