//! Alerts: who is told, over HTTP and signed, of what an administrator should know (docs/how-to/alerts.md).
//!
//! `picture` looks at the core as any administrator does, `detect` says what is new in what it saw, `outbox` keeps it
//! until it is delivered, `deliver` sends it. Must never be waited for by the core: an alert that cannot be stored or sent
//! delays and fails no grant.

mod deliver;
mod detect;
mod event;
mod outbox;
mod picture;
mod send;
mod sign;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::task::JoinSet;
use usher_client::clock::Clock;

pub use event::Kind;

use crate::{admin::protocol::AlertReport, config::AlertConfig, core::CoreHandle, limits};
use event::{Finding, Phase, Sender};
use outbox::SharedOutbox;

/// The running alerts. Cheap to clone; they end when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Alerts(Arc<Running>);

#[derive(Debug)]
struct Running {
    outbox: SharedOutbox,
    sender: Sender,
    core: CoreHandle,
    tasks: tokio::sync::Mutex<Tasks>,
}

/// End with it.
#[derive(Debug, Default)]
struct Tasks {
    deliveries: JoinSet<()>,
    /// Looks at the core where anybody is to be told.
    watch: JoinSet<()>,
}

/// What alerts are made of.
#[derive(Debug)]
pub struct AlertParts {
    /// Who is told.
    pub endpoints: Vec<AlertConfig>,
    /// Where the outbox is.
    pub state_dir: PathBuf,
    /// The configuration file: secrets may be beside it.
    pub config: Option<PathBuf>,
    /// The server's name for people.
    pub name: String,
    /// The site key, in short.
    pub site: String,
    /// Who is looked at.
    pub core: CoreHandle,
}

impl Alerts {
    /// Starts looking and telling; does neither where nobody is to be told.
    pub fn start(parts: AlertParts) -> Self {
        let running = Running {
            outbox: SharedOutbox::open(&parts.state_dir, &parts.endpoints),
            sender: Sender {
                name: parts.name,
                site: parts.site,
            },
            core: parts.core,
            tasks: tokio::sync::Mutex::default(),
        };
        let mut tasks = Tasks::default();
        // Of this life every denial is news.
        running.begin(&mut tasks, &parts.endpoints, parts.config.as_deref(), 0);
        Self(Arc::new(Running {
            tasks: tasks.into(),
            ..running
        }))
    }

    /// From now on these are told, and tried at once; their secrets may be beside the file `config`. Those that were told
    /// before keep what waits for them; what waits for others is gone with them.
    pub async fn tell_others(&self, endpoints: &[AlertConfig], config: Option<&Path>) {
        let mut tasks = self.0.tasks.lock().await;
        tasks.deliveries.shutdown().await;
        self.0.outbox.tell_others(endpoints).await;
        // What was denied while nobody wanted to know is no news.
        let (seen, _) = self.0.core.meter().denials_since(0);
        self.0.begin(&mut tasks, endpoints, config, seen);
    }

    /// How the delivery to each endpoint is.
    pub fn reports(&self) -> Vec<AlertReport> {
        self.0.outbox.reports()
    }

    /// Sends each endpoint an event that tells nothing but that it comes through.
    pub async fn test(&self) -> Vec<AlertReport> {
        self.tell(Finding {
            kind: Kind::Test,
            phase: Phase::Once,
            subject: "alerts".to_owned(),
            text: "a test, as an administrator wished".to_owned(),
        })
        .await;
        self.reports()
    }

    /// The daemon is about to end because nothing can be stored (L13). Waits for delivery, but not for long: what cannot be
    /// delivered now is told at the next start, if at least this could be stored.
    pub async fn last_words(&self, text: &str) {
        self.tell(Finding {
            kind: Kind::Store,
            phase: Phase::Once,
            subject: "store".to_owned(),
            text: text.to_owned(),
        })
        .await;
        let delivered = async {
            while self.reports().iter().any(|it| it.waiting > 0) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(limits::ALERT_LAST_WORDS_MS_MAX.to_std(), delivered).await;
    }

    async fn tell(&self, finding: Finding) {
        // Nobody wants it, and a store in trouble is not written to for nothing.
        if self.reports().is_empty() {
            return;
        }
        let now = Clock::new().now().wall;
        let event = self.0.sender.event(&finding, now);
        self.0.outbox.put(event.into_iter().collect(), None).await;
    }
}

impl Running {
    fn begin(
        &self,
        tasks: &mut Tasks,
        endpoints: &[AlertConfig],
        config: Option<&Path>,
        seen: u64,
    ) {
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        for (place, endpoint) in endpoints.iter().enumerate() {
            let delivery = deliver::Delivery {
                place,
                secret: endpoint.secret_path(credentials.as_deref(), config),
                endpoint: endpoint.clone(),
                outbox: self.outbox.clone(),
            };
            tasks.deliveries.spawn(delivery.run());
        }
        if endpoints.is_empty() {
            tasks.watch.abort_all();
            tasks.watch = JoinSet::new();
        } else if tasks.watch.is_empty() {
            let (core, outbox) = (self.core.clone(), self.outbox.clone());
            let watch = picture::watch(core, outbox, self.sender.clone(), seen);
            tasks.watch.spawn(watch);
        }
    }
}
