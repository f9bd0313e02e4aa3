//! `usher return`: what was borrowed goes back before its end (L10). Must not decide when its seat is
//! free again: the server says so.

use super::{
    context::Context,
    failure::Failure,
    leases::{self, Judged},
    progress,
};
use std::{path::PathBuf, process::ExitCode};
use usher_client::{
    LeaseFile, borrow,
    error::exit,
    lease_file::GivenBack,
    protocol::names::{FeatureName, FeaturePath},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The feature, such as acme/solver, or the lease: its id, or its file
    #[arg(value_name = "FEATURE|LEASE")]
    what: String,
}

pub(crate) async fn give_back(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let path = match find(context, &args.what)? {
        Some(path) => path,
        None => unanswered(context, &args.what).await?,
    };
    let judged = leases::judge(context, &path)?;
    if !judged.file.is_borrowed() {
        return Err(Failure::new(
            format!("{} was not borrowed\nnext: `usher release` it", args.what),
            exit::USAGE,
        ));
    }
    let name = name(&judged);
    if leases::removed_if_over(context, &judged) {
        return Ok(ExitCode::SUCCESS);
    }
    // T6: only the device that has it.
    if let Some((code, reason)) = judged.not_ours() {
        let path = judged.file.path().display();
        return Err(Failure::new(format!("{path}: {reason}"), code));
    }
    let connecting = leases::client_of(context, &judged);
    let client = progress::waiting(context, "looking for its server", connecting).await?;
    let given_back = judged.file.release(&client).await?;
    context.say(&words(&name, given_back));
    Ok(ExitCode::SUCCESS)
}

/// What became of it, for a person.
pub(crate) fn words(name: &str, given_back: GivenBack) -> String {
    match given_back {
        GivenBack::Free => format!("released {name}"),
        GivenBack::Over => format!("released {name}: its lease was over already"),
        GivenBack::Later(later) => format!(
            "returned {name}; its license does not lend such a seat anew at once, so it comes free in {later}"
        ),
    }
}

fn name(judged: &Judged) -> String {
    let feature = judged.file.lease().feature.clone();
    match &judged.trusted {
        Some(trusted) => {
            let vendor = trusted.vendor.clone();
            FeaturePath { vendor, feature }.to_string()
        }
        None => feature.to_string(),
    }
}

/// A borrow whose answer was lost is out all the same, and in a file before it goes back (L5).
async fn unanswered(context: &Context, what: &str) -> Result<PathBuf, Failure> {
    let nothing = || {
        Failure::new(
            format!(
                "nothing of `{what}` is borrowed here\nnext: see `usher status` for what is kept"
            ),
            exit::USAGE,
        )
    };
    if borrow::unanswered_count(&context.paths) == 0 {
        return Err(nothing());
    }
    let (trusted, feature) = context.choose(what).await?;
    let builder = context.builder(trusted.root, context.environment());
    let connecting = progress::waiting(context, "looking for a license server", builder.connect());
    let found = connecting.await?.unanswered_borrow(&feature).await?;
    found.map(|file| file.path().to_owned()).ok_or_else(nothing)
}

/// A feature's one borrowed lease, or what [`leases::find`] finds; none for a feature of which nothing
/// is kept.
fn find(context: &Context, what: &str) -> Result<Option<PathBuf>, Failure> {
    let mut borrowed = of_feature(context, what)?;
    match (borrowed.pop(), borrowed.is_empty()) {
        (Some(file), true) => Ok(Some(file.path().to_owned())),
        (Some(file), false) => {
            borrowed.push(file);
            let ids: Vec<String> = (borrowed.iter())
                .map(|file| file.lease().id.to_string())
                .collect();
            Err(Failure::new(
                format!(
                    "`{what}` was borrowed more than once\nnext: name one of {}",
                    ids.join(", ")
                ),
                exit::USAGE,
            ))
        }
        (None, _) if is_name(what) => Ok(None),
        (None, _) => leases::find(context, what).map(Some),
    }
}

/// A name, and neither an id nor a file that is there.
fn is_name(what: &str) -> bool {
    let named = what.parse::<FeaturePath>().is_ok() || what.parse::<FeatureName>().is_ok();
    let is_id = what.parse::<usher_client::protocol::ids::LeaseId>().is_ok();
    named && !is_id && !std::path::Path::new(what).exists()
}

fn of_feature(context: &Context, what: &str) -> Result<Vec<LeaseFile>, Failure> {
    let (vendor, feature) = match what.split_once('/') {
        Some((vendor, feature)) => (Some(vendor), feature),
        None => (None, what),
    };
    let trust = context.trust()?;
    let is_of = |file: &LeaseFile| {
        let root = trust.by_fingerprint(&file.root().fingerprint());
        let lease = file.lease();
        lease.borrowed
            && lease.feature.as_str() == feature
            && lease.environment == context.environment()
            && vendor.is_none_or(|vendor| root.is_some_and(|it| it.vendor.as_str() == vendor))
    };
    let files = leases::all(context)?;
    let files = files.iter().filter_map(|path| LeaseFile::load(path).ok());
    Ok(files.filter(is_of).collect())
}
