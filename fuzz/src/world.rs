//! An engine with licenses of fixed keys, and the store it would have: records under their keys.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use usher_engine::{
    Engine,
    api::{
        AdminAsk, Answer, Caller, ClientAsk, ConnectionId, Input, Life, Output, Question, ReplyTo,
        Settings,
    },
    policy::Policy,
    record::{LeaseRecord, Record},
};
use usher_protocol::{
    documents::{lease::Lease, license::VerifiedLicense},
    ids::{Commit, Epoch, LifeId},
    time::{BootMs, DurationMs, Now, WallMs},
    wire::{Checkout, Environment},
};
use usherd::records;

use crate::samples::{CLIENT, ISSUED, ROOT, SITE, checkout, licenses, public};

/// The daemon's side, and its time.
pub(crate) struct World {
    engine: Engine,
    pub(crate) now: Now,
    life: Life,
    settings: Settings,
    policy: Arc<Policy>,
    store: BTreeMap<Vec<u8>, Record>,
    stored: u64,
    /// Leases that were granted, the newest last.
    pub(crate) leases: Vec<Lease>,
    /// When the engine wants to be woken.
    pub(crate) wake: Option<BootMs>,
}

impl World {
    /// A first start, ten days after the live license was issued, with it installed.
    pub(crate) fn new() -> Self {
        let now = Now {
            boot: BootMs(5_000_000),
            wall: WallMs(ISSUED.0 + 864_000_000),
        };
        let life = Life {
            epoch: Epoch(100),
            life: LifeId([1; 16]),
            site: public(SITE),
            hold_all: false,
            head: Commit(0),
        };
        let settings = Settings {
            serve_test: true,
            leases_per_client_max: 8,
            leases_max: 24,
            host_names: vec!["lic01".to_owned()],
        };
        let policy: Arc<Policy> = Arc::default();
        let (engine, output) =
            Engine::start(settings.clone(), Arc::clone(&policy), life, Vec::new(), now);
        let mut world = Self {
            engine,
            now,
            life,
            settings,
            policy,
            store: BTreeMap::new(),
            stored: 0,
            leases: Vec::new(),
            wake: None,
        };
        world.keep(output);
        world.install(&licenses()[0]);
        world
    }

    /// Everything that a policy decides is asked once under this one.
    pub(crate) fn live_under(mut self, policy: Arc<Policy>) {
        self.set_policy(policy);
        for client in 0..2 {
            let mut wanted = wanted();
            wanted.nonce.0[0] = client;
            self.client(client, ClientAsk::Checkout(wanted));
        }
        self.admin(AdminAsk::Explain(question()));
        self.admin(AdminAsk::Status);
        self.admin(AdminAsk::Queue);
        self.pass(DurationMs::minutes(30));
        self.handle(Input::Tick);
    }

    pub(crate) fn install(&mut self, license: &Arc<VerifiedLicense>) {
        self.admin(AdminAsk::InstallLicense {
            license: Arc::clone(license),
            root_confirmed: Some(license.root().fingerprint()),
        });
    }

    pub(crate) fn set_policy(&mut self, policy: Arc<Policy>) {
        if !matches!(
            self.admin(AdminAsk::SetPolicy(Arc::clone(&policy))),
            Answer::Refused(_)
        ) {
            self.policy = policy;
        }
    }

    pub(crate) fn set_settings(&mut self, settings: Settings) {
        self.admin(AdminAsk::Configure(settings.clone()));
        self.settings = settings;
    }

    /// Asks as one of a few clients; each has two connections.
    pub(crate) fn client(&mut self, client: u8, ask: ClientAsk) -> Answer {
        let caller = Caller {
            client: public(CLIENT + client % 4),
            root: public(ROOT).fingerprint(),
            address: IpAddr::V4(Ipv4Addr::new(10, 1, 2, client)),
            connection: ConnectionId(u64::from(client % 8)),
        };
        let input = Input::Client {
            reply_to: ReplyTo(7),
            caller,
            ask,
        };
        self.answer(input)
    }

    pub(crate) fn admin(&mut self, ask: AdminAsk) -> Answer {
        self.answer(Input::Admin {
            reply_to: ReplyTo(7),
            actor: "root(0)".to_owned(),
            ask,
        })
    }

    /// An input that nobody waits for.
    pub(crate) fn handle(&mut self, input: Input) {
        let output = self.engine.handle(self.now, input);
        assert!(self.keep(output).is_empty());
    }

    pub(crate) fn pass(&mut self, length: DurationMs) {
        self.now.boot = BootMs(self.now.boot.plus(length).0.min(1 << 62));
        self.now.wall = self.now.wall.plus(length);
    }

    /// The process ends at once and starts again on what was stored.
    pub(crate) fn restart(&mut self, hold_all: bool) {
        self.life = Life {
            epoch: Epoch(self.life.epoch.0 + 1),
            life: LifeId([self.life.life.0[0].wrapping_add(1); 16]),
            hold_all,
            head: self.engine.head(),
            ..self.life
        };
        let loaded: Vec<_> = self.store.values().cloned().collect();
        let (engine, output) = Engine::start(
            self.settings.clone(),
            Arc::clone(&self.policy),
            self.life,
            loaded,
            self.now,
        );
        self.engine = engine;
        assert!(self.keep(output).is_empty());
    }

    /// Each question has one answer, at once.
    fn answer(&mut self, input: Input) -> Answer {
        let output = self.engine.handle(self.now, input);
        let mut answers = self.keep(output);
        assert_eq!(answers.len(), 1);
        let answer = answers.remove(0);
        if let Answer::Promised(promise) = &answer {
            self.remember(&promise.lease);
        }
        if let Answer::PromisedAll(promises) = &answer {
            for promise in promises {
                self.remember(&promise.lease);
            }
        }
        answer
    }

    fn remember(&mut self, lease: &Lease) {
        assert!(lease.seats > 0 && lease.length_ms > DurationMs::ZERO);
        self.leases.retain(|it| it.id != lease.id);
        self.leases.push(lease.clone());
    }

    /// What is to be stored can be, and reads back; keys and licenses are too slow to read each time.
    fn keep(&mut self, output: Output) -> Vec<Answer> {
        for record in output.records {
            let write = records::write(&record).unwrap();
            match write.value {
                Some(value) => {
                    self.stored += 1;
                    if self.stored.is_multiple_of(4) && !matches!(record, Record::PutLicense(_)) {
                        assert_eq!(records::read(&write.key, &value).unwrap(), record);
                    }
                    self.store.insert(write.key, record);
                }
                None => drop(self.store.remove(&write.key)),
            }
        }
        for event in &output.events {
            records::event_body(event).unwrap();
        }
        self.wake = output.wake;
        output
            .answers
            .into_iter()
            .map(|(_, answer)| answer)
            .collect()
    }
}

/// What stands in a store that has lent a seat.
pub(crate) fn stored() -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut world = World::new();
    world.client(0, ClientAsk::Checkout(wanted()));
    let writes = world.store.values().map(|it| records::write(it).unwrap());
    writes.filter_map(|it| Some((it.key, it.value?))).collect()
}

/// The leases among it.
pub(crate) fn granted() -> Vec<LeaseRecord> {
    let mut world = World::new();
    world.client(0, ClientAsk::Checkout(wanted()));
    let lease = |record: Record| match record {
        Record::PutLease(lease) => Some(*lease),
        _ => None,
    };
    world.store.into_values().filter_map(lease).collect()
}

fn wanted() -> Checkout {
    Checkout {
        version: None,
        wait: true,
        ..checkout()
    }
}

pub(crate) fn question() -> Question {
    Question {
        feature: "acme/solver".to_owned(),
        environment: Environment::Live,
        seats: 1,
        version: None,
        user: "ada".to_owned(),
        host: "ws01".to_owned(),
        client: None,
        address: None,
        borrow_ms: None,
    }
}
