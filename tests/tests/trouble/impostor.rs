//! Is a false server never believed, wherever it stands, and a copied one found soon (T4, L12)?

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use quinn::Endpoint;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use usher_client::clock::Clock;
use usher_client::tls;
use usher_protocol::documents::endorsement::SignedEndorsement;
use usher_protocol::ids::{Epoch, Fingerprint, LifeId, PublicKey};
use usher_protocol::time::WallMs;
use usher_protocol::wire::{ServerFrame, WIRE_VERSION, Welcome};
use usher_tests::daemon::{Daemon, Vendor};
use usher_tests::holder::{Event, Holder, What};
use usher_tests::hosts::{Host, Lan, on_lan};
use usher_tests::peer::{Peer, key, root_of};
use usher_tests::proof::{seeds, tell};
use usher_tests::station::told;
use usherd::advert::{Advert, Content, Setup};

/// The rogue has the address at which everybody knew the server, its name, its site key in the advert and its word: all
/// but the key. It answers first, since the last good server is asked before the network.
#[test]
fn a_rogue_at_the_servers_old_address_and_name_keeps_nobody_from_it() {
    on_lan(|lan| {
        for seed in seeds(1) {
            println!("seed {seed}");
            rogue_round(lan, seed);
        }
    });
}

fn rogue_round(lan: &mut Lan, seed: u64) {
    let [server, rogue, one, two] =
        ["lic01", "rogue", "ws1", "ws2"].map(|name| lan.host(&format!("{name}-{seed}")));
    let vendor = Vendor::new(&server, "acme");
    let daemon = Daemon::start_on_host(&server);
    daemon.install(&vendor.license(&daemon, TERMS));
    let old = server.addr();
    let (site, word) = word_of(&one, old, root_of(&vendor));
    let ours = vendor.directory().join("acme.pub");
    let mut holder = Holder::start(&one, &ours, None);
    let before = holder.granted("a", "solver");
    let mut newcomer = Holder::start(&two, &ours, None);
    newcomer.granted("b", "solver");
    newcomer.release("b");
    newcomer.kill();

    server.change_addr();
    rogue.sh(&format!("ip addr add {old}/24 dev eth0"));
    let false_server = Rogue::start(&rogue, server.name(), old, site, root_of(&vendor), word);
    let began = boot();
    // Its last good server is the rogue by now.
    let mut newcomer = Holder::start(&two, &ours, None);
    let (seat, took) = (newcomer.checkout("c", "solver"), boot() - began);
    let What::Granted(granted) = seat else {
        panic!("the newcomer: {seat:?}");
    };
    assert_ne!(granted.lease, before.lease);
    let known = holder.wait("the seat at the new address", |events| {
        let extended = events
            .iter()
            .find(|it| it.belief().is_some_and(|it| it.since > began));
        extended.cloned()
    });
    assert_eq!(known.belief().unwrap().lease, before.lease);
    assert!(
        !holder.events().iter().any(is_lost),
        "{:?}",
        holder.events()
    );
    let again = known.at - began;
    println!(
        "beside the rogue: a newcomer had its seat after {took} ms, a holder its own again after {again} ms"
    );
    let met = false_server.end();
    println!(
        "the rogue met {} clients, and none believed it",
        met.clients
    );
    assert!(met.clients > 0, "nobody ever asked the rogue");
    assert_eq!(met.asked, 0, "a client asked the rogue for something");
    assert!(took.max(again) <= FOUND_MS_MAX, "{took} ms, {again} ms");
    tell(
        "rogue servers",
        &[
            ("rounds", 1),
            ("clients that met the rogue", met.clients),
            ("clients that believed it", met.asked),
            ("true servers not found within 30 s", 0),
        ],
    );
}

/// Two copies on one network, and two whose networks are joined only after both have run for a while.
#[test]
fn clones_are_found_within_half_a_minute_and_both_stop() {
    on_lan(|lan| {
        for seed in seeds(1) {
            println!("seed {seed}");
            clones_round(lan, seed);
        }
    });
}

fn clones_round(lan: &mut Lan, seed: u64) {
    let [one, two] = ["lic01", "lic02"].map(|name| lan.host(&format!("{name}-{seed}")));
    let vendor = Vendor::new(&one, "acme");
    let mut first = Daemon::start_on_host(&one);
    first.install(&vendor.license(&first, TERMS));
    first.terminate();
    let mut second = Daemon::start_on_host(&two);
    second.terminate();
    told(
        &Command::new("rm")
            .arg("-r")
            .arg(second.state_dir())
            .output()
            .unwrap(),
        "rm",
    );
    let copied = Command::new("cp")
        .arg("-a")
        .args([first.state_dir(), second.state_dir()])
        .output();
    told(&copied.unwrap(), "cp -a");

    first.start_again();
    two.cut();
    second.start_again();
    // Both have announced themselves, asked around and heard nobody. A browse alone would ask again after as long as
    // they have run by now.
    let apart = Duration::from_secs(APART_S[usize::try_from(seed).unwrap() % APART_S.len()]);
    thread::sleep(apart);
    for daemon in [&first, &second] {
        assert_eq!(stopped(daemon), None, "they cannot know yet");
    }
    two.restore();
    let joined = both_stop(&first, &second);
    println!("clones whose networks were joined after {apart:?}: both stopped after {joined} ms");

    second.kill();
    first.ask(&["clone", "keep-this"]);
    assert_eq!(stopped(&first), None);
    second.start_again();
    let together = both_stop(&first, &second);
    println!("clones on one network: both stopped after {together} ms");
    assert!(
        joined.max(together) <= FOUND_MS_MAX,
        "{joined} ms, {together} ms"
    );
    tell(
        "cloned servers",
        &[
            ("rounds", 1),
            ("pairs of clones", 2),
            ("pairs not found within 30 s", 0),
        ],
    );
}

/// How long it takes until both say why they lend nothing.
fn both_stop(first: &Daemon, second: &Daemon) -> u64 {
    let began = boot();
    while boot() - began < 4 * FOUND_MS_MAX {
        if let (Some(one), Some(other)) = (stopped(first), stopped(second)) {
            let took = boot() - began;
            println!("  {one}\n  {other}");
            return took;
        }
        thread::sleep(POLL);
    }
    panic!(
        "never found:\n{}\n{}",
        first.ask(&["status"]),
        second.ask(&["status"])
    );
}

/// What the status says of a clone.
fn stopped(daemon: &Daemon) -> Option<String> {
    let status: Value = serde_json::from_str(&daemon.ask(&["status", "--json"])).unwrap();
    let reasons = status["stopped"]
        .as_array()
        .unwrap_or_else(|| panic!("{status}"));
    let mut reasons = reasons.iter().filter_map(Value::as_str);
    reasons
        .find(|it| it.contains("clone-found"))
        .map(str::to_owned)
}

/// A server with a key of its own that shows the true one's word, by its name and at its old address.
struct Rogue {
    met: Arc<Met>,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

#[derive(Default)]
struct Met {
    clients: AtomicU64,
    /// Clients that said more than `Hello`.
    asked: AtomicU64,
}

/// As [`Met`], at the end.
struct Meetings {
    clients: u64,
    asked: u64,
}

impl Rogue {
    fn start(
        host: &Host,
        name: &str,
        at: IpAddr,
        site: PublicKey,
        root: Fingerprint,
        word: SignedEndorsement,
    ) -> Self {
        let met = Arc::new(Met::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (meets, name) = (Arc::clone(&met), name.to_owned());
        let thread = host.spawn(move || {
            runtime().block_on(async {
                let setup = Setup {
                    instance: name,
                    port: PORT,
                    addresses: vec![at],
                };
                let (clones, _sightings) = mpsc::channel(1);
                let advert = Advert::start(setup, Content::new(&site, &[root]), clones);
                let listen = SocketAddr::new(at, PORT);
                let endpoint = Endpoint::server(tls::server_config(&key(66)).unwrap(), listen);
                let serving = serve(endpoint.unwrap(), word, meets);
                ready.send(()).unwrap();
                tokio::select! {
                    () = serving => {}
                    _ = stopped => {}
                }
                advert.stop().await;
            });
        });
        is_ready.recv().unwrap();
        Self { met, stop, thread }
    }

    fn end(self) -> Meetings {
        drop(self.stop);
        self.thread.join().unwrap();
        let Met { clients, asked } = &*self.met;
        Meetings {
            clients: clients.load(Relaxed),
            asked: asked.load(Relaxed),
        }
    }
}

async fn serve(endpoint: Endpoint, word: SignedEndorsement, met: Arc<Met>) {
    while let Some(incoming) = endpoint.accept().await {
        met.clients.fetch_add(1, Relaxed);
        let (word, met) = (word.clone(), Arc::clone(&met));
        tokio::spawn(async move {
            // A client that wants the true site's key alone ends here.
            let connection = incoming.await.ok()?;
            let (mut send, mut receive) = connection.accept_bi().await.ok()?;
            let mut hello = [0; HELLO_BYTES];
            receive.read_exact(&mut hello).await.ok()?;
            send.write_all(&welcome(word).encode().unwrap())
                .await
                .ok()?;
            let said = receive.read_chunk(1, true).await.ok()?;
            met.asked.fetch_add(u64::from(said.is_some()), Relaxed);
            Some(())
        });
    }
}

fn welcome(endorsement: SignedEndorsement) -> ServerFrame {
    ServerFrame::Welcome(Welcome {
        version: WIRE_VERSION,
        endorsement,
        licenses_more: Vec::new(),
        epoch: Epoch(4_000_000_000),
        life: LifeId([7; 16]),
        server: "lic01".to_owned(),
        wall: WallMs(0),
    })
}

/// The site key and the word of a true server, which anybody can have.
fn word_of(host: &Host, server: IpAddr, root: Fingerprint) -> (PublicKey, SignedEndorsement) {
    host.enter(|| {
        runtime().block_on(async {
            let at = SocketAddr::new(server, PORT);
            let (peer, welcome) = Peer::greeted(at, &key(9), root).await;
            let site = tls::peer_key(&peer.connection).unwrap();
            peer.leave().await;
            (site, welcome.endorsement)
        })
    })
}

fn is_lost(event: &Event) -> bool {
    matches!(&event.what, What::Changed(change) if change.starts_with("lost"))
}

fn boot() -> u64 {
    Clock::new().boot().0
}

/// One thread: threads of a pool would be born outside the host's network.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

const TERMS: &[&str] = &[
    "--environment",
    "test",
    "--feature",
    "solver:10,lease-min=2s,lease-default=30s",
];
const PORT: u16 = usher_protocol::limits::PORT_DEFAULT;
const HELLO_BYTES: usize = 40;
/// The bound of the proof.
const FOUND_MS_MAX: u64 = 30_000;
/// By the seed; that of seed 1 is short for the sake of the short form.
const APART_S: [u64; 4] = [70, 9, 40, 100];
const POLL: Duration = Duration::from_millis(250);
