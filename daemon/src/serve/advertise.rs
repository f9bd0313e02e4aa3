//! The advert beside the daemon: told of licenses that come and go. Its failure stops nothing (DESIGN 7).

use std::net::{IpAddr, SocketAddr};

use tokio::{
    sync::{broadcast, mpsc, watch},
    task::JoinHandle,
};
use usher_engine::api::{AdminAsk, Answer, Status};
use usher_protocol::{
    ids::{Fingerprint, LifeId, PublicKey},
    wire::Push,
};

use super::ACTOR;
use crate::{
    advert::{Advert, AdvertState, Content, Setup, host_label},
    clones::{self, CloneWatch},
    config::Config,
    core::CoreHandle,
    limits,
    site::SiteKey,
};

/// The running advert and the watch for clones.
pub(super) struct Advertising {
    advert: Advert,
    site: PublicKey,
    news: broadcast::Receiver<Push>,
    clones: JoinHandle<()>,
}

impl Advertising {
    /// Starts it as the configuration says and waits until it was tried.
    pub(super) async fn start(
        config: &Config,
        site: &SiteKey,
        addresses: &[SocketAddr],
        core: &CoreHandle,
        life: LifeId,
    ) -> Self {
        // Before the licenses are asked for, so that no change falls between.
        let news = core.news();
        let (sightings, seen) = mpsc::channel(limits::CLONE_CHECKS_WAITING_MAX);
        let advert = match (config.advertise, setup(config, addresses)) {
            (true, Some(setup)) => {
                let content = Content::new(&site.public, &roots(core).await);
                Advert::start(setup, content, sightings)
            }
            _ => Advert::off(),
        };
        advert.tried().await;
        let watch = CloneWatch {
            core: core.clone(),
            site: site.public,
            life,
        };
        Self {
            advert,
            site: site.public,
            news,
            clones: tokio::spawn(clones::watch(watch, seen)),
        }
    }

    /// How the advert is, with each change.
    pub(super) fn states(&self) -> watch::Receiver<AdvertState> {
        self.advert.states()
    }

    /// Waits until licenses were added or removed.
    pub(super) async fn licenses_changed(&mut self) {
        loop {
            match self.news.recv().await {
                Ok(Push::FeaturesChanged) | Err(broadcast::error::RecvError::Lagged(_)) => return,
                Ok(_) => {}
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// Advertises what is licensed now.
    pub(super) async fn update(&self, core: &CoreHandle) {
        self.advert
            .update(Content::new(&self.site, &roots(core).await));
    }

    /// Says goodbye.
    pub(super) async fn stop(self) {
        self.clones.abort();
        self.advert.stop().await;
    }
}

/// One line for `systemctl status` and the log: what is lent, or why nothing is.
pub(super) async fn status_line(core: &CoreHandle) -> String {
    match core.ask_admin(ACTOR.to_owned(), AdminAsk::Status).await {
        Answer::Status(status) => line(&status),
        _ => "stopping".to_owned(),
    }
}

fn line(status: &Status) -> String {
    if status.pools.is_empty() {
        return "no license: usherd request".to_owned();
    }
    if let Some(reason) = status.stopped.first() {
        return format!("no seat is granted: {reason}");
    }
    format!(
        "{} features, {} leases out",
        status.pools.len(),
        status.leases
    )
}

async fn roots(core: &CoreHandle) -> Vec<Fingerprint> {
    match core.ask_admin(ACTOR.to_owned(), AdminAsk::Licenses).await {
        Answer::Licenses(views) => views.iter().map(|view| view.root).collect(),
        _ => Vec::new(),
    }
}

/// All addresses of the machine, unless the configuration names some.
fn setup(config: &Config, addresses: &[SocketAddr]) -> Option<Setup> {
    let port = addresses.first()?.port();
    let named: Vec<IpAddr> = addresses
        .iter()
        .filter(|address| address.port() == port)
        .map(SocketAddr::ip)
        .collect();
    let all = named.iter().any(IpAddr::is_unspecified);
    Some(Setup {
        instance: host_label(config.name.as_str()),
        port,
        addresses: if all { Vec::new() } else { named },
    })
}
