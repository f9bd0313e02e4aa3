//! Who sees a page: the session of a cookie, the scope of its token, and from where a form was sent.
//!
//! A browser sends the cookie by itself, so a form of another site must not be heard with it: the cookie is `Strict`,
//! and what changes something is heard from our own pages alone.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Redirect, Response},
};
use usher_client::clock::Clock;

use super::{SIGN_IN, problem::Problem};
use crate::{
    http::{guard, server::Shared},
    tokens::Scope,
};

/// What a page asks of who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// Nothing: it says nothing of this site.
    Open,
    /// A session of a token with this scope.
    Scope(Scope),
}

/// Stands before every page.
pub(super) async fn stand(
    State((shared, gate)): State<(Arc<Shared>, Gate)>,
    mut request: Request,
    next: Next,
) -> Response {
    if request.method() == Method::POST && !is_from_here(request.headers()) {
        return Problem::new(
            StatusCode::FORBIDDEN,
            "This form was not sent from the dashboard itself, so nothing was done. Open the dashboard and try there.",
        )
        .into_response();
    }
    if let Gate::Scope(needed) = gate {
        let presented = cookie(request.headers(), &shared.dashboard.cookie);
        let (sessions, register) = (&shared.dashboard.sessions, &shared.admin.tokens);
        let now = Clock::new().now();
        let Some(token) = presented.and_then(|it| sessions.use_now(it, register, now)) else {
            return Redirect::to(SIGN_IN).into_response();
        };
        if !token.scope.includes(needed) {
            let (has, needed) = (token.scope.word(), needed.word());
            let detail =
                format!("You are signed in with the scope `{has}`, and this needs `{needed}`.");
            return Problem::new(StatusCode::FORBIDDEN, detail).into_response();
        }
        request.extensions_mut().insert(token);
    }
    let answered = guard::in_turn(&shared, next.run(request)).await;
    answered.unwrap_or_else(|failure| Problem::from(failure).into_response())
}

/// Whether a page of ours sent this. Browsers say so in `Sec-Fetch-Site`; older ones name the `Origin`, and what
/// names neither is not heard. With `no-referrer` the origin of our own forms is `null`, which proves nothing.
pub(super) fn is_from_here(headers: &HeaderMap) -> bool {
    let word = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = word(header::ORIGIN.as_str()).filter(|it| *it != "null");
    let host = word(header::HOST.as_str());
    let is_ours = |origin: &str| {
        let rest = origin.strip_prefix("https://");
        rest.is_some() && rest == host
    };
    match (word("sec-fetch-site"), origin) {
        (Some("same-origin"), origin) => origin.is_none_or(is_ours),
        (Some(_), _) | (None, None) => false,
        (None, Some(origin)) => is_ours(origin),
    }
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(found, value)| (found == name).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_form_is_heard_from_our_own_pages_alone() {
        let host = ("host", "usher.example:27480");
        let heard = |more: &[(&'static str, &'static str)]| {
            is_from_here(&headers(&[&[host], more].concat()))
        };
        let ours = ("origin", "https://usher.example:27480");
        assert!(heard(&[("sec-fetch-site", "same-origin")]));
        assert!(heard(&[
            ("sec-fetch-site", "same-origin"),
            ("origin", "null")
        ]));
        assert!(heard(&[ours]));
        assert!(heard(&[("sec-fetch-site", "same-origin"), ours]));
        for others in [
            &[][..],
            &[("origin", "null")],
            &[("origin", "https://evil.example")],
            &[("origin", "http://usher.example:27480")],
            &[("origin", "https://usher.example")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site"), ours],
            &[("sec-fetch-site", "none")],
            &[
                ("sec-fetch-site", "same-origin"),
                ("origin", "https://evil.example"),
            ],
        ] {
            assert!(!heard(others), "{others:?}");
        }
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let headers = headers(&[("cookie", "a=1; __Host-u=x=y"), ("cookie", "b=2")]);
        assert_eq!(cookie(&headers, "__Host-u"), Some("x=y"));
        assert_eq!(cookie(&headers, "b"), Some("2"));
        assert_eq!(cookie(&headers, "Host-u"), None);
    }
}
