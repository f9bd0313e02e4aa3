//! `usherd usage retire` and disks: to another file system, to a full one, and on a full one of its own (S2, L13).

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use usher_tests::hosts::on_lan;

use crate::admin_ground::{Site, failed, wait_for};

#[test]
fn s2_what_is_retired_to_a_full_file_system_is_whole_on_one_side_or_the_other() {
    // Only for its mount namespace.
    on_lan(|_| {
        let site = Site::lending();
        let to = site.station.home().join("old");
        mount(&site, &to);
        let log = site.daemon.state_dir().join("usage");
        assert_ne!(
            device(&to),
            device(&log),
            "nothing is proved on one file system"
        );
        for _ in 0..FILES {
            used_once(&site);
            retire(&site, "2020-01-01", &to).unwrap();
        }
        let closed = files(&log);
        // What a retirement itself tells is younger.
        let now = site.station.sh("date -u +%FT%T.%3NZ");
        let filler = fill(&to, 0);
        let mut refused = 0;
        loop {
            let outcome = retire(&site, now.trim(), &to);
            let moved = files(&to);
            assert_eq!(moved, closed[..moved.len()], "the oldest first");
            let left = files(&log);
            let all = moved.iter().chain(&left).filter(|it| closed.contains(it));
            assert_eq!(all.count(), closed.len(), "each is in one place");
            site.daemon.ask(&["usage", "verify"]);
            match outcome {
                Ok(_) => break,
                Err(said) => {
                    assert!(
                        said.contains("No space left on device")
                            && said.contains("run this once more"),
                        "{said}"
                    );
                    assert!(!names(&to).iter().any(|it| it.ends_with(".partial")));
                    refused += 1;
                    shrink(&filler);
                }
            }
        }
        assert!(refused >= 3, "it was never full: {refused}");
        let verified = ["usage", "verify", "--log", to.to_str().unwrap()];
        let said = site.daemon.ask(&verified);
        assert!(
            said.contains("goes on where they end") && !said.contains("was retired)"),
            "{said}"
        );
        // Nothing of it holds up anybody.
        used_once(&site);
    });
}

#[test]
fn l13_a_full_disk_at_any_step_of_a_retirement_costs_a_start_and_nothing_else() {
    on_lan(|_| {
        let mut site = Site::lending();
        let to = site.station.home().join("old");
        site.daemon.terminate();
        let state = site.daemon.state_dir();
        onto_small_disk(&site, &state);
        site.daemon.start_again();
        used_once(&site);
        retire(&site, "2020-01-01", &to).unwrap();
        wait_for("a file that is not in use any more", || {
            used_once(&site);
            files(&state.join("usage")).len() > 1
        });
        let held = site.client().checkout("solver").send().unwrap();
        let lease = held.as_async().id().unwrap().to_string();
        let mut ended = 0;
        for pages in 0.. {
            let filler = fill(&state, pages);
            let before = site.daemon.log().len();
            let outcome = retire(&site, FUTURE, &to);
            fs::remove_file(filler).unwrap();
            if outcome.is_err() {
                ended += 1;
                assert!(!site.daemon.wait().success());
                let said = site.daemon.log()[before..].to_owned();
                assert!(said.contains("free disk space"), "{said}");
                // Without a daemon, and with the next.
                site.daemon.ask(&["usage", "verify"]);
                site.daemon.start_again();
            }
            site.daemon.ask(&["usage", "verify"]);
            assert!(site.daemon.ask(&["leases"]).contains(&lease));
            if outcome.is_ok() {
                break;
            }
        }
        assert!(ended >= 1, "it was never full");
        let bases = names(&state.join("usage"));
        assert!(
            bases
                .iter()
                .all(|it| it.starts_with("usage-") || it.starts_with("base-")),
            "{bases:?}"
        );
        let said = site
            .daemon
            .ask(&["usage", "verify", "--log", to.to_str().unwrap()]);
        assert!(said.contains("goes on where they end"), "{said}");
    });
}

fn mount(site: &Site, to: &Path) {
    let to = to.display();
    site.station.sh(&format!(
        "mkdir {to}; mount -t tmpfs -o size=1m,mode=700 tmpfs {to}"
    ));
}

fn onto_small_disk(site: &Site, state: &Path) {
    let state = state.display();
    site.station.sh(&format!(
        "cp -a {state} kept
        mount -t tmpfs -o size=8m tmpfs {state}
        cp -a kept/. {state}
        chmod 700 {state}"
    ));
}

fn used_once(site: &Site) {
    let seat = site.client().checkout("solver").send().unwrap();
    seat.release().unwrap();
}

/// What it printed, or what it complained of.
fn retire(site: &Site, before: &str, to: &Path) -> Result<String, String> {
    let words = ["usage", "retire", "--before", before, "--to"];
    let output = site.daemon.admin(&words).arg(to).output().unwrap();
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout).unwrap());
    }
    Err(failed(&output).1)
}

/// Takes all the space there is but so many pages.
fn fill(directory: &Path, pages: u64) -> PathBuf {
    let filler = directory.join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    let length = file.metadata().unwrap().len();
    let left = (length / PAGE_BYTES).saturating_sub(pages);
    file.set_len(left * PAGE_BYTES).unwrap();
    filler
}

/// A page less.
fn shrink(filler: &Path) {
    let file = fs::File::options().write(true).open(filler).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length - PAGE_BYTES).unwrap();
}

/// Of the log, the oldest first.
fn files(directory: &Path) -> Vec<String> {
    let is_log = |name: &String| name.starts_with("usage-");
    names(directory).into_iter().filter(is_log).collect()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    let mut names: Vec<_> = entries.map(|entry| name(entry.unwrap())).collect();
    names.sort();
    names
}

fn device(path: &Path) -> u64 {
    path.metadata().unwrap().dev()
}

const FUTURE: &str = "2099-01-01";
const FILES: usize = 3;
const PAGE_BYTES: u64 = 4096;
