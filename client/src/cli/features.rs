//! `usher features`: what is lent here. Decides which rows and columns; the servers decide the rest.

use super::{
    context::{Context, nobody_trusted},
    failure::Failure,
    output, progress,
    survey::{self, Offer},
    table::{Side, Table},
};
use serde::Serialize;
use std::{collections::BTreeMap, process::ExitCode};
use usher_client::{
    Error,
    clock::{WallMs, local_rfc3339, utc_rfc3339},
    error::exit,
    protocol::wire::{Environment, FeatureView},
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
        true => output::json(&rows(&offers.list))?,
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
    let notes: Vec<String> = offers.iter().map(|offer| note(&offer.view)).collect();
    let mut columns = vec![
        ("FEATURE", Side::Left),
        ("SEATS", Side::Right),
        ("FREE", Side::Right),
        ("QUEUE", Side::Right),
        ("SERVER", Side::Left),
        ("EXPIRES", Side::Left),
    ];
    // A column that is empty in most sites is not shown there.
    let has_notes = notes.iter().any(|note| !note.is_empty());
    if has_notes {
        columns.push(("NOTE", Side::Left));
    }
    let mut table = Table::new(&columns);
    for ((offer, free), note) in offers.iter().zip(free(offers)).zip(notes) {
        let view = &offer.view;
        let count = |seats: Option<u32>| seats.map_or("unlimited".to_owned(), |n| n.to_string());
        let mut cells = vec![
            format!("{}/{}", offer.trusted.vendor, view.feature),
            count(view.seats),
            count(free),
            view.queued.to_string(),
            offer.server.clone(),
            view.expires.map_or("never".to_owned(), last_day),
        ];
        if has_notes {
            cells.push(note);
        }
        table.row(cells);
    }
    table
}

/// Seats that whoever asks next may hope for, of each offer: neither out, nor kept for somebody, nor
/// reserved. A reservation is the feature's, so it counts once over all its pools. None is unlimited.
fn free(offers: &[Offer]) -> Vec<Option<u32>> {
    let mut reserved: BTreeMap<_, u32> = BTreeMap::new();
    let free = offers.iter().map(|offer| {
        let view = &offer.view;
        let feature = (offer.address, &offer.trusted.vendor, &view.feature);
        let reserved = reserved.entry(feature).or_insert(view.reserved_idle);
        let free = view
            .seats?
            .saturating_sub(view.out)
            .saturating_sub(view.kept);
        let taken = free.min(*reserved);
        *reserved -= taken;
        Some(if view.suspended { 0 } else { free - taken })
    });
    free.collect()
}

/// What the numbers do not say.
fn note(view: &FeatureView) -> String {
    let mut notes = Vec::new();
    if view.suspended {
        notes.push("suspended".to_owned());
    }
    for (seats, what) in [
        (view.reserved_idle, "reserved"),
        (view.kept, "kept for others"),
    ] {
        if seats > 0 {
            notes.push(format!("{seats} {what}"));
        }
    }
    if let Some(beyond) = view
        .seats
        .map(|seats| view.out.saturating_sub(seats))
        .filter(|n| *n > 0)
    {
        notes.push(format!("{beyond} beyond the pool"));
    }
    notes.join(", ")
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

fn rows(offers: &[Offer]) -> Vec<Row<'_>> {
    let rows = offers.iter().zip(free(offers));
    rows.map(|(offer, free)| Row::of(offer, free)).collect()
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
    /// Neither out nor kept nor reserved; null is unlimited.
    free: Option<u32>,
    /// Free, for those a reservation names.
    reserved: u32,
    /// Offered to waiters, or lingering with their last holders.
    kept: u32,
    queued: u32,
    /// How many may be out beyond `seats`.
    overdraft: u32,
    suspended: bool,
    server: &'a str,
    address: String,
    expires: Option<String>,
}

impl<'a> Row<'a> {
    fn of(offer: &'a Offer, free: Option<u32>) -> Self {
        let view = &offer.view;
        Self {
            vendor: offer.trusted.vendor.as_str(),
            feature: view.feature.as_str(),
            license: view.license.as_str(),
            environment: view.environment,
            version: view.version.map(|version| version.to_string()),
            seats: view.seats,
            out: view.out,
            free,
            reserved: view.reserved_idle,
            kept: view.kept,
            queued: view.queued,
            overdraft: view.overdraft,
            suspended: view.suspended,
            server: &offer.server,
            address: offer.address.to_string(),
            expires: view.expires.map(utc_rfc3339),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use usher_client::{protocol::time::DurationMs, trust::TrustedRoot};

    /// Pools of one feature: seats, out, reserved, kept.
    fn pools(pools: &[(u32, u32, u32, u32)]) -> Vec<Offer> {
        let root = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
        let trusted = TrustedRoot {
            vendor: "acme".parse().unwrap(),
            root: (&root).into(),
            path: "acme.pub".into(),
        };
        let offer = |&(seats, out, reserved_idle, kept): &(u32, u32, u32, u32)| Offer {
            trusted: trusted.clone(),
            server: "lic01".to_owned(),
            address: "127.0.0.1:27443".parse().unwrap(),
            view: FeatureView {
                feature: "solver".parse().unwrap(),
                license: "acme-1".parse().unwrap(),
                environment: Environment::Live,
                version: None,
                seats: Some(seats),
                out,
                overdraft: 0,
                reserved_idle,
                kept,
                queued: 3,
                borrow_ms_max: DurationMs::ZERO,
                suspended: false,
                expires: None,
            },
        };
        pools.iter().map(offer).collect()
    }

    #[test]
    fn free_is_what_the_next_who_asks_may_hope_for() {
        let free_of = |of: &[(u32, u32, u32, u32)]| free(&pools(of));
        assert_eq!(free_of(&[(10, 3, 0, 0)]), [Some(7)]);
        assert_eq!(free_of(&[(10, 3, 2, 1)]), [Some(4)]);
        assert_eq!(free_of(&[(10, 12, 2, 1)]), [Some(0)]);
        // The reservation is the feature's: told by both pools, it counts once.
        assert_eq!(free_of(&[(2, 1, 3, 0), (10, 0, 3, 0)]), [Some(0), Some(8)]);
    }

    #[test]
    fn notes_come_with_what_there_is_to_say() {
        let text = table(&pools(&[(10, 3, 0, 0)])).to_string();
        insta::assert_snapshot!(text, @r"
        FEATURE      SEATS  FREE  QUEUE  SERVER  EXPIRES
        acme/solver     10     7      3  lic01   never
        ");
        let mut noted = pools(&[(10, 3, 2, 1), (1, 2, 2, 0)]);
        noted[1].view.suspended = true;
        insta::assert_snapshot!(table(&noted).to_string(), @r"
        FEATURE      SEATS  FREE  QUEUE  SERVER  EXPIRES  NOTE
        acme/solver     10     4      3  lic01   never    2 reserved, 1 kept for others
        acme/solver      1     0      3  lic01   never    suspended, 2 reserved, 1 beyond the pool
        ");
    }

    #[test]
    fn a_license_that_ends_with_a_day_names_that_day() {
        assert_eq!(last_day(WallMs(1_830_297_600_000)), "2027-12-31");
        assert_eq!(
            last_day(WallMs(1_830_297_600_500)).len(),
            "2028-01-01T00:00:00+00:00".len()
        );
    }
}
