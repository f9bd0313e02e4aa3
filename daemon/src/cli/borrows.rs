//! `usherd borrows` and `usherd write-off`: leases for off-line use, and those that are lost (L10).

use usher_client::clock::local_rfc3339;
use usher_protocol::ids::LeaseId;

use super::{
    Failure, admin,
    leases::Pages,
    print::{self, Column, Table, plain},
};
use crate::{
    admin::protocol::{Answer, Ask, LeaseReport},
    config::Places,
};

/// How to print them.
#[derive(Debug, clap::Args)]
pub(super) struct BorrowsArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Which lease is lost.
#[derive(Debug, clap::Args)]
pub(super) struct WriteOffArgs {
    /// Its id, as `usherd borrows` shows it
    lease: LeaseId,
    /// Why: the usage log keeps it
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Lists them, the one that comes back first in front.
pub(super) fn list(args: &BorrowsArgs, places: &Places) -> Result<(), Failure> {
    let mut pages = Pages::new(admin(places)?);
    let mut borrows = Vec::new();
    while let Some(page) = pages.next()? {
        borrows.extend(page.into_iter().filter(|it| it.borrowed_until.is_some()));
    }
    borrows.sort_by_key(|lease| (lease.borrowed_until, lease.id));
    if args.json {
        print::json(&borrows)
    } else {
        print::text(&told(&borrows))
    }
}

/// Counts it against the signed allowance from now on.
pub(super) fn write_off(args: WriteOffArgs, places: &Places) -> Result<(), Failure> {
    let WriteOffArgs { lease, reason } = args;
    match admin(places)?.ask(Ask::WriteOff { lease, reason })? {
        Answer::Done => print::text(&format!(
            "✓ {lease}: written off; its seats can be lent again, and it counts against its license's allowance until its end\n"
        )),
        other => Err(Failure::of_answer(other)),
    }
}

fn told(borrows: &[LeaseReport]) -> String {
    if borrows.is_empty() {
        return "nothing is borrowed\n".to_owned();
    }
    let rows: Vec<_> = borrows.iter().map(row).collect();
    Table::of(COLUMNS, &rows)
}

fn row(lease: &LeaseReport) -> [String; 9] {
    [
        lease.id.to_string(),
        plain(&lease.feature),
        lease.seats.to_string(),
        plain(&lease.user),
        plain(&lease.host),
        lease.client.short(),
        lease.borrowed_until.map(local_rfc3339).unwrap_or_default(),
        lease.free_in_ms.to_string(),
        lease.note.as_deref().map(plain).unwrap_or_default(),
    ]
}

const COLUMNS: [Column; 9] = [
    Column::Left("LEASE"),
    Column::Left("FEATURE"),
    Column::Right("SEATS"),
    Column::Left("USER"),
    Column::Left("HOST"),
    Column::Left("CLIENT"),
    Column::Left("UNTIL"),
    Column::Left("FREE IN"),
    Column::Left("NOTE"),
];

#[cfg(test)]
mod tests {
    use usher_protocol::time::{DurationMs, WallMs};

    use super::*;
    use crate::testing::lease_report;

    #[test]
    fn l10_a_borrow_tells_until_when_it_runs_and_when_its_seats_are_free() {
        let until = WallMs(1_795_953_600_000);
        let borrowed = LeaseReport {
            borrowed_until: Some(until),
            free_in_ms: DurationMs::days(7).plus(DurationMs::hours(1)),
            note: Some("written off".to_owned()),
            ..lease_report(1)
        };
        let text = told(&[borrowed]).replace(&local_rfc3339(until), "2026-11-29T12:00:00+00:00");
        insta::assert_snapshot!(text, @r"
        LEASE  FEATURE      SEATS  USER  HOST  CLIENT    UNTIL                      FREE IN  NOTE
        5-1    acme/solver      1  anna  ws1   00000000  2026-11-29T12:00:00+00:00  7d1h     written off
        ");
        assert_eq!(told(&[]), "nothing is borrowed\n");
    }
}
