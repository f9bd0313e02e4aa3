//! Puts leases into a store as fast as the disk takes them: the daemon's own engine and journal (`usherd::core::Works`),
//! every grant and release durable and in the usage log, without a network and without the signature over an answer,
//! which no store keeps. Decides how many leases there are and whose; must not write to a store in any other way.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use usher_client::clock::Clock;
use usher_engine::api::{Answer, Caller, ClientAsk, ConnectionId, Settings};
use usher_protocol::documents::vendor::VendorKey;
use usher_protocol::ids::{Fingerprint, Nonce, PublicKey, Token};
use usher_protocol::wire::{Checkout, Environment, Holder};
use usher_tests::steps;
use usherd::core::{Beginning, Question, Works};
use usherd::journal::{SledJournal, SledOptions, StorePaths};
use usherd::limits::BATCH_INPUTS_MAX;
use usherd::site::{self, SiteKey};

use crate::hold;
use crate::process::{kept_bytes, peak_kib};
use crate::stopwatch::{now_ns, us_since};

/// What to put into the store of a daemon that is stopped.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Fill {
    /// The daemon's state directory
    state: PathBuf,
    /// The vendor's public key file
    vendor: PathBuf,
    /// Grant so many leases that stay
    #[arg(long, default_value_t = 0)]
    leases: usize,
    /// Grant and release so many
    #[arg(long, default_value_t = 0)]
    cycles: usize,
    /// Of the test license
    #[arg(long)]
    test: bool,
}

/// Does it, and prints a line of JSON for each tenth of the cycles.
pub(crate) fn fill(fill: &Fill) {
    let mut loader = Loader::open(fill);
    loader.grant_in_batches(fill.leases);
    let began = now_ns();
    let mut done = 0;
    while done < fill.cycles {
        let next = done + fill.cycles.div_ceil(REPORTS);
        while done < next {
            let held = loader.grant(BATCH_INPUTS_MAX);
            loader.release(&held);
            done += BATCH_INPUTS_MAX;
        }
        let paths = StorePaths::new(&fill.state);
        println!(
            "{}",
            json!({
                "cycles": done,
                "seconds": us_since(began) / 1e6,
                "store_bytes": kept_bytes(&paths.store),
                "log_bytes": kept_bytes(&paths.usage),
                "peak_kib": peak_kib(std::process::id()),
            })
        );
    }
    loader.works.resign().unwrap();
}

struct Loader {
    works: Works,
    clock: Clock,
    root: Fingerprint,
    environment: Environment,
    /// Never the same twice: since when, how many.
    drawn: [u64; 2],
    /// The number of its first workstation: no other run of the loader has the same ones.
    first: usize,
    granted: usize,
    caller: Option<Caller>,
}

/// Who asked for what, and what came of it.
type Lent = ((Caller, Checkout), Answer);

impl Loader {
    fn open(fill: &Fill) -> Self {
        let journal = SledJournal::open(&fill.state, &SledOptions::default()).unwrap();
        let site = SiteKey::load_or_create(&fill.state).unwrap();
        let vendor: VendorKey = std::fs::read_to_string(&fill.vendor)
            .unwrap()
            .parse()
            .unwrap();
        let beginning = Beginning {
            site: site.public,
            site_is_older: site.is_older,
            life: site::random_life().unwrap(),
            settings: Settings {
                serve_test: true,
                leases_per_client_max: usherd::limits::LEASES_PER_CLIENT_MAX_DEFAULT,
                leases_max: usherd::limits::LEASES_MAX_DEFAULT,
                host_names: Vec::new(),
            },
            policy: Arc::default(),
        };
        let clock = Clock::new();
        let works = Works::begin(Box::new(journal), beginning, &mut || clock.now()).unwrap();
        Self {
            works,
            clock,
            root: vendor.root.fingerprint(),
            environment: if fill.test {
                Environment::Test
            } else {
                Environment::Live
            },
            drawn: [now_ns(), 0],
            first: usize::try_from(now_ns()).unwrap(),
            granted: 0,
            caller: None,
        }
    }

    fn grant_in_batches(&mut self, count: usize) {
        let mut left = count;
        while left > 0 {
            left -= self.grant(left.min(BATCH_INPUTS_MAX)).len();
        }
    }

    /// One batch of checkouts.
    fn grant(&mut self, count: usize) -> Vec<Lent> {
        let asked: Vec<_> = (0..count).map(|_| self.checkout()).collect();
        let asks = asked
            .iter()
            .cloned()
            .map(|(caller, checkout)| (caller, ClientAsk::Checkout(checkout)));
        let answers = self.commit(asks.collect());
        let refused = answers.iter().find(|it| !matches!(it, Answer::Promised(_)));
        assert!(refused.is_none(), "no lease: {refused:?}");
        asked.into_iter().zip(answers).collect()
    }

    /// One batch of releases.
    fn release(&mut self, held: &[Lent]) {
        let asks = held.iter().map(|((caller, checkout), answer)| {
            let next = Token(self.draw());
            (*caller, steps::release_of(checkout, answer, next))
        });
        let asks = asks.collect();
        for answer in self.commit(asks) {
            assert!(matches!(answer, Answer::Released), "{answer:?}");
        }
    }

    fn commit(&mut self, asks: Vec<(Caller, ClientAsk)>) -> Vec<Answer> {
        let now = || self.clock.now();
        steps::step(&mut self.works, now, |answers| {
            let questions = asks
                .into_iter()
                .map(|(caller, ask)| Question::Client(caller, ask, answers.clone()));
            questions.collect()
        })
    }

    fn checkout(&mut self) -> (Caller, Checkout) {
        let number = self.first + self.granted / LEASES_PER_CLIENT;
        if self.granted.is_multiple_of(LEASES_PER_CLIENT) {
            self.caller = None;
        }
        self.granted += 1;
        let root = self.root;
        let caller = *self.caller.get_or_insert_with(|| caller(number, root));
        let checkout = Checkout {
            wait: false,
            nonce: Nonce(self.draw()),
            token: Token(self.draw()),
            feature: "solver".parse().unwrap(),
            environment: self.environment,
            seats: 1,
            version: None,
            length_ms: None,
            holder: Holder {
                user: format!("user{number}"),
                host: format!("workstation{number}"),
                display: None,
                process: u32::try_from(self.granted).unwrap(),
            },
        };
        (caller, checkout)
    }

    fn draw(&mut self) -> [u8; 16] {
        self.drawn[1] += 1;
        let halves = self.drawn.map(u64::to_le_bytes);
        halves.concat().try_into().unwrap()
    }
}

/// The workstation of this number.
fn caller(number: usize, root: Fingerprint) -> Caller {
    Caller {
        client: PublicKey::from(&hold::key(number)),
        root,
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        connection: ConnectionId(number as u64),
    }
}

/// A workstation runs so many programs.
const LEASES_PER_CLIENT: usize = 100;
const REPORTS: usize = 20;
