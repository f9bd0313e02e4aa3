//! The first page: every pool with its seats, live.

use std::sync::Arc;

use axum::{Extension, extract::State};
use maud::{Markup, PreEscaped, html};

use super::{
    ROOT,
    glimpse::{self, Glimpse},
    page::{Frame, Page},
    problem::Problem,
    words,
};
use crate::{
    admin::{
        glance,
        protocol::{PoolReport, ReservationReport},
    },
    http::server::Shared,
    tokens::Token,
};

/// `GET /dashboard`
pub(super) async fn page(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
) -> Result<Page, Problem> {
    let frame = Frame::gather(&shared, token).await?;
    let glimpse = frame.glimpse(&shared);
    Ok(frame.page("Pools", ROOT, &content(&frame, &glimpse)))
}

fn content(frame: &Frame, glimpse: &Glimpse) -> Markup {
    let pools = &frame.status.pools;
    html! {
        h1.hidden { "Pools" }
        (troubles(frame))
        (tiles(glimpse))
        @if pools.is_empty() {
            section.card {
                h2 { "No license yet" }
                p { "On the server, " code { "usherd request" } " writes what the vendor needs, and "
                    code { "usherd license add FILE" } " installs what comes back." }
            }
        } @else {
            section.card {
                (table(frame, glimpse))
                p.legend aria-hidden="true" {
                    span.key.used {} "used" span.key.reserved {} "reserved" span.key.kept {} "offered or lingering" span.key.free {} "free"
                }
            }
        }
        @if !frame.status.reservations.is_empty() { (reservations(&frame.status.reservations)) }
        noscript { p.faint { "Without scripts these are the figures of the moment the page came. " a href=(ROOT) { "Show newer ones" } "." } }
    }
}

/// What keeps seats from being granted is said first, wherever one looks for seats.
fn troubles(frame: &Frame) -> Markup {
    let status = &frame.status;
    html! {
        @for reason in &status.stopped {
            p.notice.bad role="alert" { strong { "No seat is granted. " } (words::shown(reason)) }
        }
        @for reason in &status.degraded {
            p.notice.warn { strong { "Not as it should be. " } (words::shown(reason)) }
        }
    }
}

fn tiles(glimpse: &Glimpse) -> Markup {
    let live = |key: &str| html! { span data-live=(key) { (glimpse.text(key)) } };
    html! {
        dl.tiles {
            div { dt { "Seats used" } dd { (live("used")) small { " of " (live("seats")) } } }
            div { dt { "Seats free" } dd { (live("free")) } }
            div { dt { "Leases" } dd { (live("leases")) } }
            div { dt { "Waiting" } dd { (live("waiting")) } }
            div { dt { "Clients connected" } dd { (live("clients")) } }
        }
    }
}

fn table(frame: &Frame, glimpse: &Glimpse) -> Markup {
    let many = frame.licenses.len() > 1;
    html! {
        table.cards data-shape=(glimpse.shape) {
            caption.hidden { "Pools and their seats" }
            thead {
                tr {
                    th scope="col" { "Feature" }
                    th scope="col" { "Use" }
                    @for heading in ["Used", "Free", "Reserved", "Queued", "Seats"] {
                        th.number scope="col" { (heading) }
                    }
                    th scope="col" { "Ends" }
                    th scope="col" { "Note" }
                }
            }
            tbody {
                @for (index, pool) in frame.status.pools.iter().enumerate() {
                    (row(&glimpse::key(index), pool, glimpse, many))
                }
            }
        }
    }
}

fn row(key: &str, pool: &PoolReport, glimpse: &Glimpse, names_license: bool) -> Markup {
    let feature = words::shown(&pool.feature);
    let leases = format!(
        "/dashboard/leases?feature={}",
        words::encoded(&pool.feature)
    );
    let number = |name: &str, label: &str| {
        let key = format!("{key}-{name}");
        html! { td.number data-label=(label) { span data-live=(key) { (glimpse.text(&key)) } } }
    };
    html! {
        tr {
            th scope="row" {
                a href=(leases) { (feature) } (words::environment(pool.environment))
                @if names_license { span.faint.below { (pool.license) } }
            }
            td.bar data-label="Use" { (bar(key, glimpse)) }
            (number("used", "Used"))
            (number("free", "Free"))
            (number("reserved", "Reserved"))
            (number("queued", "Queued"))
            td.number data-label="Seats" { (words::seats(pool.seats)) }
            td data-label="Ends" { (glance::until(pool.expires)) }
            td.note data-label="Note" { span data-live=(format!("{key}-note")) { (glimpse.text(&format!("{key}-note"))) } }
        }
    }
}

/// Its numbers stand beside it, so it is hidden from who listens.
fn bar(key: &str, glimpse: &Glimpse) -> Markup {
    let Some([used, reserved, kept]) = glimpse.bars.get(key) else {
        return html! { span.faint { "no limit" } };
    };
    let rect = |class: &str, x: u32, width: u32| {
        format!("<rect class=\"{class}\" x=\"{x}\" width=\"{width}\" height=\"8\"/>")
    };
    let parts = [
        rect("used", 0, *used),
        rect("kept", *used, *kept),
        rect("reserved", used + kept, *reserved),
    ];
    html! {
        svg.bar data-bar=(key) viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" {
            (PreEscaped(parts.concat()))
        }
    }
}

fn reservations(reservations: &[ReservationReport]) -> Markup {
    html! {
        section.card {
            h2 { "Reservations" }
            table.cards {
                caption.hidden { "Reservations of the policy" }
                thead { tr {
                    th scope="col" { "Feature" }
                    th scope="col" { "For" }
                    th.number scope="col" { "Seats" }
                    th.number scope="col" { "Used" }
                    th scope="col" { "Rule" }
                } }
                tbody {
                    @for it in reservations {
                        tr {
                            th scope="row" { (words::shown(&it.feature)) }
                            td data-label="For" { (words::shown(&it.who)) }
                            td.number data-label="Seats" { (it.seats) }
                            td.number data-label="Used" { (it.used) }
                            td data-label="Rule" { code { (it.file.display()) ":" (it.line) } }
                        }
                    }
                }
            }
        }
    }
}
