//! Does a holder that was stopped beyond its lease know that at once, before it uses anything (L1)?

use rustix::process::Signal;
use serde_json::Value;
use usher_tests::holder::{Belief, Event, Holder, Mood, What, beliefs, most_at_once};

use super::seats_site::{Seats, boot, eventually};

#[test]
fn stopped_beyond_its_lease_it_says_lost_first_and_has_its_seat_again_after_that() {
    let seats = Seats::here("1,lease-min=2s,lease-default=8s");
    let mut desk = seats.desk();
    desk.holder.granted("a", "solver");
    desk.holder.signal(Signal::STOP);
    wait_past(&desk.holder.belief("a"));
    seats.wait_leases(0);
    // The daemon is stopped too, so that nothing can be extended before the first read.
    seats.daemon.signal(Signal::STOP);
    desk.holder.tell("state a");
    desk.holder.signal(Signal::CONT);
    let first = desk.holder.wait("the first read", first_read);
    assert_eq!(first, (Mood::Lost, "lost: not renewed in time".to_owned()));
    seats.daemon.signal(Signal::CONT);
    wait_changes(&desk.holder, &["lost: not renewed in time", "restored"]);
    // A short lease on a busy machine may be lost and found once more.
    desk.holder.wait_for_mood("a", Mood::Active);
    seats.wait_leases(1);
}

#[test]
fn l6_stopped_while_another_takes_the_seat_it_waits_before_newcomers_and_has_it_after_that() {
    let seats = Seats::here("1,lease-min=2s,lease-default=8s");
    let (mut one, mut two) = (seats.desk(), seats.desk());
    one.holder.granted("a", "solver");
    let refused = two.holder.refused("b", "solver");
    assert_eq!(refused.code, "no-seat");
    one.holder.signal(Signal::STOP);
    eventually("the seat comes free", || seats.leases().is_empty());
    two.holder.granted("b", "solver");
    one.holder.tell("state a");
    one.holder.signal(Signal::CONT);
    let (mood, text) = one.holder.wait("the first read", first_read);
    assert_eq!(mood, Mood::Lost, "{text}");
    eventually("its place in the queue", || {
        let queue = seats.daemon.ask(&["queue", "--json"]);
        let queue: Value = serde_json::from_str(&queue).unwrap();
        queue[0]["position"] == 1 && queue[0]["feature"] == "acme/solver"
    });
    let refused = two.holder.refused("c", "solver");
    assert_eq!(refused.code, "no-seat", "{}", refused.text);
    assert!(refused.text.contains("wait"), "{}", refused.text);
    two.holder.release("b");
    one.holder.wait_for_mood("a", Mood::Active);
    let events = [one.holder.events(), two.holder.events()];
    let held: Vec<_> = events.iter().flat_map(|events| beliefs(events)).collect();
    assert_eq!(most_at_once(&held).0, 1, "{held:#?}");
}

fn wait_changes(holder: &Holder, wanted: &[&str]) {
    holder.wait(&wanted.join(", "), |events| {
        let changes: Vec<_> = events.iter().filter_map(change).collect();
        changes.starts_with(wanted).then_some(())
    });
}

/// Losses and returns; that a renewal was late is nothing here.
fn change(event: &Event) -> Option<&str> {
    match &event.what {
        What::Changed(text) if !text.starts_with("renewing") && text != "active again" => {
            Some(text)
        }
        _ => None,
    }
}

fn first_read(events: &[Event]) -> Option<(Mood, String)> {
    events.iter().find_map(|event| match &event.what {
        What::State(mood, text) => Some((*mood, text.clone())),
        _ => None,
    })
}

/// Nothing but time passes: until the right, as it was known last, is over.
fn wait_past(belief: &Belief) {
    eventually("the right is over", || boot() >= belief.end);
}
