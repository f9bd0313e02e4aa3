//! Does a rogue that advertises itself learn nothing, and keep nobody from the true server (T4)?

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::thread;

use quinn::{Connection, Endpoint};
use tokio::sync::{mpsc, oneshot};
use usher_client::{keyfile, tls};
use usher_protocol::documents::endorsement::SignedEndorsement;
use usher_protocol::ids::{Epoch, Fingerprint, LifeId, PublicKey};
use usher_protocol::refusal::{Refusal, RefusalCode};
use usher_protocol::time::WallMs;
use usher_protocol::wire::{Reply, ServerFrame, WIRE_VERSION, Welcome};
use usher_tests::daemon::{Daemon, Vendor};
use usher_tests::hosts::{Host, on_lan};
use usherd::advert::{Advert, AdvertState, Content, Setup};

use super::usher_site::stderr;
use usher_tests::peer::{Peer, hex, key, root_of};

#[test]
fn rogues_learn_the_hello_and_nothing_else_and_keep_nobody_out() {
    on_lan(|lan| {
        let (server, desk) = (lan.host("lic01"), lan.host("desk"));
        let rogues = ["own", "replayed", "garbage", "refusal"].map(|name| lan.host(name));
        let (acme, evil) = (
            Vendor::new(&server, "acme"),
            Vendor::new(&rogues[0], "evil"),
        );
        let mut daemon = Daemon::start_on_host(&server);
        daemon.install(&acme.license(&daemon, TERMS));
        let true_word = word_of(&desk, server.addr(), root_of(&acme));
        // The rogue's own vendor endorses the rogue's own daemon; here only its word is needed.
        let mut theirs = Daemon::start_on_host(&rogues[0]);
        theirs.install(&evil.license(&theirs, TERMS));
        let own_word = word_of(&desk, rogues[0].addr(), root_of(&evil));
        theirs.terminate();
        daemon.terminate();

        trust(&desk, &acme);
        let wanted = root_of(&acme);
        let answers = [
            Answer::Word(own_word),
            Answer::Word(true_word),
            Answer::Garbage,
            Answer::Refusal,
        ];
        let running: Vec<_> = rogues
            .iter()
            .zip(answers)
            .zip(50..)
            .map(|((host, answer), seed)| Rogue::start(host, seed, answer, wanted))
            .collect();

        // One look around need not meet all four within its few seconds.
        let mut looks = (0..LOOKS_MAX).map(|_| {
            let alone = usher_run(&desk);
            let said = stderr(&alone);
            println!("--- rogues alone\n{said}");
            assert_eq!(alone.status.code(), Some(69), "{said}");
            assert!(!said.contains('\u{1b}'), "{said:?}");
            said
        });
        let reasons = || rogues.iter().zip(REASONS);
        let complete = looks.find(|said| reasons().all(|(rogue, why)| told_of(rogue, why, said)));
        assert!(complete.is_some(), "not told of all four");

        daemon.start_again();
        for round in 0..ROUNDS {
            // The last good server would be asked alone.
            desk.sh("find \"$XDG_STATE_HOME\" -name '*.server' -delete");
            let beside = usher_run(&desk);
            assert!(
                beside.status.success(),
                "round {round}: {}",
                stderr(&beside)
            );
            assert!(
                stderr(&beside).contains("from lic01"),
                "{}",
                stderr(&beside)
            );
        }
        let client = client_key(&desk);
        for (rogue, host) in running.into_iter().zip(&rogues) {
            rogue
                .end()
                .assert_learned_little(host.name(), wanted, &client);
        }
    });
}

/// Whether this rogue is among what a command names, for this reason.
fn told_of(rogue: &Host, reason: &str, said: &str) -> bool {
    let mut lines = said.lines().map(str::trim_start);
    lines.any(|line| line.starts_with(rogue.name()) && line.contains(reason))
}

/// What the four are refused for, in their order.
const REASONS: [&str; 4] = [
    "wrong vendor key: ",
    "site key not endorsed: the endorsement is for another server's key",
    "protocol error: ",
    "refused: no-seat: ",
];

/// A server with a key of its own that serves nothing.
struct Rogue {
    learned: Arc<Mutex<Learned>>,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

#[derive(Clone)]
enum Answer {
    /// An endorsement that is not of this connection's key and root.
    Word(SignedEndorsement),
    Garbage,
    /// A "no" that it has no right to say, with a terminal's control characters in it.
    Refusal,
}

/// All that the rogue, who is the TLS server and needs to break nothing, ever got.
#[derive(Default)]
struct Learned {
    streams: Vec<Vec<u8>>,
    certificates: Vec<Vec<u8>>,
    closes: Vec<String>,
}

impl Rogue {
    fn start(host: &Host, seed: u8, answer: Answer, wanted: Fingerprint) -> Self {
        let learned = Arc::new(Mutex::new(Learned::default()));
        let (stop, stopped) = oneshot::channel();
        let (name, learns, own) = (host.name().to_owned(), Arc::clone(&learned), host.addr());
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = host.spawn(move || {
            // One thread: threads of a pool would be born outside the host's network.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let site = PublicKey::from(&key(seed));
                let setup = Setup {
                    instance: name,
                    port: PORT,
                    addresses: vec![],
                };
                let (clones, _sightings) = mpsc::channel(1);
                let advert = Advert::start(setup, Content::new(&site, &[wanted]), clones);
                let listen = SocketAddr::new("::".parse().unwrap(), PORT);
                let endpoint =
                    Endpoint::server(tls::server_config(&key(seed)).unwrap(), listen).unwrap();
                let serving = serve(endpoint, answer, learns);
                let mut states = advert.states();
                let up = states.wait_for(|state| {
                    matches!(state, AdvertState::Advertising { addrs, .. } if addrs.iter().any(|it| it.ip() == own))
                });
                drop(up.await.unwrap());
                ready.send(()).unwrap();
                tokio::select! {
                    () = serving => {}
                    _ = stopped => {}
                }
                advert.stop().await;
            });
        });
        is_ready.recv().unwrap();
        Self {
            learned,
            stop,
            thread,
        }
    }

    fn end(self) -> Learned {
        drop(self.stop);
        self.thread.join().unwrap();
        std::mem::take(&mut self.learned.lock().unwrap())
    }
}

async fn serve(endpoint: Endpoint, answer: Answer, learned: Arc<Mutex<Learned>>) {
    while let Some(incoming) = endpoint.accept().await {
        let (answer, learned) = (answer.clone(), Arc::clone(&learned));
        tokio::spawn(async move {
            if let Ok(connection) = incoming.await {
                meet(&connection, answer, &learned).await;
            }
        });
    }
}

async fn meet(connection: &Connection, answer: Answer, learned: &Mutex<Learned>) {
    let chain = connection.peer_identity().unwrap();
    let chain = chain
        .downcast::<Vec<rustls::pki_types::CertificateDer<'static>>>()
        .unwrap();
    learned
        .lock()
        .unwrap()
        .certificates
        .extend(chain.iter().map(|it| it.to_vec()));
    let Ok((mut send, mut receive)) = connection.accept_bi().await else {
        return;
    };
    let mut got = vec![0; HELLO_BYTES];
    if receive.read_exact(&mut got).await.is_err() {
        return;
    }
    let bytes = match answer {
        Answer::Garbage => b"\x00\x00\x00\x20HTTP/1.1 200 OK\r\n\r\n<html></html>".to_vec(),
        Answer::Refusal => no_seat().encode().unwrap(),
        Answer::Word(endorsement) => welcome(endorsement).encode().unwrap(),
    };
    let _ = send.write_all(&bytes).await;
    // Whatever else the client might say, until it closes.
    while let Ok(Some(chunk)) = receive.read_chunk(4096, true).await {
        got.extend_from_slice(&chunk.bytes);
    }
    let close = connection.closed().await.to_string();
    let mut learned = learned.lock().unwrap();
    learned.streams.push(got);
    learned.closes.push(close);
}

fn no_seat() -> ServerFrame {
    let refusal = Refusal::new(RefusalCode::NoSeat, "\u{1b}[2Jall seats are out");
    ServerFrame::Reply(0, Reply::Refused(refusal))
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

impl Learned {
    /// T4: the `Hello` frame to the byte, a certificate that says its key and nothing else, an empty goodbye.
    fn assert_learned_little(&self, name: &str, wanted: Fingerprint, client: &PublicKey) {
        // Length 36, version 1, kind 1; lowest and highest version 1; the root wanted.
        let expected = format!("00000024{}{}{}", "0101", "0101", hex(&wanted.0));
        println!("--- {name} expected  {expected}");
        assert!(!self.streams.is_empty(), "nobody ever asked {name}");
        for stream in &self.streams {
            println!("    {name} received  {}", hex(stream));
            assert_eq!(hex(stream), expected);
        }
        for close in &self.closes {
            println!("    {name} goodbye   {close}");
            assert!(close.starts_with("closed by peer: 0"), "{close}");
        }
        for certificate in &self.certificates {
            let hex_of = hex(certificate);
            assert_eq!(
                hex_of.matches(SUBJECT_DER).count(),
                2,
                "issuer and subject: {hex_of}"
            );
            assert!(hex_of.contains(&hex(client.as_bytes())));
            for word in ["desk", "root", "anna", "solver"] {
                assert!(
                    !hex_of.contains(&hex(word.as_bytes())),
                    "{word} in {hex_of}"
                );
            }
        }
        println!("    {name} certificate {}", hex(&self.certificates[0]));
    }
}

/// What a daemon shows whoever asks: anybody can have it, and show it elsewhere.
fn word_of(desk: &Host, server: IpAddr, root: Fingerprint) -> SignedEndorsement {
    desk.enter(|| {
        runtime().block_on(async {
            let address = SocketAddr::new(server, PORT);
            let (peer, welcome) = Peer::greeted(address, &key(9), root).await;
            peer.leave().await;
            welcome.endorsement
        })
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn trust(desk: &Host, vendor: &Vendor) {
    let trusted = desk.home().join(".config/usher/trust.d");
    std::fs::create_dir_all(&trusted).unwrap();
    std::fs::copy(
        vendor.directory().join("acme.pub"),
        trusted.join("acme.pub"),
    )
    .unwrap();
}

fn usher_run(desk: &Host) -> Output {
    let mut command = desk.command("usher");
    command
        .env("USER", "anna")
        .args(["run", "--test", "acme/solver", "--", "true"]);
    command.output().unwrap()
}

fn client_key(desk: &Host) -> PublicKey {
    let file = desk.sh("find \"$XDG_STATE_HOME\" -name '*.key'");
    let key = keyfile::load_or_create(Path::new(file.trim_end())).unwrap();
    PublicKey::from(&key)
}

const TERMS: &[&str] = &["--environment", "test", "--feature", "solver:10"];
const PORT: u16 = usher_protocol::limits::PORT_DEFAULT;
const HELLO_BYTES: usize = 40;
const ROUNDS: usize = 5;
const LOOKS_MAX: usize = 10;
/// `CN=usher`, as a certificate writes it.
const SUBJECT_DER: &str = "3010310e300c06035504030c057573686572";
