//! `usherd nagios`: a check for Nagios, Icinga and their kin. Ends with 0, 1, 2 or 3 as they expect it.

use usher_client::clock::Clock;
use usher_protocol::time::DurationMs;

use super::site;
use crate::{
    cli::{Failure, print},
    compat::nagios::{Limits, Verdict, judge, silent},
    config::Places,
};

/// What to look at, and when to raise an alarm.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct NagiosArgs {
    /// Only this feature; may be said again
    #[arg(long, value_name = "FEATURE")]
    feature: Vec<String>,
    /// A warning with more seats in use than this: 8, or 80%
    #[arg(long, short, value_name = "SEATS", default_value = "80%")]
    warning: String,
    /// Critical with more seats in use than this: 9, or 95%
    #[arg(long, short, value_name = "SEATS", default_value = "95%")]
    critical: String,
    /// A warning when a license ends within this: 30d
    #[arg(long, value_name = "LENGTH")]
    expires: Option<String>,
}

/// Judges, prints, and ends with the verdict.
pub(in crate::cli) fn nagios(args: &NagiosArgs, places: &Places) -> Result<(), Failure> {
    let (verdict, text) = match limits(args) {
        Err(message) => (Verdict::Unknown, silent(Verdict::Unknown, &message)),
        Ok(limits) => match site(places, false) {
            Ok(site) => judge(&site, &args.feature, &limits, Clock::new().now().wall),
            Err(failure) => {
                let verdict = of_silence(&failure);
                (verdict, silent(verdict, failure.message()))
            }
        },
    };
    print::text(&text)?;
    match verdict {
        Verdict::Ok => Ok(()),
        other => Err(Failure::said(other as u8)),
    }
}

/// A server that is gone is critical; one that may not be asked cannot be judged.
fn of_silence(failure: &Failure) -> Verdict {
    if failure.is_unreachable() {
        Verdict::Critical
    } else {
        Verdict::Unknown
    }
}

/// What clap does not judge: its own exit code would read as critical.
fn limits(args: &NagiosArgs) -> Result<Limits, String> {
    let expires = args.expires.as_ref().map(|text| text.parse::<DurationMs>());
    Ok(Limits {
        warning: args.warning.parse()?,
        critical: args.critical.parse()?,
        expires_within: expires.transpose().map_err(|error| error.to_string())?,
    })
}
