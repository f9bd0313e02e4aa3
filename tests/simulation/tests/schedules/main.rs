//! Named schedules: stories in which leasing has gone wrong elsewhere, each told to the real engine, core
//! and session. Every step of every story judges `believers`; each story says what else it wants.

#![expect(
    clippy::unwrap_used,
    reason = "what cannot be set up must fail the test that asked for it"
)]

mod clocks;
mod copies;
mod lengths;
mod shares;
mod stores;

use usher_engine::api::{AdminAsk, Answer, Status};
use usher_protocol::{
    documents::lease::Lease,
    ids::{Nonce, Token},
    refusal::RefusalCode,
    time::DurationMs,
    wire::Link,
};
use usher_simulation::{Knobs, SeatId, Terms, Ticket, Wish, World};

/// A quiet world with leases of that length.
fn world(seed: u64, seats: u32, lease_ms: DurationMs) -> World {
    World::new(seed, knobs(seats, lease_ms))
}

fn knobs(seats: u32, lease_ms: DurationMs) -> Knobs {
    Knobs {
        terms: terms(seats, lease_ms),
        ..Knobs::default()
    }
}

fn terms(seats: u32, lease_ms: DurationMs) -> Terms {
    Terms {
        seats,
        lease_ms,
        ..Terms::default()
    }
}

/// Somebody who stands in the queue until there is a seat.
fn waits() -> Wish {
    Wish {
        waits: true,
        ..Wish::default()
    }
}

/// A seat that is held at once.
fn held(world: &mut World, station: usize) -> SeatId {
    let seat = world.check_out(station, &Wish::default());
    assert!(comes(world, DurationMs::minutes(1), |it| it.holds(seat)));
    seat
}

fn run(world: &mut World, length: DurationMs) {
    world.run_for(length).unwrap();
}

/// Whether it comes to that in time.
fn comes(world: &mut World, length: DurationMs, done: impl FnMut(&World) -> bool) -> bool {
    world.run_until(length, done).unwrap()
}

/// Nothing passes to or from the station for longer than any schedule lasts.
fn lose(world: &mut World, station: usize) {
    world.block(station, DurationMs::days(400));
}

/// The waiter gets the seat of somebody who is never heard of again, and not before that one has ceased to
/// believe in it: the world itself sees to the latter.
fn inherits(world: &mut World, heir: SeatId, from: SeatId, within: DurationMs) {
    assert!(world.holds(from), "there is nothing to inherit");
    assert!(comes(world, within, |it| it.holds(heir)), "nobody inherits");
    assert!(!world.holds(from));
}

/// A seat that is taken home from there.
fn borrow(world: &mut World, station: usize, length: DurationMs) -> Lease {
    let ticket = world.borrow(station, nonce(station), length);
    match answer(world, ticket) {
        Answer::Promised(promise) => promise.lease,
        other => panic!("{other:?}"),
    }
}

/// Of what is taken home from there.
fn nonce(station: usize) -> Nonce {
    Nonce([u8::try_from(station + 1).unwrap(); 16])
}

/// From a lease's token to another (T6).
fn link(lease: &Lease, next: u8) -> Link {
    Link {
        previous: lease.token,
        next: Token([next; 16]),
    }
}

fn answer(world: &mut World, ticket: Ticket) -> Answer {
    world.hear(ticket).unwrap().unwrap()
}

#[track_caller]
fn refused(answer: Answer, code: RefusalCode) {
    match answer {
        Answer::Refused(refusal) => assert_eq!(refusal.code, code, "{}", refusal.detail),
        other => panic!("{other:?}"),
    }
}

fn status(world: &mut World) -> Status {
    let ticket = world.admin(AdminAsk::Status);
    match answer(world, ticket) {
        Answer::Status(status) => *status,
        other => panic!("{other:?}"),
    }
}
