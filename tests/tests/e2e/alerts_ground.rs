//! The ground of the tests of alerts: real receivers, which judge what they are told by the recipe of the document.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use usher_tests::bins;
use usher_tests::daemon::Daemon;
use usher_tests::station::told;

/// What came in one request.
#[derive(Debug, Clone)]
pub(super) struct Got {
    pub(super) head: String,
    pub(super) body: String,
}

impl Got {
    pub(super) fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn signature(&self) -> &str {
        let field = |line: &'_ str| line.to_ascii_lowercase().starts_with("usher-signature: ");
        let line = self.head.lines().find(|line| field(line)).unwrap();
        line.split_once(": ").unwrap().1
    }
}

/// How a receiver deals with a request; those beyond its list it takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Manner {
    Fail,
    Hang,
}

/// Starts the daemon anew, with one receiver.
pub(super) fn configure(daemon: &mut Daemon, table: &str) {
    assert!(daemon.terminate().success());
    prepare(daemon, table);
    daemon.start_again();
}

/// As [`configure`], of a daemon that does not run.
pub(super) fn prepare(daemon: &mut Daemon, table: &str) {
    let home = home(daemon);
    let (file, secret) = (home.join("usherd.toml"), home.join("alerts.secret"));
    fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&secret, private).unwrap();
    let text = format!("[[alerts]]\n{table}\nsecret-file = \"alerts.secret\"\n");
    fs::write(&file, text).unwrap();
    daemon.set("CONFIG", file.to_str().unwrap());
}

/// How the daemon says the delivery is.
pub(super) fn list(daemon: &Daemon) -> Value {
    serde_json::from_str(&daemon.ask(&["alert", "list", "--json"])).unwrap()
}

pub(super) fn listener() -> (u16, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    (listener.local_addr().unwrap().port(), listener)
}

pub(super) fn receive(listener: TcpListener, manners: &[Manner]) -> Receiver<Got> {
    let (sender, got) = mpsc::channel();
    let manners = manners.to_vec();
    thread::spawn(move || {
        let mut manners = manners.iter();
        let mut hanging = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let manner = manners.next();
            hear(&mut stream, &sender);
            match manner {
                Some(Manner::Hang) => hanging.push(stream),
                Some(Manner::Fail) => answer(&mut stream, "500 Internal Server Error"),
                None => answer(&mut stream, "204 No Content"),
            }
        }
    });
    got
}

pub(super) fn receive_tls(
    listener: TcpListener,
    made: &rcgen::CertifiedKey<rcgen::KeyPair>,
) -> Receiver<Got> {
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let config = std::sync::Arc::new(config);
    let (sender, got) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
            // Who does not trust us says nothing more.
            if stream.conn.complete_io(&mut stream.sock).is_ok() {
                hear(&mut stream, &sender);
                answer(&mut stream, "200 OK");
            }
        }
    });
    got
}

/// Reads one request; whoever goes away before it is whole was never heard.
fn hear(stream: &mut impl Read, sender: &Sender<Got>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let length = head.lines().find_map(|line| {
        let line = line.to_ascii_lowercase();
        line.strip_prefix("content-length: ")?.parse().ok()
    });
    let mut body = vec![0; length.unwrap()];
    reader.read_exact(&mut body).unwrap();
    let body = String::from_utf8(body).unwrap();
    let _ = sender.send(Got { head, body });
}

fn answer(stream: &mut impl Write, status: &str) {
    let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
    let _ = stream.flush();
}

pub(super) fn wait(got: &Receiver<Got>) -> Got {
    got.recv_timeout(Duration::from_mins(2)).unwrap()
}

/// The next event, which must be genuine, and of this kind.
pub(super) fn wait_event(daemon: &Daemon, got: &Receiver<Got>, kind: &str) -> Value {
    let one = wait(got);
    assert!(is_genuine(daemon, &one), "{one:?}");
    let event = one.event();
    assert_eq!(event["event"], kind, "{event}");
    event
}

/// What the document tells receivers to do.
pub(super) fn is_genuine(daemon: &Daemon, got: &Got) -> bool {
    let page = bins::workspace().join("docs/how-to/alerts.md");
    let page = fs::read_to_string(page).unwrap();
    let recipe = page.split_once("```sh\n").unwrap().1;
    let recipe = recipe.split_once("```").unwrap().0;
    let home = home(daemon);
    fs::write(home.join("body"), &got.body).unwrap();
    let script = format!("{recipe}\n[ $? -eq 0 ] || echo forged");
    let mut command = Command::new("sh");
    command
        .current_dir(&home)
        .args(["-c", &script])
        .env("signature", got.signature());
    let said = told(&command.output().unwrap(), "the recipe");
    assert!(said == "genuine\n" || said == "forged\n", "{said}");
    said == "genuine\n"
}

/// Where the daemon's configuration and secrets are.
fn home(daemon: &Daemon) -> PathBuf {
    let socket = daemon.admin_socket();
    socket.parent().map(Path::to_path_buf).unwrap()
}

pub(super) const SECRET: &str = "zq5secret-of-alerts-0123456789";
