//! Decides nothing about leases: it carries a client's sessions, on one thread of its own, between
//! their callers, the clock and the connection. The thread makes the library independent of the
//! caller's runtime, and lets a dropped seat be given back when the caller's runtime has ended.

mod command;
mod link;
mod slot;

pub(crate) use command::{Checkout, Handle, Order, Patience, Released, ended};
pub(crate) use link::Setup;
pub(crate) use slot::{PlaceListener, Shared};

use crate::{
    clock::{Alarm, BootMs, Clock},
    connection::{CALL_MS_MAX, Connection},
    error::Error,
    session::{Answer, Fresh, Input, Outcome, Output, Send, Session},
};
use link::{Link, Up};
use slot::Slot;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{mpsc, oneshot};
use usher_protocol::{
    ids::{Nonce, Token},
    time::DurationMs,
    wire::{Push, Reply, Request},
};

/// Starts a driver; the receiver tells how the first connection went.
pub(crate) fn start(setup: Setup) -> Result<(Handle, oneshot::Receiver<Result<(), Error>>), Error> {
    let (orders, received) = mpsc::unbounded_channel();
    let (connected, first) = oneshot::channel();
    let server = Arc::new(Mutex::new(None));
    let handle_server = Arc::clone(&server);
    let thread = std::thread::Builder::new().name("usher-client".to_owned());
    let spawned = thread.spawn(move || run(setup, received, server, connected));
    let thread =
        spawned.map_err(|error| Error::Local(format!("cannot start a thread: {error}")))?;
    Ok((
        Handle::new(orders, handle_server, thread.thread().id()),
        first,
    ))
}

fn run(
    setup: Setup,
    orders: mpsc::UnboundedReceiver<Order>,
    server: command::ServerCell,
    connected: oneshot::Sender<Result<(), Error>>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = connected.send(Err(Error::Local(format!(
                "cannot start a runtime: {error}"
            ))));
            return;
        }
    };
    runtime.block_on(async move {
        match Driver::open(setup, orders, server).await {
            Ok(driver) => {
                let _ = connected.send(Ok(()));
                driver.drive().await;
            }
            Err(error) => drop(connected.send(Err(error))),
        }
    });
}

/// What tasks report to the driver.
pub(crate) enum Event {
    /// A session's send was answered, over the connection of that number.
    Answered {
        slot: u64,
        attempt: u64,
        answer: Answer,
    },
    /// A dial came to its end.
    Dialed(Result<Up, Error>),
    /// The connection of that number is gone.
    Down(u64),
    /// News over the connection of that number.
    Pushed(u64, Push),
}

struct Driver {
    clock: Clock,
    alarm: Alarm,
    orders: mpsc::UnboundedReceiver<Order>,
    /// Whether nobody is left who could order anything.
    deserted: Option<BootMs>,
    events: mpsc::UnboundedReceiver<Event>,
    report: mpsc::UnboundedSender<Event>,
    link: Link,
    server: command::ServerCell,
    slots: BTreeMap<u64, Slot>,
    /// Questions that wait for a connection.
    questions: Vec<Question>,
    /// Who wants to know when nothing is on its way back any more.
    unsettled: Vec<oneshot::Sender<()>>,
}

struct Question {
    request: Request,
    reply: oneshot::Sender<Result<Reply, Error>>,
}

impl Driver {
    async fn open(
        setup: Setup,
        orders: mpsc::UnboundedReceiver<Order>,
        server: command::ServerCell,
    ) -> Result<Self, Error> {
        let clock = Clock::new();
        let alarm = Alarm::new()?;
        let (report, events) = mpsc::unbounded_channel();
        let link = Link::open(setup, report.clone()).await?;
        let driver = Self {
            clock,
            alarm,
            orders,
            deserted: None,
            events,
            report,
            link,
            server,
            slots: BTreeMap::new(),
            questions: Vec::new(),
            unsettled: Vec::new(),
        };
        driver.publish_server();
        Ok(driver)
    }

    async fn drive(mut self) {
        while !self.is_done() {
            self.arm();
            tokio::select! {
                order = self.orders.recv(), if self.deserted.is_none() => match order {
                    Some(order) => self.obey(order),
                    None => self.desert(),
                },
                Some(event) = self.events.recv() => self.take(event),
                () = self.alarm.rung() => {}
            }
            self.pass_time();
            self.tell_settled();
        }
        self.link.close().await;
    }

    /// Nobody holds the client or a seat any more: what is being given back may still go.
    fn is_done(&self) -> bool {
        let late = |since: BootMs| self.clock.boot() >= since.plus(LINGER_MS_MAX);
        self.deserted
            .is_some_and(|since| self.slots.is_empty() || late(since))
    }

    fn desert(&mut self) {
        self.deserted = Some(self.clock.boot());
        let slots: Vec<u64> = self.slots.keys().copied().collect();
        for slot in slots {
            self.give_up(slot);
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Checkout(checkout) => self.check_out(checkout),
            Order::Release { slot, released } => {
                match (self.slots.get_mut(&slot), released) {
                    (Some(slot), Some(released)) => slot.released.push(released),
                    // Its session is over: nothing of it is left to give back.
                    (None, Some(released)) => released.tell(true),
                    (_, None) => {}
                }
                self.give_up(slot);
            }
            Order::Forget { slot } => drop(self.slots.remove(&slot)),
            Order::Look { slot } => self.feed(slot, Input::Tick),
            Order::Ask { request, reply } => self.question(Question { request, reply }),
            Order::Connection { reply } => drop(reply.send(self.link.connection().cloned())),
            Order::Settled { tell } => self.unsettled.push(tell),
        }
    }

    fn check_out(&mut self, mut checkout: Checkout) {
        let mut slots = std::mem::take(&mut checkout.slots).into_iter();
        let Some(slot) = slots.next() else {
            return;
        };
        let now = self.clock.boot();
        (self.slots).insert(slot, Slot::new(checkout, slots.collect(), now));
        match self.link.connection() {
            Some(connection) => {
                let site = connection.server().site;
                self.feed(slot, Input::Connected(site));
            }
            None => self.link.hurry(now),
        }
    }

    fn give_up(&mut self, slot: u64) {
        if let Some(slot) = self.slots.get_mut(&slot) {
            slot.is_given_up = true;
        }
        self.feed(slot, Input::Release);
    }

    fn question(&mut self, question: Question) {
        let Some(connection) = self.link.connection().cloned() else {
            self.link.hurry(self.clock.boot());
            return self.questions.push(question);
        };
        tokio::spawn(async move {
            let answer = connection.call_within(question.request, CALL_MS_MAX).await;
            let _ = question.reply.send(answer.map_err(Error::from));
        });
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Answered {
                slot,
                attempt,
                answer,
            } => {
                self.feed(slot, Input::Answered(attempt, answer));
            }
            Event::Dialed(Ok(up)) => {
                let site = up.site();
                self.link.up(up, self.clock.boot());
                self.publish_server();
                for slot in self.slots.values_mut() {
                    slot.unreachable = None;
                }
                self.feed_all(&Input::Connected(site));
                for question in std::mem::take(&mut self.questions) {
                    self.question(question);
                }
            }
            Event::Dialed(Err(error)) => self.dial_failed(&error),
            Event::Down(number) if self.link.is(number) => self.lose_connection(),
            Event::Pushed(number, push) if self.link.is(number) => self.pushed(push),
            Event::Down(_) | Event::Pushed(..) => {}
        }
    }

    fn dial_failed(&mut self, error: &Error) {
        self.link.failed(self.clock.boot(), draw_jitter());
        for question in std::mem::take(&mut self.questions) {
            let _ = question.reply.send(Err(error.clone()));
        }
        for slot in self.slots.values_mut() {
            slot.unreachable = Some(error.clone());
        }
    }

    fn lose_connection(&mut self) {
        self.link.lost(self.clock.boot(), draw_jitter());
        self.feed_all(&Input::Disconnected);
    }

    fn pushed(&mut self, push: Push) {
        match push {
            Push::Evicted(lease, reason) => self.feed_all(&Input::Evicted(lease, reason)),
            Push::Draining(pause) => self.link.wait_before_dialing(pause, draw_jitter()),
            Push::FeaturesChanged => self.feed_all(&Input::FeaturesChanged),
            Push::Queued(nonce, place) => self.feed_waiter(nonce, Input::Queued(nonce, place)),
            Push::Offered(nonce, _) => self.feed_waiter(nonce, Input::Offered(nonce)),
            Push::Dismissed(nonce, refusal) => {
                self.feed_waiter(nonce, Input::Dismissed(nonce, Box::new(refusal)));
            }
        }
    }

    fn feed_waiter(&mut self, nonce: Nonce, input: Input) {
        let mut slots = self.slots.iter();
        let waiter = slots.find(|(_, slot)| slot.shared.is_waiter(nonce));
        if let Some(slot) = waiter.map(|(slot, _)| *slot) {
            self.feed(slot, input);
        }
    }

    fn feed_all(&mut self, input: &Input) {
        let slots: Vec<u64> = self.slots.keys().copied().collect();
        for slot in slots {
            self.feed(slot, input.clone());
        }
    }

    fn feed(&mut self, number: u64, input: Input) {
        let Some(slot) = self.slots.get_mut(&number) else {
            return;
        };
        let Ok(fresh) = draw() else {
            // Without randomness nothing may be sent; the clocks still end the right.
            slot.wake = Some(self.clock.boot().plus(DurationMs::seconds(1)));
            return;
        };
        // L1: the clocks are read before the session decides to send, so before the send.
        let output = slot.shared.handle(self.clock.now(), fresh, input);
        self.carry_out(number, output);
    }

    fn carry_out(&mut self, number: u64, output: Output) {
        if let Some(send) = output.send {
            self.send(number, send);
        }
        let Some(slot) = self.slots.get_mut(&number) else {
            return;
        };
        slot.wake = output.wake;
        let is_granted = output.outcome == Some(Outcome::Granted);
        if let Some(outcome) = output.outcome {
            slot.settle(outcome);
        }
        if is_granted || !output.companions.is_empty() {
            self.adopt(number, output.companions, is_granted);
        }
        if output.over {
            self.slots.remove(&number);
        }
        if output.reconnect {
            self.lose_connection();
        }
    }

    /// Hands the seats of a checkout to its caller. What came without being granted goes back (L5).
    fn adopt(&mut self, number: u64, sessions: Vec<Session>, is_granted: bool) {
        let Some(first) = self.slots.get_mut(&number) else {
            return;
        };
        let slots = std::mem::take(&mut first.companions);
        let mut all = vec![Arc::clone(&first.shared)];
        for (slot, session) in slots.into_iter().zip(sessions) {
            let shared = Arc::new(Shared::new(session));
            (self.slots).insert(slot, Slot::of_companion(Arc::clone(&shared)));
            if is_granted {
                self.feed(slot, Input::Tick);
            } else {
                self.give_up(slot);
            }
            all.push(shared);
        }
        if let Some(first) = self.slots.get_mut(&number).filter(|_| is_granted) {
            first.answer(Ok(all));
        }
    }

    fn send(&self, number: u64, send: Send) {
        let (Some(connection), Some(slot)) = (self.link.connection(), self.slots.get(&number))
        else {
            return;
        };
        let connection: Connection = connection.clone();
        let (ask, report) = (slot.shared.ask(), self.report.clone());
        tokio::spawn(async move {
            // Without an answer the connection is ending, which is reported for all.
            if let Ok(answer) = connection.ask(&ask, send.request).await {
                let _ = report.send(Event::Answered {
                    slot: number,
                    attempt: send.attempt,
                    answer,
                });
            }
        });
    }

    fn pass_time(&mut self) {
        let now = self.clock.boot();
        let due = |slot: &Slot| slot.wake.is_some_and(|wake| wake <= now);
        let due: Vec<u64> = self
            .slots
            .iter()
            .filter(|(_, it)| due(it))
            .map(|(at, _)| *at)
            .collect();
        for slot in due {
            self.feed(slot, Input::Tick);
        }
        let impatient: Vec<u64> = self
            .slots
            .iter()
            .filter(|(_, it)| it.is_impatient(now))
            .map(|(at, _)| *at)
            .collect();
        for number in impatient {
            if let Some(slot) = self.slots.get_mut(&number) {
                slot.disappoint(now);
            }
            self.give_up(number);
        }
        if self.is_link_needed() {
            let site = self
                .slots
                .values()
                .find_map(|slot| slot.shared.site_needed());
            self.link.dial_if_due(now, site);
        }
    }

    fn tell_settled(&mut self) {
        let under_way = self.slots.values().any(|slot| slot.is_given_up);
        if !under_way {
            for waiter in self.unsettled.drain(..) {
                let _ = waiter.send(());
            }
        }
    }

    fn is_link_needed(&self) -> bool {
        !(self.slots.is_empty() && self.questions.is_empty())
    }

    fn arm(&self) {
        let slots = self.slots.values().filter_map(Slot::next);
        let dial = self.link.due().filter(|_| self.is_link_needed());
        let end = self.deserted.map(|since| since.plus(LINGER_MS_MAX));
        match slots.chain(dial).chain(end).min() {
            Some(at) => self.alarm.wake_at(at),
            None => self.alarm.cancel(),
        }
    }

    fn publish_server(&self) {
        let server = self
            .link
            .connection()
            .map(|connection| connection.server().clone());
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = server;
    }
}

fn draw() -> Result<Fresh, getrandom::Error> {
    let mut nonce = [0; 16];
    let mut token = [0; 16];
    getrandom::fill(&mut nonce)?;
    getrandom::fill(&mut token)?;
    Ok(Fresh {
        nonce: Nonce(nonce),
        token: Token(token),
        jitter: draw_jitter(),
    })
}

/// Only spreads load, so that a constant is no danger where randomness fails.
fn draw_jitter() -> u16 {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes).map_or(u16::MAX / 2, |()| u16::from_le_bytes(bytes))
}

pub(crate) fn fresh() -> Result<Fresh, Error> {
    draw()
        .map_err(|error| Error::Local(format!("no randomness from the operating system: {error}")))
}

/// How long seats are still given back after the last handle is gone.
const LINGER_MS_MAX: DurationMs = DurationMs::seconds(10);
