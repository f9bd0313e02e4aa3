//! What was denied lately, and why: what the refusal means, and what the same checkout would get now.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Query, State, rejection::QueryRejection},
};
use maud::{Markup, html};
use serde::Deserialize;
use usher_protocol::wire::Environment;

use super::{
    page::{Frame, Page},
    problem::Problem,
    words,
};
use crate::{
    admin::protocol::{Answer, Ask, ExplanationReport, HolderReport, RefusalReport},
    http::{
        api::{self, DenialReport},
        failure::Failure,
        server::Shared,
    },
    tokens::Token,
};

/// `GET /dashboard/denials`
pub(super) async fn page(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
) -> Result<Page, Problem> {
    let frame = Frame::gather(&shared, token).await?;
    let mark = frame.mark(&shared, "denials");
    let denials = shared.admin.core.meter().last_denials().into_iter();
    let denials: Vec<_> = denials
        .map(|it| (it.at, DenialReport::of(it, &frame.licenses)))
        .collect();
    let content = html! {
        h1 { "Denials" }
        p.faint {
            @match denials.len() {
                0 => "Nothing was denied since usherd started.",
                count => { "The last " (count) " since usherd started, newest first; each is told a minute after it happened." }
            }
            " "
            a.newer data-mark="denials" data-seen=(mark) href=(PATH) { "Show newer ones" }
        }
        @if !denials.is_empty() {
            section.card { table.cards {
                caption.hidden { "Denied checkouts" }
                thead { tr {
                    th scope="col" { "When" }
                    th scope="col" { "Feature" }
                    th scope="col" { "User" }
                    th scope="col" { "Host" }
                    th scope="col" { "Refusal" }
                    th.number scope="col" { "Times" }
                    th scope="col" { span.hidden { "Action" } }
                } }
                tbody { @for (at, denial) in &denials { tr {
                    th scope="row" { (words::moment(*at)) }
                    td data-label="Feature" { (words::shown(&denial.feature)) }
                    td data-label="User" { bdi { (words::shown(&denial.user)) } }
                    td data-label="Host" { bdi { (words::shown(&denial.host)) } }
                    td data-label="Refusal" { code { (denial.refusal) } span.faint.below { (denial.meaning) } }
                    td.number data-label="Times" { (denial.count) }
                    td.action { a.button.small href=(explain_path(denial)) aria-label=(format!("What would {} get now?", words::shown(&denial.user))) { "And now?" } }
                } } }
            } }
        }
    };
    Ok(frame.page("Denials", PATH, &content))
}

/// Whose checkout to explain.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Who {
    feature: String,
    user: String,
    host: String,
}

/// `GET /dashboard/explain`
pub(super) async fn explain(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
    who: Result<Query<Who>, QueryRejection>,
) -> Result<Page, Problem> {
    let Query(who) = who?;
    let frame = Frame::gather(&shared, token).await?;
    let mut pools = frame
        .status
        .pools
        .iter()
        .filter(|it| it.feature == who.feature);
    let is_test = pools.clone().count() > 0 && pools.all(|it| it.environment == Environment::Test);
    let ask = Ask::Explain {
        feature: who.feature.clone(),
        environment: if is_test {
            Environment::Test
        } else {
            Environment::Live
        },
        seats: 1,
        version: None,
        user: who.user.clone(),
        host: who.host.clone(),
        client: None,
        address: None,
        borrow_ms: None,
    };
    let explained = match shared.admin.answer(&api::actor(&frame.token), ask).await {
        Answer::Explained(explained) => *explained,
        other => return Err(Failure::of_answer(other).into()),
    };
    Ok(frame.page("Explanation", PATH, &explanation(&who, &explained)))
}

fn explanation(who: &Who, explained: &ExplanationReport) -> Markup {
    html! {
        section.card.narrow {
            h1 { "What would it get now?" }
            p { "One seat of " strong { (words::shown(&who.feature)) } " for " bdi { (words::shown(&who.user)) }
                " on " bdi { (words::shown(&who.host)) } ", from no address in particular:" }
            @match &explained.refusal {
                None => p.notice.good { (words::shown(&explained.detail)) },
                Some(refusal) => {
                    (refused(refusal))
                    @if !explained.detail.is_empty() { p { (words::shown(&explained.detail)) } }
                }
            }
            p.faint { "Nothing was changed. With a key, an address or more seats: " code { "usherd explain" } "." }
            p { a.button href=(PATH) { "Back to the denials" } }
        }
    }
}

fn refused(refusal: &RefusalReport) -> Markup {
    html! {
        p.notice.warn { code { (refusal.refusal) } " " (words::shown(&refusal.detail)) }
        dl.facts {
            @if let Some(rule) = &refusal.rule {
                dt { "Rule" } dd { (words::shown(&rule.text)) span.faint.below { code { (words::shown(&rule.file)) ":" (rule.line) } } }
            }
            @if let Some(length) = refusal.earliest_free_ms {
                dt { "Earliest" }
                dd { "within " (length) @if let Some(why) = &refusal.earliest_because { ": " (words::shown(why)) } }
            }
            @if let Some(length) = refusal.retry_after_ms { dt { "Again" } dd { "in " (length) } }
            @if let Some(support) = &refusal.support { dt { "Vendor" } dd { (words::shown(support)) } }
        }
        @if !refusal.holders.is_empty() {
            h2 { "Who holds the seats" }
            ul.plain {
                @for holder in &refusal.holders { li { (held(holder)) } }
                @if refusal.holders_more > 0 { li.faint { "and " (refusal.holders_more) " more" } }
            }
        }
    }
}

fn held(holder: &HolderReport) -> Markup {
    html! { bdi { (words::shown(&holder.user)) } " on " bdi { (words::shown(&holder.host)) } }
}

fn explain_path(denial: &DenialReport) -> String {
    format!(
        "/dashboard/explain?feature={}&user={}&host={}",
        words::encoded(&denial.feature),
        words::encoded(&denial.user),
        words::encoded(&denial.host)
    )
}

const PATH: &str = "/dashboard/denials";
