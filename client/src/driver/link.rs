//! Decides when a client looks for its server and how long it waits between vain attempts.

use super::Event;
use crate::{
    clock::{BootMs, Clock},
    connection::{ConnectError, Connection, Dialer, Wanted},
    discover::{Address, Budget, DomainWishes, Source, Wishes, last_good, race},
    error::Error,
    marks::Marks,
    paths::Paths,
};
use ed25519_dalek::SigningKey;
use std::{net::SocketAddr, sync::Arc};
use tokio::sync::mpsc;
use usher_protocol::{
    ids::PublicKey,
    time::DurationMs,
    wire::{Environment, Push},
};

/// What a client connects with, decided once.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) root: PublicKey,
    pub(crate) environment: Environment,
    pub(crate) key: SigningKey,
    pub(crate) paths: Paths,
    /// Addresses given in the program.
    pub(crate) explicit: Vec<String>,
    /// `USHER_SERVER`.
    pub(crate) variable: Option<String>,
    /// The domain that was given.
    pub(crate) domain: Option<String>,
    /// What `USHER_DOMAIN` says.
    pub(crate) domain_variable: Option<String>,
    /// The domain of the configuration file.
    pub(crate) domain_configuration: Option<String>,
    /// Addresses of the configuration file.
    pub(crate) configuration: Vec<String>,
    pub(crate) mdns: bool,
    pub(crate) budget: Budget,
}

/// The client's one connection, or the way to the next.
pub(super) struct Link {
    looker: Arc<Looker>,
    report: mpsc::UnboundedSender<Event>,
    state: State,
    /// Counts connections, so that news of an old one is not taken for the new one's.
    number: u64,
    /// Vain looks and connections that did not last, since one did.
    failures: u32,
    up_since: BootMs,
    /// Asked for by a server that drains.
    pause: DurationMs,
}

enum State {
    Up(Connection),
    Dialing,
    Down { due: BootMs },
}

/// A connection that was just proved.
pub(crate) struct Up {
    connection: Connection,
    pushes: mpsc::Receiver<Push>,
}

impl Up {
    pub(super) fn site(&self) -> PublicKey {
        self.connection.server().site
    }
}

impl Link {
    /// Looks for a server for the first time.
    pub(super) async fn open(
        setup: Setup,
        report: mpsc::UnboundedSender<Event>,
    ) -> Result<Self, Error> {
        let dialer =
            Dialer::new(setup.key.clone()).map_err(|error| Error::Local(error.to_string()))?;
        let marks = Marks::new(setup.paths.clone());
        let looker = Arc::new(Looker {
            setup,
            dialer,
            marks,
        });
        let first = Arc::clone(&looker).look(None).await?;
        let mut link = Self {
            looker,
            report,
            state: State::Dialing,
            number: 0,
            failures: 0,
            up_since: BootMs(0),
            pause: DurationMs::ZERO,
        };
        link.up(first, Clock::new().boot());
        Ok(link)
    }

    pub(super) fn connection(&self) -> Option<&Connection> {
        match &self.state {
            State::Up(connection) => Some(connection),
            _ => None,
        }
    }

    /// Whether this number is the running connection's.
    pub(super) fn is(&self, number: u64) -> bool {
        number == self.number && self.connection().is_some()
    }

    pub(super) fn up(&mut self, up: Up, now: BootMs) {
        self.number += 1;
        self.up_since = now;
        self.pause = DurationMs::ZERO;
        tokio::spawn(watch(self.number, up.pushes, self.report.clone()));
        self.state = State::Up(up.connection);
    }

    /// The connection is gone or answers nothing: look anew, at once if it has lasted, unless the
    /// server asked to wait.
    pub(super) fn lost(&mut self, now: BootMs, jitter: u16) {
        if let State::Up(connection) = &self.state {
            connection.abandon();
        }
        let wait = if now >= self.up_since.plus(LASTING_MS) {
            self.failures = 0;
            self.pause
        } else {
            self.next_wait(jitter).max(self.pause)
        };
        self.state = State::Down {
            due: now.plus(wait),
        };
    }

    pub(super) fn failed(&mut self, now: BootMs, jitter: u16) {
        let wait = self.next_wait(jitter);
        self.state = State::Down {
            due: now.plus(wait),
        };
    }

    /// Somebody new wants the server: what was not found before may be there now.
    pub(super) fn hurry(&mut self, now: BootMs) {
        if let State::Down { due } = &mut self.state {
            *due = now.plus(self.pause).min(*due);
        }
    }

    /// Short at first, doubled each time.
    fn next_wait(&mut self, jitter: u16) -> DurationMs {
        let wait = DIAL_MS_FIRST.0.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        half_to_whole(DurationMs(wait.min(DIAL_MS_LAST.0)), jitter)
    }

    /// A draining server says when to come back; all its clients at once would be a crowd.
    pub(super) fn wait_before_dialing(&mut self, pause: DurationMs, jitter: u16) {
        self.pause = half_to_whole(pause.min(DIAL_MS_LAST), jitter);
    }

    /// When to dial; none while it is up or being dialed.
    pub(super) fn due(&self) -> Option<BootMs> {
        match self.state {
            State::Down { due } => Some(due),
            _ => None,
        }
    }

    /// Dials if it is time to; with `site`, only that site will do.
    pub(super) fn dial_if_due(&mut self, now: BootMs, site: Option<PublicKey>) {
        if self.due().is_none_or(|due| due > now) {
            return;
        }
        self.state = State::Dialing;
        let (looker, report) = (Arc::clone(&self.looker), self.report.clone());
        tokio::spawn(async move {
            let dialed = looker.look(site).await;
            let _ = report.send(Event::Dialed(dialed));
        });
    }

    /// Ends the connection so that the server knows.
    pub(super) async fn close(&self) {
        if let Some(connection) = self.connection() {
            connection.close();
            self.looker.dialer.flush().await;
        }
    }
}

struct Looker {
    setup: Setup,
    dialer: Dialer,
    marks: Marks,
}

impl Looker {
    /// Asks every source and proves what they name; the first that proves itself wins.
    async fn look(self: Arc<Self>, site: Option<PublicKey>) -> Result<Up, Error> {
        let wanted = Wanted {
            root: self.setup.root,
            environment: self.setup.environment,
            site,
        };
        let until = Clock::new().boot().plus(self.patience());
        let probe = |attempt: crate::discover::Attempt| {
            let (looker, wanted) = (Arc::clone(&self), wanted.clone());
            async move { looker.try_until(until, attempt.addr, &wanted).await }
        };
        let found =
            race::<_, ConnectError, _, _>(self.sources()?, self.setup.budget, probe).await?;
        self.remember(&Address::from(found.addr));
        Ok(found.value)
    }

    /// A server that is there and has no time, or that we lost on the way, is asked again while somebody waits.
    async fn try_until(
        &self,
        until: BootMs,
        address: SocketAddr,
        wanted: &Wanted,
    ) -> Result<Up, ConnectError> {
        let mut pause = RETRY_MS_FIRST;
        loop {
            let opened = Connection::open(&self.dialer, address, wanted, &self.marks).await;
            let error = match opened {
                Ok((connection, pushes)) => return Ok(Up { connection, pushes }),
                Err(error) => error,
            };
            // Its own reason is worth more than the end of our patience.
            if !error.may_pass() || Clock::new().boot().plus(pause) >= until {
                return Err(error);
            }
            // Patience only, so it may stop in a suspend.
            tokio::time::sleep(pause.to_std()).await;
            pause = DurationMs(pause.0.saturating_mul(2));
        }
    }

    fn patience(&self) -> DurationMs {
        DurationMs(u64::try_from(self.setup.budget.wait.as_millis()).unwrap_or(u64::MAX))
    }

    fn sources(&self) -> Result<Vec<Source>, Error> {
        let (path, key) = self.last_good();
        let wishes = Wishes {
            explicit: &self.setup.explicit,
            environment: self.setup.variable.as_deref(),
            configuration: &self.setup.configuration,
            last_good: last_good::recall(&path, &key),
            domain: DomainWishes {
                explicit: self.setup.domain.as_deref(),
                environment: self.setup.domain_variable.as_deref(),
                configuration: self.setup.domain_configuration.as_deref(),
            },
            mdns: self.setup.mdns,
        };
        Ok(wishes.into_sources()?)
    }

    /// Only a shortcut, so that it may fail.
    fn remember(&self, address: &Address) {
        let (path, key) = self.last_good();
        if let Err(error) = last_good::remember(&path, &key, address) {
            tracing::debug!(path = %path.display(), %error, "the server is not remembered");
        }
    }

    fn last_good(&self) -> (std::path::PathBuf, String) {
        let root = self.setup.root.fingerprint();
        (self.setup.paths.last_good_server(&root), root.to_string())
    }
}

/// Reports pushes, and at last the end of the connection.
async fn watch(
    number: u64,
    mut pushes: mpsc::Receiver<Push>,
    report: mpsc::UnboundedSender<Event>,
) {
    while let Some(push) = pushes.recv().await {
        let _ = report.send(Event::Pushed(number, push));
    }
    let _ = report.send(Event::Down(number));
}

fn half_to_whole(length: DurationMs, jitter: u16) -> DurationMs {
    let half = length.0 / 2;
    let more = u128::from(half) * u128::from(jitter) / u128::from(u16::MAX);
    DurationMs(half.saturating_add(u64::try_from(more).unwrap_or(half)))
}

/// After the first vain look for the server, or a connection that did not last.
const DIAL_MS_FIRST: DurationMs = DurationMs(100);

/// Before an address that failed for the moment is tried again in the same look, doubled each time.
const RETRY_MS_FIRST: DurationMs = DurationMs(200);

/// A connection that lived as long was a good one.
const LASTING_MS: DurationMs = DurationMs::seconds(5);

/// Between vain looks at most.
const DIAL_MS_LAST: DurationMs = DurationMs::seconds(30);
