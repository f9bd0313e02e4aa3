//! Random histories, judged from the clients' side: at no instant do more clients believe that they
//! hold seats than there are, with the overdraft signed and a share of a group counted once (L); every
//! acknowledged lease is known after a restart, and replay equals what was lived (A1).
//!
//! What shares a seat is reckoned here anew, from what the clients themselves were promised.

use proptest::prelude::*;

use super::*;
use usher_protocol::ids::LeaseId;

use crate::policy::LingerRule;

/// One random happening.
#[derive(Debug, Clone)]
enum Move {
    /// A client checks out so many seats, alone or in a set with another feature's, with fresh nonces
    /// or with its last ones again; the reply may be lost. It may stand in the queue (L9).
    Checkout {
        client: u8,
        seats: u32,
        set: bool,
        fresh: bool,
        lost: bool,
        wait: bool,
    },
    /// A client's connection ends.
    Disconnect { client: u8, orderly: bool },
    /// A client renews or re-attaches what it holds; the reply may be lost.
    Renew {
        client: u8,
        attach: bool,
        lost: bool,
        minutes: Option<u64>,
    },
    /// A client gives back what it holds; the reply may be lost.
    Release { client: u8, lost: bool },
    /// An administrator takes a lease back.
    Evict { client: u8 },
    /// The next serial of the license, with other seats.
    Replace,
    /// The daemon is killed and starts again, perhaps after a reboot.
    Restart { reboot: bool },
    /// Time passes, with or without wake-ups served.
    Pass { ms: u64, served: bool },
}

/// A process as L1 has it: its right ends R after its send, on its own drifting clock. Every two
/// share a workstation's key.
#[derive(Debug, Clone, Default)]
struct Client {
    /// Milliseconds on its clock in a real second.
    rate: u64,
    nonces: u8,
    held: Vec<Held>,
    /// The checkouts sent last, whether or not they were answered; the first is the solver's.
    asked: Vec<Checkout>,
}

#[derive(Debug, Clone)]
struct Held {
    lease: Lease,
    /// Real time, in microseconds, at which this client stops believing.
    until: u64,
    nonce: u8,
    previous: u8,
    pending: u8,
}

/// The world, real time, and a server clock that drifts against it.
struct Model {
    world: World,
    /// Real microseconds since the beginning.
    real: u64,
    /// Milliseconds on the server's clock in a real second.
    rate: u64,
    /// Microseconds on the server's clock that are no whole millisecond yet.
    rest: u64,
    clients: Vec<Client>,
    /// The serials of the license, one after the other.
    serials: &'static [Arc<VerifiedLicense>],
    serial: usize,
    /// Seats as they stood when leases were last extended: the largest still believed in.
    promised_of: Vec<(u64, u32)>,
}

/// What makes leases share: the grouping, and who counts as one in it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Group(Grouping, Option<PublicKey>, String, Option<LeaseId>);

impl Group {
    fn of(lease: &Lease) -> Self {
        let (key, user) = (Some(lease.client), lease.holder.user.to_lowercase());
        let display = lease.holder.display.clone().unwrap_or_default();
        let grouping = lease.grouping;
        match grouping {
            Grouping::Process => Self(grouping, None, String::new(), Some(lease.id)),
            Grouping::Host => Self(grouping, key, String::new(), None),
            Grouping::UserHost => Self(grouping, key, user, None),
            Grouping::User => Self(grouping, None, user, None),
            Grouping::Display => Self(grouping, key, display, None),
        }
    }
}

impl Model {
    fn new(server_fast: bool, grouping: usize, linger: bool) -> Self {
        let (server, client) = if server_fast {
            (1010, 990)
        } else {
            (990, 1010)
        };
        let mut world = World::new();
        let serials = serials_of(grouping);
        world.install(&serials[0]).unwrap();
        if linger {
            let length = DurationMs::minutes(5);
            let linger = vec![rule(5, &[], LingerRule { length })];
            world.set_policy(Policy { linger, ..policy() }).unwrap();
        }
        let clients = (0..CLIENTS).map(|index| Client {
            rate: if index % 2 == 0 { client } else { 1000 },
            ..Client::default()
        });
        Self {
            world,
            real: 0,
            rate: server,
            rest: 0,
            clients: clients.collect(),
            serials,
            serial: 0,
            promised_of: Vec::new(),
        }
    }

    fn seats(&self) -> u32 {
        let solver = &self.serials[self.serial].features[0];
        solver.seats.unwrap() + solver.overdraft
    }

    fn step(&mut self, it: &Move) {
        match *it {
            Move::Checkout {
                client,
                seats,
                set,
                fresh,
                lost,
                wait,
            } => self.checkout(client, (seats, set), fresh, lost, wait),
            Move::Disconnect { client, orderly } => {
                let connection = ConnectionId(u64::from(key_of(client)));
                self.world.input(Input::Disconnected {
                    connection,
                    orderly,
                });
            }
            Move::Renew {
                client,
                attach,
                lost,
                minutes,
            } => {
                self.world.wish = minutes.map(DurationMs::minutes);
                self.renew(client, attach, lost);
            }
            Move::Release { client, lost } => self.release(client, lost),
            Move::Evict { client } => {
                let held = self.clients[usize::from(client)].held.first();
                if let Some(lease) = held.map(|held| held.lease.id) {
                    let reason = "a test".to_owned();
                    let _ = self.world.admin(AdminAsk::Evict {
                        cool_down_ms: None,
                        lease,
                        reason,
                    });
                }
            }
            Move::Replace => {
                if self.serial + 1 < self.serials.len() {
                    // What was promised under more seats is believed until it runs out (L7).
                    let until = self.latest_belief();
                    self.promised_of.push((until, self.seats()));
                    self.serial += 1;
                    let next = &self.serials[self.serial];
                    self.world.install(next).unwrap();
                }
            }
            Move::Restart { reboot } => {
                if reboot {
                    self.world.now.boot = BootMs(1000);
                }
                let out = self.world.seats_out();
                self.world.restart();
                assert_eq!(self.world.seats_out(), out, "shares differ after a restart");
            }
            Move::Pass { ms, served } => {
                self.real += ms * 1000;
                self.rest += ms * self.rate;
                let by_server = self.rest / 1000;
                self.rest %= 1000;
                if served {
                    self.world.run(by_server);
                } else {
                    self.world.pass(by_server);
                }
            }
        }
    }

    fn checkout(&mut self, index: u8, of: (u32, bool), fresh: bool, lost: bool, wait: bool) {
        let client = &mut self.clients[usize::from(index)];
        // A client repeats its checkout until it is answered, and not once it has renewed.
        let goes_on = |held: &Held| fresh || held.previous != held.nonce;
        if client.held.iter().any(goes_on) {
            return;
        }
        if fresh || client.asked.is_empty() {
            client.nonces += 2;
            client.asked = wishes(index, client.nonces, of.0, of.1);
        }
        let mut asked = client.asked.clone();
        for checkout in &mut asked {
            checkout.wait = wait;
        }
        for promise in self.ask(index, asked) {
            if !lost {
                self.believe(index, promise);
            }
        }
    }

    /// What a checkout alone or a set is promised: all of it, or nothing.
    fn ask(&mut self, index: u8, asked: Vec<Checkout>) -> Vec<Promise> {
        let count = asked.len();
        let answer = match <[Checkout; 1]>::try_from(asked) {
            Ok([alone]) => self.world.client(key_of(index), ClientAsk::Checkout(alone)),
            Err(set) => self
                .world
                .client(key_of(index), ClientAsk::CheckoutAll(set)),
        };
        let promises = match answer {
            Answer::Promised(promise) => vec![*promise],
            Answer::PromisedAll(promises) => promises,
            Answer::Refused(_) | Answer::Queued(_) => return Vec::new(),
            other => panic!("{other:?}"),
        };
        assert_eq!(promises.len(), count);
        promises
    }

    fn believe(&mut self, index: u8, promise: Promise) {
        let until = self.belief(index, &promise.lease);
        let client = &mut self.clients[usize::from(index)];
        let lease = promise.lease;
        if let Some(held) = client.held.iter_mut().find(|it| it.lease.id == lease.id) {
            held.until = held.until.max(until);
            held.lease = lease;
            return;
        }
        let nonce = client
            .asked
            .iter()
            .find(|it| it.feature == lease.feature)
            .map(|it| it.nonce.0[0])
            .unwrap();
        client.held.push(Held {
            lease,
            until,
            nonce,
            previous: nonce,
            pending: nonce,
        });
    }

    fn renew(&mut self, index: u8, attach: bool, lost: bool) {
        let held = std::mem::take(&mut self.clients[usize::from(index)].held);
        for mut held in held {
            if held.pending == held.previous {
                held.pending = held.pending.wrapping_add(60);
            }
            let (key, link) = (key_of(index), link(held.previous, held.pending));
            let answer = if attach {
                self.world.attach(key, &held.lease, held.nonce, link)
            } else {
                self.world.renew(key, &held.lease, held.nonce, link)
            };
            if let (Ok(promise), false) = (answer, lost) {
                held.until = held.until.max(self.belief(index, &promise.lease));
                held.previous = held.pending;
                held.lease = promise.lease;
            }
            self.clients[usize::from(index)].held.push(held);
        }
    }

    /// A client stops believing before it sends.
    fn release(&mut self, index: u8, lost: bool) {
        let client = &mut self.clients[usize::from(index)];
        if client.held.is_empty() {
            return;
        }
        client.asked.clear();
        for held in std::mem::take(&mut client.held) {
            let next = if held.pending == held.previous {
                held.pending.wrapping_add(60)
            } else {
                held.pending
            };
            if !lost {
                let link = link(held.previous, next);
                self.world
                    .release(key_of(index), &held.lease, held.nonce, link)
                    .unwrap();
            }
        }
    }

    fn belief(&self, index: u8, lease: &Lease) -> u64 {
        self.real + (lease.length_ms.0 * 1_000_000).div_ceil(self.clients[usize::from(index)].rate)
    }

    fn latest_belief(&self) -> u64 {
        let untils = self
            .clients
            .iter()
            .flat_map(|it| &it.held)
            .map(|held| held.until);
        untils.fold(self.real, u64::max)
    }

    fn judge(&mut self) {
        let (real, seats) = (self.real, self.seats());
        self.promised_of.retain(|(until, _)| *until > real);
        let most = self.promised_of.iter().map(|(_, seats)| *seats).max();
        let allowed = most.unwrap_or(0).max(seats);
        let believers = self
            .clients
            .iter()
            .flat_map(|client| &client.held)
            .filter(|held| held.until > real);
        let mut groups: BTreeMap<_, u32> = BTreeMap::new();
        for held in believers {
            let group = (held.lease.feature.clone(), Group::of(&held.lease));
            let seats = groups.entry(group).or_default();
            *seats = held.lease.seats.max(*seats);
            assert!(
                self.world.engine.state.leases.contains_key(&held.lease.id),
                "an acknowledged lease is not known"
            );
        }
        for (feature, allowed) in [("solver", allowed), ("mesher", MESHERS)] {
            let of_feature = groups.iter().filter(|((it, _), _)| it.as_str() == feature);
            let believed: u32 = of_feature.map(|(_, seats)| seats).sum();
            assert!(
                believed <= allowed,
                "{believed} believed in, {allowed} seats of {feature}"
            );
        }
        let live: BTreeMap<_, _> = self.world.engine.state.durable();
        assert_eq!(live, self.world.store, "replay differs from life");
    }
}

fn any_move() -> impl Strategy<Value = Move> {
    let client = 0..CLIENTS;
    prop_oneof![
        7 => (client.clone(), (1..4_u32, any::<bool>()), any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(client, (seats, set), fresh, lost, wait)| {
                Move::Checkout { client, seats, set, fresh, lost, wait }
            }),
        1 => (client.clone(), any::<bool>())
            .prop_map(|(client, orderly)| Move::Disconnect { client, orderly }),
        6 => (client.clone(), any::<bool>(), any::<bool>(), prop::option::of(1..60_u64)).prop_map(
            |(client, attach, lost, minutes)| Move::Renew { client, attach, lost, minutes }
        ),
        3 => (client.clone(), any::<bool>()).prop_map(|(client, lost)| Move::Release { client, lost }),
        1 => client.prop_map(|client| Move::Evict { client }),
        1 => Just(Move::Replace),
        1 => any::<bool>().prop_map(|reboot| Move::Restart { reboot }),
        4 => (prop_oneof![1..1000_u64, 1000..R, R - 7000..R + G + 7000, R..7 * R], any::<bool>())
            .prop_map(|(ms, served)| Move::Pass { ms, served }),
    ]
}

const CLIENTS: u8 = 8;

/// Seats of the other feature.
const MESHERS: u32 = 2;

/// Two processes on each workstation.
fn key_of(client: u8) -> u8 {
    10 + client / 2
}

/// Seats of the solver, and one of the mesher with them. Every third process is another user's, whose
/// name is not always spelled alike.
fn wishes(client: u8, nonce: u8, seats: u32, set: bool) -> Vec<Checkout> {
    // Two processes of one key have nonces of their own.
    let nonce = nonce + 128 * (client % 2);
    let mut solver = wants(nonce);
    solver.seats = seats;
    solver.holder.user = ["ada", "Ada", "bob"][usize::from(client % 3)].to_owned();
    solver.holder.process = u32::from(client);
    solver.holder.display = (client % 4 < 3).then(|| format!(":{}", client % 3 / 2));
    let mut mesher = Checkout {
        feature: "mesher".parse().unwrap(),
        seats: 1,
        ..solver.clone()
    };
    mesher.token.0 = [nonce + 1; 16];
    mesher.nonce.0 = [nonce + 1; 16];
    let mut wishes = vec![solver];
    wishes.extend(set.then_some(mesher));
    wishes
}

/// Six serials of a license that begins with this grouping, of other seats and overdraft each, and
/// the last two with the next grouping: signed once for all cases.
fn serials_of(grouping: usize) -> &'static [Arc<VerifiedLicense>] {
    static SERIALS: OnceLock<Vec<Vec<Arc<VerifiedLicense>>>> = OnceLock::new();
    let of = |grouping: usize| {
        let serial = |serial: u32| {
            let change = usize::from(serial > 4);
            let mut solver = feature("solver", Some(1 + (serial * 3) % 5));
            solver.lease_ms_max = DurationMs::hours(1);
            solver.grouping = Grouping::ALL[(grouping + change) % Grouping::ALL.len()];
            solver.claimed_user = solver.grouping == Grouping::User;
            solver.overdraft = serial % 3;
            let mesher = feature("mesher", Some(MESHERS));
            signed(&license("acme-1", u64::from(serial), vec![solver, mesher]))
        };
        (1..=6).map(serial).collect()
    };
    &SERIALS.get_or_init(|| (0..Grouping::ALL.len()).map(of).collect())[grouping]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn l_no_more_clients_believe_than_there_are_seats(
        server_fast in any::<bool>(),
        grouping in 0..Grouping::ALL.len(),
        linger in any::<bool>(),
        moves in prop::collection::vec(any_move(), 1..120),
    ) {
        let mut model = Model::new(server_fast, grouping, linger);
        for it in &moves {
            model.step(it);
            model.judge();
        }
    }
}
