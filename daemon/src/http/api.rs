//! What may be read and what may be taken back. Decides which question a route asks; the answers are those that
//! `usherd … --json` prints.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{
        Path, Query, State,
        rejection::{BytesRejection, QueryRejection},
    },
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use usher_protocol::{ids::LeaseId, time::DurationMs};

use super::{failure::Failure, numbers, server::Shared};
use crate::{
    admin::protocol::{Answer, Ask, LicenseReport, PoolReport, StatusReport},
    core::Denial,
    limits,
    tokens::Token,
};

/// `GET /api/v1/status`
pub(super) async fn status(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
) -> Result<Json<StatusReport>, Failure> {
    Ok(Json(*status_for(&shared, &actor(&token)).await?))
}

/// `GET /api/v1/features`
pub(super) async fn features(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
) -> Result<Json<Vec<PoolReport>>, Failure> {
    Ok(Json(status_for(&shared, &actor(&token)).await?.pools))
}

/// `GET /api/v1/leases`
pub(super) async fn leases(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Response, Failure> {
    let Query(page) = page.map_err(|error| Failure::bad_request(error.body_text()))?;
    let after = page.after.map(|id| id.parse()).transpose();
    if page.count.is_some_and(|it| !(1..=COUNT_MAX).contains(&it)) {
        let detail = format!("`count`: expected 1 to {COUNT_MAX}");
        return Err(Failure::bad_request(detail));
    }
    let ask = Ask::Leases {
        after: after.map_err(|_| Failure::bad_request("`after`: expected a lease's id"))?,
        count_max: page.count.unwrap_or(COUNT_MAX),
    };
    match shared.admin.answer(&actor(&token), ask).await {
        Answer::Leases(leases) => Ok(Json(leases).into_response()),
        other => Err(Failure::of_answer(other)),
    }
}

/// Which leases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Page {
    /// The last one already seen.
    after: Option<String>,
    /// At most this many.
    count: Option<usize>,
}

/// `GET /api/v1/queue`
pub(super) async fn queue(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
) -> Result<Response, Failure> {
    match shared.admin.answer(&actor(&token), Ask::Queue).await {
        Answer::Queue(waiters) => Ok(Json(waiters).into_response()),
        other => Err(Failure::of_answer(other)),
    }
}

/// `GET /api/v1/licenses`
pub(super) async fn licenses(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
) -> Result<Json<Vec<LicenseReport>>, Failure> {
    Ok(Json(licenses_for(&shared, &actor(&token)).await?))
}

/// `GET /api/v1/denials`
pub(super) async fn denials(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
) -> Result<Json<Vec<DenialReport>>, Failure> {
    let licenses = licenses_for(&shared, &actor(&token)).await?;
    let denials = shared.admin.core.meter().last_denials().into_iter();
    let told = denials.map(|denial| DenialReport::of(denial, &licenses));
    Ok(Json(told.collect()))
}

/// Denials of one kind to one client.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct DenialReport {
    /// When they became history: a minute after the last of them.
    pub(super) at: String,
    /// `vendor/feature`.
    pub(super) feature: String,
    /// The client's own word.
    pub(super) user: String,
    /// The client's own word.
    pub(super) host: String,
    /// The refusal's stable name.
    pub(super) refusal: &'static str,
    /// The refusal's stable number.
    pub(super) refusal_number: u16,
    /// What it means.
    pub(super) meaning: &'static str,
    /// How often.
    pub(super) count: u32,
}

impl DenialReport {
    pub(super) fn of(denial: Denial, licenses: &[LicenseReport]) -> Self {
        let license = licenses.iter().find(|it| it.root == denial.root);
        let vendor = license.map_or_else(|| denial.root.short(), |it| it.vendor.clone());
        Self {
            at: usher_client::clock::utc_rfc3339(denial.at),
            feature: format!("{vendor}/{}", denial.feature),
            user: denial.holder.user,
            host: denial.holder.host,
            refusal: denial.code.name(),
            refusal_number: denial.code.into(),
            meaning: denial.code.meaning(),
            count: denial.count,
        }
    }
}

/// `POST /api/v1/leases/{lease}/evict`
pub(super) async fn evict(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
    Path(lease): Path<String>,
    body: Received,
) -> Result<Json<Done>, Failure> {
    let evict: Evict = parse(body)?;
    let ask = Ask::Evict {
        lease: lease_id(&lease)?,
        reason: reason(evict.reason)?,
        cool_down_ms: evict.cool_down_ms,
    };
    match shared.admin.answer(&actor(&token), ask).await {
        Answer::Done => Ok(Json(Done { done: true })),
        other => Err(Failure::of_answer(other)),
    }
}

/// Why, and for how long.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Evict {
    /// For the holder and the usage log.
    reason: String,
    /// How long its holder may not have the feature again.
    #[serde(default, deserialize_with = "numbers::milliseconds")]
    cool_down_ms: Option<DurationMs>,
}

/// It is done, and durable.
#[derive(Debug, Serialize)]
pub(super) struct Done {
    pub(super) done: bool,
}

/// Who acts, for the usage log.
pub(super) fn actor(token: &Token) -> String {
    format!("token {}", token.name)
}

/// The daemon at one glance.
pub(super) async fn status_for(shared: &Shared, actor: &str) -> Result<Box<StatusReport>, Failure> {
    match shared.admin.answer(actor, Ask::Status).await {
        Answer::Status(status) => Ok(status),
        other => Err(Failure::of_answer(other)),
    }
}

/// What is installed.
pub(super) async fn licenses_for(
    shared: &Shared,
    actor: &str,
) -> Result<Vec<LicenseReport>, Failure> {
    match shared.admin.answer(actor, Ask::Licenses).await {
        Answer::Licenses(licenses) => Ok(licenses),
        other => Err(Failure::of_answer(other)),
    }
}

/// A reason as others may see it in their terminals.
pub(super) fn reason(text: String) -> Result<String, Failure> {
    let is_fit = !text.is_empty() && !text.chars().any(char::is_control);
    let expected = || Failure::bad_request("`reason`: expected words, and no control characters");
    is_fit.then_some(text).ok_or_else(expected)
}

/// A lease's id out of a path.
pub(super) fn lease_id(text: &str) -> Result<LeaseId, Failure> {
    text.parse()
        .map_err(|_| Failure::lease_invalid("no lease has such an id"))
}

/// Leases in one answer.
pub(super) const COUNT_MAX: usize = limits::ADMIN_LEASES_PER_PAGE_MAX;

/// A request's body, if it is not too long.
pub(super) type Received = Result<Bytes, BytesRejection>;

/// A body's JSON, and nothing but what is expected in it.
pub(super) fn parse<T: DeserializeOwned>(body: Received) -> Result<T, Failure> {
    let body = body.map_err(|error| Failure::of_body(error.status(), error.body_text()))?;
    serde_json::from_slice(&body).map_err(|error| Failure::bad_request(format!("body: {error}")))
}
