//! Does a crowd ever get more seats than there are, whatever happens to the daemon meanwhile?

use std::collections::BTreeSet;

use usher_tests::holder::{Event, What, beliefs, is_answer, most_at_once};

use super::seats_site::{Desk, Seats, all_events, boot, eventually};

#[test]
fn of_64_at_once_exactly_10_get_a_seat_five_times_over() {
    let seats = Seats::here("10,lease-default=10m");
    let mut desks = seats.desks(CROWD);
    for round in 0..ROUNDS {
        let granted = storm(&mut desks, round, 1, || {});
        assert_eq!(granted.len(), POOL, "round {round}");
        assert_eq!(seats.lease_ids(), granted);
        go_home(&seats, &mut desks, round);
    }
    assert_eq!(most_believed(&desks), POOL);
}

#[test]
fn a_daemon_killed_amid_the_crowd_forgets_no_lease_and_lends_none_twice() {
    let mut seats = Seats::here("10,lease-default=10m");
    let mut desks = seats.desks(CROWD);
    for (round, grants_known) in [1, 5, POOL].into_iter().enumerate() {
        let granted = storm(&mut desks, round, grants_known, || {
            seats.daemon.kill();
            seats.daemon.start_again();
        });
        assert_eq!(granted.len(), POOL, "round {round}");
        assert_eq!(seats.lease_ids(), granted);
        go_home(&seats, &mut desks, round);
    }
    assert_eq!(most_believed(&desks), POOL);
    assert_never_changed_but_renewing(&desks);
}

#[test]
fn seats_that_change_hands_while_the_daemon_is_killed_have_one_holder_at_a_time() {
    let mut seats = Seats::here("10,lease-default=10m");
    let mut desks = seats.desks(CROWD);
    for desk in &mut desks {
        desk.holder.tell("work a solver 2 30");
    }
    for killed in 1..=2 {
        let enough = CROWD / 2 * killed;
        eventually("seats change hands", || grants(&desks).len() > enough);
        seats.daemon.kill();
        let killed_at = boot();
        seats.daemon.start_again();
        let listed = seats.lease_ids();
        let listed_at = boot();
        let missing = held_throughout(&desks, killed_at, listed_at);
        let missing: Vec<_> = missing.difference(&listed).collect();
        assert!(missing.is_empty(), "{missing:?} of {listed:?}");
    }
    for desk in &desks {
        let is_done = |event: &Event| event.what == What::Done;
        desk.holder.wait("all turns done", |events| {
            events.iter().any(is_done).then_some(())
        });
    }
    seats.wait_leases(0);
    assert!(most_believed(&desks) <= POOL);
    let leases: BTreeSet<_> = grants(&desks).into_iter().collect();
    assert_eq!(
        leases.len(),
        grants(&desks).len(),
        "a lease had two holders"
    );
    assert!(leases.len() >= CROWD * 2);
}

/// All ask at once; `amid` happens when so many grants are known. Returns the leases granted.
fn storm(
    desks: &mut [Desk],
    round: usize,
    grants_known: usize,
    amid: impl FnOnce(),
) -> BTreeSet<String> {
    let seat = format!("round-{round}");
    for desk in desks.iter_mut() {
        desk.holder.tell(&format!("checkout {seat} solver"));
    }
    let answered = |event: &Event| event.seat == seat && is_answer(&event.what);
    eventually("enough grants", || {
        let all = all_events(desks).into_iter().flatten();
        let granted = |event: &Event| answered(event) && event.belief().is_some();
        all.filter(granted).count() >= grants_known
    });
    amid();
    let mut granted = BTreeSet::new();
    for desk in desks {
        let answer = desk.holder.wait(&seat, |events| {
            let answer = events.iter().find(|event| answered(event));
            answer.map(|event| event.what.clone())
        });
        match answer {
            What::Granted(belief) => assert!(granted.insert(belief.lease), "lent twice"),
            What::Refused(no) => assert_eq!(no.code, "no-seat", "{}", no.text),
            other => panic!("{other:?}"),
        }
    }
    granted
}

fn go_home(seats: &Seats, desks: &mut [Desk], round: usize) {
    let seat = format!("round-{round}");
    for desk in desks {
        let holds = |event: &Event| event.seat == seat && event.belief().is_some();
        if desk.holder.events().iter().any(holds) {
            desk.holder.release(&seat);
        }
    }
    seats.wait_leases(0);
}

fn grants(desks: &[Desk]) -> Vec<String> {
    let events = all_events(desks).into_iter().flatten();
    let lease = |event: Event| match event.what {
        What::Granted(belief) => Some(belief.lease),
        _ => None,
    };
    events.filter_map(lease).collect()
}

/// Leases that were acknowledged before `from` and not let go of before `to`.
fn held_throughout(desks: &[Desk], from: u64, to: u64) -> BTreeSet<String> {
    let all = all_events(desks);
    let held = all.iter().flat_map(|events| beliefs(events));
    held.filter(|held| held.from < from && held.to > to)
        .map(|held| held.lease)
        .collect()
}

fn most_believed(desks: &[Desk]) -> usize {
    let all = all_events(desks);
    let held: Vec<_> = all.iter().flat_map(|events| beliefs(events)).collect();
    most_at_once(&held).0
}

fn assert_never_changed_but_renewing(desks: &[Desk]) {
    for event in all_events(desks).into_iter().flatten() {
        if let What::Changed(change) = &event.what {
            let given_back = change == "lost: given back";
            assert!(given_back || !change.starts_with("lost"), "{event:?}");
        }
    }
}

const CROWD: usize = 64;
const POOL: usize = 10;
const ROUNDS: usize = 5;
