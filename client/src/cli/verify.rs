//! `usher verify`: one lease file, judged off line (T3). Must not talk to anybody.

use super::{
    context::Context,
    failure::Failure,
    leases::{self, Judged},
    output,
};
use serde::Serialize;
use std::{path::PathBuf, process::ExitCode};
use usher_client::{
    clock::{local_rfc3339, utc_rfc3339},
    protocol::wire::Environment,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The lease file
    #[arg(value_name = "LEASEFILE")]
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn verify(context: &Context, args: &Args) -> Result<ExitCode, Failure> {
    let judged = leases::judge(context, &args.file)?;
    let fault = judged.fault();
    if args.json {
        output::json(&Verdict::of(&judged))?;
    } else if judged.proof.is_ok() {
        output::text(&describe(&judged))?;
    }
    match fault {
        None => Ok(ExitCode::SUCCESS),
        Some((code, _)) if args.json => Ok(ExitCode::from(code)),
        Some((code, reason)) => Err(Failure::new(
            format!("{}: {reason}", args.file.display()),
            code,
        )),
    }
}

fn describe(judged: &Judged) -> String {
    let lease = judged.file.lease();
    let vendor = judged.trusted.as_ref().map(|it| it.vendor.to_string());
    let vendor = vendor.unwrap_or_default();
    let holder = &lease.holder;
    format!(
        "lease    {}\nfeature  {vendor}/{}, seats: {}\nlicense  {}\nholder   {}@{}, process {}\nsigned   {}\nends     {}, {} left here\n",
        lease.id,
        lease.feature,
        lease.seats,
        lease.license,
        holder.user,
        holder.host,
        holder.process,
        local_rfc3339(lease.issued),
        local_rfc3339(lease.not_after),
        judged.left,
    )
}

#[derive(Serialize)]
struct Verdict<'a> {
    /// Whether it is genuine, ours, and still stands.
    holds: bool,
    genuine: bool,
    ours: bool,
    reason: Option<String>,
    vendor: Option<&'a str>,
    lease: String,
    feature: &'a str,
    license: &'a str,
    environment: Environment,
    seats: u32,
    user: &'a str,
    host: &'a str,
    process: u32,
    issued: String,
    not_after: String,
    left_ms: u64,
}

impl<'a> Verdict<'a> {
    fn of(judged: &'a Judged) -> Self {
        let lease = judged.file.lease();
        let fault = judged.fault();
        Self {
            holds: fault.is_none(),
            genuine: judged.proof.is_ok(),
            ours: judged.proof.as_ref().is_ok_and(|proven| proven.is_ours),
            reason: fault.map(|(_, reason)| reason),
            vendor: judged.trusted.as_ref().map(|it| it.vendor.as_str()),
            lease: lease.id.to_string(),
            feature: lease.feature.as_str(),
            license: lease.license.as_str(),
            environment: lease.environment,
            seats: lease.seats,
            user: &lease.holder.user,
            host: &lease.holder.host,
            process: lease.holder.process,
            issued: utc_rfc3339(lease.issued),
            not_after: utc_rfc3339(lease.not_after),
            left_ms: judged.left.0,
        }
    }
}
