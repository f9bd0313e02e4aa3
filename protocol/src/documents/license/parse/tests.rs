//! What a license's text may say, and how a fault in it is shown.

use super::*;
use crate::limits::FEATURES_PER_LICENSE_MAX;

fn text(environment: &str, feature: &str) -> String {
    format!(
        r#"format = 1
id = "acme-0042"
serial = 3
vendor = "acme"
customer = "Example Works"
customer-id = "example-works"
environment = "{environment}"
issued = 2026-11-01
site = "ed25519:7UkoxijRwsbq6QM4kFmVYSlZJzpcY/k2NsFGFKyHN9E="

[[feature]]
name = "solver"
{feature}
"#
    )
}

fn live(feature: &str) -> Result<Feature, TextError> {
    License::parse(&text("live", feature)).map(|mut license| license.features.remove(0))
}

fn fault(feature: &str) -> String {
    live(feature).unwrap_err().to_string()
}

#[test]
fn what_is_not_said_is_the_usual() {
    let feature = live("seats = 10").unwrap();
    assert_eq!(
        feature.starts,
        crate::calendar::day_start(2026, 11, 1).unwrap()
    );
    assert_eq!(feature.expires, None);
    assert_eq!(feature.lease_ms_min, LEASE_MS_MIN);
    assert_eq!(feature.lease_ms_default, LEASE_MS_DEFAULT);
    assert_eq!(feature.lease_ms_max, LEASE_MS_MAX);
    assert_eq!(feature.borrow_ms_max, DurationMs::ZERO);
    assert_eq!(feature.grouping, Grouping::Process);
    assert_eq!(live("seats = \"unlimited\"").unwrap().seats, None);
    // What is said bends what is not.
    let feature = live("seats = 1\nlease-max = \"5m\"").unwrap();
    assert_eq!(feature.lease_ms_default, DurationMs::minutes(5));
    let feature = live("seats = 1\nlease-min = \"1h\"").unwrap();
    assert_eq!(feature.lease_ms_default, DurationMs::hours(1));
}

#[test]
fn dates_end_at_24_00_utc_and_moments_where_they_say() {
    let expires = |written: &str| live(&format!("seats = 1\nexpires = {written}"));
    let end = crate::calendar::day_start(2028, 1, 1).unwrap();
    assert_eq!(expires("2027-12-31").unwrap().expires, Some(end));
    assert_eq!(expires("2028-01-01T00:00:00Z").unwrap().expires, Some(end));
    for wrong in [
        "2027-02-30",
        "2027-12-31T12:00:00",
        "12:00:00",
        "\"2027-12-31\"",
        "2026-10-01",
    ] {
        assert!(expires(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn only_test_licenses_may_be_tiny() {
    // T8
    let tiny = "seats = 1\nlease-min = \"2s\"\nlease-default = \"3s\"\nlease-max = \"10s\"";
    let license = License::parse(&text("test", tiny)).unwrap();
    assert_eq!(license.features[0].lease_ms_min, DurationMs::seconds(2));
    let shortest = "seats = 1\nlease-max = \"2s\"";
    let license = License::parse(&text("test", shortest)).unwrap();
    assert_eq!(license.features[0].lease_ms_min, DurationMs::seconds(2));
    assert!(live(tiny).is_err());
    assert!(live(shortest).is_err());
    assert!(License::parse(&text("test", "seats = 1\nlease-min = \"1s\"")).is_err());
    insta::assert_snapshot!(fault(tiny), @r#"
        line 11: lease lengths from 2s to 10s, and a live license may set 1m to 1d
           |
        11 | [[feature]]
           | ^^^^^^^^^^^
        "#);
}

#[test]
fn absurd_values_are_refused() {
    for wrong in [
        "seats = 0",
        "seats = -1",
        "seats = 1.5",
        "seats = 4294967296",
        "seats = \"lots\"",
        "",
        "seats = 1\nlease-max = \"25h\"",
        "seats = 1\nlease-min = \"2h\"\nlease-max = \"1h\"",
        "seats = 1\nlease-default = \"10\"",
        "seats = 1\nborrow-max = \"367d\"",
        "seats = 1\nborrow-max = \"99999999999999999999d\"",
        "seats = 1\noverdraft = -1",
        "seats = 1\nversion = \"v1\"",
        "seats = 1\nversion = 2027.1",
        "seats = 1\ngrouping = \"team\"",
        "seats = 1\nborrow-max = \"7d\"\nwrite-off = -1",
        "seats = 1\nborrow-max = \"7d\"\nearly-return = \"true\"",
        "seats = 1\nseats = 2",
        "seats = 1\n[[feature]]\nname = \"solver\"\nseats = 1",
        "seats = 1\n[[feature",
    ] {
        assert!(live(wrong).is_err(), "{wrong}");
    }
    let one = |number| format!("[[feature]]\nname = \"f{number}\"\nseats = 1\n");
    let many = (0..FEATURES_PER_LICENSE_MAX)
        .map(one)
        .collect::<Vec<_>>()
        .concat();
    assert!(live(&format!("seats = 1\n{many}")).is_err());
    let none = text("live", "seats = 1")
        .split("[[feature]]")
        .next()
        .unwrap()
        .to_owned();
    assert!(License::parse(&none).is_err());
    assert!(License::parse(&format!("{none}feature = []\n")).is_err());
    for (right, wrong) in [
        ("serial = 3", "serial = 0"),
        ("\"Example Works\"", "\"\""),
        ("\"Example Works\"", "\"a\\nb\""),
        ("\"acme\"", "\"Acme\""),
        (
            "7UkoxijRwsbq6QM4kFmVYSlZJzpcY/k2NsFGFKyHN9E=",
            "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        ),
        ("environment = \"live\"\n", ""),
    ] {
        let text = text("live", "seats = 1").replace(right, wrong);
        assert!(License::parse(&text).is_err(), "{wrong}");
    }
}

#[test]
fn a_share_that_spans_hosts_is_said_twice() {
    let shared = live("seats = 1\ngrouping = \"user\"\nclaimed-user = true").unwrap();
    assert_eq!(
        (shared.grouping, shared.claimed_user),
        (Grouping::User, true)
    );
    insta::assert_snapshot!(fault("seats = 1\ngrouping = \"user\""), @r#"
        line 11: `grouping = "user"` spans hosts and takes the client's word for its user; say `claimed-user = true` too
           |
        11 | [[feature]]
           | ^^^^^^^^^^^
        "#);
    for narrower in ["process", "user-host", "host", "display"] {
        let said = format!("seats = 1\ngrouping = \"{narrower}\"");
        assert!(live(&said).is_ok(), "{narrower}");
        assert!(
            live(&format!("{said}\nclaimed-user = true")).is_err(),
            "{narrower}"
        );
    }
    insta::assert_snapshot!(fault("seats = 1\nclaimed-user = true"), @r#"
        line 11: `claimed-user` is for `grouping = "user"` alone
           |
        11 | [[feature]]
           | ^^^^^^^^^^^
        "#);
}

#[test]
fn l10_what_is_said_of_borrows_needs_borrows() {
    let said = "seats = 1\nborrow-max = \"7d\"\nearly-return = true\nwrite-off = 2";
    let feature = live(said).unwrap();
    assert!(feature.early_return);
    assert_eq!(feature.write_off, 2);
    assert!(live("seats = 1\nearly-return = false\nwrite-off = 0").is_ok());
    assert!(live("seats = 1\nearly-return = true").is_err());
    insta::assert_snapshot!(fault("seats = 1\nwrite-off = 2"), @"
        line 11: `early-return` and `write-off` are about borrows; say `borrow-max` too
           |
        11 | [[feature]]
           | ^^^^^^^^^^^
        ");
}

#[test]
fn what_this_build_does_not_know_needs_a_newer_one() {
    for unknown in ["seats = 1\ncolour = 1", "seats = 1\ngrouping = \"team\""] {
        assert!(live(unknown).unwrap_err().needs_newer, "{unknown}");
    }
    assert!(!live("seats = 0").unwrap_err().needs_newer);
    let newer = text("live", "seats = []").replace("format = 1", "format = 2");
    let error = License::parse(&newer).unwrap_err();
    assert!(error.needs_newer);
    assert_eq!(error.line, 1);
}

#[test]
fn faults_are_shown_with_line_and_caret() {
    insta::assert_snapshot!(fault("seats = 10\ncolour = 1"), @r#"
        line 14: unknown field `colour`, expected one of `name`, `version`, `seats`, `starts`, `expires`, `lease-min`, `lease-default`, `lease-max`, `borrow-max`, `overdraft`, `grouping`, `claimed-user`, `early-return`, `write-off`
           |
        14 | colour = 1
           | ^^^^^^
        "#);
    insta::assert_snapshot!(fault("seats = \"lots\""), @r#"
        line 13: invalid value: string "lots", expected a number of seats from 1 to 4294967295 or "unlimited"
           |
        13 | seats = "lots"
           |         ^^^^^^
        "#);
    insta::assert_snapshot!(fault("seats = 1\nexpires = \"2027-12-31\""), @r#"
        line 14: invalid type: string "2027-12-31", expected a TOML datetime
           |
        14 | expires = "2027-12-31"
           |           ^^^^^^^^^^^^
        "#);
    insta::assert_snapshot!(fault("seats = 1\nlease-max = \"ten\""), @r#"
        line 14: not a length of time: expected numbers with the units d, h, m, s, ms, the largest first, like `10m` or `1h30m`
           |
        14 | lease-max = "ten"
           |             ^^^^^
        "#);
    insta::assert_snapshot!(fault("seats 10"), @"
        line 13: key with no value, expected `=`
           |
        13 | seats 10
           |       ^
        ");
}
