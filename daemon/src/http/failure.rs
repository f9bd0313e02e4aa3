//! What a "no" looks like over HTTP: a status, a word for programs, a sentence for people. Decides no "no" itself.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use usher_protocol::{
    refusal::{Refusal, RefusalCode},
    time::DurationMs,
};

use crate::admin::protocol::{Answer, RefusalReport};

/// A request that is not answered as hoped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    status: StatusCode,
    body: Box<Body>,
    retry_after_ms: Option<DurationMs>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Body {
    /// One of [`CODES`].
    error: &'static str,
    /// For people.
    detail: String,
    /// The engine's own word, where it said no.
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<RefusalReport>,
}

impl Failure {
    /// With a word of [`CODES`].
    pub(super) fn new(status: StatusCode, error: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            body: Box::new(Body {
                error,
                detail: detail.into(),
                refusal: None,
            }),
            retry_after_ms: None,
        }
    }

    /// Status and sentence, for who shows them in another form.
    pub(super) fn told(&self) -> (StatusCode, &str) {
        (self.status, &self.body.detail)
    }

    /// The same, naming when asking again makes sense.
    pub(super) fn retry_after(mut self, length: DurationMs) -> Self {
        self.retry_after_ms = Some(length);
        self
    }

    /// What the request says makes no sense.
    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, BAD_REQUEST, detail)
    }

    /// The body is too long, or did not come whole.
    pub(super) fn of_body(status: StatusCode, detail: impl Into<String>) -> Self {
        Self::new(status, BAD_REQUEST, detail)
    }

    /// What was asked is understood, and is not to be had.
    pub(super) fn said_no(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, REFUSED, detail)
    }

    /// There is no such thing.
    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, NOT_FOUND, detail)
    }

    /// No such lease, or not this token's.
    pub(super) fn lease_invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, LEASE_INVALID, detail)
    }

    /// The lease was given back.
    pub(super) fn lease_released() -> Self {
        let detail = "this lease was released; its seats may be with others";
        Self::new(StatusCode::GONE, LEASE_RELEASED, detail)
    }

    /// The lease ran out.
    pub(super) fn lease_expired(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, LEASE_EXPIRED, detail)
    }

    /// The token's own bound, or the pool's.
    pub(super) fn limit(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, LEASE_LIMIT_REACHED, detail)
    }

    /// The engine's "no".
    pub(super) fn refused(refusal: Refusal) -> Self {
        let (status, error) = kind(refusal.code);
        let retry_after_ms = refusal.retry_after_ms;
        let mut failure = Self::new(status, error, refusal.detail.clone());
        failure.body.refusal = Some(refusal.into());
        failure.retry_after_ms = retry_after_ms;
        failure
    }

    /// An administrator's answer that is none.
    pub(super) fn of_answer(answer: Answer) -> Self {
        match answer {
            Answer::Refused { code, detail, .. } => {
                let found = RefusalCode::ALL.iter().find(|it| it.name() == code);
                Self::refused(Refusal::new(*found.unwrap_or(&RefusalCode::Busy), detail))
            }
            Answer::Failed { message } => Self::bad_request(message),
            other => {
                tracing::error!("HTTPS was answered {other:?}");
                let detail = "usherd answered out of turn; please report it";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL, detail)
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let is_unauthorized = self.status == StatusCode::UNAUTHORIZED;
        let mut response = (self.status, Json(self.body)).into_response();
        let headers = response.headers_mut();
        if is_unauthorized {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"usherd\""),
            );
        }
        if let Some(length) = self.retry_after_ms {
            let seconds = length.0.div_ceil(1000).max(1);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

fn kind(code: RefusalCode) -> (StatusCode, &'static str) {
    match code {
        RefusalCode::LeaseEnded => (StatusCode::GONE, LEASE_EXPIRED),
        RefusalCode::LeaseUnknown
        | RefusalCode::WrongDevice
        | RefusalCode::NotGenuine
        | RefusalCode::LeaseForked
        | RefusalCode::NonceReused => (StatusCode::CONFLICT, LEASE_INVALID),
        RefusalCode::NoSeat | RefusalCode::TooManyLeases | RefusalCode::MaximumReached => {
            (StatusCode::CONFLICT, LEASE_LIMIT_REACHED)
        }
        RefusalCode::BadRequest => (StatusCode::BAD_REQUEST, BAD_REQUEST),
        RefusalCode::UnknownFeature | RefusalCode::NoLicense => (StatusCode::NOT_FOUND, NOT_FOUND),
        RefusalCode::Busy
        | RefusalCode::Draining
        | RefusalCode::StorageTrouble
        | RefusalCode::StoreRolledBack
        | RefusalCode::CloneFound
        | RefusalCode::Holding
        | RefusalCode::ClockHeld => (StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE),
        _ => (StatusCode::FORBIDDEN, REFUSED),
    }
}

pub(super) const KEY_INVALID: &str = "KEY_INVALID";
pub(super) const KEY_EXPIRED: &str = "KEY_EXPIRED";
pub(super) const SCOPE_TOO_SMALL: &str = "SCOPE_TOO_SMALL";
pub(super) const TOO_MANY_REQUESTS: &str = "TOO_MANY_REQUESTS";
pub(super) const METHOD_NOT_ALLOWED: &str = "METHOD_NOT_ALLOWED";
pub(super) const UNAVAILABLE: &str = "UNAVAILABLE";
const NOT_FOUND: &str = "NOT_FOUND";
const BAD_REQUEST: &str = "BAD_REQUEST";
const INTERNAL: &str = "INTERNAL";
const REFUSED: &str = "REFUSED";
const LEASE_INVALID: &str = "LEASE_INVALID";
const LEASE_RELEASED: &str = "LEASE_RELEASED";
const LEASE_EXPIRED: &str = "LEASE_EXPIRED";
const LEASE_LIMIT_REACHED: &str = "LEASE_LIMIT_REACHED";

/// Every word that a body's `error` may be.
pub(super) const CODES: [&str; 14] = [
    KEY_INVALID,
    KEY_EXPIRED,
    SCOPE_TOO_SMALL,
    TOO_MANY_REQUESTS,
    METHOD_NOT_ALLOWED,
    UNAVAILABLE,
    NOT_FOUND,
    BAD_REQUEST,
    INTERNAL,
    REFUSED,
    LEASE_INVALID,
    LEASE_RELEASED,
    LEASE_EXPIRED,
    LEASE_LIMIT_REACHED,
];
