//! The administrator's policy and verbs against a running daemon: what takes effect, and what a mistake changes.

use std::{fs, thread, time::Duration};

use usher_client::{
    Error, blocking,
    protocol::{
        refusal::{Refusal, RefusalCode},
        wire::Holder,
    },
};

use crate::admin_ground::{Site, failed, wait_for};

impl Site {
    /// Writes the policy where this daemon looks for it.
    fn policy(&self, text: &str) {
        fs::write(self.daemon.state_dir().join("policy.toml"), text).unwrap();
    }

    /// What a checkout is refused with, that must be.
    fn refused(&self) -> Box<Refusal> {
        match self.client().checkout("solver").send() {
            Err(Error::Refused(refusal)) => refusal,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("granted"),
        }
    }

    fn json(&self, arguments: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.daemon.ask(arguments)).unwrap()
    }

    /// `bob` on `ws2`, with a key of his own.
    fn bob(&self) -> blocking::Client {
        let builder = self
            .builder()
            .key(usher_client::keyfile::new_key().unwrap())
            .holder(Holder {
                user: "bob".to_owned(),
                host: "ws2".to_owned(),
                display: None,
                process: 8,
            });
        blocking::Client::build(builder).unwrap()
    }
}

fn id(seat: &blocking::Seat) -> String {
    seat.as_async().id().unwrap().to_string()
}

#[test]
fn a_policy_takes_effect_at_a_reload_and_a_denial_names_its_line() {
    let site = Site::lending();
    site.policy(
        "\n[[deny]]\nfeature = \"acme/solver\"\nwho = [\"user:ann*\"]\nreason = \"ask the lab\"\n",
    );
    let said = site.daemon.ask(&["reload"]);
    assert!(said.contains("policy.toml: 1 deny\n"), "{said}");
    let refusal = site.refused();
    assert_eq!(refusal.code, RefusalCode::Denied);
    assert!(refusal.detail.contains("ask the lab"), "{}", refusal.detail);
    let rule = refusal.rule.unwrap();
    assert_eq!((rule.file.as_str(), rule.line), ("policy.toml", 2));
    site.bob().checkout("solver").send().unwrap();
    let status = site.daemon.ask(&["status"]);
    assert!(status.contains("1 deny"), "{status}");
    assert!(site.daemon.ask(&["usage", "show"]).contains("policy: "));
    fs::remove_file(site.daemon.state_dir().join("policy.toml")).unwrap();
    let said = site.daemon.ask(&["reload"]);
    assert!(said.contains("no rules"), "{said}");
    site.client().checkout("solver").send().unwrap();
}

#[test]
fn a_policy_is_in_force_before_the_first_client_of_a_new_life() {
    let mut site = Site::lending();
    site.daemon.terminate();
    site.policy("[[deny]]\nwho = [\"user:anna\"]\n");
    site.daemon.start_again();
    assert_eq!(site.refused().code, RefusalCode::Denied);
}

#[test]
fn a_reservation_that_cannot_be_met_is_refused_at_a_reload_and_said_aloud_at_a_start() {
    let mut site = Site::lending();
    site.policy("[[reserve]]\nfeature = \"acme/solver\"\nseats = 3\nwho = [\"user:bob\"]\n");
    let (code, said) = site.fails(&["reload"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("policy.toml:1:1: "), "{said}");
    assert!(said.contains("1 | [[reserve]]\n  | ^^^^"), "{said}");
    let seat = site.client().checkout("solver").send().unwrap();
    seat.release().unwrap();
    // Without it, a license to be added later could never be reserved of.
    site.daemon.terminate();
    site.daemon.start_again();
    let status = site.daemon.ask(&["status"]);
    assert!(status.contains("degraded: reservation: "), "{status}");
    assert!(status.contains("policy.toml:1)"), "{status}");
}

#[test]
fn a4_reserved_seats_are_told_apart_from_free_ones() {
    let site = Site::lending();
    site.policy("[[reserve]]\nfeature = \"acme/solver\"\nseats = 1\nwho = [\"user:bob\"]\n");
    site.daemon.ask(&["reload"]);
    let _seat = site.client().checkout("solver").send().unwrap();
    assert_eq!(site.refused().code, RefusalCode::Reserved);
    let status = site.json(&["status", "--json"]);
    let pool = &status["pools"][0];
    assert_eq!((&pool["out"], &pool["free"]), (&1.into(), &1.into()));
    assert_eq!(pool["reserved-idle"], 1);
    assert_eq!(status["reservations"][0]["who"], "user:bob");
    assert_eq!(status["reservations"][0]["line"], 1);
    let text = site.daemon.ask(&["status"]);
    let row = text
        .lines()
        .find(|line| line.starts_with("acme/solver "))
        .unwrap();
    let numbers: Vec<_> = row.split_whitespace().skip(1).take(4).collect();
    assert_eq!(numbers, ["2", "1", "0", "1"], "{text}");
}

#[test]
fn l7_what_is_suspended_is_not_lent_until_it_is_resumed_restarts_included() {
    let mut site = Site::lending();
    let said = site.daemon.ask(&["suspend", "solver", "--reason", "audit"]);
    assert!(said.contains("✓ acme/solver: suspended"), "{said}");
    assert!(said.contains("usherd resume acme/solver"), "{said}");
    let refusal = site.refused();
    assert_eq!(refusal.code, RefusalCode::Suspended);
    assert!(refusal.detail.contains("audit"), "{}", refusal.detail);
    site.daemon.kill();
    site.daemon.start_again();
    assert_eq!(site.refused().code, RefusalCode::Suspended);
    let status = site.daemon.ask(&["status"]);
    assert!(status.contains("SUSPENDED: audit"), "{status}");
    site.daemon.ask(&["resume", "acme/solver"]);
    site.client().checkout("solver").send().unwrap();
    let (code, said) = site.fails(&["resume", "acme/solver"]);
    assert_eq!(code, 77, "{said}");
    let (code, said) = site.fails(&["suspend", "acme/mesher"]);
    assert_eq!(code, 1);
    assert!(said.contains("usherd license list"), "{said}");
    let said = site.daemon.ask(&["suspend", "acme-0001"]);
    assert!(said.contains("✓ license acme-0001: suspended"), "{said}");
    assert_eq!(site.refused().code, RefusalCode::Suspended);
}

#[test]
fn where_keys_must_be_accepted_an_administrator_lets_them_in_and_out() {
    let site = Site::lending();
    assert_eq!(site.daemon.ask(&["clients"]), "no client keys\n");
    site.policy("enroll = \"required\"\n");
    site.daemon.ask(&["reload"]);
    let refusal = site.refused();
    assert_eq!(refusal.code, RefusalCode::NotEnrolled);
    assert_eq!(refusal.rule.unwrap().line, 1);
    let pending = site.json(&["clients", "--pending", "--json"]);
    assert_eq!(pending[0]["user"], "anna");
    assert_eq!(pending[0]["address"], "127.0.0.1");
    let key = pending[0]["client"].as_str().unwrap();
    let (code, said) = site.fails(&["client", "accept", "0000", "--name", "lab"]);
    assert_eq!(code, 1);
    assert!(said.contains("usherd clients"), "{said}");
    site.daemon
        .ask(&["client", "accept", &key[..8], "--name", "lab"]);
    let seat = site.client().checkout("solver").send().unwrap();
    let said = site.daemon.ask(&["clients"]);
    assert!(
        said.contains(&format!("{}  accepted  lab", &key[..8])),
        "{said}"
    );
    let full = pending[0]["key"].as_str().unwrap();
    site.daemon.ask(&["client", "remove", full]);
    assert_eq!(site.daemon.ask(&["clients"]), "no client keys\n");
    // L7: what runs is not cut, and not renewed.
    assert!(seat.state().holds());
    wait_for("the end of the lease", || !seat.state().holds());
    assert_eq!(site.fails(&["client", "remove", "lab"]).0, 1);
}

#[test]
fn l9_the_queue_is_shown_as_it_stands() {
    let site = Site::lending();
    assert_eq!(site.daemon.ask(&["queue"]), "nobody waits\n");
    let both = site.client().checkout("solver").seats(2).send().unwrap();
    let bob = site.bob();
    let waits = thread::spawn(move || bob.checkout("solver").wait(Duration::from_mins(2)).send());
    wait_for("the waiter", || site.daemon.ask(&["queue"]).contains("bob"));
    let queue = site.json(&["queue", "--json"]);
    assert_eq!(
        (&queue[0]["position"], &queue[0]["seats"]),
        (&1.into(), &1.into())
    );
    assert_eq!(queue[0]["host"], "ws2");
    assert!(site.daemon.ask(&["status"]).contains("QUEUED"));
    both.release().unwrap();
    waits.join().unwrap().unwrap();
    assert_eq!(site.daemon.ask(&["queue"]), "nobody waits\n");
}

#[test]
fn l7_after_an_evict_with_a_cool_down_the_seat_is_not_taken_back_at_once() {
    let site = Site::lending();
    let client = site.client();
    let seat = client.checkout("solver").send().unwrap();
    site.daemon.ask(&[
        "evict",
        &id(&seat),
        "--reason",
        "maintenance",
        "--cool-down",
        "10m",
    ]);
    assert_eq!(site.refused().code, RefusalCode::CoolingDown);
    site.bob().checkout("solver").send().unwrap();
    let evict = ["evict", "1-1", "--reason", "x", "--cool-down", "soon"];
    assert_eq!(site.fails(&evict).0, 2);
}

#[test]
fn l10_borrowed_leases_are_listed_and_a_lost_one_is_written_off_within_the_allowance() {
    let site = Site::new();
    let terms = "solver:2,borrow-max=7d,write-off=1";
    let usual = ["--environment", "test", "--feature", terms];
    let license = site.acme.license(&site.daemon, &usual);
    site.daemon.install(&license);
    assert_eq!(site.daemon.ask(&["borrows"]), "nothing is borrowed\n");
    let client = blocking::block_on(site.builder().connect()).unwrap();
    let day = Duration::from_hours(24);
    let borrow = async { client.borrow("solver", day).await };
    blocking::block_on(borrow).unwrap();
    let borrows = site.json(&["borrows", "--json"]);
    let lease = borrows[0]["id"].as_str().unwrap().to_owned();
    assert!(
        borrows[0]["borrowed-until"]
            .as_str()
            .unwrap()
            .ends_with('Z')
    );
    let text = site.daemon.ask(&["borrows"]);
    assert!(
        text.contains(&format!("{lease}  acme/solver      1  anna  ws1")),
        "{text}"
    );
    assert!(site.daemon.ask(&["leases"]).contains("borrowed until "));
    let pool = |status: &serde_json::Value| {
        let pool = &status["pools"][0];
        ["out", "borrowed", "written-off"].map(|it| pool[it].as_u64().unwrap())
    };
    assert_eq!(pool(&site.json(&["status", "--json"])), [1, 1, 0]);
    let said = site
        .daemon
        .ask(&["write-off", &lease, "--reason", "stolen"]);
    assert!(said.contains("written off"), "{said}");
    assert_eq!(pool(&site.json(&["status", "--json"]))[2], 1);
    let log = site.daemon.ask(&["usage", "show"]);
    assert!(log.contains(&format!("written off {lease}")), "{log}");
    let (code, said) = site.fails(&["write-off", "1-1", "--reason", "stolen"]);
    assert_eq!(code, 77, "{said}");
}

#[test]
fn a4_an_explanation_says_what_the_client_would_hear_and_ends_as_it_would() {
    let site = Site::lending();
    let explain = |more: &[&str]| {
        let usual = ["explain", "--test", "--user", "anna", "--host", "ws1"];
        let output = site.daemon.admin(&[&usual[..], more].concat()).output();
        let output = output.unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), said)
    };
    let (code, said) = explain(&["acme/solver"]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = explain(&["acme/mesher"]);
    assert_eq!(code, 77, "{said}");
    let (code, said) = explain(&["acme/solver", "--seats", "3"]);
    assert_eq!(code, 2, "{said}");
    let _both = site.bob().checkout("solver").seats(2).send().unwrap();
    let (code, said) = explain(&["solver"]);
    assert_eq!(code, 75, "{said}");
    let refusal = site.refused();
    for expected in [
        refusal.code.name(),
        &refusal.detail,
        "bob@ws2",
        "earliest: ",
    ] {
        assert!(said.contains(expected), "no {expected:?} in {said}");
    }
    assert!(site.daemon.ask(&["queue"]).contains("nobody waits"));
    site.policy("[[deny]]\nwho = [\"network:10.0.0.0/8\"]\n");
    site.daemon.ask(&["reload"]);
    let (code, said) = explain(&["acme/solver", "--address", "10.1.2.3"]);
    assert_eq!(code, 77, "{said}");
    assert!(said.contains("(policy.toml:1)"), "{said}");
    assert_eq!(explain(&["acme/solver", "--address", "11.1.2.3"]).0, 75);
    let (code, said) = explain(&["acme/solver", "--json"]);
    assert_eq!(code, 75);
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(json["refusal"]["refusal"], "no-seat");
}

#[test]
fn a_mistake_in_the_policy_is_told_and_the_running_one_stays() {
    let site = Site::lending();
    let wrong = "[[deny]]\nfeature = \"acme/solver\"\nwho = [\"staf\"]\n\n[[denny]]\n";
    site.policy(wrong);
    let (code, said) = site.fails(&["reload"]);
    assert_eq!(code, 1, "{said}");
    let expected = [
        "policy.toml:3:8: ",
        "\n3 | who = [\"staf\"]\n  |        ^^^^^^\n",
        "policy.toml:5:3: ",
        "2 errors; mend the file",
    ];
    for expected in expected {
        assert!(said.contains(expected), "no {expected:?} in {said}");
    }
    let seat = site.client().checkout("solver").send();
    assert!(seat.is_ok(), "nobody is denied anything");
}

#[test]
fn a_mistake_in_the_policy_fails_the_start_as_one_in_the_configuration() {
    let mut site = Site::lending();
    site.daemon.terminate();
    site.policy("enroll = \"always\"\n");
    let (code, said) = failed(&site.daemon.start_and_fail());
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("policy.toml:1:10: "), "{said}");
    let chosen = site.station.home().join("none.toml");
    site.daemon.set("POLICY", chosen.to_str().unwrap());
    let (code, said) = failed(&site.daemon.start_and_fail());
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("none.toml"), "{said}");
}
