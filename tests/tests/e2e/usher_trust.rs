//! Does a person come from "nobody is trusted" to the right vendor, and never to a wrong one?

use std::fs;
use std::io::Write;
use std::process::Stdio;

use serde_json::Value;
use usher_tests::daemon::Vendor;

use super::usher_site::{Site, stderr};

#[test]
fn the_way_from_nobody_to_a_seat() {
    let site = Site::new(&["--feature", "solver:2"]);
    let key = site.vendor.directory().join("acme.pub");
    let key = key.to_str().unwrap();
    let fingerprint = fingerprint(&fs::read_to_string(key).unwrap());
    assert!(site.call(&["trust", "remove", "acme"]).status.success());

    for arguments in [&["features"][..], &["run", "solver", "--", "true"]] {
        let nobody = site.call(arguments);
        assert_eq!(nobody.status.code(), Some(78), "{}", stderr(&nobody));
        assert!(stderr(&nobody).contains("next: `usher trust add VENDOR.pub`"));
    }
    let found = site.call(&["find", "--json"]);
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(
        (&found[0]["proven"], &found[0]["vendor"]),
        (&false.into(), &Value::Null)
    );

    let added = site.call(&["trust", "add", key]);
    assert!(added.status.success(), "{}", stderr(&added));
    assert_eq!(added.stdout, format!("acme  {fingerprint}\n").as_bytes());
    assert!(
        site.call(&["trust", "add", key]).status.success(),
        "twice is no harm"
    );
    let list: Value =
        serde_json::from_slice(&site.call(&["trust", "list", "--json"]).stdout).unwrap();
    assert_eq!(list[0]["fingerprint"], fingerprint.as_str());

    let found = site.call(&["find", "--json"]);
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(
        (&found[0]["proven"], &found[0]["vendor"]),
        (&true.into(), &"acme".into())
    );
    assert!(site.run(&["solver", "--", "true"]).status.success());
}

#[test]
fn keys_come_in_by_argument_and_by_pipe_and_need_a_name() {
    let site = Site::new(&["--feature", "solver:2"]);
    let text = fs::read_to_string(site.vendor.directory().join("acme.pub")).unwrap();
    let bare = text
        .split('"')
        .find(|part| part.starts_with("ed25519:"))
        .unwrap();
    let nameless = site.call(&["trust", "add", bare]);
    assert_eq!(nameless.status.code(), Some(2), "{}", stderr(&nameless));
    let named = site.call(&["trust", "add", bare, "--vendor", "other"]);
    assert!(named.status.success(), "{}", stderr(&named));
    let mut pipe = site.usher();
    pipe.args(["trust", "add", "-"]).stdin(Stdio::piped());
    let mut pipe = pipe.spawn().unwrap();
    pipe.stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    assert!(pipe.wait().unwrap().success());
    let bad = site.call(&["trust", "add", "/dev/null"]);
    assert_eq!(bad.status.code(), Some(78), "{}", stderr(&bad));
}

#[test]
fn a_second_root_under_one_name_is_refused_and_a_wrong_one_proves_nothing() {
    let site = Site::new(&["--feature", "solver:2"]);
    let impostor = Vendor::new(&site.station, "globex");
    let text = fs::read_to_string(impostor.directory().join("globex.pub")).unwrap();
    let file = site.station.home().join("acme.pub");
    fs::write(&file, text.replace("globex", "acme")).unwrap();
    let second = site.call(&["trust", "add", file.to_str().unwrap()]);
    assert_eq!(second.status.code(), Some(78));
    assert!(
        stderr(&second).contains("two roots are called `acme`"),
        "{}",
        stderr(&second)
    );

    let key = impostor.directory().join("globex.pub");
    assert!(
        site.call(&["trust", "add", key.to_str().unwrap()])
            .status
            .success()
    );
    let other = site.run(&["globex/solver", "--", "true"]);
    assert_eq!(other.status.code(), Some(77), "{}", stderr(&other));
    // Two vendors are trusted, one of them serves it: the short name is enough.
    let short = site.run(&["solver", "--", "true"]);
    assert!(short.status.success(), "{}", stderr(&short));
    let unknown = site.run(&["nobody/solver", "--", "true"]);
    assert_eq!(unknown.status.code(), Some(78));
    assert!(
        stderr(&unknown).contains("trusted: acme, globex"),
        "{}",
        stderr(&unknown)
    );
}

#[test]
fn a_typo_in_the_configuration_is_shown_where_it_stands() {
    let site = Site::new(&["--feature", "solver:2"]);
    let file = site.station.home().join(".config/usher/usher.toml");
    fs::write(&file, "mdns = true\nserwer = \"lic01\"\n").unwrap();
    let output = site.run(&["solver", "--", "true"]);
    assert_eq!(output.status.code(), Some(78));
    let said = stderr(&output).replace(file.to_str().unwrap(), "usher.toml");
    insta::assert_snapshot!(said, @r#"
    usher: usher.toml: TOML parse error at line 2, column 1
      |
    2 | serwer = "lic01"
      | ^^^^^^
    unknown field `serwer`, expected one of `server`, `domain`, `mdns`
    next: correct the file
    "#);
}

#[test]
fn features_are_listed_for_people_and_for_scripts() {
    let site = Site::new(&[
        "--feature",
        "solver:10,version=2027.1",
        "--feature",
        "mesh:unlimited",
    ]);
    let table = site.call(&["features"]);
    let table = String::from_utf8(table.stdout).unwrap();
    let name = table
        .lines()
        .nth(1)
        .unwrap()
        .split_whitespace()
        .nth(4)
        .unwrap()
        .to_owned();
    let table = table.replace(&format!("{name}  "), "lic01  ");
    let rows = table.lines().skip(1);
    let rows: Vec<Vec<&str>> = rows.map(|row| row.split_whitespace().collect()).collect();
    assert_eq!(
        rows[0],
        [
            "acme/mesh",
            "unlimited",
            "unlimited",
            "0",
            "lic01",
            "2098-12-31"
        ]
    );
    assert_eq!(
        rows[1],
        ["acme/solver", "10", "10", "0", "lic01", "2098-12-31"]
    );
    let rows = site.call(&["features", "acme/solver", "--json"]);
    let rows: Value = serde_json::from_slice(&rows.stdout).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 1);
    let row = &rows[0];
    assert_eq!(
        (&row["seats"], &row["free"], &row["version"]),
        (&10.into(), &10.into(), &"2027.1".into())
    );
    assert_eq!(row["expires"], "2099-01-01T00:00:00Z");
    let missing = site.call(&["features", "acme/nothing"]);
    assert_eq!(missing.status.code(), Some(77), "{}", stderr(&missing));
}

#[test]
fn test_licenses_need_consent() {
    let site = Site::new(&["--feature", "solver:2", "--environment", "test"]);
    let without = site.run(&["solver", "--", "true"]);
    assert_eq!(without.status.code(), Some(69), "{}", stderr(&without));
    assert!(
        stderr(&without).contains("add --test"),
        "{}",
        stderr(&without)
    );
    let mut with = site.usher();
    with.env("USHER_TEST", "1")
        .args(["run", "solver", "--", "true"]);
    let with = with.output().unwrap();
    assert!(with.status.success(), "{}", stderr(&with));
}

fn fingerprint(key_file: &str) -> String {
    let line = key_file
        .lines()
        .find_map(|line| line.strip_prefix("# Fingerprint "));
    line.unwrap().to_owned()
}
