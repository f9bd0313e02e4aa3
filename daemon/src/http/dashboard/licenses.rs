//! What is installed and when it ends, the next end first.

use std::sync::Arc;

use axum::{Extension, extract::State};
use maud::{Markup, html};
use usher_protocol::time::{DurationMs, WallMs};

use super::{
    page::{Frame, Page},
    problem::Problem,
    words,
};
use crate::{
    admin::{
        glance,
        protocol::{FeatureReport, LicenseReport},
    },
    http::server::Shared,
    tokens::Token,
};

/// `GET /dashboard/licenses`
pub(super) async fn page(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
) -> Result<Page, Problem> {
    let frame = Frame::gather(&shared, token).await?;
    let now = frame.status.license_time;
    let content = html! {
        h1 { "Licenses" }
        @if frame.licenses.is_empty() {
            section.card { p { "None is installed. On the server: " code { "usherd request" } ", then " code { "usherd license add FILE" } "." } }
        } @else {
            section.card { (ends(&frame.licenses, now)) }
        }
        @for license in frame.licenses.iter().filter(|it| it.idle_because.is_some()) {
            p.notice.warn { strong { (license.id) " lends nothing. " } (words::shown(license.idle_because.as_deref().unwrap_or_default())) }
        }
        p.faint { "Ends are those of license time, which never goes back: it is " (words::moment(now)) "." }
    };
    Ok(frame.page("Licenses", PATH, &content))
}

fn ends(licenses: &[LicenseReport], now: WallMs) -> Markup {
    let features = licenses.iter();
    let mut all: Vec<_> = features
        .flat_map(|license| license.features.iter().map(move |it| (license, it)))
        .collect();
    all.sort_by_key(|(_, feature)| feature.expires.unwrap_or(WallMs(u64::MAX)));
    html! {
        table.cards {
            caption.hidden { "Features of all licenses, the next end first" }
            thead { tr {
                th scope="col" { "Feature" }
                th.number scope="col" { "Seats" }
                th scope="col" { "Starts" }
                th scope="col" { "Ends" }
                th scope="col" { "Left" }
                th scope="col" { "License" }
                th scope="col" { "Customer" }
            } }
            tbody { @for (license, feature) in &all { (row(license, feature, now)) } }
        }
    }
}

fn row(license: &LicenseReport, feature: &FeatureReport, now: WallMs) -> Markup {
    html! {
        tr {
            th scope="row" {
                (words::shown(&license.vendor)) "/" (words::shown(&feature.feature))
                @if let Some(version) = &feature.version { span.faint { " up to " (words::shown(version)) } }
                (words::environment(license.environment))
            }
            td.number data-label="Seats" { (words::seats(feature.seats)) }
            td data-label="Starts" { (words::moment(feature.starts)) }
            td data-label="Ends" { (glance::until(feature.expires)) }
            td data-label="Left" { (left(feature, now)) }
            td data-label="License" { (license.id) span.faint { ", serial " (license.serial) } }
            td data-label="Customer" { (words::shown(&license.customer)) }
        }
    }
}

/// Said in words as well: color alone tells nobody who does not see it.
fn left(feature: &FeatureReport, now: WallMs) -> Markup {
    let Some(end) = feature.expires else {
        return html! { span.faint { "no end" } };
    };
    if end <= now {
        return html! { span.tag.bad { "ended" } };
    }
    let left = end.since(now);
    let days = left.0 / DurationMs::days(1).0;
    html! {
        @match days {
            0..7 => span.tag.bad { (left) " left" },
            7..30 => span.tag.warn { (days) " days left" },
            _ => { (days) " days" }
        }
    }
}

const PATH: &str = "/dashboard/licenses";
