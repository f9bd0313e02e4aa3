//! Does the library hold seats of a real daemon as its rules say, judged from the client's side?

use std::time::Duration;

use usher_client::blocking::{Client, block_on};
use usher_client::paths::Paths;
use usher_client::protocol::refusal::RefusalCode;
use usher_client::protocol::time::DurationMs;
use usher_client::{Client as AsyncClient, Error, LostWhy, State};
use usher_tests::daemon::{Daemon, Vendor};
use usher_tests::station::Station;

#[test]
fn seats_are_lent_up_to_the_pool_and_come_back() {
    let world = World::new("solver:2");
    let client = world.client("desk");
    let first = client.checkout("solver").send().unwrap();
    let second = client.checkout("acme/solver").send().unwrap();
    assert_ne!(first.as_async().id(), second.as_async().id());
    let none = client.checkout("solver").send().unwrap_err();
    assert_eq!(none.refusal().unwrap().code, RefusalCode::NoSeat, "{none}");
    assert_eq!(none.exit_code(), 75);
    drop(first);
    let third = client.checkout("solver").send().unwrap();
    assert_eq!(third.state(), State::Active);
    second.release().unwrap();
    third.release().unwrap();
    assert_eq!(client.features().unwrap()[0].out, 0);
}

#[test]
fn l4_a_seat_survives_the_daemons_death_and_is_attached_again() {
    let mut world = World::new("solver:1");
    let client = world.client("desk");
    let seat = client.checkout("solver").send().unwrap();
    let id = seat.as_async().id();
    world.daemon.kill();
    world.daemon.start_again();
    // A renewal that works moves the end of the right.
    let left = seat.as_async().left();
    let renewed = || seat.as_async().left() > left;
    wait_until("it is renewed by the daemon's next life", renewed);
    assert_eq!((seat.state(), seat.as_async().id()), (State::Active, id));
    let other = world.client("other");
    let refused = other.checkout("solver").send().unwrap_err();
    assert_eq!(refused.refusal().unwrap().code, RefusalCode::NoSeat);
    seat.release().unwrap();
    assert!(other.checkout("solver").send().is_ok());
}

#[test]
fn l1_without_its_daemon_a_seat_is_lost_and_then_restored() {
    let mut world = World::new("solver:1");
    let client = world.client("desk");
    let seat = client.checkout("solver").send().unwrap();
    world.daemon.kill();
    wait_until("it is lost", || !seat.state().holds());
    assert_eq!(seat.state(), State::Lost(LostWhy::TimedOut));
    world.daemon.start_again();
    wait_until("it is restored", || seat.state() == State::Active);
}

#[test]
fn t6_a_copied_lease_file_is_refused_and_the_original_renews() {
    let world = World::new("solver:1");
    let (ours, theirs) = (world.paths("desk"), world.paths("thief"));
    let file = world.station.home().join("solver.lease");
    block_on(async {
        let client = world.connect(ours).await.unwrap();
        let seat = client.checkout("solver").await.unwrap();
        let mut kept = seat.keep(&file).await.unwrap();
        let thief = world.connect(theirs).await.unwrap();
        let refused = kept.clone().renew(&thief).await.unwrap_err();
        assert_eq!(refused.refusal().unwrap().code, RefusalCode::WrongDevice);
        kept.renew(&client).await.unwrap();
        assert!(kept.left(usher_client::clock::Clock::new().now()) > DurationMs::ZERO);
        kept.release(&client).await.unwrap();
        assert_eq!(client.features().await.unwrap()[0].out, 0);
    });
}

/// One daemon with a license of tiny leases, and homes for workstations.
struct World {
    station: Station,
    daemon: Daemon,
    key: String,
}

impl World {
    fn new(feature: &str) -> Self {
        let station = Station::here();
        let daemon = Daemon::start(&station);
        let vendor = Vendor::new(&station, "acme");
        let feature = format!("{feature},lease-min=2s,lease-default=8s,lease-max=10s");
        let terms = ["--environment", "test", "--feature", &feature];
        daemon.install(&vendor.license(&daemon, &terms));
        let key = std::fs::read_to_string(vendor.directory().join("acme.pub")).unwrap();
        Self {
            station,
            daemon,
            key,
        }
    }

    fn paths(&self, name: &str) -> Paths {
        let home = self.station.home().join(name);
        let variable = move |wanted: &str| (wanted == "HOME").then(|| home.clone().into());
        Paths::from_variables(
            variable,
            "0123456789abcdef0123456789abcdef".parse().unwrap(),
        )
        .unwrap()
    }

    fn client(&self, name: &str) -> Client {
        let builder = self.builder(self.paths(name));
        Client::build(builder).unwrap()
    }

    async fn connect(&self, paths: Paths) -> Result<AsyncClient, Error> {
        self.builder(paths).connect().await
    }

    fn builder(&self, paths: Paths) -> usher_client::Builder {
        let builder = AsyncClient::builder(&self.key).unwrap();
        let builder = builder
            .test_licenses()
            .ignore_surroundings()
            .discovery(false);
        builder
            .paths(paths)
            .server(self.daemon.address().to_string())
    }
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    for _ in 0..12_000 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("waited in vain until {what}");
}
