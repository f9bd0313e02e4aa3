//! What status says at each kind of glance.

use usher_protocol::{
    ids::Fingerprint,
    time::{DurationMs, WallMs},
};

use super::Glance;
use crate::{
    admin::protocol::{LicenseReport, LogReport, PoolReport, ReservationReport, StatusReport},
    testing::{license_report, pool_report},
};

#[test]
fn without_a_license_it_names_the_next_step() {
    let glance = Glance::new(status(Vec::new()), Vec::new());
    assert!(!glance.granting);
    assert_eq!(glance.verdict(), "no license: usherd request");
}

#[test]
fn a_granting_daemon_shows_its_pools() {
    let unlimited = PoolReport {
        feature: "acme/viewer".to_owned(),
        seats: None,
        free: None,
        expires: None,
        ..pool()
    };
    let glance = Glance::new(status(vec![pool(), unlimited]), vec![license()]);
    assert!(glance.granting);
    insta::assert_snapshot!(shown(&glance));
}

#[test]
fn troubles_are_said_aloud_with_what_ends_them() {
    let over = PoolReport {
        out: 12,
        free: Some(0),
        held: 2,
        overcommitted: true,
        ..pool()
    };
    let ended = PoolReport {
        feature: "acme/mesher".to_owned(),
        expires: Some(WallMs(1_795_305_600_000)),
        ..pool()
    };
    let mut status = status(vec![over, ended]);
    status.stopped = vec!["clone-found: say `usherd clone keep-this`".to_owned()];
    status.degraded = vec!["clock: confirm it with `usherd clock confirm`".to_owned()];
    let idle = LicenseReport {
        idle_because: Some("it is for other hosts: lic02".to_owned()),
        ..license()
    };
    let glance = Glance::new(status, vec![license(), idle]);
    assert!(!glance.granting);
    insta::assert_snapshot!(shown(&glance));
}

/// Free, reserved and used apart: 4 out (1 of them overdraft), 2 offered, 1 lingering, 4 reserved of 10.
#[test]
fn seats_are_told_apart_and_add_up_over_the_pools_of_a_feature() {
    let first = PoolReport {
        out: 4,
        free: Some(4),
        reserved_idle: 5,
        offered: 2,
        lingering: 1,
        borrowed: 2,
        overdraft: 3,
        overdraft_used: 1,
        written_off: 1,
        queued: 6,
        ..pool()
    };
    let second = PoolReport {
        license: "acme-0002".parse().unwrap(),
        reserved_idle: 5,
        queued: 6,
        suspended: Some("audit".to_owned()),
        ..pool()
    };
    let mut status = status(vec![first, second]);
    status.policy = "1 reserve".to_owned();
    status.reservations = vec![ReservationReport {
        feature: "acme/solver".to_owned(),
        who: "night-shift".to_owned(),
        seats: 6,
        used: 1,
        file: "/etc/usher/policy.toml".into(),
        line: 12,
    }];
    insta::assert_snapshot!(shown(&Glance::new(status, vec![license()])));
}

#[test]
fn a_license_that_has_expired_or_idles_grants_nothing() {
    let ended = PoolReport {
        expires: Some(START),
        ..pool()
    };
    assert!(!Glance::new(status(vec![ended]), vec![license()]).granting);
    let idle = LicenseReport {
        idle_because: Some("test licenses are not served".to_owned()),
        ..license()
    };
    let glance = Glance::new(status(vec![pool()]), vec![idle]);
    assert_eq!(glance.verdict(), "no seat is granted: no license lends");
}

/// Without the one line that depends on the zone of whoever looks.
fn shown(glance: &Glance) -> String {
    let text = glance.text(START.plus(DurationMs::minutes(90)));
    let lines = text.lines().filter(|line| !line.contains(", since "));
    lines.collect::<Vec<_>>().join("\n")
}

fn status(pools: Vec<PoolReport>) -> StatusReport {
    StatusReport {
        version: "1.0.0".to_owned(),
        name: "lic01".to_owned(),
        site: "ed25519:AAAA".to_owned(),
        listen: vec!["[::]:27443".to_owned()],
        advert: "advertised as lic01".to_owned(),
        started: START,
        epoch: 5,
        life: "00".repeat(16),
        head: 44,
        connections: 3,
        leases: 3,
        license_time: START,
        pools,
        reservations: Vec::new(),
        policy: String::new(),
        log: LogReport {
            number: 17,
            hash: Fingerprint([0; 32]),
        },
        stopped: Vec::new(),
        degraded: Vec::new(),
    }
}

fn pool() -> PoolReport {
    PoolReport {
        seats: Some(10),
        out: 3,
        free: Some(7),
        expires: Some(WallMs(1_830_297_600_000)),
        ..pool_report("acme/solver")
    }
}

fn license() -> LicenseReport {
    license_report(START)
}

const START: WallMs = WallMs(1_795_348_800_000);
