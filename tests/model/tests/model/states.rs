//! Every state of the small world is visited and none breaks a rule; and each rule that is left out is
//! missed at once, so the search can fail (L).

use usher_model::{Bounds, Fault, Finding, Search};

use crate::proof::tell;

/// Three clients, two seats, one place in the queue, one restart, leases of one or two ticks; a client's
/// clock loses a tick over that to the daemon's, or does not, which the guard time of one tick covers.
pub(crate) const WORLD: Bounds = Bounds {
    seats: 2,
    places: 1,
    restarts: 1,
    lengths: [1, 2],
    guard: 1,
    offer: 1,
    client_drifts: &[0, 1],
    server_drifts: &[0],
    messages: 1,
    changes: true,
    evicts: true,
    fault: None,
};

#[test]
fn no_rule_is_broken_whatever_happens_to_one_message_at_a_time() {
    visit("with evictions and other lengths", WORLD);
}

#[test]
fn no_rule_is_broken_by_messages_that_overtake_each_other() {
    visit(
        "with two messages under way",
        Bounds {
            messages: 2,
            lengths: [1, 1],
            changes: false,
            evicts: false,
            ..WORLD
        },
    );
}

/// For the campaign: minutes and gigabytes.
#[test]
#[ignore = "takes minutes: part of the campaign"]
fn no_rule_is_broken_by_all_of_that_together() {
    visit(
        "with all of that",
        Bounds {
            messages: 2,
            ..WORLD
        },
    );
}

fn visit(name: &str, bounds: Bounds) {
    let proof = format!("every state of the lease protocol, {name}");
    match Search::new(bounds).run() {
        Ok(figures) => {
            println!("{figures:?}");
            tell(
                &proof,
                &[
                    ("states", figures.states),
                    ("steps between them", figures.steps),
                    ("states that break a rule", 0),
                ],
            );
        }
        Err(finding) => panic!("{proof}: {finding}"),
    }
}

fn found(fault: Fault, bounds: Bounds) -> Finding {
    let fault = Some(fault);
    match Search::new(Bounds { fault, ..bounds }).run() {
        Ok(figures) => panic!("nothing is missed without it: {figures:?}"),
        Err(finding) => {
            println!("{fault:?}: {finding}");
            finding
        }
    }
}

fn is_used_twice(fault: Fault) {
    let about_lengths = [
        Fault::ForgetsLongest,
        Fault::StoresFirstLengthOnly,
        Fault::DeadlineMovesBack,
    ];
    // What the fault is not about only takes time.
    let bounds = Bounds {
        changes: about_lengths.contains(&fault),
        evicts: fault == Fault::EvictsAtOnce,
        ..WORLD
    };
    let finding = found(fault, bounds);
    assert!(
        finding.rule.starts_with("more clients believe"),
        "{finding}"
    );
}

#[test]
fn l2_without_the_guard_time_a_seat_is_used_twice() {
    is_used_twice(Fault::NoGuard);
}

#[test]
fn l1_a_right_counted_from_the_receipt_uses_a_seat_twice() {
    is_used_twice(Fault::CountsFromReceipt);
}

#[test]
fn a2_a_reply_before_the_disk_uses_a_seat_twice() {
    is_used_twice(Fault::RepliesFirst);
}

#[test]
fn l4_without_the_hold_after_a_restart_a_seat_is_used_twice() {
    is_used_twice(Fault::NoHold);
}

#[test]
fn l4_a_hold_for_the_length_of_today_uses_a_seat_twice() {
    is_used_twice(Fault::ForgetsLongest);
}

#[test]
fn l2_a_longer_promise_that_is_not_stored_uses_a_seat_twice() {
    is_used_twice(Fault::StoresFirstLengthOnly);
}

#[test]
fn l2_a_deadline_that_moves_back_uses_a_seat_twice() {
    is_used_twice(Fault::DeadlineMovesBack);
}

#[test]
fn l7_an_eviction_that_cuts_a_running_lease_uses_a_seat_twice() {
    is_used_twice(Fault::EvictsAtOnce);
}

#[test]
fn l6_a_client_that_works_on_while_it_releases_uses_a_seat_twice() {
    is_used_twice(Fault::WorksOn);
}

#[test]
fn l9_an_offer_that_keeps_no_seat_uses_a_seat_twice() {
    is_used_twice(Fault::OfferKeepsNothing);
}

#[test]
fn l9_an_offer_that_stands_for_ever_lets_others_wait_for_ever() {
    // One seat: kept for somebody who is gone.
    let finding = found(Fault::OfferForEver, Bounds { seats: 1, ..WORLD });
    assert!(
        finding.rule.starts_with("a client asks for ever"),
        "{finding}"
    );
}
