//! The real engine with a store that is nothing but records, in the words of the model.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, OnceLock},
};

use ed25519_dalek::SigningKey;
use usher_engine::{
    Engine,
    api::{
        AdminAsk, Answer, Caller, ClientAsk, ConnectionId, Input, Life, Output, ReplyTo, Settings,
    },
    policy::Policy,
    record::{LeaseRecord, Record},
};
use usher_model::{CLIENTS, Message};
use usher_protocol::{
    documents::{
        certificate::Certificate,
        license::{Feature, Grouping, License, VerifiedLicense, issue},
    },
    ids::{Commit, Epoch, LeaseId, LifeId, Nonce, PublicKey, Token},
    refusal::RefusalCode,
    time::{BootMs, DurationMs, Now, WallMs},
    wire::{Checkout, Environment, Holder, Link, Push, Release, Renew},
};

const TICK_MS: u64 = 1_000;
const DAY_MS: u64 = 86_400_000;
/// 2026-11-01.
const ISSUED: WallMs = WallMs(1_793_491_200_000);

/// What the engine said, as far as the model knows such words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// A grant or an extension, for so many ticks.
    Granted(u8),
    /// The lease is over, or was given back.
    Ended,
    Evicted,
    Queued,
    NoSeat,
    /// Something that the model has no word for.
    Else(RefusalCode),
}

impl Memory {
    fn new(drawn: [u8; 16]) -> Self {
        Self {
            nonce: Nonce(drawn),
            lease: None,
            token: Token(drawn),
        }
    }
}

/// The engine, its store and its clients' memories.
pub(super) struct Beside {
    engine: Engine,
    now: Now,
    life: Life,
    lengths: [u8; 2],
    seats: usize,
    serial: u64,
    /// What is durable: leases, and the rest by what it is.
    leases: BTreeMap<LeaseId, LeaseRecord>,
    rest: BTreeMap<String, Record>,
    /// Handled and not durable yet.
    batch: Vec<Record>,
    clients: [Memory; CLIENTS],
    offered: Vec<usize>,
    /// Drawn so far, for nonces and tokens.
    drawn: u64,
    pub(super) leases_granted: u64,
}

/// One client's checkout.
#[derive(Debug, Clone, Copy)]
struct Memory {
    nonce: Nonce,
    lease: Option<LeaseId>,
    /// Where its chain stands (T6).
    token: Token,
}

impl Beside {
    /// A daemon on its first day with its license.
    pub(super) fn new(seats: usize, lengths: [u8; 2]) -> Self {
        let now = Now {
            boot: BootMs(5_000_000),
            wall: WallMs(ISSUED.0 + DAY_MS),
        };
        let life = Life {
            epoch: Epoch(100),
            life: LifeId([1; 16]),
            site: PublicKey::from(&key(3)),
            hold_all: false,
            head: Commit(0),
        };
        let (engine, output) = begin(life, Vec::new(), now);
        let mut beside = Self {
            engine,
            now,
            life,
            lengths,
            seats,
            serial: 0,
            leases: BTreeMap::new(),
            rest: BTreeMap::new(),
            batch: output.records,
            clients: [Memory::new([0; 16]); CLIENTS],
            offered: Vec::new(),
            drawn: 0,
            leases_granted: 0,
        };
        beside.change_length(0);
        beside.commit();
        beside
    }

    pub(super) fn tick(&mut self) {
        self.now.boot.0 += TICK_MS;
        self.now.wall.0 += TICK_MS;
    }

    pub(super) fn wake(&mut self) {
        self.input(Input::Tick);
    }

    /// Another serial of the license, with another length.
    pub(super) fn change_length(&mut self, length: usize) {
        self.serial += 1;
        let license = license(self.serial, self.seats, self.lengths[length]);
        let root_confirmed = Some(license.root().fingerprint());
        self.admin(AdminAsk::InstallLicense {
            license,
            root_confirmed,
        });
    }

    pub(super) fn evict(&mut self, client: usize) {
        let Some(lease) = self.clients[client].lease else {
            return;
        };
        self.admin(AdminAsk::Evict {
            lease,
            reason: String::new(),
            cool_down_ms: Some(DurationMs::ZERO),
        });
    }

    pub(super) fn commit(&mut self) {
        for record in std::mem::take(&mut self.batch) {
            match record {
                Record::PutLease(lease) => {
                    self.leases.insert(lease.id, *lease);
                }
                Record::DropLease(id) => {
                    self.leases.remove(&id);
                }
                // One of each kind there is, the license's among them.
                Record::PutLicense(_) => self.keep("license", record),
                Record::PutSerial(_) => self.keep("serial", record),
                Record::PutRoot(_) => self.keep("root", record),
                Record::PutMark(_) => self.keep("mark", record),
                other => panic!("{other:?}"),
            }
        }
        self.life.head = self.engine.head();
    }

    /// What is no lease's is durable, also where a lease's change that waits was in its way. Nobody was told
    /// of a lease that was not.
    pub(super) fn crash(&mut self) {
        for record in self.batch.extract_if(.., |it| is_lease(it)) {
            let Record::PutLease(lease) = record else {
                continue;
            };
            if !self.leases.contains_key(&lease.id) {
                let memories = self.clients.iter_mut();
                let told = memories.filter(|it| it.lease == Some(lease.id));
                told.for_each(|it| it.lease = None);
            }
        }
        self.commit();
    }

    pub(super) fn start(&mut self) {
        self.life.epoch.0 += 1;
        self.life.life.0[0] += 1;
        let leases = self.leases.values().cloned();
        let leases = leases.map(|it| Record::PutLease(Box::new(it)));
        let loaded = self.rest.values().cloned().chain(leases).collect();
        let (engine, output) = begin(self.life, loaded, self.now);
        self.engine = engine;
        self.batch = output.records;
        self.commit_rest();
    }

    /// A new checkout has a nonce of its own (L5).
    pub(super) fn begin(&mut self, client: usize) {
        self.clients[client] = Memory::new(self.draw());
    }

    pub(super) fn ask(&mut self, client: usize, message: Message, waits: bool) -> Heard {
        let memory = self.clients[client];
        let ask = match (message, memory.lease) {
            (Message::Renew(_), Some(lease)) => ClientAsk::Renew(Renew {
                lease,
                nonce: memory.nonce,
                link: self.next_link(client),
                length_ms: None,
                idle_ms: None,
            }),
            (Message::Release, Some(lease)) => ClientAsk::Release(Release {
                lease,
                nonce: memory.nonce,
                link: self.next_link(client),
            }),
            (Message::Release, None) => ClientAsk::Leave(memory.nonce),
            _ => ClientAsk::Checkout(checkout(client, memory, waits)),
        };
        let reply_to = ReplyTo(0);
        let caller = caller(client);
        let answers = self.input(Input::Client {
            reply_to,
            caller,
            ask,
        });
        let answer = answers.into_iter().next();
        self.hear(client, answer.unwrap_or_else(|| panic!("no answer")))
    }

    /// Clients to which a seat was offered since this was asked last.
    pub(super) fn take_offered(&mut self) -> Vec<usize> {
        let mut offered = std::mem::take(&mut self.offered);
        offered.sort_unstable();
        offered
    }

    /// Whether a lease's change waits for the disk.
    pub(super) fn is_dirty(&self) -> bool {
        self.batch.iter().any(is_lease)
    }

    /// What is durable of a client's lease: the index of its longest length, and whether it is evicted.
    pub(super) fn stored(&self, client: usize) -> Option<(u8, bool)> {
        let client = PublicKey::from(&key(client_key(client)));
        let mut leases = self.leases.values();
        let lease = leases.find(|it| it.client == client)?;
        let is_long = lease.length_ms_longest == ticks(self.lengths[1]);
        Some((u8::from(is_long), lease.evicted.is_some()))
    }

    fn hear(&mut self, client: usize, answer: Answer) -> Heard {
        match answer {
            Answer::Promised(promise) => {
                let memory = &mut self.clients[client];
                self.leases_granted += u64::from(memory.lease.is_none());
                memory.lease = Some(promise.lease.id);
                memory.token = promise.lease.token;
                let length = promise.lease.length_ms.0 / TICK_MS;
                Heard::Granted(u8::try_from(length).unwrap_or(u8::MAX))
            }
            Answer::Released | Answer::Left => Heard::Ended,
            Answer::Queued(_) => Heard::Queued,
            Answer::Refused(refusal) => match refusal.code {
                RefusalCode::LeaseEnded => Heard::Ended,
                RefusalCode::Evicted => Heard::Evicted,
                RefusalCode::NoSeat => Heard::NoSeat,
                code => Heard::Else(code),
            },
            other => panic!("{other:?}"),
        }
    }

    /// The next step of the chain (T6).
    fn next_link(&mut self, client: usize) -> Link {
        Link {
            previous: self.clients[client].token,
            next: Token(self.draw()),
        }
    }

    fn draw(&mut self) -> [u8; 16] {
        self.drawn += 1;
        u128::from(self.drawn).to_be_bytes()
    }

    fn admin(&mut self, ask: AdminAsk) {
        let reply_to = ReplyTo(0);
        let actor = "root(0)".to_owned();
        let answers = self.input(Input::Admin {
            reply_to,
            actor,
            ask,
        });
        for answer in answers {
            assert!(!matches!(answer, Answer::Refused(_)), "{answer:?}");
        }
    }

    fn input(&mut self, input: Input) -> Vec<Answer> {
        let output = self.engine.handle(self.now, input);
        self.batch.extend(output.records);
        for (_, push) in output.pushes {
            if let Push::Offered(offered, _) = push {
                let mut clients = 0..CLIENTS;
                let whose = clients.find(|it| self.clients[*it].nonce == offered);
                self.offered.extend(whose);
            }
        }
        self.commit_rest();
        output
            .answers
            .into_iter()
            .map(|(_, answer)| answer)
            .collect()
    }

    /// What is no lease's is durable at once here: the model does not know of it.
    fn commit_rest(&mut self) {
        if !self.is_dirty() {
            self.commit();
        }
    }

    fn keep(&mut self, kind: &str, record: Record) {
        self.rest.insert(kind.to_owned(), record);
    }
}

fn is_lease(record: &Record) -> bool {
    matches!(record, Record::PutLease(_) | Record::DropLease(_))
}

fn begin(life: Life, loaded: Vec<Record>, now: Now) -> (Engine, Output) {
    let settings = Settings {
        serve_test: true,
        leases_per_client_max: 1000,
        leases_max: 1000,
        host_names: vec!["lic01".to_owned()],
    };
    Engine::start(settings, Arc::new(Policy::default()), life, loaded, now)
}

fn checkout(client: usize, memory: Memory, waits: bool) -> Checkout {
    Checkout {
        wait: waits,
        nonce: memory.nonce,
        token: memory.token,
        feature: "solver".parse().unwrap(),
        environment: Environment::Test,
        seats: 1,
        version: None,
        length_ms: None,
        holder: Holder {
            user: format!("user{client}"),
            host: "ws1".to_owned(),
            display: None,
            process: 42,
        },
    }
}

fn caller(client: usize) -> Caller {
    Caller {
        client: PublicKey::from(&key(client_key(client))),
        root: PublicKey::from(&key(1)).fingerprint(),
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        connection: ConnectionId(u64::from(client_key(client))),
    }
}

fn client_key(client: usize) -> u8 {
    u8::try_from(client).map_or(u8::MAX, |it| 10 + it)
}

fn ticks(count: u8) -> DurationMs {
    DurationMs(u64::from(count) * TICK_MS)
}

fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32])
}

/// A test license with leases of so many ticks. Signing is slow, and the ways want the same ones.
fn license(serial: u64, seats: usize, length: u8) -> Arc<VerifiedLicense> {
    type Licenses = BTreeMap<(u64, usize, u8), Arc<VerifiedLicense>>;
    static SIGNED: Mutex<Licenses> = Mutex::new(BTreeMap::new());
    let mut signed = SIGNED.lock().unwrap();
    let known = signed.entry((serial, seats, length));
    Arc::clone(known.or_insert_with(|| sign(serial, seats, length)))
}

fn sign(serial: u64, seats: usize, length: u8) -> Arc<VerifiedLicense> {
    static CERTIFICATE: OnceLock<usher_protocol::envelope::Signed> = OnceLock::new();
    let certificate = CERTIFICATE.get_or_init(|| {
        let certificate = Certificate {
            root: PublicKey::from(&key(1)),
            vendor: "acme".parse().unwrap(),
            issuing: PublicKey::from(&key(2)),
            serial: 1,
            starts: WallMs(ISSUED.0 - 365 * DAY_MS),
            expires: WallMs(ISSUED.0 + 2000 * DAY_MS),
        };
        certificate.sign(&key(1)).unwrap()
    });
    let solver = Feature {
        claimed_user: false,
        early_return: false,
        write_off: 0,
        feature: "solver".parse().unwrap(),
        version: None,
        seats: u32::try_from(seats).ok(),
        starts: ISSUED,
        expires: Some(WallMs(ISSUED.0 + 20 * DAY_MS)),
        lease_ms_min: ticks(length),
        lease_ms_default: ticks(length),
        lease_ms_max: ticks(length),
        borrow_ms_max: DurationMs::ZERO,
        overdraft: 0,
        grouping: Grouping::Process,
    };
    let license = License {
        id: "acme-1".parse().unwrap(),
        serial,
        vendor: "acme".parse().unwrap(),
        customer: "Example".to_owned(),
        customer_id: "example".parse().unwrap(),
        environment: Environment::Test,
        site: PublicKey::from(&key(3)),
        hosts: Vec::new(),
        issued: ISSUED,
        replaces: Vec::new(),
        support: None,
        features: vec![solver],
    };
    let text = issue(&license, &key(2), certificate, None).unwrap();
    Arc::new(VerifiedLicense::verify(text.as_bytes()).unwrap())
}
