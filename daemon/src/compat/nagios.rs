//! The verdict of a monitoring check, in the words of the Nagios plugin guidelines: one line, performance data, exit code.

use std::{fmt::Write as _, str::FromStr};

use usher_protocol::{
    printable::printable,
    time::{DurationMs, WallMs},
};

use super::{Feature, Site};

/// How it stands; the numbers are the exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// All is well.
    Ok = 0,
    /// Somebody should look.
    Warning = 1,
    /// Somebody must look.
    Critical = 2,
    /// It cannot be told.
    Unknown = 3,
}

impl Verdict {
    /// As the line begins.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// More seats in use than this raise an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    /// Of a hundred.
    Percent(u32),
    /// Seats.
    Seats(u32),
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |_| {
            format!("`{text}` is no threshold: expected seats such as 8, or a share such as 80%")
        };
        match text.strip_suffix('%') {
            Some(percent) => percent.parse().map(Self::Percent).map_err(wrong),
            None => text.parse().map(Self::Seats).map_err(wrong),
        }
    }
}

impl Threshold {
    /// In whole seats; none where there is no end of them.
    fn seats(self, of: Option<u32>) -> Option<u32> {
        match self {
            Self::Seats(seats) => Some(seats),
            Self::Percent(percent) => {
                let share = u64::from(of?) * u64::from(percent) / 100;
                Some(u32::try_from(share).unwrap_or(u32::MAX))
            }
        }
    }
}

/// When to raise an alarm.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Above it: a warning.
    pub warning: Threshold,
    /// Above it: critical.
    pub critical: Threshold,
    /// A license that ends within this: a warning.
    pub expires_within: Option<DurationMs>,
}

/// Judges the features that the words mean, all without words. The second line on is for people.
pub fn judge(site: &Site, words: &[String], limits: &Limits, now: WallMs) -> (Verdict, String) {
    let mut features: Vec<&Feature> = Vec::new();
    for word in words {
        let before = features.len();
        features.extend(site.meant(Some(word)));
        if features.len() == before {
            let line = format!("no license here has {}", printable(word));
            return (Verdict::Unknown, told(Verdict::Unknown, &line, &[], limits));
        }
    }
    if words.is_empty() {
        features.extend(site.meant(None));
    }
    let mut verdict = Verdict::Ok;
    let mut says = Vec::new();
    if !site.granting {
        verdict = Verdict::Critical;
    } else if !site.troubles.is_empty() {
        verdict = Verdict::Warning;
    }
    says.extend(
        site.troubles
            .iter()
            .map(|it| printable(it).replace('|', "/")),
    );
    for feature in &features {
        let (its, said) = of_feature(feature, limits, now);
        verdict = verdict.max(its);
        says.push(said);
    }
    if features.is_empty() {
        verdict = verdict.max(Verdict::Critical);
        says.push("no license lends anything".to_owned());
    }
    (verdict, told(verdict, &says.join("; "), &features, limits))
}

/// The whole output for a daemon that does not answer.
pub fn silent(verdict: Verdict, message: &str) -> String {
    format!(
        "USHER {} - {}\n",
        verdict.word(),
        printable(message).replace('|', "/")
    )
}

fn of_feature(feature: &Feature, limits: &Limits, now: WallMs) -> (Verdict, String) {
    let above = |threshold: Threshold| {
        let seats = threshold.seats(feature.seats);
        seats.is_some_and(|seats| feature.used > seats)
    };
    let is_over = feature.seats == Some(0) && feature.expires.is_some();
    let mut verdict = if is_over || above(limits.critical) {
        Verdict::Critical
    } else if above(limits.warning) {
        Verdict::Warning
    } else {
        Verdict::Ok
    };
    let of = feature
        .seats
        .map_or("unlimited".to_owned(), |it| it.to_string());
    let mut said = format!("{} {} of {of} in use", feature.path, feature.used);
    let ends = limits.expires_within.zip(feature.expires);
    if let Some((_, end)) = ends.filter(|(within, end)| now.plus(*within) >= *end) {
        verdict = verdict.max(Verdict::Warning);
        let _ = write!(said, ", ends in {} days", end.since(now).0 / DAY_MS);
    }
    (verdict, said)
}

fn told(verdict: Verdict, line: &str, features: &[&Feature], limits: &Limits) -> String {
    let mut text = format!("USHER {} - {line}", verdict.word());
    for (index, feature) in features.iter().enumerate() {
        text += if index == 0 { " | " } else { " " };
        let seats = |it: Option<u32>| it.map_or_else(String::new, |it| it.to_string());
        let _ = write!(
            text,
            "{}={};{};{};0;{}",
            feature.name,
            feature.used,
            seats(limits.warning.seats(feature.seats)),
            seats(limits.critical.seats(feature.seats)),
            seats(feature.seats)
        );
    }
    text + "\n"
}

const DAY_MS: u64 = 86_400_000;
