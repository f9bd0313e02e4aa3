//! Finds the workspace's programs, built fresh, once per test process.
//! Must not run them: that is for `daemon`, `hosts` and the tests.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The path of a program of this workspace, such as `usherd`, of the same build as the running test.
///
/// The first call builds all programs, so that no test runs a stale one.
pub fn path(program: &str) -> PathBuf {
    let path = directory().join(program);
    assert!(
        path.is_file(),
        "{} is not a program of this workspace",
        path.display()
    );
    path
}

/// True for the names that [`path`] knows.
pub fn is_ours(program: &str) -> bool {
    PROGRAMS.contains(&program)
}

/// A command for a program of this workspace.
pub fn command(program: &str) -> Command {
    Command::new(path(program))
}

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn directory() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        // target/<profile>/deps/<test> or target/<profile>/usher-bench → target/<profile>
        let running = env::current_exe().unwrap();
        let beside = running.parent().unwrap();
        let directory = if beside.ends_with("deps") {
            beside.parent().unwrap()
        } else {
            beside
        };
        // Inside a network of its own a test finds what its outer half has built.
        if env::var_os(crate::hosts::INSIDE).is_none() {
            build(directory);
        }
        directory.to_owned()
    })
}

fn build(directory: &Path) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--quiet", "--locked"])
        .current_dir(workspace());
    cargo.arg("--target-dir").arg(directory.parent().unwrap());
    cargo.args(PROGRAMS.iter().flat_map(|program| ["--bin", program]));
    // What the vendor's tutorial shows; in `examples` beside the programs.
    cargo.args(["--example", "mesher"]);
    if directory.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(
        cargo.status().unwrap().success(),
        "the programs do not build"
    );
}

const PROGRAMS: &[&str] = &["usherd", "usher", "usher-issuer", "holder"];
