//! Every route, in one table: what it asks of who comes, what answers, and what the OpenAPI document says of it. The
//! router and the document are both made of it, so that neither knows a route that the other does not.

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    middleware,
    routing::{MethodRouter, get, post},
};

use super::{
    administer, api, dashboard,
    failure::{self, Failure},
    guard::{self, Need},
    headers, lend, metrics, openapi,
    server::Shared,
    signing_key,
};
use crate::{limits, tokens::Scope};

/// One verb on one path.
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) need: Need,
    pub(super) summary: &'static str,
    /// Names of query parameters.
    pub(super) query: &'static [(&'static str, &'static str)],
    /// Name of the body's schema.
    pub(super) body: Option<&'static str>,
    pub(super) status: u16,
    /// Type of the answer in [`openapi`]'s notation, or a media type.
    pub(super) answer: &'static str,
    handler: fn() -> MethodRouter<Arc<Shared>>,
}

/// All of them, as they stand in docs/http.md.
pub(super) const ROUTES: [Route; 21] = [
    Route {
        summary: "This document",
        answer: "object",
        ..read("/api/v1/openapi.json", Need::Nothing, || {
            get(openapi::document)
        })
    },
    Route {
        summary: "Figures for Prometheus",
        query: &[("flexlm", "byte")],
        answer: "text/plain",
        ..read("/metrics", Need::Metrics, || get(metrics::metrics))
    },
    Route {
        summary: "The daemon at one glance",
        answer: "Status",
        ..read("/api/v1/status", READ, || get(api::status))
    },
    Route {
        summary: "Every pool",
        answer: "[Pool]",
        ..read("/api/v1/features", READ, || get(api::features))
    },
    Route {
        summary: "Leases in order of their ids, a page at a time",
        query: &[("after", "lease"), ("count", "page")],
        answer: "[Lease]",
        ..read("/api/v1/leases", READ, || get(api::leases))
    },
    Route {
        summary: "Who waits, first in front",
        answer: "[Waiter]",
        ..read("/api/v1/queue", READ, || get(api::queue))
    },
    Route {
        summary: "The last denials of this life, newest first",
        answer: "[Denial]",
        ..read("/api/v1/denials", READ, || get(api::denials))
    },
    Route {
        summary: "What is installed",
        answer: "[License]",
        ..read("/api/v1/licenses", READ, || get(api::licenses))
    },
    Route {
        summary: "Take a lease back at its next renewal",
        body: Some("Evict"),
        answer: "Done",
        ..verb("/api/v1/leases/{lease}/evict", OPERATE, || post(api::evict))
    },
    Route {
        summary: "Lend nothing of a feature or license for now",
        body: Some("Suspend"),
        answer: "Suspension",
        ..verb("/api/v1/suspend", ADMIN, || post(administer::suspend))
    },
    Route {
        summary: "Lend a suspended feature or license again",
        body: Some("Resume"),
        answer: "Suspension",
        ..verb("/api/v1/resume", ADMIN, || post(administer::resume))
    },
    Route {
        summary: "Read configuration and policy anew",
        answer: "Reloaded",
        ..verb("/api/v1/reload", ADMIN, || post(administer::reload))
    },
    Route {
        summary: "Install a license, or replace it by a higher serial",
        body: Some("Install"),
        answer: "License",
        ..verb("/api/v1/licenses", ADMIN, || {
            let limit = DefaultBodyLimit::max(limits::HTTP_LICENSE_BYTES_MAX);
            post(administer::install).layer(limit)
        })
    },
    Route {
        summary: "What tokens there are",
        answer: "[Token]",
        ..read("/api/v1/tokens", ADMIN, || get(administer::tokens))
    },
    Route {
        summary: "End a token at once",
        answer: "Done",
        ..verb("/api/v1/tokens/{token}/revoke", ADMIN, || {
            post(administer::revoke)
        })
    },
    Route {
        summary: "What this token is, may have out and has",
        answer: "Key",
        ..read("/api/v1/key", Need::AnyToken, || get(lend::key))
    },
    Route {
        summary: "The public key that leases are signed with",
        answer: "application/x-pem-file",
        ..read("/api/v1/signing-key", Need::AnyToken, || {
            get(signing_key::signing_key)
        })
    },
    Route {
        summary: "Obtain a lease; the same nonce is the same lease",
        body: Some("Obtain"),
        status: 201,
        answer: "Granted",
        ..verb("/api/v1/leases", LEASE, || post(lend::obtain))
    },
    Route {
        summary: "Validate a lease: whether it stands",
        answer: "Standing",
        ..read("/api/v1/leases/{lease}", Need::AnyToken, || {
            get(lend::validate)
        })
    },
    Route {
        summary: "Renew a lease",
        body: Some("Step"),
        answer: "Granted",
        ..verb("/api/v1/leases/{lease}/renew", LEASE, || post(lend::renew))
    },
    Route {
        summary: "Release a lease; repeating it is harmless",
        body: Some("Back"),
        answer: "Done",
        ..verb("/api/v1/leases/{lease}/release", LEASE, || {
            post(lend::release)
        })
    },
];

/// All routes behind their guards.
pub(super) fn router(shared: &Arc<Shared>) -> Router {
    let mut router = Router::new();
    for route in &ROUTES {
        let state = (Arc::clone(shared), route.need);
        let guard = middleware::from_fn_with_state(state, guard::stand);
        router = router.route(route.path, (route.handler)().route_layer(guard));
    }
    router
        .merge(dashboard::router(shared))
        .fallback(|| async {
            Failure::not_found("there is nothing here; see /api/v1/openapi.json")
        })
        .method_not_allowed_fallback(|| async {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            Failure::new(
                status,
                failure::METHOD_NOT_ALLOWED,
                "another method is needed here",
            )
        })
        .layer(DefaultBodyLimit::max(limits::HTTP_BODY_BYTES_MAX))
        .layer(middleware::map_response(headers::put))
        .with_state(Arc::clone(shared))
}

const fn read(path: &'static str, need: Need, handler: fn() -> MethodRouter<Arc<Shared>>) -> Route {
    Route {
        method: "get",
        path,
        need,
        summary: "",
        query: &[],
        body: None,
        status: 200,
        answer: "",
        handler,
    }
}

const fn verb(path: &'static str, need: Need, handler: fn() -> MethodRouter<Arc<Shared>>) -> Route {
    Route {
        method: "post",
        ..read(path, need, handler)
    }
}

const READ: Need = Need::Scope(Scope::Read);
const OPERATE: Need = Need::Scope(Scope::Operate);
const ADMIN: Need = Need::Scope(Scope::Admin);
const LEASE: Need = Need::Scope(Scope::Lease);

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn every_route_stands_in_the_documentation() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/http.md");
        let page = fs::read_to_string(page).unwrap();
        for route in &ROUTES {
            let verb = format!("`{} {}`", route.method.to_uppercase(), route.path);
            assert!(page.contains(&verb), "docs/http.md does not name {verb}");
        }
    }

    /// Only the document itself, which is the same everywhere, is for those without a token.
    #[test]
    fn without_a_token_nothing_is_told_of_a_site() {
        let open: Vec<_> = ROUTES
            .iter()
            .filter(|it| it.need == Need::Nothing)
            .collect();
        assert_eq!(open.len(), 1);
        assert_eq!(open[0].path, "/api/v1/openapi.json");
        let changes = ROUTES.iter().filter(|it| it.method != "get");
        let readable =
            changes.filter(|it| matches!(it.need, READ | Need::AnyToken | Need::Metrics));
        assert_eq!(readable.count(), 0, "what reads must not change");
    }
}
