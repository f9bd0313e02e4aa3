//! `usherd status`: one glance. Decides what a person sees first: whether seats are granted, and if not, why.

mod pools;

use serde::Serialize;
use usher_client::clock::{Clock, WallMs, local_rfc3339};

use super::{
    Failure, admin,
    print::{self, counted, plain},
};
use crate::{
    admin::{
        glance,
        protocol::{Answer, Ask, LicenseReport, StatusReport},
    },
    config::Places,
};

/// How to print it.
#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    /// End with exit code 1 when no seat is granted
    #[arg(long)]
    check: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Glance {
    /// Something can be lent: nothing stops granting, and a license lends.
    granting: bool,
    #[serde(flatten)]
    status: StatusReport,
    licenses: Vec<LicenseReport>,
}

/// Prints it.
pub(super) fn run(args: &StatusArgs, places: &Places) -> Result<(), Failure> {
    let mut daemon = admin(places)?;
    let status = match daemon.ask(Ask::Status)? {
        Answer::Status(status) => *status,
        other => return Err(Failure::of_answer(other)),
    };
    let licenses = match daemon.ask(Ask::Licenses)? {
        Answer::Licenses(licenses) => licenses,
        other => return Err(Failure::of_answer(other)),
    };
    let glance = Glance::new(status, licenses);
    if args.json {
        print::json(&glance)?;
    } else {
        print::text(&glance.text(Clock::new().now().wall))?;
    }
    if args.check && !glance.granting {
        return Err(Failure::new(glance.verdict()));
    }
    Ok(())
}

impl Glance {
    fn new(status: StatusReport, licenses: Vec<LicenseReport>) -> Self {
        Self {
            granting: glance::is_granting(&status, &licenses),
            status,
            licenses,
        }
    }

    fn verdict(&self) -> String {
        plain(&glance::verdict(&self.status, &self.licenses))
    }

    fn text(&self, now: WallMs) -> String {
        let status = &self.status;
        let mut text = format!("{}: {}\n", plain(&status.name), self.verdict());
        let since = |what: &str, value: &str| format!("  {what:<10}{value}\n");
        let running = format!(
            "since {} ({}), epoch {}",
            local_rfc3339(status.started),
            now.since(status.started),
            status.epoch
        );
        text += &since("usherd", &format!("{}, {running}", status.version));
        text += &since("serves", &format!("UDP {}", status.listen.join(", ")));
        text += &since("mDNS", &plain(&status.advert));
        text += &since("site key", &status.site);
        text += &since(
            "clients",
            &format!(
                "{} connected, {} out",
                status.connections,
                counted(status.leases as u64, "lease")
            ),
        );
        text += &since("usage log", &format!("entry {}", status.log.number));
        if !status.policy.is_empty() {
            text += &since("policy", &plain(&status.policy));
        }
        if !status.pools.is_empty() {
            text.push('\n');
            text += &pools::table(&status.pools, status.license_time);
        }
        if !status.reservations.is_empty() {
            text.push('\n');
            text += &pools::reservations(&status.reservations);
        }
        let troubles = self.troubles();
        if !troubles.is_empty() {
            text.push('\n');
            text += &troubles;
        }
        text
    }

    fn troubles(&self) -> String {
        let status = &self.status;
        let stopped = status.stopped.iter().map(|it| ("stopped", plain(it)));
        let degraded = status.degraded.iter().map(|it| ("degraded", plain(it)));
        let idle = self.licenses.iter().filter_map(|license| {
            let reason = plain(license.idle_because.as_ref()?);
            Some(("idle", format!("{} lends nothing: {reason}", license.id)))
        });
        let lines = stopped.chain(degraded).chain(idle);
        lines
            .flat_map(|(kind, line)| [kind.to_owned(), ": ".to_owned(), line, "\n".to_owned()])
            .collect()
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
