//! `usherd queue`: who waits for what, first in front (L9).

use super::{
    Failure, admin,
    print::{self, Column, Table, plain},
};
use crate::{
    admin::protocol::{Answer, Ask, WaiterReport},
    config::Places,
};

/// How to print it.
#[derive(Debug, clap::Args)]
pub(super) struct QueueArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints it.
pub(super) fn run(args: &QueueArgs, places: &Places) -> Result<(), Failure> {
    let waiters = match admin(places)?.ask(Ask::Queue)? {
        Answer::Queue(waiters) => waiters,
        other => return Err(Failure::of_answer(other)),
    };
    if args.json {
        print::json(&waiters)
    } else {
        print::text(&told(&waiters))
    }
}

fn told(waiters: &[WaiterReport]) -> String {
    if waiters.is_empty() {
        return "nobody waits\n".to_owned();
    }
    let rows: Vec<_> = waiters.iter().map(row).collect();
    Table::of(COLUMNS, &rows)
}

fn row(waiter: &WaiterReport) -> [String; 8] {
    let expected = waiter.expected_ms.map(|guess| format!("about {guess}"));
    [
        plain(&waiter.feature),
        place(waiter),
        waiter.seats.to_string(),
        plain(&waiter.user),
        plain(&waiter.host),
        waiter.priority.to_string(),
        waiter.waited_ms.to_string(),
        note(waiter).or(expected).unwrap_or_default(),
    ]
}

/// Who has an offer stands in front of all others and has no number any more.
fn place(waiter: &WaiterReport) -> String {
    match waiter.position {
        0 => "offered".to_owned(),
        position => format!("{position} of {}", waiter.waiting),
    }
}

fn note(waiter: &WaiterReport) -> Option<String> {
    let offered = waiter
        .offered_ms
        .map(|left| format!("seats are offered for {left} more"));
    let cut_off = waiter
        .cut_off_ms
        .map(|left| format!("cut off, its place is kept for {left} more"));
    match (offered, cut_off) {
        (Some(offered), Some(cut_off)) => Some(format!("{offered}; {cut_off}")),
        (offered, cut_off) => offered.or(cut_off),
    }
}

const COLUMNS: [Column; 8] = [
    Column::Left("FEATURE"),
    Column::Right("PLACE"),
    Column::Right("SEATS"),
    Column::Left("USER"),
    Column::Left("HOST"),
    Column::RightIfAny("PRIORITY"),
    Column::Right("WAITED"),
    Column::Left("EXPECTED"),
];

#[cfg(test)]
mod tests {
    use usher_protocol::time::DurationMs;

    use super::*;

    #[test]
    fn l9_the_queue_tells_places_offers_and_those_that_are_cut_off() {
        let waiter = |position| WaiterReport {
            feature: "acme/solver".to_owned(),
            position,
            waiting: 3,
            expected_ms: Some(DurationMs::minutes(4)),
            seats: 2,
            user: "anna".to_owned(),
            host: "ws1".to_owned(),
            priority: 0,
            waited_ms: DurationMs::seconds(75),
            offered_ms: None,
            cut_off_ms: None,
        };
        let offered = WaiterReport {
            offered_ms: Some(DurationMs::seconds(21)),
            expected_ms: None,
            priority: 10,
            ..waiter(0)
        };
        let cut_off = WaiterReport {
            cut_off_ms: Some(DurationMs::seconds(40)),
            feature: "acme/solver + acme/mesher".to_owned(),
            ..waiter(3)
        };
        let text = told(&[offered, waiter(2), cut_off]);
        insta::assert_snapshot!(text, @r"
        FEATURE                      PLACE  SEATS  USER  HOST  PRIORITY  WAITED  EXPECTED
        acme/solver                offered      2  anna  ws1         10   1m15s  seats are offered for 21s more
        acme/solver                 2 of 3      2  anna  ws1          0   1m15s  about 4m
        acme/solver + acme/mesher   3 of 3      2  anna  ws1          0   1m15s  cut off, its place is kept for 40s more
        ");
        assert!(!told(&[waiter(1)]).contains("PRIORITY"));
        assert_eq!(told(&[]), "nobody waits\n");
    }
}
