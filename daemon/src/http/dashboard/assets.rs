//! What pages load beside their text, all of it in this program: nothing is fetched from anywhere else.

use std::sync::LazyLock;

use axum::{
    extract::Path,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use data_encoding::HEXLOWER;
use maud::{Markup, PreEscaped};
use sha2::{Digest as _, Sha256};

use super::problem::Problem;

struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

/// `GET /dashboard/assets/{name}`
pub(super) async fn asset(Path(name): Path<String>) -> Response {
    let Some(asset) = ASSETS.iter().find(|it| it.name == name) else {
        return Problem::not_found("There is no such file.").into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        // The address changes with the content, and the content says nothing of this site.
        (header::CACHE_CONTROL, HeaderValue::from_static(KEEP)),
    ];
    (headers, asset.text).into_response()
}

/// Where an asset is, as it is in this build.
pub(super) fn path(name: &'static str) -> String {
    let all: &[(&str, String)] = &DIGESTS;
    let digest = all.iter().find(|(it, _)| *it == name);
    let digest = digest.map_or("", |(_, digest)| digest.as_str());
    format!("/dashboard/assets/{name}?v={digest}")
}

/// The sign beside the name.
pub(super) fn mark() -> Markup {
    PreEscaped(include_str!("assets/mark.svg").to_owned())
}

static DIGESTS: LazyLock<Vec<(&str, String)>> = LazyLock::new(|| {
    let digest = |asset: &Asset| HEXLOWER.encode(&Sha256::digest(asset.text)[..6]);
    ASSETS.iter().map(|it| (it.name, digest(it))).collect()
});

const KEEP: &str = "private, max-age=31536000, immutable";

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";

const ASSETS: [Asset; 6] = [
    Asset {
        name: "dashboard.css",
        kind: CSS,
        text: include_str!("assets/dashboard.css"),
    },
    Asset {
        name: "dashboard.js",
        kind: JAVASCRIPT,
        text: include_str!("assets/dashboard.js"),
    },
    Asset {
        name: "charts.js",
        kind: JAVASCRIPT,
        text: include_str!("assets/charts.js"),
    },
    Asset {
        name: "mark.svg",
        kind: "image/svg+xml",
        text: include_str!("assets/mark.svg"),
    },
    Asset {
        name: "uplot.css",
        kind: CSS,
        text: include_str!("assets/uPlot.min.css"),
    },
    Asset {
        name: "uplot.js",
        kind: JAVASCRIPT,
        text: include_str!("assets/uPlot.iife.min.js"),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Versions and digests stand in the README beside the files.
    #[test]
    fn what_others_wrote_is_what_the_readme_says() {
        let readme = include_str!("assets/README.md");
        for (name, text) in [
            (
                "uPlot.iife.min.js",
                include_str!("assets/uPlot.iife.min.js"),
            ),
            ("uPlot.min.css", include_str!("assets/uPlot.min.css")),
        ] {
            let digest = HEXLOWER.encode(&Sha256::digest(text));
            assert!(
                readme.contains(&format!("`{name}` `{digest}`")),
                "{name} {digest}"
            );
        }
        assert!(include_str!("assets/uPlot.iife.min.js").contains("(v1.6.32)"));
    }

    #[test]
    fn an_asset_has_the_address_of_its_content() {
        for asset in &ASSETS {
            let path = path(asset.name);
            assert!(path.ends_with(|c: char| c.is_ascii_hexdigit()), "{path}");
        }
    }
}
