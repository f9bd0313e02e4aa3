//! What the running daemon says of itself: granting, licenses, version, clones.

use usher_client::{clock::Clock, doctor::Check};
use usher_protocol::time::{DurationMs, WallMs};

use super::Running;
use crate::admin::protocol::{LicenseReport, StatusReport};

pub(super) fn checks(running: &Running) -> Vec<Check> {
    let now = Clock::new().now().wall;
    let mut checks = vec![version(&running.status.version), clones(&running.status)];
    checks.extend(granting(&running.status));
    checks.extend(licenses(&running.licenses, now));
    checks
}

fn version(running: &str) -> Check {
    let own = env!("CARGO_PKG_VERSION");
    if running == own {
        return Check::ok("version", format!("usherd {own}, running and installed"));
    }
    Check::warn(
        "version",
        format!("usherd {running} runs, {own} is installed"),
        "systemctl restart usherd; holders keep their seats",
    )
}

fn clones(status: &StatusReport) -> Check {
    let found = status.stopped.iter().find(|it| it.contains("clone"));
    match found {
        None => Check::ok("clones", "no other daemon with this site key was found"),
        Some(reason) => Check::fail(
            "clones",
            reason,
            "stop one of the two, then `usherd clone keep-this` on the other",
        ),
    }
}

fn granting(status: &StatusReport) -> Vec<Check> {
    let stopped = status.stopped.iter().filter(|it| !it.contains("clone"));
    let stopped = stopped.map(|reason| Check::fail("granting", reason, see_status()));
    let degraded = status.degraded.iter();
    let degraded = degraded.map(|reason| Check::warn("granting", reason, see_status()));
    let mut checks: Vec<_> = stopped.chain(degraded).collect();
    if checks.is_empty() && status.stopped.is_empty() {
        checks.push(Check::ok("granting", "nothing stops or degrades it"));
    }
    checks
}

fn see_status() -> String {
    "usherd status, and what it says to do".to_owned()
}

fn licenses(licenses: &[LicenseReport], now: WallMs) -> Vec<Check> {
    if licenses.is_empty() {
        let next =
            "usherd request > site.request, mail it to the vendor, then usherd license add FILE";
        return vec![Check::fail("license", "none is installed", next)];
    }
    licenses.iter().map(|it| license(it, now)).collect()
}

fn license(license: &LicenseReport, now: WallMs) -> Check {
    if let Some(reason) = &license.idle_because {
        let finding = format!("{} lends nothing: {reason}", license.id);
        let next = format!("ask {} for a newer license: usherd request", license.vendor);
        return Check::fail("license", finding, next);
    }
    let ends = license.features.iter().filter_map(|it| it.expires).min();
    match ends {
        Some(end) if end <= now => Check::fail(
            "license",
            format!("features of {} have run out", license.id),
            format!("ask {} for a newer license: usherd request", license.vendor),
        ),
        Some(end) if now.plus(SOON) >= end => Check::warn(
            "license",
            format!(
                "{} begins to run out in {} days",
                license.id,
                end.since(now).0 / DurationMs::days(1).0
            ),
            format!("ask {} for a newer license: usherd request", license.vendor),
        ),
        _ => Check::ok(
            "license",
            format!("{} of {} lends", license.id, license.vendor),
        ),
    }
}

const SOON: DurationMs = DurationMs::days(30);

#[cfg(test)]
mod tests {
    use usher_client::doctor::Level;

    use super::*;
    use crate::{admin::protocol::FeatureReport, testing::license_report};

    fn of(expires: Option<u64>, idle: Option<&str>) -> LicenseReport {
        LicenseReport {
            features: vec![FeatureReport {
                feature: "solver".to_owned(),
                version: None,
                seats: Some(1),
                starts: WallMs(0),
                expires: expires.map(WallMs),
            }],
            idle_because: idle.map(str::to_owned),
            ..license_report(WallMs(0))
        }
    }

    #[test]
    fn another_build_than_the_installed_one_is_doubtful() {
        assert_eq!(version(env!("CARGO_PKG_VERSION")).level, Level::Ok);
        let other = version("0.0.1");
        assert_eq!(other.level, Level::Warn);
        assert!(other.next.unwrap().contains("restart"));
    }

    #[test]
    fn a_license_is_judged_by_what_it_lends_and_how_long() {
        let day = DurationMs::days(1).0;
        let now = WallMs(100 * day);
        let level = |expires, idle| license(&of(expires, idle), now).level;
        assert_eq!(level(None, None), Level::Ok);
        assert_eq!(level(Some(131 * day), None), Level::Ok);
        assert_eq!(level(Some(130 * day), None), Level::Warn);
        assert_eq!(level(Some(100 * day), None), Level::Fail);
        assert_eq!(level(None, Some("it is for another site")), Level::Fail);
        assert_eq!(licenses(&[], now)[0].level, Level::Fail);
    }
}
