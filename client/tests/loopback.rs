//! The library against a server that speaks the wire for real and misbehaves on request.

#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test panics where its world is not as it should be"
)]

#[path = "loopback/borrow.rs"]
mod borrow;
#[path = "loopback/queue.rs"]
mod queue;
mod server;

use server::{Server, key, vendor_key};
use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};
use usher_client::{
    Builder, Change, Client, Error, LeaseFile, LostWhy, State,
    clock::Clock,
    connection::ConnectError,
    discover::Reason,
    paths::Paths,
    protocol::{
        ids::{LifeId, PublicKey},
        refusal::RefusalCode,
        time::DurationMs,
        wire::{Environment, Push, Request},
    },
};

type Twist = fn(&mut usher_client::protocol::documents::lease::Lease);

/// A workstation with a home of its own.
struct Station {
    home: tempfile::TempDir,
}

impl Station {
    fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
        }
    }

    fn paths(&self) -> Paths {
        let home = self.home.path().to_owned();
        let variable = move |name: &str| (name == "HOME").then(|| home.clone().into());
        let machine = "0123456789abcdef0123456789abcdef".parse().unwrap();
        Paths::from_variables(variable, machine).unwrap()
    }

    fn builder(&self, server: &Server) -> Builder {
        Client::builder(vendor_key())
            .unwrap()
            .ignore_surroundings()
            .discovery(false)
            .paths(self.paths())
            .server(server.address.to_string())
            .patience(Duration::from_mins(1))
    }

    async fn connect(&self, server: &Server) -> Result<Client, Error> {
        self.builder(server).connect().await
    }
}

/// Why the one server that was tried is not ours.
async fn rejected(server: &Server) -> ConnectError {
    rejection(Station::new().connect(server).await)
}

fn rejection(connected: Result<Client, Error>) -> ConnectError {
    match connected {
        Err(Error::NotFound(missed)) => match missed.failures[0].reason.clone() {
            Reason::Refused(error) => error,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain until {what}");
}

#[tokio::test]
async fn a_seat_is_checked_out_and_given_back() {
    let (server, station) = (Server::start(), Station::new());
    let client = station.connect(&server).await.unwrap();
    assert_eq!(client.server().unwrap().name, "lic01");
    let seat = client.checkout("acme/solver").seats(1).await.unwrap();
    assert_eq!(seat.state(), State::Active);
    assert_eq!(seat.pool(), (1, Some(2)));
    assert!(seat.left() > DurationMs::seconds(55));
    assert_eq!(server.plan().leases.len(), 1);
    seat.release().await.unwrap();
    assert!(server.plan().leases.is_empty());
}

#[tokio::test]
async fn a_dropped_seat_is_back_when_the_drop_returns() {
    let (server, station) = (Server::start(), Station::new());
    let seat = {
        let client = station.connect(&server).await.unwrap();
        client.checkout("solver").await.unwrap()
    };
    assert_eq!(
        server.plan().leases.len(),
        1,
        "the seat outlives its client"
    );
    let waited = tokio::task::spawn_blocking(move || {
        let clock = Clock::new();
        let dropped = clock.boot();
        drop(seat);
        clock.boot().since(dropped)
    });
    // It waits for the server's word, but not for one that is slow to give it.
    let gave_up = waited.await.unwrap() >= DurationMs(250);
    assert!(gave_up || server.plan().leases.is_empty());
    until("it is back", || server.plan().leases.is_empty()).await;
}

#[tokio::test]
async fn a_lease_renews_itself_as_told_and_says_nothing_of_it() {
    let (server, station) = (Server::start(), Station::new());
    // Far from the lease's end and from the first retry, whatever the machine does meanwhile.
    server.plan().renew_after = Some(DurationMs::seconds(1));
    let client = station.connect(&server).await.unwrap();
    let clock = Clock::new();
    let begun = clock.boot();
    let seat = client.checkout("solver").await.unwrap();
    let (tell, told) = mpsc::channel();
    seat.on_change(move |change| tell.send(change).unwrap());
    let renewals = || {
        let plan = server.plan();
        let renewals = plan
            .asked
            .iter()
            .filter(|it| matches!(it, Request::Renew(_)));
        renewals.count() as u64
    };
    until("it is renewed four times", || {
        assert_eq!(seat.state(), State::Active);
        renewals() >= 4
    })
    .await;
    assert!(told.try_recv().is_err());
    // L2: 10 % sooner at most.
    let (count, took) = (renewals(), clock.boot().since(begun));
    assert!(took >= DurationMs(count * 900), "{count} within {took}");
}

#[tokio::test]
async fn l5_a_lost_reply_costs_no_second_seat() {
    let (server, station) = (Server::start(), Station::new());
    let client = station.connect(&server).await.unwrap();
    server.plan().replies_lost = 2;
    let seat = client.checkout("solver").await.unwrap();
    assert_eq!(server.plan().leases.len(), 1);
    assert_eq!(server.plan().asked.len(), 3);
    assert_eq!(seat.state(), State::Active);
}

#[tokio::test]
async fn l5_a_checkout_whose_caller_went_away_is_given_back() {
    let (server, station) = (Server::start(), Station::new());
    let client = station.connect(&server).await.unwrap();
    server.plan().replies_lost = 1000;
    tokio::select! {
        answer = client.checkout("solver").into_future() => panic!("{answer:?}"),
        () = until("it is lent", || server.plan().leases.len() == 1) => {}
    }
    // Its caller has gone away, and the server knows nothing of that.
    server.plan().replies_lost = 0;
    until("the seat is back", || server.plan().leases.is_empty()).await;
    let checkouts = (server.plan().asked.iter())
        .filter(|it| matches!(it, Request::Checkout(_)))
        .count();
    assert!(
        checkouts < 10,
        "{checkouts} repeats: a server that cuts must not be hammered"
    );
}

#[tokio::test]
async fn l6_after_a_lost_connection_the_lease_is_attached_again() {
    let (server, station) = (Server::start(), Station::new());
    let client = station.connect(&server).await.unwrap();
    let seat = client.checkout("solver").await.unwrap();
    let id = seat.id();
    server.cut();
    until("it attaches", || {
        server
            .plan()
            .asked
            .iter()
            .any(|it| matches!(it, Request::Attach(_)))
    })
    .await;
    assert!(seat.state().holds());
    until("it is confirmed", || seat.state() == State::Active).await;
    assert_eq!(seat.id(), id);
}

#[tokio::test]
async fn l6_a_lease_that_is_over_is_lost_and_then_restored_as_another() {
    let (server, station) = (Server::start(), Station::new());
    let client = station.connect(&server).await.unwrap();
    let seat = client.checkout("solver").await.unwrap();
    let (tell, told) = mpsc::channel();
    seat.on_change(move |change| tell.send(change).unwrap());
    server.plan().leases.clear();
    server.cut();
    until("it has a seat again", || server.plan().leases.len() == 1).await;
    until("it knows", || seat.state() == State::Active).await;
    // A state that is seen is told a moment later.
    let changes = [(); 2].map(|()| told.recv_timeout(Duration::from_mins(1)).unwrap());
    assert_eq!(changes, [Change::Lost(LostWhy::Ended), Change::Restored]);
    assert!(told.try_recv().is_err());
}

#[tokio::test]
async fn l7_an_eviction_is_told_and_the_seat_runs_on() {
    let (server, station) = (Server::start(), Station::new());
    let client = station.connect(&server).await.unwrap();
    let seat = client.checkout("solver").await.unwrap();
    let push = Push::Evicted(seat.id().unwrap(), "maintenance".to_owned());
    server.push(push).await;
    until("it is told", || seat.state() != State::Active).await;
    assert!(seat.state().holds());
    insta::assert_snapshot!(seat.state(), @"renewing: an administrator takes the seat back: maintenance");
}

#[tokio::test]
async fn t6_a_forked_lease_is_lost() {
    let (server, station) = (Server::start(), Station::new());
    let client = station.connect(&server).await.unwrap();
    let seat = client.checkout("solver").await.unwrap();
    server.plan().refuses = Some(RefusalCode::LeaseForked);
    server.cut();
    until("it is lost", || !seat.state().holds()).await;
    assert_eq!(seat.state(), State::Lost(LostWhy::Forked));
    seat.release().await.unwrap();
}

#[tokio::test]
async fn a_full_pool_is_a_refusal_with_its_next_step() {
    let (server, station) = (Server::start(), Station::new());
    server.plan().seats = 0;
    let client = station.connect(&server).await.unwrap();
    let error = client.checkout("solver").await.unwrap_err();
    assert_eq!(error.exit_code(), 75);
    insta::assert_snapshot!(error, @r"
    no-seat: because
    next: try again later, stand in the queue (`--wait`), or ask one of its holders
    ");
}

#[tokio::test]
async fn nonsense_is_refused_before_anything_is_sent() {
    let (server, station) = (Server::start(), Station::new());
    let client = station.connect(&server).await.unwrap();
    for wrong in [
        client.checkout("Solver!"),
        client.checkout("solver").seats(0),
        client
            .checkout("solver")
            .length(Duration::from_secs(1_000_000)),
        client.checkout("solver").length(Duration::from_millis(1)),
        client.checkout("solver").version("one"),
    ] {
        assert_eq!(wrong.await.unwrap_err().exit_code(), 2);
    }
    assert!(server.plan().asked.is_empty());
}

#[tokio::test]
async fn t4_another_vendors_server_is_told_nothing() {
    let server = Server::start();
    server.plan().vendor = key(50);
    let error = rejected(&server).await;
    assert!(matches!(error, ConnectError::WrongVendor { .. }), "{error}");
    assert!(error.to_string().starts_with("wrong vendor key"));
    assert!(server.plan().asked.is_empty());
}

#[tokio::test]
async fn t4_a_copied_endorsement_without_its_site_key_is_refused() {
    let server = Server::start();
    server.plan().endorsed = Some(PublicKey::from(&key(51)));
    let error = rejected(&server).await;
    assert!(
        error.to_string().starts_with("site key not endorsed"),
        "{error}"
    );
    assert!(server.plan().asked.is_empty());
}

#[tokio::test]
async fn t8_test_licenses_need_an_opt_in() {
    let (server, station) = (Server::start(), Station::new());
    server.plan().environment = Environment::Test;
    let error = rejected(&server).await;
    assert!(matches!(error, ConnectError::TestOnly), "{error}");
    let client = station
        .builder(&server)
        .test_licenses()
        .connect()
        .await
        .unwrap();
    assert!(client.checkout("solver").await.unwrap().state().holds());
}

#[tokio::test]
async fn l12_an_epoch_that_went_back_is_refused_until_a_higher_serial() {
    let (server, station) = (Server::start(), Station::new());
    station.connect(&server).await.unwrap();
    server.plan().epoch = 99;
    let error = rejection(station.connect(&server).await);
    assert!(error.to_string().starts_with("epoch went back"), "{error}");
    server.plan().serial = 2;
    station.connect(&server).await.unwrap();
    server.plan().epoch = 98;
    assert!(station.connect(&server).await.is_err());
    assert!(
        Station::new().connect(&server).await.is_ok(),
        "marks are per machine and user"
    );
}

#[tokio::test]
async fn l12_a_second_life_in_the_same_epoch_is_refused() {
    let (server, station) = (Server::start(), Station::new());
    station.connect(&server).await.unwrap();
    station.connect(&server).await.unwrap();
    server.plan().life = LifeId([77; 16]);
    let error = rejection(station.connect(&server).await);
    assert!(
        error.to_string().starts_with("epoch lived twice"),
        "{error}"
    );
    server.plan().epoch += 1;
    station.connect(&server).await.unwrap();
}

#[tokio::test]
async fn s7_a_version_that_was_not_offered_is_refused() {
    let server = Server::start();
    server.plan().version = 2;
    let error = rejected(&server).await;
    assert!(
        error.to_string().starts_with("unsupported version"),
        "{error}"
    );
}

#[tokio::test]
async fn t2_leases_that_are_not_what_was_asked_are_not_believed() {
    let twists: [(&str, Twist); 9] = [
        ("wrong-device", |it| {
            it.client = PublicKey::from(&key(60));
        }),
        ("it is for another number of seats", |it| it.seats = 7),
        ("it is for another feature", |it| {
            it.feature = "mesher".parse().unwrap();
        }),
        ("it is of another environment", |it| {
            it.environment = Environment::Test;
        }),
        ("it answers another step", |it| it.token.0[0] ^= 1),
        ("it is of another life of the server", |it| it.epoch.0 += 1),
        ("and the license allows 1h", |it| {
            it.length_ms = DurationMs::days(2);
        }),
        ("it has no length", |it| it.length_ms = DurationMs::ZERO),
        ("another issue", |it| it.license_hash.0[0] ^= 1),
    ];
    let (server, station) = (Server::start(), Station::new());
    let client = station.connect(&server).await.unwrap();
    for (said, twist) in twists {
        server.plan().twists = Some(twist);
        let error = client.checkout("solver").await.unwrap_err().to_string();
        assert!(error.contains(said), "{said}: {error}");
        assert!(
            server.plan().leases.is_empty(),
            "{said}: it costs the pool a seat"
        );
    }
    server.plan().twists = None;
    server.plan().forges = true;
    let error = client.checkout("solver").await.unwrap_err().to_string();
    assert!(error.contains("not signed by this site"), "{error}");
}

#[tokio::test]
async fn t2_a_license_replaced_between_grant_and_endorsement_costs_nothing() {
    static REPLACED: AtomicBool = AtomicBool::new(false);
    let (server, station) = (Server::start(), Station::new());
    let client = station.connect(&server).await.unwrap();
    server.plan().twists = Some(|it| {
        if !REPLACED.swap(true, Ordering::SeqCst) {
            it.license_hash.0[0] ^= 1;
        }
    });
    let seat = client.checkout("solver").await.unwrap();
    assert_eq!(seat.state(), State::Active);
    assert!(REPLACED.load(Ordering::SeqCst));
    assert_eq!(server.plan().leases.len(), 1);
}

/// A server that is flooded turns away whoever finds no room; the one who waits is let in as soon as there is some.
#[tokio::test]
async fn a_server_without_room_for_a_moment_is_asked_again() {
    let (server, station) = (Server::start(), Station::new());
    server.plan().turns_away = 2;
    let builder = station.builder(&server).patience(Duration::from_mins(1));
    let client = builder.connect().await.unwrap();
    assert_eq!(client.server().unwrap().address, server.address);

    // And who does not wait is told the server's own reason.
    server.plan().turns_away = u32::MAX;
    let builder = station.builder(&server).patience(Duration::from_secs(1));
    let Err(Error::NotFound(missed)) = builder.connect().await else {
        panic!("connected");
    };
    let refused = |reason: &Reason<ConnectError>| matches!(reason, Reason::Refused(ConnectError::Unreachable(why)) if why.contains("refused"));
    assert!(refused(&missed.failures[0].reason), "{missed}");
}

#[tokio::test]
async fn nobody_there_is_told_with_the_address() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let station = Station::new();
    let client = Client::builder(vendor_key())
        .unwrap()
        .ignore_surroundings()
        .discovery(false);
    let client = client
        .paths(station.paths())
        .patience(Duration::from_millis(300));
    let error = client
        .server(silent.local_addr().unwrap().to_string())
        .connect()
        .await;
    let error = error.unwrap_err();
    assert_eq!(error.exit_code(), 69);
    assert!(error.to_string().contains("no answer within"), "{error}");
}

#[tokio::test]
async fn a_kept_lease_is_renewed_released_and_verified_from_its_file() {
    let (server, station) = (Server::start(), Station::new());
    let client = station.connect(&server).await.unwrap();
    let path = station.home.path().join("solver.lease");
    let seat = client.checkout("solver").await.unwrap();
    let kept = seat.keep(&path).await.unwrap();
    assert_eq!(server.plan().leases.len(), 1, "keeping is not releasing");
    // What is on disk is the protocol's document, to the byte.
    let text = std::fs::read_to_string(&path).unwrap();
    let written: usher_protocol::documents::lease_file::LeaseFile = text.parse().unwrap();
    assert_eq!(written.to_text().unwrap(), text);
    let mut file = LeaseFile::load(&path).unwrap();
    assert_eq!(file, kept);
    file.renew(&client).await.unwrap();
    assert_eq!(file, LeaseFile::load(&path).unwrap());
    assert!(file.left(Clock::new().now()) > DurationMs::seconds(55));

    let ours = usher_client::keyfile::ClientIdentity::load_or_create(&station.paths()).unwrap();
    let (root, ours) = (PublicKey::from(&key(1)), PublicKey::from(&ours));
    assert!(file.verify(&root, &ours).unwrap().is_ours);
    assert!(!file.verify(&root, &root).unwrap().is_ours);
    assert!(file.verify(&ours, &ours).is_err(), "another root");
    file.release(&client).await.unwrap();
    assert!(server.plan().leases.is_empty() && !path.exists());
}

#[tokio::test]
async fn t6_processes_that_share_a_lease_file_take_turns_on_one_chain() {
    let (server, station) = (Server::start(), Station::new());
    let client = station.connect(&server).await.unwrap();
    let directory = station.home.path().join("kept");
    let path = directory.join("solver.lease");
    let seat = client.checkout("solver").await.unwrap();
    seat.keep(&path).await.unwrap();
    let load = || LeaseFile::load(&path).unwrap();
    let (mut one, mut two, last) = (load(), load(), load());
    let (first, second) = tokio::join!(one.renew(&client), two.renew(&client));
    first.and(second).unwrap();
    last.release(&client).await.unwrap();
    let links: Vec<_> = (server.plan().asked.iter())
        .filter_map(|request| match request {
            Request::Attach(attach) => Some(attach.link),
            Request::Release(release) => Some(release.link),
            _ => None,
        })
        .collect();
    assert_eq!(links.len(), 3);
    for step in links.windows(2) {
        assert_eq!(step[1].previous, step[0].next, "a branch");
    }
    let left = std::fs::read_dir(directory).unwrap().count();
    assert_eq!(left, 0, "neither lease nor lock is left");
}

#[tokio::test]
async fn stock_openssl_checks_a_kept_lease_as_documented() {
    let (server, station) = (Server::start(), Station::new());
    let client = station.connect(&server).await.unwrap();
    let seat = client.checkout("solver").await.unwrap();
    let path = station.home.path().join("solver.lease");
    seat.keep(&path).await.unwrap();
    let page = include_str!("../../docs/formats.md");
    let (_, below) = page
        .split_once("### Checking a lease with openssl")
        .unwrap();
    let script = below.split("```").nth(1).unwrap();
    let script = script.strip_prefix("sh\n").unwrap();
    let checked = |root: PublicKey| {
        std::process::Command::new("sh")
            .args(["-eu", "-c", script])
            .env("ROOT", root.to_string())
            .env("SITE", PublicKey::from(&key(2)).to_string())
            .current_dir(station.home.path())
            .output()
            .unwrap()
    };
    let genuine = checked(PublicKey::from(&key(1)));
    assert!(genuine.status.success(), "{genuine:?}");
    assert!(!checked(PublicKey::from(&key(50))).status.success());
}

#[tokio::test]
async fn a_lease_that_cannot_be_kept_is_given_back() {
    let (server, station) = (Server::start(), Station::new());
    let client = station.connect(&server).await.unwrap();
    let blocked = station.home.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    let seat = client.checkout("solver").await.unwrap();
    seat.keep(&blocked.join("solver.lease")).await.unwrap_err();
    assert!(server.plan().leases.is_empty());
}

#[tokio::test]
async fn t6_a_lease_file_copied_to_another_client_key_is_refused() {
    let (server, station, thief) = (Server::start(), Station::new(), Station::new());
    let client = station.connect(&server).await.unwrap();
    let path = station.home.path().join("solver.lease");
    client
        .checkout("solver")
        .await
        .unwrap()
        .keep(&path)
        .await
        .unwrap();
    let copy = thief.home.path().join("solver.lease");
    std::fs::copy(&path, &copy).unwrap();
    let other = thief.connect(&server).await.unwrap();
    let error = LeaseFile::load(&copy)
        .unwrap()
        .renew(&other)
        .await
        .unwrap_err();
    assert_eq!(error.refusal().unwrap().code, RefusalCode::WrongDevice);
    assert_eq!(error.exit_code(), 77);
}

#[tokio::test]
async fn without_a_runtime_it_is_the_same_library() {
    let (server, station) = (Server::start(), Station::new());
    let builder = station.builder(&server);
    let seats = tokio::task::spawn_blocking(move || {
        let client = usher_client::blocking::Client::build(builder).unwrap();
        let seat = client.checkout("solver").seats(1).send().unwrap();
        let state = seat.state();
        seat.release().unwrap();
        (state, client.features().unwrap().len())
    });
    assert_eq!(seats.await.unwrap(), (State::Active, 0));
    assert!(server.plan().leases.is_empty());
}
