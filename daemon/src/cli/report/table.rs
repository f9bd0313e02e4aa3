//! A report for people on a terminal.

use usher_client::clock::local_rfc3339;
use usher_protocol::time::DurationMs;

use crate::{
    cli::print::{Column, Table, counted, counted_as, plain},
    report::{By, Figures, Report},
};

/// The rows, and why requests were denied.
pub(super) fn text(report: &Report) -> String {
    let (from, to) = (local_rfc3339(report.from.0), local_rfc3339(report.to.0));
    let entries = counted_as(report.entries, "entry", "entries");
    let mut text = format!("{from} to {to}, {entries} of the log read\n");
    text.extend(report.log_begins_late(local_rfc3339).map(|it| it + "\n"));
    text.push('\n');
    if report.rows.is_empty() {
        return text + "nothing was asked for in this time\n";
    }
    let rows: Vec<_> = report.rows.iter().map(row).collect();
    text += &Table::of(columns(report.by), &rows);
    if !report.refusals.is_empty() {
        text.push('\n');
    }
    let refusals = report.refusals.iter().flat_map(|it| {
        let requests = counted(it.count, "request");
        let ended = format!(
            ": {requests} ended with {}
",
            it.reason
        );
        [plain(&it.feature), ended]
    });
    text.extend(refusals);
    text
}

fn row(it: &Figures) -> [String; 14] {
    [
        plain(&it.name),
        it.seats.map_or_else(String::new, |it| it.to_string()),
        it.peak.to_string(),
        format!("{:.1}", it.mean),
        format!("{:.1}", it.hours),
        it.requests.to_string(),
        it.denied.to_string(),
        it.gave_up.to_string(),
        it.refused.to_string(),
        it.waited.to_string(),
        length(it.wait_ms_mean),
        length(it.wait_ms_p95),
        length(it.wait_ms_max),
        it.enough_for_99
            .map_or_else(String::new, |it| it.to_string()),
    ]
}

fn length(length: Option<DurationMs>) -> String {
    length.map_or_else(String::new, |it| it.to_string())
}

const fn columns(by: By) -> [Column; 14] {
    [
        Column::Left(match by {
            By::Feature => "FEATURE",
            By::User => "USER",
            By::Group => "GROUP",
            By::Host => "HOST",
        }),
        Column::RightIfAny("SEATS"),
        Column::Right("PEAK"),
        Column::Right("MEAN"),
        Column::Right("HOURS"),
        Column::Right("REQUESTS"),
        Column::Right("DENIED"),
        Column::RightIfAny("GAVE-UP"),
        Column::RightIfAny("REFUSED"),
        Column::RightIfAny("WAITED"),
        Column::RightIfAny("WAIT-MEAN"),
        Column::RightIfAny("WAIT-95%"),
        Column::RightIfAny("WAIT-MAX"),
        Column::Right("ENOUGH-99%"),
    ]
}
