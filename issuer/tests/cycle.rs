//! The vendor's whole cycle through the real command: keys, licenses, log, and what must not happen.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const SITE: &str = "ed25519:6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vntVPgl3kYNzI8E=";

struct Vendor {
    _home: tempfile::TempDir,
    dir: PathBuf,
    passphrase: PathBuf,
}

impl Vendor {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let passphrase = home.path().join("passphrase");
        fs::write(&passphrase, "correct horse\n").unwrap();
        let vendor = Self {
            dir: home.path().join("keys"),
            passphrase,
            _home: home,
        };
        let made = vendor.run(&["key", "new", "--vendor", "acme"]);
        assert!(made.status.success(), "{made:?}");
        vendor
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_usher-issuer"));
        command
            .args(arguments)
            .env("USHER_ISSUER_DIR", &self.dir)
            .env_remove("HOME");
        command.env(
            "USHER_ISSUER_PASSPHRASE",
            fs::read_to_string(&self.passphrase).unwrap(),
        );
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn license(&self, name: &str, more: &[&str]) -> PathBuf {
        let path = self.dir.with_file_name(name);
        let made = self.try_license(&path, more);
        assert!(made.status.success(), "{made:?}");
        path
    }

    fn try_license(&self, path: &Path, more: &[&str]) -> Output {
        let fixed = [
            "license",
            "new",
            "--site-key",
            SITE,
            "--feature",
            "solver:10",
            "-o",
        ];
        let mut arguments = fixed.to_vec();
        arguments.extend([path.to_str().unwrap(), "--expires", "2028-12-31"]);
        arguments.extend(more);
        self.run(&arguments)
    }

    fn log(&self) -> PathBuf {
        self.dir.join("issuer.log")
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_license_goes_the_whole_way() {
    let vendor = Vendor::new();
    let path = vendor.license(
        "acme.lic",
        &["--feature", "mesher:unlimited,version=2027.1"],
    );
    let shown = vendor.run(&["license", "show", "--json", path.to_str().unwrap()]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["id"], "acme-0001");
    assert_eq!(shown["features"][0]["seats"], 10);
    assert_eq!(shown["features"][1]["seats"], serde_json::Value::Null);
    assert_eq!(shown["features"][0]["expires"], "2029-01-01T00:00:00Z");
    let verified = vendor.run(&["license", "verify", path.to_str().unwrap()]);
    assert!(
        stdout(&verified).contains("genuine: license acme-0001, serial 1"),
        "{verified:?}"
    );
    let log = vendor.run(&["log", "verify"]);
    assert!(stdout(&log).starts_with("2 entries"), "{log:?}");
}

#[test]
fn every_term_reaches_the_license() {
    let vendor = Vendor::new();
    let terms = "mesher:4,borrow-max=7d,early-return=true,write-off=2,grouping=user,\
                 claimed-user=true,overdraft=1";
    let path = vendor.license("acme.lic", &["--feature", terms]);
    let shown = vendor.run(&["license", "show", "--json", path.to_str().unwrap()]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let mesher = &shown["features"][1];
    assert_eq!(mesher["borrow_ms_max"], 604_800_000);
    assert_eq!(mesher["early_return"], true);
    assert_eq!(mesher["write_off"], 2);
    assert_eq!(mesher["grouping"], "user");
    assert_eq!(mesher["claimed_user"], true);
    assert_eq!(mesher["overdraft"], 1);
    // Half of it makes no sense, and nothing is signed then.
    for half in ["mesher:4,grouping=user", "mesher:4,write-off=2"] {
        let path = vendor.dir.with_file_name("half.lic");
        let refused = vendor.try_license(&path, &["--feature", half]);
        assert!(!refused.status.success(), "{refused:?}");
        assert!(!path.exists());
    }
}

#[test]
fn serials_count_up_by_themselves_and_never_back() {
    let vendor = Vendor::new();
    vendor.license("one.lic", &["--license-id", "site-7"]);
    let second = vendor.license("two.lic", &["--license-id", "site-7"]);
    assert!(fs::read_to_string(second).unwrap().contains("serial = 2"));
    let path = vendor.dir.with_file_name("three.lic");
    let refused = vendor.try_license(&path, &["--license-id", "site-7", "--serial", "2"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr(&refused).contains("signed with serial 2 before"),
        "{refused:?}"
    );
    assert!(!path.exists());
}

#[test]
fn an_edited_license_is_refused() {
    let vendor = Vendor::new();
    let path = vendor.license("acme.lic", &[]);
    let text = fs::read_to_string(&path)
        .unwrap()
        .replace("seats = 10", "seats = 99");
    fs::write(&path, text).unwrap();
    let refused = vendor.run(&["license", "verify", path.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("signature does not fit"),
        "{refused:?}"
    );
}

#[test]
fn another_vendors_license_is_told_apart() {
    let (ours, theirs) = (Vendor::new(), Vendor::new());
    let path = theirs.license("acme.lic", &[]);
    let refused = ours.run(&["license", "verify", path.to_str().unwrap()]);
    assert!(
        stderr(&refused).contains("of another vendor"),
        "{refused:?}"
    );
}

#[test]
fn keys_are_private_encrypted_and_readable_by_openssl() {
    let vendor = Vendor::new();
    for name in ["root.key", "issuing-1.key"] {
        let path = vendor.dir.join(name);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let read = Command::new("openssl")
            .args([
                "pkey",
                "-noout",
                "-text",
                "-in",
                path.to_str().unwrap(),
                "-passin",
            ])
            .arg(format!("file:{}", vendor.passphrase.display()))
            .output()
            .unwrap();
        assert!(stdout(&read).contains("ED25519"), "{read:?}");
    }
    assert_eq!(
        fs::metadata(&vendor.dir).unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let vendor = Vendor::new();
    let key = vendor.dir.join("issuing-1.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let refused = vendor.try_license(&vendor.dir.with_file_name("acme.lic"), &[]);
    assert_eq!(refused.status.code(), Some(78));
    assert!(stderr(&refused).contains("chmod 600"), "{refused:?}");
}

#[test]
fn a_wrong_or_empty_passphrase_signs_nothing() {
    let vendor = Vendor::new();
    let before = fs::read(vendor.log()).unwrap();
    for (passphrase, words) in [("wrong", "wrong passphrase"), ("", "empty passphrase")] {
        fs::write(&vendor.passphrase, passphrase).unwrap();
        let refused = vendor.try_license(&vendor.dir.with_file_name("acme.lic"), &[]);
        assert!(!refused.status.success());
        assert!(stderr(&refused).contains(words), "{refused:?}");
    }
    assert_eq!(fs::read(vendor.log()).unwrap(), before);
}

#[test]
fn a_vendors_keys_are_never_overwritten() {
    let vendor = Vendor::new();
    let key = fs::read(vendor.dir.join("root.key")).unwrap();
    let refused = vendor.run(&["key", "new", "--vendor", "acme"]);
    assert!(!refused.status.success());
    assert!(
        stderr(&refused).contains("will not overwrite"),
        "{refused:?}"
    );
    assert_eq!(fs::read(vendor.dir.join("root.key")).unwrap(), key);
}

#[test]
fn after_a_rotation_the_new_key_signs_and_old_licenses_stay_good() {
    let vendor = Vendor::new();
    let old = vendor.license("old.lic", &[]);
    assert!(vendor.run(&["key", "rotate"]).status.success());
    let new = vendor.license("new.lic", &[]);
    for path in [&old, &new] {
        assert!(
            vendor
                .run(&["license", "verify", path.to_str().unwrap()])
                .status
                .success()
        );
    }
    let shown = vendor.run(&["key", "show", "--json"]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["issuing"].as_array().unwrap().len(), 2);
    assert!(vendor.run(&["log", "verify"]).status.success());
}

#[test]
fn a_revoked_license_cannot_be_issued_again() {
    let vendor = Vendor::new();
    vendor.license("acme.lic", &["--license-id", "stolen"]);
    let revoked = vendor.run(&["revoke", "--license", "stolen"]);
    assert!(stdout(&revoked).contains("revocation list 1: 0 issuing keys, 1 licenses"));
    let path = vendor.dir.with_file_name("again.lic");
    let refused = vendor.try_license(&path, &["--license-id", "stolen"]);
    assert!(stderr(&refused).contains("revoked"), "{refused:?}");
    assert!(!path.exists());
    vendor.license("other.lic", &[]);
}

#[test]
fn a_license_outliving_its_certificate_is_refused() {
    let vendor = Vendor::new();
    let path = vendor.dir.with_file_name("acme.lic");
    let arguments = [
        "license",
        "new",
        "--site-key",
        SITE,
        "--feature",
        "solver:1",
        "-o",
    ];
    let mut arguments = arguments.to_vec();
    arguments.extend([path.to_str().unwrap(), "--expires", "2199-12-31"]);
    let refused = vendor.run(&arguments);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(!path.exists());
}

#[test]
fn a_tampered_log_is_found_whatever_was_done_to_it() {
    let vendor = Vendor::new();
    for name in ["one.lic", "two.lic", "three.lic"] {
        vendor.license(name, &[]);
    }
    let good = fs::read_to_string(vendor.log()).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let join = |lines: &[&str]| lines.join("\n") + "\n";
    let edited = good.replacen("acme-0002", "acme-0009", 1);
    let mutations = [
        ("an edited line", edited),
        ("a removed line", join(&[lines[0], lines[2], lines[3]])),
        ("a removed first line", join(&lines[1..])),
        ("a cut-off end", join(&lines[..3])),
        ("two cut off", join(&lines[..2])),
        ("a torn last line", good[..good.len() - 5].to_owned()),
        (
            "two lines swapped",
            join(&[lines[0], lines[2], lines[1], lines[3]]),
        ),
        (
            "a doubled line",
            join(&[lines[0], lines[1], lines[1], lines[2], lines[3]]),
        ),
        ("an emptied log", String::new()),
    ];
    for (what, text) in mutations {
        fs::write(vendor.log(), text).unwrap();
        let found = vendor.run(&["log", "verify"]);
        assert_eq!(found.status.code(), Some(1), "{what} went unnoticed");
        let path = vendor.dir.with_file_name("more.lic");
        assert!(
            !vendor.try_license(&path, &[]).status.success(),
            "{what}: still signs"
        );
        assert!(!path.exists());
    }
    fs::write(vendor.log(), good).unwrap();
    assert!(vendor.run(&["log", "verify"]).status.success());
}

#[test]
fn a_log_put_back_with_its_head_is_found_by_the_noted_head() {
    let vendor = Vendor::new();
    let head = vendor.dir.join("issuer.log.head");
    let (old_log, old_head) = (fs::read(vendor.log()).unwrap(), fs::read(&head).unwrap());
    vendor.license("acme.lic", &[]);
    let printed = stdout(&vendor.run(&["log", "verify"]));
    let noted = printed
        .lines()
        .find_map(|line| line.strip_prefix("head "))
        .unwrap()
        .to_owned();
    assert!(
        vendor
            .run(&["log", "verify", "--expect", &noted])
            .status
            .success()
    );
    fs::write(vendor.log(), old_log).unwrap();
    fs::write(&head, old_head).unwrap();
    assert!(vendor.run(&["log", "verify"]).status.success());
    let found = vendor.run(&["log", "verify", "--expect", &noted]);
    assert_eq!(found.status.code(), Some(1), "{found:?}");
}

#[test]
fn a_crash_before_the_head_was_kept_is_no_tampering() {
    let vendor = Vendor::new();
    let head = vendor.dir.join("issuer.log.head");
    let before = fs::read(&head).unwrap();
    vendor.license("acme.lic", &[]);
    fs::write(&head, before).unwrap();
    assert!(vendor.run(&["log", "verify"]).status.success());
    vendor.license("next.lic", &[]);
    assert!(vendor.run(&["log", "verify"]).status.success());
}

#[test]
fn nothing_secret_is_ever_printed() {
    let vendor = Vendor::new();
    let path = vendor.license("acme.lic", &[]);
    let mut printed = String::new();
    for arguments in [
        vec!["key", "show"],
        vec!["key", "show", "--json"],
        vec!["log", "show"],
        vec!["log", "show", "--json"],
        vec!["license", "show", path.to_str().unwrap()],
    ] {
        printed.push_str(&stdout(&vendor.run(&arguments)));
    }
    assert!(!printed.contains("PRIVATE KEY") && !printed.contains("correct horse"));
    let pem = fs::read_to_string(vendor.dir.join("root.key")).unwrap();
    assert!(
        pem.lines()
            .filter(|line| !line.starts_with('-'))
            .all(|line| !printed.contains(line))
    );
}

#[test]
fn one_issuer_at_a_time() {
    let vendor = Vendor::new();
    let lock = fs::File::create(vendor.dir.join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let refused = vendor.try_license(&vendor.dir.with_file_name("acme.lic"), &[]);
    assert_eq!(refused.status.code(), Some(78));
    assert!(
        stderr(&refused).contains("another usher-issuer is at work"),
        "{refused:?}"
    );
}

#[test]
fn mistakes_on_the_command_line_name_the_next_step() {
    let vendor = Vendor::new();
    let path = vendor.dir.with_file_name("acme.lic");
    let refused = vendor.try_license(&path, &["--feature", "mesher"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr(&refused).contains("expected NAME:SEATS, like `solver:10`"),
        "{refused:?}"
    );
    let mut nowhere = vendor.command(&["log", "verify"]);
    let refused = nowhere
        .env("USHER_ISSUER_DIR", vendor.dir.join("nowhere"))
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(78));
    assert!(
        stderr(&refused).contains("usher-issuer key new --vendor NAME"),
        "{refused:?}"
    );
}
