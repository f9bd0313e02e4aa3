//! The dashboard by curl: who is let in, what a page says, and what it does not do for others.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use usher_tests::station::told;

use crate::admin_ground::wait_for;
use crate::http::obtain;
use crate::http_ground::{Running, Said, Served};

/// A browser with a cookie jar of its own, as far as curl is one.
pub(crate) struct Browser<'a> {
    served: &'a Served,
    jar: PathBuf,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(served: &'a Served, name: &str) -> Self {
        let jar = served.station.home().join(format!("{name}.jar"));
        Self { served, jar }
    }

    fn asked(&self, path: &str, more: &[&str]) -> Said {
        let mut curl = self.served.curl(path);
        curl.arg("--include").arg("--cookie").arg(&self.jar);
        curl.arg("--cookie-jar").arg(&self.jar).args(more);
        Said::of(&told(&curl.output().unwrap(), path))
    }

    fn get(&self, path: &str) -> Said {
        self.asked(path, &[])
    }

    /// As a form of the dashboard's own page is sent.
    fn post(&self, path: &str, form: &str) -> Said {
        let more = ["--header", "Sec-Fetch-Site: same-origin", "--data", form];
        self.asked(path, &more)
    }

    pub(crate) fn sign_in(&self, token: &str) -> Said {
        self.post("/dashboard/sign-in", &format!("token={token}"))
    }

    /// What the news of a page begin with: a second of them.
    fn news(&self) -> String {
        let mut curl = self.served.curl("/dashboard/live");
        curl.args(["--max-time", "1", "--cookie"]).arg(&self.jar);
        String::from_utf8(curl.output().unwrap().stdout).unwrap()
    }
}

/// As many pages as are kept fresh at once; they are closed with it.
pub(crate) fn crowd(browser: &Browser<'_>) -> Running {
    let address = format!("https://{}/dashboard/live", browser.served.daemon.address());
    let mut curl = browser.served.curl("/dashboard/live");
    curl.args(["--parallel", "--parallel-immediate", "--parallel-max", "64"]);
    curl.arg("--cookie").arg(&browser.jar);
    curl.args(std::iter::repeat_n(&address, 63));
    let heard = browser.jar.with_extension("heard");
    curl.args(["--no-buffer", "--include"])
        .stdout(fs::File::create(&heard).unwrap())
        .stderr(Stdio::null());
    let crowd = Running::of(&mut curl);
    // Nobody else looks meanwhile, or would have the place of one of them.
    wait_for("as many pages as may be", || {
        let heard = fs::read_to_string(&heard).unwrap();
        heard.matches("HTTP/1.1 200").count() >= 64
    });
    crowd
}

#[test]
fn who_shows_a_token_is_signed_in_until_signing_out() {
    let served = Served::new();
    let token = served.token(&["--scope", "read", "--name", "desk"]);
    let browser = Browser::new(&served, "desk");
    for path in PAGES {
        let said = browser.get(path);
        assert_eq!(said.status, 303, "{path}");
        assert!(said.head.contains("location: /dashboard/sign-in"), "{path}");
        assert!(!said.body.contains("acme"), "{}", said.body);
    }
    let said = browser.sign_in(&token);
    assert_eq!(said.status, 303, "{}", said.body);
    let cookie = said.head.lines().find(|it| it.starts_with("set-cookie:"));
    let cookie = cookie.unwrap();
    for word in ["__host-", "httponly", "secure", "samesite=strict", "path=/"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    assert!(!cookie.contains(&token.to_lowercase()) && !cookie.contains("max-age"));
    for path in PAGES {
        let said = browser.get(path);
        assert_eq!(said.status, 200, "{path}: {}", said.body);
        assert!(said.head.contains("content-type: text/html"), "{path}");
        let secret = token.splitn(3, '_').last().unwrap();
        assert!(!said.body.contains(secret), "{path}");
    }
    assert!(browser.get("/dashboard").body.contains("acme/solver"));
    assert_eq!(browser.post("/dashboard/sign-out", "").status, 303);
    assert_eq!(browser.get("/dashboard").status, 303);
}

#[test]
fn a_session_ends_with_its_token_and_a_wrong_token_begins_none() {
    let served = Served::new();
    let token = served.token(&["--scope", "read", "--name", "desk"]);
    let lease = served.token(&["--scope", "lease", "--feature", "acme/solver:1"]);
    let browser = Browser::new(&served, "desk");
    assert_eq!(browser.sign_in(&lease).status, 403);
    assert_eq!(browser.get("/dashboard").status, 303);
    assert_eq!(browser.sign_in(&token).status, 303);
    assert_eq!(browser.get("/dashboard").status, 200);
    served.daemon.ask(&["token", "revoke", "desk"]);
    assert_eq!(browser.get("/dashboard").status, 303);
    for _ in 0..10 {
        let said = browser.sign_in(&token);
        assert_eq!(said.status, 401, "{}", said.body);
        assert!(said.body.contains("no such token"), "{}", said.body);
    }
    assert_eq!(browser.sign_in(&token).status, 429);
    let good = served.token(&["--scope", "read"]);
    assert_eq!(browser.sign_in(&good).status, 303);
}

#[test]
fn a_form_of_another_site_is_not_heard() {
    let served = Served::new();
    let token = served.token(&["--scope", "operate", "--name", "night-shift"]);
    let lease = served.token(&["--scope", "lease", "--feature", "acme/solver:1"]);
    let granted = served.post(&lease, "/api/v1/leases", &obtain("01")).json();
    let id = granted["lease"].as_str().unwrap();
    let evict = format!("/dashboard/leases/{id}/evict");
    let browser = Browser::new(&served, "night");
    assert_eq!(browser.sign_in(&token).status, 303);
    let form = "reason=maintenance&cool-down=";
    for header in [
        "Origin: https://evil.example",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
        "X-Nothing: said",
    ] {
        let said = browser.asked(&evict, &["--header", header, "--data", form]);
        assert_eq!(said.status, 403, "{header}: {}", said.body);
        let out = browser.asked("/dashboard/sign-out", &["--header", header, "--data", ""]);
        assert_eq!(out.status, 403, "{header}");
    }
    let leases = served.get(&token, "/api/v1/leases").json();
    assert_eq!(leases[0]["note"], Value::Null);
    // The very same, from a page of our own.
    assert_eq!(browser.post(&evict, form).status, 303);
    let leases = served.get(&token, "/api/v1/leases").json();
    assert_eq!(leases[0]["note"], "evicted: maintenance");
}

#[test]
fn scope_read_may_not_evict_and_operate_does_so_in_its_own_name() {
    let served = Served::new();
    let read = served.token(&["--scope", "read"]);
    let operate = served.token(&["--scope", "operate", "--name", "night-shift"]);
    let lease = served.token(&["--scope", "lease", "--feature", "acme/solver:1"]);
    let granted = served.post(&lease, "/api/v1/leases", &obtain("01")).json();
    let id = granted["lease"].as_str().unwrap();
    let evict = format!("/dashboard/leases/{id}/evict");
    let reader = Browser::new(&served, "reader");
    assert_eq!(reader.sign_in(&read).status, 303);
    assert!(!reader.get("/dashboard/leases").body.contains("/evict"));
    assert_eq!(reader.get(&evict).status, 403);
    assert_eq!(reader.post(&evict, "reason=x&cool-down=").status, 403);
    let night = Browser::new(&served, "night");
    assert_eq!(night.sign_in(&operate).status, 303);
    assert!(night.get("/dashboard/leases").body.contains(&evict));
    assert!(night.get(&evict).body.contains("Take this lease back?"));
    let said = night.post(&evict, "reason=+&cool-down=");
    assert_eq!(said.status, 400, "a reason is needed");
    let said = night.post(&evict, "reason=moving+%3Cb%3E+racks&cool-down=15m");
    assert_eq!(said.status, 303, "{}", said.body);
    let log = served.daemon.ask(&["usage", "export", "--json"]);
    assert!(
        log.contains("token night-shift") && log.contains("moving <b> racks"),
        "{log}"
    );
    let page = night.get("/dashboard/leases").body;
    assert!(page.contains("moving &lt;b&gt; racks"), "{page}");
    assert_eq!(night.get("/dashboard/leases/9-9/evict").status, 404);
}

#[test]
fn hostile_names_are_text_and_nothing_else() {
    let served = Served::new();
    let token = served.token(&["--scope", "operate"]);
    let lease = served.token(&["--scope", "lease", "--feature", "acme/solver:2"]);
    let mut body = obtain("01");
    body["user"] = "<script>alert(1)</script>".into();
    body["host"] = "\"><img src=x onerror=alert(1)>\u{202e}gpj".into();
    let granted = served.post(&lease, "/api/v1/leases", &body);
    assert_eq!(granted.status, 201, "{}", granted.body);
    let id = granted.json()["lease"].as_str().unwrap().to_owned();
    let browser = Browser::new(&served, "desk");
    assert_eq!(browser.sign_in(&token).status, 303);
    let search = "/dashboard/leases?user=%3Cscript%3E&host=%22%3E%3Cimg";
    let searched = browser.get(search).body;
    assert!(searched.contains("1 to 1 of 1 lease"), "{searched}");
    for path in [
        search,
        "/dashboard/leases",
        &format!("/dashboard/leases/{id}/evict"),
    ] {
        let page = browser.get(path).body;
        assert!(
            page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
            "{page}"
        );
        assert!(
            !page.contains("<script>") && !page.contains("<img"),
            "{page}"
        );
        assert!(!page.contains('\u{202e}'), "{page}");
    }
    let nothing = "/dashboard/leases?evicted=%3Cscript%3E&feature=%22onx=";
    let page = browser.get(nothing).body;
    assert!(
        !page.contains("<script>") && !page.contains("\"onx"),
        "{page}"
    );
}

#[test]
fn every_page_keeps_to_what_is_served_here() {
    let served = Served::new();
    let token = served.token(&["--scope", "read"]);
    let browser = Browser::new(&served, "desk");
    assert_eq!(browser.sign_in(&token).status, 303);
    for path in [
        &PAGES[..],
        &["/dashboard/sign-in", "/dashboard/leases/x/evict"],
    ]
    .concat()
    {
        let said = browser.get(path);
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'",
            "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
        ] {
            assert!(
                said.head.contains(header),
                "{path}: {header}: {}",
                said.head
            );
        }
        // Neither inline code nor anything from elsewhere, whatever the policy would do about it.
        for word in [
            "style=\"",
            "onclick",
            "<script>",
            "src=\"http",
            "href=\"http",
        ] {
            assert!(!said.body.contains(word), "{path}: {word}");
        }
    }
    let page = browser.get("/dashboard").body;
    let mut assets = 0;
    for part in page.split("/dashboard/assets/").skip(1) {
        let address = format!("/dashboard/assets/{}", part.split('"').next().unwrap());
        let stranger = Browser::new(&served, "stranger");
        let said = stranger.get(&address);
        assert_eq!(said.status, 200, "{address}");
        assert!(said.head.contains("immutable") && said.head.contains("nosniff"));
        assets += 1;
    }
    assert!(assets >= 3, "the search finds nothing any more");
    assert_eq!(browser.get("/dashboard/assets/../usherd.toml").status, 404);
}

#[test]
fn news_come_by_themselves_and_end_with_the_session() {
    let served = Served::new();
    let token = served.token(&["--scope", "read", "--name", "desk"]);
    let lease = served.token(&["--scope", "lease", "--feature", "acme/solver:2"]);
    let browser = Browser::new(&served, "desk");
    assert_eq!(browser.sign_in(&token).status, 303);
    let heard = served.station.home().join("heard");
    let mut curl = served.curl("/dashboard/live");
    curl.args(["--no-buffer", "--include"])
        .arg("--cookie")
        .arg(&browser.jar);
    let mut curl = curl
        .stdout(fs::File::create(&heard).unwrap())
        .spawn()
        .unwrap();
    let heard = || fs::read_to_string(&heard).unwrap();
    wait_for("the first news", || heard().contains("\"p0-used\":\"0\""));
    served.post(&lease, "/api/v1/leases", &obtain("01"));
    wait_for("a checkout", || heard().contains("\"p0-used\":\"1\""));
    served.daemon.ask(&["token", "revoke", "desk"]);
    wait_for("the end", || heard().contains("event: end"));
    assert!(curl.wait().unwrap().success());
}

#[test]
fn a3_a_page_too_many_is_told_so_and_fresh_all_the_same() {
    let served = Served::new();
    let token = served.token(&["--scope", "read", "--name", "desk"]);
    let browser = Browser::new(&served, "desk");
    assert_eq!(browser.sign_in(&token).status, 303);
    let crowd = crowd(&browser);
    let news = browser.news();
    let (told, rest) = news.split_once("\n\n").unwrap();
    assert_eq!(told, "retry: 15000\nevent: crowded\ndata: 64");
    assert!(rest.starts_with("event: news\ndata: {"), "{rest}");
    // A page itself, and tools, are served as ever.
    assert_eq!(browser.get("/dashboard").status, 200);
    assert_eq!(served.get(&token, "/api/v1/status").status, 200);
    drop(crowd);
    wait_for("a place", || !browser.news().contains("crowded"));
}

#[test]
fn who_waits_who_was_denied_and_why_is_said() {
    let served = Served::without_license();
    let feature = "solver:1,lease-default=1h,lease-max=1h";
    served.license(&["--environment", "test", "--feature", feature]);
    let token = served.token(&["--scope", "read", "--name", "desk"]);
    let lease = served.token(&["--scope", "lease", "--feature", "acme/solver:5"]);
    let mut body = obtain("01");
    body["user"] = "anna-who-holds".into();
    let granted = served.post(&lease, "/api/v1/leases", &body);
    assert_eq!(granted.status, 201, "{}", granted.body);
    let mut body = obtain("02");
    body["user"] = "zoe-who-was-denied".into();
    let denied = served.post(&lease, "/api/v1/leases", &body);
    assert!(denied.status >= 400, "{}", denied.body);
    let _waiter = served.usher_run(&["--wait", "10m", "acme/solver", "--", "true"]);
    let browser = Browser::new(&served, "desk");
    assert_eq!(browser.sign_in(&token).status, 303);
    wait_for("somebody in the queue", || {
        browser.get("/dashboard/queue").body.contains("1 of 1")
    });
    let queue = browser.get("/dashboard/queue").body;
    assert!(
        queue.contains("One waits.") && queue.contains("acme/solver"),
        "{queue}"
    );
    // As the link beside a denial leads there, which is told a minute after it happened.
    wait_for("the denial", || {
        browser
            .get("/dashboard/denials")
            .body
            .contains("zoe-who-was-denied")
    });
    let page = browser.get("/dashboard/denials").body;
    let (_, link) = page.split_once("href=\"/dashboard/explain?").unwrap();
    let link = link.split('"').next().unwrap().replace("&amp;", "&");
    let why = browser.get(&format!("/dashboard/explain?{link}"));
    assert_eq!(why.status, 200, "{}", why.body);
    for word in [
        "zoe-who-was-denied",
        "no-seat",
        "Who holds the seats",
        "anna-who-holds",
    ] {
        assert!(why.body.contains(word), "{word}: {}", why.body);
    }
}

#[test]
fn leases_come_in_the_order_that_was_asked_for() {
    let served = Served::new();
    let token = served.token(&["--scope", "read", "--name", "desk"]);
    let lease = served.token(&["--scope", "lease", "--feature", "acme/solver:2"]);
    for (nonce, user) in [("01", "zoe"), ("02", "Anna")] {
        let mut body = obtain(nonce);
        body["user"] = user.into();
        let granted = served.post(&lease, "/api/v1/leases", &body);
        assert_eq!(granted.status, 201, "{}", granted.body);
    }
    let browser = Browser::new(&served, "desk");
    assert_eq!(browser.sign_in(&token).status, 303);
    let is_anna_first = |path: &str| {
        let page = browser.get(path).body;
        let at = |user: &str| page.find(&format!("<bdi>{user}</bdi>")).unwrap();
        at("Anna") < at("zoe")
    };
    assert!(!is_anna_first("/dashboard/leases"));
    assert!(is_anna_first("/dashboard/leases?sort=user"));
    assert!(!is_anna_first("/dashboard/leases?sort=user-down"));
    assert!(is_anna_first("/dashboard/leases?sort=since-down&page=1"));
    let page = browser.get("/dashboard/leases?sort=user&user=n").body;
    assert!(page.contains("aria-sort=\"ascending\""), "{page}");
    assert!(page.contains("user=n&amp;sort=user-down\""), "{page}");
    assert_eq!(browser.get("/dashboard/leases?sort=secret").status, 400);
}

pub(crate) const PAGES: [&str; 7] = [
    "/dashboard",
    "/dashboard/leases",
    "/dashboard/queue",
    "/dashboard/denials",
    "/dashboard/usage",
    "/dashboard/licenses",
    "/dashboard/health",
];
