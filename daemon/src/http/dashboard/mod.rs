//! The dashboard: pages for people, of the same answers that tools get from the routes beside it.
//!
//! It decides what a page shows and who is signed in. It must not decide about seats, nor tell anything that the scope
//! of the signed-in token may not see. Every page is whole without a script; scripts only keep figures fresh and draw
//! charts from the tables that are there. Nothing comes from elsewhere.

mod assets;
mod denials;
mod evict;
mod gate;
mod glimpse;
mod health;
mod heat;
mod history;
mod leases;
mod licenses;
pub(super) mod live;
mod order;
mod page;
mod pools;
mod problem;
mod queue;
mod sessions;
mod sign;
#[cfg(test)]
mod tests;
mod usage;
mod words;

use std::sync::Arc;

use axum::{
    Router, middleware,
    response::Redirect,
    routing::{MethodRouter, get, post},
};

use self::{gate::Gate, history::History, live::Live, sessions::Sessions};
use super::server::Shared;
use crate::{admin::AdminParts, tokens::Scope};

/// What the pages need beside what every request may.
#[derive(Debug)]
pub(super) struct Dashboard {
    sessions: Sessions,
    live: Live,
    history: Arc<History>,
    /// Differs by site key: browsers send cookies to every port of a host.
    cookie: String,
}

impl Dashboard {
    /// Nobody is signed in.
    pub(super) fn new(admin: &AdminParts) -> Self {
        let site = admin.site.public.fingerprint().short();
        Self {
            sessions: Sessions::default(),
            live: Live::default(),
            history: Arc::default(),
            cookie: format!("__Host-usher-{site}"),
        }
    }
}

/// Where the pages are.
const ROOT: &str = "/dashboard";
const SIGN_IN: &str = "/dashboard/sign-in";

struct Route {
    path: &'static str,
    gate: Gate,
    handler: fn() -> MethodRouter<Arc<Shared>>,
}

/// All of them, as they stand in docs/dashboard.md.
#[rustfmt::skip] // One route, one line.
const ROUTES: [Route; 14] = [
    Route { path: "/", gate: Gate::Open, handler: || get(|| async { Redirect::to(ROOT) }) },
    Route { path: SIGN_IN, gate: Gate::Open, handler: || get(sign::form).post(sign::sign_in) },
    Route { path: "/dashboard/sign-out", gate: Gate::Open, handler: || post(sign::sign_out) },
    Route { path: "/dashboard/assets/{name}", gate: Gate::Open, handler: || get(assets::asset) },
    Route { path: ROOT, gate: READ, handler: || get(pools::page) },
    Route { path: "/dashboard/leases", gate: READ, handler: || get(leases::page) },
    Route { path: "/dashboard/leases/{lease}/evict", gate: OPERATE, handler: || get(evict::form).post(evict::evict) },
    Route { path: "/dashboard/queue", gate: READ, handler: || get(queue::page) },
    Route { path: "/dashboard/denials", gate: READ, handler: || get(denials::page) },
    Route { path: "/dashboard/live", gate: READ, handler: || get(live::stream) },
    Route { path: "/dashboard/explain", gate: READ, handler: || get(denials::explain) },
    Route { path: "/dashboard/usage", gate: READ, handler: || get(usage::page) },
    Route { path: "/dashboard/licenses", gate: READ, handler: || get(licenses::page) },
    Route { path: "/dashboard/health", gate: READ, handler: || get(health::page) },
];

/// All pages behind their gates.
pub(super) fn router(shared: &Arc<Shared>) -> Router<Arc<Shared>> {
    let mut router = Router::new();
    for route in &ROUTES {
        let state = (Arc::clone(shared), route.gate);
        let gate = middleware::from_fn_with_state(state, gate::stand);
        router = router.route(route.path, (route.handler)().route_layer(gate));
    }
    router.layer(middleware::map_response(page::headers))
}

const READ: Gate = Gate::Scope(Scope::Read);
const OPERATE: Gate = Gate::Scope(Scope::Operate);
