//! The book (`docs/`): every command on its pages is typed and does what the page says, every page is listed, every
//! link leads somewhere, and what is made of the code says what the code says.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot read the book must fail"
)]

mod generated;
mod page;
mod printed;
mod site;
mod structure;
mod walk;

use usher_tests::hosts::on_lan;
use walk::walk;

/// One test for each page that has commands; `structure.rs` sees to it that none is missing.
macro_rules! pages {
    ($($name:ident: $path:literal,)*) => {
        pub(crate) const WALKED: &[&str] = &[$($path),*];
        $(
            #[test]
            fn $name() {
                on_lan(|lan| walk(lan, $path));
            }
        )*
    };
}

pages! {
    readme: "README.md",
    tutorial_engineer: "docs/tutorials/engineer.md",
    tutorial_administrator: "docs/tutorials/administrator.md",
    tutorial_air_gap: "docs/tutorials/air-gap.md",
    tutorial_vendor: "docs/tutorials/vendor.md",
    coming_from: "docs/coming-from.md",
    dashboard: "docs/dashboard.md",
    existing_tools: "docs/existing-tools.md",
    http: "docs/http.md",
    policy: "docs/policy.md",
    reports: "docs/reports.md",
    alerts: "docs/how-to/alerts.md",
    containers: "docs/how-to/containers.md",
    curl: "docs/how-to/curl.md",
    denial: "docs/how-to/denial.md",
    license: "docs/how-to/license.md",
    moving: "docs/how-to/move.md",
    policy_recipes: "docs/how-to/policy-recipes.md",
    prometheus: "docs/how-to/prometheus.md",
    restore: "docs/how-to/restore.md",
    upgrade: "docs/how-to/upgrade.md",
    without_multicast: "docs/how-to/without-multicast.md",
}
