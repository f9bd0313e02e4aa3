//! Verbs for tools that were made for other license servers: `lmstat`, a Nagios check, Slurm, LSF.
//!
//! They ask the daemon and print; how it is told is decided in `compat`.

mod lmstat;
mod nagios;
mod schedulers;

pub(super) use lmstat::{LmstatArgs, LmutilVerb, lmstat, lmutil};
pub(super) use nagios::{NagiosArgs, nagios};
pub(super) use schedulers::{ElimArgs, SlurmArgs, elim, slurm};

use super::{Failure, admin, leases::Pages};
use crate::{
    admin::protocol::{Answer, Ask},
    compat::Site,
    config::{Places, host_names},
};

/// What the running daemon says, with or without its leases.
fn site(places: &Places, with_leases: bool) -> Result<Site, Failure> {
    let mut daemon = admin(places)?;
    let status = match daemon.ask(Ask::Status)? {
        Answer::Status(status) => *status,
        other => return Err(Failure::of_answer(other)),
    };
    let mut leases = Vec::new();
    if with_leases {
        let mut pages = Pages::new(daemon);
        while let Some(page) = pages.next()? {
            leases.extend(page);
        }
    }
    Ok(Site::of(&status, leases, &host()))
}

fn host() -> String {
    host_names().into_iter().next().unwrap_or_default()
}
