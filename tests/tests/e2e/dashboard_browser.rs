//! The dashboard in a real browser: live, by keyboard, on a phone, in the dark, with 10 000 leases, and nothing from
//! elsewhere. One test: what costs time here is to start a browser and to lend ten thousand seats.

use serde_json::Value;
use usher_client::protocol::wire::Request;
use usher_tests::peer::{self, Peer, a_seat, root_of};
use usher_tests::station::Station;

use crate::admin_ground::wait_for;
use crate::browser::{Browser, ENTER, TAB, is_absent};
use crate::dashboard::{self, PAGES};
use crate::http_ground::{Running, Served};

#[test]
fn the_dashboard_in_a_real_browser() {
    if is_absent() {
        return;
    }
    let mut served = lent();
    let base = format!("https://{}", served.daemon.address());
    let browser = Browser::open(&served.station);
    browser.scheme("light");
    signs_in(&served, &browser, &base);
    let run = a_checkout_shows_without_a_reload(&served, &browser);
    ten_thousand_leases_are_a_page_at_a_time(&browser, &base);
    leases_are_sorted_by_keyboard_alone(&browser, &base);
    a_lease_is_evicted_by_keyboard_alone(&served, &browser, &base);
    drop(run);
    usage_is_drawn(&browser, &base);
    every_page_fits_a_phone_and_both_schemes(&browser, &base);
    nothing_was_wrong_and_nothing_came_from_elsewhere(&browser, &base);
    without_scripts_all_is_there_but_what_is_drawn(&served, &browser, &base);
    browser.go(&base);
    browser.tab_to("it.textContent === 'Sign out'");
    browser.press(ENTER);
    browser.wait("the form", "location.pathname === '/dashboard/sign-in'");
    what_is_not_fresh_says_so(&mut served, &browser, &base);
}

/// Ten thousand of ten thousand and ten seats, in memory: no test of disks.
fn lent() -> Served {
    let settings = [("LEASES_PER_CLIENT_MAX", "100000")];
    let served = Served::on(&Station::in_memory(), &settings);
    let feature = format!("solver:{},lease-default=1h,lease-max=1h", LEASES + 10);
    served.license(&["--environment", "test", "--feature", &feature]);
    let (root, address) = (root_of(&served.acme), served.daemon.address());
    peer::runtime().block_on(async {
        let crowd = (0..PEERS).map(|number| async move {
            let mut peer = Peer::welcomed(address, &peer::key(number), root).await;
            for turn in 0..LEASES / u32::from(PEERS) {
                let mut seat = a_seat();
                seat.holder.user = format!("crowd-{number}");
                seat.holder.host = format!("ws{turn:03}.example.com");
                peer.granted(Request::Checkout(seat)).await;
            }
            peer.leave().await;
        });
        let crowd: Vec<_> = crowd.map(tokio::spawn).collect();
        for peer in crowd {
            peer.await.unwrap();
        }
    });
    served
}

fn signs_in(served: &Served, browser: &Browser, base: &str) {
    let token = served.token(&["--scope", "operate", "--name", "night-shift"]);
    browser.go(base);
    browser.wait("the form", "location.pathname === '/dashboard/sign-in'");
    browser.wait("the field", "document.activeElement.id === 'token'");
    browser.press("usht_00000000_wrong");
    browser.press(ENTER);
    browser.wait("a no", "document.querySelector('[role=alert]')");
    browser.wait("the field", "document.activeElement.id === 'token'");
    // The one word that the console has to say so far is that 401.
    let said = browser.console();
    assert!(
        said.iter()
            .all(|it| it["message"].to_string().contains("401")),
        "{said:?}"
    );
    browser.press(&token);
    browser.press(ENTER);
    browser.wait("the pools", &format!("{} === '{LEASES}'", text("p0-used")));
    assert_eq!(
        browser.told("document.cookie"),
        "",
        "no script reads the cookie"
    );
}

fn a_checkout_shows_without_a_reload(served: &Served, browser: &Browser) -> Running {
    browser.run("window.unchanged = true");
    let run = holder(served);
    let one_more = LEASES + 1;
    browser.wait(
        "a checkout",
        &format!("{} === '{one_more}'", text("p0-used")),
    );
    browser.wait("free", &format!("{} === '9'", text("p0-free")));
    browser.wait("the same page", "window.unchanged");
    browser.picture("pools-light");
    run
}

fn ten_thousand_leases_are_a_page_at_a_time(browser: &Browser, base: &str) {
    browser.go(&format!("{base}/dashboard/leases"));
    let rows = "document.querySelectorAll('tbody tr').length";
    assert_eq!(browser.told(rows), "100");
    let count = LEASES + 1;
    let summary = browser.told("document.querySelector('main').textContent");
    assert!(
        summary.contains(&format!("1 to 100 of {count} leases")),
        "{summary}"
    );
    let bytes = browser.run("return document.documentElement.outerHTML.length");
    assert!(bytes.as_u64().unwrap() < 200_000, "{bytes}");
    browser.go(&format!(
        "{base}/dashboard/leases?page={}",
        count.div_ceil(100)
    ));
    assert_eq!(browser.told(rows), "1");
    browser.go(&format!("{base}/dashboard/leases?user=CROWD-3&host=ws007"));
    assert_eq!(browser.told(rows), "1");
}

fn leases_are_sorted_by_keyboard_alone(browser: &Browser, base: &str) {
    browser.go(&format!("{base}/dashboard/leases"));
    let first = "document.querySelector('tbody td[data-label=Host] bdi').textContent";
    for (order, host) in [
        ("ascending", "ws000.example.com"),
        ("descending", "ws624.example.com"),
    ] {
        browser.tab_to("it.className === 'order' && it.textContent === 'Host'");
        browser.press(ENTER);
        browser.wait(
            order,
            &format!("document.querySelector('[aria-sort={order}]')"),
        );
        let found = browser.told(first);
        // The one lease of a real workstation may come before or after all of them.
        let second = browser.told(&first.replace("tbody", "tbody tr:nth-child(2)"));
        assert!(
            found == host || second == host,
            "{order}: {found}, {second}"
        );
    }
    let count = LEASES + 1;
    let summary = browser.told("document.querySelector('main').textContent");
    assert!(
        summary.contains(&format!("1 to 100 of {count} leases.")),
        "{summary}"
    );
    // On a phone there are no headings; the form has the same.
    browser.go(&format!("{base}/dashboard/leases"));
    browser.tab_to("it.id === 'sort'");
    browser.press("u");
    browser.tab_to("it.textContent === 'Search'");
    browser.press(ENTER);
    browser.wait("sorted", "document.querySelector('[aria-sort=ascending]')");
}

/// One page too many, a daemon that is gone, and one that knows nobody any more.
fn what_is_not_fresh_says_so(served: &mut Served, browser: &Browser, base: &str) {
    let token = served.token(&["--scope", "read", "--name", "wall"]);
    let wall = dashboard::Browser::new(served, "wall");
    assert_eq!(wall.sign_in(&token).status, 303);
    browser.go(base);
    browser.wait("the field", "document.activeElement.id === 'token'");
    browser.press(&token);
    browser.press(ENTER);
    browser.wait("the pools", "location.pathname === '/dashboard'");
    browser.go("about:blank");
    let crowd = dashboard::crowd(&wall);
    browser.go(base);
    let is_told = |id: &str| format!("document.getElementById('{id}')?.hidden === false");
    browser.wait("too many", &is_told("crowded"));
    assert_eq!(browser.told(&is_told("lost")), "false");
    browser.picture("pools-crowded");
    drop(crowd);
    browser.wait("a place", "document.getElementById('crowded').hidden");
    served.daemon.kill();
    browser.wait("nobody there", &is_told("lost"));
    browser.picture("pools-lost");
    served.daemon.start_again();
    browser.wait("the form", "location.pathname === '/dashboard/sign-in'");
}

fn a_lease_is_evicted_by_keyboard_alone(served: &Served, browser: &Browser, base: &str) {
    let leases = || -> Vec<Value> {
        serde_json::from_str(&served.daemon.ask(&["leases", "--json"])).unwrap()
    };
    let is_crowds = |it: &Value| it["user"].as_str().unwrap().starts_with("crowd-");
    let ours = leases().into_iter().find(|it| !is_crowds(it)).unwrap();
    browser.go(&format!("{base}/dashboard/leases"));
    browser.press(TAB);
    let focused = "document.activeElement";
    assert_eq!(
        browser.told(&format!("{focused}.textContent")),
        "Skip to the content"
    );
    let is_seen = format!("{focused}.getBoundingClientRect().left > 0");
    assert_eq!(browser.told(&is_seen), "true");
    browser.tab_to("it.id === 'user'");
    browser.press(ours["user"].as_str().unwrap());
    browser.press(ENTER);
    browser.wait(
        "one row",
        "document.querySelectorAll('tbody tr').length === 1",
    );
    browser.tab_to("it.textContent === 'Evict…'");
    browser.press(ENTER);
    browser.wait("the question", "document.activeElement.id === 'reason'");
    browser.picture("evict-light");
    browser.press("moved by keyboard");
    browser.tab_to("it.tagName === 'BUTTON' && it.textContent === 'Evict'");
    browser.press(ENTER);
    browser.wait("the answer", "document.querySelector('.notice.good')");
    let log = served.daemon.ask(&["usage", "export", "--json"]);
    let evicted = log.lines().rfind(|line| line.contains("moved by keyboard"));
    assert!(
        evicted.is_some_and(|it| it.contains("token night-shift")),
        "{evicted:?}"
    );
    let note = leases().into_iter().find(|it| it["id"] == ours["id"]);
    assert!(note.is_none_or(|it| it["note"] == "evicted: moved by keyboard"));
}

fn usage_is_drawn(browser: &Browser, base: &str) {
    browser.go(&format!("{base}/dashboard/usage?period=day"));
    browser.wait("a chart", "document.querySelector('.chart canvas')");
    let cells = "document.querySelectorAll('.heat td').length";
    assert_eq!(browser.told(cells), "168");
    browser.tab_to("it.tagName === 'SUMMARY'");
    browser.press(ENTER);
    browser.wait(
        "the table",
        "document.querySelector('details[open] #slices')",
    );
    browser.picture("usage-light");
}

fn every_page_fits_a_phone_and_both_schemes(browser: &Browser, base: &str) {
    for (scheme, paper) in [("dark", "rgb(16, 20, 26)"), ("light", "rgb(245, 246, 248)")] {
        browser.scheme(scheme);
        for path in PAGES {
            browser.width(360, true);
            browser.go(&format!("{base}{path}"));
            let wide = browser.told("document.documentElement.scrollWidth");
            assert_eq!(wide, "360", "{path} scrolls sideways");
            browser.picture(&format!("{}-{scheme}-phone", path.replace('/', "-")));
            browser.width(1280, false);
            let seen = browser.told("getComputedStyle(document.body).backgroundColor");
            assert_eq!(seen, paper, "{scheme}");
            let faint = browser.run(CONTRAST);
            assert_eq!(faint, Value::Array(Vec::new()), "{path}, {scheme}");
            browser.picture(&format!("{}-{scheme}", path.replace('/', "-")));
        }
    }
}

fn nothing_was_wrong_and_nothing_came_from_elsewhere(browser: &Browser, base: &str) {
    let wrong: Vec<_> = browser
        .console()
        .into_iter()
        .filter(|it| it["level"] != "DEBUG")
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    let asked = browser.asked();
    assert!(asked.iter().any(|it| it.contains("/dashboard/live")));
    let others: Vec<_> = asked
        .iter()
        .filter(|it| !it.starts_with(base) && it.starts_with("http"))
        .collect();
    assert!(others.is_empty(), "{others:?}");
}

/// The text that a page shows for a live figure; empty where it is not there yet.
/// Some sites allow no script in an administrator's browser.
fn without_scripts_all_is_there_but_what_is_drawn(served: &Served, browser: &Browser, base: &str) {
    let scripts = |off: bool| {
        let value = serde_json::json!({ "value": off });
        browser.devtools("Emulation.setScriptExecutionDisabled", &value);
    };
    scripts(true);
    browser.go(base);
    let main = browser.told("document.querySelector('main').innerText");
    assert!(
        main.contains("Without scripts these are the figures"),
        "{main}"
    );
    let leases: Vec<Value> =
        serde_json::from_str(&served.daemon.ask(&["leases", "--json"])).unwrap();
    assert_eq!(browser.told(&text("p0-used")), leases.len().to_string());
    browser.picture("pools-without-scripts");
    for path in PAGES {
        browser.go(&format!("{base}{path}"));
        let told = browser.told("document.querySelector('h1').innerText");
        assert!(!told.trim().is_empty(), "{path}");
    }
    browser.go(&format!("{base}/dashboard/usage?period=day"));
    assert_eq!(
        browser.told("document.querySelectorAll('.heat td').length"),
        "168"
    );
    assert_eq!(
        browser.told("document.querySelectorAll('.chart canvas').length"),
        "0"
    );
    browser.go(&format!("{base}/dashboard/leases?user=CROWD-3&host=ws007"));
    browser.tab_to("it.textContent === 'Evict…'");
    browser.press(ENTER);
    browser.wait("the question", "document.activeElement.id === 'reason'");
    browser.press("moved without scripts");
    browser.press(ENTER);
    browser.wait("the answer", "document.querySelector('.notice.good')");
    let log = served.daemon.ask(&["usage", "export", "--json"]);
    assert!(log.contains("moved without scripts"));
    scripts(false);
}

fn text(key: &str) -> String {
    format!("(document.querySelector('[data-live=\"{key}\"]')?.textContent ?? '')")
}

/// A real `usher run` that holds a seat until it is dropped.
fn holder(served: &Served) -> Running {
    let run = served.usher_run(&["acme/solver", "--", "sleep", "600"]);
    wait_for("a checkout", || {
        let status = served.daemon.ask(&["status", "--json"]);
        let status: Value = serde_json::from_str(&status).unwrap();
        status["leases"] == LEASES + 1
    });
    run
}

const LEASES: u32 = 10_000;
const PEERS: u8 = 16;

/// Texts with less than 4.5 to 1 between their color and what is painted behind them.
const CONTRAST: &str = r"
const parse = (text) => {
  const parts = text.match(/[\d.]+/g).map(Number);
  const scale = text.startsWith('color(srgb') ? 255 : 1;
  return [parts[0] * scale, parts[1] * scale, parts[2] * scale, parts[3] ?? 1];
};
const light = (color) => {
  const [r, g, b] = color.map((it) => it / 255).map((it) => (it <= 0.03928 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  for (let it = element; it; it = it.parentElement) {
    const paint = parse(getComputedStyle(it).backgroundColor);
    if (paint[3] === 1) return paint;
  }
  return [255, 255, 255, 1];
};
const found = [];
for (const element of document.querySelectorAll('body *')) {
  const own = [...element.childNodes].some((it) => it.nodeType === 3 && it.textContent.trim());
  if (!own || element.closest('.hidden, .skip, svg, .fresh, noscript, script, option') || !element.checkVisibility()) continue;
  const [a, b] = [parse(getComputedStyle(element).color), behind(element)].map((it) => light(it.slice(0, 3)));
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) found.push(`${element.tagName}.${element.className} '${element.textContent.slice(0, 20)}' ${ratio.toFixed(2)}`);
}
return found;
";
