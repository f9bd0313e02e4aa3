//! A "no" as a page: what is wrong, in a sentence, and the way back. Decides no "no" itself.

use axum::{
    extract::rejection::QueryRejection,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::html;

use super::{ROOT, page};
use crate::http::failure::Failure;

/// A page that is not shown as hoped.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
        }
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(super) fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<QueryRejection> for Problem {
    fn from(_: QueryRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "This address makes no sense.")
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let (status, detail) = failure.told();
        Self::new(status, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = match self.status {
            StatusCode::FORBIDDEN => "Not allowed",
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::SERVICE_UNAVAILABLE => "Not now",
            _ => "That did not work",
        };
        let content = html! {
            section.card.narrow {
                h1 { (title) }
                p role="alert" { (super::words::shown(&self.detail)) }
                p { a.button href=(ROOT) { "To the dashboard" } }
            }
        };
        let mut response = (self.status, page::bare(title, &content)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let soon = HeaderValue::from_static("2");
            response.headers_mut().insert(header::RETRY_AFTER, soon);
        }
        response
    }
}
