//! The queue under load (L9): nobody starves, no seat is both offered and lent, and the work grows with
//! what happens, not with who waits.

use proptest::prelude::*;

use super::*;
use crate::policy::PriorityRule;

fn checkout(number: u32, user: &str, seats: u32) -> Checkout {
    let mut checkout = wants_as(user, "ws1", 0);
    checkout.nonce.0[..4].copy_from_slice(&number.to_le_bytes());
    Checkout { seats, ..checkout }
}

fn number_of(nonce: Nonce) -> u32 {
    u32::from_le_bytes(nonce.0[..4].try_into().unwrap())
}

/// Clients in turn, so that none has more waiters than one may.
fn client_of(number: u32) -> u8 {
    10 + u8::try_from(number % 60).unwrap()
}

#[derive(Debug, Clone)]
struct Held {
    number: u32,
    lease: Lease,
    token: u8,
}

/// One that waits, as it and the rules see it.
#[derive(Debug, Clone)]
struct Waiting {
    number: u32,
    seats: u32,
    level: i32,
    is_offered: bool,
}

#[derive(Debug, Clone)]
enum Move {
    Wait { seats: u32, vip: bool },
    Come { seats: u32, vip: bool },
    Claim(usize),
    Release(usize),
    Leave(usize),
    Cut(usize),
    Close(usize),
    Again(usize),
    Pass(u64),
}

struct Model {
    world: World,
    seats: u32,
    numbers: u32,
    held: Vec<Held>,
    waiting: Vec<Waiting>,
}

impl Model {
    fn new(seats: u32) -> Self {
        let mut world = World::with_seats(seats);
        let priority = vec![rule(1, &["user:vip"], PriorityRule { level: 5 })];
        let with = Policy {
            priority,
            ..policy()
        };
        world.set_policy(with).unwrap();
        Self {
            world,
            seats,
            numbers: 0,
            held: Vec::new(),
            waiting: Vec::new(),
        }
    }

    fn ask(&mut self, number: u32, seats: u32, level: i32, wait: bool) -> Answer {
        let user = if level > 0 { "vip" } else { "ada" };
        let it = Checkout {
            wait,
            ..checkout(number, user, seats)
        };
        let answer = self
            .world
            .client(client_of(number), ClientAsk::Checkout(it));
        if let Answer::Promised(promise) = &answer {
            self.held.push(Held {
                number,
                lease: promise.lease.clone(),
                token: 0,
            });
        }
        answer
    }

    fn step(&mut self, it: &Move) {
        match *it {
            Move::Wait { seats, vip } => self.wait(seats, vip),
            Move::Come { seats, vip } => {
                self.numbers += 1;
                let level = if vip { 5 } else { 0 };
                let before = self.is_before_all(level);
                let answer = self.ask(self.numbers, seats, level, false);
                let got = matches!(answer, Answer::Promised(_));
                assert!(before || !got, "a newcomer passed those who wait");
            }
            Move::Claim(at) => self.claim(at),
            Move::Release(at) => self.release(at),
            Move::Leave(at) => {
                if let Some(gone) = self.take(at) {
                    let mut nonce = Nonce([0; 16]);
                    nonce.0[..4].copy_from_slice(&gone.number.to_le_bytes());
                    self.world
                        .client(client_of(gone.number), ClientAsk::Leave(nonce));
                }
            }
            Move::Cut(at) => self.disconnect(at, false),
            Move::Close(at) => self.disconnect(at, true),
            Move::Again(at) => {
                let picked = self.pick(at, false);
                if let Some(it) = picked {
                    let answer = self.ask(it.number, it.seats, it.level, true);
                    let position = match answer {
                        Answer::Queued(place) => place.position,
                        other => panic!("{other:?}"),
                    };
                    assert_eq!(position, self.position(&it));
                }
            }
            Move::Pass(ms) => {
                self.renew_all();
                self.world.run(ms);
            }
        }
        self.hear();
        self.judge();
    }

    fn wait(&mut self, seats: u32, vip: bool) {
        self.numbers += 1;
        let (number, level) = (self.numbers, if vip { 5 } else { 0 });
        let before = self.is_before_all(level);
        match self.ask(number, seats, level, true) {
            Answer::Promised(_) => assert!(before, "passed those who wait"),
            Answer::Queued(place) => {
                let it = Waiting {
                    number,
                    seats,
                    level,
                    is_offered: false,
                };
                assert_eq!(place.position, self.position(&it));
                self.waiting.push(it);
            }
            Answer::Refused(refusal) => assert_eq!(refusal.code, RefusalCode::TooManySeats),
            other => panic!("{other:?}"),
        }
    }

    fn claim(&mut self, at: usize) {
        if let Some(it) = self.pick(at, true) {
            self.waiting.retain(|other| other.number != it.number);
            let answer = self.ask(it.number, it.seats, it.level, true);
            assert!(matches!(answer, Answer::Promised(_)), "{answer:?}");
        }
    }

    fn release(&mut self, at: usize) {
        if self.held.is_empty() {
            return;
        }
        let held = self.held.remove(at % self.held.len());
        let client = client_of(held.number);
        let nonce = checkout(held.number, "", 1).nonce;
        let release = Release {
            lease: held.lease.id,
            nonce,
            link: link(held.token, held.token.wrapping_add(1)),
        };
        let answer = self.world.client(client, ClientAsk::Release(release));
        assert!(matches!(answer, Answer::Released), "{answer:?}");
    }

    /// All waiters of a client have its connection.
    fn disconnect(&mut self, at: usize, orderly: bool) {
        if let Some(it) = self.waiting.get(at % self.waiting.len().max(1)).cloned() {
            let client = client_of(it.number);
            if orderly {
                self.waiting
                    .retain(|other| client_of(other.number) != client);
            }
            self.world.input(Input::Disconnected {
                connection: ConnectionId(u64::from(client)),
                orderly,
            });
            if !orderly {
                // It is back before its place is lost.
                let same = |other: &&Waiting| client_of(other.number) == client;
                let back: Vec<_> = self.waiting.iter().filter(same).cloned().collect();
                for it in back {
                    self.hear();
                    // Some are offered seats meanwhile: then this is the claim.
                    let answer = self.ask(it.number, it.seats, it.level, true);
                    if matches!(answer, Answer::Promised(_)) {
                        self.waiting.retain(|other| other.number != it.number);
                    }
                }
            }
        }
    }

    fn renew_all(&mut self) {
        for held in &mut self.held {
            let renew = Renew {
                idle_ms: None,
                lease: held.lease.id,
                nonce: checkout(held.number, "", 1).nonce,
                link: link(held.token, held.token.wrapping_add(1)),
                length_ms: None,
            };
            held.token = held.token.wrapping_add(1);
            let answer = self
                .world
                .client(client_of(held.number), ClientAsk::Renew(renew));
            assert!(matches!(answer, Answer::Promised(_)), "{answer:?}");
        }
    }

    fn take(&mut self, at: usize) -> Option<Waiting> {
        let len = self.waiting.len();
        (len > 0).then(|| self.waiting.remove(at % len))
    }

    fn pick(&self, at: usize, is_offered: bool) -> Option<Waiting> {
        let picked = self.waiting.iter().filter(|it| it.is_offered == is_offered);
        let picked: Vec<_> = picked.collect();
        (!picked.is_empty()).then(|| picked[at % picked.len()].clone())
    }

    /// Whether nobody waits whom a newcomer of this level would pass.
    fn is_before_all(&self, level: i32) -> bool {
        let mut waiting = self.waiting.iter().filter(|it| !it.is_offered);
        waiting.all(|it| it.level < level)
    }

    fn position(&self, it: &Waiting) -> u32 {
        let waiting = self.waiting.iter().filter(|other| !other.is_offered);
        let before = waiting.filter(|other| is_before(other, it)).count();
        u32::try_from(before + 1).unwrap()
    }

    /// What was pushed: an offer is for whoever is first, and nobody else.
    fn hear(&mut self) {
        for (connection, push) in std::mem::take(&mut self.world.pushes) {
            match push {
                Push::Offered(nonce, _) => {
                    let number = number_of(nonce);
                    assert_eq!(connection.0, u64::from(client_of(number)));
                    let at = self.waiting.iter().position(|it| it.number == number);
                    let at = at.expect("an offer to one that waits");
                    let it = self.waiting[at].clone();
                    assert_eq!(self.position(&it), 1, "offered before its turn");
                    self.waiting[at].is_offered = true;
                }
                Push::Dismissed(nonce, _) => {
                    let number = number_of(nonce);
                    self.waiting.retain(|it| it.number != number);
                }
                _ => {}
            }
        }
    }

    fn judge(&self) {
        let (_, pool) = self.world.engine.state.pools().next().unwrap();
        let waiters = self.world.engine.queue.waiters();
        let kept = waiters.filter_map(|(_, waiter)| waiter.offer.as_ref());
        let kept: u64 = kept
            .flat_map(|offer| &offer.kept)
            .map(|kept| u64::from(kept.seats))
            .sum();
        assert_eq!(pool.offered, kept, "offered seats are those of offers");
        assert!(pool.out + pool.offered <= u64::from(self.seats));
        assert_eq!(self.world.engine.queue.len(), self.waiting.len());
        // Seats lie idle only for the one at the head.
        let waiting = self.waiting.iter().filter(|it| !it.is_offered);
        let head = waiting.min_by(|a, b| is_before(b, a).cmp(&is_before(a, b)));
        if let Some(head) = head {
            assert!(
                pool.free() < u64::from(head.seats),
                "the head could be served"
            );
        }
    }

    /// Everybody who stays is served.
    fn drain(&mut self) {
        let all = self.waiting.len();
        for _ in 0..=2 * all {
            while self.pick(0, true).is_some() {
                self.step(&Move::Claim(0));
            }
            while !self.held.is_empty() {
                self.step(&Move::Release(0));
            }
        }
        assert!(self.waiting.is_empty(), "{:?}", self.waiting);
        assert!(self.world.engine.queue.is_empty());
        let (_, pool) = self.world.engine.state.pools().next().unwrap();
        assert_eq!((pool.out, pool.offered), (0, 0));
    }
}

fn is_before(one: &Waiting, other: &Waiting) -> bool {
    (-one.level, one.number) < (-other.level, other.number)
}

fn any_move() -> impl Strategy<Value = Move> {
    let at = 0..1000_usize;
    let seats = prop_oneof![4 => Just(1_u32), 2 => 2..4_u32];
    prop_oneof![
        12 => (seats.clone(), prop::bool::weighted(0.2))
            .prop_map(|(seats, vip)| Move::Wait { seats, vip }),
        3 => (seats, prop::bool::weighted(0.2))
            .prop_map(|(seats, vip)| Move::Come { seats, vip }),
        6 => at.clone().prop_map(Move::Claim),
        6 => at.clone().prop_map(Move::Release),
        1 => at.clone().prop_map(Move::Leave),
        1 => at.clone().prop_map(Move::Cut),
        1 => at.clone().prop_map(Move::Close),
        1 => at.prop_map(Move::Again),
        3 => prop_oneof![1..2000_u64, 20_000..40_000_u64].prop_map(Move::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn l9_nobody_starves_and_no_seat_is_offered_twice(
        seats in 1..6_u32,
        moves in prop::collection::vec(any_move(), 1..200),
    ) {
        let mut model = Model::new(seats);
        for it in &moves {
            model.step(it);
        }
        model.drain();
    }
}

#[test]
fn l9_thousands_wait_and_all_are_served_in_order() {
    let mut model = Model::new(7);
    let mut seed = 1_u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(seed >> 33).unwrap()
    };
    for _ in 0..3000 {
        let seats = u32::try_from(1 + random() % 3).unwrap();
        let vip = random() % 8 == 0;
        model.wait(seats, vip);
    }
    for _ in 0..500 {
        let at = random();
        let it = match random() % 12 {
            0 => Move::Leave(at),
            1 => Move::Close(at),
            2 => Move::Wait {
                seats: 1,
                vip: true,
            },
            3 => Move::Pass(1000),
            4..=7 => Move::Claim(at),
            _ => Move::Release(at),
        };
        model.step(&it);
    }
    model.drain();
}

#[test]
fn l9_ten_thousand_waiters_and_releases_are_linear_work() {
    const COUNT: u32 = 10_000;
    let mut model = Model::new(1);
    model.ask(0, 1, 0, false);
    for number in 1..=COUNT {
        model.ask(number, 1, 0, true);
    }
    assert_eq!(model.world.engine.queue.len(), 10_000);
    model.world.pushes.clear();
    let mut told = 0;
    for number in 1..=COUNT {
        model.world.pass(1);
        model.release(0);
        told += model.world.pushes.len();
        let offered = |push: &(ConnectionId, Push)| matches!(push.1, Push::Offered(nonce, _) if number_of(nonce) == number);
        assert!(model.world.pushes.iter().any(offered), "{number}");
        model.world.pushes.clear();
        let answer = model.ask(number, 1, 0, true);
        assert!(matches!(answer, Answer::Promised(_)), "{answer:?}");
    }
    assert!(model.world.engine.queue.is_empty());
    let looks = model.world.engine.queue.looks;
    assert!(looks <= 3 * u64::from(COUNT), "{looks} looks");
    // The first 32 each time, and the others once in each of the ten seconds.
    assert!(told <= 10_000 * 34 + 11 * 10_000, "{told} pushes");
}

#[test]
fn a3_a_full_queue_is_a_refusal_with_a_time() {
    let mut model = Model::new(1);
    model.ask(0, 1, 0, false);
    for number in 0..256 {
        model.ask(60 * number + 1, 1, 0, true);
    }
    let answer = model.ask(60 * 256 + 1, 1, 0, true);
    let refusal = refused(promised(answer), RefusalCode::QueueFull);
    assert!(refusal.retry_after_ms.is_some());
    assert!(matches!(model.ask(2, 1, 0, true), Answer::Queued(_)));
}

/// Who shares a seat is looked at whenever its share grows; that must not keep all others waiting.
#[test]
fn l9_shares_that_grow_without_end_keep_no_line_from_its_turn() {
    let mut world = World::new();
    let mut viewer = feature("viewer", Some(3));
    viewer.grouping = Grouping::Host;
    let features = vec![
        feature("solver", Some(1)),
        feature("mesher", Some(1)),
        viewer,
    ];
    let license = license("acme-1", 1, features);
    world.install(&signed(&license)).unwrap();
    let of = |name: &str, nonce| Checkout {
        feature: name.parse().unwrap(),
        ..wants(nonce)
    };
    let solver = world.checkout_with(12, of("solver", 1)).unwrap().lease;
    world.checkout_with(12, of("mesher", 2)).unwrap();
    world.wait_with(11, of("solver", 1));
    let busy = [20, 21, 22];
    for client in busy {
        for nonce in 1..=200 {
            world.wait_with(client, of("mesher", nonce));
        }
    }
    let grow = |world: &mut World, nonce| {
        for client in busy {
            world.checkout_with(client, of("viewer", nonce)).unwrap();
        }
    };
    grow(&mut world, 201);
    world.wait_with(13, of("viewer", 1));
    grow(&mut world, 202);
    world.release(12, &solver, 1, link(1, 9)).unwrap();
    for nonce in 203..=220 {
        grow(&mut world, nonce);
    }
    let offered = |(connection, push): &(ConnectionId, Push)| {
        connection.0 == 11 && matches!(push, Push::Offered(..))
    };
    assert!(world.pushes.iter().any(offered));
}
