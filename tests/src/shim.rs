//! A disk that fails on demand: a small C library between a program and its files, by `LD_PRELOAD`.
//!
//! Decides how it is built and told what to do; what the program must then do is for the tests to say. What it can
//! see and do is written in `tests/shim/storage.c`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::bins;

/// The built library, made by `cc` once per test process.
pub fn library() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let library = bins::path("usherd").with_file_name("storage-shim.so");
        // Test processes may build it at the same time: each its own, and then one name.
        let building = library.with_extension(std::process::id().to_string());
        let source = bins::workspace().join("tests/shim/storage.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]);
        compiler.arg("-o").args([&building, &source]).arg("-ldl");
        assert!(
            compiler.status().unwrap().success(),
            "cc does not build the shim"
        );
        fs::rename(&building, &library).unwrap();
        library
    })
}

/// What a program's disk does. Without anything more it only counts.
#[derive(Debug, Clone)]
pub struct Shim {
    variables: Vec<(&'static str, String)>,
    log: PathBuf,
}

/// One counted call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// From 1 on, within its process.
    pub number: u64,
    /// As `open`, `write`, `pwrite`, `fsync`, `fdatasync`, `sync_file_range`, `rename`.
    pub kind: String,
    /// The file it was about.
    pub path: PathBuf,
    /// It was made to fail, or to write half.
    pub failed: bool,
}

/// How a disk fails.
#[derive(Debug, Clone)]
pub enum How {
    /// One call alone.
    Once,
    /// That call and every later one, until this file appears.
    OnUntil(PathBuf),
    /// A call that writes writes half, and the next one fails.
    Short,
}

impl Shim {
    /// Counts calls that change files below `directory`, and notes them in the new file `log`.
    pub fn new(directory: &Path, log: &Path) -> Self {
        let _ = fs::remove_file(log);
        let variables = vec![
            ("LD_PRELOAD", text(library())),
            ("USHER_SHIM_BELOW", text(directory)),
            ("USHER_SHIM_LOG", text(log)),
        ];
        let log = log.to_owned();
        Self { variables, log }
    }

    /// The call of this number gets this error (`libc`'s number, as 5 for EIO and 28 for ENOSPC).
    #[must_use]
    pub fn failing(mut self, number: u64, error: i32, how: &How) -> Self {
        let word = match how {
            How::Once => "once",
            How::OnUntil(_) => "on",
            How::Short => "short",
        };
        self.variables.extend([
            ("USHER_SHIM_AT", number.to_string()),
            ("USHER_SHIM_ERRNO", error.to_string()),
            ("USHER_SHIM_HOW", word.to_owned()),
        ]);
        if let How::OnUntil(file) = how {
            self.variables.push(("USHER_SHIM_UNTIL", text(file)));
        }
        self
    }

    /// Calls that read are counted, and can fail, as well.
    #[must_use]
    pub fn with_reads(mut self) -> Self {
        self.variables.push(("USHER_SHIM_READS", "1".to_owned()));
        self
    }

    /// These calls say that they did what they were asked, and do nothing.
    #[must_use]
    pub fn void(mut self, calls: &[&str]) -> Self {
        self.variables.push(("USHER_SHIM_VOID", calls.join(",")));
        self
    }

    /// The environment of a program on this disk.
    pub fn variables(&self) -> &[(&'static str, String)] {
        &self.variables
    }

    /// What was counted so far.
    pub fn calls(&self) -> Vec<Call> {
        let noted = fs::read_to_string(&self.log).unwrap_or_default();
        noted.lines().map(call).collect()
    }
}

fn call(line: &str) -> Call {
    let (failed, line) = match line.strip_prefix("! ") {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let mut words = line.splitn(3, ' ');
    let mut word = || words.next().unwrap();
    Call {
        number: word().parse().unwrap(),
        kind: word().to_owned(),
        path: word().into(),
        failed,
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_to_fail_fails_and_is_noted() {
        let place = tempfile::tempdir().unwrap();
        let (below, log) = (place.path().join("below"), place.path().join("log"));
        fs::create_dir(&below).unwrap();
        let run = |shim: &Shim| {
            let script = "echo one > one && echo two > two && rm one";
            let mut shell = Command::new("sh");
            shell.args(["-c", script]).current_dir(&below);
            shell.envs(shim.variables().iter().map(|(name, value)| (name, value)));
            shell.output().unwrap()
        };
        let shim = Shim::new(&below, &log);
        assert!(run(&shim).status.success());
        let counted = shim.calls();
        assert!(
            counted
                .iter()
                .all(|call| !call.failed && call.path.starts_with(&below))
        );
        let write = counted.iter().find(|call| call.kind == "write").unwrap();
        assert_eq!(write.path, below.join("one"));
        fs::remove_file(below.join("two")).unwrap();

        let shim = Shim::new(&below, &log).failing(write.number, 28, &How::Once);
        assert!(!run(&shim).status.success());
        assert!(
            shim.calls()
                .iter()
                .any(|call| call.failed && call.kind == "write")
        );
        assert!(!below.join("two").exists());
    }
}
