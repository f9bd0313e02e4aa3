//! Does a copied or restored daemon stop lending until an administrator decides, and nobody else stop it (L12)?

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::net::UdpSocket;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use usher_client::tls;
use usher_protocol::ids::{Fingerprint, PublicKey};
use usher_protocol::refusal::RefusalCode;
use usher_protocol::wire::{Reply, Request};
use usher_tests::daemon::{Daemon, Vendor};
use usher_tests::hosts::{Host, on_lan};
use usher_tests::station::{Station, told};
use usherd::advert::{Advert, Content, Setup};

use usher_tests::peer::{Held, Peer, a_seat, key, pause, root_of};

#[test]
fn clones_find_each_other_and_one_is_told_to_stay() {
    on_lan(|lan| {
        let (one, two, desk) = (lan.host("lic01"), lan.host("lic02"), lan.host("desk"));
        let vendor = Vendor::new(&one, "acme");
        let mut first = Daemon::start_on_host(&one);
        first.install(&vendor.license(&first, TERMS));
        first.terminate();
        let mut second = Daemon::start_on_host(&two);
        second.terminate();
        copy(&first, &second);
        first.start_again();
        let root = root_of(&vendor);
        let (at_one, at_two) = (
            SocketAddr::new(one.addr(), PORT),
            SocketAddr::new(two.addr(), PORT),
        );
        desk.enter(|| {
            let runtime = runtime();
            let mut holder = runtime.block_on(Peer::welcomed(at_one, &key(1), root));
            let mut held = runtime.block_on(Held::checkout(&mut holder));
            second.start_again();
            runtime.block_on(async {
                stops(
                    at_one,
                    root,
                    RefusalCode::CloneFound,
                    &mut holder,
                    &mut held,
                )
                .await;
                stops(
                    at_two,
                    root,
                    RefusalCode::CloneFound,
                    &mut holder,
                    &mut held,
                )
                .await;
            });
            println!("{}", first.ask(&["status"]));
            let doctor = first.admin(&["doctor"]).output().unwrap();
            let said = String::from_utf8(doctor.stdout).unwrap();
            assert!(
                said.lines().any(|line| line.starts_with("FAIL  clones ")),
                "{said}"
            );
            // The wrong one ends; the other is told to stay, and holds what the clone may have lent.
            second.kill();
            first.ask(&["clone", "keep-this"]);
            runtime.block_on(async {
                let refusal = refusal_of(at_one, root).await.expect("granted at once");
                assert_eq!(refusal, RefusalCode::Holding);
                held.renew(&mut holder).await;
                grants_again(at_one, root, &mut holder, &mut held).await;
            });
        });
        assert!(
            first
                .log()
                .contains("another daemon runs with our site key")
        );
        assert!(
            second
                .log()
                .contains("another daemon runs with our site key")
        );
    });
}

#[test]
fn a_relayed_daemon_and_a_forged_hint_stop_nobody() {
    on_lan(|lan| {
        let (server, relay, forger, desk) = (
            lan.host("lic01"),
            lan.host("relay"),
            lan.host("forger"),
            lan.host("desk"),
        );
        let vendor = Vendor::new(&server, "acme");
        let daemon = Daemon::start_on_host(&server);
        daemon.install(&vendor.license(&daemon, TERMS));
        let root = root_of(&vendor);
        let at = SocketAddr::new(server.addr(), PORT);
        let site = desk.enter(|| {
            runtime().block_on(async {
                tls::peer_key(&Peer::welcomed(at, &key(1), root).await.connection).unwrap()
            })
        });
        let (relayed, forged) = (
            Pretender::relay(&relay, site, root, at),
            Pretender::forger(&forger, site, root),
        );
        desk.enter(|| {
            runtime().block_on(async {
                for _ in 0..WAIT_POLLS_MAX {
                    if relayed.asked() && forged.asked() {
                        break;
                    }
                    pause(200).await;
                }
                assert!(
                    relayed.asked() && forged.asked(),
                    "the daemon never asked them"
                );
                pause(2000).await;
                assert_eq!(refusal_of(at, root).await, None);
            });
        });
        let status = daemon.ask(&["status"]);
        assert!(!status.contains("clone"), "{status}");
        relayed.end();
        forged.end();
    });
}

#[test]
fn a_restored_daemon_stops_when_shown_a_lease_from_beyond_its_store() {
    let station = Station::here();
    let vendor = Vendor::new(&station, "acme");
    let mut daemon = Daemon::start(&station);
    daemon.install(&vendor.license(&daemon, TERMS));
    let (at, root) = (daemon.address(), root_of(&vendor));
    daemon.terminate();
    let older = station.home().join("older");
    copy_directory(&daemon.state_dir(), &older);
    daemon.start_again();
    let runtime = runtime();
    let mut held = runtime.block_on(async {
        let mut peer = Peer::welcomed(at, &key(1), root).await;
        Held::checkout(&mut peer).await
    });
    daemon.kill();
    fs::remove_dir_all(daemon.state_dir()).unwrap();
    copy_directory(&older, &daemon.state_dir());
    daemon.start_again();
    runtime.block_on(async {
        let mut peer = Peer::welcomed(at, &key(1), root).await;
        held.reattach(&mut peer).await;
        let refusal = peer.refused(Request::Checkout(a_seat())).await;
        println!("{}: {}", refusal.code.name(), refusal.detail);
        assert_eq!(refusal.code, RefusalCode::StoreRolledBack);
        assert!(
            refusal.detail.contains("usherd rollback accept"),
            "{}",
            refusal.detail
        );
        held.renew(&mut peer).await;
    });
    // A restart does not make it forget.
    daemon.kill();
    daemon.start_again();
    assert!(daemon.ask(&["status"]).contains("rollback accept"));
    daemon.ask(&["rollback", "accept"]);
    runtime.block_on(async {
        let mut peer = Peer::welcomed(at, &key(1), root).await;
        held.reattach(&mut peer).await;
        assert_eq!(refusal_of(at, root).await, Some(RefusalCode::Holding));
        grants_again(at, root, &mut peer, &mut held).await;
        assert_eq!(peer.ask(held.release()).await, Reply::Released);
    });
}

/// Waits until the daemon refuses every seat with `code`; the lease that runs goes on.
async fn stops(
    at: SocketAddr,
    root: Fingerprint,
    code: RefusalCode,
    holder: &mut Peer,
    held: &mut Held,
) {
    for _ in 0..STOP_POLLS_MAX {
        held.renew(holder).await;
        match refusal_of(at, root).await {
            Some(found) if found == code => return,
            // A copy begins with the leases of the original, which it holds (L4, L12).
            None | Some(RefusalCode::Holding) => pause(200).await,
            Some(other) => panic!("{}", other.name()),
        }
    }
    panic!("{at} goes on");
}

/// Waits for `D + G` to pass.
async fn grants_again(at: SocketAddr, root: Fingerprint, holder: &mut Peer, held: &mut Held) {
    for _ in 0..STOP_POLLS_MAX {
        held.renew(holder).await;
        match refusal_of(at, root).await {
            None => return,
            Some(RefusalCode::Holding) => pause(200).await,
            Some(other) => panic!("{}", other.name()),
        }
    }
    panic!("{at} does not lend again");
}

/// Checks a seat out and gives it back: why not, if not.
async fn refusal_of(at: SocketAddr, root: Fingerprint) -> Option<RefusalCode> {
    let mut peer = Peer::welcomed(at, &key(2), root).await;
    let seat = a_seat();
    let refusal = match peer.ask(Request::Checkout(seat)).await {
        // Its few seconds run out by themselves.
        Reply::Granted(_) => None,
        Reply::Refused(refusal) => Some(refusal.code),
        other => panic!("{other:?}"),
    };
    peer.leave().await;
    refusal
}

/// A host that advertises our site key and does not have it.
struct Pretender {
    asked: Arc<AtomicU64>,
    stop: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Pretender {
    /// Passes every datagram on to the daemon, and back.
    fn relay(host: &Host, site: PublicKey, root: Fingerprint, to: SocketAddr) -> Self {
        Self::start(host, site, root, move |asked| async move {
            let outside = UdpSocket::bind(("0.0.0.0", PORT)).await.unwrap();
            let inside = UdpSocket::bind("0.0.0.0:0").await.unwrap();
            inside.connect(to).await.unwrap();
            let (mut client, mut question, mut answer) = (None, [0; 2048], [0; 2048]);
            loop {
                tokio::select! {
                    Ok((length, from)) = outside.recv_from(&mut question) => {
                        client = Some(from);
                        asked.fetch_add(1, Relaxed);
                        let _ = inside.send(&question[..length]).await;
                    }
                    Ok(length) = inside.recv(&mut answer) => {
                        if let Some(client) = client {
                            let _ = outside.send_to(&answer[..length], client).await;
                        }
                    }
                }
            }
        })
    }

    /// Serves with a key of its own.
    fn forger(host: &Host, site: PublicKey, root: Fingerprint) -> Self {
        Self::start(host, site, root, |asked| async move {
            let listen = SocketAddr::from(([0, 0, 0, 0], PORT));
            let config = tls::server_config(&key(66)).unwrap();
            let endpoint = quinn::Endpoint::server(config, listen).unwrap();
            while let Some(incoming) = endpoint.accept().await {
                let ended = incoming.await.map(|_| ()).unwrap_err();
                println!("the forger's caller: {ended}");
                asked.fetch_add(1, Relaxed);
            }
        })
    }

    fn start<F>(
        host: &Host,
        site: PublicKey,
        root: Fingerprint,
        serve: impl FnOnce(Arc<AtomicU64>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()>,
    {
        let asked = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = oneshot::channel::<()>();
        let (instance, counts, own) = (host.name().to_owned(), Arc::clone(&asked), host.addr());
        let thread = host.spawn(move || {
            runtime().block_on(async {
                // IPv4 alone is served, so that alone is advertised.
                let setup = Setup {
                    instance,
                    port: PORT,
                    addresses: vec![own],
                };
                let (clones, _sightings) = mpsc::channel(1);
                let advert = Advert::start(setup, Content::new(&site, &[root]), clones);
                tokio::select! {
                    () = serve(counts) => {}
                    _ = stopped => {}
                }
                advert.stop().await;
            });
        });
        Self {
            asked,
            stop,
            thread,
        }
    }

    fn asked(&self) -> bool {
        self.asked.load(Relaxed) > 0
    }

    fn end(self) {
        drop(self.stop);
        self.thread.join().unwrap();
    }
}

/// As a copied machine: the state of one daemon becomes another's.
pub(super) fn copy(from: &Daemon, to: &Daemon) {
    fs::remove_dir_all(to.state_dir()).unwrap();
    copy_directory(&from.state_dir(), &to.state_dir());
}

fn copy_directory(from: &std::path::Path, to: &std::path::Path) {
    told(
        &Command::new("cp")
            .arg("-a")
            .args([from, to])
            .output()
            .unwrap(),
        "cp -a",
    );
}

/// One thread: threads of a pool would be born outside the host's network.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Lengths so small that `D + G` passes while a test waits (T8).
const TERMS: &[&str] = &[
    "--environment",
    "test",
    "--feature",
    "solver:200,lease-min=2s,lease-default=10s,lease-max=10s",
];
const PORT: u16 = usher_protocol::limits::PORT_DEFAULT;
const STOP_POLLS_MAX: u32 = 600;
const WAIT_POLLS_MAX: u32 = 600;
