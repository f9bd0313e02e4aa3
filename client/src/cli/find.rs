//! `usher find`: every server that any source names, proven or not, and for a vendor that is not
//! trusted the next step (T3). An advert is shown as the hint it is (T4).

use super::{
    context::Context,
    failure::Failure,
    output, progress,
    survey::{self, Seen, Sighting},
    table::{Side, Table},
};
use serde::Serialize;
use std::process::ExitCode;
use usher_client::{Error, trust::Trust};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn find(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let trust = context.trust()?;
    let seen = survey::survey(context, trust.roots());
    let seen = progress::waiting(context, "asking the network", seen).await?;
    let rows = rows(&seen, &trust);
    if args.json {
        output::json(&rows)?;
    } else if !rows.is_empty() {
        output::text(&table(&rows).to_string())?;
        for row in rows.iter().filter(|row| row.is_foreign()) {
            context.say(&next_step(row));
        }
    }
    if rows.is_empty() {
        return Err(Error::from(seen.missed).into());
    }
    for failure in &seen.missed.failures {
        context.say(&format!("no answer: {failure}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// One vendor at one server; several vendors make several rows.
#[derive(Debug, Serialize)]
struct Row {
    server: String,
    address: String,
    source: String,
    /// The vendor's name, where it is trusted.
    vendor: Option<String>,
    /// The vendor root's fingerprint; of an untrusted one as much of it as the advert says.
    fingerprint: Option<String>,
    /// The site key's; of a server that is not proven as much of it as the advert says.
    site: Option<String>,
    proven: bool,
    /// Why it is not proven.
    reason: Option<String>,
}

impl Row {
    fn is_foreign(&self) -> bool {
        self.vendor.is_none()
    }
}

fn rows(seen: &Seen, trust: &Trust) -> Vec<Row> {
    let mut rows = Vec::new();
    for sighting in &seen.sightings {
        let before = rows.len();
        rows.extend(proven(sighting));
        rows.extend(denied(sighting));
        rows.extend(foreign(sighting, trust));
        if rows.len() == before {
            let mut row = bare(sighting);
            row.reason = Some("no vendor trusted here to ask it for".to_owned());
            rows.push(row);
        }
    }
    rows
}

fn bare(sighting: &Sighting) -> Row {
    Row {
        server: sighting.candidate.name.clone(),
        address: sighting.address.to_string(),
        source: sighting.candidate.origin.to_string(),
        vendor: None,
        fingerprint: None,
        site: sighting.candidate.hints.site.clone(),
        proven: false,
        reason: None,
    }
}

fn proven(sighting: &Sighting) -> impl Iterator<Item = Row> {
    sighting.proven.iter().map(|proven| {
        let server = proven.connection.server();
        Row {
            server: server.name.clone(),
            vendor: Some(proven.trusted.vendor.to_string()),
            fingerprint: Some(proven.trusted.root.fingerprint().to_string()),
            site: Some(server.site.fingerprint().to_string()),
            proven: true,
            ..bare(sighting)
        }
    })
}

fn denied(sighting: &Sighting) -> impl Iterator<Item = Row> {
    // What serves one of our vendors need not serve the others.
    let shown = if sighting.proven.is_empty() {
        usize::MAX
    } else {
        0
    };
    sighting
        .denied
        .iter()
        .take(shown)
        .map(|(trusted, error)| Row {
            vendor: Some(trusted.vendor.to_string()),
            fingerprint: Some(trusted.root.fingerprint().to_string()),
            reason: Some(error.to_string()),
            ..bare(sighting)
        })
}

/// Roots that the advert claims and that nobody here trusts.
fn foreign(sighting: &Sighting, trust: &Trust) -> impl Iterator<Item = Row> {
    let unknown = |short: &&String| {
        let is =
            |root: &usher_client::trust::TrustedRoot| root.root.fingerprint().short() == **short;
        !trust.roots().iter().any(is)
    };
    let roots = sighting.candidate.hints.roots.iter().filter(unknown);
    roots.map(|short| Row {
        fingerprint: Some(short.clone()),
        reason: Some("vendor not trusted here".to_owned()),
        ..bare(sighting)
    })
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        ("SERVER", Side::Left),
        ("ADDRESS", Side::Left),
        ("FOUND BY", Side::Left),
        ("VENDOR", Side::Left),
        ("FINGERPRINT", Side::Left),
        ("PROVEN", Side::Left),
    ]);
    for row in rows {
        let fingerprint = row.fingerprint.as_ref().map_or("?", |it| it.as_str());
        table.row([
            row.server.clone(),
            row.address.clone(),
            row.source.clone(),
            row.vendor.clone().unwrap_or_else(|| "?".to_owned()),
            fingerprint.chars().take(8).collect(),
            match (row.proven, &row.reason) {
                (true, _) => "yes".to_owned(),
                (false, Some(reason)) => format!("no: {reason}"),
                (false, None) => "no".to_owned(),
            },
        ]);
    }
    table
}

fn next_step(row: &Row) -> String {
    match &row.fingerprint {
        Some(fingerprint) => format!(
            "next: to use {}, get the vendor's key file and `usher trust add VENDOR.pub`; \
             it must print a fingerprint that begins with {fingerprint}",
            row.server
        ),
        None => format!(
            "next: to use {}, get its vendor's key file and `usher trust add VENDOR.pub`",
            row.server
        ),
    }
}
