//! `usher checkout`, `renew` and `release`: seats for scripts, held by a file instead of a process.
//! Must not renew by itself.

use super::{
    acquire::{self, Outcome, Terms},
    context::Context,
    failure::Failure,
    give_back, leases, output, progress,
};
use serde::Serialize;
use std::{path::PathBuf, process::ExitCode};
use usher_client::{
    LeaseFile,
    clock::{Clock, DurationMs, WallMs, local_rfc3339, utc_rfc3339},
    error::exit,
    process::Signals,
};

#[derive(Debug, clap::Args)]
pub(crate) struct CheckoutArgs {
    /// The feature, such as acme/solver, or solver where one trusted vendor serves it
    #[arg(value_name = "FEATURE")]
    feature: String,
    #[command(flatten)]
    terms: Terms,
    /// How long, such as 8h; the license bounds it
    #[arg(long = "for", value_name = "D")]
    length: DurationMs,
    /// Where to keep the lease, instead of this user's state directory
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RenewArgs {
    /// The lease: its id, or its file
    lease: String,
    /// How long from now, such as 8h, instead of as long as before; the license bounds it
    #[arg(long = "for", value_name = "D")]
    length: Option<DurationMs>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReleaseArgs {
    /// The lease: its id, or its file
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    lease: Option<String>,
    /// Every lease that this user keeps on this machine, but for what was borrowed
    #[arg(long)]
    all: bool,
}

pub(crate) async fn checkout(context: &Context, args: CheckoutArgs) -> Result<ExitCode, Failure> {
    let mut signals = Signals::listen()
        .map_err(|error| Failure::local(format!("cannot listen to signals: {error}")))?;
    let features = std::slice::from_ref(&args.feature);
    let length = Some(args.length);
    let acquired = acquire::acquire(context, &mut signals, features, &args.terms, length).await?;
    let mut acquired = match acquired {
        Outcome::Seats(acquired) => acquired,
        Outcome::Interrupted(code) => return Ok(ExitCode::from(code)),
    };
    let lost = || Failure::new("the seat is lost", exit::LOST);
    let (seat, root) = acquired
        .pop()
        .map(|it| (it.seat, it.root))
        .ok_or_else(lost)?;
    let path = match (args.output, seat.id()) {
        (Some(path), _) => path,
        (None, Some(id)) => context.paths.lease_file(&root, &id),
        (None, None) => return Err(lost()),
    };
    let file = seat.keep(&path).await?;
    tell(context, &file, args.json)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn renew(context: &Context, args: RenewArgs) -> Result<ExitCode, Failure> {
    let mut judged = leases::judge(context, &leases::find(context, &args.lease)?)?;
    let connecting = leases::client_of(context, &judged);
    let client = progress::waiting(context, "looking for its server", connecting).await?;
    if let Some(length) = args.length {
        judged.file.wish(length)?;
    }
    judged.file.renew(&client).await?;
    tell(context, &judged.file, args.json)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn release(context: &Context, args: ReleaseArgs) -> Result<ExitCode, Failure> {
    let Some(lease) = args.lease else {
        return release_all(context).await;
    };
    release_one(context, leases::find(context, &lease)?).await?;
    Ok(ExitCode::SUCCESS)
}

async fn release_all(context: &Context) -> Result<ExitCode, Failure> {
    let mut code = ExitCode::SUCCESS;
    for path in leases::all(context)? {
        // What was borrowed may be wanted off line: `usher return` says which.
        if LeaseFile::load(&path).is_ok_and(|file| file.is_borrowed()) {
            continue;
        }
        if let Err(failure) = release_one(context, path).await {
            code = failure.report();
        }
    }
    Ok(code)
}

async fn release_one(context: &Context, path: PathBuf) -> Result<(), Failure> {
    let judged = leases::judge(context, &path)?;
    let id = judged.file.lease().id;
    let connecting = leases::client_of(context, &judged);
    let client = progress::waiting(context, "looking for its server", connecting).await?;
    let given_back = judged.file.release(&client).await?;
    context.say(&give_back::words(&id.to_string(), given_back));
    Ok(())
}

/// The id alone on standard output, so that a script can take it.
fn tell(context: &Context, file: &LeaseFile, json: bool) -> Result<(), Failure> {
    let now = Clock::new().now();
    let (left, lease) = (file.left(now), file.lease());
    let end = WallMs::plus(now.wall, left);
    if json {
        return output::json(&Kept {
            lease: lease.id.to_string(),
            feature: lease.feature.as_str(),
            license: lease.license.as_str(),
            seats: lease.seats,
            ends: utc_rfc3339(end),
            left_ms: left.0,
            server: file.server(),
            file: file.path().display().to_string(),
        });
    }
    output::text(&format!("{}\n", lease.id))?;
    context.say(&format!(
        "held until {} ({left}), not renewed by itself: `usher renew {id}`, `usher release {id}`",
        local_rfc3339(end),
        id = lease.id
    ));
    Ok(())
}

#[derive(Serialize)]
struct Kept<'a> {
    lease: String,
    feature: &'a str,
    license: &'a str,
    seats: u32,
    /// When the right ends, by this machine's wall clock.
    ends: String,
    left_ms: u64,
    server: &'a str,
    file: String,
}
