//! What lies in the state directory: room, a disk that syncs in time, the store, the site key's custody.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use usher_client::{clock::Clock, doctor::Check, keyfile::is_open_to_others};

use crate::{
    admin::client::AdminClient,
    config::Config,
    journal::{self, Format, StorePaths},
};

pub(super) fn checks(config: &Config) -> Vec<Check> {
    let state = &config.state_dir;
    let about = match fs::metadata(state) {
        Ok(about) => about,
        Err(error) => return vec![unseen(state, &error)],
    };
    vec![
        room(state),
        syncs(state),
        site_key(state, about.uid()),
        store(config),
    ]
}

fn unseen(state: &Path, error: &io::Error) -> Check {
    let next = match error.kind() {
        io::ErrorKind::NotFound => {
            "systemctl start usherd makes it; or name the daemon's own: --state-dir"
        }
        _ => "run this as root or as usherd's own user",
    };
    let finding = format!("{} cannot be looked at: {error}", state.display());
    Check::fail("state", finding, next)
}

fn room(state: &Path) -> Check {
    let Ok(about) = rustix::fs::statvfs(state) else {
        return Check::warn(
            "disk",
            "its room cannot be told",
            format!("df {}", state.display()),
        );
    };
    of_room(about.f_bavail.saturating_mul(about.f_frsize) >> 20, state)
}

fn of_room(free: u64, state: &Path) -> Check {
    let finding = format!("{free} MiB are free for {}", state.display());
    let next = "free some room: without it no seat is granted; the oldest part of the usage log may go elsewhere: usherd usage retire";
    match free {
        0..FREE_MIB_MIN => Check::fail("disk", finding, next),
        FREE_MIB_MIN..FREE_MIB_ENOUGH => Check::warn("disk", finding, next),
        _ => Check::ok("disk", finding),
    }
}

/// Each grant waits for one such sync (L2).
fn syncs(state: &Path) -> Check {
    let path = state.join(format!("doctor.{}.tmp", std::process::id()));
    let took = timed_syncs(&path);
    // Also where it failed halfway.
    let _ = fs::remove_file(&path);
    match took {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Check::warn(
            "fsync",
            "how long a sync takes cannot be tried",
            "run this as root or as usherd's own user",
        ),
        Err(error) => Check::fail(
            "fsync",
            format!("{} cannot be written: {error}", state.display()),
            "look at the disk and the kernel's log: dmesg",
        ),
        Ok(took) => of_sync(took),
    }
}

fn of_sync(took_us: u64) -> Check {
    let finding = format!(
        "a sync takes {}.{} ms",
        took_us / 1000,
        took_us % 1000 / 100
    );
    let next = "put the state directory on a local disk with a write cache that survives a power cut, not on a network or a busy disk";
    match took_us {
        0..SLOW_US => Check::ok("fsync", finding),
        SLOW_US..TOO_SLOW_US => Check::warn("fsync", finding, next),
        _ => Check::fail("fsync", finding, next),
    }
}

/// One sync on average, in microseconds.
fn timed_syncs(path: &Path) -> io::Result<u64> {
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let clock = Clock::new();
    let began = clock.boot();
    for _ in 0..SYNCS {
        file.write_all(&[0; 512])?;
        file.sync_data()?;
    }
    Ok(clock.boot().since(began).0 * 1000 / SYNCS)
}

fn site_key(state: &Path, owner: u32) -> Check {
    let path = state.join("site.key");
    let named = path.display();
    let about = match fs::symlink_metadata(&path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Check::ok(
                "site-key",
                "no file: it is a credential of systemd, or made at the first start",
            );
        }
        Err(error) => {
            let next = "run this as root or as usherd's own user";
            return Check::fail("site-key", format!("{named}: {error}"), next);
        }
    };
    if is_open_to_others(&about) {
        let mode = about.mode() & 0o777;
        return Check::fail(
            "site-key",
            format!("{named} is open to others (mode {mode:03o}); usherd does not start with it"),
            format!(
                "if nobody else has read it: chmod 600 {named}; else have new licenses made for a new key"
            ),
        );
    }
    if about.uid() != owner {
        return Check::fail(
            "site-key",
            format!(
                "{named} belongs to user {}, the state directory to {owner}",
                about.uid()
            ),
            format!("chown {owner} {named}"),
        );
    }
    Check::ok("site-key", format!("{named} is its owner's alone"))
}

/// A running daemon has the store open and says itself what is wrong with it.
fn store(config: &Config) -> Check {
    let paths = StorePaths::new(&config.state_dir);
    if AdminClient::connect(&config.admin_socket).is_ok() {
        return Check::ok("store", "in use by the running daemon");
    }
    if !paths.marker.exists() {
        return Check::ok("store", "none yet: it is made at the first start");
    }
    match journal::log_head(&config.state_dir, &Format::current()) {
        Ok(head) => Check::ok(
            "store",
            format!("whole; usage log up to entry {}", head.number),
        ),
        Err(error) => Check::fail("store", error.to_string(), error.next_step()),
    }
}

const FREE_MIB_MIN: u64 = 64;
const FREE_MIB_ENOUGH: u64 = 1024;
const SYNCS: u64 = 16;
const SLOW_US: u64 = 20_000;
const TOO_SLOW_US: u64 = 500_000;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use usher_client::doctor::Level;

    use super::*;

    #[test]
    fn a_key_that_others_may_read_is_a_failure_with_its_next_step() {
        let state = tempfile::tempdir().unwrap();
        let owner = fs::metadata(state.path()).unwrap().uid();
        assert_eq!(site_key(state.path(), owner).level, Level::Ok);
        let key = state.path().join("site.key");
        fs::write(&key, "x").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let check = site_key(state.path(), owner);
        assert_eq!(check.level, Level::Fail);
        assert!(check.next.unwrap().contains("chmod 600"));
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(site_key(state.path(), owner).level, Level::Ok);
        assert!(
            site_key(state.path(), owner + 1)
                .finding
                .contains("belongs to user")
        );
    }

    #[test]
    fn a_sync_is_tried_and_leaves_nothing() {
        let state = tempfile::tempdir().unwrap();
        let check = syncs(state.path());
        assert!(check.finding.contains("a sync takes"), "{check:?}");
        assert_eq!(fs::read_dir(state.path()).unwrap().count(), 0);
        let levels = [5_000, 20_000, 500_000].map(|took| of_sync(took).level);
        assert_eq!(levels, [Level::Ok, Level::Warn, Level::Fail]);
        assert_eq!(of_sync(1234).finding, "a sync takes 1.2 ms");
    }

    #[test]
    fn a_disk_is_doubtful_below_a_gibibyte_and_full_long_before_it_is() {
        let levels = [1024, 1023, 64, 63, 0].map(|free| of_room(free, Path::new("/s")).level);
        let [ok, warn, fail] = [Level::Ok, Level::Warn, Level::Fail];
        assert_eq!(levels, [ok, warn, warn, fail, fail]);
    }

    #[test]
    fn a_state_directory_that_is_not_there_is_told_with_the_next_step() {
        let check = unseen(Path::new("/nonexistent"), &io::ErrorKind::NotFound.into());
        assert!(check.next.unwrap().contains("--state-dir"));
    }
}
