//! `usherd alert`: who is told of what goes wrong, and whether it comes through. Must not show a URL's path, which may be a
//! secret.

use std::{thread, time::Duration};

use usher_client::clock::local_rfc3339;

use super::{
    Failure, admin,
    print::{self, plain},
};
use crate::{
    admin::protocol::{AlertReport, Answer, Ask},
    config::Places,
    limits,
};

/// What to do about alerts.
#[derive(Debug, clap::Subcommand)]
pub(super) enum AlertVerb {
    /// Who is told, what waits for them, and how the last attempt went
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Send each of them a test, and say whether it was taken
    Test,
}

/// Does it.
pub(super) fn run(verb: &AlertVerb, places: &Places) -> Result<(), Failure> {
    match verb {
        AlertVerb::List { json } => {
            let reports = ask(places, Ask::Alerts)?;
            if *json {
                print::json(&reports)
            } else {
                print::text(&told(&reports))
            }
        }
        AlertVerb::Test => test(places),
    }
}

fn ask(places: &Places, ask: Ask) -> Result<Vec<AlertReport>, Failure> {
    match admin(places)?.ask(ask)? {
        Answer::Alerts(reports) => Ok(reports),
        other => Err(Failure::of_answer(other)),
    }
}

/// One attempt may take its time.
fn test(places: &Places) -> Result<(), Failure> {
    let mut reports = ask(places, Ask::AlertTest)?;
    if reports.is_empty() {
        return Err(Failure::new(NOBODY));
    }
    for _ in 0..limits::ALERT_SEND_MS_MAX.0 / POLL_MS {
        let settled = |it: &AlertReport| it.waiting == 0 || it.last_error.is_some();
        if reports.iter().all(settled) {
            break;
        }
        thread::sleep(Duration::from_millis(POLL_MS));
        reports = ask(places, Ask::Alerts)?;
    }
    print::text(&told(&reports))?;
    if reports.iter().any(|it| it.waiting > 0) {
        return Err(Failure::new(
            "not everybody has taken it; it is tried again until it is",
        ));
    }
    Ok(())
}

fn told(reports: &[AlertReport]) -> String {
    if reports.is_empty() {
        return format!("{NOBODY}\n");
    }
    reports.iter().map(one).collect()
}

fn one(report: &AlertReport) -> String {
    let last = report.last_delivered.map_or_else(
        || "none was delivered yet".to_owned(),
        |at| format!("the last was delivered at {}", local_rfc3339(at)),
    );
    let mut text = format!(
        "{}: {} delivered, {} waiting, {} dropped; {last}\n",
        plain(&report.url),
        report.delivered,
        report.waiting,
        report.dropped
    );
    if let Some(error) = &report.last_error {
        text.push_str("  last attempt: ");
        text.push_str(&plain(error));
        text.push('\n');
    }
    text
}

const NOBODY: &str = "nobody is told: usherd.toml has no [[alerts]]";
const POLL_MS: u64 = 100;
