//! Whether all is well: what stops or degrades, each with its next step, and how the daemon runs.

use std::sync::Arc;

use axum::{Extension, extract::State};
use maud::{Markup, html};
use usher_client::clock::Clock;

use super::{
    page::{Frame, Page},
    problem::Problem,
    words,
};
use crate::{
    admin::glance,
    core::Reading,
    http::{figures, server::Shared},
    tokens::Token,
};

/// `GET /dashboard/health`
pub(super) async fn page(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
) -> Result<Page, Problem> {
    let frame = Frame::gather(&shared, token).await?;
    let figures = figures::gather(&shared).await?;
    let sizes = [figures.store_bytes, figures.usage_bytes];
    let content = content(&frame, &figures.counts, sizes);
    Ok(frame.page("Health", "/dashboard/health", &content))
}

fn content(frame: &Frame, counts: &Reading, sizes: [Option<u64>; 2]) -> Markup {
    let status = &frame.status;
    let is_well = glance::is_granting(status, &frame.licenses) && status.degraded.is_empty();
    let idle = frame.licenses.iter();
    let idle = idle.filter_map(|it| Some((&it.id, it.idle_because.as_ref()?)));
    html! {
        h1 { "Health" }
        @if is_well { p.notice.good { strong { "All is well. " } "Seats are granted." } }
        @else if status.stopped.is_empty() && status.degraded.is_empty() {
            p.notice.bad { (words::shown(&glance::verdict(status, &frame.licenses))) }
        }
        @for reason in &status.stopped { p.notice.bad { strong { "Stopped. " } (words::shown(reason)) } }
        @for reason in &status.degraded { p.notice.warn { strong { "Degraded. " } (words::shown(reason)) } }
        @for (license, reason) in idle { p.notice.warn { strong { (license) " lends nothing. " } (words::shown(reason)) } }
        section.card { h2 { "The daemon" } (daemon(frame)) }
        section.card { h2 { "Since its start" } (work(counts, sizes)) }
    }
}

fn daemon(frame: &Frame) -> Markup {
    let status = &frame.status;
    let since = Clock::new().now().wall.since(status.started);
    html! {
        dl.facts {
            dt { "Name" } dd { (words::shown(&status.name)) }
            dt { "Version" } dd { (status.version) }
            dt { "Running since" } dd { (words::moment(status.started)) " (" (since) "), epoch " (status.epoch) }
            dt { "Serves on" } dd { "UDP " (status.listen.join(", ")) }
            dt { "mDNS" } dd { (words::shown(&status.advert)) }
            dt { "Site key" } dd { code.wrap { (status.site) } }
            dt { "License time" } dd { (words::moment(status.license_time)) }
            dt { "Policy" } dd { @if status.policy.is_empty() { "none" } @else { (words::shown(&status.policy)) } }
            dt { "Usage log" } dd { "entry " (status.log.number) }
        }
    }
}

fn work(counts: &Reading, [store, usage]: [Option<u64>; 2]) -> Markup {
    let commits: u64 = counts.commits.iter().map(|(_, count)| count).sum();
    let denied: u64 = counts.denials.values().sum();
    html! {
        dl.facts {
            dt { "Granted" } dd { (counts.grants) }
            dt { "Renewed" } dd { (counts.renewals) }
            dt { "Given back" } dd { (counts.releases) }
            dt { "Ended at their deadline" } dd { (counts.reclaims) }
            dt { "Denied" } dd { (denied) }
            dt { "Durable commits" }
            dd {
                (commits)
                @if let Some(ms) = mean_ms(counts.commits_us, commits) { ", " (ms) " ms on average" }
            }
            dt { "Live state on disk" } dd { (bytes(store)) }
            dt { "Usage log on disk" } dd { (bytes(usage)) }
        }
        p.faint { "More of this, for graphs and alerts: " code { "/metrics" } ". What to do about trouble: " code { "usherd doctor" } "." }
    }
}

fn mean_ms(all_us: u64, count: u64) -> Option<String> {
    let tenths = all_us.checked_div(count)? / 100;
    Some(format!("{}.{}", tenths / 10, tenths % 10))
}

fn bytes(count: Option<u64>) -> String {
    const KIB: u64 = 1024;
    match count {
        None => "not known".to_owned(),
        Some(count) if count < KIB * KIB => format!("{} KiB", count.div_ceil(KIB)),
        Some(count) => format!("{} MiB", count.div_ceil(KIB * KIB)),
    }
}
