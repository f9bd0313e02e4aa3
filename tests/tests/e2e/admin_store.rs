//! Backup, restore, repair, and the usage log: what an administrator can rely on when something went wrong.

use std::fs;
use std::path::{Path, PathBuf};

use crate::admin_ground::{Site, wait_for};

#[test]
fn the_usage_log_is_whole_after_a_kill() {
    let mut site = Site::lending();
    let client = site.client();
    let ids: Vec<String> = (0..20)
        .map(|_| {
            let seat = client.checkout("solver").send().unwrap();
            let id = seat.as_async().id().unwrap().to_string();
            seat.release().unwrap();
            id
        })
        .collect();
    let kept = client.checkout("solver").send().unwrap();
    site.daemon.kill();
    site.daemon.start_again();
    let entries = export(&site, &[]);
    let of = |event: &str, id: &str| {
        let is = |entry: &&serde_json::Value| entry["event"] == event && entry["lease"] == id;
        entries.iter().filter(is).count()
    };
    for id in &ids {
        assert_eq!((of("granted", id), of("released", id)), (1, 1), "{id}");
    }
    assert_eq!(of("granted", &kept.as_async().id().unwrap().to_string()), 1);
    for (entry, number) in entries.iter().zip(1_u64..) {
        assert_eq!(entry["number"], number);
        assert!(entry.get("nonce").is_none());
    }
    let verified = site.daemon.ask(&["usage", "verify"]);
    assert!(verified.starts_with("✓ "), "{verified}");
    let some = export(&site, &["--from", "3", "--to", "5"]);
    assert_eq!(some, entries[2..5]);
}

#[test]
fn an_edited_or_shortened_log_is_found() {
    let mut site = Site::lending();
    site.client()
        .checkout("solver")
        .send()
        .unwrap()
        .release()
        .unwrap();
    site.daemon.terminate();
    let verified = site.daemon.ask(&["usage", "verify"]);
    let segment = segment(&site);
    let good = fs::read(&segment).unwrap();
    let place = good.windows(4).position(|bytes| bytes == b"anna").unwrap();
    let mut bad = good.clone();
    bad[place] = b'b';
    fs::write(&segment, &bad).unwrap();
    let (code, said) = site.fails(&["usage", "verify"]);
    assert_eq!(code, 1);
    assert!(
        said.contains("entry ") && said.contains("usherd repair"),
        "{said}"
    );
    assert_eq!(site.fails(&["usage", "export", "--json"]).0, 1);
    // The daemon does not go on on it, either.
    assert!(!site.daemon.start_and_fail().status.success());
    fs::write(&segment, &good[..good.len() - 40]).unwrap();
    assert!(site.fails(&["usage", "verify"]).1.contains("cut off"));
    fs::write(&segment, &good).unwrap();
    assert_eq!(site.daemon.ask(&["usage", "verify"]), verified);
}

#[test]
fn a_restored_backup_with_its_log_loses_nothing() {
    let mut site = Site::lending();
    let backup = backup(&site);
    let (code, said) = site.fails(&["restore", "--yes", text(&backup)]);
    assert_eq!(code, 1);
    assert!(said.contains("stop it first"), "{said}");
    let seat = site.client().checkout("solver").send().unwrap();
    let id = seat.as_async().id().unwrap();
    site.daemon.terminate();
    let (code, said) = site.fails(&["restore", text(&backup)]);
    assert_eq!(code, 2);
    assert!(said.contains("no seat is granted for 11s"), "{said}");
    let said = site.daemon.ask(&["restore", "--yes", text(&backup)]);
    assert!(
        said.contains("nothing was lost") && said.contains("kept: "),
        "{said}"
    );
    site.daemon.start_again();
    assert!(
        site.daemon
            .ask(&["status", "--check"])
            .contains(": granting\n")
    );
    wait_for("the client's return", || {
        site.daemon.ask(&["leases"]).contains(&id.to_string()) && seat.state().holds()
    });
}

#[test]
fn a_restored_backup_without_its_log_holds_and_the_client_comes_back() {
    let mut site = Site::lending();
    let backup = backup(&site);
    let seat = site.client().checkout("solver").send().unwrap();
    let id = seat.as_async().id().unwrap();
    site.daemon.terminate();
    fs::remove_file(segment(&site)).unwrap();
    let said = site.daemon.ask(&["restore", "--yes", text(&backup)]);
    assert!(said.contains("no seat is granted for"), "{said}");
    site.daemon.start_again();
    let second = site.client().checkout("solver").send();
    assert!(second.is_err(), "a seat was granted during the hold");
    let (code, said) = site.fails(&["status", "--check"]);
    assert_eq!(code, 1);
    assert!(said.contains("holding"), "{said}");
    wait_for("the client's return", || {
        site.daemon.ask(&["leases"]).contains(&id.to_string()) && seat.state().holds()
    });
    wait_for("the end of the hold", || {
        site.daemon.ask(&["status"]).contains(": granting\n")
    });
    assert!(seat.state().holds());
    site.daemon.ask(&["usage", "verify"]);
}

#[test]
fn a_damaged_store_is_refused_and_repaired() {
    let mut site = Site::lending();
    let backup = backup(&site);
    site.daemon.terminate();
    let store = site.daemon.state_dir().join("store");
    fs::remove_file(store.join("db")).unwrap();
    let said = site.daemon.start_and_fail();
    assert!(!said.status.success());
    let said = String::from_utf8_lossy(&said.stderr).into_owned() + &site.daemon.log();
    assert!(said.contains("usherd repair"), "{said}");
    let said = site
        .daemon
        .ask(&["repair", "--yes", "--backup", text(&backup)]);
    assert!(
        said.contains("after the start, no seat is granted for"),
        "{said}"
    );
    site.daemon.start_again();
    assert!(site.fails(&["status", "--check"]).1.contains("holding"));
    wait_for("the end of the hold", || {
        site.daemon.ask(&["status"]).contains(": granting\n")
    });
}

#[test]
fn a_backup_of_a_stopped_store_is_as_good() {
    let mut site = Site::lending();
    site.daemon.terminate();
    let backup = backup(&site);
    assert_eq!(site.fails(&["backup", text(&backup)]).0, 1);
    let said = site.daemon.ask(&["restore", "--yes", text(&backup)]);
    assert!(said.contains("nothing was lost"), "{said}");
    let mut bytes = fs::read(&backup).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&backup, bytes).unwrap();
    assert_eq!(site.fails(&["restore", "--yes", text(&backup)]).0, 1);
    site.daemon.start_again();
}

fn backup(site: &Site) -> PathBuf {
    let target = site.station.home().join("acme.snapshot");
    let said = site.daemon.ask(&["backup", text(&target)]);
    assert!(said.contains("site.key"), "{said}");
    target
}

fn export(site: &Site, more: &[&str]) -> Vec<serde_json::Value> {
    let text = site
        .daemon
        .ask(&[&["usage", "export", "--json"][..], more].concat());
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn segment(site: &Site) -> PathBuf {
    let mut files = fs::read_dir(site.daemon.state_dir().join("usage")).unwrap();
    files.next().unwrap().unwrap().path()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
