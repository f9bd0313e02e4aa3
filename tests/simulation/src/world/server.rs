//! The server's machine: the real core's works between taking an input and letting an answer go, each
//! step an event of its own, so that the daemon may die between any two.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
    sync::Arc,
};

use usher_engine::{
    api::{Answer, Caller, ClientAsk, Settings},
    policy::Policy,
};
use usher_protocol::{
    documents::lease::VerifiedLease,
    envelope::{DocumentType, Signed},
    ids::{Fingerprint, LeaseId, LifeId, PublicKey},
    time::{BootMs, DurationMs, Now},
    wire::{Attach, Hello, Push, Request, WIRE_VERSION},
};
use usher_tests::proof::Dice;
use usherd::{
    core::{Beginning, News, Pending, Question, Waiting, Works},
    limits::BATCH_INPUTS_MAX,
};

use super::{
    Event, Machine, World,
    admin::Ticket,
    network::{self, FromClient, FromServer},
};
use crate::{
    clock::MachineClock,
    invariants,
    journal::{Shared, SimJournal},
    knobs::Knobs,
    planted::Planted,
    site::{self, Terms},
};

/// The server's machine, and what outlives a daemon on it.
pub(crate) struct Server {
    pub(crate) clock: MachineClock,
    pub(crate) storage: Shared,
    pub(crate) life: Option<Life>,
    /// Lives so far; what belongs to an earlier one is dropped.
    pub(crate) lives: u64,
    pub(crate) settings: Settings,
    pub(crate) policy: Arc<Policy>,
    pub(crate) is_still: bool,
    pub(crate) held: Vec<Event>,
    /// Every license ever signed, by its hash.
    pub(crate) signed: BTreeMap<Fingerprint, Terms>,
    /// The daemon is being started.
    pub(crate) is_starting: bool,
    /// Its store was put back once: a hold of it is counted anew in each life.
    pub(crate) went_back: bool,
    site: PublicKey,
}

/// A running daemon.
pub(crate) struct Life {
    pub(crate) works: Works,
    inbox: VecDeque<Question<Waiter>>,
    pending: Option<Pending<Waiter>>,
    released: Released,
    /// What was promised over each open connection.
    open: BTreeMap<u64, BTreeSet<LeaseId>>,
    /// A step is under way.
    is_busy: bool,
    wish: u64,
}

pub(crate) type Released = Rc<RefCell<Vec<(To, Answer)>>>;

/// A step of the daemon's loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Take,
    Commit,
    Release,
}

/// Who waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    Hello(u64),
    Request(u64, u64),
    Admin(Ticket),
}

/// The waiting side of a question to the daemon of this world.
pub(crate) struct Waiter {
    to: To,
    released: Released,
}

impl Waiter {
    /// Whoever looks at the daemon from outside the world.
    pub(crate) fn outside(released: &Released) -> Self {
        Self {
            to: To::Admin(Ticket::OUTSIDE),
            released: Rc::clone(released),
        }
    }
}

impl Waiting for Waiter {
    fn release(self, answer: Answer) {
        self.released.borrow_mut().push((self.to, answer));
    }
}

/// How a daemon ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// Its process dies: what it wrote is in the page cache.
    Process,
    /// The power goes: what was not synced may be lost, and the machine boots anew.
    Power,
    /// A disk operation fails: it says so and leaves (L13).
    Disk,
}

impl Server {
    pub(crate) fn new(dice: &mut Dice, knobs: &Knobs, planted: Option<Planted>) -> Self {
        let storage = Shared::default();
        storage.lock().planted = planted;
        let drift = draw_drift(dice, knobs, 1);
        Self {
            clock: MachineClock::new(crate::clock::Moment(0), drift),
            storage,
            life: None,
            lives: 0,
            settings: Settings {
                serve_test: true,
                leases_per_client_max: 1000,
                leases_max: 10_000,
                host_names: Vec::new(),
            },
            policy: Arc::default(),
            is_still: false,
            held: Vec::new(),
            signed: BTreeMap::new(),
            is_starting: false,
            went_back: false,
            site: site::site(),
        }
    }
}

/// A node's drift; at the limits the server is fast and the clients are slow.
pub(crate) fn draw_drift(dice: &mut Dice, knobs: &Knobs, sign: i64) -> i64 {
    let max = knobs.drift_ppm_max;
    let drawn = i64::try_from(dice.below(2 * max.unsigned_abs() + 1)).unwrap_or(0) - max;
    if knobs.drifts_apart {
        sign * max
    } else {
        drawn
    }
}

impl World {
    /// Starts the daemon, if none runs.
    pub fn start_server(&mut self) {
        self.server.is_starting = false;
        if self.server.life.is_some() || self.is_still(Machine::Server) {
            return;
        }
        self.server.lives += 1;
        let beginning = Beginning {
            site: self.server.site,
            site_is_older: self.server.lives > 1,
            life: LifeId(self.dice.roll().to_le_bytes().repeat(2).try_into().unwrap()),
            settings: self.server.settings.clone(),
            policy: Arc::clone(&self.server.policy),
        };
        let journal = Box::new(SimJournal::open(&self.server.storage));
        let now = self.server_now();
        match Works::begin(journal, beginning, &mut || now) {
            Ok(works) => self.began(works),
            Err(_) if self.server.storage.lock().has_blown => {
                self.note(|| "the daemon dies while it starts".to_owned());
                self.crash_as_drawn();
            }
            Err(error) => {
                let fault = invariants::start_failed(self, &error.to_string());
                self.fault(Err(fault));
            }
        }
    }

    fn began(&mut self, works: Works) {
        let life = works.life();
        self.figures.lives += 1;
        self.note(|| {
            format!(
                "life {} begins: epoch {}, head {}",
                life.life, life.epoch.0, life.head.0
            )
        });
        self.server.life = Some(Life {
            works,
            inbox: VecDeque::new(),
            pending: None,
            released: Released::default(),
            open: BTreeMap::new(),
            is_busy: false,
            wish: 0,
        });
        let outcome = invariants::at_start(self);
        self.fault(outcome);
        (0..self.stations.len()).for_each(|station| self.find_server(station));
        self.set_ring();
        self.light_fuse();
        self.license_anew();
        self.add_the_newest_after_a_loss();
    }

    /// The daemon may have died before it had its license.
    fn license_anew(&mut self) {
        let state = self.server.storage.lock().state();
        if self.is_mixed_up() {
            return;
        }
        if self.knobs.faults.admin.is_some()
            && !state.live.keys().any(|key| key.first() == Some(&b'P'))
        {
            self.add_the_newest();
        }
    }

    /// Something for the engine. Dropped while no daemon runs.
    pub(crate) fn enqueue(
        &mut self,
        to: Option<To>,
        question: impl FnOnce(Option<Waiter>) -> Question<Waiter>,
    ) {
        let delay = self.dice.below(self.knobs.queue_ms_max + 1);
        let number = self.server.lives;
        let Some(life) = &mut self.server.life else {
            return;
        };
        let released = Rc::clone(&life.released);
        let waiter = to.map(|to| Waiter { to, released });
        life.inbox.push_back(question(waiter));
        if !std::mem::replace(&mut life.is_busy, true) {
            self.after(DurationMs(delay), Event::Step(number, Stage::Take));
        }
    }

    pub(crate) fn server_receives(&mut self, connection: u64, message: FromClient) {
        let lives = self.server.lives;
        if self.server.life.is_none() {
            return;
        }
        let Some(station) = self.connections.get(&connection).map(|it| it.station) else {
            return;
        };
        let is_hello = matches!(message, FromClient::Hello);
        // What was on its way to one machine does not come to another.
        if is_hello && !self.meets_the_machine(station) {
            return;
        }
        let Some(it) = self.connections.get_mut(&connection) else {
            return;
        };
        match message {
            FromClient::Hello if it.life.is_none() => it.life = Some(lives),
            FromClient::Request(..) if it.life == Some(lives) => {}
            _ => return,
        }
        let caller = self.caller(connection, station);
        match message {
            FromClient::Hello => self.ask(To::Hello(connection), caller, ClientAsk::Hello(hello())),
            FromClient::Request(number, request) => {
                self.lend_in_pieces(caller, &request);
                if let Some(ask) = self.ask_of(*request) {
                    self.ask(To::Request(connection, number), caller, ask);
                }
            }
        }
    }

    /// On purpose: the first of a set is asked for alone, so that the set is refused.
    fn lend_in_pieces(&mut self, caller: Caller, request: &Request) {
        if let (Request::CheckoutAll(all), Some(Planted::SetInPieces)) = (request, self.planted)
            && let Some(first) = all.first()
        {
            let nobody = To::Admin(Ticket::OUTSIDE);
            self.ask(nobody, caller, ClientAsk::Checkout(first.clone()));
        }
    }

    fn ask(&mut self, to: To, caller: Caller, ask: ClientAsk) {
        self.enqueue(Some(to), |waiter| match waiter {
            Some(waiter) => Question::Client(caller, ask, waiter),
            None => Question::Ring,
        });
    }

    fn caller(&self, connection: u64, station: usize) -> Caller {
        Caller {
            client: self.stations[station].key,
            root: site::root(),
            address: std::net::Ipv4Addr::new(10, 0, 0, u8::try_from(station + 1).unwrap_or(255))
                .into(),
            connection: network::id(connection),
        }
    }

    /// As the edge judges a request; only leases that are shown carry a signature here.
    fn ask_of(&mut self, request: Request) -> Option<ClientAsk> {
        Some(match request {
            Request::Checkout(checkout) => ClientAsk::Checkout(checkout),
            Request::CheckoutAll(all) => ClientAsk::CheckoutAll(all),
            Request::Renew(renew) => ClientAsk::Renew(renew),
            Request::Release(release) => ClientAsk::Release(release),
            Request::Leave(nonce) => ClientAsk::Leave(nonce),
            Request::Borrow(borrow) => ClientAsk::Borrow(borrow),
            Request::Attach(attach) => self.attach(attach)?,
            Request::Features | Request::Holders(_) | Request::Endorsement(_) => return None,
        })
    }

    fn attach(&mut self, attach: Attach) -> Option<ClientAsk> {
        // Ed25519 is deterministic, so this is the signature that the lease came with.
        let signed = Signed::new(DocumentType::LEASE, attach.lease.body, site::site_key());
        let lease = VerifiedLease::verify(&signed, &self.server.site).ok()?;
        Some(ClientAsk::Attach {
            lease: Box::new(lease),
            nonce: attach.nonce,
            link: attach.link,
            length_ms: attach.length_ms,
        })
    }

    /// The server hears that a connection is gone.
    pub(crate) fn server_loses(&mut self, connection: u64, orderly: bool) {
        let lives = self.server.lives;
        let Some(it) = self.connections.get(&connection) else {
            return;
        };
        let is_ours = it.life == Some(lives);
        let client_knows = self.stations[it.station].link.connection() != Some(connection);
        if client_knows {
            self.forget_connection(connection);
        }
        let life = self.server.life.as_mut().filter(|_| is_ours);
        if life.is_some_and(|life| life.open.remove(&connection).is_some()) {
            self.enqueue(None, |_| {
                Question::Disconnected(network::id(connection), orderly)
            });
        }
    }

    pub(crate) fn ring(&mut self, life: u64, wish: u64) {
        let is_last = life == self.server.lives
            && self.server.life.as_ref().is_some_and(|it| it.wish == wish);
        if is_last {
            self.enqueue(None, |_| Question::Ring);
        }
    }

    /// Wakes the daemon when the engine wishes, by the boot clock.
    pub(crate) fn set_ring(&mut self) {
        let (lives, now, guard) = (self.server.lives, self.now, self.guard());
        let Some(life) = &mut self.server.life else {
            return;
        };
        life.wish += 1;
        let wish = life.wish;
        if let Some(wake) = life.works.wake() {
            let wake = BootMs(wake.0.saturating_sub(guard.0));
            let at = self.server.clock.moment_of(wake, now);
            self.at(at, Event::Ring(lives, wish));
        }
    }

    pub(crate) fn server_step(&mut self, life: u64, stage: Stage) {
        if life != self.server.lives || self.server.life.is_none() {
            return;
        }
        match stage {
            Stage::Take => self.take_batch(life),
            Stage::Commit => self.commit(life),
            Stage::Release => self.let_go(life),
        }
    }

    fn take_batch(&mut self, number: u64) {
        let now = self.server_now();
        let planted = self.planted;
        let early = Now {
            boot: now.boot.plus(self.guard()),
            ..now
        };
        let Some(life) = &mut self.server.life else {
            return;
        };
        let mut pending = Pending::default();
        while pending.inputs() < BATCH_INPUTS_MAX
            && let Some(question) = life.inbox.pop_front()
        {
            life.works.take(now, question, &mut pending).unwrap();
        }
        let now = match planted {
            Some(Planted::NoGuard) => early,
            _ => now,
        };
        life.works.tick_when_due(now, &mut pending).unwrap();
        life.pending = Some(pending);
        let delay = self.dice.below(self.knobs.disk_ms_max + 1);
        self.after(DurationMs(delay), Event::Step(number, Stage::Commit));
    }

    /// **G** of a usual lease, where it is left out on purpose.
    fn guard(&self) -> DurationMs {
        match self.planted {
            Some(Planted::NoGuard) => {
                let lease = self.knobs.terms.lease_ms;
                DurationMs((lease.0 * 3 / 100).max(5_000))
            }
            _ => DurationMs::ZERO,
        }
    }

    fn commit(&mut self, number: u64) {
        let Some(life) = &mut self.server.life else {
            return;
        };
        let Some(pending) = life.pending.take() else {
            return;
        };
        if life.works.commit(&pending).is_err() {
            self.note(|| "the commit fails".to_owned());
            return self.fail(pending);
        }
        life.pending = Some(pending);
        let carry = self.dice.below(20);
        let delay = self.dice.below(self.knobs.disk_ms_max + 1);
        self.after(DurationMs(carry), Event::Carry(number));
        self.after(DurationMs(delay), Event::Step(number, Stage::Release));
    }

    /// The storage failed under a commit: either nobody is left to say so, or it is said (L13).
    fn fail(&mut self, pending: Pending<Waiter>) {
        let crash = self.draw_crash();
        if crash == Crash::Disk {
            pending.refuse();
            self.send_released(usize::MAX);
        }
        self.end_life(crash);
    }

    pub(crate) fn carry(&mut self, number: u64) {
        if number != self.server.lives || self.server.life.is_none() {
            return;
        }
        let failed = self.server.storage.lock().carry().is_err();
        if failed {
            // The log's failure is the journal's (L13).
            self.note(|| "the usage log fails".to_owned());
            self.crash_as_drawn();
        }
    }

    fn let_go(&mut self, number: u64) {
        let Some(life) = &mut self.server.life else {
            return;
        };
        let Some(pending) = life.pending.take() else {
            return;
        };
        let news = pending.release();
        let count = life.released.borrow().len();
        // It may die between any two of its answers.
        let dies = self.is_restless
            && count > 0
            && self.dice.permille(self.knobs.faults.commit_crash_permille);
        if dies {
            let sent = usize::try_from(self.dice.below(count as u64 + 1)).unwrap_or(0);
            self.send_released(sent);
            return self.crash_as_drawn();
        }
        self.send_released(usize::MAX);
        self.spread(news);
        self.set_ring();
        self.light_fuse();
        let Some(life) = &mut self.server.life else {
            return;
        };
        life.is_busy = !life.inbox.is_empty();
        if life.is_busy {
            let delay = self.dice.below(self.knobs.queue_ms_max + 1);
            self.after(DurationMs(delay), Event::Step(number, Stage::Take));
        }
    }

    fn send_released(&mut self, count_max: usize) {
        let Some(life) = &mut self.server.life else {
            return;
        };
        let released = std::mem::take(&mut *life.released.borrow_mut());
        for (to, answer) in released.into_iter().take(count_max) {
            match to {
                To::Admin(ticket) => self.admin_answered(ticket, answer),
                To::Hello(connection) => {
                    if let (Answer::Welcome(_), Some(life)) = (&answer, &mut self.server.life) {
                        life.open.insert(connection, BTreeSet::new());
                    }
                    let message = FromServer::Answer(None, Box::new(answer));
                    self.send_to_client(connection, &message);
                }
                To::Request(connection, number) => {
                    self.remember(connection, &answer);
                    let message = FromServer::Answer(Some(number), Box::new(answer));
                    self.send_to_client(connection, &message);
                }
            }
        }
    }

    fn remember(&mut self, connection: u64, answer: &Answer) {
        let promises = match answer {
            Answer::Promised(promise) => std::slice::from_ref(&**promise),
            Answer::PromisedAll(promises) => promises,
            _ => return,
        };
        let open = self.server.life.as_mut().map(|life| &mut life.open);
        if let Some(promised) = open.and_then(|open| open.get_mut(&connection)) {
            promised.extend(promises.iter().map(|it| it.lease.id));
        }
    }

    fn spread(&mut self, news: News) {
        for (connection, push) in news.pushes {
            self.push(connection.0, push);
        }
        for push in news.for_all {
            let open = self
                .server
                .life
                .iter_mut()
                .flat_map(|life| life.open.iter_mut());
            let to: Vec<u64> = open
                .filter_map(|(connection, promised)| match network::is_for(&push) {
                    Some(lease) => promised.remove(&lease).then_some(*connection),
                    None => Some(*connection),
                })
                .collect();
            for connection in to {
                self.push(connection, push.clone());
            }
        }
    }

    fn push(&mut self, connection: u64, push: Push) {
        let life = self.server.life.as_ref();
        if life.is_some_and(|life| life.open.contains_key(&connection)) {
            self.send_to_client(connection, &FromServer::Pushed(Box::new(push)));
        }
    }
}

fn hello() -> Hello {
    Hello {
        version_min: WIRE_VERSION,
        version_max: WIRE_VERSION,
        root: site::root(),
    }
}
