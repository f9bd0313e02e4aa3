//! Who waits for what, first in front.

use std::sync::Arc;

use axum::{Extension, extract::State};
use maud::{Markup, html};

use super::{
    page::{Frame, Page},
    problem::Problem,
    words,
};
use crate::{
    admin::protocol::{Answer, Ask, WaiterReport},
    http::{api, failure::Failure, server::Shared},
    tokens::Token,
};

/// `GET /dashboard/queue`
pub(super) async fn page(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
) -> Result<Page, Problem> {
    let frame = Frame::gather(&shared, token).await?;
    let mark = frame.mark(&shared, "queue");
    let waiters = match shared
        .admin
        .answer(&api::actor(&frame.token), Ask::Queue)
        .await
    {
        Answer::Queue(waiters) => waiters,
        other => return Err(Failure::of_answer(other).into()),
    };
    Ok(frame.page("Queue", PATH, &content(&waiters, &mark)))
}

fn content(waiters: &[WaiterReport], mark: &str) -> Markup {
    html! {
        h1 { "Queue" }
        p.faint {
            @match waiters.len() {
                0 => "Nobody waits.",
                1 => "One waits.",
                count if count > ROWS_MAX => { (count) " wait; these are the first " (ROWS_MAX) "." }
                count => { (count) " wait." }
            }
            " "
            a.newer data-mark="queue" data-seen=(mark) href=(PATH) { "Show newer ones" }
        }
        @if !waiters.is_empty() {
            section.card { table.cards {
                caption.hidden { "Who waits for which feature" }
                thead { tr {
                    th scope="col" { "Feature" }
                    th.number scope="col" { "Place" }
                    th scope="col" { "User" }
                    th scope="col" { "Host" }
                    th.number scope="col" { "Seats" }
                    th.number scope="col" { "Priority" }
                    th scope="col" { "Waits since" }
                    th scope="col" { "Turn in" }
                    th scope="col" { "Note" }
                } }
                tbody { @for waiter in waiters.iter().take(ROWS_MAX) { (row(waiter)) } }
            } }
        }
    }
}

fn row(waiter: &WaiterReport) -> Markup {
    html! {
        tr {
            th scope="row" { (words::shown(&waiter.feature)) }
            td.number data-label="Place" { (waiter.position) " of " (waiter.waiting) }
            td data-label="User" { bdi { (words::shown(&waiter.user)) } }
            td data-label="Host" { bdi { (words::shown(&waiter.host)) } }
            td.number data-label="Seats" { (waiter.seats) }
            td.number data-label="Priority" { (waiter.priority) }
            td data-label="Waits since" { (waiter.waited_ms) }
            td data-label="Turn in" {
                @match waiter.expected_ms { Some(length) => { "about " (length) }, None => "–" }
            }
            td.note data-label="Note" {
                @if let Some(length) = waiter.offered_ms { "a seat is offered for " (length) " " }
                @if let Some(length) = waiter.cut_off_ms { "cut off; its place is kept for " (length) }
            }
        }
    }
}

const PATH: &str = "/dashboard/queue";
const ROWS_MAX: usize = 500;
