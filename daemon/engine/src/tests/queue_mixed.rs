//! Everything at once: sets, priorities, reservations, backfill, lapses, other licenses and policies
//! (L6, L9). Whatever happens, counts are right and nobody who stays is left behind.

use proptest::prelude::*;

use super::*;
use crate::policy::{MaximumRule, Per, PriorityRule, QueueRule, ReserveRule};

#[derive(Debug, Clone)]
enum Move {
    /// One feature, or both as a set.
    Ask {
        user: usize,
        features: usize,
        seats: u32,
        wait: bool,
    },
    /// A waiter repeats its checkout, which claims what it is offered.
    Again(usize),
    Release(usize),
    Leave(usize),
    Disconnect {
        user: usize,
        orderly: bool,
    },
    Policy(usize),
    Replace,
    Pass(u64),
}

const USERS: [&str; 4] = ["ann", "bob", "eve", "vip"];
const FEATURES: [&str; 2] = ["solver", "mesher"];

struct Model {
    world: World,
    serial: u64,
    numbers: u32,
    asked: BTreeMap<Nonce, (usize, Vec<Checkout>)>,
    held: Vec<(usize, Lease, Nonce)>,
}

fn client(user: usize) -> u8 {
    10 + u8::try_from(user).unwrap()
}

impl Model {
    fn new() -> Self {
        let mut model = Self {
            world: World::new(),
            serial: 0,
            numbers: 0,
            asked: BTreeMap::new(),
            held: Vec::new(),
        };
        model.replace();
        model
    }

    /// The next serial, with more or fewer seats; never fewer than anybody asks for.
    fn replace(&mut self) {
        self.serial += 1;
        let seats = 2 + u32::try_from(self.serial % 3).unwrap();
        let features = FEATURES.iter().map(|name| feature(name, Some(seats)));
        let it = license("acme-1", self.serial, features.collect());
        self.world.install(&signed(&it)).unwrap();
    }

    fn step(&mut self, it: &Move) {
        match *it {
            Move::Ask {
                user,
                features,
                seats,
                wait,
            } => {
                let names = match features {
                    2 => &FEATURES[..],
                    one => &FEATURES[one..=one],
                };
                let checkouts = names
                    .iter()
                    .map(|name| self.checkout(user, name, seats, wait));
                let checkouts: Vec<_> = checkouts.collect();
                self.ask(user, checkouts);
            }
            Move::Again(at) => {
                if let Some((_, (user, checkouts))) = self.nth(at) {
                    self.ask(user, checkouts);
                }
            }
            Move::Release(at) => self.release(at),
            Move::Leave(at) => {
                if let Some((nonce, (user, _))) = self.nth(at) {
                    self.world.client(client(user), ClientAsk::Leave(nonce));
                    self.asked.remove(&nonce);
                }
            }
            Move::Disconnect { user, orderly } => {
                let connection = ConnectionId(u64::from(client(user)));
                self.world.input(Input::Disconnected {
                    connection,
                    orderly,
                });
            }
            Move::Policy(which) => self.world.set_policy(policies(which)).unwrap(),
            Move::Replace => self.replace(),
            Move::Pass(ms) => self.world.run(ms),
        }
        self.forget();
        self.judge();
    }

    fn checkout(&mut self, user: usize, name: &str, seats: u32, wait: bool) -> Checkout {
        self.numbers += 1;
        let mut it = wants_as(USERS[user], "ws1", 0);
        it.nonce.0[..4].copy_from_slice(&self.numbers.to_le_bytes());
        Checkout {
            feature: name.parse().unwrap(),
            seats,
            wait,
            ..it
        }
    }

    fn ask(&mut self, user: usize, checkouts: Vec<Checkout>) {
        let first = checkouts[0].nonce;
        let ask = match &checkouts[..] {
            [only] => ClientAsk::Checkout(only.clone()),
            _ => ClientAsk::CheckoutAll(checkouts.clone()),
        };
        let answer = self.world.client(client(user), ask);
        self.asked.remove(&first);
        let granted = match answer {
            Answer::Promised(promise) => vec![*promise],
            Answer::PromisedAll(promises) => promises,
            Answer::Queued(place) => {
                assert!(place.position >= 1 && place.position <= place.waiting);
                self.asked.insert(first, (user, checkouts));
                return;
            }
            Answer::Refused(_) => return,
            other => panic!("{other:?}"),
        };
        for (promise, checkout) in granted.into_iter().zip(checkouts) {
            self.held.push((user, promise.lease, checkout.nonce));
        }
    }

    fn release(&mut self, at: usize) {
        if self.held.is_empty() {
            return;
        }
        let (user, lease, nonce) = self.held.remove(at % self.held.len());
        let release = Release {
            lease: lease.id,
            nonce,
            link: link(0, 1),
        };
        let answer = self.world.client(client(user), ClientAsk::Release(release));
        assert!(matches!(answer, Answer::Released), "{answer:?}");
    }

    fn nth(&self, at: usize) -> Option<(Nonce, (usize, Vec<Checkout>))> {
        let at = at % self.asked.len().max(1);
        let mut asked = self.asked.iter();
        asked.nth(at).map(|(nonce, it)| (*nonce, it.clone()))
    }

    /// Whom the engine let go or dismissed; its clients know by a push, or are gone themselves.
    fn forget(&mut self) {
        let queue = &self.world.engine.queue;
        self.asked
            .retain(|nonce, (user, _)| queue.find((&key(client(*user))).into(), *nonce).is_some());
        let leases = &self.world.engine.state.leases;
        self.held
            .retain(|(_, lease, _)| leases.contains_key(&lease.id));
    }

    fn judge(&self) {
        let queue = &self.world.engine.queue;
        assert_eq!(queue.len(), self.asked.len());
        for (index, pool) in self.world.engine.state.pools() {
            let offers = queue.waiters().filter_map(|(_, it)| it.offer.as_ref());
            let kept = offers.flat_map(|offer| &offer.kept);
            let kept = kept.filter(|kept| kept.pool == index);
            let kept: u64 = kept.map(|kept| u64::from(kept.seats)).sum();
            assert_eq!(pool.offered, kept);
            let total = pool.seats_and_overdraft().unwrap();
            // A license with fewer seats may find more out or offered.
            assert!(self.serial > 1 || pool.out + pool.offered <= total);
        }
    }

    /// Holders give back and waiters claim, until nobody is left.
    fn drain(&mut self) {
        self.step(&Move::Policy(0));
        for _ in 0..10 + 4 * self.asked.len() {
            while !self.held.is_empty() {
                self.step(&Move::Release(0));
            }
            let all: Vec<_> = self.asked.keys().copied().collect();
            for nonce in all {
                if let Some((user, checkouts)) = self.asked.get(&nonce).cloned() {
                    self.ask(user, checkouts);
                }
                self.forget();
                self.judge();
            }
        }
        assert!(
            self.asked.is_empty(),
            "left behind: {:?}",
            self.asked.keys()
        );
        for (_, pool) in self.world.engine.state.pools() {
            assert_eq!((pool.out, pool.offered), (0, 0));
        }
    }
}

/// Policies to change between; the first says nothing.
fn policies(which: usize) -> Policy {
    let mut with = policy();
    if which & 1 != 0 {
        with.priority = vec![rule(1, &["user:vip"], PriorityRule { level: 3 })];
        with.queue = vec![rule(
            2,
            &[],
            QueueRule {
                backfill: which & 4 != 0,
            },
        )];
    }
    if which & 2 != 0 {
        let of_solver = rule(3, &["user:ann"], ReserveRule { seats: 1 });
        let of_mesher = rule(4, &["user:bob"], ReserveRule { seats: 1 });
        with.reserve = vec![
            Rule {
                feature: "acme/solver".parse().unwrap(),
                ..of_solver
            },
            Rule {
                feature: "acme/mesher".parse().unwrap(),
                ..of_mesher
            },
        ];
    }
    if which & 8 != 0 {
        let most = MaximumRule {
            per: Per::User,
            seats: 2,
        };
        with.maximum = vec![rule(5, &["user:eve"], most)];
    }
    with
}

fn any_move() -> impl Strategy<Value = Move> {
    let at = 0..1000_usize;
    let user = 0..USERS.len();
    prop_oneof![
        10 => (user.clone(), 0..3_usize, 1..3_u32, prop::bool::weighted(0.8)).prop_map(
            |(user, features, seats, wait)| Move::Ask { user, features, seats, wait }
        ),
        6 => at.clone().prop_map(Move::Again),
        5 => at.clone().prop_map(Move::Release),
        1 => at.prop_map(Move::Leave),
        1 => (user, any::<bool>())
            .prop_map(|(user, orderly)| Move::Disconnect { user, orderly }),
        1 => (0..16_usize).prop_map(Move::Policy),
        1 => Just(Move::Replace),
        2 => prop_oneof![1..2000_u64, 20_000..90_000_u64, Just(R + G)].prop_map(Move::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn l9_l6_counts_are_right_and_nobody_is_left_behind_in_any_mixture(
        moves in prop::collection::vec(any_move(), 1..120),
    ) {
        let mut model = Model::new();
        for it in &moves {
            model.step(it);
        }
        model.drain();
    }
}
