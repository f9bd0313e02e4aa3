//! `commit-path`: from questions taken to a durable step, for callgrind to count: the core's works on a real journal,
//! without a network. `tests/instructions/run` calls it.
//!
//! It is counted as it is built for the tests, unoptimized: to build the daemon's library once more would take longer
//! than all other checks of a count, and what creeps into this path is work, which shows in either build.
#![expect(
    clippy::unwrap_used,
    reason = "a step that cannot be prepared must stop"
)]

use std::net::Ipv4Addr;
use std::sync::Arc;

use usher_engine::api::{AdminAsk, Answer, Caller, ClientAsk, ConnectionId, Settings};
use usher_instructions::counted::count;
use usher_instructions::samples::{self, Dice};
use usher_protocol::ids::{LifeId, Nonce, PublicKey, Token};
use usher_protocol::time::{BootMs, Now, WallMs};
use usher_protocol::wire::{Checkout, Environment};
use usher_tests::steps::{self, Kept};
use usherd::core::{Beginning, Question, Works};
use usherd::journal::{SledJournal, SledOptions};

fn main() {
    let state = tempfile::tempdir().unwrap();
    let mut desk = Desk::open(SledJournal::open(state.path(), &SledOptions::default()).unwrap());
    // What is grown once, such as buffers, has grown by then.
    desk.round(TOGETHER, |_, work| work());
    for (called, together) in [("alone", 1), ("among 64", TOGETHER)] {
        desk.round(together, |verb, work| {
            count(&format!("commit/{verb} {called}"), together, work)
        });
    }
}

/// A daemon's works, and what its clients draw.
struct Desk {
    works: Works,
    clients: Vec<PublicKey>,
    dice: Dice,
}

impl Desk {
    fn open(journal: SledJournal) -> Self {
        let beginning = Beginning {
            site: PublicKey::from(&samples::site_key()),
            site_is_older: false,
            life: LifeId([1; 16]),
            settings: Settings {
                serve_test: false,
                leases_per_client_max: usize::MAX,
                leases_max: usize::MAX,
                host_names: vec!["lic01".to_owned()],
            },
            policy: Arc::default(),
        };
        let mut desk = Self {
            works: Works::begin(Box::new(journal), beginning, &mut || NOW).unwrap(),
            clients: (0..16).map(samples::client_key).collect(),
            dice: Dice::new(11),
        };
        let license = samples::license(SEATS);
        let root_confirmed = Some(license.root().fingerprint());
        let install = AdminAsk::InstallLicense {
            license,
            root_confirmed,
        };
        desk.commit(|answers| {
            vec![Question::Admin(
                "root(0)".to_owned(),
                install,
                answers.clone(),
            )]
        });
        let lasting: Vec<_> = (0..LASTING).map(|client| desk.wants(client)).collect();
        let asks = lasting.into_iter();
        let asks = asks.map(|(caller, it)| (caller, ClientAsk::Checkout(it)));
        desk.step(asks.collect(), |work| work());
        desk
    }

    /// Steps of so many checkouts, and then of their releases; each step is handed to `step` with what it does.
    fn round(
        &mut self,
        together: usize,
        step: impl Fn(&str, &mut dyn FnMut() -> Vec<Answer>) -> Vec<Answer>,
    ) {
        for _ in 0..STEPS {
            let wants: Vec<_> = (0..together).map(|client| self.wants(client)).collect();
            let asks = wants.iter().cloned();
            let asks = asks.map(|(caller, it)| (caller, ClientAsk::Checkout(it)));
            let granted = self.step(asks.collect(), |work| step("checkout", work));
            let releases = wants.iter().zip(&granted);
            let releases: Vec<_> = releases.map(|it| self.release(it)).collect();
            let released = self.step(releases, |work| step("release", work));
            assert!(released.iter().all(|it| matches!(it, Answer::Released)));
        }
    }

    /// One durable step.
    fn step(
        &mut self,
        asks: Vec<(Caller, ClientAsk)>,
        step: impl FnOnce(&mut dyn FnMut() -> Vec<Answer>) -> Vec<Answer>,
    ) -> Vec<Answer> {
        let mut asks = Some(asks);
        step(&mut || {
            let asks = asks.take().unwrap_or_default().into_iter();
            self.commit(|answers| {
                asks.map(|(caller, ask)| Question::Client(caller, ask, answers.clone()))
                    .collect()
            })
        })
    }

    fn commit(&mut self, questions: impl FnOnce(&Kept) -> Vec<Question<Kept>>) -> Vec<Answer> {
        steps::step(&mut self.works, || NOW, questions)
    }

    fn wants(&mut self, client: usize) -> (Caller, Checkout) {
        let checkout = Checkout {
            nonce: Nonce(self.dice.bytes()),
            token: Token(self.dice.bytes()),
            feature: "solver".parse().unwrap(),
            environment: Environment::Live,
            seats: 1,
            version: None,
            length_ms: None,
            holder: samples::holder(client),
            wait: false,
        };
        let caller = Caller {
            client: self.clients[client % self.clients.len()],
            root: samples::root(),
            address: Ipv4Addr::new(10, 1, 2, 3).into(),
            connection: ConnectionId(client as u64),
        };
        (caller, checkout)
    }

    fn release(
        &mut self,
        ((caller, checkout), answer): (&(Caller, Checkout), &Answer),
    ) -> (Caller, ClientAsk) {
        let next = Token(self.dice.bytes());
        (*caller, steps::release_of(checkout, answer, next))
    }
}

/// A day after the license was issued; no time passes.
const NOW: Now = Now {
    boot: BootMs(5_000_000),
    wall: WallMs(samples::ISSUED.0 + 86_400_000),
};
/// Seats enough for all at once.
const SEATS: usize = 1000;
/// Leases that stay out: beside more than 64 the engine leaves out its full count of every sum, which unoptimized
/// builds make after each record and released ones never.
const LASTING: usize = 100;
const TOGETHER: usize = 64;
/// How often each step is done: what grows now and then is spread over them.
const STEPS: usize = 32;
