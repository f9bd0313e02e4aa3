//! `usher status`: the leases in this user's files, judged off line and by their servers where
//! those can be reached. Must not renew or release anything.

use super::{
    context::Context,
    failure::Failure,
    leases::{self, Judged},
    output, progress,
    table::{Side, Table},
};
use serde::Serialize;
use std::process::ExitCode;
use usher_client::{
    Client, borrow,
    clock::{local_rfc3339, utc_rfc3339},
    protocol::{names::VendorName, refusal::HolderView},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn status(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let mut rows = Vec::new();
    for path in leases::all(context)? {
        match leases::judge(context, &path) {
            Ok(judged) if leases::removed_if_over(context, &judged) => {}
            Ok(judged) => {
                let word = server_word(context, &judged);
                let word = progress::waiting(context, "asking the server", word).await;
                rows.push(Row::of(&judged, word));
            }
            // One bad file must not hide the others.
            Err(failure) => drop(failure.report()),
        }
    }
    if borrow::unanswered_count(&context.paths) > 0 {
        context.say(
            "a borrow was asked for and not answered, so its seat may be out: \
             `usher return FEATURE` gives it back, `usher borrow FEATURE` brings it",
        );
    }
    match args.json {
        true => output::json(&rows)?,
        false if rows.is_empty() => context.say("no lease is kept here"),
        false => output::text(&table(&rows).to_string())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What the lease's server says of it.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
enum ServerWord {
    /// It lists the holder.
    Held,
    /// It does not list the holder.
    NotHeld,
    /// It lists only some holders, and not this one.
    Unknown,
    /// It cannot be asked.
    Unreachable,
    /// It was not asked: nothing here makes the file worth it.
    NotAsked,
}

async fn server_word(context: &Context, judged: &Judged) -> ServerWord {
    // Off line is where a borrowed one is looked at: no wait for a server that is far away.
    if judged.proof.is_err() || judged.file.is_borrowed() {
        return ServerWord::NotAsked;
    }
    match leases::client_of(context, judged).await {
        Ok(client) => holders_word(&client, judged).await,
        Err(_) => ServerWord::Unreachable,
    }
}

async fn holders_word(client: &Client, judged: &Judged) -> ServerWord {
    let lease = judged.file.lease();
    let is_this = |view: &HolderView| {
        let holder = &lease.holder;
        (&view.user, &view.host, view.process, view.seats)
            == (&holder.user, &holder.host, holder.process, lease.seats)
    };
    match client.holders(&lease.feature).await {
        Ok((holders, _)) if holders.iter().any(is_this) => ServerWord::Held,
        Ok((_, 0)) => ServerWord::NotHeld,
        Ok(_) => ServerWord::Unknown,
        Err(_) => ServerWord::Unreachable,
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        ("LEASE", Side::Left),
        ("FEATURE", Side::Left),
        ("SEATS", Side::Right),
        ("LEFT", Side::Right),
        ("HERE", Side::Left),
        ("SERVER", Side::Left),
    ]);
    for row in rows {
        let vendor = row.vendor.as_ref().map_or("?", VendorName::as_str);
        table.row([
            row.lease.clone(),
            format!("{vendor}/{}", row.feature),
            row.seats.to_string(),
            row.left.clone(),
            row.words(),
            format!("{}: {}", row.address, words(row.server)),
        ]);
    }
    table
}

fn words(word: ServerWord) -> &'static str {
    match word {
        ServerWord::Held => "held",
        ServerWord::NotHeld => "not held",
        ServerWord::Unknown => "cannot tell, too many holders",
        ServerWord::Unreachable => "not reachable",
        ServerWord::NotAsked => "not asked",
    }
}

#[derive(Serialize)]
struct Row {
    lease: String,
    vendor: Option<VendorName>,
    feature: String,
    seats: u32,
    /// Whether it is genuine, ours, and still stands by this machine's clocks.
    holds: bool,
    /// Why not.
    reason: Option<String>,
    /// For off-line use, until `not_after` by the wall clock (L10).
    borrowed: bool,
    #[serde(skip)]
    left: String,
    left_ms: u64,
    #[serde(skip)]
    until: String,
    not_after: String,
    server: ServerWord,
    address: String,
    file: String,
}

impl Row {
    fn words(&self) -> String {
        match (&self.reason, self.borrowed) {
            (Some(reason), _) => reason.clone(),
            (None, true) => format!("borrowed until {}", self.until),
            (None, false) => "holds".to_owned(),
        }
    }

    fn of(judged: &Judged, server: ServerWord) -> Self {
        let lease = judged.file.lease();
        let reason = judged.fault().map(|(_, reason)| reason);
        Self {
            lease: lease.id.to_string(),
            vendor: judged.trusted.as_ref().map(|it| it.vendor.clone()),
            feature: lease.feature.to_string(),
            seats: lease.seats,
            holds: reason.is_none(),
            reason,
            borrowed: lease.borrowed,
            until: local_rfc3339(lease.not_after),
            left: judged.left.to_string(),
            left_ms: judged.left.0,
            not_after: utc_rfc3339(lease.not_after),
            server,
            address: judged.file.server().to_owned(),
            file: judged.file.path().display().to_string(),
        }
    }
}
