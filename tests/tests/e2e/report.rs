//! `usherd report` of what a real daemon has logged: are the figures those of what happened?

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use usher_client::blocking::Client;
use usher_client::protocol::wire::Holder;

use crate::admin_ground::{Site, wait_for};

#[test]
fn a_report_tells_what_was_used_waited_for_and_denied() {
    let mut site = Site::lending();
    let anna = user(&site, "anna").checkout("solver").send().unwrap();
    let bert = user(&site, "bert").checkout("solver").send().unwrap();
    assert!(user(&site, "carl").checkout("solver").send().is_err());
    let dora = user(&site, "dora");
    let patient = Duration::from_mins(10);
    let waiting = thread::spawn(move || dora.checkout("solver").wait(patient).send().unwrap());
    wait_for("somebody waits", || queued(&site) == 1);
    anna.release().unwrap();
    let dora = waiting.join().unwrap();
    // Longer than a second, or it counts as denied.
    let impatient = Duration::from_millis(2500);
    let emil = user(&site, "emil")
        .checkout("solver")
        .wait(impatient)
        .send();
    assert!(emil.is_err());
    wait_for("he has left", || queued(&site) == 0);

    // Beside the running daemon; what is out is used until now.
    let now = json(&site, &["--by", "user"]);
    assert_eq!(row(&now, "dora")["granted"], 1);
    assert!(hours(row(&now, "bert")) >= hours(row(&now, "dora")));
    for seat in [bert, dora] {
        seat.release().unwrap();
    }
    // Its end tells of denials that were still counted.
    assert!(site.daemon.terminate().success());

    let report = json(&site, &[]);
    let solver = row(&report, "acme/solver");
    let counts = [
        "seats", "peak", "requests", "granted", "denied", "gave-up", "waited",
    ];
    let counts = counts.map(|name| solver[name].as_u64().unwrap());
    assert_eq!(counts, [2, 2, 5, 3, 1, 1, 1], "{solver}");
    // Two were out and the third waited.
    assert_eq!(solver["enough-for-99"], 3);
    assert!(solver["wait-ms-max"].as_u64().unwrap() > 0);
    assert_eq!(report["refusals"][0]["reason"], "no-seat");
    let users = report["users"].as_array().unwrap();
    let of_users: f64 = users.iter().map(hours).sum();
    assert!((of_users - hours(solver)).abs() < 0.01, "{report}");
    let carl = json(&site, &["--by", "user"]);
    assert_eq!(row(&carl, "carl")["denied"], 1);
    formats(&site);
}

#[test]
fn a_copy_of_the_log_gives_the_same_report_and_a_changed_one_gives_none() {
    let mut site = Site::lending();
    let seat = user(&site, "anna").checkout("solver").send().unwrap();
    seat.release().unwrap();
    assert!(site.daemon.terminate().success());
    let copy = site.station.home().join("copy");
    fs::create_dir(&copy).unwrap();
    for file in fs::read_dir(site.daemon.state_dir().join("usage")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    let named = copy.to_str().unwrap();
    let (own, copied) = (json(&site, &[]), json(&site, &["--log", named]));
    for name in ["hours", "granted", "peak"] {
        assert_eq!(own["rows"][0][name], copied["rows"][0][name]);
    }
    assert_eq!(own["entries"], copied["entries"]);
    let hidden = json(&site, &["--log", named, "--by", "user", "--pseudonyms"]);
    let name = hidden["rows"][0]["name"].as_str().unwrap();
    assert!(
        name.starts_with("user-") && !hidden.to_string().contains("anna"),
        "{hidden}"
    );
    change_last_byte(&copy);
    let (code, said) = site.fails(&["report", "--log", named]);
    assert_eq!(code, 1);
    assert!(said.contains("the usage log is broken"), "{said}");
}

fn formats(site: &Site) {
    let table = site.daemon.ask(&["report"]);
    let line = table.lines().find(|line| line.starts_with("acme/solver"));
    assert!(line.unwrap().trim_end().ends_with('3'), "{table}");
    assert!(
        table.contains("acme/solver: 1 request ended with no-seat"),
        "{table}"
    );
    let csv = site
        .daemon
        .ask(&["report", "--format", "csv", "--by", "host"]);
    assert!(
        csv.lines().nth(1).unwrap().starts_with("ws1,,5,3,2,"),
        "{csv}"
    );
    let page = site.daemon.ask(&["report", "--format", "html"]);
    assert!(
        page.starts_with("<!doctype html>") && page.contains("<svg"),
        "{page}"
    );
    let empty = site.daemon.ask(&["report", "--to", "2020-01-01"]);
    assert!(empty.contains("nothing was asked for"), "{empty}");
    assert_eq!(
        site.fails(&["report", "--from", "2020-01-02", "--to", "2020-01-01"])
            .0,
        2
    );
}

fn user(site: &Site, user: &str) -> Client {
    let holder = Holder {
        user: user.to_owned(),
        host: "ws1".to_owned(),
        display: None,
        process: 7,
    };
    Client::build(site.builder().holder(holder)).unwrap()
}

fn queued(site: &Site) -> usize {
    let queue: Value = serde_json::from_str(&site.daemon.ask(&["queue", "--json"])).unwrap();
    queue.as_array().unwrap().len()
}

fn json(site: &Site, more: &[&str]) -> Value {
    let said = site
        .daemon
        .ask(&[&["report", "--format", "json"], more].concat());
    serde_json::from_str(&said).unwrap()
}

fn row<'a>(report: &'a Value, name: &str) -> &'a Value {
    let rows = report["rows"].as_array().unwrap();
    let found = rows.iter().find(|row| row["name"] == name);
    found.unwrap_or_else(|| panic!("no row {name}: {report}"))
}

fn hours(row: &Value) -> f64 {
    row["hours"].as_f64().unwrap()
}

fn change_last_byte(log: &Path) {
    let mut files: Vec<_> = fs::read_dir(log)
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    files.sort();
    let last = files.last().unwrap();
    let mut bytes = fs::read(last).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(last, bytes).unwrap();
}
