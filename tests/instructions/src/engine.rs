//! Steps of the engine.

use usher_engine::api::{Answer, ClientAsk};
use usher_protocol::{refusal::RefusalCode, time::DurationMs};

use crate::{
    desk::{Desk, OPERATIONS, held, refused},
    policy, queue,
};

/// Steps whose cost does not depend on how many leases are out.
pub(crate) fn steps() {
    let mut desk = Desk::with_leases(100, 1000);
    desk.count_round("at 100 leases", "solver");
    desk.count_round("of a share", "shared");
    refusal(
        &mut desk,
        "engine/refusal of a full pool",
        "full",
        RefusalCode::NoSeat,
    );
    unknown(&mut desk);
    features(&mut desk, "engine/features at 100 leases");
    repeat(&mut desk);
    queue::steps(&mut desk);
    policy::steps();
    expiry();
    Desk::count_start("engine/start for each of 1000 leases", 1000);
}

/// The same among so many leases that a cost which grows with them is seen.
pub(crate) fn steps_in_a_crowd() {
    let mut desk = Desk::with_leases(CROWD, OPERATIONS);
    desk.count_round("at 100 000 leases", "solver");
    features(&mut desk, "engine/features at 100 000 leases");
    for number in 0..OPERATIONS {
        let (client, checkout) = desk.wants("solver", number);
        desk.ask(client, ClientAsk::Checkout(checkout));
    }
    refusal(
        &mut desk,
        "engine/refusal at 100 000 leases",
        "solver",
        RefusalCode::NoSeat,
    );
    // To give them back one by one takes as long as all the rest.
    std::mem::forget(desk);
}

/// Refusals that list holders and say when a seat can come free (A4).
pub(crate) fn refusal(desk: &mut Desk, name: &str, feature: &str, code: RefusalCode) {
    let wants: Vec<_> = (0..OPERATIONS)
        .map(|number| desk.wants(feature, number))
        .collect();
    let asks = wants
        .into_iter()
        .map(|(client, it)| (client, ClientAsk::Checkout(it)));
    let answers = desk.count(name, asks.collect());
    for answer in &answers {
        assert_eq!(refused(answer).code, code, "{}", refused(answer).detail);
    }
}

fn unknown(desk: &mut Desk) {
    let name = "engine/refusal of an unknown feature";
    refusal(desk, name, "nothing", RefusalCode::UnknownFeature);
}

/// What there is of a vendor, and how much of it is out; nothing of that is worked out ahead.
fn features(desk: &mut Desk, name: &str) {
    let asks = (0..OPERATIONS).map(|number| (number, ClientAsk::Features));
    for answer in desk.count(name, asks.collect()) {
        assert!(
            matches!(&answer, Answer::Features(all) if !all.is_empty()),
            "{answer:?}"
        );
    }
}

/// L5: a checkout that is sent once more.
fn repeat(desk: &mut Desk) {
    let wants: Vec<_> = (0..OPERATIONS)
        .map(|number| desk.wants("solver", number))
        .collect();
    let asks: Vec<_> = wants
        .iter()
        .map(|(client, it)| (*client, ClientAsk::Checkout(it.clone())))
        .collect();
    let leases: Vec<_> = asks
        .iter()
        .map(|(client, ask)| desk.ask(*client, ask.clone()))
        .collect();
    desk.count("engine/repeat of a checkout", asks);
    for lease in wants.iter().zip(leases) {
        let (client, release) = desk.release(held(lease));
        desk.ask(client, release);
    }
}

/// What is not given back: a tick takes back a hundred at most.
fn expiry() {
    let mut desk = Desk::with_leases(200, 0);
    desk.pass(DurationMs::hours(2));
    desk.count_tick("engine/expiry of one of a hundred", 100);
}

const CROWD: u32 = 100_000;
