//! The queue (L9): who waits, who is offered a seat, and what waiters are told.

use std::collections::BTreeSet;

use usher_protocol::wire::Place;

use super::*;
use crate::{
    limits::{PLACES_AT_ONCE_MAX, PLACES_PER_STEP_MAX},
    record::What,
};

/// Seats of `solver`, all out to client 10.
fn full(seats: u8) -> (World, Vec<Lease>) {
    let mut world = World::with_seats(u32::from(seats));
    let leases = (1..=seats).map(|nonce| world.checkout(10, nonce).unwrap().lease);
    let leases = leases.collect();
    (world, leases)
}

fn position(answer: &Answer) -> u32 {
    match answer {
        Answer::Queued(place) => place.position,
        other => panic!("{other:?}"),
    }
}

fn place(position: u32, waiting: u32) -> Place {
    Place {
        position,
        waiting,
        expected_ms: None,
    }
}

impl World {
    fn give_back(&mut self, client: u8, lease: &Lease, nonce: u8) {
        self.release(client, lease, nonce, link(nonce, 200))
            .unwrap();
    }

    /// Who was pushed what since the last time, by the number of the client.
    fn news(&mut self) -> Vec<(u8, Push)> {
        let pushes = std::mem::take(&mut self.pushes);
        let news = pushes.into_iter();
        news.map(|(ConnectionId(client), push)| (u8::try_from(client).unwrap(), push))
            .collect()
    }

    fn offered(&self) -> u64 {
        self.engine
            .state
            .pools()
            .map(|(_, pool)| pool.offered)
            .sum()
    }

    fn disconnect(&mut self, client: u8, orderly: bool) {
        self.input(Input::Disconnected {
            connection: ConnectionId(u64::from(client)),
            orderly,
        });
    }
}

fn nonce(byte: u8) -> Nonce {
    Nonce([byte; 16])
}

fn offer(byte: u8) -> Push {
    Push::Offered(nonce(byte), DurationMs::seconds(30))
}

#[test]
fn l9_a_checkout_that_waits_gets_a_place_and_then_an_offer() {
    let (mut world, leases) = full(1);
    assert_eq!(position(&world.wait(11, 21)), 1);
    assert_eq!(position(&world.wait(12, 22)), 2);
    assert_eq!(world.status().pools[0].view.queued, 2);
    world.pass(5000);
    world.give_back(10, &leases[0], 1);
    assert_eq!(
        world.news(),
        [(11, offer(21)), (12, Push::Queued(nonce(22), place(1, 1)))]
    );
    let pool = &world.status().pools[0];
    assert_eq!((pool.view.out, pool.offered, pool.view.kept), (0, 1, 1));
    // What is offered is nobody else's.
    refused(world.checkout(13, 23), RefusalCode::NoSeat);
    let promise = world.checkout_with(
        11,
        Checkout {
            wait: true,
            ..wants(21)
        },
    );
    assert_eq!(promise.unwrap().seats_out, 1);
    assert_eq!(world.offered(), 0);
    let granted = world
        .events
        .iter()
        .rev()
        .find_map(|event| match &event.what {
            What::Granted(lease) => Some(lease),
            _ => None,
        });
    assert_eq!(granted.unwrap().waited_ms, DurationMs(5000));
}

#[test]
fn l9_an_offer_not_claimed_goes_to_the_next() {
    let (mut world, leases) = full(1);
    world.wait(11, 21);
    world.wait(12, 22);
    world.give_back(10, &leases[0], 1);
    world.news();
    world.run(29_999);
    assert_eq!(world.news(), []);
    world.run(1);
    let news = world.news();
    assert!(
        matches!(
            &news[..],
            [(11, Push::Dismissed(gone, refusal)), (12, Push::Offered(next, _))]
                if *gone == nonce(21) && *next == nonce(22) && refusal.code == RefusalCode::NoSeat
        ),
        "{news:?}"
    );
    assert!(matches!(
        world.events.last().unwrap().what,
        What::GaveUp {
            waited_ms: DurationMs(30_000),
            ..
        }
    ));
    // Who missed it stands at the end.
    assert_eq!(position(&world.wait(11, 21)), 1);
    world.checkout(12, 22).unwrap();
    assert_eq!(world.offered(), 0);
}

#[test]
fn l9_nobody_passes_who_did_not_wait() {
    let (mut world, leases) = full(2);
    let two = |nonce| Checkout {
        seats: 2,
        ..wants(nonce)
    };
    assert_eq!(position(&world.wait_with(11, two(21))), 1);
    world.give_back(10, &leases[0], 1);
    // One is free and kept for the one who needs two.
    let refusal = refused(world.checkout(12, 22), RefusalCode::NoSeat);
    assert!(refusal.detail.contains("1 wait"), "{}", refusal.detail);
    assert!(refusal.detail.contains("--wait"), "{}", refusal.detail);
    assert_eq!(position(&world.wait(13, 23)), 2);
    world.give_back(10, &leases[1], 2);
    assert_eq!(
        world.news(),
        [(11, offer(21)), (13, Push::Queued(nonce(23), place(1, 1)))]
    );
    world.wait_with(11, two(21));
    assert_eq!(world.seats_out(), 2);
}

#[test]
fn l9_when_the_head_leaves_the_seats_it_kept_go_on() {
    let (mut world, leases) = full(2);
    world.wait_with(
        11,
        Checkout {
            seats: 2,
            ..wants(21)
        },
    );
    world.wait(12, 22);
    world.give_back(10, &leases[0], 1);
    assert_eq!(world.news(), []);
    assert!(matches!(
        world.client(11, ClientAsk::Leave(nonce(21))),
        Answer::Left
    ));
    assert!(matches!(
        world.client(11, ClientAsk::Leave(nonce(21))),
        Answer::Left
    ));
    assert_eq!(world.news(), [(12, offer(22))]);
    world.checkout(12, 22).unwrap();
    // Nobody waits any more: the rest is everybody's.
    world.give_back(10, &leases[1], 2);
    world.checkout(13, 23).unwrap();
}

#[test]
fn l9_a_repeat_keeps_its_place_and_moves_to_the_new_connection() {
    let (mut world, leases) = full(1);
    world.wait(11, 21);
    world.wait(12, 22);
    world.disconnect(11, false);
    world.run(59_999);
    assert_eq!(position(&world.wait(11, 21)), 1);
    world.run(60_001);
    world.give_back(10, &leases[0], 1);
    assert_eq!(world.news()[0], (11, offer(21)));
    let other = Checkout {
        seats: 2,
        ..wants(22)
    };
    let answer = world.client(12, ClientAsk::Checkout(other));
    refused(promised(answer), RefusalCode::NonceReused);
}

#[test]
fn l9_who_is_cut_off_keeps_its_place_for_a_minute() {
    let (mut world, leases) = full(1);
    world.wait(11, 21);
    world.wait(12, 22);
    world.disconnect(11, false);
    world.run(60_000);
    assert_eq!(world.news(), [(12, Push::Queued(nonce(22), place(1, 1)))]);
    world.give_back(10, &leases[0], 1);
    assert_eq!(world.news(), [(12, offer(22))]);
}

#[test]
fn l9_an_offer_to_one_that_is_cut_off_runs_its_time() {
    let (mut world, leases) = full(1);
    world.wait(11, 21);
    world.disconnect(11, false);
    world.run(59_000);
    world.give_back(10, &leases[0], 1);
    assert_eq!((world.news(), world.offered()), (vec![], 1));
    world.run(29_000);
    world.checkout(11, 21).unwrap();
    assert_eq!((world.seats_out(), world.offered()), (1, 0));
}

#[test]
fn l9_an_orderly_end_leaves_at_once() {
    let (mut world, leases) = full(1);
    world.wait(11, 21);
    world.wait(12, 22);
    world.give_back(10, &leases[0], 1);
    world.news();
    world.pass(1000);
    world.disconnect(11, true);
    assert_eq!(world.news(), [(12, offer(22))]);
    assert!(matches!(
        world.events.last().unwrap().what,
        What::GaveUp { .. }
    ));
}

#[test]
fn l9_expiry_serves_those_who_wait_before_those_who_come() {
    let (mut world, _) = full(1);
    world.wait(11, 21);
    world.pass(R + G);
    // The same step that takes the seat back offers it.
    refused(world.checkout(12, 22), RefusalCode::NoSeat);
    assert_eq!(world.news(), [(11, offer(21))]);
}

#[test]
fn l9_the_first_are_told_at_once_and_the_others_once_a_second() {
    let (mut world, leases) = full(3);
    for number in 21..=60 {
        world.wait(number, number);
    }
    let queued = |news: &[(u8, Push)]| {
        let queued = news.iter();
        queued
            .filter(|(_, push)| matches!(push, Push::Queued(..)))
            .count()
    };
    world.give_back(10, &leases[0], 1);
    assert_eq!(queued(&world.news()), 39);
    world.run(500);
    world.give_back(10, &leases[1], 2);
    assert_eq!(queued(&world.news()), 32);
    world.run(499);
    assert_eq!(world.news(), []);
    world.run(1);
    let news = world.news();
    assert_eq!(queued(&news), 6);
    assert_eq!(news[5], (60, Push::Queued(nonce(60), place(38, 38))));
    // Nothing changed: nobody is told.
    world.run(5000);
    assert_eq!(world.news(), []);
}

#[test]
fn l9_an_estimate_comes_with_the_place() {
    let (mut world, leases) = full(4);
    for number in 21..=26 {
        world.wait(number, number);
    }
    for (index, lease) in leases.iter().enumerate().take(3) {
        world.run(10_000);
        world.give_back(10, lease, u8::try_from(index).unwrap() + 1);
    }
    let place = Place {
        expected_ms: Some(DurationMs(20_000)),
        ..place(2, 3)
    };
    let last = world.news().into_iter().rfind(|(client, _)| *client == 25);
    assert_eq!(last, Some((25, Push::Queued(nonce(25), place))));
}

#[test]
fn l9_an_estimate_counts_only_seats_that_came_free() {
    let (mut world, leases) = full(4);
    let all = || Checkout {
        seats: 4,
        ..wants(21)
    };
    world.wait_with(11, all());
    for (index, lease) in leases.iter().enumerate().take(3) {
        world.run(10_000);
        world.give_back(10, lease, u8::try_from(index).unwrap() + 1);
    }
    let Answer::Queued(place) = world.wait_with(11, all()) else {
        panic!("no place");
    };
    assert_eq!(place.expected_ms, Some(DurationMs(10_000)));
}

#[test]
fn l5_one_that_waits_may_begin_its_chain_anew() {
    let (mut world, _) = full(1);
    world.wait(11, 21);
    let token = Token([99; 16]);
    let again = Checkout { token, ..wants(21) };
    assert_eq!(position(&world.wait_with(11, again)), 1);
}

#[test]
fn l5_the_nonce_of_one_that_waits_borrows_nothing() {
    let (mut world, _) = full(1);
    let mut checkout = wants(5);
    checkout.length_ms = Some(DurationMs::days(1));
    assert_eq!(position(&world.wait_with(11, checkout.clone())), 1);
    let borrow = usher_protocol::wire::Borrow {
        wall: world.now.wall,
        checkout: checkout.clone(),
    };
    let asked = promised(world.client(11, ClientAsk::Borrow(borrow)));
    refused(asked, RefusalCode::NonceReused);
    assert_eq!(world.engine.queue.waiters().count(), 1);
}

#[test]
fn a4_a_full_pool_says_how_many_are_out_and_what_would_help() {
    let (mut world, leases) = full(3);
    let said = |world: &mut World, seats| {
        let wish = Checkout { seats, ..wants(9) };
        refused(world.checkout_with(9, wish), RefusalCode::NoSeat).detail
    };
    let all = said(&mut world, 1);
    assert!(
        all.starts_with("all 3 seats of solver are out; wait, or"),
        "{all}"
    );
    let many = said(&mut world, 2);
    assert!(
        many.starts_with("3 of 3 seats of solver are out, and 2 were"),
        "{many}"
    );
    world.wait(11, 21);
    world.give_back(10, &leases[0], 1);
    let offered = said(&mut world, 1);
    assert!(
        offered.starts_with("2 of 3 seats of solver are out, and the others are kept"),
        "{offered}"
    );
}

#[test]
fn a3_a_short_line_is_told_at_once_and_needs_no_second_round() {
    let (mut world, leases) = full(1);
    for number in 21..=53 {
        world.wait(number, number);
    }
    world.run(5000);
    world.news();
    // 33 wait: one is offered the seat, and the 32 that are left are told at once.
    world.give_back(10, &leases[0], 1);
    assert_eq!(world.news().len(), 33);
    let rounds = |world: &World| {
        let mut lines = world.engine.queue.lines();
        lines.any(|line| world.engine.queue.line(line).telling.told_at.is_some())
    };
    assert!(!rounds(&world));
    world.wait(54, 54);
    world.client(22, ClientAsk::Leave(nonce(22)));
    assert!(!rounds(&world));
    world.wait(55, 55);
    world.wait(56, 56);
    world.client(23, ClientAsk::Leave(nonce(23)));
    assert!(rounds(&world));
}

/// One of many that wait, over ten connections.
fn one_of_many(number: u16) -> (u8, Checkout) {
    let mut checkout = wants(0);
    checkout.nonce.0[..2].copy_from_slice(&number.to_le_bytes());
    (20 + u8::try_from(number % 10).unwrap(), checkout)
}

/// One seat, out; so many wait for it, from number 1 on, and know their places.
fn long_line(count: u16) -> (World, Lease) {
    let (mut world, leases) = full(1);
    for number in 1..=count {
        let (client, checkout) = one_of_many(number);
        world.wait_with(client, checkout);
    }
    world.run(5000);
    world.news();
    (world, leases[0].clone())
}

/// Who was told which position, one after the other.
fn told(news: Vec<(u8, Push)>) -> Vec<(Nonce, u32)> {
    let told = news.into_iter().filter_map(|(_, push)| match push {
        Push::Queued(nonce, place) => Some((nonce, place.position)),
        _ => None,
    });
    told.collect()
}

/// Their places are told in pieces, and none is left out.
#[test]
fn l9_all_of_a_long_line_are_told_in_the_end() {
    let (mut world, lease) = long_line(1200);
    world.give_back(10, &lease, 1);
    world.run(5000);
    let expected = (2..=1200).map(|number| (one_of_many(number).1.nonce, u32::from(number) - 1));
    let told: BTreeSet<_> = told(world.news()).into_iter().collect();
    assert_eq!(told, expected.collect());
}

#[test]
fn l9_who_was_told_already_is_told_again_when_places_change_before_all_were() {
    let (mut world, lease) = long_line(1200);
    world.give_back(10, &lease, 1);
    let (client, leaving) = one_of_many(2);
    world.client(client, ClientAsk::Leave(leaving.nonce));
    world.run(5000);
    let mut told: BTreeMap<_, _> = told(world.news()).into_iter().collect();
    told.remove(&leaving.nonce);
    let expected = (3..=1200).map(|number| (one_of_many(number).1.nonce, u32::from(number) - 2));
    assert_eq!(told, expected.collect());
}

#[test]
fn a3_one_step_tells_so_many_and_the_next_is_asked_for_at_once() {
    let most = PLACES_AT_ONCE_MAX + PLACES_PER_STEP_MAX;
    for more in [0, 1, 2] {
        let (mut world, lease) = long_line(u16::try_from(1 + most + more).unwrap());
        world.give_back(10, &lease, 1);
        assert_eq!(told(world.news()).len(), most);
        assert_eq!(world.last.wake == Some(world.now.boot), more > 0);
        world.input(Input::Tick);
        assert_eq!(told(world.news()).len(), more);
    }
}

#[test]
fn a4_an_administrator_sees_places_as_they_are_before_anybody_was_told() {
    let (mut world, leases) = full(1);
    for number in 21..=60 {
        world.wait(number, number);
    }
    world.run(5000);
    world.give_back(10, &leases[0], 1);
    world.client(22, ClientAsk::Leave(nonce(22)));
    let Ok(Answer::Queue(views)) = world.admin(AdminAsk::Queue) else {
        panic!("no list");
    };
    let positions = views.iter().map(|it| it.place.position);
    assert!(positions.eq(0..=38), "{views:?}");
}
