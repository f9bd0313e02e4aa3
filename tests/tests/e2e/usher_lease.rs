//! Do the verbs for scripts keep a lease between commands, and is it worth nothing elsewhere?

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use super::usher_site::{Site, stderr};

#[test]
fn a_lease_lives_between_commands_until_it_is_released() {
    let site = Site::new(&["--feature", "solver:1"]);
    let taken = site.call(&["checkout", "solver", "--for", "10m", "--json"]);
    let taken = json(&taken);
    let (id, file) = (text(&taken, "lease"), PathBuf::from(text(&taken, "file")));
    assert_eq!(
        (&taken["seats"], text(&taken, "feature").as_str()),
        (&1.into(), "solver")
    );
    assert!(text(&taken, "ends").ends_with('Z'));
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    site.wait_free("0");

    let second = site.call(&["checkout", "solver", "--for", "10m"]);
    assert_eq!(second.status.code(), Some(75), "{}", stderr(&second));

    let status = json(&site.call(&["status", "--json"]));
    assert_eq!(status[0]["lease"], taken["lease"]);
    assert_eq!(
        (&status[0]["holds"], &status[0]["server"]),
        (&true.into(), &"held".into())
    );

    for _ in 0..2 {
        let renewed = json(&site.call(&["renew", &id, "--for", "20m", "--json"]));
        assert_eq!(renewed["lease"], taken["lease"]);
        let left = renewed["left_ms"].as_u64().unwrap();
        assert!((19 * 60_000..=20 * 60_000).contains(&left), "{left}");
    }
    let released = site.call(&["release", &id]);
    assert!(released.status.success(), "{}", stderr(&released));
    assert!(!file.exists());
    site.wait_free("1");
    let again = site.call(&["release", &id]);
    assert_eq!(again.status.code(), Some(2), "{}", stderr(&again));
}

#[test]
fn release_all_gives_everything_back() {
    let site = Site::new(&["--feature", "solver:3"]);
    for _ in 0..3 {
        let taken = site.call(&["checkout", "solver", "--for", "10m"]);
        assert!(taken.status.success(), "{}", stderr(&taken));
        let id = String::from_utf8(taken.stdout).unwrap();
        assert!(
            id.trim_end().contains('-') && id.lines().count() == 1,
            "{id}"
        );
    }
    site.wait_free("0");
    assert!(site.call(&["release", "--all"]).status.success());
    site.wait_free("3");
    assert_eq!(
        json(&site.call(&["status", "--json"])),
        Value::Array(vec![])
    );
}

#[test]
fn a_status_without_a_server_judges_off_line() {
    let mut site = Site::new(&["--feature", "solver:1"]);
    assert!(
        site.call(&["checkout", "solver", "--for", "10m"])
            .status
            .success()
    );
    site.daemon.kill();
    let status = json(&site.call(&["status", "--json"]));
    assert_eq!(
        (&status[0]["holds"], &status[0]["server"]),
        (&true.into(), &"unreachable".into())
    );
}

#[test]
fn a_copied_or_edited_lease_is_refused_with_the_reason() {
    let site = Site::new(&["--feature", "solver:1"]);
    let file = site.station.home().join("my.lease");
    let path = file.to_str().unwrap();
    let taken = site.call(&["checkout", "solver", "--for", "10m", "-o", path]);
    assert!(taken.status.success(), "{}", stderr(&taken));
    let good = site.call(&["verify", path]);
    assert!(good.status.success(), "{}", stderr(&good));
    assert!(String::from_utf8_lossy(&good.stdout).contains("feature  acme/solver, seats: 1\n"));

    // Another user of this machine: another client key, the same trust.
    let state = site.station.home().join("other-state");
    let mut elsewhere = site.usher();
    elsewhere
        .env("XDG_STATE_HOME", &state)
        .args(["verify", path]);
    let elsewhere = elsewhere.output().unwrap();
    assert_eq!(elsewhere.status.code(), Some(77));
    assert!(
        stderr(&elsewhere).contains("wrong-device"),
        "{}",
        stderr(&elsewhere)
    );
    let mut renew = site.usher();
    renew.env("XDG_STATE_HOME", &state).args(["renew", path]);
    let renew = renew.output().unwrap();
    assert_eq!(renew.status.code(), Some(77), "{}", stderr(&renew));
    assert!(
        stderr(&renew).contains("wrong-device"),
        "{}",
        stderr(&renew)
    );

    let mut nobody = site.usher();
    nobody
        .env("USHER_TRUST_DIR", site.station.home().join("nobody"))
        .args(["verify", path]);
    let nobody = nobody.output().unwrap();
    assert_eq!(nobody.status.code(), Some(77));
    assert!(
        stderr(&nobody).contains("no vendor trusted here has the root"),
        "{}",
        stderr(&nobody)
    );

    let text = fs::read_to_string(&file).unwrap();
    let lease = text
        .lines()
        .find(|line| line.starts_with("lease = "))
        .unwrap();
    let mut edited = lease.to_owned();
    let at = lease.len() - 10;
    let other = if lease.as_bytes()[at] == b'A' {
        "B"
    } else {
        "A"
    };
    edited.replace_range(at..=at, other);
    fs::write(&file, text.replace(lease, &edited)).unwrap();
    let edited = site.call(&["verify", path]);
    assert_eq!(edited.status.code(), Some(77));
    assert!(
        stderr(&edited).contains("the lease was not signed by this site's key"),
        "{}",
        stderr(&edited)
    );
    fs::write(&file, "lease = 1").unwrap();
    assert_eq!(site.call(&["verify", path]).status.code(), Some(78));
}

#[test]
fn a_command_can_verify_the_lease_it_runs_under_and_cannot_release_it() {
    let site = Site::new(&["--feature", "solver:1"]);
    let usher = usher_tests::bins::path("usher");
    let script = format!(
        "{usher} verify \"$USHER_LEASE_FILE\" --json && {usher} release \"$USHER_LEASE_FILE\"; echo $?; echo $USHER_LEASE_FILE",
        usher = usher.display()
    );
    let output = site.run(&["solver", "--", "sh", "-c", &script]);
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    let mut lines = said.lines().rev();
    let file = PathBuf::from(lines.next().unwrap());
    assert_eq!(lines.next(), Some("78"), "{said}{}", stderr(&output));
    assert!(
        stderr(&output).contains("it only shows the lease"),
        "{}",
        stderr(&output)
    );
    assert!(said.contains("\"holds\": true"), "{said}");
    assert!(!file.exists(), "it ends with its command");
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", stderr(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap().to_owned()
}
