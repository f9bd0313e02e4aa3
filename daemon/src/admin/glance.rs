//! What one look at the daemon says, on a terminal and on the dashboard alike: whether it grants, in which pool a
//! reserved seat is counted, when something ends. Decides words; must not decide about seats.

use std::collections::HashMap;

use jiff::{Timestamp, tz::TimeZone};
use usher_client::clock::local_rfc3339;
use usher_protocol::{time::WallMs, wire::Environment};

use super::protocol::{LicenseReport, PoolReport, StatusReport};

/// Whether something can be lent: nothing stops granting, and a license lends.
pub(crate) fn is_granting(status: &StatusReport, licenses: &[LicenseReport]) -> bool {
    let running = |pool: &&PoolReport| pool.expires.is_none_or(|end| status.license_time < end);
    let lends = licenses
        .iter()
        .filter(|license| license.idle_because.is_none())
        .any(|license| {
            let mut pools = status.pools.iter().filter(running);
            pools.any(|pool| pool.license == license.id)
        });
    status.stopped.is_empty() && lends
}

/// The same in words, with the first reason where it does not.
pub(crate) fn verdict(status: &StatusReport, licenses: &[LicenseReport]) -> String {
    if let Some(reason) = status.stopped.first() {
        return format!("no seat is granted: {reason}");
    }
    if licenses.is_empty() {
        return NO_LICENSE.to_owned();
    }
    if !is_granting(status, licenses) {
        return "no seat is granted: no license lends".to_owned();
    }
    match status.degraded.len() {
        0 => "granting".to_owned(),
        _ => "granting, degraded".to_owned(),
    }
}

/// Reserved seats that nobody uses are a feature's; each is shown in one of its pools, where one is free.
#[derive(Default)]
pub(crate) struct IdleReserved<'a>(HashMap<(&'a str, Environment), u32>);

impl<'a> IdleReserved<'a> {
    /// Those to show in this pool; each pool is asked once.
    pub(crate) fn take(&mut self, pool: &'a PoolReport) -> u32 {
        let feature = (pool.feature.as_str(), pool.environment);
        let left = self.0.entry(feature).or_insert(pool.reserved_idle);
        let here = (*left).min(pool.free.unwrap_or(u32::MAX));
        *left -= here;
        here
    }
}

/// The last day on which something holds, as its license writes it, for an end at 24:00 UTC (T7);
/// another end is a moment, in local time.
pub(crate) fn until(expires: Option<WallMs>) -> String {
    let Some(expires) = expires else {
        return "never".to_owned();
    };
    match last_day(expires) {
        Some(day) => day,
        None => local_rfc3339(expires),
    }
}

fn last_day(expires: WallMs) -> Option<String> {
    if expires.0 == 0 || !expires.0.is_multiple_of(DAY_MS) {
        return None;
    }
    let last = i64::try_from(expires.0 - 1).ok()?;
    let moment = Timestamp::from_millisecond(last).ok()?;
    Some(moment.to_zoned(TimeZone::UTC).date().to_string())
}

const NO_LICENSE: &str = "no license: usherd request";
const DAY_MS: u64 = 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_that_ends_at_midnight_is_shown_as_that_day() {
        assert_eq!(until(Some(WallMs(1_798_761_600_000))), "2026-12-31");
        assert!(until(Some(WallMs(1_798_761_600_001))).starts_with("202"));
        assert_eq!(until(None), "never");
    }
}
