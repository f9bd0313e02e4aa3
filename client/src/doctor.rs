//! What a check-up found, for `usher doctor` and `usherd doctor`: one line a check, each with its next step.
//!
//! It decides how a finding looks and judges what both sides have: clock and interfaces. What else there is to check,
//! each command knows itself.

use std::{fmt, process::Command};

use serde::Serialize;
use usher_protocol::printable::printable;

use crate::discover::interfaces;

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Seats can be had, but somebody should look.
    Warn,
    /// Something does not work.
    Fail,
}

/// One line of a check-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at: a stable word for scripts.
    pub name: &'static str,
    /// How it stands.
    pub level: Level,
    /// What was found, in one sentence.
    pub finding: String,
    /// What to do about it; none where nothing is to be done.
    pub next: Option<String>,
}

impl Check {
    /// As it should be.
    pub fn ok(name: &'static str, finding: impl Into<String>) -> Self {
        Self::of(name, Level::Ok, finding.into(), None)
    }

    /// Somebody should look.
    pub fn warn(name: &'static str, finding: impl Into<String>, next: impl Into<String>) -> Self {
        Self::of(name, Level::Warn, finding.into(), Some(next.into()))
    }

    /// Something does not work.
    pub fn fail(name: &'static str, finding: impl Into<String>, next: impl Into<String>) -> Self {
        Self::of(name, Level::Fail, finding.into(), Some(next.into()))
    }

    fn of(name: &'static str, level: Level, finding: String, next: Option<String>) -> Self {
        Self {
            name,
            level,
            finding,
            next,
        }
    }
}

/// A whole check-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckUp {
    /// The worst of all.
    pub verdict: Level,
    /// Each check, in the order in which they were made.
    pub checks: Vec<Check>,
}

impl CheckUp {
    /// Of these.
    pub fn of(checks: Vec<Check>) -> Self {
        let worst = checks.iter().map(|check| check.level).max();
        Self {
            verdict: worst.unwrap_or(Level::Ok),
            checks,
        }
    }

    /// Whether a command that made it succeeds: warnings alone are no failure unless they are to be.
    pub fn passes(&self, strict: bool) -> bool {
        match self.verdict {
            Level::Ok => true,
            Level::Warn => !strict,
            Level::Fail => false,
        }
    }
}

impl fmt::Display for CheckUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            let level = match check.level {
                Level::Ok => "ok",
                Level::Warn => "warn",
                Level::Fail => "FAIL",
            };
            writeln!(
                f,
                "{level:<5} {:<14} {}",
                check.name,
                printable(&check.finding)
            )?;
            if let Some(next) = &check.next {
                writeln!(f, "{:21}next: {}", "", printable(next))?;
            }
        }
        Ok(())
    }
}

/// Whether the system keeps its clock right, as far as it tells: a lease runs by the boot clock, a license and a borrow
/// by the wall clock (L10, L11).
pub fn clock() -> Check {
    let asked = [
        "3",
        "timedatectl",
        "show",
        "-p",
        "NTPSynchronized",
        "--value",
    ];
    let output = Command::new("timeout").args(asked).output().ok();
    let told = output.filter(|it| it.status.success());
    let word = told.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned());
    of_synchronization(word.as_deref())
}

fn of_synchronization(word: Option<&str>) -> Check {
    match word {
        Some("yes") => Check::ok("clock", "kept right by a time service"),
        Some("no") => Check::warn(
            "clock",
            "no time service keeps it right",
            "timedatectl set-ntp true, or name the site's time server in chrony.conf or timesyncd.conf",
        ),
        _ => Check::ok(
            "clock",
            "whether a time service keeps it right cannot be told here",
        ),
    }
}

/// Which interfaces lead anywhere.
pub fn interfaces() -> Check {
    match interfaces::up() {
        Err(error) => Check::fail(
            "interfaces",
            format!("they cannot be listed: {error}"),
            "see `ip address`",
        ),
        Ok(all) => {
            let outside = all.iter().filter(|it| !it.loopback);
            let names: Vec<_> = outside.map(|it| it.name.as_str()).collect();
            if names.is_empty() {
                return Check::warn(
                    "interfaces",
                    "none but the loopback is up: nobody else can be reached",
                    "see `ip link`; a container may need `--network host`",
                );
            }
            Check::ok("interfaces", format!("up: {}", names.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_says_how_it_stands_and_what_is_next() {
        let check_up = CheckUp::of(vec![
            Check::ok("clock", "fine"),
            Check::warn("mdns", "not seen", "open UDP port 5353"),
            Check::fail("site-key", "open to others\u{1b}[2J", "chmod 600 x"),
        ]);
        insta::assert_snapshot!(check_up.to_string(), @r"
        ok    clock          fine
        warn  mdns           not seen
                             next: open UDP port 5353
        FAIL  site-key       open to others�[2J
                             next: chmod 600 x
        ");
        let json = serde_json::to_string(&check_up).unwrap();
        assert!(json.starts_with(r#"{"verdict":"fail","checks":[{"name":"clock","level":"ok","finding":"fine","next":null}"#), "{json}");
    }

    #[test]
    fn warnings_are_a_failure_only_where_they_are_to_be() {
        let warned = CheckUp::of(vec![Check::warn("mdns", "x", "y"), Check::ok("clock", "z")]);
        assert!(warned.passes(false) && !warned.passes(true));
        assert!(!CheckUp::of(vec![Check::fail("mdns", "x", "y")]).passes(false));
        assert!(CheckUp::of(vec![Check::ok("clock", "z")]).passes(true));
    }

    #[test]
    fn a_clock_that_nobody_keeps_right_is_a_warning() {
        let level = |word| of_synchronization(word).level;
        assert_eq!(level(Some("yes")), Level::Ok);
        assert_eq!(level(Some("no")), Level::Warn);
        assert_eq!(level(None), Level::Ok);
    }
}
