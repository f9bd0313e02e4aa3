//! Taking a lease back: asked once more, with a reason, which the usage log keeps with the token's name.

use std::sync::Arc;

use axum::{
    Extension, Form,
    extract::{Path, State, rejection::FormRejection},
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};
use maud::{Markup, html};
use serde::Deserialize;
use usher_engine::api::LeaseView;
use usher_protocol::{ids::LeaseId, time::DurationMs};

use super::{
    leases,
    page::{Frame, Page},
    problem::Problem,
    words,
};
use crate::{
    admin::protocol::{Answer, Ask},
    http::{api, failure::Failure, ledger, server::Shared},
    tokens::Token,
};

/// `GET /dashboard/leases/{lease}/evict`
pub(super) async fn form(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
    Path(lease): Path<String>,
) -> Result<Page, Problem> {
    let lease = found(&shared, &lease).await?;
    asked(&shared, token, &lease, None, "").await
}

/// What the form sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Evict {
    reason: String,
    /// A length; empty is none.
    cool_down: String,
}

/// `POST /dashboard/leases/{lease}/evict`
pub(super) async fn evict(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
    Path(lease): Path<String>,
    sent: Result<Form<Evict>, FormRejection>,
) -> Result<Response, Problem> {
    let lease = found(&shared, &lease).await?;
    let wrong = |_| Problem::new(StatusCode::BAD_REQUEST, "The form did not come whole.");
    let Form(sent) = sent.map_err(wrong)?;
    let reason = sent.reason.trim();
    if reason.is_empty() {
        let why = "Say why: its holder and the usage log are told.";
        let page = asked(&shared, token, &lease, Some(why), "").await?;
        return Ok((StatusCode::BAD_REQUEST, page).into_response());
    }
    let cool_down_ms = match sent.cool_down.as_str() {
        "" => None,
        text => Some(text.parse::<DurationMs>().map_err(|_| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "The cool-down is no length of time.",
            )
        })?),
    };
    let ask = Ask::Evict {
        lease: lease.id,
        reason: reason.to_owned(),
        cool_down_ms,
    };
    match shared.admin.answer(&api::actor(&token), ask).await {
        Answer::Done => {
            let back = format!("{}?evicted={}", leases::PATH, lease.id);
            Ok(Redirect::to(&back).into_response())
        }
        other => {
            let problem = Problem::from(Failure::of_answer(other));
            let page = asked(&shared, token, &lease, Some(problem.detail()), reason).await?;
            Ok((StatusCode::CONFLICT, page).into_response())
        }
    }
}

async fn found(shared: &Shared, lease: &str) -> Result<LeaseView, Problem> {
    let gone = || Problem::not_found("This lease is over: its seats are free, or with others.");
    let id: LeaseId = lease.parse().map_err(|_| gone())?;
    let found = ledger::lease(&shared.admin.core, id).await?;
    found.ok_or_else(gone)
}

async fn asked(
    shared: &Shared,
    token: Token,
    lease: &LeaseView,
    why: Option<&str>,
    reason: &str,
) -> Result<Page, Problem> {
    let frame = Frame::gather(shared, token).await?;
    Ok(frame.page("Evict", leases::PATH, &content(lease, why, reason)))
}

fn content(lease: &LeaseView, why: Option<&str>, reason: &str) -> Markup {
    html! {
        section.card.narrow {
            h1 { "Take this lease back?" }
            dl.facts {
                dt { "User" } dd { bdi { (words::shown(&lease.user)) } }
                dt { "Host" } dd { bdi { (words::shown(&lease.host)) } }
                dt { "Feature" } dd { (words::shown(&lease.feature)) (words::environment(lease.environment)) }
                dt { "Seats" } dd { (lease.seats) }
                dt { "Since" } dd { (words::moment(lease.since)) }
                dt { "Lease" } dd { code { (lease.id) } }
                @if let Some(note) = &lease.note { dt { "Note" } dd { (words::shown(note)) } }
            }
            p { "It is not renewed any more. Its program is told so and has the seats until the end of the lease, in " (lease.free_in_ms) " at the latest." }
            @if lease.borrowed_until.is_some() {
                p.notice.warn { "It is borrowed for off-line use and runs on until its end: nobody can reach it there." }
            }
            @if let Some(why) = why { p.notice.bad role="alert" { (words::shown(why)) } }
            form method="post" {
                label for="reason" { "Reason, for its holder and the usage log" }
                input #reason name="reason" required maxlength="200" autofocus value=(words::shown(reason));
                label for="cool-down" { "May have the feature again" }
                select #cool-down name="cool-down" {
                    option value="" { "at once" }
                    @for (value, word) in COOL_DOWNS { option value=(value) { "after " (word) } }
                }
                div.actions {
                    button.primary.danger type="submit" { "Evict" }
                    a.button href=(leases::PATH) { "Leave it" }
                }
            }
        }
    }
}

const COOL_DOWNS: [(&str, &str); 4] = [
    ("5m", "5 minutes"),
    ("15m", "15 minutes"),
    ("1h", "an hour"),
    ("8h", "8 hours"),
];
