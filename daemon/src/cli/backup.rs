//! `usherd backup`: a copy of the live state, from the running daemon between two batches, or from a stopped store (S6).

use std::{
    fs::{self, File},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::{
    Failure,
    print::{self, counted},
};
use crate::{
    admin::{
        client::AdminClient,
        protocol::{Answer, Ask, BackupReport},
    },
    config::{Config, Overrides, Places},
    durable,
    journal::{self, SledOptions, SnapshotInfo, backup::verify_snapshot},
};

/// Where the copy goes.
#[derive(Debug, clap::Args)]
pub(super) struct BackupArgs {
    /// The new file, or a directory for one; nothing is ever overwritten
    target: PathBuf,
}

/// Makes the copy and checks it.
pub(super) fn run(args: &BackupArgs, places: &Places) -> Result<(), Failure> {
    let config = Config::load(&Overrides::of_places(places))?;
    let target = new_file(&args.target)?;
    match AdminClient::connect(&config.admin_socket) {
        Ok(mut daemon) => match daemon.ask(Ask::Backup)? {
            Answer::Backup(report) => fetch(&report, &target)?,
            other => return Err(Failure::of_answer(other)),
        },
        Err(error) if error.is_not_running() => {
            journal::backup_stopped(&config.state_dir, &target, &SledOptions::default())
                .map_err(|error| Failure::new(error.to_string()))?;
        }
        Err(error) => return Err(error.into()),
    }
    let info = verify_snapshot(&target).map_err(|error| Failure::new(error.to_string()))?;
    print::text(&done(&info, &config))
}

fn new_file(target: &Path) -> Result<PathBuf, Failure> {
    let target = if target.is_dir() {
        let now = usher_client::clock::Clock::new().now().wall;
        target.join(format!("usherd-{}.snapshot", now.0))
    } else {
        target.to_owned()
    };
    if target.symlink_metadata().is_ok() {
        return Err(Failure::new(format!(
            "{} is there already; choose another name",
            target.display()
        )));
    }
    Ok(target)
}

/// The daemon writes in its own directory alone; whoever asked carries the copy away.
fn fetch(report: &BackupReport, target: &Path) -> Result<(), Failure> {
    let from = &report.path;
    copy(from, target).map_err(|error| {
        // Half a backup is worse than none.
        let _ = fs::remove_file(target);
        Failure::new(format!(
            "the backup is made, but cannot be copied from {} to {}: {error}; copy it with sudo, then remove it there",
            from.display(),
            target.display()
        ))
    })?;
    fs::remove_file(from).map_err(|error| {
        Failure::new(format!(
            "{} is complete, but the first copy {} stays: {error}; remove it with sudo",
            target.display(),
            from.display()
        ))
    })
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = File::open(from)?;
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)?;
    io::copy(&mut from, &mut file)?;
    file.sync_all()?;
    durable::sync(durable::parent_of(to))
}

fn done(info: &SnapshotInfo, config: &Config) -> String {
    format!(
        "✓ {}: {}, {} bytes, the usage log up to entry {}\n  not in it, keep copies: {} (the licenses name it), {} (played on top at a restore)\n",
        info.path.display(),
        counted(info.records, "record"),
        info.bytes,
        info.header.log.number,
        config.state_dir.join("site.key").display(),
        journal::StorePaths::new(&config.state_dir).usage.display(),
    )
}
