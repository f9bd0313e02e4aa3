//! Hears administrators: one task for each connection, one answer for each line.

mod named;
mod retire;
mod tokens;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
    sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
};
use usher_client::clock::{Clock, WallMs};
use usher_engine::api::{self, AdminAsk};
use usher_protocol::{
    documents::license::VerifiedLicense,
    ids::Fingerprint,
    refusal::{Refusal, RefusalCode},
};

use super::{
    AdminSocket, peer,
    protocol::{
        ADMIN_VERSION, Answer, Ask, BackupReport, Question, ReloadReport, Reply, StatusReport,
    },
    report,
};
use crate::{
    advert::AdvertState, alerts::Alerts, core::CoreHandle, http::HttpState, journal::LogWatch,
    limits, quic::Server, site::SiteKey, tokens::Register, usage::LogHead,
};

/// What answers are made of.
#[derive(Debug)]
pub struct AdminParts {
    /// Where questions go.
    pub core: CoreHandle,
    /// Signs the site request.
    pub site: Arc<SiteKey>,
    /// The server's name for people.
    pub name: String,
    /// When this life began.
    pub started: WallMs,
    /// The network face.
    pub server: Arc<Server>,
    /// How the advert is.
    pub advert: watch::Receiver<AdvertState>,
    /// Asks for a reload of the configuration.
    pub reloads: mpsc::Sender<ReloadRequest>,
    /// How far the usage log is.
    pub log: LogWatch,
    /// Where the policy in force came from.
    pub policy_file: watch::Receiver<PathBuf>,
    /// Where backups are put.
    pub backups: PathBuf,
    /// Where the usage log is.
    pub usage: PathBuf,
    /// Who may use the HTTPS server.
    pub tokens: Register,
    /// How the HTTPS server is.
    pub http: watch::Receiver<HttpState>,
    /// Who is told of what goes wrong.
    pub alerts: Alerts,
}

/// Somebody wishes a reload, and waits for its outcome.
#[derive(Debug)]
pub struct ReloadRequest {
    /// Who.
    pub actor: String,
    /// An error is a message for people.
    pub answer: oneshot::Sender<Result<ReloadReport, String>>,
}

/// Serves the socket until the task is dropped.
pub async fn serve(socket: AdminSocket, parts: Arc<AdminParts>) {
    let places = Places::default();
    loop {
        match socket.listener.accept().await {
            Ok((stream, _)) => {
                let Some(place) = places.take().await else {
                    return;
                };
                let (parts, silent) = (Arc::clone(&parts), Arc::clone(&places.silent));
                tokio::spawn(async move {
                    let _place = place;
                    if let Err(error) = hear(stream, &parts, &silent).await {
                        tracing::debug!("an admin connection ended: {error}");
                    }
                });
            }
            Err(error) => {
                tracing::warn!("the admin socket takes nobody: {error}");
                tokio::time::sleep(limits::LINGER_MS.to_std()).await;
            }
        }
    }
}

/// Room for so many administrators. Past the bound the one that has been silent longest makes room, so that
/// connections left open keep no administrator out (A3).
#[derive(Debug)]
struct Places {
    free: Arc<Semaphore>,
    /// Wakes one of those who wait for a question: the first to have begun.
    silent: Arc<Notify>,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            free: Arc::new(Semaphore::new(limits::ADMIN_CONNECTIONS_MAX)),
            silent: Arc::default(),
        }
    }
}

impl Places {
    async fn take(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
            return Some(place);
        }
        self.silent.notify_one();
        Arc::clone(&self.free).acquire_owned().await.ok()
    }
}

async fn hear(stream: UnixStream, parts: &AdminParts, silent: &Notify) -> io::Result<()> {
    let actor = peer::actor(&stream);
    let mut stream = BufReader::new(stream);
    loop {
        let line = tokio::select! {
            biased;
            line = line(&mut stream) => line?,
            () = silent.notified() => return Ok(()),
            () = tokio::time::sleep(limits::ADMIN_IDLE_MS_MAX.to_std()) => return Ok(()),
        };
        let Some(line) = line else { return Ok(()) };
        let answer = match Question::read(&line) {
            Ok(ask) => parts.answer(&actor, ask).await,
            Err(message) => Answer::failed(message),
        };
        let reply = Reply {
            version: ADMIN_VERSION,
            answer,
        };
        let mut bytes = serde_json::to_vec(&reply)?;
        bytes.push(b'\n');
        // Whoever does not read keeps no place for ever either.
        let write = stream.get_mut().write_all(&bytes);
        match tokio::time::timeout(limits::WRITE_MS_MAX.to_std(), write).await {
            Ok(written) => written?,
            Err(_) => return Err(io::Error::other("the answer was not read")),
        }
    }
}

/// One line, bounded; none at the end.
async fn line(stream: &mut BufReader<UnixStream>) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let limit = limits::ADMIN_QUESTION_BYTES_MAX as u64;
    stream.take(limit).read_until(b'\n', &mut line).await?;
    match line.last() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) => Err(io::Error::other("a question without end")),
    }
}

impl AdminParts {
    /// Answers for the administrator `actor`, whose right to ask was judged before.
    pub(crate) async fn answer(&self, actor: &str, ask: Ask) -> Answer {
        match ask {
            Ask::Status => self.status(actor).await,
            Ask::Request => match self.site.request() {
                Ok(text) => Answer::Request(text),
                Err(error) => Answer::failed(error.to_string()),
            },
            Ask::LicenseAdd { text, root } => self.license_add(actor, &text, root).await,
            Ask::Reload => self.reload(actor).await,
            Ask::Backup => self.backup(actor).await,
            Ask::LogRetire { through } => self.retire_log(actor, through).await,
            ask @ Ask::Explain { .. } => self.explain(actor, ask).await,
            Ask::Suspend { what, reason } => self.suspend(actor, &what, Some(reason)).await,
            Ask::Resume { what } => self.suspend(actor, &what, None).await,
            Ask::ClientAccept { client, name } => self.client(actor, &client, Some(name)).await,
            Ask::ClientRemove { client } => self.client(actor, &client, None).await,
            ask @ (Ask::TokenNew { .. }
            | Ask::Tokens
            | Ask::TokenRevoke { .. }
            | Ask::TokenRotate { .. }
            | Ask::HttpCertificate) => self.token(actor, ask).await,
            Ask::Alerts => Answer::Alerts(self.alerts.reports()),
            Ask::AlertTest => Answer::Alerts(self.alerts.test().await),
            other => match engine_ask(other) {
                Some(ask) => self.ask(actor, ask).await,
                None => Answer::failed("this usherd does not know that verb"),
            },
        }
    }

    async fn ask(&self, actor: &str, ask: AdminAsk) -> Answer {
        let who = actor.to_owned();
        match self.core.ask_admin(who, ask).await {
            api::Answer::Licenses(views) => {
                Answer::Licenses(views.into_iter().map(report::license).collect())
            }
            api::Answer::Leases(views) => {
                Answer::Leases(views.into_iter().map(report::lease).collect())
            }
            api::Answer::Installed(view) => Answer::Installed(Box::new(report::license(*view))),
            api::Answer::Explained(explanation) => {
                Answer::Explained(Box::new(report::explanation(*explanation)))
            }
            api::Answer::Clients(views) => {
                Answer::Clients(views.into_iter().map(report::client).collect())
            }
            api::Answer::Queue(views) => {
                Answer::Queue(views.into_iter().map(report::waiter).collect())
            }
            api::Answer::Done => Answer::Done,
            api::Answer::Refused(refusal) => refused(*refusal),
            other => {
                tracing::error!("the engine answered an administrator with {other:?}");
                Answer::failed("usherd answered out of turn; please report it")
            }
        }
    }

    async fn status(&self, actor: &str) -> Answer {
        let who = actor.to_owned();
        match self.core.ask_admin(who, AdminAsk::Status).await {
            api::Answer::Status(status) => {
                let log = self.log.clone();
                // What is told already can be read in the log by whoever takes this as its end.
                let log = tokio::task::spawn_blocking(move || log.caught_up()).await;
                let log = log.unwrap_or_else(|_| self.log.head());
                Answer::Status(Box::new(self.report(*status, log)))
            }
            api::Answer::Refused(refusal) => refused(*refusal),
            other => {
                tracing::error!("the engine answered Status with {other:?}");
                Answer::failed("usherd answered out of turn; please report it")
            }
        }
    }

    fn report(&self, status: api::Status, log: LogHead) -> StatusReport {
        let listen = self.server.addresses().into_iter();
        StatusReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            name: self.name.clone(),
            site: self.site.public.to_string(),
            listen: listen.map(|address| address.to_string()).collect(),
            advert: self.advert.borrow().to_string(),
            started: self.started,
            epoch: status.epoch.0,
            life: status.life.to_string(),
            head: status.head.0,
            connections: self.server.connections(),
            leases: status.leases,
            license_time: status.license_time,
            pools: status.pools.into_iter().map(report::pool).collect(),
            reservations: status
                .reservations
                .into_iter()
                .map(|view| report::reservation(view, &self.policy_file.borrow()))
                .collect(),
            policy: status.policy,
            log: log.into(),
            stopped: status.stopped,
            degraded: status.degraded,
        }
    }

    /// The whole chain is checked here, at the edge (T2); the rest is the engine's (T3, T7).
    async fn license_add(&self, actor: &str, text: &str, root: Option<Fingerprint>) -> Answer {
        let license = match VerifiedLicense::verify(text.as_bytes()) {
            Ok(license) => Arc::new(license),
            Err(error) => return Answer::failed(format!("{error}; {}", error.next_step())),
        };
        let ask = AdminAsk::InstallLicense {
            license: Arc::clone(&license),
            root_confirmed: root,
        };
        let unconfirmed = RefusalCode::RootUnconfirmed.name();
        match self.ask(actor, ask).await {
            Answer::Refused { code, .. } if code == unconfirmed => Answer::ConfirmRoot {
                vendor: license.vendor.to_string(),
                root: license.root().fingerprint(),
            },
            other => other,
        }
    }

    async fn reload(&self, actor: &str) -> Answer {
        let (answer, receiver) = oneshot::channel();
        let request = ReloadRequest {
            actor: actor.to_owned(),
            answer,
        };
        if self.reloads.send(request).await.is_err() {
            return Answer::failed("usherd is stopping; try again when it is back");
        }
        match receiver.await {
            Ok(Ok(report)) => Answer::Reloaded(report),
            Ok(Err(message)) => Answer::failed(message),
            Err(_) => Answer::failed("usherd is stopping; try again when it is back"),
        }
    }

    async fn backup(&self, actor: &str) -> Answer {
        if let Err(error) = usher_client::paths::files::private_directory(&self.backups) {
            let path = self.backups.display();
            return Answer::failed(format!(
                "cannot make {path}: {error}; let the user that runs usherd write there"
            ));
        }
        match self.core.snapshot(new_backup(&self.backups)).await {
            Ok(info) => {
                // It holds what the state holds, so it is told who has one.
                let path = info.path.display();
                tracing::info!(
                    event = "backup-made",
                    notice = true,
                    actor,
                    "{actor} made the backup {path}"
                );
                Answer::Backup(BackupReport {
                    bytes: info.bytes,
                    head: info.header.head,
                    records: info.records,
                    log_number: info.header.log.number,
                    path: info.path,
                })
            }
            Err(message) => Answer::failed(message),
        }
    }
}

/// A name that no backup has: an existing file would be an error of the journal, which ends the daemon
/// (L13). Neither two backups at once nor a wall clock set back may do that.
fn new_backup(directory: &Path) -> PathBuf {
    static BACKUPS: AtomicU64 = AtomicU64::new(1);
    loop {
        let count = BACKUPS.fetch_add(1, Relaxed);
        let wall = Clock::new().now().wall.0;
        let path = directory.join(format!("usherd-{wall}-{count}.snapshot"));
        if !path.exists() {
            return path;
        }
    }
}

/// The verbs that the engine alone answers.
fn engine_ask(ask: Ask) -> Option<AdminAsk> {
    Some(match ask {
        Ask::Leases { after, count_max } => AdminAsk::Leases {
            after,
            count_max: count_max.clamp(1, limits::ADMIN_LEASES_PER_PAGE_MAX),
        },
        Ask::Licenses => AdminAsk::Licenses,
        Ask::LicenseRemove { id } => AdminAsk::RemoveLicense(id),
        Ask::Evict {
            lease,
            reason,
            cool_down_ms,
        } => AdminAsk::Evict {
            lease,
            reason,
            cool_down_ms,
        },
        Ask::Clients => AdminAsk::Clients,
        Ask::Queue => AdminAsk::Queue,
        Ask::WriteOff { lease, reason } => AdminAsk::WriteOff { lease, reason },
        Ask::ConfirmClock => AdminAsk::ConfirmClock,
        Ask::KeepThisClone => AdminAsk::KeepThisClone,
        Ask::AcceptRollback => AdminAsk::AcceptRollback,
        Ask::Status
        | Ask::Request
        | Ask::LicenseAdd { .. }
        | Ask::Reload
        | Ask::Backup
        | Ask::LogRetire { .. }
        | Ask::Explain { .. }
        | Ask::Suspend { .. }
        | Ask::Resume { .. }
        | Ask::ClientAccept { .. }
        | Ask::ClientRemove { .. }
        | Ask::TokenNew { .. }
        | Ask::Tokens
        | Ask::TokenRevoke { .. }
        | Ask::TokenRotate { .. }
        | Ask::HttpCertificate
        | Ask::Alerts
        | Ask::AlertTest => return None,
    })
}

fn refused(refusal: Refusal) -> Answer {
    Answer::Refused {
        code: refusal.code.name().to_owned(),
        detail: refusal.detail,
        support: refusal.support,
    }
}
