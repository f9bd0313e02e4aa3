//! `usherd usage retire` on a real daemon: the log verifies without its oldest part, nothing else notices (S2, S6).

use std::fs;
use std::path::{Path, PathBuf};

use crate::admin_ground::{Site, wait_for};

#[test]
fn s2_what_is_retired_is_proved_apart_and_the_log_goes_on() {
    let mut site = Site::lending();
    let to = site.station.home().join("old");
    used_once(&site);
    // Nothing is as old as that, and then nothing is closed; but from now on it is.
    let said = retire(&site, "2020-01-01", &to);
    assert!(
        said.contains("nothing was moved: the log is one file"),
        "{said}"
    );
    used_once(&site);
    let said = retire(&site, "2020-01-01", &to);
    assert!(said.contains("has entries up to 20"), "{said}");
    assert!(!to.exists());
    let before = files(&site);
    let said = retire(&site, FUTURE, &to);
    assert!(
        said.contains("entries 1 to ") && said.contains("usage verify --log"),
        "{said}"
    );
    let moved = names(&to);
    assert_eq!(moved, before[..moved.len()]);
    assert!(!moved.is_empty() && moved.iter().all(|name| name.starts_with("usage-")));

    let verified = site.daemon.ask(&["usage", "verify"]);
    assert!(verified.contains("was retired)"), "{verified}");
    let old = ["usage", "verify", "--log", text(&to)];
    let said = site.daemon.ask(&old);
    assert!(said.contains("goes on where they end"), "{said}");
    what_is_printed(&site, &to);
    again(&mut site, &to, moved.len());
    site.daemon.terminate();
    site.daemon.ask(&["usage", "verify"]);
    let (code, said) = site.fails(&["usage", "retire", "--before", FUTURE, "--to", text(&to)]);
    assert_eq!(code, 1);
    assert!(said.contains("start it first"), "{said}");
}

/// Names and seats that only the retired part told are known all the same.
fn what_is_printed(site: &Site, to: &Path) {
    used_once(site);
    let shown = site.daemon.ask(&["usage", "show"]);
    assert!(
        shown.contains("retired the usage log up to entry"),
        "{shown}"
    );
    assert!(
        shown.contains("of acme/solver") && !shown.contains("pinned vendor"),
        "{shown}"
    );
    let report = site.daemon.ask(&["report", "--format", "json"]);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["rows"][0]["name"], "acme/solver");
    assert_eq!(report["rows"][0]["seats"], 2);
    assert!(report["first-entry"].as_u64().unwrap() > 1);
    let report = site.daemon.ask(&["report"]);
    assert!(report.contains("The log begins with entry"), "{report}");
    assert!(
        site.daemon
            .ask(&["report", "--log", text(to)])
            .contains("acme/solver")
    );
}

/// A crash, and a second retirement to the same directory.
fn again(site: &mut Site, to: &Path, moved: usize) {
    site.daemon.kill();
    site.daemon.start_again();
    used_once(site);
    retire(site, FUTURE, to);
    assert!(names(to).len() > moved + 1, "{:?}", names(to));
    assert!(names(to).iter().any(|name| name.starts_with("base-")));
    assert_eq!(
        files(site)
            .iter()
            .filter(|it| it.starts_with("base-"))
            .count(),
        1
    );
    site.daemon.ask(&["usage", "verify"]);
    let said = site.daemon.ask(&["usage", "verify", "--log", text(to)]);
    assert!(
        said.contains("goes on where they end") && !said.contains("was retired)"),
        "{said}"
    );
}

#[test]
fn s6_a_repair_after_a_retirement_knows_who_holds_what() {
    let mut site = Site::lending();
    let to = site.station.home().join("old");
    let backup = site.station.home().join("acme.snapshot");
    site.daemon.ask(&["backup", text(&backup)]);
    let client = site.client();
    let before = client.checkout("solver").send().unwrap();
    retire(&site, "2020-01-01", &to);
    used_once(&site);
    retire(&site, FUTURE, &to);
    let since = client.checkout("solver").send().unwrap();
    let ids = [&before, &since].map(|seat| seat.as_async().id().unwrap().to_string());
    site.daemon.terminate();
    let (code, said) = site.fails(&["restore", "--yes", text(&backup)]);
    assert_eq!(code, 1);
    assert!(
        said.contains("were retired") && said.contains("base-*.snapshot"),
        "{said}"
    );
    let store = site.daemon.state_dir().join("store");
    fs::remove_file(store.join("db")).unwrap();
    let (_, said) = site.fails(&["repair"]);
    assert!(said.contains("the usage log: its base"), "{said}");
    let said = site.daemon.ask(&["repair", "--yes"]);
    assert!(
        said.contains("after the start, no seat is granted for"),
        "{said}"
    );
    site.daemon.start_again();
    let leases = site.daemon.ask(&["leases"]);
    assert!(ids.iter().all(|id| leases.contains(id)), "{leases}");
    wait_for("both clients' return", || {
        before.state().holds() && since.state().holds()
    });
    wait_for("the end of the hold", || {
        site.daemon.ask(&["status"]).contains(": granting\n")
    });
    site.daemon.ask(&["usage", "verify"]);
}

#[test]
fn s2_a_file_that_nobody_retired_and_a_base_that_was_edited_are_found() {
    let site = Site::lending();
    let to = site.station.home().join("old");
    retire(&site, "2020-01-01", &to);
    used_once(&site);
    retire(&site, FUTURE, &to);
    let usage = site.daemon.state_dir().join("usage");
    let is_base = |name: &String| name.starts_with("base-");
    let base = usage.join(files(&site).into_iter().find(is_base).unwrap());
    let mut bytes = fs::read(&base).unwrap();
    bytes[100] ^= 1;
    fs::write(&base, bytes).unwrap();
    let (code, said) = site.fails(&["usage", "verify"]);
    assert_eq!(code, 1);
    assert!(said.contains("a repair could not go on from it"), "{said}");
    // The next retirement mends it, also with nothing to move.
    let said = retire(&site, "2020-01-01", &to);
    assert!(said.contains("a new base"), "{said}");
    site.daemon.ask(&["usage", "verify"]);
    let number = site.daemon.ask(&["usage", "export", "--json"]);
    let number = number
        .lines()
        .next()
        .unwrap()
        .split([':', ','])
        .nth(1)
        .unwrap()
        .to_owned();
    let part = site
        .daemon
        .ask(&["usage", "export", "--json", "--to", &number]);
    assert_eq!(part.lines().count(), 1, "{part}");
    // The file in use was ended: one file more goes, and nobody told of it.
    used_once(&site);
    let first = files(&site).into_iter().find(|it| it.starts_with("usage-"));
    fs::remove_file(usage.join(first.unwrap())).unwrap();
    let (code, said) = site.fails(&["usage", "verify"]);
    assert_eq!(code, 1);
    assert!(said.contains("it was removed"), "{said}");
    let (code, said) = site.fails(&["usage", "verify", "--log", text(&to)]);
    assert_eq!(code, 1);
    assert!(said.contains("it was removed"), "{said}");
    // Nor is a part of it shown as if it were whole, although its own entries are sound.
    let first = files(&site).into_iter().find(|it| it.starts_with("usage-"));
    let number = first.unwrap()["usage-".len()..][..20].to_owned();
    let (code, said) = site.fails(&["usage", "export", "--json", "--to", &number]);
    assert_eq!(code, 1);
    assert!(said.contains("it was removed"), "{said}");
}

fn used_once(site: &Site) {
    let seat = site.client().checkout("solver").send().unwrap();
    seat.release().unwrap();
}

fn retire(site: &Site, before: &str, to: &Path) -> String {
    site.daemon
        .ask(&["usage", "retire", "--before", before, "--to", text(to)])
}

fn files(site: &Site) -> Vec<String> {
    let mut names = names(&site.daemon.state_dir().join("usage"));
    names.sort_by_key(|name| !name.starts_with("usage-"));
    names
}

fn names(directory: &Path) -> Vec<String> {
    let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| name(entry.unwrap().path())).collect();
    names.sort();
    names
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

const FUTURE: &str = "2099-01-01";
