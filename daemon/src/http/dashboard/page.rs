//! What every page has around its content: head, navigation, how the daemon is, who is signed in.

use axum::{
    http::{HeaderValue, header},
    response::{Html, Response},
};
use maud::{DOCTYPE, Markup, html};

use super::{
    ROOT, assets,
    glimpse::{self, Glimpse},
    words::shown,
};
use crate::{
    admin::{
        glance,
        protocol::{LicenseReport, StatusReport},
    },
    http::{api, failure::Failure, server::Shared},
    limits,
    tokens::{Scope, Token},
};

/// A whole page, as it is sent.
pub(super) type Page = Html<String>;

/// What stands around a page of somebody who is signed in.
pub(super) struct Frame {
    pub(super) token: Token,
    pub(super) status: StatusReport,
    pub(super) licenses: Vec<LicenseReport>,
}

/// How the daemon is, as a word for programs; its style and its sign depend on it.
pub(super) fn state(status: &StatusReport, licenses: &[LicenseReport]) -> &'static str {
    if !glance::is_granting(status, licenses) {
        "stopped"
    } else if status.degraded.is_empty() {
        "granting"
    } else {
        "degraded"
    }
}

impl Frame {
    /// Of this moment.
    pub(super) async fn gather(shared: &Shared, token: Token) -> Result<Self, Failure> {
        let actor = api::actor(&token);
        Ok(Self {
            status: *api::status_for(shared, &actor).await?,
            licenses: api::licenses_for(shared, &actor).await?,
            token,
        })
    }

    /// The figures that change while somebody looks, as they are on this page.
    pub(super) fn glimpse(&self, shared: &Shared) -> Glimpse {
        let counts = shared.admin.core.meter().read();
        Glimpse::of(&self.status, &self.licenses, &counts)
    }

    /// What this page's list is known by, as in the news: another one there says that the page is old.
    pub(super) fn mark(&self, shared: &Shared, name: &str) -> String {
        glimpse::mark(&self.status, &shared.admin.core.meter().read(), name)
    }

    /// Whether who is signed in may take leases back.
    pub(super) fn may_evict(&self) -> bool {
        self.token.scope.includes(Scope::Operate)
    }

    /// The whole page; `at` is its path in the navigation.
    pub(super) fn page(&self, title: &str, at: &str, content: &Markup) -> Page {
        let name = shown(&self.status.name);
        let body = html! {
            a.skip href="#main" { "Skip to the content" }
            header.top {
                div.line {
                    a.brand href=(ROOT) { (assets::mark()) span { "Usher" } }
                    span.server { (name) }
                    (self.pill())
                    form.out method="post" action="/dashboard/sign-out" {
                        span.who { (shown(&self.token.name)) " · " (self.token.scope.word()) }
                        button type="submit" { "Sign out" }
                    }
                }
                nav aria-label="Pages" {
                    @for (path, word) in TABS {
                        a href=(path) aria-current=[(path == at).then_some("page")] { (word) }
                    }
                }
            }
            main #main tabindex="-1" {
                (freshness())
                (content)
            }
        };
        document(&format!("{title} – {name}"), true, &body)
    }

    fn pill(&self) -> Markup {
        let state = state(&self.status, &self.licenses);
        let verdict = glance::verdict(&self.status, &self.licenses);
        html! {
            a.pill #state data-state=(state) href="/dashboard/health" {
                span.dot aria-hidden="true" {}
                span data-live="verdict" role="status" { (shown(&verdict)) }
            }
        }
    }
}

/// What a script shows when figures are not as fresh as they look.
fn freshness() -> Markup {
    html! {
        p.notice.warn #crowded role="status" hidden {
            (limits::HTTP_VIEWERS_MAX) " pages are looked at already, as many as are kept fresh at once. This one is renewed every "
            (limits::HTTP_CROWDED_MS) " until another is closed."
        }
        p.notice.bad #lost role="status" hidden {
            "usherd does not answer: the figures are of when it last did. The page goes on by itself when it is back."
        }
    }
}

/// A page of nobody in particular.
pub(super) fn bare(title: &str, content: &Markup) -> Page {
    let body = html! {
        header.top {
            div.line { a.brand href=(ROOT) { (assets::mark()) span { "Usher" } } }
        }
        main #main tabindex="-1" { (content) }
    };
    document(title, false, &body)
}

/// Only what we serve ourselves is run, drawn or asked; no page frames ours, and forms go nowhere else.
pub(super) async fn headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(POLICY));
    response
}

fn document(title: &str, is_live: bool, body: &Markup) -> Page {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="icon" type="image/svg+xml" href=(assets::path("mark.svg"));
                link rel="stylesheet" href=(assets::path("dashboard.css"));
                @if is_live {
                    script src=(assets::path("dashboard.js")) defer {}
                }
            }
            body { (body) }
        }
    };
    Html(document.into_string())
}

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

const TABS: [(&str, &str); 7] = [
    (ROOT, "Pools"),
    ("/dashboard/leases", "Leases"),
    ("/dashboard/queue", "Queue"),
    ("/dashboard/denials", "Denials"),
    ("/dashboard/usage", "Usage"),
    ("/dashboard/licenses", "Licenses"),
    ("/dashboard/health", "Health"),
];
