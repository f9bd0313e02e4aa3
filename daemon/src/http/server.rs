//! When and where the server listens: from the start on where somebody chose an address, else on this machine and
//! only once there is a token. What nobody chose keeps the daemon from nothing when it fails.

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener as StdListener},
    path::PathBuf,
    sync::Arc,
};

use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::{JoinHandle, JoinSet},
};

use super::{
    connection::{self, Door},
    dashboard::Dashboard,
    guard::BadTokens,
    ledger::Ledger,
    routes,
    tls::{self, Certificate, TlsError},
};
use crate::{
    admin::AdminParts,
    config::{Config, HttpConfig, HttpListen},
    limits,
    tokens::Register,
};

/// The server, bound where somebody chose an address.
#[derive(Debug)]
pub struct Http {
    config: HttpConfig,
    state_dir: PathBuf,
    tokens: Register,
    states: watch::Sender<HttpState>,
    bound: Option<Bound>,
}

/// How the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpState {
    /// The configuration wants none.
    Off,
    /// There is no token yet.
    Waiting,
    /// It listens.
    On {
        /// Where.
        addresses: Vec<SocketAddr>,
        /// What it proves itself by: PEM.
        certificate: String,
    },
    /// It cannot listen, and why.
    Failed(String),
}

/// Why there is no server where somebody wanted one. Each message names the next step.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// An address cannot be had.
    #[error(
        "cannot listen for HTTPS on {address}: {source}; is another program there? Choose another with `listen` in [http]"
    )]
    Bind {
        /// Which.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// No certificate or key.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// What every request may need.
#[derive(Debug)]
pub(super) struct Shared {
    /// Answers what an administrator may ask; also knows core, site key and tokens.
    pub(super) admin: Arc<AdminParts>,
    pub(super) config: HttpConfig,
    pub(super) state_dir: PathBuf,
    pub(super) bad: BadTokens,
    /// See [`limits::HTTP_REQUESTS_MAX`].
    pub(super) turns: Semaphore,
    pub(super) ledger: Ledger,
    pub(super) dashboard: Dashboard,
}

#[derive(Debug)]
struct Bound {
    listeners: Vec<StdListener>,
    certificate: Certificate,
}

impl Http {
    /// Opens the register of tokens and binds the addresses that somebody chose.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn prepare(config: &Config) -> Result<Self, HttpError> {
        let chosen = match &config.http.listen {
            HttpListen::Chosen(addresses) => addresses.as_slice(),
            HttpListen::WhenWanted(_) => &[],
        };
        let state = match config.http.listen {
            HttpListen::Chosen(_) if chosen.is_empty() => HttpState::Off,
            _ => HttpState::Waiting,
        };
        let bound = if chosen.is_empty() {
            None
        } else {
            Some(bind(chosen, &config.http, &config.state_dir)?)
        };
        Ok(Self {
            tokens: Register::open(&config.state_dir),
            config: config.http.clone(),
            state_dir: config.state_dir.clone(),
            states: watch::Sender::new(state),
            bound,
        })
    }

    /// Who may use it.
    pub fn tokens(&self) -> Register {
        self.tokens.clone()
    }

    /// How it is, as that changes.
    pub fn states(&self) -> watch::Receiver<HttpState> {
        self.states.subscribe()
    }

    /// Serves until the task is dropped.
    pub fn serve(self, admin: Arc<AdminParts>) -> JoinHandle<()> {
        tokio::spawn(self.run(admin))
    }

    async fn run(mut self, admin: Arc<AdminParts>) {
        let bound = match (self.bound.take(), &self.config.listen) {
            (Some(bound), _) => bound,
            (None, HttpListen::WhenWanted(address)) => match self.when_wanted(*address).await {
                Some(bound) => bound,
                None => return,
            },
            (None, HttpListen::Chosen(_)) => return,
        };
        let shared = Arc::new(Shared {
            dashboard: Dashboard::new(&admin),
            admin,
            config: self.config.clone(),
            state_dir: self.state_dir.clone(),
            bad: BadTokens::default(),
            turns: Semaphore::new(limits::HTTP_REQUESTS_MAX),
            ledger: Ledger::default(),
        });
        if let Err(error) = self.listen(bound, shared).await {
            tracing::error!(event = "https-failed", "HTTPS: {error}");
            self.states
                .send_replace(HttpState::Failed(error.to_string()));
        }
    }

    /// Binds as soon as there is a token; tries again with the next one. None: the daemon ends.
    async fn when_wanted(&self, address: SocketAddr) -> Option<Bound> {
        let mut counts = self.tokens.counts();
        loop {
            counts.wait_for(|count| *count > 0).await.ok()?;
            match bind(&[address], &self.config, &self.state_dir) {
                Ok(bound) => return Some(bound),
                Err(error) => {
                    tracing::warn!(event = "https-failed", "HTTPS: {error}");
                    self.states
                        .send_replace(HttpState::Failed(error.to_string()));
                }
            }
            counts.changed().await.ok()?;
        }
    }

    async fn listen(&self, bound: Bound, shared: Arc<Shared>) -> io::Result<()> {
        let router = routes::router(&shared);
        let door = Door::new(bound.certificate.config, router, limits::HTTP_IDLE_MS_MAX);
        let mut listening = JoinSet::new();
        let mut addresses = Vec::new();
        for listener in bound.listeners {
            listener.set_nonblocking(true)?;
            let listener = TcpListener::from_std(listener)?;
            addresses.push(listener.local_addr()?);
            listening.spawn(connection::accept(listener, door.clone()));
        }
        let state = HttpState::On {
            addresses,
            certificate: bound.certificate.pem,
        };
        tracing::info!(event = "https", "HTTPS on {}", state.addresses().join(", "));
        self.states.send_replace(state);
        while listening.join_next().await.is_some() {}
        Ok(())
    }
}

impl HttpState {
    /// Where it answers, as a browser takes it.
    pub fn addresses(&self) -> Vec<String> {
        match self {
            Self::On { addresses, .. } => {
                addresses.iter().map(|it| format!("https://{it}")).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl fmt::Display for HttpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str(
                "HTTPS is off: `listen` in [http] of the configuration names no address",
            ),
            Self::Waiting => {
                f.write_str("HTTPS waits for a first token: usherd token new --scope read")
            }
            Self::On { .. } => write!(f, "HTTPS on {}", self.addresses().join(", ")),
            Self::Failed(message) => f.write_str(message),
        }
    }
}

fn bind(
    addresses: &[SocketAddr],
    config: &HttpConfig,
    state_dir: &std::path::Path,
) -> Result<Bound, HttpError> {
    let certificate = tls::certificate(config, state_dir)?;
    let listeners = addresses.iter().map(|address| {
        StdListener::bind(address).map_err(|source| HttpError::Bind {
            address: *address,
            source,
        })
    });
    Ok(Bound {
        listeners: listeners.collect::<Result<_, _>>()?,
        certificate,
    })
}
