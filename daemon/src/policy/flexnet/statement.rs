//! What each line of an options file says, keyword by keyword, and why some have no equal here.

use usher_protocol::{
    limits::SEATS_PER_CHECKOUT_MAX,
    names::{FeatureName, VendorName},
    time::DurationMs,
};

use super::{
    Remark,
    lines::Line,
    remark,
    who::{Spec, spec},
};
use crate::policy::{suggest::did_you_mean, table::shown};

/// One line, understood. A feature is in full, with its vendor; all of them are `vendor/*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Statement {
    UserGroup(String, Vec<String>),
    HostGroup(String, Vec<String>),
    Exclude(String, Spec),
    Include(String, Spec),
    ExcludeBorrow(String, Spec),
    IncludeBorrow(String, Spec),
    Max(u32, String, Spec),
    Reserve(u32, String, Spec),
    /// None: never.
    Timeout(String, Option<DurationMs>),
    Linger(String, DurationMs),
    MaxBorrow(String, DurationMs),
    LowWater(String, u32),
    /// What it asks for is so anyway.
    AlwaysSo,
}

/// Reads the lines of one vendor's file.
pub(super) struct Reader<'a> {
    vendor: &'a VendorName,
}

impl<'a> Reader<'a> {
    pub(super) fn new(vendor: &'a VendorName) -> Self {
        Self { vendor }
    }

    /// The statements with their lines; groups before all that may name them.
    pub(super) fn read(
        &self,
        lines: Vec<Line>,
        remarks: &mut Vec<Remark>,
    ) -> Vec<(u32, Statement)> {
        let mut statements = Vec::new();
        for Line { number, words } in lines {
            let (keyword, rest) = words
                .split_first()
                .map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
            let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
            match self.statement(&keyword.to_ascii_uppercase(), &rest) {
                Ok(statement) => statements.push((number, statement)),
                Err(why) => remark(remarks, number, format!("{}: {why}", shown(keyword))),
            }
        }
        let is_rule = |statement: &Statement| {
            !matches!(
                statement,
                Statement::UserGroup(..) | Statement::HostGroup(..)
            )
        };
        statements.sort_by_key(|(_, statement)| is_rule(statement));
        statements
    }

    fn statement(&self, keyword: &str, rest: &[&str]) -> Result<Statement, String> {
        if let Some((_, why)) = WITHOUT_EQUAL
            .iter()
            .find(|(words, _)| words.contains(&keyword))
        {
            return Err((*why).to_owned());
        }
        match (keyword, rest) {
            ("GROUP" | "USER_GROUP", [name, members @ ..]) => {
                Ok(Statement::UserGroup((*name).to_owned(), owned(members)))
            }
            ("HOST_GROUP", [name, members @ ..]) => {
                Ok(Statement::HostGroup((*name).to_owned(), owned(members)))
            }
            ("GROUPCASEINSENSITIVE", ["ON" | "on"]) => Ok(Statement::AlwaysSo),
            ("GROUPCASEINSENSITIVE", _) => {
                Err("names are always compared without case here".to_owned())
            }
            ("EXCLUDE", [feature, kind, name]) => Ok(Statement::Exclude(
                self.feature(feature)?,
                spec(kind, name)?,
            )),
            ("INCLUDE", [feature, kind, name]) => Ok(Statement::Include(
                self.feature(feature)?,
                spec(kind, name)?,
            )),
            ("EXCLUDEALL", [kind, name]) => Ok(Statement::Exclude(self.all(), spec(kind, name)?)),
            ("INCLUDEALL", [kind, name]) => Ok(Statement::Include(self.all(), spec(kind, name)?)),
            ("EXCLUDE_BORROW", [feature, kind, name]) => Ok(Statement::ExcludeBorrow(
                self.feature(feature)?,
                spec(kind, name)?,
            )),
            ("INCLUDE_BORROW", [feature, kind, name]) => Ok(Statement::IncludeBorrow(
                self.feature(feature)?,
                spec(kind, name)?,
            )),
            ("MAX", [seats, feature, kind, name]) => Ok(Statement::Max(
                count(seats)?,
                self.feature(feature)?,
                spec(kind, name)?,
            )),
            ("RESERVE", [seats, feature, kind, name]) => Ok(Statement::Reserve(
                count(seats)?,
                self.feature(feature)?,
                spec(kind, name)?,
            )),
            ("TIMEOUT", [feature, time]) => {
                Ok(Statement::Timeout(self.feature(feature)?, idle(time)?))
            }
            ("TIMEOUTALL", [time]) => Ok(Statement::Timeout(self.all(), idle(time)?)),
            ("LINGER", [feature, time]) => Ok(Statement::Linger(
                self.feature(feature)?,
                DurationMs::seconds(number(time)?),
            )),
            ("MAX_BORROW_HOURS", [feature, time]) => Ok(Statement::MaxBorrow(
                self.feature(feature)?,
                DurationMs::hours(number(time)?),
            )),
            ("BORROW_LOWWATER", [feature, seats]) => {
                Ok(Statement::LowWater(self.feature(feature)?, count(seats)?))
            }
            _ => Err(misshapen(keyword)),
        }
    }

    fn all(&self) -> String {
        format!("{}/*", self.vendor)
    }

    /// A feature in full. Those of some version or key of it are no feature of their own here.
    fn feature(&self, text: &str) -> Result<String, String> {
        if text.contains([':', ' ', '=']) {
            return Err(format!(
                "`{}` means some licenses of the feature, and a rule is about the feature whatever license its seats come from; write it by hand for the whole feature if that will do",
                shown(text)
            ));
        }
        let lower = text.to_ascii_lowercase();
        match lower.parse::<FeatureName>() {
            Ok(name) => Ok(format!("{}/{name}", self.vendor)),
            Err(error) => Err(format!("no feature here can have this name: {error}")),
        }
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn number(text: &str) -> Result<u64, String> {
    let error = || format!("`{}` is no whole number", shown(text));
    text.parse().map_err(|_| error())
}

fn count(text: &str) -> Result<u32, String> {
    let count = number(text)?;
    u32::try_from(count)
        .ok()
        .filter(|count| *count <= SEATS_PER_CHECKOUT_MAX)
        .ok_or_else(|| {
            format!("{count} seats, and no more than {SEATS_PER_CHECKOUT_MAX} can be meant here")
        })
}

/// Zero seconds turn the timeout off.
fn idle(text: &str) -> Result<Option<DurationMs>, String> {
    let seconds = number(text)?;
    Ok((seconds > 0).then(|| DurationMs::seconds(seconds)))
}

fn misshapen(keyword: &str) -> String {
    if let Some((_, shape)) = SHAPES.iter().find(|(word, _)| *word == keyword) {
        return format!("expected `{keyword} {shape}`, and nothing after it");
    }
    let without = WITHOUT_EQUAL.iter().flat_map(|(words, _)| words.iter());
    let known = SHAPES.iter().map(|(word, _)| word).chain(without);
    let hint = did_you_mean(keyword, known.copied());
    format!("no keyword of FlexNet's options files{hint}")
}

/// Every keyword there is, whatever becomes of it.
#[cfg(test)]
pub(super) fn keywords() -> impl Iterator<Item = &'static str> {
    let without = WITHOUT_EQUAL.iter().flat_map(|(words, _)| words.iter());
    SHAPES.iter().map(|(word, _)| word).chain(without).copied()
}

const SHAPES: &[(&str, &str)] = &[
    ("GROUP", "NAME USER…"),
    ("USER_GROUP", "NAME USER…"),
    ("HOST_GROUP", "NAME HOST…"),
    ("EXCLUDE", "FEATURE TYPE NAME"),
    ("INCLUDE", "FEATURE TYPE NAME"),
    ("EXCLUDEALL", "TYPE NAME"),
    ("INCLUDEALL", "TYPE NAME"),
    ("EXCLUDE_BORROW", "FEATURE TYPE NAME"),
    ("INCLUDE_BORROW", "FEATURE TYPE NAME"),
    ("MAX", "COUNT FEATURE TYPE NAME"),
    ("RESERVE", "COUNT FEATURE TYPE NAME"),
    ("TIMEOUT", "FEATURE SECONDS"),
    ("TIMEOUTALL", "SECONDS"),
    ("LINGER", "FEATURE SECONDS"),
    ("MAX_BORROW_HOURS", "FEATURE HOURS"),
    ("BORROW_LOWWATER", "FEATURE COUNT"),
    ("GROUPCASEINSENSITIVE", "ON"),
];

/// Keywords that no rule can say, and why.
const WITHOUT_EQUAL: &[(&[&str], &str)] = &[
    (
        &["MAX_OVERDRAFT"],
        "overdraft is lent as the vendor signed it, counted and logged apart; a policy cannot lower it",
    ),
    (
        &["DUP_GROUP"],
        "which leases share a seat is the vendor's to sign (`grouping` of the license)",
    ),
    (
        &["NOLOG"],
        "nothing is left out of the usage log; filter what you read (usherd usage)",
    ),
    (
        &["REPORTLOG"],
        "the usage log is always kept, in the open; read it with usherd usage",
    ),
    (
        &["DEBUGLOG"],
        "the daemon writes to standard error, so to the journal of systemd; USHERD_LOG sets the level",
    ),
    (
        &["MAX_CONNECTIONS"],
        "connections are bounded in usherd.toml (`connections-per-address-max`)",
    ),
    (
        &["AUTOMATIC_REREAD"],
        "files are read again when you say so: usherd reload",
    ),
    (
        &["DAEMON_SELECT_TIMEOUT"],
        "there is no such setting, and no need of one",
    ),
    (
        &["FQDN_MATCHING"],
        "a host is named as it names itself; write a pattern by hand, like `host:ws-1*`",
    ),
    (
        &[
            "ACTIVATION_LOWWATER",
            "ACTIVATION_EXPIRY_DAYS",
            "EXCLUDE_ENTITLEMENT",
            "EXCLUDEALL_ENTITLEMENT",
            "INCLUDE_ENTITLEMENT",
            "INCLUDEALL_ENTITLEMENT",
        ],
        "there is no activation and no trusted storage here; borrowing has rules of its own (`[[borrow]]`)",
    ),
];
