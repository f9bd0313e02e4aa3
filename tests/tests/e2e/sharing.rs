//! What shares one seat (T7): processes of a host, of a user, in containers with and without its key.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use super::usher_site::{Site, stderr};

/// Two containers that have their host's key mounted share its seat; one without counts apart.
#[test]
fn containers_with_the_mounted_key_of_their_host_share_its_seat() {
    let site = Site::new(&["--feature", "solver:1,grouping=host"]);
    let host = Container::own(&site, "host");
    succeeds(&host.usher(&site, &["checkout", "acme/solver", "--for", "30m"]));
    let key = host.key();
    let [one, two] = ["one", "two"].map(|name| Container::mounted(&site, name, &key));
    succeeds(&one.usher(&site, &["checkout", "acme/solver", "--for", "30m"]));
    succeeds(&two.usher(&site, &["checkout", "acme/solver", "--for", "30m"]));
    assert_eq!((out(&site), leases(&site)), (1, 3));

    let alone = Container::own(&site, "alone");
    let refused = alone.usher(&site, &["checkout", "acme/solver", "--for", "30m"]);
    assert_eq!(refused.status.code(), Some(75), "{}", stderr(&refused));

    // A seat comes free when its last lease ends.
    for it in [&host, &two] {
        succeeds(&it.release(&site));
        let refused = alone.usher(&site, &["checkout", "acme/solver", "--for", "30m"]);
        assert_eq!(refused.status.code(), Some(75), "{}", stderr(&refused));
    }
    succeeds(&one.release(&site));
    succeeds(&alone.usher(&site, &["checkout", "acme/solver", "--for", "30m"]));
}

#[test]
fn a_mounted_key_that_is_missing_or_open_to_others_is_refused_with_the_next_step() {
    let site = Site::new(&["--feature", "solver:1,grouping=host"]);
    let host = Container::own(&site, "host");
    succeeds(&host.usher(&site, &["checkout", "acme/solver", "--for", "30m"]));
    let missing = Container::mounted(&site, "one", Path::new("/nonexistent/usher.key"));
    let said = missing.usher(&site, &["checkout", "acme/solver", "--for", "30m"]);
    assert!(!said.status.success());
    let text = stderr(&said);
    assert!(
        text.contains("USHER_CLIENT_KEY") && text.contains("mount"),
        "{text}"
    );
    let open = site.station.home().join("open.key");
    fs::copy(host.key(), &open).unwrap();
    site.station.sh("chmod 644 open.key");
    let said = Container::mounted(&site, "two", &open)
        .usher(&site, &["checkout", "acme/solver", "--for", "30m"]);
    let text = stderr(&said);
    assert!(
        !said.status.success() && text.contains("chmod 600"),
        "{text}"
    );
}

/// Each process has a lease of its own, and the daemon's restart changes nothing.
#[test]
fn a_share_is_the_same_after_the_daemon_is_killed() {
    let mut site = Site::new(&["--feature", "solver:2,grouping=user-host"]);
    let (ann, bob) = (Container::own(&site, "ann"), Container::own(&site, "bob"));
    for it in [&ann, &ann, &bob, &bob] {
        succeeds(&it.usher(&site, &["checkout", "acme/solver", "--for", "30m"]));
    }
    assert_eq!((out(&site), leases(&site)), (2, 4));
    site.daemon.kill();
    site.daemon.start_again();
    assert_eq!((out(&site), leases(&site)), (2, 4));
    succeeds(&ann_again(&site, &ann));
    let full =
        Container::own(&site, "eve").usher(&site, &["checkout", "acme/solver", "--for", "30m"]);
    assert_eq!(full.status.code(), Some(75), "{}", stderr(&full));
}

fn ann_again(site: &Site, ann: &Container) -> Output {
    let output = ann.usher(site, &["checkout", "acme/solver", "--for", "30m"]);
    assert_eq!(out(site), 2, "it fits into the share");
    output
}

/// A place with a state of its own, as a container has.
struct Container {
    state: PathBuf,
    mounted: Option<PathBuf>,
}

impl Container {
    fn own(site: &Site, name: &str) -> Self {
        let state = site.station.home().join("containers").join(name);
        fs::create_dir_all(&state).unwrap();
        Self {
            state,
            mounted: None,
        }
    }

    fn mounted(site: &Site, name: &str, key: &Path) -> Self {
        Self {
            mounted: Some(key.to_owned()),
            ..Self::own(site, name)
        }
    }

    fn usher(&self, site: &Site, arguments: &[&str]) -> Output {
        let mut command = site.usher();
        command.args(arguments).env("XDG_STATE_HOME", &self.state);
        if let Some(key) = &self.mounted {
            command.env("USHER_CLIENT_KEY", key);
        }
        command.output().unwrap()
    }

    /// Gives back the one lease it has.
    fn release(&self, site: &Site) -> Output {
        let lease = find(&self.state, "lease");
        self.usher(site, &["release", lease.to_str().unwrap()])
    }

    fn key(&self) -> PathBuf {
        find(&self.state, "key")
    }
}

/// The one file of this kind below a directory.
fn find(directory: &Path, extension: &str) -> PathBuf {
    let found = walk(directory).into_iter();
    let mut found = found.filter(|path| path.extension().is_some_and(|it| it == extension));
    found.next().unwrap()
}

fn walk(directory: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(directory).unwrap();
    let below = files.map(|file| file.unwrap().path());
    below
        .flat_map(|path| {
            if path.is_dir() {
                walk(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", stderr(output));
}

/// Seats out, as the administrator sees them.
fn out(site: &Site) -> u64 {
    let status: Value = serde_json::from_str(&site.daemon.ask(&["status", "--json"])).unwrap();
    status["pools"][0]["out"].as_u64().unwrap()
}

fn leases(site: &Site) -> usize {
    let leases: Value = serde_json::from_str(&site.daemon.ask(&["leases", "--json"])).unwrap();
    leases.as_array().unwrap().len()
}
