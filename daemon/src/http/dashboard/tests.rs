//! What a page looks like to who attacks it, without a daemon.

use super::*;

#[test]
fn every_page_stands_in_the_documentation() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/dashboard.md");
    let text = std::fs::read_to_string(path).unwrap();
    for route in &ROUTES {
        let path = format!("`{}`", route.path);
        assert!(
            text.contains(&path),
            "docs/dashboard.md does not name {path}"
        );
    }
}

#[test]
fn only_what_says_nothing_of_the_site_is_open() {
    let open: Vec<_> = ROUTES
        .iter()
        .filter(|it| it.gate == Gate::Open)
        .map(|it| it.path)
        .collect();
    assert_eq!(
        open,
        [
            "/",
            SIGN_IN,
            "/dashboard/sign-out",
            "/dashboard/assets/{name}"
        ]
    );
}
