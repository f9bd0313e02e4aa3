//! The names of `flexlm_exporter`, for dashboards that are there. Decides what of ours goes by which of them.

use std::collections::{BTreeMap, BTreeSet};

use super::{expiry, page::Page};
use crate::admin::protocol::{LeaseReport, PoolReport};

/// The names that existing dashboards know; `app` is the vendor.
pub(super) fn rendered(pools: &[PoolReport], leases: &[LeaseReport]) -> String {
    let mut page = Page::default();
    let apps: BTreeSet<&str> = pools.iter().map(|it| split(&it.feature).0).collect();
    page.family(
        "flexlm_server_status",
        "gauge",
        "Whether this server answers.",
    );
    for app in apps {
        page.sample("flexlm_server_status", &[("app", app)], 1);
    }
    let mut issued: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for pool in pools {
        let (all, used) = issued.entry(&pool.feature).or_default();
        *all += u64::from(pool.seats.unwrap_or(0));
        *used += u64::from(pool.out);
    }
    for (name, help, of) in FEATURES {
        page.family(name, "gauge", help);
        for (feature, counts) in &issued {
            let (app, feature) = split(feature);
            page.sample(name, &[("app", app), ("name", feature)], of(*counts));
        }
    }
    let mut users: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for lease in leases {
        *users.entry((&lease.feature, &lease.user)).or_default() += u64::from(lease.seats);
    }
    page.family(
        "flexlm_feature_used_users",
        "gauge",
        "Seats of leases by user, shared ones for each.",
    );
    for ((feature, user), seats) in users {
        let (app, feature) = split(feature);
        let labels = [("app", app), ("name", feature), ("user", user)];
        page.sample("flexlm_feature_used_users", &labels, seats);
    }
    page.family(
        "flexlm_feature_expiration_seconds",
        "gauge",
        "When a license ends, in Unix time.",
    );
    for pool in pools {
        let (app, feature) = split(&pool.feature);
        let labels = [
            ("app", app),
            ("name", feature),
            ("index", pool.license.as_str()),
        ];
        page.sample("flexlm_feature_expiration_seconds", &labels, expiry(pool));
    }
    page.text()
}

fn split(feature: &str) -> (&str, &str) {
    feature.split_once('/').unwrap_or(("", feature))
}

/// Seats in all, and seats out.
type Seats = (u64, u64);
type OfSeats = fn(Seats) -> u64;

const FEATURES: [(&str, &str, OfSeats); 2] = [
    (
        "flexlm_feature_issued",
        "Seats of a feature; 0 where unlimited.",
        |it| it.0,
    ),
    ("flexlm_feature_used", "Seats out.", |it| it.1),
];
