//! How a verb ends when it did not do its job: a message with a next step, and an exit code
//! (FIELD: exit codes). A refusal is told in full (A4).

use super::table::{Side, Table};
use std::{fmt::Write, process::ExitCode};
use usher_client::{
    Error,
    clock::local_rfc3339,
    connection::ConnectError,
    discover::Reason,
    error::exit,
    protocol::refusal::{HolderView, Refusal},
};

/// A verb's failure.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>, code: u8) -> Self {
        Self {
            message: message.into(),
            code,
        }
    }

    /// This process lacks something it needs.
    pub(crate) fn local(message: impl Into<String>) -> Self {
        Self::new(message, exit::CONFIGURATION)
    }

    /// Says it on standard error and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("usher: {}", self.message);
        ExitCode::from(self.code)
    }

    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    /// The same failure, after something else that has to be known first.
    pub(crate) fn after(self, first: &str, code: u8) -> Self {
        Self::new(format!("{first}\nusher: {}", self.message), code)
    }

    /// What went wrong, with the next step.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = error.exit_code();
        let message = match &error {
            Error::Refused(refusal) => {
                let next = error.next_step().unwrap_or_default();
                format!("{}\nnext: {next}", refusal_text(refusal))
            }
            Error::WaitedInVain(waited) => {
                let holders = holders_text(&waited.holders, waited.holders_more);
                let next = error.next_step().unwrap_or_default();
                format!("{waited}{holders}\nnext: {next}")
            }
            Error::NotFound(missed) => {
                let mut text = error.to_string();
                let test_only =
                    |reason: &_| matches!(reason, Reason::Refused(ConnectError::TestOnly));
                if missed
                    .failures
                    .iter()
                    .any(|failure| test_only(&failure.reason))
                {
                    text.push_str("\n      or add --test (USHER_TEST=1) to take test licenses");
                }
                text
            }
            other => other.to_string(),
        };
        Self { message, code }
    }
}

/// What, which rule, who holds the seats, when one can come free and why, and the vendor's word.
pub(crate) fn refusal_text(refusal: &Refusal) -> String {
    let mut text = format!("{}: {}", refusal.code.name(), refusal.detail);
    if let Some(rule) = &refusal.rule {
        let _ = write!(
            text,
            "\n  rule: {} ({}:{})",
            rule.text, rule.file, rule.line
        );
    }
    text.push_str(&holders_text(&refusal.holders, refusal.holders_more));
    if let Some(earliest) = refusal.earliest_free_ms {
        let because = refusal.earliest_because.as_deref();
        let because = because.map_or_else(String::new, |because| format!(": {because}"));
        let _ = write!(text, "\n  earliest: within {earliest}{because}");
    }
    if let Some(retry) = refusal.retry_after_ms {
        let _ = write!(text, "\n  again: in {retry}");
    }
    if let Some(support) = &refusal.support {
        let _ = write!(text, "\n  vendor: {support}");
    }
    text
}

fn holders_text(holders: &[HolderView], more: u32) -> String {
    let mut text = String::new();
    if !holders.is_empty() {
        for line in holders_table(holders).to_string().lines() {
            let _ = write!(text, "\n  {line}");
        }
    }
    if more > 0 {
        let _ = write!(text, "\n  and {more} more");
    }
    text
}

fn holders_table(holders: &[HolderView]) -> Table {
    let mut table = Table::new(&[
        ("HELD BY", Side::Left),
        ("DISPLAY", Side::Left),
        ("PROCESS", Side::Right),
        ("SEATS", Side::Right),
        ("SINCE", Side::Left),
        ("ENDS IN", Side::Left),
    ]);
    for holder in holders {
        table.row([
            format!("{}@{}", holder.user, holder.host),
            holder.display.clone().unwrap_or_else(|| "-".to_owned()),
            holder.process.to_string(),
            holder.seats.to_string(),
            local_rfc3339(holder.since),
            if holder.borrowed {
                format!("{}, borrowed", holder.free_in_ms)
            } else {
                holder.free_in_ms.to_string()
            },
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use usher_client::protocol::{
        refusal::{RefusalCode, RuleRef},
        time::{DurationMs, WallMs},
    };

    #[test]
    fn a_refusal_is_told_in_full() {
        let mut refusal = Refusal::new(RefusalCode::NoSeat, "all 10 seats of `solver` are out");
        refusal.rule = Some(RuleRef {
            text: "pool of 10 seats".into(),
            file: "acme.lic".into(),
            line: 12,
        });
        refusal.holders = vec![HolderView {
            borrowed: false,
            user: "ann".into(),
            host: "desk".into(),
            display: Some(":0".into()),
            process: 4711,
            seats: 2,
            since: WallMs(1_795_348_800_000),
            free_in_ms: DurationMs::seconds(312),
        }];
        refusal.holders_more = 4;
        refusal.earliest_free_ms = Some(DurationMs::seconds(312));
        refusal.earliest_because =
            Some("ann on desk holds 2 seats for 5m12s more unless renewed".into());
        refusal.support = Some("call 555".into());
        let failure = Failure::from(Error::Refused(Box::new(refusal)));
        let since = local_rfc3339(WallMs(1_795_348_800_000));
        let told = failure
            .message()
            .replace(&since, "2026-11-22T12:00:00+00:00");
        insta::assert_snapshot!(told, @r"
        no-seat: all 10 seats of `solver` are out
          rule: pool of 10 seats (acme.lic:12)
          HELD BY   DISPLAY  PROCESS  SEATS  SINCE                      ENDS IN
          ann@desk  :0          4711      2  2026-11-22T12:00:00+00:00  5m12s
          and 4 more
          earliest: within 5m12s: ann on desk holds 2 seats for 5m12s more unless renewed
          vendor: call 555
        next: a seat may come free within 5m12s; try again, stand in the queue (`--wait`), or ask one of its holders
        ");
        assert_eq!(failure.code, 75);
    }
}
