//! Dispatch: what happens around every input, and who decides about it (A1).

use std::{collections::BTreeMap, sync::Arc};

use usher_protocol::{
    ids::Commit,
    names::LicenseId,
    time::{BootMs, DurationMs, Now},
};

use crate::{
    api::{AdminAsk, Answer, Caller, ClientAsk, Input, Life, Output, ReplyTo, Settings},
    cooldown::Cooling,
    denials::Denials,
    ended::EndedNonces,
    enroll::Knocks,
    lapsed::Lapses,
    length,
    license_time::LicenseTime,
    limits::{RECLAIMS_PER_INPUT, RECLAIMS_PER_TICK},
    linger::Lingering,
    policy::Policy,
    queue::Queue,
    record::{Mark, Record, Retirement, What},
    state::State,
    step::{Asked, DAEMON, Step},
};

/// The lease state machine: pure, synchronous, deterministic (A1).
#[derive(Debug)]
pub struct Engine {
    pub(crate) settings: Settings,
    pub(crate) policy: Arc<Policy>,
    pub(crate) life: Life,
    pub(crate) state: State,
    pub(crate) head: Commit,
    pub(crate) time: LicenseTime,
    pub(crate) ended: EndedNonces,
    pub(crate) lingering: Lingering,
    pub(crate) denials: Denials,
    pub(crate) queue: Queue,
    pub(crate) lapses: Lapses,
    pub(crate) cooling: Cooling,
    pub(crate) knocks: Knocks,
    pub(crate) draining: bool,
    /// From when the seats of a hold are counted in this life, and after it how long ago that was (L12).
    pub(crate) hold_from: Option<BootMs>,
    /// Licenses that an administrator added in this life, and since the last loss that it knows of; with the
    /// longest lease that each allows, or that the one it replaced did (L12).
    pub(crate) newest: BTreeMap<LicenseId, DurationMs>,
    /// How far license time was ahead of the boot clock when the borrowed deadlines were counted.
    pub(crate) borrow_ahead_ms: u64,
}

impl Engine {
    /// Begins a life: replays what the store knows, and holds each lease for as long as its holder
    /// may still believe in it (L4). The output is committed like any other before the first answer.
    ///
    /// # Panics
    /// When the records contradict each other: it must not lend on a wrong count.
    pub fn start(
        settings: Settings,
        policy: Arc<Policy>,
        life: Life,
        loaded: impl IntoIterator<Item = Record>,
        now: Now,
    ) -> (Self, Output) {
        let mut state = State::default();
        for record in loaded {
            state.take_in(record);
        }
        state.recount(Arc::clone(&policy));
        let time = LicenseTime::start(state.mark.map(|mark| mark.license_time), now);
        let mut engine = Self {
            settings,
            policy,
            life,
            state,
            head: life.head,
            time,
            ended: EndedNonces::default(),
            lingering: Lingering::default(),
            denials: Denials::default(),
            queue: Queue::default(),
            lapses: Lapses::default(),
            cooling: Cooling::default(),
            knocks: Knocks::default(),
            draining: false,
            hold_from: None,
            newest: BTreeMap::new(),
            borrow_ahead_ms: 0,
        };
        engine.hold_leases(now);
        let mut step = Step::new(now);
        engine.begin_hold(&mut step);
        let version = env!("CARGO_PKG_VERSION").to_owned();
        engine.event(&mut step, DAEMON, What::Started(version));
        if let Some(worry) = engine.time.worry() {
            engine.event(&mut step, DAEMON, What::Clock(worry));
        }
        let output = engine.finish(step, true);
        (engine, output)
    }

    /// One input: what is to be persisted, answered, and when to wake.
    ///
    /// # Panics
    /// When an invariant is broken, which is a defect: it must not lend on a wrong count.
    pub fn handle(&mut self, now: Now, input: Input) -> Output {
        let mut step = Step::new(now);
        if let Some(change) = self.time.observe(now) {
            self.event(&mut step, DAEMON, What::Clock(change));
        }
        self.ended.forget(now.boot);
        self.end_lingering(now.boot);
        self.end_cool_downs(now.boot);
        self.keep_borrow_deadlines(now);
        let tick = matches!(input, Input::Tick);
        let reclaims_max = if tick {
            RECLAIMS_PER_TICK
        } else {
            RECLAIMS_PER_INPUT
        };
        self.reclaim_due(&mut step, reclaims_max);
        self.end_hold(&mut step);
        self.lapses.forget(now.boot);
        self.end_waits(&mut step);
        self.queue.look_at_times(now.boot);
        // What came free by time is offered before anybody new asks for it.
        self.offer_free_seats(&mut step);
        match input {
            Input::Client {
                reply_to,
                caller,
                ask,
            } => {
                let asked = self.client(&mut step, &caller, ask);
                answer(&mut step, reply_to, asked);
            }
            Input::Admin {
                reply_to,
                actor,
                ask,
            } => {
                let asked = self.admin(&mut step, &actor, ask);
                answer(&mut step, reply_to, asked);
            }
            Input::Tick => {}
            Input::CloneFound { life, address } => self.clone_found(&mut step, life, address),
            Input::Disconnected {
                connection,
                orderly,
            } => self.disconnected(&mut step, connection, orderly),
        }
        self.offer_free_seats(&mut step);
        self.tell_places(&mut step);
        self.finish(step, tick)
    }

    /// The store's head after everything handled so far is committed.
    pub fn head(&self) -> Commit {
        self.head
    }

    fn client(&mut self, step: &mut Step, caller: &Caller, ask: ClientAsk) -> Asked {
        match ask {
            ClientAsk::Hello(hello) => self.welcome(&hello),
            ClientAsk::Checkout(checkout) => self.checkout(step, caller, &checkout, None),
            ClientAsk::Renew(renew) => self.renew(step, caller, &renew),
            ClientAsk::Release(release) => self.release(step, caller, &release),
            ClientAsk::Attach {
                lease,
                nonce,
                link,
                length_ms,
            } => self.attach(step, caller, &lease, nonce, link, length_ms),
            ClientAsk::Features => Ok(self.features(step, caller)),
            ClientAsk::Holders(feature) => Ok(self.holders(step, caller, &feature)),
            ClientAsk::Endorsement(license) => self.endorsement(caller, &license),
            ClientAsk::Borrow(it) => self.checkout(step, caller, &it.checkout, Some(it.wall)),
            ClientAsk::CheckoutAll(all) => self.checkout_all(step, caller, &all),
            ClientAsk::Leave(nonce) => Ok(self.leave(step, caller, nonce)),
        }
    }

    fn admin(&mut self, step: &mut Step, actor: &str, ask: AdminAsk) -> Asked {
        match ask {
            AdminAsk::InstallLicense {
                license,
                root_confirmed,
            } => self.install(step, actor, &license, root_confirmed),
            AdminAsk::RemoveLicense(license) => self.remove(step, actor, &license),
            AdminAsk::Licenses => Ok(Answer::Licenses(self.licenses())),
            AdminAsk::Status => Ok(Answer::Status(Box::new(self.status(step)))),
            AdminAsk::Leases { after, count_max } => {
                Ok(Answer::Leases(self.leases(step, after, count_max)))
            }
            AdminAsk::Evict {
                lease,
                reason,
                cool_down_ms,
            } => self.evict(step, actor, lease, &reason, cool_down_ms),
            AdminAsk::ConfirmClock => Ok(self.confirm_clock(step, actor)),
            AdminAsk::KeepThisClone => Ok(self.keep_this_clone(step, actor)),
            AdminAsk::AcceptRollback => Ok(self.accept_rollback(step, actor)),
            AdminAsk::Configure(settings) => {
                self.settings = settings;
                Ok(Answer::Done)
            }
            AdminAsk::Drain => {
                self.draining = true;
                Ok(Answer::Done)
            }
            AdminAsk::WriteOff { lease, reason } => self.write_off(step, actor, lease, &reason),
            AdminAsk::RetireLog(retirement) => Ok(self.retire_log(step, actor, retirement)),
            AdminAsk::SetPolicy(policy) => self.set_policy(step, actor, policy),
            AdminAsk::Queue => Ok(Answer::Queue(self.waiters(step))),
            AdminAsk::Suspend(key, reason) => self.suspend(step, actor, key, reason),
            AdminAsk::Resume(key) => self.resume(step, actor, key),
            AdminAsk::Clients => Ok(self.clients(step)),
            AdminAsk::AcceptClient(client, name) => self.accept_client(step, actor, client, name),
            AdminAsk::RemoveClient(key) => self.remove_client(step, actor, key),
            AdminAsk::Explain(question) => self.explain_to_admin(step, &question),
        }
    }

    fn confirm_clock(&mut self, step: &mut Step, actor: &str) -> Answer {
        self.time.confirm(step.now);
        self.put_mark(step);
        let word = "the wall clock was confirmed".to_owned();
        self.event(step, actor, What::Clock(word));
        Answer::Done
    }

    /// S2: whoever asked moves that part away once this is in the log, and not before.
    fn retire_log(&mut self, step: &mut Step, actor: &str, retirement: Retirement) -> Answer {
        self.event(step, actor, What::LogRetired(retirement));
        step.output.wait_for_log = true;
        Answer::Done
    }

    /// L4: until `restart + longest R + G`, unless its holder is heard of sooner.
    fn hold_leases(&mut self, now: Now) {
        self.state.set_deadlines(|entry, pool| {
            length::deadline(now, entry.length_ms_longest, pool.key.environment)
        });
        self.place_all_borrowed(now);
    }

    fn finish(&mut self, mut step: Step, alone: bool) -> Output {
        self.keep_mark(&mut step, alone);
        let recorded = !step.output.records.is_empty();
        for denied in self.denials.take_due(step.now.boot, self.draining) {
            self.event(&mut step, DAEMON, denied);
        }
        if recorded {
            self.head = step.head_after(self.head);
        }
        self.check_lingering();
        step.output.wake = self.wake(step.now);
        step.output
    }

    /// L11: with other records when it is older than ten minutes, by itself once an hour.
    fn keep_mark(&mut self, step: &mut Step, alone: bool) {
        let age = self.mark_age(step.now);
        let beside_others = !step.output.records.is_empty() && age >= MARK_AGE_MS_BESIDE;
        if beside_others || (alone && age >= MARK_AGE_MS_ALONE) {
            self.put_mark(step);
        }
    }

    pub(crate) fn put_mark(&mut self, step: &mut Step) {
        let issued_newest = self.state.mark.unwrap_or_default().issued_newest;
        let license_time = self.time.at(step.now.boot);
        let mark = Mark {
            license_time,
            issued_newest,
        };
        self.record(step, Record::PutMark(mark));
    }

    fn mark_age(&self, now: Now) -> DurationMs {
        let license_time = self.time.at(now.boot);
        match self.state.mark {
            Some(mark) => license_time.since(mark.license_time),
            None => DurationMs(u64::MAX),
        }
    }

    fn wake(&self, now: Now) -> Option<BootMs> {
        let mark_due = MARK_AGE_MS_ALONE.minus(self.mark_age(now));
        [
            self.state.deadlines.first().map(|(deadline, _)| deadline),
            self.hold_until(),
            self.borrows_held_until(now.boot),
            self.denials.due(),
            self.cooling.next_end(),
            self.lingering.next_end(),
            self.queue.wake(),
            self.look_due(now),
            Some(now.boot.plus(mark_due)),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

fn answer(step: &mut Step, reply_to: ReplyTo, asked: Asked) {
    let answer = asked.unwrap_or_else(Answer::Refused);
    step.output.answers.push((reply_to, answer));
}

const MARK_AGE_MS_BESIDE: DurationMs = DurationMs::minutes(10);
const MARK_AGE_MS_ALONE: DurationMs = DurationMs::hours(1);
