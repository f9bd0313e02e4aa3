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

use std::{path::PathBuf, sync::Arc, time::Duration};

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
    /// Ends with it.
    _tasks: std::sync::Mutex<JoinSet<()>>,
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
        let outbox = SharedOutbox::open(&parts.state_dir, &parts.endpoints);
        let sender = Sender {
            name: parts.name,
            site: parts.site,
        };
        let mut tasks = JoinSet::new();
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        for (place, endpoint) in parts.endpoints.iter().enumerate() {
            let delivery = deliver::Delivery {
                place,
                secret: endpoint.secret_path(credentials.as_deref(), parts.config.as_deref()),
                endpoint: endpoint.clone(),
                outbox: outbox.clone(),
            };
            tasks.spawn(delivery.run());
        }
        if !parts.endpoints.is_empty() {
            tasks.spawn(picture::watch(parts.core, outbox.clone(), sender.clone()));
        }
        Self(Arc::new(Running {
            outbox,
            sender,
            _tasks: std::sync::Mutex::new(tasks),
        }))
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
