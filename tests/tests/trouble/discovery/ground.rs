//! A licensed server on a host, and searches for it: how each ends, and after how long.

use std::io::Read as _;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use usher_client::clock::Clock;
use usher_tests::daemon::{Daemon, Vendor};
use usher_tests::holder::Holder;
use usher_tests::hosts::Host;

/// How a search ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    Seat,
    /// Exit code and all that was said, which names a next step.
    Reason(String),
    /// Anything else.
    Unclear(String),
}

#[derive(Debug, Clone)]
pub(super) struct Search {
    pub(super) ended: Ended,
    pub(super) took_ms: u64,
}

/// A vendor with one licensed, advertised server.
pub(super) struct Ground {
    pub(super) daemon: Daemon,
    vendor: Vendor,
}

impl Ground {
    /// `terms` as in `10,lease-default=20s`, of `solver`.
    pub(super) fn new(host: &Host, terms: &str) -> Self {
        let vendor = Vendor::new(host, "acme");
        let daemon = Daemon::start_on_host(host);
        let ground = Self { daemon, vendor };
        ground.license(&ground.daemon, &format!("solver:{terms}"));
        ground
    }

    /// A server of another site, licensed by the same vendor.
    pub(super) fn another(&self, host: &Host, feature: &str) -> Daemon {
        let daemon = Daemon::start_on_host(host);
        self.license(&daemon, feature);
        daemon
    }

    fn license(&self, daemon: &Daemon, feature: &str) {
        let terms = ["--environment", "test", "--feature", feature];
        daemon.install(&self.vendor.license(daemon, &terms));
    }

    pub(super) fn holder_on(&self, host: &Host) -> Holder {
        Holder::start(host, &self.vendor.directory().join("acme.pub"), None)
    }

    /// `usher run`, with whatever server is remembered.
    pub(super) fn run(&self, desk: &Host) -> Search {
        let trusted = desk.home().join(".config/usher/trust.d");
        std::fs::create_dir_all(&trusted).unwrap();
        let key = self.vendor.directory().join("acme.pub");
        std::fs::copy(key, trusted.join("acme.pub")).unwrap();
        let mut command = desk.command("usher");
        command.args(["run", "--test", "acme/solver", "--", "true"]);
        command.env("USER", "anna").stdin(Stdio::null());
        let began = boot();
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        while boot() - began < HANG_MS {
            if let Some(status) = child.try_wait().unwrap() {
                let took_ms = boot() - began;
                let mut said = String::new();
                child
                    .stderr
                    .take()
                    .unwrap()
                    .read_to_string(&mut said)
                    .unwrap();
                let ended = match status.code() {
                    Some(0) => Ended::Seat,
                    Some(code) if is_clear(code, &said) => {
                        Ended::Reason(format!("exit {code}: {said}"))
                    }
                    code => Ended::Unclear(format!("{code:?}: {said}")),
                };
                return Search { ended, took_ms };
            }
            thread::sleep(POLL);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let ended = Ended::Unclear(format!("still searching after {HANG_MS} ms"));
        Search {
            ended,
            took_ms: HANG_MS,
        }
    }

    /// Searches until there is a seat; the time is that of all of them.
    pub(super) fn search_until_seat(&self, desk: &Host) -> Search {
        let began = boot();
        for _ in 0..SEARCHES_MAX {
            let last = search(self, desk);
            if last.ended == Ended::Seat {
                return Search {
                    ended: Ended::Seat,
                    took_ms: boot() - began,
                };
            }
            println!("  not yet: {:?}", last.ended);
            assert!(matches!(last.ended, Ended::Reason(_)), "{last:?}");
        }
        panic!("no seat in {SEARCHES_MAX} searches");
    }
}

/// `usher run` from cold: no server is remembered.
pub(super) fn search(ground: &Ground, desk: &Host) -> Search {
    desk.sh("find \"$XDG_STATE_HOME\" \"$XDG_CACHE_HOME\" -name '*.server' -delete");
    ground.run(desk)
}

/// No server reached, no seat, or refused: and what to do about it.
fn is_clear(code: i32, said: &str) -> bool {
    [69, 75, 77].contains(&code) && said.contains("next: ")
}

pub(super) fn boot() -> u64 {
    Clock::new().boot().0
}

const POLL: Duration = Duration::from_millis(20);
/// Far beyond the 5 s of looking and the 10 s of waiting for an answer.
const HANG_MS: u64 = 60_000;
const SEARCHES_MAX: usize = 20;
