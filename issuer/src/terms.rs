//! A feature's terms as they are written on the command line: `solver:10,version=2027.1`.

use std::str::FromStr;

use usher_protocol::{
    calendar,
    documents::license::{Feature, Grouping},
    limits::{LEASE_MS_DEFAULT, LEASE_MS_MAX, LEASE_MS_MIN},
    names::{FeatureName, Version},
    time::{DurationMs, WallMs},
};

/// What was said of one feature; what was left out comes from the license's own dates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FeatureTerms {
    feature: FeatureName,
    seats: Option<u32>,
    version: Option<Version>,
    starts: Option<WallMs>,
    expires: Option<WallMs>,
    lease_min: Option<DurationMs>,
    lease_default: Option<DurationMs>,
    lease_max: Option<DurationMs>,
    borrow_max: DurationMs,
    overdraft: u32,
    grouping: Grouping,
    claimed_user: bool,
    early_return: bool,
    write_off: u32,
}

impl FeatureTerms {
    /// The feature as it goes into a license with these dates.
    pub(crate) fn into_feature(self, starts: WallMs, expires: WallMs) -> Feature {
        let lease_ms_max = self.lease_max.unwrap_or(LEASE_MS_MAX);
        let lease_ms_min = self.lease_min.unwrap_or(LEASE_MS_MIN).min(lease_ms_max);
        let usual = LEASE_MS_DEFAULT.clamp(lease_ms_min, lease_ms_max);
        Feature {
            feature: self.feature,
            version: self.version,
            seats: self.seats,
            starts: self.starts.unwrap_or(starts),
            expires: Some(self.expires.unwrap_or(expires)),
            lease_ms_min,
            lease_ms_default: self.lease_default.unwrap_or(usual),
            lease_ms_max,
            borrow_ms_max: self.borrow_max,
            overdraft: self.overdraft,
            grouping: self.grouping,
            claimed_user: self.claimed_user,
            early_return: self.early_return,
            write_off: self.write_off,
        }
    }

    fn set(&mut self, option: &str, value: &str) -> Result<(), String> {
        let wrong = |error: &dyn std::fmt::Display| format!("`{option}={value}`: {error}");
        let length = || value.parse::<DurationMs>().map_err(|error| wrong(&error));
        let switch = || value.parse::<bool>().map_err(|_| "expected true or false");
        match option {
            "version" => self.version = Some(value.parse().map_err(|error| wrong(&error))?),
            "starts" => self.starts = Some(first_moment(value)?),
            "expires" => self.expires = Some(last_moment(value)?),
            "lease-min" => self.lease_min = Some(length()?),
            "lease-default" => self.lease_default = Some(length()?),
            "lease-max" => self.lease_max = Some(length()?),
            "borrow-max" => self.borrow_max = length()?,
            "overdraft" => self.overdraft = value.parse().map_err(|error| wrong(&error))?,
            "grouping" => self.grouping = grouping(value)?,
            "claimed-user" => self.claimed_user = switch().map_err(|error| wrong(&error))?,
            "early-return" => self.early_return = switch().map_err(|error| wrong(&error))?,
            "write-off" => self.write_off = value.parse().map_err(|error| wrong(&error))?,
            _ => {
                return Err(format!(
                    "unknown option `{option}`; known are {}",
                    OPTIONS.join(", ")
                ));
            }
        }
        Ok(())
    }
}

impl FromStr for FeatureTerms {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let head = parts.next().unwrap_or_default();
        let (name, seats) = head
            .split_once(':')
            .ok_or_else(|| format!("`{head}`: expected NAME:SEATS, like `solver:10`"))?;
        let mut terms = Self {
            feature: name.parse().map_err(|error| format!("{error}"))?,
            seats: parse_seats(seats)?,
            version: None,
            starts: None,
            expires: None,
            lease_min: None,
            lease_default: None,
            lease_max: None,
            borrow_max: DurationMs::ZERO,
            overdraft: 0,
            grouping: Grouping::default(),
            claimed_user: false,
            early_return: false,
            write_off: 0,
        };
        for part in parts {
            let (option, value) = part
                .split_once('=')
                .ok_or_else(|| format!("`{part}`: expected OPTION=VALUE, like `version=2027.1`"))?;
            terms.set(option, value)?;
        }
        Ok(terms)
    }
}

/// 00:00 UTC of a day written `2027-01-01`.
pub(crate) fn first_moment(day: &str) -> Result<WallMs, String> {
    calendar::parse_rfc3339(&format!("{day}T00:00:00Z"))
        .ok_or_else(|| format!("`{day}`: expected a day like 2027-12-31"))
}

/// 24:00 UTC of a day written `2027-12-31` (T7).
pub(crate) fn last_moment(day: &str) -> Result<WallMs, String> {
    first_moment(day).map(|start| start.plus(calendar::DAY))
}

fn parse_seats(text: &str) -> Result<Option<u32>, String> {
    match text.parse() {
        _ if text == "unlimited" => Ok(None),
        Ok(seats) if seats > 0 => Ok(Some(seats)),
        _ => Err(format!(
            "`{text}`: expected a number of seats from 1, or `unlimited`"
        )),
    }
}

fn grouping(text: &str) -> Result<Grouping, String> {
    Grouping::ALL
        .iter()
        .find(|it| it.as_str() == text)
        .copied()
        .ok_or_else(|| {
            let known: Vec<_> = Grouping::ALL.iter().map(|it| it.as_str()).collect();
            format!("`grouping={text}`: expected one of {}", known.join(", "))
        })
}

const OPTIONS: [&str; 12] = [
    "version",
    "starts",
    "expires",
    "lease-min",
    "lease-default",
    "lease-max",
    "borrow-max",
    "overdraft",
    "grouping",
    "claimed-user",
    "early-return",
    "write-off",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_carry_every_option() {
        let terms: FeatureTerms =
            "solver:10,version=2027.1,lease-min=2s,lease-max=1h,borrow-max=7d,expires=2027-06-30"
                .parse()
                .unwrap();
        let feature = terms.into_feature(WallMs(0), WallMs(1));
        assert_eq!(feature.seats, Some(10));
        assert_eq!(feature.lease_ms_min, DurationMs::seconds(2));
        assert_eq!(feature.lease_ms_default, DurationMs::minutes(10));
        assert_eq!(feature.borrow_ms_max, DurationMs::days(7));
        assert_eq!(feature.expires, Some(last_moment("2027-06-30").unwrap()));
        assert_eq!(feature.starts, WallMs(0));
    }

    #[test]
    fn terms_say_who_shares_and_what_becomes_of_borrows() {
        let terms: FeatureTerms = "solver:10,borrow-max=7d,early-return=true,write-off=2,\
            overdraft=3,grouping=user,claimed-user=true"
            .parse()
            .unwrap();
        let feature = terms.into_feature(WallMs(0), WallMs(1));
        assert_eq!(feature.borrow_ms_max, DurationMs::days(7));
        assert!(feature.early_return);
        assert_eq!((feature.write_off, feature.overdraft), (2, 3));
        assert_eq!(feature.grouping, Grouping::User);
        assert!(feature.claimed_user);
    }

    #[test]
    fn every_option_is_known_and_said_in_the_help() {
        use clap::CommandFactory;
        let mut cli = crate::cli::Cli::command();
        let new = ["license", "new"].iter().fold(&mut cli, |command, verb| {
            command.find_subcommand_mut(verb).unwrap()
        });
        let help = new.render_long_help().to_string();
        for option in OPTIONS {
            let error = format!("solver:1,{option}=?").parse::<FeatureTerms>();
            // Only what is unknown is answered with the list of what is known.
            assert!(!error.unwrap_err().contains("known are"), "{option}");
            assert!(help.contains(option), "{option}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, words) in [
            ("solver", "expected NAME:SEATS"),
            ("solver:0", "from 1, or `unlimited`"),
            ("Solver:1", "lower-case"),
            ("solver:1,color=red", "unknown option `color`"),
            (
                "solver:1,grouping=all",
                "expected one of process, user-host",
            ),
            ("solver:1,expires=soon", "expected a day"),
            ("solver:1,early-return=yes", "expected true or false"),
            ("solver:1,claimed-user=1", "expected true or false"),
            ("solver:1,write-off=-1", "`write-off=-1`"),
        ] {
            let error = text.parse::<FeatureTerms>().unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
