//! What a token of the scope `admin` changes: the same verbs as on the admin socket, asked in the token's name. It must
//! not make tokens: a scope that could would outlive its own end.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, State},
};
use serde::{Deserialize, Serialize};
use usher_protocol::ids::Fingerprint;

use super::{
    api::{Done, Received, actor, parse, reason},
    failure::Failure,
    server::Shared,
};
use crate::{
    admin::protocol::{Answer, Ask, LicenseReport, ReloadReport, TokenReport},
    tokens::Token,
};

/// What to suspend, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Suspend {
    /// A license's id, or `vendor/feature`.
    what: String,
    /// For its holders and the usage log.
    reason: String,
}

/// What to lend again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Resume {
    what: String,
}

/// A license file, and whom it may come from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Install {
    /// The whole file.
    text: String,
    /// The vendor's root, where this is its first license here (T3).
    root: Option<String>,
}

/// What is suspended, or no longer so.
#[derive(Debug, Serialize)]
pub(super) struct Suspension {
    what: String,
}

/// `POST /api/v1/suspend`
pub(super) async fn suspend(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
    body: Received,
) -> Result<Json<Suspension>, Failure> {
    let Suspend { what, reason: why } = parse(body)?;
    let reason = reason(why)?;
    change(&shared, &token, Ask::Suspend { what, reason }).await
}

/// `POST /api/v1/resume`
pub(super) async fn resume(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
    body: Received,
) -> Result<Json<Suspension>, Failure> {
    let Resume { what } = parse(body)?;
    change(&shared, &token, Ask::Resume { what }).await
}

/// `POST /api/v1/reload`
pub(super) async fn reload(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
) -> Result<Json<ReloadReport>, Failure> {
    match shared.admin.answer(&actor(&token), Ask::Reload).await {
        Answer::Reloaded(report) => Ok(Json(report)),
        Answer::Failed { message } => Err(Failure::said_no(message)),
        other => Err(Failure::of_answer(other)),
    }
}

/// `POST /api/v1/licenses`
pub(super) async fn install(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
    body: Received,
) -> Result<Json<LicenseReport>, Failure> {
    let Install { text, root } = parse(body)?;
    let root = root.map(|it| it.parse::<Fingerprint>()).transpose();
    let root = root.map_err(|error| Failure::bad_request(format!("`root`: {error}")))?;
    let ask = Ask::LicenseAdd { text, root };
    match shared.admin.answer(&actor(&token), ask).await {
        Answer::Installed(license) => Ok(Json(*license)),
        Answer::ConfirmRoot { vendor, root } => Err(Failure::said_no(format!(
            "this is the first license of `{vendor}` here; its root fingerprint is {root}: compare it with what the vendor published, and send it as `root`"
        ))),
        Answer::Failed { message } => Err(Failure::said_no(message)),
        other => Err(Failure::of_answer(other)),
    }
}

/// `GET /api/v1/tokens`
pub(super) async fn tokens(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
) -> Result<Json<Vec<TokenReport>>, Failure> {
    match shared.admin.answer(&actor(&token), Ask::Tokens).await {
        Answer::Tokens(tokens) => Ok(Json(tokens)),
        other => Err(Failure::of_answer(other)),
    }
}

/// `POST /api/v1/tokens/{token}/revoke`
pub(super) async fn revoke(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
    Path(word): Path<String>,
) -> Result<Json<Done>, Failure> {
    let ask = Ask::TokenRevoke { token: word };
    match shared.admin.answer(&actor(&token), ask).await {
        Answer::Done => Ok(Json(Done { done: true })),
        Answer::Failed { message } => Err(Failure::not_found(message)),
        other => Err(Failure::of_answer(other)),
    }
}

async fn change(shared: &Shared, token: &Token, ask: Ask) -> Result<Json<Suspension>, Failure> {
    match shared.admin.answer(&actor(token), ask).await {
        Answer::Suspension { what } => Ok(Json(Suspension { what })),
        Answer::Failed { message } => Err(Failure::not_found(message)),
        other => Err(Failure::of_answer(other)),
    }
}
