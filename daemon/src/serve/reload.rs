//! Reading the configuration anew: a bad one leaves the old one running and says why.

use usher_engine::api::{AdminAsk, Answer};

use super::{ACTOR, Daemon};
use crate::{admin::protocol::ReloadReport, config::Config, notify};

impl Daemon {
    /// SIGHUP.
    pub(super) async fn reload_by_signal(&mut self) {
        notify::reloading();
        match self.reload().await {
            Ok(report) if report.restart_needed_by.is_empty() => {
                tracing::info!("configuration reloaded");
            }
            Ok(report) => {
                let names = report.restart_needed_by.join(", ");
                tracing::warn!("configuration reloaded, but only a restart changes: {names}");
            }
            Err(message) => tracing::error!("the old configuration goes on: {message}"),
        }
        notify::ready(&self.status_line().await);
    }

    /// Takes what a running daemon can take, and names the rest.
    pub(super) async fn reload(&mut self) -> Result<ReloadReport, String> {
        let new = Config::load(&self.overrides).map_err(|error| error.to_string())?;
        let ask = AdminAsk::Configure(new.settings());
        if let Answer::Refused(refusal) = self.core.ask_admin(ACTOR.to_owned(), ask).await {
            return Err(refusal.detail);
        }
        // Compared with what runs, not with the last file: what needed a restart still does.
        let names = self.config.restart_needed_by(&new);
        Ok(ReloadReport {
            file: new.file,
            restart_needed_by: names.into_iter().map(str::to_owned).collect(),
        })
    }
}
