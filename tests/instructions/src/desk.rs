//! An engine with leases out, driven as the core drives it, without a store and without a network.

use std::{net::Ipv4Addr, sync::Arc};

use ed25519_dalek::SigningKey;
use usher_engine::{
    Engine,
    api::{
        AdminAsk, Answer, Caller, ClientAsk, ConnectionId, Input, Life, Output, Promise, ReplyTo,
        Settings,
    },
    policy::Policy,
    record::{LeaseRecord, PinnedRoot, Record},
};
use usher_protocol::{
    documents::license::Grouping,
    ids::{Commit, Epoch, LeaseId, LifeId, Nonce, PublicKey, Token},
    refusal::Refusal,
    time::{BootMs, DurationMs, Now, WallMs},
    wire::{Checkout, Environment, Link, Release, Renew},
};

use crate::{
    counted::count,
    samples::{self, Dice, FULL_SEATS, holder},
};

/// A daemon's engine and what its clients know.
pub(crate) struct Desk {
    engine: Engine,
    pub(crate) now: Now,
    clients: Vec<PublicKey>,
    dice: Dice,
}

/// A lease as its client knows it.
#[derive(Clone, Copy)]
pub(crate) struct Held {
    pub(crate) client: usize,
    pub(crate) id: LeaseId,
    pub(crate) nonce: Nonce,
    pub(crate) token: Token,
}

impl Desk {
    /// After a restart with so many leases of `solver` out, and so many seats still free; `full` has
    /// ten seats, all out.
    pub(crate) fn with_leases(leases: u32, free: usize) -> Self {
        let clients: Vec<_> = (0..CLIENTS).map(samples::client_key).collect();
        let mut dice = Dice::new(u64::from(leases));
        let license = samples::license(leases as usize + free);
        let mut loaded = vec![
            Record::PutLicense(Arc::clone(&license)),
            Record::PutRoot(PinnedRoot {
                vendor: license.vendor.clone(),
                root: license.root(),
            }),
        ];
        let of_solver = (0..leases).map(|number| ("solver", number));
        let of_full = (0..FULL_SEATS).map(|number| ("full", leases + number));
        for (feature, number) in of_solver.chain(of_full) {
            let lease = loaded_lease(&clients, &mut dice, feature, number);
            loaded.push(Record::PutLease(Box::new(lease)));
        }
        let now = Now {
            boot: BootMs(5_000_000),
            wall: WallMs(samples::ISSUED.0 + 86_400_000),
        };
        let (engine, _) = Engine::start(settings(), Arc::default(), life(leases), loaded, now);
        Self {
            engine,
            now,
            clients,
            dice,
        }
    }

    /// An engine that begins with so many leases, and drops what it was given.
    pub(crate) fn count_start(name: &str, leases: u32) {
        let clients: Vec<_> = (0..CLIENTS).map(samples::client_key).collect();
        let mut dice = Dice::new(7);
        let mut loaded = vec![Record::PutLicense(samples::license(leases as usize))];
        for number in 0..leases {
            let lease = loaded_lease(&clients, &mut dice, "solver", number);
            loaded.push(Record::PutLease(Box::new(lease)));
        }
        let now = Now {
            boot: BootMs(5_000_000),
            wall: WallMs(samples::ISSUED.0 + 86_400_000),
        };
        count(name, leases as usize, || {
            Engine::start(settings(), Arc::default(), life(leases), loaded, now)
        });
    }

    pub(crate) fn set_policy(&mut self, policy: Policy) {
        let answer = self.admin(AdminAsk::SetPolicy(Arc::new(policy)));
        assert!(matches!(answer, Answer::Done), "{answer:?}");
    }

    /// A checkout of `feature` by one of the clients.
    pub(crate) fn wants(&mut self, feature: &str, client: usize) -> (usize, Checkout) {
        let checkout = Checkout {
            nonce: Nonce(self.dice.bytes()),
            token: Token(self.dice.bytes()),
            feature: feature.parse().unwrap(),
            environment: Environment::Live,
            seats: 1,
            version: None,
            length_ms: None,
            holder: holder(client),
            wait: false,
        };
        (client, checkout)
    }

    /// Answers to so many questions, counted as `name`.
    pub(crate) fn count(&mut self, name: &str, asks: Vec<(usize, ClientAsk)>) -> Vec<Answer> {
        let inputs: Vec<_> = asks
            .into_iter()
            .map(|(client, ask)| self.input(client, ask))
            .collect();
        let mut outputs: Vec<Output> = Vec::with_capacity(inputs.len());
        let (engine, now) = (&mut self.engine, self.now);
        count(name, inputs.len(), || {
            for input in inputs {
                outputs.push(engine.handle(now, input));
            }
        });
        let answers = outputs.into_iter().flat_map(|output| output.answers);
        answers.map(|(_, answer)| answer).collect()
    }

    /// One tick, counted as so many operations.
    pub(crate) fn count_tick(&mut self, name: &str, operations: usize) {
        let (engine, now) = (&mut self.engine, self.now);
        let output = count(name, operations, || engine.handle(now, Input::Tick));
        assert!(output.records.len() >= operations, "{output:?}");
    }

    /// Time passes.
    pub(crate) fn pass(&mut self, length: DurationMs) {
        self.now.boot = self.now.boot.plus(length);
        self.now.wall = self.now.wall.plus(length);
    }

    /// One question that is not counted.
    pub(crate) fn ask(&mut self, client: usize, ask: ClientAsk) -> Answer {
        let input = self.input(client, ask);
        self.handle(input)
    }

    /// One input that is not counted.
    pub(crate) fn handle(&mut self, input: Input) -> Answer {
        let mut output = self.engine.handle(self.now, input);
        output.answers.pop().unwrap().1
    }

    /// Counts checkouts, their renewals and their releases.
    pub(crate) fn count_round(&mut self, called: &str, feature: &str) {
        let wants: Vec<_> = (0..OPERATIONS)
            .map(|number| self.wants(feature, number))
            .collect();
        let asks = wants.iter().cloned();
        let asks = asks.map(|(client, it)| (client, ClientAsk::Checkout(it)));
        let answers = self.count(&format!("engine/checkout {called}"), asks.collect());
        let held: Vec<_> = wants.iter().zip(answers).map(held).collect();
        let (renewals, held): (Vec<_>, Vec<_>) =
            held.into_iter().map(|it| self.renewal(it)).unzip();
        let answers = self.count(&format!("engine/renewal {called}"), renewals);
        assert!(answers.iter().all(|it| matches!(it, Answer::Promised(_))));
        let releases = held.into_iter().map(|it| self.release(it)).collect();
        let answers = self.count(&format!("engine/release {called}"), releases);
        assert!(answers.iter().all(|it| matches!(it, Answer::Released)));
    }

    /// The next renewal of a lease, and the lease after it.
    pub(crate) fn renewal(&mut self, held: Held) -> ((usize, ClientAsk), Held) {
        let link = self.link(held);
        let renew = Renew {
            lease: held.id,
            nonce: held.nonce,
            link,
            length_ms: None,
            idle_ms: None,
        };
        let token = link.next;
        (
            (held.client, ClientAsk::Renew(renew)),
            Held { token, ..held },
        )
    }

    pub(crate) fn release(&mut self, held: Held) -> (usize, ClientAsk) {
        let release = Release {
            lease: held.id,
            nonce: held.nonce,
            link: self.link(held),
        };
        (held.client, ClientAsk::Release(release))
    }

    fn link(&mut self, held: Held) -> Link {
        Link {
            previous: held.token,
            next: Token(self.dice.bytes()),
        }
    }

    fn admin(&mut self, ask: AdminAsk) -> Answer {
        let input = Input::Admin {
            reply_to: ReplyTo(1),
            actor: "root(0)".to_owned(),
            ask,
        };
        self.handle(input)
    }

    fn input(&self, client: usize, ask: ClientAsk) -> Input {
        let caller = Caller {
            client: self.clients[client % self.clients.len()],
            root: samples::root(),
            address: Ipv4Addr::new(10, 1, 2, 3).into(),
            connection: ConnectionId(client as u64),
        };
        let reply_to = ReplyTo(1);
        Input::Client {
            reply_to,
            caller,
            ask,
        }
    }
}

/// What a checkout brought.
pub(crate) fn held(((client, checkout), answer): (&(usize, Checkout), Answer)) -> Held {
    Held {
        client: *client,
        id: promised(&answer).lease.id,
        nonce: checkout.nonce,
        token: checkout.token,
    }
}

pub(crate) fn promised(answer: &Answer) -> &Promise {
    match answer {
        Answer::Promised(promise) => promise,
        other => panic!("not a promise: {other:?}"),
    }
}

pub(crate) fn refused(answer: &Answer) -> &Refusal {
    match answer {
        Answer::Refused(refusal) => refusal,
        other => panic!("not a refusal: {other:?}"),
    }
}

pub(crate) fn loaded_lease(
    clients: &[PublicKey],
    dice: &mut Dice,
    feature: &str,
    number: u32,
) -> LeaseRecord {
    let id = LeaseId {
        epoch: Epoch(100),
        commit: Commit(u64::from(number) + 1),
    };
    let client = number as usize % clients.len();
    LeaseRecord {
        id,
        root: samples::root(),
        license: "acme-0042".parse().unwrap(),
        environment: Environment::Live,
        feature: feature.parse().unwrap(),
        seats: 1,
        version: None,
        length_ms_wished: None,
        client: clients[client],
        nonce: Nonce(dice.bytes()),
        holder: holder(client),
        address: Some(Ipv4Addr::new(10, 1, 2, 3).into()),
        since: samples::ISSUED,
        length_ms_longest: DurationMs(600_000 + dice.below(60_000)),
        evicted: None,
        forked: false,
        grouping: Grouping::Process,
        share_since: id,
        overdraft_seats: 0,
        waited_ms: DurationMs::ZERO,
        borrowed: None,
    }
}

fn settings() -> Settings {
    Settings {
        serve_test: false,
        leases_per_client_max: usize::MAX,
        leases_max: usize::MAX,
        host_names: vec!["lic01".to_owned()],
    }
}

fn life(leases: u32) -> Life {
    Life {
        epoch: Epoch(101),
        life: LifeId([1; 16]),
        site: PublicKey::from(&SigningKey::from_bytes(&[3; 32])),
        hold_all: false,
        head: Commit(u64::from(leases) + 1000),
    }
}

/// How often each step is done: what a tree costs now and then is spread over them.
pub(crate) const OPERATIONS: usize = 128;

const CLIENTS: u32 = 256;
