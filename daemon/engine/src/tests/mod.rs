//! The engine driven as the core drives it: real signed licenses, virtual time, a store that is
//! nothing but the records it was given.

mod borrow;
mod borrow_lost;
mod clock;
mod group;
mod lease;
mod license;
mod line;
mod linger;
mod model;
mod policy_admission;
mod policy_change;
mod policy_denials;
mod policy_enroll;
mod policy_evict;
mod policy_explain;
mod policy_idle;
mod policy_maximum;
mod policy_order;
mod policy_reservation;
mod policy_suspend;
mod queue;
mod queue_fair;
mod queue_mixed;
mod queue_order;
mod queue_turns;
mod retire;
mod semantics;
mod semantics_kept;
mod several;
mod size;
mod trouble;
mod trouble_beliefs;
mod view;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use ed25519_dalek::SigningKey;
use usher_protocol::{
    documents::{
        certificate::Certificate,
        lease::{Lease, VerifiedLease},
        license::{Feature, Grouping, License, VerifiedLicense, issue},
    },
    envelope::Signed,
    ids::{Commit, Epoch, Fingerprint, LifeId, Nonce, PublicKey, Token},
    limits::{LEASE_MS_DEFAULT, LEASE_MS_MAX, LEASE_MS_MIN},
    refusal::{Refusal, RefusalCode},
    time::{BootMs, DurationMs, Now, WallMs},
    wire::{Checkout, Environment, Holder, Link, Push, Release, Renew},
};

use crate::{
    Engine,
    api::{
        AdminAsk, Answer, Caller, ClientAsk, ConnectionId, Input, Life, Output, Promise, ReplyTo,
        Settings, Status,
    },
    policy::{Policy, ReserveRule, Rule, Who},
    record::{Event, Record},
};

/// 2026-11-01, when test licenses are issued.
pub(crate) const ISSUED: WallMs = WallMs(1_793_491_200_000);
pub(crate) const DAY: u64 = 86_400_000;
/// The lease length of test licenses, and its guard time.
pub(crate) const R: u64 = 600_000;
pub(crate) const G: u64 = 18_000;

/// A daemon and its store.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) now: Now,
    pub(crate) life: Life,
    pub(crate) settings: Settings,
    pub(crate) policy: Arc<Policy>,
    pub(crate) store: BTreeMap<String, Record>,
    pub(crate) events: Vec<Event>,
    pub(crate) last: Output,
    /// What was pushed, and over which connection: in tests each client has one, of its number.
    pub(crate) pushes: Vec<(ConnectionId, Push)>,
    /// The length that renewals wish for.
    pub(crate) wish: Option<DurationMs>,
}

impl World {
    /// A first start, ten days after the licenses were issued.
    pub(crate) fn new() -> Self {
        let now = Now {
            boot: BootMs(5_000_000),
            wall: WallMs(ISSUED.0 + 10 * DAY),
        };
        let life = Life {
            epoch: Epoch(100),
            life: LifeId([1; 16]),
            site: PublicKey::from(&key(3)),
            hold_all: false,
            head: Commit(0),
        };
        let settings = Settings {
            serve_test: false,
            leases_per_client_max: 1000,
            leases_max: 1_000_000,
            host_names: vec!["lic01".to_owned()],
        };
        let (engine, output) =
            Engine::start(settings.clone(), Arc::default(), life, Vec::new(), now);
        let mut world = Self {
            engine,
            now,
            life,
            settings,
            policy: Arc::default(),
            store: BTreeMap::new(),
            events: Vec::new(),
            last: Output::default(),
            pushes: Vec::new(),
            wish: None,
        };
        world.persist(output);
        world
    }

    /// The same with `acme` serving `seats` of `solver`.
    pub(crate) fn with_seats(seats: u32) -> Self {
        let mut world = Self::new();
        world.install(&solver(seats, 1)).unwrap();
        world
    }

    pub(crate) fn input(&mut self, input: Input) -> Vec<Answer> {
        let output = self.engine.handle(self.now, input);
        self.persist(output)
    }

    pub(crate) fn client(&mut self, client: u8, ask: ClientAsk) -> Answer {
        let caller = Caller {
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            connection: ConnectionId(u64::from(client)),
            client: PublicKey::from(&key(client)),
            root: root(),
        };
        let reply_to = ReplyTo(7);
        let input = Input::Client {
            reply_to,
            caller,
            ask,
        };
        self.input(input).remove(0)
    }

    pub(crate) fn admin(&mut self, ask: AdminAsk) -> Result<Answer, Box<Refusal>> {
        let reply_to = ReplyTo(7);
        let actor = "root(0)".to_owned();
        let input = Input::Admin {
            reply_to,
            actor,
            ask,
        };
        match self.input(input).remove(0) {
            Answer::Refused(refusal) => Err(refusal),
            answer => Ok(answer),
        }
    }

    pub(crate) fn install(
        &mut self,
        license: &Arc<VerifiedLicense>,
    ) -> Result<Answer, Box<Refusal>> {
        self.admin(AdminAsk::InstallLicense {
            license: Arc::clone(license),
            root_confirmed: Some(license.root().fingerprint()),
        })
    }

    /// What an administrator does first after a loss, so that a hold is no longer than it must be (S6).
    pub(crate) fn add_licenses_again(&mut self) {
        let installed: Vec<_> = self.engine.state.licenses.values().cloned().collect();
        for license in installed {
            self.install(&license).unwrap();
        }
    }

    /// A policy comes into force, and stays over restarts as its file would.
    pub(crate) fn set_policy(&mut self, policy: Policy) -> Result<(), Box<Refusal>> {
        let policy = Arc::new(policy);
        self.admin(AdminAsk::SetPolicy(Arc::clone(&policy)))?;
        self.policy = policy;
        Ok(())
    }

    pub(crate) fn status(&mut self) -> Status {
        match self.admin(AdminAsk::Status) {
            Ok(Answer::Status(status)) => *status,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn checkout(&mut self, client: u8, nonce: u8) -> Result<Promise, Box<Refusal>> {
        self.checkout_with(client, wants(nonce))
    }

    pub(crate) fn checkout_with(
        &mut self,
        client: u8,
        checkout: Checkout,
    ) -> Result<Promise, Box<Refusal>> {
        promised(self.client(client, ClientAsk::Checkout(checkout)))
    }

    pub(crate) fn renew(
        &mut self,
        client: u8,
        lease: &Lease,
        nonce: u8,
        link: Link,
    ) -> Result<Promise, Box<Refusal>> {
        let renew = Renew {
            idle_ms: None,
            lease: lease.id,
            nonce: Nonce([nonce; 16]),
            link,
            length_ms: self.wish,
        };
        promised(self.client(client, ClientAsk::Renew(renew)))
    }

    /// As [`Self::checkout`], and stands in the queue when there is no seat.
    pub(crate) fn wait(&mut self, client: u8, nonce: u8) -> Answer {
        self.wait_with(client, wants(nonce))
    }

    pub(crate) fn wait_with(&mut self, client: u8, checkout: Checkout) -> Answer {
        let wait = true;
        self.client(client, ClientAsk::Checkout(Checkout { wait, ..checkout }))
    }

    pub(crate) fn attach(
        &mut self,
        client: u8,
        lease: &Lease,
        nonce: u8,
        link: Link,
    ) -> Result<Promise, Box<Refusal>> {
        let signed = lease.sign(&key(3)).unwrap();
        let lease = VerifiedLease::verify(&signed, &self.life.site).unwrap();
        let ask = ClientAsk::Attach {
            lease: Box::new(lease),
            nonce: Nonce([nonce; 16]),
            link,
            length_ms: self.wish,
        };
        promised(self.client(client, ask))
    }

    pub(crate) fn release(
        &mut self,
        client: u8,
        lease: &Lease,
        nonce: u8,
        link: Link,
    ) -> Result<(), Box<Refusal>> {
        let release = Release {
            lease: lease.id,
            nonce: Nonce([nonce; 16]),
            link,
        };
        match self.client(client, ClientAsk::Release(release)) {
            Answer::Released => Ok(()),
            Answer::Refused(refusal) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }

    /// Time passes with nobody looking.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.now.boot.0 += ms;
        self.now.wall.0 += ms;
    }

    /// Time passes, and every wake-up that falls into it is served.
    pub(crate) fn run(&mut self, ms: u64) {
        let end = self.now.boot.0 + ms;
        while let Some(wake) = self.last.wake.filter(|wake| wake.0 <= end) {
            self.pass(wake.0.saturating_sub(self.now.boot.0));
            self.input(Input::Tick);
        }
        self.pass(end - self.now.boot.0);
    }

    /// The process ends at once and starts again on what was committed.
    pub(crate) fn restart(&mut self) {
        self.life.head = self.engine.head();
        self.restart_as(Life {
            epoch: Epoch(self.life.epoch.0 + 1),
            hold_all: false,
            life: LifeId([self.life.life.0[0] + 1; 16]),
            ..self.life
        });
    }

    pub(crate) fn restart_as(&mut self, life: Life) {
        self.life = life;
        let loaded: Vec<_> = self.store.values().cloned().collect();
        let (engine, output) = Engine::start(
            self.settings.clone(),
            Arc::clone(&self.policy),
            life,
            loaded,
            self.now,
        );
        self.engine = engine;
        self.persist(output);
    }

    pub(crate) fn seats_out(&self) -> u64 {
        self.engine.state.pools().map(|(_, pool)| pool.out).sum()
    }

    fn persist(&mut self, mut output: Output) -> Vec<Answer> {
        for record in output.records.drain(..) {
            store_record(&mut self.store, record);
        }
        self.events.append(&mut output.events);
        self.pushes.append(&mut output.pushes);
        let answers = std::mem::take(&mut output.answers);
        self.last = output;
        answers.into_iter().map(|(_, answer)| answer).collect()
    }
}

/// As the daemon's store has it: one record under one key.
pub(crate) fn store_record(store: &mut BTreeMap<String, Record>, record: Record) {
    let key = match &record {
        Record::PutLease(lease) => format!("lease {}", lease.id),
        Record::DropLease(id) => format!("lease {id}"),
        Record::PutLicense(license) => format!("license {}", license.id),
        Record::DropLicense(id) => format!("license {id}"),
        Record::PutSerial(serial) => format!("serial {} {}", serial.root, serial.license),
        Record::PutRoot(root) => format!("root {}", root.vendor),
        Record::PutRevocations(root, _) => format!("revocations {root}"),
        Record::PutMark(_) => "mark".to_owned(),
        Record::PutTrouble(_) => "trouble".to_owned(),
        Record::PutClient(it) => format!("client {}", it.client),
        Record::DropClient(client) => format!("client {client}"),
        Record::PutSuspension(it) => format!("suspension {:?}", it.key),
        Record::DropSuspension(key) => format!("suspension {key:?}"),
    };
    let drops = matches!(
        record,
        Record::DropLease(_)
            | Record::DropLicense(_)
            | Record::DropClient(_)
            | Record::DropSuspension(_)
    );
    if drops {
        store.remove(&key);
    } else {
        store.insert(key, record);
    }
}

pub(crate) fn promised(answer: Answer) -> Result<Promise, Box<Refusal>> {
    match answer {
        Answer::Promised(promise) => Ok(*promise),
        Answer::Refused(refusal) => Err(refusal),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(
    result: Result<T, Box<Refusal>>,
    code: RefusalCode,
) -> Refusal {
    let refusal = *result.unwrap_err();
    assert_eq!(refusal.code, code, "{}", refusal.detail);
    refusal
}

pub(crate) fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32])
}

pub(crate) fn root() -> Fingerprint {
    PublicKey::from(&key(1)).fingerprint()
}

pub(crate) fn link(previous: u8, next: u8) -> Link {
    Link {
        previous: Token([previous; 16]),
        next: Token([next; 16]),
    }
}

/// One seat of `acme/solver`; the nonce is also the first token.
pub(crate) fn wants(nonce: u8) -> Checkout {
    Checkout {
        wait: false,
        nonce: Nonce([nonce; 16]),
        token: Token([nonce; 16]),
        feature: "solver".parse().unwrap(),
        environment: Environment::Live,
        seats: 1,
        version: None,
        length_ms: None,
        holder: Holder {
            user: "ada".to_owned(),
            host: "ws1".to_owned(),
            display: None,
            process: 42,
        },
    }
}

/// A rule about `acme/solver` for the words of `who`; for everybody without words.
pub(crate) fn rule<T>(line: u32, who: &[&str], says: T) -> Rule<T> {
    let who = match who {
        [] => Who::Everybody,
        words => Who::of(words, &[]).unwrap(),
    };
    Rule {
        line,
        feature: "acme/solver".parse().unwrap(),
        who,
        says,
    }
}

/// The same for another user and host.
pub(crate) fn wants_as(user: &str, host: &str, nonce: u8) -> Checkout {
    let mut checkout = wants(nonce);
    checkout.holder.user = user.to_owned();
    checkout.holder.host = host.to_owned();
    checkout
}

/// A policy of the file `policy.toml` with nothing in it.
pub(crate) fn policy() -> Policy {
    Policy {
        file: "policy.toml".to_owned(),
        ..Policy::default()
    }
}

/// So many seats of `acme/solver` are kept for these, in line 1, and nothing else is ruled.
pub(crate) fn reserving(seats: u32, who: &str) -> Policy {
    Policy {
        reserve: vec![rule(1, &[who], ReserveRule { seats })],
        ..policy()
    }
}

pub(crate) fn feature(name: &str, seats: Option<u32>) -> Feature {
    Feature {
        claimed_user: false,
        early_return: false,
        write_off: 0,
        feature: name.parse().unwrap(),
        version: None,
        seats,
        starts: ISSUED,
        expires: Some(WallMs(ISSUED.0 + 400 * DAY)),
        lease_ms_min: LEASE_MS_MIN,
        lease_ms_default: LEASE_MS_DEFAULT,
        lease_ms_max: LEASE_MS_MAX,
        borrow_ms_max: DurationMs::ZERO,
        overdraft: 0,
        grouping: Grouping::Process,
    }
}

pub(crate) fn license(id: &str, serial: u64, features: Vec<Feature>) -> License {
    License {
        id: id.parse().unwrap(),
        serial,
        vendor: "acme".parse().unwrap(),
        customer: "Example".to_owned(),
        customer_id: "example".parse().unwrap(),
        environment: Environment::Live,
        site: PublicKey::from(&key(3)),
        hosts: Vec::new(),
        issued: ISSUED,
        replaces: Vec::new(),
        support: Some("Write to support@acme.example.".to_owned()),
        features,
    }
}

/// `acme-1` with so many seats of `solver`, leases of at most an hour.
pub(crate) fn solver(seats: u32, serial: u64) -> Arc<VerifiedLicense> {
    let mut solver = feature("solver", Some(seats));
    solver.lease_ms_max = DurationMs::hours(1);
    signed(&license("acme-1", serial, vec![solver]))
}

pub(crate) fn signed(license: &License) -> Arc<VerifiedLicense> {
    signed_by(license, &key(1), None)
}

pub(crate) fn signed_by(
    license: &License,
    root: &SigningKey,
    revocations: Option<&Signed>,
) -> Arc<VerifiedLicense> {
    let certificate = Certificate {
        root: PublicKey::from(root),
        vendor: license.vendor.clone(),
        issuing: PublicKey::from(&key(2)),
        serial: 1,
        starts: WallMs(ISSUED.0 - 365 * DAY),
        expires: WallMs(ISSUED.0 + 2000 * DAY),
    };
    let certificate = certificate.sign(root).unwrap();
    let text = issue(license, &key(2), &certificate, revocations).unwrap();
    Arc::new(VerifiedLicense::verify(text.as_bytes()).unwrap())
}
