//! Reading configuration and policy anew: a bad one leaves the old ones running and says why.

use std::{path::Path, sync::Arc};

use usher_engine::{
    api::{AdminAsk, Answer},
    policy::Policy,
};

use super::{ACTOR, Daemon};
use crate::{
    admin::protocol::ReloadReport, config::Config, core::CoreHandle, notify, policy::refused_at,
};

impl Daemon {
    /// SIGHUP.
    pub(super) async fn reload_by_signal(&mut self) {
        notify::reloading();
        // What became of it is told already.
        drop(self.reload("SIGHUP").await);
        notify::ready(&self.status_line().await);
    }

    /// As `actor` wishes, and tells what became of it.
    pub(super) async fn reload(&mut self, actor: &str) -> Result<ReloadReport, String> {
        let outcome = self.renew().await;
        match &outcome {
            Ok(report) if report.restart_needed_by.is_empty() => {
                tracing::info!(
                    event = "reloaded",
                    notice = true,
                    actor,
                    "{actor}: configuration and policy reloaded: {}",
                    report.policy
                );
            }
            Ok(report) => {
                let names = report.restart_needed_by.join(", ");
                tracing::warn!(
                    event = "restart-needed",
                    actor,
                    "{actor}: configuration reloaded, but only a restart changes: {names}"
                );
            }
            Err(message) => tracing::error!(
                event = "reload-failed",
                actor,
                "{actor}: the old configuration and policy go on: {message}"
            ),
        }
        outcome
    }

    /// Takes what a running daemon can take, and names the rest.
    async fn renew(&mut self) -> Result<ReloadReport, String> {
        let new = Config::load(&self.overrides).map_err(|error| error.to_string())?;
        let policy = new.load_policy().map_err(|error| error.to_string())?;
        // The one thing that can still be refused comes first: all of it is taken, or nothing.
        if *self.policy != policy {
            let policy = Arc::new(policy);
            set_policy(&self.core, &new.policy, &policy).await?;
            self.policy = policy;
        }
        self.policy_file.send_replace(new.policy.clone());
        let ask = AdminAsk::Configure(new.settings());
        if let Answer::Refused(refusal) = self.core.ask_admin(ACTOR.to_owned(), ask).await {
            return Err(refusal.detail);
        }
        if self.config.alerts != new.alerts {
            let config = new.file.as_deref();
            self.alerts.tell_others(&new.alerts, config).await;
            self.config.alerts.clone_from(&new.alerts);
        }
        // Compared with what runs, not with the last file: what needed a restart still does.
        let names = self.config.restart_needed_by(&new);
        Ok(ReloadReport {
            file: new.file,
            restart_needed_by: names.into_iter().map(str::to_owned).collect(),
            policy_file: new.policy,
            policy: self.policy.summary(),
        })
    }
}

/// Lets the engine judge and take the policy that was read from `file`.
///
/// # Errors
/// Why it does not, for people, pointing into the file where it can; the one before stays.
async fn set_policy(core: &CoreHandle, file: &Path, policy: &Arc<Policy>) -> Result<(), String> {
    let ask = AdminAsk::SetPolicy(Arc::clone(policy));
    let Answer::Refused(refusal) = core.ask_admin(ACTOR.to_owned(), ask).await else {
        return Ok(());
    };
    Err(match &refusal.rule {
        Some(rule) => refused_at(file, rule.line, &refusal.detail).to_string(),
        None => format!("{}: {}", file.display(), refusal.detail),
    })
}
