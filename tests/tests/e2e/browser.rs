//! A real Chromium without a window, driven by Debian's chromedriver over its plain HTTP and JSON (W3C WebDriver).
//! Decides nothing about the dashboard: tests say what must be seen.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::{Value, json};
use usher_tests::bins::workspace;
use usher_tests::station::{Station, told};

use crate::admin_ground::wait_for;

/// One window and its driver; both end with it.
pub(crate) struct Browser {
    station: Station,
    driver: Child,
    address: String,
    session: String,
}

pub(crate) const TAB: &str = "\u{e004}";
pub(crate) const ENTER: &str = "\u{e007}";

impl Browser {
    pub(crate) fn open(station: &Station) -> Self {
        let mut driver = station.command("setpriv");
        driver.args(["--pdeathsig", "KILL", "--", "chromedriver", "--port=0"]);
        let mut driver = driver
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.unwrap();
            let rest = line.split_once("successfully on port ")?.1;
            Some(rest.trim_end_matches('.').to_owned())
        });
        let mut browser = Self {
            station: station.clone(),
            driver,
            address: format!("http://127.0.0.1:{}/session", port.unwrap()),
            session: String::new(),
        };
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "acceptInsecureCerts": true,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "goog:chromeOptions": {"binary": "/usr/bin/chromium", "args": [
                // In a test's own user namespace, and as root, the browser cannot make a sandbox of its own.
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--hide-scrollbars", "--window-size=1280,900",
            ]},
        }}});
        let made = browser.call("", Some(&wanted));
        browser.session = format!("/{}", made["sessionId"].as_str().unwrap());
        browser
    }

    pub(crate) fn go(&self, address: &str) {
        self.call("/url", Some(&json!({"url": address})));
    }

    /// What a script returns.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.call(
            "/execute/sync",
            Some(&json!({"script": script, "args": []})),
        )
    }

    /// What a script returns, as text.
    pub(crate) fn told(&self, script: &str) -> String {
        match self.run(&format!("return {script}")) {
            Value::String(text) => text,
            other => other.to_string(),
        }
    }

    /// Waits until an expression is true; pages may come and go meanwhile.
    pub(crate) fn wait(&self, what: &str, expression: &str) {
        wait_for(&format!("{what}: {expression}"), || {
            self.told(&format!("Boolean({expression})")) == "true"
        });
    }

    /// Presses and lets go each key, on whatever has the focus.
    pub(crate) fn press(&self, keys: &str) {
        let keys = keys.chars().map(String::from);
        let actions = keys.flat_map(|key| {
            [
                json!({"type": "keyDown", "value": key}),
                json!({"type": "keyUp", "value": key}),
            ]
        });
        let actions: Vec<_> = actions.collect();
        let keyboard = json!({"actions": [{"type": "key", "id": "keys", "actions": actions}]});
        self.call("/actions", Some(&keyboard));
    }

    /// Presses Tab until an expression about `it`, the focused element, is true.
    pub(crate) fn tab_to(&self, expression: &str) {
        let is_there = format!("(it => Boolean({expression}))(document.activeElement)");
        for _ in 0..TABS_MAX {
            if self.told(&is_there) == "true" {
                return;
            }
            self.press(TAB);
        }
        panic!("no Tab leads to {expression}");
    }

    /// A command of the DevTools protocol.
    pub(crate) fn devtools(&self, command: &str, parameters: &Value) {
        let body = json!({"cmd": command, "params": parameters});
        self.call("/goog/cdp/execute", Some(&body));
    }

    pub(crate) fn width(&self, width: u32, is_phone: bool) {
        let metrics =
            json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": is_phone});
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    pub(crate) fn scheme(&self, value: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": value}]});
        self.devtools("Emulation.setEmulatedMedia", &features);
    }

    /// For people to look at: below `target`, never in the repository.
    pub(crate) fn picture(&self, name: &str) {
        let directory = workspace().join("target/dashboard");
        fs::create_dir_all(&directory).unwrap();
        let text = self.call("/screenshot", None);
        let mut decoder = self.station.command("base64");
        decoder.arg("--decode").stdin(Stdio::piped());
        let file = fs::File::create(directory.join(format!("{name}.png"))).unwrap();
        let mut decoder = decoder.stdout(file).spawn().unwrap();
        let mut input = decoder.stdin.take().unwrap();
        input.write_all(text.as_str().unwrap().as_bytes()).unwrap();
        drop(input);
        assert!(decoder.wait().unwrap().success());
    }

    /// What the console said since it was asked last.
    pub(crate) fn console(&self) -> Vec<Value> {
        let said = self.call("/se/log", Some(&json!({"type": "browser"})));
        said.as_array().unwrap().clone()
    }

    /// Every address that pages asked for since this was asked last.
    pub(crate) fn asked(&self) -> Vec<String> {
        let said = self.call("/se/log", Some(&json!({"type": "performance"})));
        let entries = said.as_array().unwrap().iter();
        let messages = entries.map(|entry| {
            let text = entry["message"].as_str().unwrap();
            serde_json::from_str::<Value>(text).unwrap()["message"].clone()
        });
        messages
            .filter(|it| it["method"] == "Network.requestWillBeSent")
            .map(|it| it["params"]["request"]["url"].as_str().unwrap().to_owned())
            .collect()
    }

    fn call(&self, path: &str, body: Option<&Value>) -> Value {
        let mut curl = self.station.command("curl");
        curl.arg("--silent")
            .arg(format!("{}{}{path}", self.address, self.session));
        if let Some(body) = body {
            curl.args(["--header", "Content-Type: application/json"]);
            curl.args(["--data-binary", &body.to_string()]);
        }
        let said = told(&curl.output().unwrap(), path);
        let said: Value = serde_json::from_str(&said).unwrap();
        let value = said["value"].clone();
        assert!(value["error"].is_null(), "{path}: {value}");
        value
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let mut curl = self.station.command("curl");
        curl.args(["--silent", "--request", "DELETE"]);
        curl.arg(format!("{}{}", self.address, self.session));
        let _ = curl.output();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Said by `tests/run` where Debian's package cannot be installed; anything else is a failure.
pub(crate) fn is_absent() -> bool {
    let reason = std::env::var("USHER_TEST_NO_BROWSER");
    let is_there = ["/usr/bin/chromium", "/usr/bin/chromedriver"]
        .iter()
        .all(|it| Path::new(it).exists());
    match reason {
        Ok(reason) if !is_there => {
            eprintln!("skipped: {reason}");
            true
        }
        _ => false,
    }
}

const TABS_MAX: u32 = 60;
