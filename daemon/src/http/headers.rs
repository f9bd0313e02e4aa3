//! What every answer carries, so that no browser does more with it than show it.

use axum::{
    http::{HeaderValue, header},
    response::Response,
};

/// Nothing here is for other sites, for caches or to be guessed at. There is no CORS: a page of another site gets
/// nothing, for a token is never sent by a browser unasked.
pub(super) async fn put(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
    ] {
        headers
            .entry(name)
            .or_insert_with(|| HeaderValue::from_static(value));
    }
    response
}
