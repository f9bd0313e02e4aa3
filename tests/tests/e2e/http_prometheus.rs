//! What is in `contrib/` against the programs it is for: Prometheus as Debian packages it.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use serde_json::Value;
use usher_tests::bins::workspace;
use usher_tests::station::{Station, told};

use crate::admin_ground::wait_for;
use crate::http_ground::Served;

#[test]
fn the_alert_rules_are_sound_and_fire_when_they_should() {
    if is_absent() {
        return;
    }
    let rules = contrib("prometheus");
    let station = Station::here();
    for arguments in [
        ["check", "rules", "usher.rules.yml"],
        ["test", "rules", "usher.rules.test.yml"],
    ] {
        let mut promtool = station.command("promtool");
        promtool.args(arguments).current_dir(&rules);
        let said = told(&promtool.output().unwrap(), &arguments.join(" "));
        assert!(said.contains("SUCCESS"), "{said}");
    }
}

#[test]
fn a_real_prometheus_scrapes_with_the_files_as_they_are_shipped() {
    if is_absent() {
        return;
    }
    let served = Served::new();
    write_configuration(&served);
    let address = served.daemon.address();
    // UDP ports of daemons are below this, and no two of them are alike.
    let web = SocketAddr::new(address.ip(), address.port() + 16_000);
    let _prometheus = Running::prometheus(&served.station, web);
    let ask = |query: &str| -> Option<Value> {
        let mut curl = served.station.command("curl");
        curl.args([
            "--silent",
            "--get",
            "--data-urlencode",
            &format!("query={query}"),
        ]);
        curl.arg(format!("http://{web}/api/v1/query"));
        serde_json::from_slice(&curl.output().unwrap().stdout).ok()
    };
    let value = |query: &str| {
        let found = ask(query)?["data"]["result"][0]["value"][1].clone();
        found.as_str().map(str::to_owned)
    };
    wait_for("a scrape", || {
        value("up{job=\"usher\"}").as_deref() == Some("1")
    });
    wait_for("figures", || {
        value("usher_seats_free").as_deref() == Some("2")
    });
    let rules = || -> Vec<Value> {
        let address = format!("http://{web}/api/v1/rules");
        let said = served.station.run("curl", &["--silent", &address]);
        let said: Value = serde_json::from_str(&said).unwrap();
        let group = &said["data"]["groups"][0];
        group["rules"].as_array().unwrap().clone()
    };
    assert_eq!(rules().len(), 11);
    wait_for("rules that were evaluated", || {
        rules().iter().all(|rule| rule["health"] == "ok")
    });
    // Each graph of the Grafana dashboard has figures; a denial is told of once there was one.
    for query in graphs() {
        let has_figures = || {
            let said = ask(&query).unwrap();
            assert_eq!(said["status"], "success", "{query}: {said}");
            query.contains("denials") || !said["data"]["result"].as_array().unwrap().is_empty()
        };
        wait_for(&query, has_figures);
    }
}

/// What Grafana asks for them, for the one feature there is.
fn graphs() -> Vec<String> {
    let dashboard = fs::read_to_string(contrib("grafana/usher.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|it| it["targets"].as_array()).flatten();
    let queries = targets.map(|it| it["expr"].as_str().unwrap().replace("$feature", ".*"));
    let queries: Vec<_> = queries.collect();
    assert!(queries.len() > 20, "{queries:?}");
    queries
}

/// As shipped, but for where things are and how often it looks.
fn write_configuration(served: &Served) {
    let home = served.station.home().to_owned();
    let token = served.token(&["--scope", "read", "--name", "prometheus"]);
    fs::write(home.join("usher.token"), token).unwrap();
    let pem = served.certificate();
    let config = fs::read_to_string(contrib("prometheus").join("usher.yml")).unwrap();
    let config = config
        .replace(
            "/etc/prometheus/usher.token",
            home.join("usher.token").to_str().unwrap(),
        )
        .replace("/etc/prometheus/usher.pem", pem.to_str().unwrap())
        .replace("localhost:27480", &served.daemon.address().to_string())
        .replace(
            "usher.rules.yml",
            contrib("prometheus")
                .join("usher.rules.yml")
                .to_str()
                .unwrap(),
        );
    fs::write(
        home.join("prometheus.yml"),
        format!("global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\n{config}"),
    )
    .unwrap();
}

/// A name that nobody serves would be a graph that stays empty, and an alert that never fires.
#[test]
fn what_dashboard_and_rules_name_is_served() {
    let served = Served::new();
    let token = served.token(&["--scope", "read"]);
    let page = served.get(&token, "/metrics").body;
    let families: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let documentation = fs::read_to_string(workspace().join("docs/http.md")).unwrap();
    for family in &families {
        assert!(
            documentation.contains(&format!("`{family}`")),
            "{family} is not in docs/http.md"
        );
    }
    for file in ["grafana/usher.json", "prometheus/usher.rules.yml"] {
        let text = fs::read_to_string(contrib(file)).unwrap();
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let named: BTreeSet<&str> = words.filter(|word| word.starts_with("usher_")).collect();
        assert!(named.len() > 5, "the search finds nothing any more");
        for name in named {
            let base = name.strip_suffix("_bucket").unwrap_or(name);
            assert!(families.contains(base), "{file}: nobody serves {name}");
        }
    }
    let dashboard: Value =
        serde_json::from_str(&fs::read_to_string(contrib("grafana/usher.json")).unwrap()).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 10);
}

/// A program that ends with the test.
struct Running(Child);

impl Running {
    fn prometheus(station: &Station, web: SocketAddr) -> Self {
        let log = fs::File::create(station.home().join("prometheus.log")).unwrap();
        let mut prometheus = station.command("prometheus");
        prometheus
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=tsdb")
            .arg(format!("--web.listen-address={web}"))
            .stdout(Stdio::null())
            .stderr(log);
        Self(prometheus.spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn contrib(path: &str) -> PathBuf {
    workspace().join("contrib").join(path)
}

/// Said by `tests/run` where Debian's package cannot be installed; anything else is a failure.
fn is_absent() -> bool {
    let reason = std::env::var("USHER_TEST_NO_PROMETHEUS");
    let is_there = ["/usr/bin/promtool", "/usr/local/bin/promtool"]
        .iter()
        .any(|it| Path::new(it).exists());
    match reason {
        Ok(reason) if !is_there => {
            eprintln!("skipped: {reason}");
            true
        }
        _ => false,
    }
}
