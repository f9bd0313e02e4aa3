//! Every format of one report, frozen: people, spreadsheets and scripts read them.

use usher_client::clock::utc_rfc3339;

use super::{
    BEGIN, By, DurationMs, HOUR, LeaseRecord, MIN, RefusalCode, Report, Scope, WallMs, What,
    denied, gave_up, granted, id, lease, reckoned, scope,
};
use crate::report::{csv::csv, html::html};

#[test]
fn the_csv_format_is_frozen() {
    insta::assert_snapshot!(csv(&report(By::User)).replace("\r\n", "\n"));
}

#[test]
fn the_json_format_is_frozen() {
    let mut json = serde_json::to_value(report(By::Feature)).unwrap();
    let slices = json["features"][0]["slices"].as_array_mut().unwrap();
    assert_eq!(slices.len(), 96);
    slices.truncate(2);
    insta::assert_snapshot!(serde_json::to_string_pretty(&json).unwrap());
}

#[test]
fn the_html_format_is_frozen() {
    insta::assert_snapshot!(html(&report(By::User), utc_rfc3339));
}

#[test]
fn a_page_needs_nothing_else_and_no_name_becomes_a_part_of_it() {
    let evil = "</th><script>alert(1)</script>\u{1b}[2J\"'&";
    let page = html(
        &reckoned(scope(By::User, 0, HOUR), &[(0, granted(1, evil, 1))]),
        utc_rfc3339,
    );
    assert!(!page.contains("<script"), "{page}");
    assert!(page.contains("&lt;script&gt;") && page.contains("&quot;&#39;&amp;"));
    assert!(!page.contains('\u{1b}'));
    for outside in ["http:", "https:", "src=", "href=", "url(", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("@media print") && page.contains("prefers-color-scheme: dark"));
}

#[test]
fn a_page_of_a_time_in_which_nothing_happened_says_so() {
    let page = html(&reckoned(scope(By::Feature, 0, HOUR), &[]), utc_rfc3339);
    assert!(page.contains("Nothing was asked for in this time."));
    assert!(!page.contains("<svg"));
}

fn report(by: By) -> Report {
    let waited = LeaseRecord {
        waited_ms: DurationMs::minutes(3),
        ..lease(3, "carl", 1)
    };
    let scope = Scope {
        to: WallMs(BEGIN + 24 * HOUR),
        ..scope(by, 0, HOUR)
    };
    reckoned(
        scope,
        &[
            (0, granted(1, "anna", 2)),
            (6 * HOUR, granted(2, "=bert, \"b\"", 1)),
            (9 * HOUR, denied("dora", RefusalCode::NoSeat)),
            (9 * HOUR + MIN, denied("dora", RefusalCode::NotAdmitted)),
            (12 * HOUR, What::Released(id(1))),
            (12 * HOUR, What::Granted(Box::new(waited))),
            (13 * HOUR, gave_up("dora", 20)),
            (18 * HOUR, What::Released(id(2))),
        ],
    )
}
