//! `usher features`: what is lent here. Decides which rows and columns; the servers decide the rest.

use super::{
    context::{Context, nobody_trusted},
    failure::Failure,
    output, progress,
    survey::{self, Offer},
    table::{Side, Table},
};
use serde::Serialize;
use std::process::ExitCode;
use usher_client::{
    Error,
    clock::{WallMs, local_rfc3339, utc_rfc3339},
    error::exit,
    protocol::wire::Environment,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this one, such as acme/solver or solver
    #[arg(value_name = "FEATURE")]
    feature: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn features(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let trust = context.trust()?;
    if trust.roots().is_empty() {
        return Err(nobody_trusted());
    }
    let asked = survey::offers(context, trust.roots());
    let mut offers = progress::waiting(context, "asking the servers", asked).await?;
    for silent in &offers.silent {
        context.say(&format!("usher: no answer from {silent}"));
    }
    if !offers.proven {
        return Err(Error::from(offers.missed).into());
    }
    if let Some(wanted) = &args.feature {
        offers.list.retain(|offer| is(offer, wanted));
        if offers.list.is_empty() {
            return Err(Failure::new(
                format!(
                    "no server found lends `{wanted}`\nnext: see `usher features` for what is lent"
                ),
                exit::REFUSED,
            ));
        }
    }
    match args.json {
        true => output::json(&offers.list.iter().map(Row::of).collect::<Vec<_>>())?,
        false if offers.list.is_empty() => {
            context.say("no features: the servers found have no license in force");
        }
        false => output::text(&table(&offers.list).to_string())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn is(offer: &Offer, wanted: &str) -> bool {
    match wanted.split_once('/') {
        Some((vendor, feature)) => {
            offer.trusted.vendor.as_str() == vendor && offer.view.feature.as_str() == feature
        }
        None => offer.view.feature.as_str() == wanted,
    }
}

fn table(offers: &[Offer]) -> Table {
    let mut table = Table::new(&[
        ("FEATURE", Side::Left),
        ("SEATS", Side::Right),
        ("FREE", Side::Right),
        ("SERVER", Side::Left),
        ("EXPIRES", Side::Left),
    ]);
    for offer in offers {
        let view = &offer.view;
        let count = |seats: Option<u32>| seats.map_or("unlimited".to_owned(), |n| n.to_string());
        table.row([
            format!("{}/{}", offer.trusted.vendor, view.feature),
            count(view.seats),
            count(view.seats.map(|seats| seats.saturating_sub(view.out))),
            offer.server.clone(),
            view.expires.map_or("never".to_owned(), last_day),
        ]);
    }
    table
}

/// As the license says it: a date ends at 24:00 UTC (T7). Another moment is shown as one.
fn last_day(end: WallMs) -> String {
    const DAY_MS: u64 = 86_400_000;
    if end.0 == 0 || !end.0.is_multiple_of(DAY_MS) {
        return local_rfc3339(end);
    }
    let day = utc_rfc3339(WallMs(end.0 - DAY_MS));
    day.split('T').next().unwrap_or(&day).to_owned()
}

#[derive(Serialize)]
struct Row<'a> {
    vendor: &'a str,
    feature: &'a str,
    license: &'a str,
    environment: Environment,
    version: Option<String>,
    /// Null is unlimited.
    seats: Option<u32>,
    out: u32,
    free: Option<u32>,
    server: &'a str,
    address: String,
    expires: Option<String>,
}

impl<'a> Row<'a> {
    fn of(offer: &'a Offer) -> Self {
        let view = &offer.view;
        Self {
            vendor: offer.trusted.vendor.as_str(),
            feature: view.feature.as_str(),
            license: view.license.as_str(),
            environment: view.environment,
            version: view.version.map(|version| version.to_string()),
            seats: view.seats,
            out: view.out,
            free: view.seats.map(|seats| seats.saturating_sub(view.out)),
            server: &offer.server,
            address: offer.address.to_string(),
            expires: view.expires.map(utc_rfc3339),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_license_that_ends_with_a_day_names_that_day() {
        assert_eq!(last_day(WallMs(1_830_297_600_000)), "2027-12-31");
        assert_eq!(
            last_day(WallMs(1_830_297_600_500)).len(),
            "2028-01-01T00:00:00+00:00".len()
        );
    }
}
