//! Does everybody hear of what goes wrong who should? Judges what waits in the outbox and how the last attempt went.

use usher_client::{
    clock::{Clock, local_rfc3339},
    doctor::Check,
};
use usher_protocol::time::{DurationMs, WallMs};

use crate::admin::protocol::AlertReport;

/// One line for each receiver.
pub(super) fn checks(reports: &[AlertReport]) -> Vec<Check> {
    if reports.is_empty() {
        let finding = "usherd.toml names nobody who is told of what goes wrong";
        return vec![Check::ok(NAME, finding)];
    }
    let now = Clock::new().now().wall;
    reports.iter().map(|it| one(it, now)).collect()
}

fn one(report: &AlertReport, now: WallMs) -> Check {
    let url = &report.url;
    if let (Some(oldest), count @ 1..) = (report.oldest_waiting, report.waiting) {
        let waiting = match count {
            1 => "1 alert waits".to_owned(),
            count => format!("{count} alerts wait"),
        };
        let since = local_rfc3339(oldest);
        if let Some(error) = &report.last_error {
            let finding =
                format!("{waiting} for {url}, the oldest since {since}; last attempt: {error}");
            let next = "mend that, then usherd alert test; all are sent again until they are taken, for 7 days";
            return Check::warn(NAME, finding, next);
        }
        if now > oldest.plus(PATIENCE_MS) {
            let finding = format!("{waiting} for {url}, the oldest since {since}");
            return Check::warn(
                NAME,
                finding,
                "usherd alert list, and see whether the receiver answers",
            );
        }
    }
    if let Some(error) = &report.last_error {
        let next = "see that the state directory can be written, then usherd alert test";
        return Check::warn(NAME, format!("{url}: {error}"), next);
    }
    let dropped = match report.dropped {
        0 => String::new(),
        count => format!(", {count} dropped in the past"),
    };
    Check::ok(
        NAME,
        format!(
            "{} waiting for {url}, {} delivered{dropped}",
            report.waiting, report.delivered
        ),
    )
}

const NAME: &str = "alerts";
/// Longer than the longest pause between attempts.
const PATIENCE_MS: DurationMs = DurationMs::minutes(10);

#[cfg(test)]
mod tests {
    use usher_client::doctor::Level;

    use super::*;

    fn report(waiting: Option<u64>, error: Option<&str>) -> AlertReport {
        AlertReport {
            url: "https://a.example/…".to_owned(),
            events: Vec::new(),
            waiting: usize::from(waiting.is_some()),
            oldest_waiting: waiting.map(WallMs),
            delivered: 3,
            dropped: 1,
            last_delivered: None,
            last_error: error.map(str::to_owned),
        }
    }

    #[test]
    fn what_waits_too_long_or_in_vain_is_told_with_the_next_step() {
        let now = WallMs(PATIENCE_MS.0 * 10);
        let judged = |waiting, error| one(&report(waiting, error), now);
        assert_eq!(judged(None, None).level, Level::Ok);
        assert!(judged(None, None).finding.contains("1 dropped in the past"));
        assert_eq!(judged(Some(now.0 - 1), None).level, Level::Ok);
        assert_eq!(
            judged(Some(now.0 - PATIENCE_MS.0 - 1), None).level,
            Level::Warn
        );
        let vain = judged(Some(now.0 - 1), Some("it answered 500"));
        assert_eq!(vain.level, Level::Warn);
        assert!(
            vain.finding.starts_with("1 alert waits for")
                && vain.finding.contains("it answered 500")
        );
        assert!(vain.next.unwrap().contains("usherd alert test"));
        assert_eq!(judged(None, Some("the disk is full")).level, Level::Warn);
        assert_eq!(checks(&[])[0].level, Level::Ok);
    }
}
