//! A report's rows as RFC 4180: one line a row, numbers without units, lengths in milliseconds.

use super::{Figures, Report};

/// All of it, the line of headings first.
pub fn csv(report: &Report) -> String {
    let rows = report.rows.iter().map(line);
    std::iter::once(HEADINGS.join(",") + "\r\n")
        .chain(rows)
        .collect()
}

fn line(it: &Figures) -> String {
    let number = |it: Option<u64>| it.map_or_else(String::new, |it| it.to_string());
    let cells = [
        field(&it.name),
        number(it.seats.map(u64::from)),
        it.requests.to_string(),
        it.granted.to_string(),
        it.peak.to_string(),
        it.mean.to_string(),
        it.hours.to_string(),
        it.denied.to_string(),
        it.gave_up.to_string(),
        it.refused.to_string(),
        it.got_later.to_string(),
        it.waited.to_string(),
        number(it.wait_ms_mean.map(|it| it.0)),
        number(it.wait_ms_p95.map(|it| it.0)),
        number(it.wait_ms_max.map(|it| it.0)),
        number(it.enough_for_99.map(u64::from)),
    ];
    cells.join(",") + "\r\n"
}

/// Names are the clients' own words: a spreadsheet must not take one for a formula.
fn field(text: &str) -> String {
    let text = match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => format!("'{text}"),
        _ => text.to_owned(),
    };
    if text.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text
}

const HEADINGS: [&str; 16] = [
    "name",
    "seats",
    "requests",
    "granted",
    "peak",
    "mean",
    "hours",
    "denied",
    "gave-up",
    "refused",
    "got-later",
    "waited",
    "wait-ms-mean",
    "wait-ms-p95",
    "wait-ms-max",
    "enough-for-99",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_cell_and_no_formula() {
        assert_eq!(field("anna"), "anna");
        assert_eq!(field("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(field("=1+1"), "'=1+1");
        assert_eq!(field("@x\n"), "\"'@x\n\"");
    }
}
