//! The checks of `docs/formats.md`, run word for word with stock `openssl` and a shell.

use std::{path::Path, process::Command};

use crate::samples::{lease_file, license_file, public, root, shown_lease_file, site};

const FORMATS: &str = include_str!("../../../docs/formats.md");

#[test]
fn openssl_checks_a_license_as_documented() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("acme.lic"), license_file()).unwrap();
    run(dir.path(), "license", true);
    let edited = license_file().replace("seats = 10", "seats = 90");
    std::fs::write(dir.path().join("acme.lic"), edited).unwrap();
    run(dir.path(), "license", false);
}

#[test]
fn openssl_checks_a_lease_as_documented() {
    let dir = tempfile::tempdir().unwrap();
    for genuine in [lease_file(), shown_lease_file()] {
        let text = genuine.to_text().unwrap();
        std::fs::write(dir.path().join("solver.lease"), text).unwrap();
        run(dir.path(), "lease", true);
    }
    let foreign = usher_protocol::documents::lease_file::LeaseFile {
        lease: crate::samples::lease().sign(&root()).unwrap(),
        ..lease_file()
    };
    std::fs::write(dir.path().join("solver.lease"), foreign.to_text().unwrap()).unwrap();
    run(dir.path(), "lease", false);
}

/// Runs the page's script of that name; it must succeed exactly if the document is genuine.
fn run(dir: &Path, name: &str, genuine: bool) {
    let output = Command::new("sh")
        .args(["-eu", "-c", script(name)])
        .env("ROOT", public(&root()).to_string())
        .env("SITE", public(&site()).to_string())
        .current_dir(dir)
        .output()
        .unwrap();
    let shown = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.success(), genuine, "{shown}");
}

/// The first shell block below the heading "Checking a … with openssl".
fn script(name: &str) -> &'static str {
    let heading = format!("### Checking a {name} with openssl");
    let (_, below) = FORMATS.split_once(&heading).unwrap();
    let (_, block) = below.split_once("```sh\n").unwrap();
    block.split_once("```").unwrap().0
}
