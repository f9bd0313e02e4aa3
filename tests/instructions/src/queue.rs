//! Steps of the queue (L9): a line of a thousand for a pool of four seats.

use usher_engine::api::{Answer, ClientAsk};
use usher_protocol::time::DurationMs;

use crate::desk::{Desk, Held, OPERATIONS, held};

pub(crate) fn steps(desk: &mut Desk) {
    let holders: Vec<_> = (0..SEATS).map(|client| take(desk, client)).collect();
    let mut waiters: Vec<_> = (0..LINE).map(|client| waiter(desk, client)).collect();
    for (client, ask) in &waiters {
        let answer = desk.ask(*client, ask.clone());
        assert!(matches!(answer, Answer::Queued(_)), "{answer:?}");
    }
    let more: Vec<_> = (LINE..LINE + OPERATIONS)
        .map(|client| waiter(desk, client))
        .collect();
    let answers = desk.count("engine/wait behind 1000", more);
    assert!(answers.iter().all(|it| matches!(it, Answer::Queued(_))));
    waiters.truncate(ROUNDS);
    let mut holder = holders[0];
    for (client, ask) in waiters {
        desk.pass(DurationMs(100));
        let release = desk.release(holder);
        desk.count("engine/release to the first of 1000", vec![release]);
        let ClientAsk::Checkout(checkout) = &ask else {
            panic!("a waiter waits for a checkout");
        };
        let asked = (client, checkout.clone());
        let mut answers = desk.count("engine/claim of an offer", vec![(client, ask)]);
        holder = held((&asked, answers.remove(0)));
    }
}

fn take(desk: &mut Desk, client: usize) -> Held {
    let (client, checkout) = desk.wants("wanted", client);
    let answer = desk.ask(client, ClientAsk::Checkout(checkout.clone()));
    held((&(client, checkout), answer))
}

fn waiter(desk: &mut Desk, client: usize) -> (usize, ClientAsk) {
    let (client, mut checkout) = desk.wants("wanted", client);
    checkout.wait = true;
    (client, ClientAsk::Checkout(checkout))
}

/// Seats of `wanted`.
const SEATS: usize = 4;

/// Who waits for them.
const LINE: usize = 1000;

/// How often the first is served.
const ROUNDS: usize = 32;
