//! What the parsers in use read: their expressions over our text, and the text itself, frozen.

use jiff::tz::TimeZone;
use regex_lite::Regex;
use usher_protocol::{
    ids::{Commit, Epoch, Fingerprint, LeaseId},
    time::{DurationMs, WallMs},
    wire::Environment,
};

use super::{
    Site,
    lmstat::{Part, outage, text},
    nagios::{Limits, Threshold, Verdict, judge, silent},
    schedulers::{elim_line, slurm_add, slurm_update},
};
use crate::{
    admin::protocol::{LeaseReport, LogReport, PoolReport, StatusReport},
    testing::pool_report,
};

/// 2026-11-22T09:12:00Z, a Sunday.
const NOW: WallMs = WallMs(1_795_338_720_000);
/// 2028-01-01T00:00:00Z.
const END: WallMs = WallMs(1_830_297_600_000);

#[test]
fn the_whole_output_is_frozen() {
    insta::assert_snapshot!(told(&Part::All));
}

#[test]
fn the_info_table_is_frozen() {
    insta::assert_snapshot!(told(&Part::Info(None)));
}

#[test]
fn every_line_is_one_that_the_parsers_know() {
    let known: Vec<Regex> = KNOWN.iter().map(|it| Regex::new(it).unwrap()).collect();
    let text = told(&Part::All);
    for line in text.lines().filter(|line| !line.is_empty()) {
        let matches = known.iter().filter(|it| it.is_match(line)).count();
        assert_eq!(matches, 1, "{line:?}");
    }
    let counted = |expression: &str| {
        let lines = text.lines();
        let expression = Regex::new(expression).unwrap();
        lines.filter(|line| expression.is_match(line)).count()
    };
    assert_eq!(counted(FEATURE), 4);
    assert_eq!(counted(USER), 3);
    assert_eq!(counted(VENDOR), 2);
    // Rule 4: the host that is up is the one that was named.
    let (_, host) = found(&text, SERVER);
    assert_eq!(found(&text, UP).0, host);
    // Rule 5: nothing before the features reads as an outage.
    let before = text
        .split("Feature usage info:")
        .next()
        .unwrap()
        .to_lowercase();
    for word in ["cannot", "unable", "refused", "down"] {
        assert!(!before.contains(word), "{before}");
    }
}

#[test]
fn the_seats_of_user_lines_are_told_when_they_are_several() {
    let text = told(&Part::Feature("solver"));
    let users = Regex::new(USER).unwrap();
    let seats: Vec<_> = text
        .lines()
        .filter_map(|line| users.captures(line))
        .map(|it| {
            (
                it[1].to_owned(),
                it.get(9).map_or(1, |it| it.as_str().parse().unwrap()),
            )
        })
        .collect();
    assert_eq!(
        seats,
        [("anna".to_owned(), 1), ("bert_o_hara".to_owned(), 3)]
    );
    assert!(!text.contains("mesher"), "{text}");
}

#[test]
fn flags_choose_what_is_told() {
    let server = told(&Part::Server);
    assert!(server.contains("license server UP") && !server.contains("Users of"));
    assert!(!told(&Part::Active).contains("Users of viewer"));
    let vendor = told(&Part::Vendor("b.c"));
    assert!(
        vendor.contains("Users of b_c_mesh_2d") && !vendor.contains("solver"),
        "{vendor}"
    );
    assert!(!told(&Part::Feature("absent")).contains("Users of"));
}

#[test]
fn a_server_that_grants_nothing_or_is_gone_reads_as_an_outage() {
    let mut status = status();
    status.stopped = vec!["clone-found: another daemon".to_owned()];
    let site = Site::of(&status, Vec::new(), "lic01");
    let text = text(&site, &Part::All, &TimeZone::UTC);
    assert!(text.contains("  acme: DOWN v0.1.0\n"), "{text}");
    let gone = outage("lic01", 27_443);
    assert!(gone.contains("Cannot connect to license server") && !gone.contains(" UP "));
}

#[test]
fn a_host_whose_name_reads_as_an_outage_is_not_shown() {
    let site = Site::of(&status(), Vec::new(), "Downtown7");
    assert_eq!(site.host, "license-server");
    assert_eq!(Site::of(&status(), Vec::new(), "lic 01").host, "lic_01");
}

#[test]
fn a_check_ends_with_the_worst_of_what_it_looked_at() {
    let judged = |words: &[&str], warning: &str, critical: &str| {
        let words: Vec<_> = words.iter().map(|it| (*it).to_owned()).collect();
        judge(&site(), &words, &limits(warning, critical), NOW)
    };
    let (verdict, text) = judged(&["acme/solver"], "80%", "95%");
    assert_eq!(
        text,
        "USHER OK - acme/solver 4 of 10 in use | solver=4;8;9;0;10\n"
    );
    assert_eq!(verdict, Verdict::Ok);
    assert_eq!(judged(&["solver"], "3", "9").0, Verdict::Warning);
    assert_eq!(judged(&["solver"], "1", "3").0, Verdict::Critical);
    // Four of ten are not above four.
    assert_eq!(judged(&["solver"], "4", "9").0, Verdict::Ok);
    assert_eq!(judged(&["absent"], "80%", "95%").0, Verdict::Unknown);
    let (verdict, text) = judged(&[], "80%", "95%");
    assert_eq!(
        text,
        "USHER CRITICAL - acme/mesh.2d 1 of 0 in use; acme/solver 4 of 10 in use; acme/viewer 0 of unlimited in use; b.c/mesh.2d 0 of 5 in use | acme_mesh_2d=1;0;0;0;0 solver=4;8;9;0;10 viewer=0;;;0; b_c_mesh_2d=0;4;4;0;5\n"
    );
    assert_eq!(verdict, Verdict::Critical);
    assert!("often".parse::<Threshold>().is_err());
    assert_eq!(
        silent(Verdict::Critical, "a | b"),
        "USHER CRITICAL - a / b\n"
    );
}

#[test]
fn a_check_warns_of_trouble_and_of_an_end_that_is_near() {
    let soon = Limits {
        expires_within: Some(DurationMs::days(500)),
        ..limits("80%", "95%")
    };
    let words = ["solver".to_owned()];
    let (verdict, text) = judge(&site(), &words, &soon, NOW);
    assert_eq!(verdict, Verdict::Warning);
    assert!(text.contains("ends in 404 days"), "{text}");
    let mut status = status();
    status.degraded = vec!["the clock went back".to_owned()];
    let site = Site::of(&status, Vec::new(), "lic01");
    assert_eq!(
        judge(&site, &words, &limits("80%", "95%"), NOW).0,
        Verdict::Warning
    );
    status.stopped = vec!["storage-trouble".to_owned()];
    let site = Site::of(&status, Vec::new(), "lic01");
    let (verdict, text) = judge(&site, &words, &limits("80%", "95%"), NOW);
    assert_eq!(verdict, Verdict::Critical);
    assert!(
        text.contains("storage-trouble; the clock went back"),
        "{text}"
    );
}

#[test]
fn slurm_is_told_what_is_out() {
    let site = site();
    let solver = site.meant(Some("acme/solver")).next().unwrap();
    assert_eq!(
        slurm_update(solver).line(),
        "sacctmgr -i update resource solver set lastconsumed=4"
    );
    assert_eq!(
        slurm_add(solver, "usher").line(),
        "sacctmgr -i add resource name=solver type=license server=usher servertype=usher count=10 allowed=100"
    );
}

#[test]
fn lsf_is_told_what_is_free_and_nothing_of_what_is_gone() {
    let mut known = Vec::new();
    let line = elim_line(Some(&site()), &mut known);
    assert_eq!(
        line,
        "4 usher_acme_mesh_2d 0 usher_solver 6 usher_viewer 999999 usher_b_c_mesh_2d 5\n"
    );
    let line = elim_line(None, &mut known);
    assert_eq!(
        line,
        "4 usher_acme_mesh_2d 0 usher_solver 0 usher_viewer 0 usher_b_c_mesh_2d 0\n"
    );
    assert_eq!(elim_line(None, &mut Vec::new()), "0\n");
}

fn told(part: &Part<'_>) -> String {
    text(&site(), part, &TimeZone::UTC)
}

fn found(text: &str, expression: &str) -> (String, String) {
    let expression = Regex::new(expression).unwrap();
    let line = text
        .lines()
        .find_map(|line| expression.captures(line))
        .unwrap();
    (line[1].to_owned(), line[2].to_owned())
}

fn limits(warning: &str, critical: &str) -> Limits {
    Limits {
        warning: warning.parse().unwrap(),
        critical: critical.parse().unwrap(),
        expires_within: None,
    }
}

fn site() -> Site {
    let lease = |number, user: &str, seats, feature: &str| LeaseReport {
        id: LeaseId {
            epoch: Epoch(1_795_000_000),
            commit: Commit(number),
        },
        feature: feature.to_owned(),
        license: "acme-0001".parse().unwrap(),
        environment: Environment::Live,
        seats,
        client: Fingerprint([1; 32]),
        user: user.to_owned(),
        host: "ws-1.example".to_owned(),
        display: Some(":0".to_owned()),
        process: 7,
        since: NOW,
        free_in_ms: DurationMs::minutes(10),
        note: None,
        borrowed_until: None,
        sharing: 1,
    };
    let leases = vec![
        lease(101, "anna", 1, "acme/solver"),
        lease(102, "bert o'hara", 3, "acme/solver"),
        LeaseReport {
            display: None,
            ..lease(103, "", 1, "acme/mesh.2d")
        },
        LeaseReport {
            environment: Environment::Test,
            ..lease(104, "tester", 1, "acme/solver")
        },
    ];
    Site::of(&status(), leases, "lic01")
}

fn status() -> StatusReport {
    let pool = |feature, seats, out, expires| PoolReport {
        seats,
        out,
        expires,
        ..pool_report(feature)
    };
    let newer = PoolReport {
        version: Some("2027.1".to_owned()),
        ..pool("acme/solver", Some(8), 4, Some(END))
    };
    StatusReport {
        version: "0.1.0".to_owned(),
        name: "lic01".to_owned(),
        site: "ed25519:x".to_owned(),
        listen: vec!["[::]:27443".to_owned()],
        advert: "advertised".to_owned(),
        started: NOW,
        epoch: 1,
        life: "x".to_owned(),
        head: 1,
        connections: 0,
        leases: 3,
        license_time: NOW,
        pools: vec![
            newer,
            pool("acme/solver", Some(2), 0, Some(END)),
            // Run out: its seats are none.
            pool("acme/mesh.2d", Some(7), 1, Some(WallMs(1_767_225_600_000))),
            pool("acme/viewer", None, 0, None),
            pool("b.c/mesh.2d", Some(5), 0, Some(END)),
            PoolReport {
                environment: Environment::Test,
                ..pool("acme/solver", Some(100), 1, None)
            },
        ],
        reservations: Vec::new(),
        policy: String::new(),
        log: LogReport {
            number: 1,
            hash: Fingerprint([0; 32]),
        },
        stopped: Vec::new(),
        degraded: Vec::new(),
    }
}

const SERVER: &str = r"^License server status: (\d+)@([\w.-]+)$";
const UP: &str = r"^([\w.-]+): license server UP \(MASTER\) v([\d.]+)$";
const VENDOR: &str = r"^\s+(\w+): (?:UP|DOWN) v([\d.]+)$";
const FEATURE: &str = r"^Users of ([A-Za-z0-9_-]+):  \(Total of (\d+) licenses issued;  Total of (\d+) licenses in use\)$";
const DETAIL: &str = r#"^  "([A-Za-z0-9_-]+)" v([\d.]+), vendor: (\w+), expiry: ([\w()\s-]+)$"#;
const USER: &str = r"^    (\S+) ([\w.-]+) (\S+) \(v([\d.]+)\) \(([\w.-]+)/(\d+) (\d+)\), start (\w{3} \d{1,2}/\d{1,2} \d{1,2}:\d\d)(?:, (\d+) licenses)?$";
const KNOWN: [&str; 9] = [
    SERVER,
    UP,
    r"^Vendor daemon status \(on [\w.-]+\):$",
    VENDOR,
    "^Feature usage info:$",
    FEATURE,
    DETAIL,
    "^  floating license$",
    USER,
];
