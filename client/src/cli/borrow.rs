//! `usher borrow`: seats for off-line use, kept in a file (L10). Must not decide how they are kept:
//! that is the library's.

use super::{context::Context, failure::Failure, output, progress};
use serde::Serialize;
use std::process::ExitCode;
use usher_client::{
    LeaseFile,
    borrow::Lent,
    clock::{Clock, DurationMs, local_rfc3339, utc_rfc3339},
    protocol::names::FeaturePath,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The feature, such as acme/solver, or solver where one trusted vendor serves it
    feature: String,
    /// How many seats; each is for one process at a time
    #[arg(short = 'n', long = "seats", value_name = "N", default_value_t = 1)]
    seats: u32,
    /// The version of the program: the license must cover it
    #[arg(long, value_name = "V")]
    version: Option<String>,
    /// How long, such as 7d or 12h; license and policy bound it
    #[arg(long = "for", value_name = "D")]
    length: DurationMs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn borrow(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let (trusted, feature) = context.choose(&args.feature).await?;
    let builder = context.builder(trusted.root, context.environment());
    let connecting = progress::waiting(context, "looking for a license server", builder.connect());
    let client = connecting.await?;
    let mut borrow = client
        .borrow(feature.as_str(), args.length.to_std())
        .seats(args.seats);
    if let Some(version) = &args.version {
        borrow = borrow.version(version);
    }
    let lent = progress::waiting(context, "borrowing", borrow.into_future()).await?;
    let vendor = trusted.vendor;
    tell(context, &FeaturePath { vendor, feature }, &lent, args.json)?;
    Ok(ExitCode::SUCCESS)
}

/// The id alone on standard output, so that a script can take it.
fn tell(context: &Context, path: &FeaturePath, lent: &Lent, json: bool) -> Result<(), Failure> {
    let lease = lent.file.lease();
    if lent.was_asked_before {
        context.say("usher: this is what was borrowed before, when the answer was lost");
    }
    if json {
        return output::json(&Kept::of(path, &lent.file));
    }
    output::text(&format!("{}\n", lease.id))?;
    let seats = match lease.seats {
        1 => String::new(),
        n => format!("{n} seats, "),
    };
    context.say(&format!(
        "✓ {path}: {seats}borrowed until {}; `usher run {path}` needs no network now, `usher return {path}` gives it back",
        local_rfc3339(lease.not_after),
    ));
    Ok(())
}

#[derive(Serialize)]
struct Kept {
    lease: String,
    feature: String,
    license: String,
    seats: u32,
    /// The end by wall clock.
    until: String,
    left_ms: u64,
    server: String,
    file: String,
}

impl Kept {
    fn of(path: &FeaturePath, file: &LeaseFile) -> Self {
        let lease = file.lease();
        Self {
            lease: lease.id.to_string(),
            feature: path.to_string(),
            license: lease.license.to_string(),
            seats: lease.seats,
            until: utc_rfc3339(lease.not_after),
            left_ms: file.left(Clock::new().now()).0,
            server: file.server().to_owned(),
            file: file.path().display().to_string(),
        }
    }
}
