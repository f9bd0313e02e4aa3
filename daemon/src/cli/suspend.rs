//! `usherd suspend` and `usherd resume`: lend nothing of a license or feature for now (L7).

use super::{
    Failure, admin,
    print::{self, plain},
};
use crate::{
    admin::protocol::{Answer, Ask},
    config::Places,
};

/// What to lend nothing of.
#[derive(Debug, clap::Args)]
pub(super) struct SuspendArgs {
    /// A license's id, `vendor/feature`, or the feature alone where one vendor has it
    #[arg(value_name = "FEATURE-or-LICENSE")]
    what: String,
    /// Why: its holders read it, and the usage log keeps it
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

/// What to lend again.
#[derive(Debug, clap::Args)]
pub(super) struct ResumeArgs {
    /// As it was suspended
    #[arg(value_name = "FEATURE-or-LICENSE")]
    what: String,
}

/// Lends nothing of it from now on.
pub(super) fn suspend(args: SuspendArgs, places: &Places) -> Result<(), Failure> {
    let ask = Ask::Suspend {
        what: args.what,
        reason: args.reason,
    };
    let what = named(admin(places)?.ask(ask)?)?;
    let word = what.strip_prefix("license ").unwrap_or(&what);
    print::text(&format!(
        "✓ {what}: suspended; no seat of it is granted and no lease of it is renewed, until: usherd resume {word}\n"
    ))
}

/// Lends it again.
pub(super) fn resume(args: ResumeArgs, places: &Places) -> Result<(), Failure> {
    let ask = Ask::Resume { what: args.what };
    let what = named(admin(places)?.ask(ask)?)?;
    print::text(&format!("✓ {what}: lent again\n"))
}

fn named(answer: Answer) -> Result<String, Failure> {
    match answer {
        Answer::Suspension { what } => Ok(plain(&what)),
        other => Err(Failure::of_answer(other)),
    }
}
