//! `usherd serve`: the order in which the daemon comes up, what it reacts to, and how it ends.
//!
//! Order: site key, journal, engine, sockets, advert, then ready. Whatever did not do its job is an
//! error with a next step, and the process exits non-zero.

mod advertise;
mod reload;

use std::{io, path::PathBuf, sync::Arc};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
    task::JoinHandle,
};
use usher_client::clock::Clock;
use usher_engine::{api::AdminAsk, policy::Policy};

use crate::{
    admin::{self, AdminParts, AdminSocket, ReloadRequest, SocketError},
    alerts::{AlertParts, Alerts},
    config::{Config, Overrides},
    core::{self, CoreError, CoreHandle, Ended, StartError},
    facts::Facts,
    http::{Http, HttpError},
    journal::{JournalError, LogWatch, SledJournal, SledOptions, StorePaths},
    limits, notify,
    policy::PolicyError,
    quic::{Server, ServerError, ServerParts},
    site::{self, SiteError, SiteKey},
};
use advertise::Advertising;
use usher_client::keyfile::KeyFileError;

/// Why the daemon did not come up, or did not stay. Each message names the next step.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The policy is wrong.
    #[error("{0}")]
    Policy(#[from] PolicyError),
    /// No site key.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// No random life id.
    #[error(transparent)]
    Life(#[from] KeyFileError),
    /// The store cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The core does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// No network face.
    #[error(transparent)]
    Network(#[from] ServerError),
    /// No admin socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// No HTTPS where somebody wanted it.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// No runtime or no signals.
    #[error("cannot start: {0}; raise the limits of processes and open files (ulimit -u, -n)")]
    Runtime(#[from] io::Error),
    /// Nothing can be made durable any more (L13).
    #[error("stopped, because nothing can be stored any more: {0}")]
    Core(#[from] CoreError),
    /// The core thread panicked.
    #[error("stopped, because the core failed (see above); start usherd again and report this")]
    Panicked,
    /// The stop took longer than it may.
    #[error(
        "the stop took longer than {}; nothing acknowledged is lost",
        limits::DRAIN_MS_MAX
    )]
    Slow,
}

impl ServeError {
    /// Trying again does not help: a file has to be mended.
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Policy(_))
    }
}

/// Serves until SIGTERM or SIGINT, or until something fails.
///
/// # Errors
/// [`ServeError`].
pub fn run(config: Config, overrides: Overrides) -> Result<(), ServeError> {
    // Before anything is made or touched.
    let policy = Arc::new(config.load_policy()?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("usherd-net")
        .build()?;
    let outcome = runtime.block_on(async {
        let daemon = Daemon::start(config, overrides, policy).await?;
        daemon.run().await
    });
    // A name server that does not answer must not delay the end.
    runtime.shutdown_background();
    outcome
}

struct Daemon {
    config: Config,
    overrides: Overrides,
    /// The one in force.
    policy: Arc<Policy>,
    /// Where it came from.
    policy_file: watch::Sender<PathBuf>,
    core: CoreHandle,
    ended: Ended,
    server: Arc<Server>,
    admin: JoinHandle<()>,
    http: JoinHandle<()>,
    reloads: mpsc::Receiver<ReloadRequest>,
    advertising: Advertising,
    alerts: Alerts,
    facts: Facts,
    signals: Signals,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// What made the daemon stop serving.
enum Cause {
    /// It was told to.
    Told(&'static str),
    /// The core ended by itself.
    Core(Result<Result<(), CoreError>, tokio::sync::oneshot::error::RecvError>),
}

impl Daemon {
    async fn start(
        config: Config,
        overrides: Overrides,
        policy: Arc<Policy>,
    ) -> Result<Self, ServeError> {
        // Before anything slow: a signal during the start must end it, not kill it half way.
        let signals = Signals::new()?;
        let site = Arc::new(SiteKey::load_or_create(&config.state_dir)?);
        let (started, log) = start_core(&config, &site, &policy)?;
        // From here on a store without this life's record is a lost one.
        site.mark_used();
        let core = started.handle;
        let facts = Facts::start(&core);
        let server = Arc::new(Server::start(
            &config.listen,
            server_parts(&config, &site, &core),
        )?);
        let socket = AdminSocket::bind(&config.admin_socket)?;
        let http = Http::prepare(&config)?;
        let advertising = Advertising::start(
            &config,
            &site,
            &server.addresses(),
            &core,
            started.life.life,
        )
        .await;
        let (reload_sender, reloads) = mpsc::channel(1);
        let (policy_file, from) = watch::channel(config.policy.clone());
        let alerts = Alerts::start(alert_parts(&config, &site, &core));
        let parts = AdminParts {
            core: core.clone(),
            site,
            name: config.name.as_str().to_owned(),
            started: Clock::new().now().wall,
            server: Arc::clone(&server),
            advert: advertising.states(),
            reloads: reload_sender,
            log,
            policy_file: from,
            backups: config.state_dir.join("backups"),
            usage: StorePaths::new(&config.state_dir).usage,
            tokens: http.tokens(),
            http: http.states(),
            alerts: alerts.clone(),
        };
        let parts = Arc::new(parts);
        let http = http.serve(Arc::clone(&parts));
        let admin = tokio::spawn(admin::serve(socket, parts));
        Ok(Self {
            config,
            overrides,
            policy,
            policy_file,
            core,
            ended: started.ended,
            server,
            admin,
            http,
            reloads,
            advertising,
            alerts,
            facts,
            signals,
        })
    }

    async fn run(mut self) -> Result<(), ServeError> {
        self.say_ready().await;
        let cause = loop {
            tokio::select! {
                ended = &mut self.ended => break Cause::Core(ended),
                _ = self.signals.terminate.recv() => break Cause::Told("SIGTERM"),
                _ = self.signals.interrupt.recv() => break Cause::Told("SIGINT"),
                _ = self.signals.hang_up.recv() => self.reload_by_signal().await,
                Some(ReloadRequest { actor, answer }) = self.reloads.recv() => {
                    let outcome = self.reload(&actor).await;
                    drop(answer.send(outcome));
                }
                () = self.advertising.licenses_changed() => {
                    self.advertising.update(&self.core).await;
                    notify::status(&self.status_line().await);
                }
            }
        };
        self.stop(cause).await
    }

    async fn say_ready(&self) {
        let addresses: Vec<_> = self.server.addresses();
        let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        let status = self.status_line().await;
        tracing::info!(
            event = "serving",
            "serving on UDP {}: {status}",
            addresses.join(", ")
        );
        notify::ready(&status);
    }

    async fn status_line(&self) -> String {
        advertise::status_line(&self.core).await
    }

    /// Answers what is queued, tells clients, leaves office. At most [`limits::DRAIN_MS_MAX`].
    async fn stop(self, cause: Cause) -> Result<(), ServeError> {
        match cause {
            Cause::Told(signal) => {
                tracing::info!(event = "draining", "{signal}: draining");
                notify::stopping("draining");
                let stop = self.drain();
                match tokio::time::timeout(limits::DRAIN_MS_MAX.to_std(), stop).await {
                    Ok(outcome) => outcome,
                    Err(_) => Err(ServeError::Slow),
                }
            }
            Cause::Core(ended) => {
                notify::stopping("stopped by an error");
                // Refusals that are on their way get there.
                self.server.close().await;
                self.admin.abort();
                self.facts.end().await;
                if let Ok(Err(error)) = &ended {
                    let text = format!("the daemon has ended, for nothing can be stored: {error}");
                    self.alerts.last_words(&text).await;
                }
                match ended {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(error)) => Err(error.into()),
                    Err(_) => Err(ServeError::Panicked),
                }
            }
        }
    }

    async fn drain(self) -> Result<(), ServeError> {
        self.core.ask_admin(ACTOR.to_owned(), AdminAsk::Drain).await;
        let goodbye = tokio::spawn(self.advertising.stop());
        self.core.stop().await;
        let outcome = match self.ended.await {
            Ok(outcome) => outcome.map_err(ServeError::from),
            Err(_) => Err(ServeError::Panicked),
        };
        self.facts.end().await;
        self.server.close().await;
        self.http.abort();
        self.admin.abort();
        // Its socket's file goes with it.
        drop(self.admin.await);
        drop(goodbye.await);
        outcome
    }
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

fn start_core(
    config: &Config,
    site: &SiteKey,
    policy: &Arc<Policy>,
) -> Result<(core::Started, LogWatch), ServeError> {
    let journal = SledJournal::open(&config.state_dir, &SledOptions::default())?;
    let log = journal.log_watch();
    let started = core::start(
        Box::new(journal),
        site.public,
        site.is_older,
        site::random_life()?,
        config.settings(),
        Arc::clone(policy),
    )?;
    Ok((started, log))
}

fn server_parts(config: &Config, site: &SiteKey, core: &CoreHandle) -> ServerParts {
    ServerParts {
        core: core.clone(),
        site_key: site.key.clone(),
        site: site.public,
        name: config.name.as_str().to_owned(),
        connections_per_address_max: config.connections_per_address_max,
        strangers_max: limits::STRANGERS_MAX,
    }
}

fn alert_parts(config: &Config, site: &SiteKey, core: &CoreHandle) -> AlertParts {
    AlertParts {
        endpoints: config.alerts.clone(),
        state_dir: config.state_dir.clone(),
        config: config.file.clone(),
        name: config.name.as_str().to_owned(),
        site: site.public.fingerprint().to_string(),
        core: core.clone(),
    }
}

/// Who acts when the daemon itself does.
pub(crate) const ACTOR: &str = "daemon";
