//! Sends entries to systemd's journal where standard error is connected to it. Must never wait for it: what finds no room
//! is counted, and the count is told with the next that does.

use std::{
    io,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use tracing::{Event, Subscriber};
use tracing_subscriber::{Layer, layer::Context};

use super::fields::Entry;

/// The journal's socket.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
    lost: AtomicU64,
}

impl Journal {
    /// Where `JOURNAL_STREAM` names this very standard error: it may be inherited from a service whose standard error was
    /// replaced since.
    pub(super) fn of_stderr() -> Option<Self> {
        let named = std::env::var("JOURNAL_STREAM").ok()?;
        let stderr = rustix::fs::fstat(io::stderr()).ok()?;
        if !is_stream(&named, stderr.st_dev, stderr.st_ino) {
            return None;
        }
        Self::at(Path::new(SOCKET)).ok()
    }

    fn at(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            path: path.to_owned(),
            lost: AtomicU64::new(0),
        })
    }

    fn send(&self, entry: &[u8]) {
        let lost = self.lost.swap(0, Relaxed);
        if lost > 0 && self.socket.send_to(&lost_lines(lost), &self.path).is_err() {
            self.lost.fetch_add(lost + 1, Relaxed);
        } else if self.socket.send_to(entry, &self.path).is_err() {
            // Full, or systemd-journald is being restarted.
            self.lost.fetch_add(1, Relaxed);
        }
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.send(&Entry::of(event));
    }
}

/// `device:inode`, both decimal.
fn is_stream(named: &str, device: u64, inode: u64) -> bool {
    named == format!("{device}:{inode}")
}

fn lost_lines(count: u64) -> Vec<u8> {
    let message = format!("{count} lines found no room in the journal");
    format!(
        "MESSAGE={message}\nPRIORITY=4\nSYSLOG_IDENTIFIER=usherd\nUSHER_EVENT=not-told\nUSHER_COUNT={count}\n"
    )
    .into_bytes()
}

const SOCKET: &str = "/run/systemd/journal/socket";

#[cfg(test)]
mod tests {
    use std::fs;

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = vec![0; 65_536];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    fn said(say: impl FnOnce()) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let socket = UnixDatagram::bind(&path).unwrap();
        let log = tracing_subscriber::registry().with(Journal::at(&path).unwrap());
        tracing::subscriber::with_default(log, say);
        heard(&socket)
    }

    #[test]
    fn a_fact_comes_with_its_fields() {
        let fact = r#"{"event":"denied","feature":"acme/solver","refusal":"no-seat","count":3,"waited-ms":90000,"display":null,"forked":false}"#;
        let entry = said(|| tracing::info!(fact, notice = true, "denied acme/solver"));
        let mut lines: Vec<_> = entry.lines().collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "MESSAGE=denied acme/solver",
                "PRIORITY=5",
                "SYSLOG_IDENTIFIER=usherd",
                "USHER_COUNT=3",
                "USHER_EVENT=denied",
                "USHER_FEATURE=solver",
                "USHER_REFUSAL=no-seat",
                "USHER_VENDOR=acme",
                "USHER_WAITED_MS=90000",
            ]
        );
    }

    #[test]
    fn who_did_what_to_a_token_has_fields() {
        let (actor, token, scope) = ("root(0)", "desk", "read");
        let entry = said(|| {
            tracing::info!(
                event = "token-made",
                notice = true,
                actor,
                token,
                scope,
                "{actor} made the token {token}"
            );
        });
        for line in [
            "PRIORITY=5",
            "USHER_ACTOR=root(0)",
            "USHER_EVENT=token-made",
            "USHER_SCOPE=read",
            "USHER_TOKEN=desk",
        ] {
            assert!(entry.lines().any(|it| it == line), "{line}: {entry}");
        }
    }

    #[test]
    fn levels_become_priorities() {
        let priority = |entry: String| entry.split_once("PRIORITY=").unwrap().1[..1].to_owned();
        assert_eq!(priority(said(|| tracing::error!("e"))), "3");
        assert_eq!(priority(said(|| tracing::warn!("w"))), "4");
        assert_eq!(priority(said(|| tracing::info!("i"))), "6");
        assert_eq!(priority(said(|| tracing::debug!("d"))), "7");
    }

    #[test]
    fn no_word_of_a_client_makes_a_field_and_none_is_endless() {
        let long = "x".repeat(100_000);
        let fact = serde_json::json!({ "user": "a\nPRIORITY=0", "host": long }).to_string();
        let entry = said(|| tracing::info!(fact, event = "granted", "a\nUSHER_ACTOR=root"));
        assert!(entry.len() < 10_000, "{} bytes", entry.len());
        let names = entry.lines().map(|line| line.split_once('=').unwrap().0);
        let names: std::collections::BTreeSet<_> = names.collect();
        let wanted = "MESSAGE PRIORITY SYSLOG_IDENTIFIER USHER_EVENT USHER_HOST USHER_USER";
        assert_eq!(names, wanted.split(' ').collect());
    }

    #[test]
    fn a_journal_that_is_away_delays_nobody_and_the_next_line_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let journal = Journal::at(&path).unwrap();
        journal.send(b"MESSAGE=1\n");
        journal.send(b"MESSAGE=2\n");
        let socket = UnixDatagram::bind(&path).unwrap();
        journal.send(b"MESSAGE=3\n");
        assert!(heard(&socket).contains("USHER_COUNT=2\n"));
        assert_eq!(heard(&socket), "MESSAGE=3\n");
        fs::remove_file(&path).unwrap();
    }

    /// As journald when it is behind.
    #[test]
    fn a_full_journal_delays_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let socket = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::at(&path).unwrap();
        for _ in 0..10_000 {
            journal.send(b"MESSAGE=1\n");
        }
        assert!(journal.lost.load(Relaxed) > 0);
        drop(socket);
    }

    #[test]
    fn only_this_very_stream_is_the_journal() {
        assert!(is_stream("8:77", 8, 77));
        assert!(!is_stream("8:77", 8, 78));
        assert!(!is_stream("8:77 ", 8, 77));
        assert!(!is_stream("", 8, 77));
    }
}
