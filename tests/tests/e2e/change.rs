//! What changes under those who hold seats: licenses, policy, an administrator's acts (L7). Is nobody cut, is everybody
//! told, and does all of it come back?

use std::fs;

use usher_tests::holder::{Holder, Mood, What};

use super::seats_site::{Seats, boot, eventually};

#[test]
fn l7_a_license_of_fewer_seats_cuts_nobody_and_takes_the_newest_back_at_renewal() {
    let seats = Seats::here(&format!("3,{RENEWED_SOON}"));
    let (mut oldest, mut middle, mut newest) = (seats.desk(), seats.desk(), seats.desk());
    for desk in [&mut oldest, &mut middle, &mut newest] {
        desk.holder.granted("a", "solver");
    }
    seats.replace(&format!("2,{RENEWED_SOON}"));
    assert_eq!(seats.pool("overcommitted"), true);
    assert!(seats.daemon.ask(&["status"]).contains("OVERCOMMITTED"));
    let mut late = seats.desk();
    assert_eq!(late.holder.refused("a", "solver").code, "overcommitted");
    wait_change(&newest.holder, "renewing: overcommitted: ");
    // Its right runs on: three seats are used where two are licensed, and all three believe so.
    assert_eq!(seats.leases().len(), 3);
    for desk in [&mut oldest, &mut middle] {
        wait_extended(&desk.holder);
        assert_eq!(desk.holder.state("a").0, Mood::Active);
    }
    newest.holder.release("a");
    assert_eq!(seats.pool("overcommitted"), false);
    assert_eq!(late.holder.refused("a", "solver").code, "no-seat");
    oldest.holder.release("a");
    late.holder.granted("a", "solver");
    assert_eq!(middle.holder.state("a").0, Mood::Active);
}

#[test]
fn l7_a_removed_license_lets_its_leases_run_out_and_a_new_one_renews_them() {
    let seats = Seats::here(&format!("2,{RENEWED_SOON}"));
    // Connected before: a daemon without a license of its vendor greets no newcomer.
    let mut desks = seats.desks(2);
    let (mut late, mut desk) = (desks.remove(0), desks.remove(0));
    desk.holder.granted("a", "solver");
    seats.daemon.ask(&["license", "remove", LICENSE]);
    let no = late.holder.refused("a", "solver");
    assert!(no.text.contains("\nnext: "), "{}", no.text);
    wait_change(&desk.holder, "renewing: ");
    assert_eq!(desk.holder.state("a").0, Mood::Renewing);
    seats.replace(&format!("2,{RENEWED_SOON}"));
    wait_change(&desk.holder, "active again");
    late.holder.granted("a", "solver");
}

#[test]
fn l7_a_policy_that_denies_a_holder_does_not_cut_it_and_a_bad_one_changes_nothing() {
    let seats = Seats::here(&format!("2,{RENEWED_SOON}"));
    let mut desk = seats.desk();
    desk.holder.granted("a", "solver");
    let policy = seats.daemon.state_dir().join("policy.toml");
    fs::write(&policy, "[[deny]]\nfeature = \"acme/solver\"\n").unwrap();
    seats.daemon.ask(&["reload"]);
    wait_extended(&desk.holder);
    assert_eq!(desk.holder.state("a").0, Mood::Active);
    assert_eq!(desk.holder.refused("b", "solver").code, "denied");

    fs::write(&policy, "[[maximum]]\nper = \"user\"\nseats = 0\n").unwrap();
    let output = seats.daemon.admin(&["reload"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    for expected in ["policy.toml:3:9: ", "\n3 | seats = 0\n  |         ^\n"] {
        assert!(said.contains(expected), "no {expected:?} in {said}");
    }
    assert_eq!(desk.holder.refused("b", "solver").code, "denied");
    fs::remove_file(&policy).unwrap();
    seats.daemon.ask(&["reload"]);
    desk.holder.granted("b", "solver");
}

#[test]
fn l7_an_evicted_application_hears_it_at_once_and_cannot_take_the_seat_back_until_it_cooled_down() {
    // Its next renewal is twenty minutes away.
    let seats = Seats::here("1,lease-min=2s,lease-default=1h,lease-max=1h");
    let (mut desk, mut other) = (seats.desk(), seats.desk());
    let lease = desk.holder.granted("a", "solver").lease;
    let evict = ["evict", &lease, "--reason", "exam", "--cool-down", "5s"];
    seats.daemon.ask(&evict);
    wait_change(
        &desk.holder,
        "renewing: an administrator takes the seat back: exam",
    );
    assert_eq!(desk.holder.state("a").0, Mood::Renewing);
    let released = boot();
    desk.holder.release("a");
    other.holder.granted("a", "solver");
    other.holder.release("a");
    loop {
        match desk.holder.checkout("b", "solver") {
            What::Granted(_) => break,
            What::Refused(no) => assert_eq!(no.code, "cooling-down", "{}", no.text),
            other => panic!("{other:?}"),
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    assert!(boot() >= released + 5000, "it cooled down for 5 s");
}

#[test]
fn l7_a_suspended_feature_is_renewed_and_lent_to_nobody_until_it_is_resumed() {
    let seats = Seats::here(&format!("2,{RENEWED_SOON}"));
    let (mut desk, mut late) = (seats.desk(), seats.desk());
    desk.holder.granted("a", "solver");
    let suspend = ["suspend", "acme/solver", "--reason", "audit"];
    seats.daemon.ask(&suspend);
    let no = late.holder.refused("a", "solver");
    assert_eq!(no.code, "suspended");
    assert!(no.text.contains("audit"), "{}", no.text);
    wait_change(&desk.holder, "renewing: suspended: ");
    assert_eq!(desk.holder.state("a").0, Mood::Renewing);
    assert_eq!(seats.leases().len(), 1);
    seats.daemon.ask(&["resume", "acme/solver"]);
    wait_change(&desk.holder, "active again");
    late.holder.granted("a", "solver");
}

impl Seats {
    /// Installs the license anew, on other terms.
    pub(super) fn replace(&self, terms: &str) {
        let feature = format!("solver:{terms}");
        let terms = [
            "--environment",
            "test",
            "--license-id",
            LICENSE,
            "--feature",
            &feature,
        ];
        self.daemon
            .install(&self.vendor.license(&self.daemon, &terms));
    }

    /// What `usherd status` says of the one pool.
    fn pool(&self, field: &str) -> serde_json::Value {
        self.status()["pools"][0][field].clone()
    }
}

/// Waits until its seat `a` is told to have changed like this.
fn wait_change(holder: &Holder, wanted: &str) {
    holder.wait(wanted, |events| {
        let is_it = |what: &What| matches!(what, What::Changed(text) if text.starts_with(wanted));
        events
            .iter()
            .any(|event| event.seat == "a" && is_it(&event.what))
            .then_some(())
    });
}

/// Waits until the right of its seat `a` was extended once more.
fn wait_extended(holder: &Holder) {
    let before = holder.belief("a").end;
    eventually("a renewal", || holder.belief("a").end > before);
}

/// Renewed after 15 seconds, and not over before 30 more: enough for what a test does meanwhile.
const RENEWED_SOON: &str = "lease-min=2s,lease-default=45s,lease-max=45s";
const LICENSE: &str = "acme-0001";
