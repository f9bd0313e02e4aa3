//! One lease, key or seat in two hands (T6, L10, L12).

use super::*;
use usher_protocol::{codec, ids::LifeId};
use usher_simulation::{Crash, Machine};

const LEASE: DurationMs = DurationMs::minutes(10);

/// A copy of what a seat's holder knows: its secret, and its lease with the chain's token.
fn copy(world: &World, seat: SeatId) -> (Lease, Nonce) {
    let session = world.session(seat).unwrap();
    let signed = &session.held().unwrap().granted.signed;
    (codec::decode(&signed.body).unwrap(), session.nonce())
}

/// The copy renews; from then on the two are a branch, which ends renewal for both, and the seat comes
/// free after the last promise to either of them (T6). `between` happens after the copy was made.
fn fork(seed: u64, between: impl Fn(&mut World)) {
    let mut world = world(seed, 1, LEASE);
    let first = held(&mut world, 0);
    let heir = world.check_out(1, &waits());
    let (lease, nonce) = copy(&world, first);
    between(&mut world);
    let ticket = world.show(0, &lease, nonce, link(&lease, 1));
    let sent = world.now();
    let renewed = match answer(&mut world, ticket) {
        Answer::Promised(promise) => promise.lease,
        other => panic!("{other:?}"),
    };
    // The copy's right, as its holder counts it.
    let copy_ends = sent.plus(renewed.length_ms);
    let forked = comes(&mut world, LEASE, |it| !it.holds(first) || it.holds(heir));
    assert!(forked, "seed {seed}: both go on");
    assert!(!world.holds(heir), "seed {seed}: lent while both may work");
    let ticket = world.show(0, &renewed, nonce, link(&renewed, 2));
    refused(answer(&mut world, ticket), RefusalCode::LeaseForked);
    while !world.holds(heir) {
        world.step().unwrap();
        assert!(
            world.now() < copy_ends.plus(LEASE),
            "seed {seed}: never free"
        );
    }
    assert!(
        world.now() > copy_ends,
        "seed {seed}: the copy may still work"
    );
}

#[test]
fn t6_one_key_in_two_processes_renews_one_lease() {
    for seed in 1..10 {
        fork(seed, |_| {});
    }
}

/// A workstation's virtual machine is cloned while it holds a seat; both copies run on.
#[test]
fn t6_a_cloned_machine_renews_one_lease() {
    for seed in 1..10 {
        fork(seed, |world| run(world, DurationMs::minutes(2)));
    }
}

/// The daemon starts anew between the copies: the first token shown starts the chain anew, and the second
/// is the branch (T6, L4).
#[test]
fn t6_a_cloned_machine_renews_one_lease_over_a_restart() {
    for seed in 1..10 {
        fork(seed, |world| {
            // The original is away, so that the copy comes first.
            world.suspend(Machine::Station(0), DurationMs::minutes(4));
            world.crash(Crash::Process);
            run(world, DurationMs::minutes(1));
        });
    }
}

/// A borrowed seat comes back early by its holder's word, and the copy of the lease is used on. Without the
/// vendor's `early-return` the seat is not lent before the copy is worth nothing (L10).
#[test]
fn l10_a_borrow_is_returned_early_and_its_copy_used() {
    let mut knobs = knobs(1, LEASE);
    knobs.terms.borrow_ms_max = DurationMs::days(30);
    let mut world = World::new(1, knobs);
    let nonce = Nonce([7; 16]);
    let ticket = world.borrow(0, nonce, DurationMs::hours(24));
    let Answer::Promised(promise) = answer(&mut world, ticket) else {
        panic!("nothing is lent");
    };
    let lease = promise.lease;
    let heir = world.check_out(1, &waits());
    run(&mut world, DurationMs::hours(1));
    let ticket = world.give_back(0, &lease, nonce, link(&lease, 1));
    let returned = answer(&mut world, ticket);
    assert!(matches!(returned, Answer::Returned(_)), "{returned:?}");
    for crash in [None, Some(Crash::Power)] {
        if let Some(crash) = crash {
            world.crash(crash);
            run(&mut world, LEASE);
        }
        // Whatever the copy is shown for, it brings no more time.
        for (what, ticket) in [
            ("shown", world.show(0, &lease, nonce, link(&lease, 1))),
            ("asked again", world.borrow(0, nonce, DurationMs::hours(24))),
        ] {
            let answer = answer(&mut world, ticket);
            let more =
                matches!(&answer, Answer::Promised(it) if it.lease.not_after > lease.not_after);
            assert!(!more, "{what}: {answer:?}");
        }
    }
    // Until its end the copy is believed off line.
    while world.station_now(0).wall < lease.not_after {
        assert!(!world.holds(heir), "lent while the copy is believed");
        run(&mut world, DurationMs::minutes(10));
    }
    assert!(comes(&mut world, DurationMs::hours(2), |it| it.holds(heir)));
}

/// Somebody relays the question for clones to the daemon itself: its own life is no proof, another is (L12).
#[test]
fn l12_the_clone_question_is_relayed_to_the_daemon_itself() {
    let mut world = world(1, 2, LEASE);
    let own = world.life().unwrap();
    world.find_clone(own);
    run(&mut world, DurationMs::seconds(1));
    assert_eq!(status(&mut world).stopped, Vec::<String>::new());
    let first = held(&mut world, 0);
    // A real one, so that the question can fail.
    world.find_clone(LifeId([0xC1; 16]));
    run(&mut world, DurationMs::seconds(1));
    let stopped = status(&mut world).stopped;
    assert!(
        stopped.iter().any(|it| it.contains("clone-found")),
        "{stopped:?}"
    );
    let second = world.check_out(1, &waits());
    run(&mut world, DurationMs::hours(1));
    assert!(world.holds(first), "renewals go on");
    assert!(!world.holds(second), "nothing is granted beside a clone");
    // Not by a restart, and not by its own life relayed once more.
    world.crash(Crash::Power);
    run(&mut world, DurationMs::minutes(2));
    let own = world.life().unwrap();
    world.find_clone(own);
    run(&mut world, DurationMs::hours(1));
    assert!(!world.holds(second));
    world.admin(AdminAsk::KeepThisClone);
    world.install(&terms(2, LEASE));
    let third = world.check_out(1, &waits());
    run(&mut world, LEASE);
    assert!(!world.holds(third), "what the other lent is held for");
    assert!(comes(&mut world, LEASE, |it| it.holds(third)));
}
