//! What the tests of the HTTPS server share: a site that serves it, and a tool that speaks to it by `curl`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use usher_tests::daemon::{Daemon, Vendor};
use usher_tests::station::{Station, told};

/// A daemon with HTTPS on a port of its own, two seats of `acme/solver` lent.
pub(crate) struct Served {
    pub(crate) station: Station,
    pub(crate) daemon: Daemon,
    pub(crate) acme: Vendor,
}

/// What came back.
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// A program at work, ended with this.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn of(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Served {
    pub(crate) fn new() -> Self {
        let served = Self::without_license();
        // Short enough to be waited out, long enough to outlast a restart on a busy machine.
        let feature = "solver:2,lease-min=2s,lease-default=10s,lease-max=10s";
        served.license(&["--environment", "test", "--feature", feature]);
        served
    }

    pub(crate) fn without_license() -> Self {
        Self::on(&Station::here(), &[])
    }

    /// At a place and with settings of the test's own, without a license.
    pub(crate) fn on(station: &Station, settings: &[(&str, &str)]) -> Self {
        let state = station.home().join("state-of-http");
        let mut daemon = Daemon::on(station, &state);
        daemon.set("HTTP_LISTEN", &daemon.address().to_string());
        for (name, value) in settings {
            daemon.set(name, value);
        }
        daemon.start_again();
        let acme = Vendor::new(station, "acme");
        Self {
            station: station.clone(),
            daemon,
            acme,
        }
    }

    pub(crate) fn license(&self, terms: &[&str]) {
        let license = self.acme.license(&self.daemon, terms);
        self.daemon.install(&license);
    }

    /// A real `usher run` of a user who trusts the vendor.
    pub(crate) fn usher_run(&self, arguments: &[&str]) -> Running {
        let trusted = self.station.home().join(".config/usher/trust.d");
        fs::create_dir_all(&trusted).unwrap();
        let key = self.acme.directory().join("acme.pub");
        fs::copy(key, trusted.join("acme.pub")).unwrap();
        let mut usher = self.station.command("usher");
        usher
            .env("USHER_SERVER", self.daemon.address().to_string())
            .env("USHER_TEST", "1")
            .arg("run")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Running::of(&mut usher)
    }

    /// A new token's secret.
    pub(crate) fn token(&self, terms: &[&str]) -> String {
        let new = ["token", "new"];
        self.daemon
            .ask(&[&new[..], terms].concat())
            .trim()
            .to_owned()
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        let path = self.station.home().join("usherd.pem");
        fs::write(&path, self.daemon.ask(&["token", "certificate"])).unwrap();
        path
    }

    pub(crate) fn get(&self, token: &str, path: &str) -> Said {
        self.ask(Some(token), "GET", path, None)
    }

    pub(crate) fn post(&self, token: &str, path: &str, body: &Value) -> Said {
        self.ask(Some(token), "POST", path, Some(&body.to_string()))
    }

    pub(crate) fn ask(
        &self,
        token: Option<&str>,
        verb: &str,
        path: &str,
        body: Option<&str>,
    ) -> Said {
        let mut curl = self.curl(path);
        curl.args(["--include", "--request", verb]);
        if let Some(token) = token {
            curl.args(["--header", &format!("Authorization: Bearer {token}")]);
        }
        if let Some(body) = body {
            curl.args(["--data-binary", body]);
        }
        Said::of(&told(&curl.output().unwrap(), path))
    }

    pub(crate) fn curl(&self, path: &str) -> Command {
        let mut curl = self.station.command("curl");
        curl.args(["--silent", "--show-error", "--cacert"])
            .arg(self.certificate())
            .arg(format!("https://{}{path}", self.daemon.address()));
        curl
    }
}

impl Said {
    pub(crate) fn of(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        // `100 Continue`, where curl asked for it.
        if head.starts_with("HTTP/1.1 100") {
            return Self::of(body);
        }
        Self {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    /// Status and word of a "no".
    pub(crate) fn no(&self) -> (u16, String) {
        (
            self.status,
            self.json()["error"].as_str().unwrap().to_owned(),
        )
    }
}

/// Every file below a directory.
pub(crate) fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}
