//! Signing in with a token, and out. There is no password: a token's secret is shown once, to the form.

use std::sync::Arc;

use axum::{
    Extension, Form,
    extract::{State, rejection::FormRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Redirect, Response},
};
use maud::{Markup, html};
use serde::Deserialize;
use usher_client::clock::Clock;

use super::{ROOT, SIGN_IN, gate, page, words::shown};
use crate::{
    http::{connection::Peer, guard, server::Shared},
    tokens::Scope,
};

/// `GET /dashboard/sign-in`
pub(super) async fn form() -> page::Page {
    page::bare("Sign in", &content(None))
}

/// What the form sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignIn {
    token: String,
}

/// `POST /dashboard/sign-in`
pub(super) async fn sign_in(
    State(shared): State<Arc<Shared>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    sent: Result<Form<SignIn>, FormRejection>,
) -> Response {
    let Ok(Form(sent)) = sent else {
        return again(
            StatusCode::BAD_REQUEST,
            "The form did not come whole; try again.",
        );
    };
    let peer = peer.map(|Extension(peer)| peer.0);
    let token = match guard::known(&shared, Some(sent.token.trim()), peer) {
        Ok(token) if token.scope.includes(Scope::Read) => token,
        Ok(token) => {
            let why = format!(
                "This token's scope is `{}`; the dashboard needs `read`, `operate` or `admin`.",
                token.scope.word()
            );
            return again(StatusCode::FORBIDDEN, &why);
        }
        Err(failure) => {
            let (status, detail) = failure.told();
            return again(status, &format!("You are not signed in: {detail}."));
        }
    };
    let dashboard = &shared.dashboard;
    if let Some(before) = gate::cookie(&headers, &dashboard.cookie) {
        dashboard.sessions.close(before);
    }
    let Ok(secret) = dashboard.sessions.open(&token, Clock::new().boot()) else {
        let why = "The system gives no randomness; try again.";
        return again(StatusCode::SERVICE_UNAVAILABLE, why);
    };
    let (token_name, scope) = (token.name.as_str(), token.scope.word());
    let address = peer.map_or_else(|| "an unknown address".to_owned(), |it| it.to_string());
    tracing::info!(
        event = "signed-in",
        notice = true,
        token = token_name,
        scope,
        address,
        "the dashboard: signed in by token {token_name} ({scope}) from {address}"
    );
    with_cookie(Redirect::to(ROOT), &cookie(&dashboard.cookie, &secret, ""))
}

/// `POST /dashboard/sign-out`
pub(super) async fn sign_out(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let dashboard = &shared.dashboard;
    if let Some(secret) = gate::cookie(&headers, &dashboard.cookie) {
        dashboard.sessions.close(secret);
    }
    let gone = cookie(&dashboard.cookie, "", "; Max-Age=0");
    with_cookie(Redirect::to(SIGN_IN), &gone)
}

/// No script reads it, no plain HTTP carries it, no other site's page sends it, and it ends with the browser.
pub(super) fn cookie(name: &str, value: &str, more: &str) -> String {
    format!("{name}={value}; Path=/; HttpOnly; Secure; SameSite=Strict{more}")
}

fn with_cookie(to: Redirect, cookie: &str) -> Response {
    let mut response = to.into_response();
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}

fn again(status: StatusCode, why: &str) -> Response {
    (status, page::bare("Sign in", &content(Some(why)))).into_response()
}

fn content(why: Option<&str>) -> Markup {
    html! {
        section.card.narrow {
            h1 { "Sign in" }
            @if let Some(why) = why {
                p.notice.bad role="alert" { (shown(why)) }
            }
            form method="post" action=(SIGN_IN) {
                // For what keeps passwords: it asks for a name beside each.
                input type="text" value="usher" autocomplete="username" hidden;
                label for="token" { "Token" }
                input #token name="token" type="password" required autocomplete="current-password"
                    autocapitalize="none" spellcheck="false" autofocus aria-describedby="how";
                button.primary type="submit" { "Sign in" }
            }
            p.faint #how {
                "There are no passwords. On the server, "
                code { "usherd token new --scope read" }
                " makes a token and shows its secret once; with the scope "
                code { "operate" }
                " it may take leases back."
            }
            p.faint { "Came here by a link from elsewhere, and signed in already? " a href=(ROOT) { "Go on" } "." }
        }
    }
}
