//! Against a server that keeps its word and a network that keeps nothing: whatever is lost, whoever
//! gave up leaves neither a seat nor a place behind (L5, L9).

use super::tests::{LENGTH, ask, granted, place, refused, site};
use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use usher_protocol::{ids::Token, refusal::RefusalCode, time::WallMs};

/// One step of the world around a waiter.
#[derive(Debug, Clone, Copy)]
enum Step {
    Pass(u64),
    Connect,
    /// What is under way is lost with the connection; requests may have arrived before.
    Cut,
    /// The server reads the next request.
    Serve,
    /// The client reads the next answer or push.
    Deliver,
    /// The client never sees the next answer or push.
    Lose,
    SeatFreed,
    SeatTaken,
    /// The daemon forgets its queue.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..40_000_u64).prop_map(Step::Pass),
        2 => Just(Step::Connect),
        1 => Just(Step::Cut),
        5 => Just(Step::Serve),
        5 => Just(Step::Deliver),
        1 => Just(Step::Lose),
        2 => Just(Step::SeatFreed),
        1 => Just(Step::SeatTaken),
        1 => Just(Step::Restart),
    ]
}

/// One seat, a queue, and leases that run out.
#[derive(Default)]
struct Server {
    seat_free: bool,
    queue: Vec<Nonce>,
    /// Leases by nonce, and whether each still stands.
    leases: BTreeMap<Nonce, bool>,
}

impl Server {
    fn obey(&mut self, request: &Request) -> Answer {
        match request {
            Request::Checkout(checkout) => self.checkout(checkout),
            Request::Leave(nonce) => {
                self.queue.retain(|it| it != nonce);
                Answer::Left
            }
            Request::Release(release) => match self.leases.insert(release.nonce, false) {
                Some(true) => Answer::Released,
                _ => refused(RefusalCode::LeaseUnknown),
            },
            Request::Renew(Renew { nonce, .. }) | Request::Attach(Attach { nonce, .. }) => {
                match self.leases.get(nonce) {
                    Some(true) => granted(1, LENGTH),
                    _ => refused(RefusalCode::LeaseEnded),
                }
            }
            other => panic!("{other:?}"),
        }
    }

    fn checkout(&mut self, checkout: &Checkout) -> Answer {
        match self.leases.get(&checkout.nonce) {
            Some(true) => return granted(1, LENGTH),
            Some(false) => return refused(RefusalCode::LeaseEnded),
            None => {}
        }
        if std::mem::take(&mut self.seat_free) {
            self.queue.retain(|it| *it != checkout.nonce);
            self.leases.insert(checkout.nonce, true);
            return granted(1, LENGTH);
        }
        if !checkout.wait {
            return refused(RefusalCode::NoSeat);
        }
        if !self.queue.contains(&checkout.nonce) {
            self.queue.push(checkout.nonce);
        }
        Answer::Queued(place(1))
    }
}

/// The client, the server, and what is on its way between them.
struct Between {
    now: Now,
    drawn: u8,
    session: Session,
    server: Server,
    connected: bool,
    requests: VecDeque<Send>,
    news: VecDeque<Input>,
    over: bool,
}

impl Between {
    fn new() -> Self {
        let now = Now {
            boot: BootMs(5_000_000),
            wall: WallMs(1_795_000_000_000),
        };
        Self {
            now,
            drawn: 0,
            session: Session::new(ask(), now, fresh(0)).waiting(),
            server: Server::default(),
            connected: false,
            requests: VecDeque::new(),
            news: VecDeque::new(),
            over: false,
        }
    }

    fn play(&mut self, step: Step) {
        match step {
            Step::Pass(ms) => {
                self.now.boot = self.now.boot.plus(DurationMs(ms));
                self.now.wall = self.now.wall.plus(DurationMs(ms));
                self.feed(Input::Tick);
            }
            Step::Connect => self.connect(),
            Step::Cut => self.cut(),
            Step::Serve => self.serve(),
            Step::Deliver => {
                if let Some(news) = self.news.pop_front() {
                    self.feed(news);
                }
            }
            Step::Lose => drop(self.news.pop_front()),
            Step::SeatFreed => {
                self.server.seat_free = true;
                if let Some(first) = self.server.queue.first() {
                    self.news.push_back(Input::Offered(*first));
                }
            }
            Step::SeatTaken => self.server.seat_free = false,
            Step::Restart => {
                self.server.queue.clear();
                self.cut();
            }
        }
    }

    fn connect(&mut self) {
        if !self.connected {
            self.connected = true;
            self.feed(Input::Connected(site(1)));
        }
    }

    fn cut(&mut self) {
        self.connected = false;
        self.requests.clear();
        self.news.clear();
        self.feed(Input::Disconnected);
    }

    fn serve(&mut self) {
        if let Some(send) = self.requests.pop_front() {
            let answer = self.server.obey(&send.request);
            self.news.push_back(Input::Answered(send.attempt, answer));
        }
    }

    fn feed(&mut self, input: Input) {
        self.drawn = self.drawn.wrapping_add(1);
        let output = self.session.handle(self.now, fresh(self.drawn), input);
        self.over |= output.over;
        if let Some(send) = output.send {
            assert!(self.connected);
            self.requests.push_back(send);
        }
        if output.reconnect {
            self.cut();
        }
    }

    /// From now on nothing is lost any more.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            if self.over {
                return;
            }
            self.connect();
            while !self.requests.is_empty() || !self.news.is_empty() {
                self.serve();
                self.play(Step::Deliver);
            }
            self.play(Step::Pass(500));
        }
        panic!("it does not end: {:?}", self.session);
    }
}

fn fresh(drawn: u8) -> Fresh {
    Fresh {
        nonce: Nonce([drawn; 16]),
        token: Token([drawn; 16]),
        jitter: u16::from(drawn) * 257,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// L5, L9: once it gave up and can be heard, neither a lease nor a place is left of it, but of
    /// leases that are over for the client and not for the server (those end by time).
    #[test]
    fn l9_who_gives_up_leaves_neither_seat_nor_place_behind(
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut world = Between::new();
        for step in steps {
            world.play(step);
        }
        world.feed(Input::Release);
        world.settle();
        prop_assert!(world.server.queue.is_empty(), "a place is left: {:?}", world.server.queue);
        let left = world.server.leases.values().filter(|stands| **stands).count();
        prop_assert_eq!(left, 0, "a seat is left");
    }

    /// L9: whoever waits and can be heard has the seat once it is free, whatever was lost before.
    #[test]
    fn l9_who_waits_gets_the_free_seat_whatever_was_lost(
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut world = Between::new();
        for step in steps {
            world.play(step);
        }
        let holds = |world: &Between| {
            world.session.state(world.now).is_some_and(|state| state.holds())
        };
        for _ in 0..500 {
            if holds(&world) {
                break;
            }
            world.server.seat_free = true;
            world.connect();
            while !world.requests.is_empty() || !world.news.is_empty() {
                world.serve();
                world.play(Step::Deliver);
            }
            world.play(Step::Pass(500));
        }
        prop_assert!(holds(&world), "it waits for ever: {:?}", world.session);
    }
}
