//! Random histories, judged from the clients' side: at no instant do more clients believe that they
//! hold seats than there are (L), every acknowledged lease is known after a restart, and replay equals
//! what was lived (A1).

use proptest::prelude::*;

use super::*;

/// One random happening.
#[derive(Debug, Clone)]
enum Move {
    /// A client checks out, with a fresh nonce or with its last one again; the reply may be lost. It
    /// may stand in the queue (L9).
    Checkout {
        client: u8,
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

/// A client as L1 has it: its right ends R after its send, on its own drifting clock.
#[derive(Debug, Clone, Default)]
struct Client {
    /// Milliseconds on its clock in a real second.
    rate: u64,
    nonces: u8,
    held: Option<Held>,
    /// The checkout sent last, whether or not it was answered.
    asked: bool,
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
    serial: usize,
    /// Seats as they stood when leases were last extended: the largest still believed in.
    promised_of: Vec<(u64, u32)>,
}

impl Model {
    fn new(server_fast: bool) -> Self {
        let (server, client) = if server_fast {
            (1010, 990)
        } else {
            (990, 1010)
        };
        let mut world = World::new();
        world.install(&sizes()[0]).unwrap();
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
            serial: 0,
            promised_of: Vec::new(),
        }
    }

    fn seats(&self) -> u32 {
        sizes()[self.serial].features[0].seats.unwrap()
    }

    fn step(&mut self, it: &Move) {
        match *it {
            Move::Checkout {
                client,
                fresh,
                lost,
                wait,
            } => self.checkout(client, fresh, lost, wait),
            Move::Disconnect { client, orderly } => {
                let connection = ConnectionId(u64::from(client + 10));
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
                let held = self.clients[usize::from(client)].held.as_ref();
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
                if self.serial + 1 < sizes().len() {
                    // What was promised under more seats is believed until it runs out (L7).
                    let until = self.latest_belief();
                    self.promised_of.push((until, self.seats()));
                    self.serial += 1;
                    self.world.install(&sizes()[self.serial]).unwrap();
                }
            }
            Move::Restart { reboot } => {
                if reboot {
                    self.world.now.boot = BootMs(1000);
                }
                self.world.restart();
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

    fn checkout(&mut self, index: u8, fresh: bool, lost: bool, wait: bool) {
        let client = &mut self.clients[usize::from(index)];
        // A client repeats its checkout until it is answered, and not once it has renewed.
        let goes_on = |held: &Held| fresh || held.previous != held.nonce;
        if client.held.as_ref().is_some_and(goes_on) {
            return;
        }
        if fresh || !client.asked {
            client.nonces += 1;
            client.asked = true;
        }
        let nonce = client.nonces;
        let checkout = Checkout {
            wait,
            ..wants(nonce)
        };
        let answer = self.world.client(index + 10, ClientAsk::Checkout(checkout));
        if let (Answer::Promised(promise), false) = (answer, lost) {
            let until = self.belief(index, &promise.lease);
            let client = &mut self.clients[usize::from(index)];
            let held = client.held.get_or_insert(Held {
                lease: promise.lease.clone(),
                until,
                nonce,
                previous: nonce,
                pending: nonce,
            });
            held.lease = promise.lease;
            held.until = held.until.max(until);
        }
    }

    fn renew(&mut self, index: u8, attach: bool, lost: bool) {
        let Some(mut held) = self.clients[usize::from(index)].held.clone() else {
            return;
        };
        if held.pending == held.previous {
            held.pending = held.pending.wrapping_add(60);
        }
        let link = link(held.previous, held.pending);
        let answer = if attach {
            self.world.attach(index + 10, &held.lease, held.nonce, link)
        } else {
            self.world.renew(index + 10, &held.lease, held.nonce, link)
        };
        if let (Ok(promise), false) = (answer, lost) {
            held.until = held.until.max(self.belief(index, &promise.lease));
            held.previous = held.pending;
            held.lease = promise.lease;
        }
        self.clients[usize::from(index)].held = Some(held);
    }

    /// A client stops believing before it sends.
    fn release(&mut self, index: u8, lost: bool) {
        let client = &mut self.clients[usize::from(index)];
        let Some(held) = client.held.take() else {
            return;
        };
        client.asked = false;
        let next = if held.pending == held.previous {
            held.pending.wrapping_add(60)
        } else {
            held.pending
        };
        if !lost {
            let link = link(held.previous, next);
            self.world
                .release(index + 10, &held.lease, held.nonce, link)
                .unwrap();
        }
    }

    fn belief(&self, index: u8, lease: &Lease) -> u64 {
        self.real + (lease.length_ms.0 * 1_000_000).div_ceil(self.clients[usize::from(index)].rate)
    }

    fn latest_belief(&self) -> u64 {
        let untils = self
            .clients
            .iter()
            .filter_map(|it| it.held.as_ref())
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
            .filter_map(|client| client.held.as_ref())
            .filter(|held| held.until > real);
        let mut count = 0;
        for held in believers {
            count += held.lease.seats;
            assert!(
                self.world.engine.state.leases.contains_key(&held.lease.id),
                "an acknowledged lease is not known"
            );
        }
        assert!(count <= allowed, "{count} believers in {allowed} seats");
        let live: BTreeMap<_, _> = self.world.engine.state.durable();
        assert_eq!(live, self.world.store, "replay differs from life");
    }
}

fn any_move() -> impl Strategy<Value = Move> {
    let client = 0..CLIENTS;
    prop_oneof![
        6 => (client.clone(), any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(client, fresh, lost, wait)| Move::Checkout { client, fresh, lost, wait }),
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

const CLIENTS: u8 = 7;

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn l_no_more_clients_believe_than_there_are_seats(
        server_fast in any::<bool>(),
        moves in prop::collection::vec(any_move(), 1..120),
    ) {
        let mut model = Model::new(server_fast);
        for it in &moves {
            model.step(it);
            model.judge();
        }
    }
}
