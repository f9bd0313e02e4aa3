//! `usherd explain`: what a checkout would get, and why not (A4). It ends as the client's would.

use std::{fmt::Write as _, net::IpAddr};

use usher_client::{Error, clock::local_rfc3339};
use usher_protocol::{
    names::Version,
    refusal::{HolderView, Refusal},
    time::DurationMs,
    wire::Environment,
};

use super::{
    Failure, admin,
    print::{self, Column, Table, plain},
};
use crate::{
    admin::protocol::{Answer, Ask, ExplanationReport},
    config::Places,
};

/// Who would ask, and for what.
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// `vendor/feature`, or the feature alone where one vendor is served
    feature: String,
    /// The user who would ask
    #[arg(long, value_name = "USER")]
    user: String,
    /// The host it would ask from
    #[arg(long, value_name = "HOST")]
    host: String,
    /// Its client key, or the first digits of its fingerprint [default: a key never seen]
    #[arg(long, value_name = "KEY")]
    client: Option<String>,
    /// The address it would call from [default: none, which is in no network of the policy]
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
    /// How many seats
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    seats: u32,
    /// The lowest version that would do
    #[arg(long, value_name = "VERSION")]
    version: Option<Version>,
    /// For off-line use, this long: 7d, 12h
    #[arg(long, value_name = "LENGTH")]
    borrow: Option<DurationMs>,
    /// From test licenses, as with USHER_TEST=1
    #[arg(long)]
    test: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Asks, prints, and ends with the exit code that `usher` would end with.
pub(super) fn run(args: ExplainArgs, places: &Places) -> Result<(), Failure> {
    let ask = Ask::Explain {
        feature: args.feature,
        environment: if args.test {
            Environment::Test
        } else {
            Environment::Live
        },
        seats: args.seats,
        version: args.version,
        user: args.user,
        host: args.host,
        client: args.client,
        address: args.address,
        borrow_ms: args.borrow,
    };
    let explanation = match admin(places)?.ask(ask)? {
        Answer::Explained(explanation) => *explanation,
        other => return Err(Failure::of_answer(other)),
    };
    if args.json {
        print::json(&explanation)?;
    } else {
        print::text(&told(&explanation))?;
    }
    match explanation.refusal {
        None => Ok(()),
        Some(refusal) => {
            let error = Error::Refused(Box::new(Refusal::from(refusal)));
            Err(Failure::said(error.exit_code()))
        }
    }
}

fn told(explanation: &ExplanationReport) -> String {
    let detail = plain(&explanation.detail);
    match &explanation.refusal {
        None => format!("✓ {detail}\n"),
        Some(refusal) => {
            let mut text = refusal_told(&Refusal::from(refusal.clone()));
            if !detail.is_empty() {
                text.extend([&detail, "\n"]);
            }
            text
        }
    }
}

/// What, which rule, who holds the seats, when one can come free and why, and the vendor's word.
fn refusal_told(refusal: &Refusal) -> String {
    let mut text = format!("{}: {}\n", refusal.code.name(), plain(&refusal.detail));
    if let Some(rule) = &refusal.rule {
        let (words, file) = (plain(&rule.text), plain(&rule.file));
        let _ = writeln!(text, "  rule: {words} ({file}:{})", rule.line);
    }
    if !refusal.holders.is_empty() {
        let rows: Vec<_> = refusal.holders.iter().map(row).collect();
        for line in Table::of(COLUMNS, &rows).lines() {
            text.extend(["  ", line, "\n"]);
        }
    }
    if refusal.holders_more > 0 {
        let _ = writeln!(text, "  and {} more", refusal.holders_more);
    }
    if let Some(earliest) = refusal.earliest_free_ms {
        let because = refusal.earliest_because.as_deref().map(plain);
        let because = because.map_or_else(String::new, |because| format!(": {because}"));
        let _ = writeln!(text, "  earliest: within {earliest}{because}");
    }
    if let Some(retry) = refusal.retry_after_ms {
        let _ = writeln!(text, "  again: in {retry}");
    }
    if let Some(support) = &refusal.support {
        let _ = writeln!(text, "  vendor: {}", plain(support));
    }
    text
}

fn row(holder: &HolderView) -> [String; 6] {
    let ends = if holder.borrowed {
        format!("{}, borrowed", holder.free_in_ms)
    } else {
        holder.free_in_ms.to_string()
    };
    [
        format!("{}@{}", plain(&holder.user), plain(&holder.host)),
        holder
            .display
            .as_deref()
            .map_or_else(|| "-".to_owned(), plain),
        holder.process.to_string(),
        holder.seats.to_string(),
        local_rfc3339(holder.since),
        ends,
    ]
}

const COLUMNS: [Column; 6] = [
    Column::Left("HELD BY"),
    Column::Left("DISPLAY"),
    Column::Right("PROCESS"),
    Column::Right("SEATS"),
    Column::Left("SINCE"),
    Column::Left("ENDS IN"),
];

#[cfg(test)]
mod tests {
    use usher_protocol::{
        refusal::{RefusalCode, RuleRef},
        time::WallMs,
    };

    use super::*;
    use crate::admin::protocol::RefusalReport;

    fn refusal() -> Refusal {
        Refusal {
            rule: Some(RuleRef {
                text: "reserve 2 seats of acme/solver for night-shift".to_owned(),
                file: "policy.toml".to_owned(),
                line: 12,
            }),
            holders: vec![HolderView {
                user: "ann\u{1b}".to_owned(),
                host: "desk".to_owned(),
                display: Some(":0".to_owned()),
                process: 4711,
                seats: 2,
                since: WallMs(1_795_348_800_000),
                free_in_ms: DurationMs::seconds(312),
                borrowed: true,
            }],
            holders_more: 4,
            earliest_free_ms: Some(DurationMs::seconds(312)),
            earliest_because: Some("ann on desk brings it back".to_owned()),
            retry_after_ms: Some(DurationMs::minutes(5)),
            support: Some("call 555".to_owned()),
            ..Refusal::new(RefusalCode::Reserved, "the 2 free seats are reserved")
        }
    }

    fn report(refusal: Option<Refusal>, detail: &str) -> ExplanationReport {
        ExplanationReport {
            detail: detail.to_owned(),
            refusal: refusal.map(RefusalReport::from),
        }
    }

    #[test]
    fn a4_a_refusal_is_told_in_full_with_its_place_in_the_queue() {
        let text = told(&report(
            Some(refusal()),
            "with --wait it would stand at 3 of 3",
        ));
        let since = local_rfc3339(WallMs(1_795_348_800_000));
        let text = text.replace(&since, "2026-11-22T12:00:00+00:00");
        insta::assert_snapshot!(text, @r"
        reserved: the 2 free seats are reserved
          rule: reserve 2 seats of acme/solver for night-shift (policy.toml:12)
          HELD BY    DISPLAY  PROCESS  SEATS  SINCE                      ENDS IN
          ann�@desk  :0          4711      2  2026-11-22T12:00:00+00:00  5m12s, borrowed
          and 4 more
          earliest: within 5m12s: ann on desk brings it back
          again: in 5m
          vendor: call 555
        with --wait it would stand at 3 of 3
        ");
    }

    #[test]
    fn what_would_be_granted_is_told_in_one_line() {
        let text = told(&report(None, "1 seat of acme/solver, for 10m"));
        assert_eq!(text, "✓ 1 seat of acme/solver, for 10m\n");
    }

    #[test]
    fn a_refusal_travels_whole_to_whoever_reads_json() {
        let text = serde_json::to_string(&report(Some(refusal()), "")).unwrap();
        let read: ExplanationReport = serde_json::from_str(&text).unwrap();
        assert_eq!(read.refusal.map(Refusal::from), Some(refusal()));
        insta::assert_snapshot!(text, @r#"{"detail":"","refusal":{"refusal":"reserved","refusal-number":503,"detail":"the 2 free seats are reserved","rule":{"text":"reserve 2 seats of acme/solver for night-shift","file":"policy.toml","line":12},"holders":[{"user":"ann\u001b","host":"desk","display":":0","process":4711,"seats":2,"since":"2026-11-22T12:00:00Z","free-in-ms":312000,"borrowed":true}],"holders-more":4,"earliest-free-ms":312000,"earliest-because":"ann on desk brings it back","retry-after-ms":300000,"support":"call 555"}}"#);
    }

    #[test]
    fn it_ends_as_the_client_would() {
        let code = |code| Error::Refused(Box::new(Refusal::new(code, ""))).exit_code();
        assert_eq!(code(RefusalCode::NoSeat), 75);
        assert_eq!(code(RefusalCode::Denied), 77);
    }
}
