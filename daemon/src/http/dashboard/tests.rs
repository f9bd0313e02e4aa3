//! What a page looks like to who attacks it, without a daemon.

use usher_protocol::{
    ids::Fingerprint,
    time::{DurationMs, WallMs},
    wire::Environment,
};

use super::*;
use crate::admin::protocol::LeaseReport;

/// Any lease.
pub(super) fn lease_report() -> LeaseReport {
    LeaseReport {
        id: "1-1".parse().unwrap(),
        feature: "acme/solver".to_owned(),
        license: "acme-0001".parse().unwrap(),
        environment: Environment::Live,
        seats: 1,
        client: Fingerprint([0; 32]),
        user: "anna".to_owned(),
        host: "ws1".to_owned(),
        display: None,
        process: 1,
        since: WallMs(1_795_330_800_000),
        free_in_ms: DurationMs::minutes(3),
        note: None,
        borrowed_until: None,
        sharing: 1,
    }
}

#[test]
fn every_page_stands_in_the_documentation() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/dashboard.md");
    let text = std::fs::read_to_string(path).unwrap();
    for route in &ROUTES {
        let path = format!("`{}`", route.path);
        assert!(
            text.contains(&path),
            "docs/dashboard.md does not name {path}"
        );
    }
}

#[test]
fn only_what_says_nothing_of_the_site_is_open() {
    let open: Vec<_> = ROUTES
        .iter()
        .filter(|it| it.gate == Gate::Open)
        .map(|it| it.path)
        .collect();
    assert_eq!(
        open,
        [
            "/",
            SIGN_IN,
            "/dashboard/sign-out",
            "/dashboard/assets/{name}"
        ]
    );
}
