//! `GET /metrics`: figures in the text format of Prometheus. Decides names and labels, which are all listed in
//! docs/http.md; no secret and no client's word is among them, but users' names where `flexlm_*` is asked for.

mod flexlm;
mod page;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::header,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use usher_protocol::{refusal::RefusalCode, time::WallMs};

use self::page::{Decimal, Page};
use super::{
    failure::Failure,
    figures::{self, Figures},
    server::Shared,
};
use crate::{admin::protocol::PoolReport, core::Reading};

/// What a scrape may say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    /// 1: the names of `flexlm_exporter` as well.
    flexlm: Option<u8>,
}

/// `GET /metrics`
pub(super) async fn metrics(
    State(shared): State<Arc<Shared>>,
    wish: Result<Query<Wish>, QueryRejection>,
) -> Result<Response, Failure> {
    let Query(wish) = wish.map_err(|error| Failure::bad_request(error.body_text()))?;
    let figures = figures::gather(&shared).await?;
    let mut text = rendered(&figures);
    if wish.flexlm == Some(1) || shared.config.flexlm_metrics {
        let leases = figures::leases(&shared).await?;
        text += &flexlm::rendered(&figures.status.pools, &leases);
    }
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

fn rendered(figures: &Figures) -> String {
    let mut page = Page::default();
    of_daemon(&mut page, figures);
    of_pools(&mut page, &figures.status.pools);
    of_core(&mut page, figures);
    page.text()
}

fn of_daemon(page: &mut Page, figures: &Figures) {
    let status = &figures.status;
    page.family("usher_info", "gauge", "Version and name of this daemon.");
    let about = [
        ("version", status.version.as_str()),
        ("server", &status.name),
    ];
    page.sample("usher_info", &about, 1);
    for (name, help, of) in DAEMON {
        page.family(name, "gauge", help);
        page.sample(name, &[], of(figures));
    }
    let help = "Why no seat is granted at all.";
    reasons(page, "usher_stopped", help, &STOPS, &status.stopped);
    let help = "What is not as it should be while seats are granted.";
    reasons(page, "usher_degraded", help, &DEGRADED, &status.degraded);
    let name = "usher_store_bytes";
    page.family(name, "gauge", "Bytes of files: live state and usage log.");
    for (part, bytes) in [
        ("store", figures.store_bytes),
        ("usage", figures.usage_bytes),
    ] {
        if let Some(bytes) = bytes {
            page.sample(name, &[("part", part)], bytes);
        }
    }
}

/// Every reason there is, each 0 or 1: an alert needs no sample that comes and goes.
fn reasons(page: &mut Page, name: &str, help: &str, known: &[&str], said: &[String]) {
    page.family(name, "gauge", help);
    let said: BTreeSet<&str> = said
        .iter()
        .filter_map(|line| line.split(':').next())
        .collect();
    let all: BTreeSet<&str> = known.iter().copied().chain(said.iter().copied()).collect();
    for reason in all {
        let is_so = u8::from(said.contains(reason));
        page.sample(name, &[("reason", reason)], is_so);
    }
}

fn of_pools(page: &mut Page, pools: &[PoolReport]) {
    for (name, help, of) in POOLS {
        page.family(name, "gauge", help);
        for pool in pools {
            if let Some(value) = of(pool) {
                page.sample(name, &labels(pool), value);
            }
        }
    }
    let name = "usher_license_expiry_timestamp_seconds";
    page.family(
        name,
        "gauge",
        "When a pool's license ends; +Inf where it does not.",
    );
    for pool in pools {
        page.sample(name, &labels(pool), expiry(pool));
    }
    // These are the feature's, the same in each of its pools: counted once.
    let by_feature: BTreeMap<&str, &PoolReport> =
        pools.iter().map(|it| (it.feature.as_str(), it)).collect();
    for (name, help, of) in FEATURES {
        page.family(name, "gauge", help);
        for (feature, pool) in &by_feature {
            page.sample(name, &[("feature", feature)], of(pool));
        }
    }
}

fn of_core(page: &mut Page, figures: &Figures) {
    let counts = &figures.counts;
    for (name, help, of) in COUNTERS {
        page.family(name, "counter", help);
        page.sample(name, &[], of(counts));
    }
    let name = "usher_denials_total";
    let help = "Checkouts denied in this life, by refusal; a minute late.";
    page.family(name, "counter", help);
    for (number, count) in &counts.denials {
        let refusal = RefusalCode::from(*number).name();
        page.sample(name, &[("refusal", refusal)], count);
    }
    let name = "usher_journal_commit_seconds";
    page.family(name, "histogram", "How long durable commits took.");
    let mut count = 0;
    for (bound, more) in &counts.commits {
        count += more;
        let le = bound.map_or("+Inf".to_owned(), |us| Decimal(us, 1_000_000).to_string());
        page.sample(&format!("{name}_bucket"), &[("le", &le)], count);
    }
    let sum = Decimal(counts.commits_us, 1_000_000);
    page.sample(&format!("{name}_sum"), &[], sum);
    page.sample(&format!("{name}_count"), &[], count);
}

fn labels(pool: &PoolReport) -> [(&'static str, &str); 3] {
    [
        ("feature", &pool.feature),
        ("license", pool.license.as_str()),
        (
            "environment",
            match pool.environment {
                usher_protocol::wire::Environment::Live => "live",
                usher_protocol::wire::Environment::Test => "test",
            },
        ),
    ]
}

fn expiry(pool: &PoolReport) -> String {
    let seconds = pool.expires.map(|wall| Decimal(wall.0, 1000).to_string());
    seconds.unwrap_or_else(|| "+Inf".to_owned())
}

type OfFigures = fn(&Figures) -> Decimal;

#[rustfmt::skip] // One family, one line.
const DAEMON: [(&str, &str, OfFigures); 7] = [
    ("usher_start_timestamp_seconds", "When this life began.", |it| seconds(it.status.started)),
    ("usher_license_time_timestamp_seconds", "License time, which never goes back.", |it| seconds(it.status.license_time)),
    ("usher_wall_timestamp_seconds", "The wall clock.", |it| seconds(it.wall)),
    ("usher_granting", "Whether seats are granted at all.", |it| whole(it.status.stopped.is_empty())),
    ("usher_connections", "Clients connected.", |it| Decimal(it.status.connections as u64, 1)),
    ("usher_leases", "Live leases.", |it| Decimal(it.status.leases as u64, 1)),
    ("usher_usage_log_entries", "Entries of the usage log.", |it| whole(it.status.log.number)),
];

type OfPool = fn(&PoolReport) -> Option<Decimal>;

#[rustfmt::skip] // One family, one line.
const POOLS: [(&str, &str, OfPool); 11] = [
    ("usher_seats", "Seats of a pool; absent where unlimited.", |it| it.seats.map(whole)),
    ("usher_seats_used", "Seats out.", |it| Some(whole(it.out))),
    ("usher_seats_free", "Seats neither out, offered nor lingering; absent where unlimited.", |it| it.free.map(whole)),
    ("usher_seats_borrowed", "Of the seats out, those borrowed for off-line use.", |it| Some(whole(it.borrowed))),
    ("usher_seats_offered", "Seats offered to waiters.", |it| Some(whole(it.offered))),
    ("usher_seats_lingering", "Seats that linger with their last holders.", |it| Some(whole(it.lingering))),
    ("usher_seats_overdraft", "Seats that may be out beyond the pool.", |it| Some(whole(it.overdraft))),
    ("usher_seats_overdraft_used", "Seats out beyond the pool.", |it| Some(whole(it.overdraft_used))),
    ("usher_leases_held", "Leases held since the restart and not yet heard of.", |it| Some(whole(it.held))),
    ("usher_pool_overcommitted", "Whether more is out than there is.", |it| Some(whole(it.overcommitted))),
    ("usher_pool_suspended", "Whether an administrator lends none of it for now.", |it| Some(whole(it.suspended.is_some()))),
];

type OfFeature = fn(&PoolReport) -> u32;

#[rustfmt::skip] // One family, one line.
const FEATURES: [(&str, &str, OfFeature); 2] = [
    ("usher_seats_reserved_idle", "Free seats of a feature that the policy reserves.", |it| it.reserved_idle),
    ("usher_queue_length", "Who waits for a feature.", |it| it.queued),
];

type OfCounts = fn(&Reading) -> u64;

#[rustfmt::skip] // One family, one line.
const COUNTERS: [(&str, &str, OfCounts); 4] = [
    ("usher_grants_total", "Leases granted in this life.", |it| it.grants),
    ("usher_renewals_total", "Leases extended in this life.", |it| it.renewals),
    ("usher_releases_total", "Leases given back in this life.", |it| it.releases),
    ("usher_reclaims_total", "Leases that ended at their deadline in this life.", |it| it.reclaims),
];

fn seconds(wall: WallMs) -> Decimal {
    Decimal(wall.0, 1000)
}

fn whole(count: impl Into<u64>) -> Decimal {
    Decimal(count.into(), 1)
}

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What may stop all granting, by the refusals' names.
const STOPS: [&str; 6] = [
    "clock-held",
    "clone-found",
    "draining",
    "holding",
    "storage-trouble",
    "store-rolled-back",
];

/// The first words of what may be degraded.
const DEGRADED: [&str; 5] = ["borrows", "clock", "overcommitted", "policy", "reservation"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_there_whether_it_is_so_or_not() {
        let mut page = Page::default();
        let said = ["holding: after a restore".to_owned(), "new: x".to_owned()];
        reasons(
            &mut page,
            "usher_stopped",
            "h",
            &["clone-found", "holding"],
            &said,
        );
        assert!(page.text().ends_with(
            "usher_stopped{reason=\"clone-found\"} 0\nusher_stopped{reason=\"holding\"} 1\nusher_stopped{reason=\"new\"} 1\n"
        ));
    }
}
