//! `usherd lmstat` and `usherd lmutil lmstat`: flags as FlexNet's command has them.

use jiff::tz::TimeZone;
use usher_protocol::limits::PORT_DEFAULT;

use super::{host, site};
use crate::{
    cli::{Failure, print},
    compat::lmstat::{Part, outage, text},
    config::Places,
};

/// What to tell.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct LmstatArgs {
    /// Everything
    #[arg(short = 'a')]
    all: bool,
    /// Features of which something is in use
    #[arg(short = 'A')]
    active: bool,
    /// One feature and its users
    #[arg(short = 'f', value_name = "FEATURE", num_args = 0..=1, default_missing_value = "")]
    feature: Option<String>,
    /// The features of one vendor
    #[arg(short = 'S', value_name = "VENDOR", num_args = 0..=1, default_missing_value = "")]
    vendor: Option<String>,
    /// What the licenses hold and when they end, of one feature or all
    #[arg(short = 'i', value_name = "FEATURE", num_args = 0..=1, default_missing_value = "")]
    info: Option<String>,
    /// The server alone
    #[arg(short = 's', value_name = "SERVER", num_args = 0..=1, default_missing_value = "")]
    server: Option<String>,
    /// Taken and not looked at: the daemon is this machine's
    #[arg(short = 'c', value_name = "LICENSE")]
    license: Option<String>,
    /// Taken and not looked at
    #[arg(short = 't', value_name = "SECONDS")]
    timeout: Option<String>,
    /// The version of this command
    #[arg(short = 'v')]
    version: bool,
}

/// `lmutil`'s verbs.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum LmutilVerb {
    /// What the server lends, to whom
    #[command(disable_version_flag = true)]
    Lmstat(LmstatArgs),
}

/// `usherd lmutil …`, for monitors that call `lmutil`.
pub(in crate::cli) fn lmutil(verb: &LmutilVerb, places: &Places) -> Result<(), Failure> {
    match verb {
        LmutilVerb::Lmstat(args) => lmstat(args, places),
    }
}

/// Prints it; where no daemon answers, what every parser takes for an outage.
pub(in crate::cli) fn lmstat(args: &LmstatArgs, places: &Places) -> Result<(), Failure> {
    if args.version {
        let version = env!("CARGO_PKG_VERSION");
        let arch = std::env::consts::ARCH;
        return print::text(&format!("lmstat v{version} build 0 {arch}\n"));
    }
    let part = args.part();
    let with_leases = !matches!(part, Part::Server | Part::Info(_));
    match site(places, with_leases) {
        Ok(site) => print::text(&text(&site, &part, &TimeZone::system())),
        Err(failure) => {
            print::text(&outage(&host(), PORT_DEFAULT))?;
            Err(failure)
        }
    }
}

impl LmstatArgs {
    /// The most telling flag wins, as in the original.
    fn part(&self) -> Part<'_> {
        // A flag without a name means all.
        if let Some(info) = &self.info {
            return Part::Info(Some(info.as_str()).filter(|name| !name.is_empty()));
        }
        match (&self.feature, &self.vendor) {
            (Some(feature), _) if !feature.is_empty() => return Part::Feature(feature),
            (None, Some(vendor)) if !vendor.is_empty() => return Part::Vendor(vendor),
            (None, None) => {}
            _ => return Part::All,
        }
        match (self.all, self.active) {
            (true, _) => Part::All,
            (false, true) => Part::Active,
            (false, false) => Part::Server,
        }
    }
}
