//! The library in the queue of a server that is full: waiting, claiming, leaving, and sets.

use super::*;
use std::sync::{Arc, Mutex};
use usher_client::Seat;

/// A client and a server whose only seat is taken.
async fn full() -> (Server, Station, Client, Seat) {
    let (server, station) = (Server::start(), Station::new());
    server.plan().seats = 1;
    let client = station.connect(&server).await.unwrap();
    let seat = client.checkout("solver").await.unwrap();
    (server, station, client, seat)
}

fn waits(count: usize) -> impl Fn(&Server) -> bool {
    move |server| server.plan().queue.len() == count
}

async fn until_waiting(server: &Server, count: usize) {
    until("the queue is as long", || waits(count)(server)).await;
}

const LONG: Duration = Duration::from_mins(5);

#[tokio::test]
async fn l9_waiters_are_served_in_order_and_told_their_places() {
    let (server, _station, client, seat) = full().await;
    let told: Arc<Mutex<Vec<(u8, u32)>>> = Arc::default();
    let start = |number: u8| {
        let told = Arc::clone(&told);
        let checkout = client.checkout("solver").wait(LONG);
        let checkout = checkout.on_wait(move |place| {
            told.lock().unwrap().push((number, place.position));
        });
        tokio::spawn(checkout.into_future())
    };
    let first = start(1);
    until_waiting(&server, 1).await;
    let second = start(2);
    until_waiting(&server, 2).await;
    seat.release().await.unwrap();
    let seat = first.await.unwrap().unwrap();
    assert!(!second.is_finished(), "it is the first's turn");
    seat.release().await.unwrap();
    let seat = second.await.unwrap().unwrap();
    assert_eq!(*told.lock().unwrap(), [(1, 1), (2, 2), (2, 1)]);
    let checkouts = (server.plan().asked.iter())
        .filter(|it| matches!(it, Request::Checkout(_)))
        .count();
    assert_eq!(checkouts, 5, "each asks once and claims once: nobody polls");
    drop(seat);
}

#[tokio::test]
async fn l9_a_wait_in_vain_leaves_the_queue_and_says_so() {
    let (server, _station, client, _seat) = full().await;
    let checkout = client.checkout("solver").wait(Duration::from_millis(300));
    let error = checkout.await.unwrap_err();
    assert_eq!(error.exit_code(), 75);
    let Error::WaitedInVain(waited) = &error else {
        panic!("{error}")
    };
    assert_eq!((waited.place.position, waited.place.waiting), (1, 1));
    assert!(waited.waited >= DurationMs(300));
    until_waiting(&server, 0).await;
    let asked = server.plan().asked.clone();
    assert!(asked.iter().any(|it| matches!(it, Request::Leave(_))));
}

#[tokio::test]
async fn l9_who_goes_away_leaves_the_queue_and_can_wait_for_that() {
    let (server, _station, client, _seat) = full().await;
    let waiting = tokio::spawn(client.checkout("solver").wait(LONG).into_future());
    until_waiting(&server, 1).await;
    waiting.abort();
    assert!(waiting.await.is_err());
    client.settled().await;
    assert!(server.plan().queue.is_empty());
}

#[tokio::test]
async fn l9_a_cut_waiter_asks_again_and_finds_its_seat_although_the_offer_is_lost() {
    let (server, _station, client, seat) = full().await;
    let waiting = tokio::spawn(client.checkout("solver").wait(LONG).into_future());
    until_waiting(&server, 1).await;
    server.plan().mutes = true;
    seat.release().await.unwrap();
    assert!(!waiting.is_finished());
    server.cut();
    let seat = waiting.await.unwrap().unwrap();
    assert_eq!(seat.state(), State::Active);
    assert!(server.plan().queue.is_empty());
}

#[tokio::test]
async fn l9_a_restart_that_forgets_the_queue_is_survived_by_queueing_anew() {
    let (server, _station, client, seat) = full().await;
    let waiting = tokio::spawn(client.checkout("solver").wait(LONG).into_future());
    until_waiting(&server, 1).await;
    let nonce = server.plan().queue[0];
    server.plan().queue.clear();
    server.cut();
    until_waiting(&server, 1).await;
    assert_eq!(server.plan().queue[0], nonce, "the same checkout");
    seat.release().await.unwrap();
    assert!(waiting.await.unwrap().unwrap().state().holds());
}

#[tokio::test]
async fn l9_a_lost_answer_to_a_claim_costs_no_second_seat() {
    let (server, _station, client, seat) = full().await;
    let waiting = tokio::spawn(client.checkout("solver").wait(LONG).into_future());
    until_waiting(&server, 1).await;
    seat.release().await.unwrap();
    server.plan().replies_lost = 1;
    let seat = waiting.await.unwrap().unwrap();
    assert_eq!(server.plan().leases.len(), 1);
    assert_eq!(seat.state(), State::Active);
}

#[tokio::test]
async fn l9_a_dismissal_ends_the_wait_with_its_reason() {
    let (server, _station, client, _seat) = full().await;
    let waiting = tokio::spawn(client.checkout("solver").wait(LONG).into_future());
    until_waiting(&server, 1).await;
    let nonce = server.plan().queue[0];
    let refusal = usher_client::protocol::refusal::Refusal::new(RefusalCode::Denied, "ask the lab");
    server.push(Push::Dismissed(nonce, refusal)).await;
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(error.refusal().unwrap().code, RefusalCode::Denied);
    assert_eq!(error.exit_code(), 77);
}

#[tokio::test]
async fn l6_who_lost_its_seat_waits_for_another_and_says_where() {
    let (server, _station, client, seat) = full().await;
    server.plan().seats = 0;
    server.plan().leases.clear();
    server.cut();
    until_waiting(&server, 1).await;
    until("it knows its place", || seat.place().is_some()).await;
    assert!(!seat.state().holds());
    server.plan().seats = 1;
    server.cut();
    until("it is restored", || seat.state() == State::Active).await;
    assert_eq!(seat.place(), None);
    drop(client);
}

#[tokio::test]
async fn a_set_is_had_at_once_and_each_seat_ends_by_itself() {
    let (server, station) = (Server::start(), Station::new());
    let client = station.connect(&server).await.unwrap();
    let seats = client
        .checkout_all(["solver", "acme/mesher"])
        .await
        .unwrap();
    let features: Vec<String> = seats.iter().map(|it| it.feature().to_string()).collect();
    assert_eq!(features, ["solver", "mesher"]);
    assert!(seats.iter().all(|seat| seat.state() == State::Active));
    server.cut();
    until("each attaches by itself", || {
        let plan = server.plan();
        let attaches = plan
            .asked
            .iter()
            .filter(|it| matches!(it, Request::Attach(_)));
        attaches.count() == 2
    })
    .await;
    let mut seats = seats.into_iter();
    seats.next().unwrap().release().await.unwrap();
    assert_eq!(server.plan().leases.len(), 1);
    seats.next().unwrap().release().await.unwrap();
    assert!(server.plan().leases.is_empty());
}

#[tokio::test]
async fn a_set_that_does_not_fit_takes_nothing_and_can_wait() {
    let (server, station) = (Server::start(), Station::new());
    let client = station.connect(&server).await.unwrap();
    let seat = client.checkout("solver").await.unwrap();
    let error = client.checkout_all(["solver", "mesher"]).await.unwrap_err();
    assert_eq!(error.exit_code(), 75);
    assert_eq!(server.plan().leases.len(), 1);
    let waiting = client.checkout_all(["solver", "mesher"]).wait(LONG);
    let waiting = tokio::spawn(waiting.into_future());
    until_waiting(&server, 1).await;
    seat.release().await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().len(), 2);
    assert_eq!(server.plan().leases.len(), 2);
}

#[tokio::test]
async fn l5_a_lost_reply_to_a_set_costs_no_second_set() {
    let (server, station) = (Server::start(), Station::new());
    let client = station.connect(&server).await.unwrap();
    server.plan().replies_lost = 1;
    let seats = client.checkout_all(["solver", "mesher"]).await.unwrap();
    assert_eq!((seats.len(), server.plan().leases.len()), (2, 2));
}

#[tokio::test]
async fn l5_a_set_whose_caller_went_away_goes_back_whole() {
    let (server, station) = (Server::start(), Station::new());
    let client = station.connect(&server).await.unwrap();
    server.plan().replies_lost = 1000;
    let set = client.checkout_all(["solver", "mesher"]).into_future();
    assert!(
        tokio::time::timeout(Duration::from_millis(100), set)
            .await
            .is_err()
    );
    assert_eq!(
        server.plan().leases.len(),
        2,
        "the server knows nothing of that"
    );
    server.plan().replies_lost = 0;
    until("the seats are back", || server.plan().leases.is_empty()).await;
}

#[tokio::test]
async fn t2_a_set_with_a_twisted_lease_is_not_believed_and_goes_back_whole() {
    let (server, station) = (Server::start(), Station::new());
    let client = station.connect(&server).await.unwrap();
    server.plan().twists = Some(|it| {
        if it.feature.as_str() == "mesher" {
            it.seats = 7;
        }
    });
    let error = client.checkout_all(["solver", "mesher"]).await.unwrap_err();
    assert!(
        error.to_string().contains("another number of seats"),
        "{error}"
    );
    until("the seats are back", || server.plan().leases.is_empty()).await;
}

#[tokio::test]
async fn nonsensical_sets_are_refused_before_anything_is_sent() {
    let (server, station) = (Server::start(), Station::new());
    let client = station.connect(&server).await.unwrap();
    let none: [&str; 0] = [];
    let many: Vec<String> = (0..9).map(|n| format!("f{n}")).collect();
    for wrong in [
        client.checkout_all(none),
        client.checkout_all(["solver", "acme/solver"]),
        client.checkout_all(["solver"]).also("mesher", 0),
        client.checkout_all(many.iter().map(String::as_str)),
    ] {
        assert_eq!(wrong.await.unwrap_err().exit_code(), 2);
    }
    assert!(server.plan().asked.is_empty());
}

#[tokio::test]
async fn activity_is_told_only_where_it_is_reported() {
    let (server, station) = (Server::start(), Station::new());
    server.plan().length = DurationMs(1_500);
    server.plan().environment = Environment::Test;
    let builder = station.builder(&server).test_licenses();
    let client = builder.connect().await.unwrap();
    let seats = client.checkout_all(["solver", "mesher"]).await.unwrap();
    seats[0].report_activity();
    until("both are renewed", || {
        let plan = server.plan();
        let renews = plan.asked.iter().filter_map(|it| match it {
            Request::Renew(renew) => Some(renew.idle_ms.is_some()),
            _ => None,
        });
        let renews: Vec<bool> = renews.collect();
        renews.contains(&true) && renews.contains(&false)
    })
    .await;
}
