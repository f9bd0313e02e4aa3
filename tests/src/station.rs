//! Where a program runs: on this machine or on a host of a test's own network, with a home of its own.
//! Must not decide what runs there.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use tempfile::TempDir;

use crate::bins;

/// A place for programs: its own home and `XDG_*` directories, and on a [`Host`](crate::hosts::Host) its own network.
#[derive(Clone)]
pub struct Station {
    home: PathBuf,
    /// The process whose namespaces to enter; none for this machine.
    pub(crate) holder: Option<u32>,
    /// Keeps the home of a station on this machine until the last clone is gone.
    _directory: Option<Arc<TempDir>>,
}

impl Station {
    /// A new place on this machine.
    pub fn here() -> Self {
        Self::of_directory(TempDir::new().unwrap())
    }

    /// As [`Station::here`], on a file system in memory where there is one: syncs cost nothing, whatever else
    /// happens to the machine's disk. Only the machine's own power cut would lose it.
    pub fn in_memory() -> Self {
        let memory = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new());
        Self::of_directory(memory.unwrap())
    }

    fn of_directory(directory: TempDir) -> Self {
        let home = directory.path().to_owned();
        make_directories(&home);
        Self {
            home,
            holder: None,
            _directory: Some(Arc::new(directory)),
        }
    }

    /// The place of a host, whose home must exist and whose namespaces the process `holder` holds.
    pub(crate) fn of_host(home: PathBuf, holder: u32) -> Self {
        make_directories(&home);
        Self {
            home,
            holder: Some(holder),
            _directory: None,
        }
    }

    /// Its home directory.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The address that programs of this place reach each other by.
    pub fn loopback(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }

    /// A command that runs here, in the home directory: a program of this workspace by its name, or any other.
    ///
    /// The spawned process is the program itself, so that it can be stopped and killed by its id.
    pub fn command(&self, program: &str) -> Command {
        let program = if bins::is_ours(program) {
            bins::path(program)
        } else {
            PathBuf::from(program)
        };
        let mut command = match self.holder {
            Some(holder) => enter(holder, &program),
            None => Command::new(program),
        };
        command.current_dir(&self.home).env("HOME", &self.home);
        for (variable, directory) in XDG {
            command.env(variable, self.home.join(directory));
        }
        for variable in SETTINGS_OF_THE_TESTER {
            command.env_remove(variable);
        }
        command
    }

    /// Runs a program to its end and returns what it printed; panics with all it said where it fails.
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.command(program).args(arguments).output().unwrap();
        told(&output, &format!("{program} {}", arguments.join(" ")))
    }

    /// Runs a shell script that ends at the first failure, as [`Station::run`].
    pub fn sh(&self, script: &str) -> String {
        let output = self
            .command("sh")
            .args(["-e", "-c", script])
            .output()
            .unwrap();
        told(&output, script)
    }
}

/// Standard output of a program that must have succeeded; `what` names it.
pub fn told(output: &Output, what: &str) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{what}: {}\n{said}\n{complained}",
        output.status
    );
    said
}

fn enter(holder: u32, program: &Path) -> Command {
    let mut command = Command::new("nsenter");
    command.args([
        "--target",
        &holder.to_string(),
        "--net",
        "--mount",
        "--uts",
        "--",
    ]);
    command.arg(program);
    command
}

fn make_directories(home: &Path) {
    for (_, directory) in XDG {
        fs::create_dir_all(home.join(directory)).unwrap();
    }
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(home.join("run"), private).unwrap();
}

const XDG: [(&str, &str); 5] = [
    ("XDG_CONFIG_HOME", ".config"),
    ("XDG_STATE_HOME", ".local/state"),
    ("XDG_CACHE_HOME", ".cache"),
    ("XDG_DATA_HOME", ".local/share"),
    ("XDG_RUNTIME_DIR", "run"),
];
/// What a person who runs the tests may have set for work of their own.
const SETTINGS_OF_THE_TESTER: &[&str] = &[
    "USHER_SERVER",
    "USHER_CLIENT_KEY",
    "USHERD_CONFIG",
    "USHERD_STATE_DIR",
    "USHERD_ADMIN_SOCKET",
    "USHERD_LISTEN",
    "USHER_ISSUER_DIR",
];
