//! Borrowing against a server that loses answers and sends what was not asked for (L5, L10).

use super::*;
use usher_client::{
    borrow::{BorrowError, Lent, Use},
    lease_file::GivenBack,
};

const DAY: Duration = Duration::from_hours(24);

fn borrows(server: &Server) -> Vec<usher_client::protocol::wire::Checkout> {
    let asked = server.plan().asked.clone();
    let borrow = |it| match it {
        Request::Borrow(borrow) => Some(borrow.checkout),
        _ => None,
    };
    asked.into_iter().filter_map(borrow).collect()
}

async fn borrow(station: &Station, server: &Server) -> Result<Lent, Error> {
    let client = station.connect(server).await?;
    client.borrow("solver", DAY).await
}

fn lease_files(station: &Station) -> usize {
    std::fs::read_dir(station.paths().lease_directory()).map_or(0, Iterator::count)
}

#[tokio::test]
async fn l10_what_was_borrowed_is_used_without_a_server_and_given_back() {
    let (server, station) = (Server::start(), Station::new());
    let lent = borrow(&station, &server).await.unwrap();
    assert!(lent.file.is_borrowed() && !lent.was_asked_before);
    let left = lent.file.left(Clock::new().now());
    assert!(left > DurationMs::hours(23), "{left}");
    let (wanted, builder) = (Use::of("acme/solver").unwrap(), station.builder(&server));
    server.cut();
    let used = builder.borrowed(&wanted).unwrap();
    assert_eq!(used.state(), State::Active);
    assert_eq!(used.until(), lent.file.lease().not_after);
    assert!(matches!(
        builder.borrowed(&wanted),
        Err(Error::Borrow(BorrowError::InUse { .. }))
    ));
    let client = station.connect(&server).await.unwrap();
    let in_use = lent.file.clone().release(&client).await;
    assert!(matches!(
        in_use,
        Err(Error::Borrow(BorrowError::InUse { .. }))
    ));
    drop(used);
    assert!(builder.borrowed(&wanted).is_ok());
    let two = Use { seats: 2, ..wanted };
    assert!(matches!(
        builder.borrowed(&two),
        Err(Error::Borrow(BorrowError::TooFewSeats { borrowed: 1, .. }))
    ));
    let back = lent.file.release(&client).await.unwrap();
    assert_eq!(back, GivenBack::Free);
    assert_eq!(lease_files(&station), 0);
    assert!(matches!(
        builder.borrowed(&two),
        Err(Error::Borrow(BorrowError::NotBorrowed(_)))
    ));
}

#[tokio::test]
async fn l5_a_borrow_whose_answer_was_lost_is_the_same_borrow_later() {
    let (server, station) = (Server::start(), Station::new());
    server.plan().replies_lost = 1;
    let lost = borrow(&station, &server).await;
    assert!(matches!(lost, Err(Error::NoAnswer(_))), "{lost:?}");
    assert_eq!(server.plan().leases.len(), 1);
    // Another process, another wish: first what is out already.
    let client = station.connect(&server).await.unwrap();
    let lent = client.borrow("solver", DAY * 2).await.unwrap();
    assert!(lent.was_asked_before);
    let asked = borrows(&server);
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0], asked[1]);
    assert_eq!(server.plan().leases.len(), 1);
    let next = client.borrow("solver", DAY).await.unwrap();
    assert!(!next.was_asked_before);
    assert_eq!(server.plan().leases.len(), 2);
    // It can be had without borrowing anything: to give it back.
    server.plan().replies_lost = 1;
    assert!(client.borrow("solver", DAY).await.is_err());
    let client = station.connect(&server).await.unwrap();
    let solver = "solver".parse().unwrap();
    let found = client.unanswered_borrow(&solver).await.unwrap().unwrap();
    assert_eq!(server.plan().leases.len(), 3);
    found.release(&client).await.unwrap();
    assert_eq!(server.plan().leases.len(), 2);
    assert!(client.unanswered_borrow(&solver).await.unwrap().is_none());
}

#[tokio::test]
async fn l10_a_return_whose_answer_was_lost_leaves_nothing_to_use() {
    let (server, station) = (Server::start(), Station::new());
    let lent = borrow(&station, &server).await.unwrap();
    let client = station.connect(&server).await.unwrap();
    server.plan().replies_lost = 1;
    assert!(lent.file.clone().release(&client).await.is_err());
    let wanted = Use::of("solver").unwrap();
    assert!(matches!(
        station.builder(&server).borrowed(&wanted),
        Err(Error::Borrow(BorrowError::Returning(_)))
    ));
    let client = station.connect(&server).await.unwrap();
    let again = lent.file.release(&client).await.unwrap();
    assert_eq!(again, GivenBack::Over);
    assert_eq!(lease_files(&station), 0);
}

/// The server may have lent the seat anew by the time the turn comes.
#[tokio::test]
async fn l10_a_return_that_begins_while_a_use_waits_for_its_turn_ends_that_use() {
    let (server, station) = (Server::start(), Station::new());
    let lent = borrow(&station, &server).await.unwrap();
    let path = lent.file.path().to_owned();
    let before = std::fs::read(&path).unwrap();
    let client = station.connect(&server).await.unwrap();
    server.plan().replies_lost = 1;
    assert!(lent.file.release(&client).await.is_err());
    let returning = std::fs::read(&path).unwrap();
    // As it was before the return, with somebody else at the gate.
    std::fs::write(&path, before).unwrap();
    let turn = std::fs::File::open(path.with_extension("in-use")).unwrap();
    turn.lock().unwrap();
    let builder = station.builder(&server);
    let uses = std::thread::spawn(move || builder.borrowed(&Use::of("solver").unwrap()));
    std::thread::sleep(Duration::from_millis(500));
    std::fs::write(&path, returning).unwrap();
    drop(turn);
    let used = uses.join().unwrap();
    let returning = matches!(used, Err(Error::Borrow(BorrowError::Returning(_))));
    assert!(returning, "{used:?}");
}

#[tokio::test]
async fn l10_a_borrow_that_cannot_be_kept_is_given_back() {
    let (server, station) = (Server::start(), Station::new());
    let leases = station.paths().lease_directory();
    std::fs::create_dir_all(leases.parent().unwrap()).unwrap();
    std::fs::write(&leases, "in the way").unwrap();
    let kept = borrow(&station, &server).await;
    assert!(matches!(kept, Err(Error::LeaseFile(_))), "{kept:?}");
    assert!(server.plan().leases.is_empty());
    std::fs::remove_file(&leases).unwrap();
    let lent = borrow(&station, &server).await.unwrap();
    assert!(!lent.was_asked_before);
}

#[tokio::test]
async fn l10_only_who_borrows_gets_a_borrowed_lease() {
    let (server, station) = (Server::start(), Station::new());
    server.plan().twists = Some(|lease| lease.borrowed = false);
    let lent = borrow(&station, &server).await;
    assert!(matches!(lent, Err(Error::Untrusted(_))), "{lent:?}");
    assert!(server.plan().leases.is_empty(), "it is given back");
    assert_eq!(lease_files(&station), 0);
    server.plan().twists = Some(|lease| lease.borrowed = true);
    let client = station.connect(&server).await.unwrap();
    let seat = client.checkout("solver").await;
    assert!(matches!(seat, Err(Error::Untrusted(_))), "{seat:?}");
}

#[tokio::test]
async fn l10_a_refused_borrow_leaves_nothing_to_ask_for_again() {
    let (server, station) = (Server::start(), Station::new());
    server.plan().borrow_max = DurationMs::hours(1);
    let refused = borrow(&station, &server).await.unwrap_err();
    let code = refused.refusal().unwrap().code;
    assert_eq!(code, RefusalCode::BorrowTooLong);
    let asked = std::fs::read_dir(station.paths().borrow_directory()).unwrap();
    assert_eq!(asked.count(), 0);
}
