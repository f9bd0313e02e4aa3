//! What is said of the packages: does the list of their parts say what is locked and linked?

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read the workspace must fail"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

#[test]
fn the_sbom_says_what_is_locked_and_linked() {
    let sbom = sbom();
    assert_eq!(sbom["bomFormat"], "CycloneDX");
    assert_eq!(sbom["specVersion"], "1.5");
    let locked = locked();
    let mut seen = BTreeSet::new();
    for component in sbom["components"].as_array().unwrap() {
        let (name, version) = (text(component, "name"), text(component, "version"));
        assert!(
            seen.insert(text(component, "bom-ref")),
            "twice: {component}"
        );
        assert!(!component["licenses"][0].is_null(), "{component}");
        if name == "uPlot" {
            continue;
        }
        let of_lock = locked.get(&(name.clone(), version.clone()));
        let of_lock = of_lock.unwrap_or_else(|| panic!("not in Cargo.lock: {component}"));
        assert_eq!(
            component["hashes"][0]["content"].as_str(),
            of_lock.as_deref()
        );
        let purl = format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"));
        let purl = of_lock.as_ref().map(|_| purl);
        assert_eq!(component["purl"].as_str(), purl.as_deref());
    }
    // Each thing that a program's manifest names is there, and all that is there is needed by somebody.
    for (folder, program) in [
        ("daemon", "usherd"),
        ("client", "usher-client"),
        ("issuer", "usher-issuer"),
    ] {
        let manifest: toml::Table = read(&format!("{folder}/Cargo.toml")).parse().unwrap();
        let needs = needs(&sbom, program);
        for name in manifest["dependencies"].as_table().unwrap().keys() {
            assert!(
                needs.iter().any(|it| is_named(it, name)),
                "{program} needs {name}: {needs:?}"
            );
        }
    }
    let edges = sbom["dependencies"].as_array().unwrap().iter();
    let reached = edges.flat_map(|it| refs(&it["dependsOn"]));
    let reached: BTreeSet<_> = reached.collect();
    assert_eq!(seen, reached);
    assert!(seen.len() > 150, "only {} parts", seen.len());
    // Tests alone need it.
    assert!(!seen.iter().any(|it| is_named(it, "proptest")));
}

#[test]
fn the_sbom_names_the_library_that_lies_in_the_tree() {
    let sbom = sbom();
    let components = sbom["components"].as_array().unwrap();
    let uplot = components.iter().find(|it| it["name"] == "uPlot").unwrap();
    let file = "daemon/src/http/dashboard/assets/uPlot.iife.min.js";
    assert!(read(file).contains(&format!("(v{})", text(uplot, "version"))));
    let sum = Command::new("sha256sum")
        .arg(root().join(file))
        .output()
        .unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    assert!(sum.starts_with(uplot["hashes"][0]["content"].as_str().unwrap()));
    assert!(needs(&sbom, "usherd").contains(&text(uplot, "bom-ref")));
}

fn sbom() -> Value {
    let output = Command::new(root().join("tests/package"))
        .arg("--sbom")
        .env("CARGO_NET_OFFLINE", "true")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Checksums by name and version; none for our own crates.
fn locked() -> BTreeMap<(String, String), Option<String>> {
    let lock: toml::Table = read("Cargo.lock").parse().unwrap();
    let packages = lock["package"].as_array().unwrap().iter();
    let entry = |it: &toml::Value| {
        let word = |key| it.get(key).and_then(toml::Value::as_str).map(str::to_owned);
        (
            (word("name").unwrap(), word("version").unwrap()),
            word("checksum"),
        )
    };
    packages.map(entry).collect()
}

fn needs(sbom: &Value, program: &str) -> Vec<String> {
    let mut edges = sbom["dependencies"].as_array().unwrap().iter();
    let edge = edges.find(|it| text(it, "ref").starts_with(&format!("{program}@")));
    refs(&edge.unwrap()["dependsOn"])
}

fn refs(of: &Value) -> Vec<String> {
    let of = of.as_array().unwrap().iter();
    of.map(|it| it.as_str().unwrap().to_owned()).collect()
}

/// `pkg:cargo/serde@1.0.0` and `usher-engine@0.1.0` by their names.
fn is_named(reference: &str, name: &str) -> bool {
    let (before, _) = reference.rsplit_once('@').unwrap();
    before.rsplit('/').next() == Some(name)
}

fn text(of: &Value, key: &str) -> String {
    of[key].as_str().unwrap().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}
