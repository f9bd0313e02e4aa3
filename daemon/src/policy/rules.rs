//! `[[deny]]`, `[[allow]]`, `[[maximum]]` …: the words of each kind of rule, and their bounds.

use std::ops::Range;

use usher_engine::policy::{
    Allow, BorrowRule, Deny, FeaturePattern, IdleRule, LeaseRule, LingerRule, MaximumRule, Named,
    Network, Per, Policy, PolicyGroup, PriorityRule, QueueRule, ReserveRule, Rule, Who, WhoError,
    limits,
};
use usher_protocol::{
    limits::{BORROW_MS_MAX, LEASE_MS_MAX, LEASE_MS_MIN_TEST, SEATS_PER_CHECKOUT_MAX},
    time::DurationMs,
};

use super::{
    error::Faults,
    suggest::{did_you_mean, nearest},
    table::{Fields, Word, shown},
};

/// A rule with the place of its header.
pub(super) struct Placed<T> {
    pub(super) rule: Rule<T>,
    pub(super) span: Range<usize>,
}

/// All rules that are right by themselves, in the order of the file within each kind.
pub(super) struct Rules {
    pub(super) deny: Vec<Placed<Deny>>,
    pub(super) allow: Vec<Placed<Allow>>,
    pub(super) maximum: Vec<Placed<MaximumRule>>,
    pub(super) reserve: Vec<Placed<ReserveRule>>,
    pub(super) priority: Vec<Placed<PriorityRule>>,
    pub(super) lease: Vec<Placed<LeaseRule>>,
    pub(super) linger: Vec<Placed<LingerRule>>,
    pub(super) idle: Vec<Placed<IdleRule>>,
    pub(super) borrow: Vec<Placed<BorrowRule>>,
    pub(super) queue: Vec<Placed<QueueRule>>,
}

impl Rules {
    pub(super) fn read(root: &Fields<'_>, groups: &[PolicyGroup], faults: &mut Faults<'_>) -> Self {
        let mut from = Reader {
            root,
            groups,
            rules: 0,
            faults,
        };
        Self {
            deny: from.kind("deny", &["feature", "who", "reason"], deny),
            allow: from.kind("allow", &["feature", "who"], allow),
            maximum: from.kind("maximum", &["feature", "who", "per", "seats"], maximum),
            reserve: from.kind("reserve", &["feature", "who", "seats"], reserve),
            priority: from.kind("priority", &["feature", "who", "level"], priority),
            lease: from.kind("lease", &["feature", "who", "length"], lease),
            linger: from.kind("linger", &["feature", "who", "length"], linger),
            idle: from.kind("idle", &["feature", "who", "after"], idle),
            borrow: from.kind("borrow", &["feature", "who", "longest", "at-home"], borrow),
            queue: from.kind("queue", &["feature", "backfill"], queue),
        }
    }

    pub(super) fn into_policy(self) -> Policy {
        Policy {
            deny: bare(self.deny),
            allow: bare(self.allow),
            maximum: bare(self.maximum),
            reserve: bare(self.reserve),
            priority: bare(self.priority),
            lease: bare(self.lease),
            linger: bare(self.linger),
            idle: bare(self.idle),
            borrow: bare(self.borrow),
            queue: bare(self.queue),
            ..Policy::default()
        }
    }
}

fn bare<T>(rules: Vec<Placed<T>>) -> Vec<Rule<T>> {
    rules.into_iter().map(|placed| placed.rule).collect()
}

struct Reader<'a, 'f, 't> {
    root: &'a Fields<'a>,
    groups: &'a [PolicyGroup],
    rules: usize,
    faults: &'f mut Faults<'t>,
}

impl Reader<'_, '_, '_> {
    fn kind<T>(
        &mut self,
        word: &'static str,
        known: &[&str],
        says: fn(&Fields<'_>, &mut Faults<'_>) -> Option<T>,
    ) -> Vec<Placed<T>> {
        let mut rules = Vec::new();
        let Some(value) = self.root.value(word) else {
            return rules;
        };
        for (table, span) in value.tables(self.faults) {
            self.rules += 1;
            if self.rules == limits::RULES_MAX + 1 {
                let message = format!("rules over the limit of {}", limits::RULES_MAX);
                self.faults.at(span.clone(), message);
            }
            if self.rules > limits::RULES_MAX {
                break;
            }
            let fields = Fields::of(table, span.clone(), known, self.faults);
            let feature = self.feature(&fields);
            let who = self.who(&fields);
            let says = says(&fields, self.faults);
            if let (Some(feature), Some(who), Some(says)) = (feature, who, says) {
                let line = self.faults.line(span.start);
                let rule = Rule {
                    line,
                    feature,
                    who,
                    says,
                };
                rules.push(Placed { rule, span });
            }
        }
        rules
    }

    fn feature(&mut self, fields: &Fields<'_>) -> Option<FeaturePattern> {
        let Some(word) = fields.value("feature") else {
            return Some(FeaturePattern::Every);
        };
        let text = word.text("\"acme/solver\"", self.faults)?;
        let feature = text.parse();
        if let Err(error) = &feature {
            let error: &usher_engine::policy::PatternError = error;
            let lower = text.to_lowercase();
            let is_one = lower != text && lower.parse::<FeaturePattern>().is_ok();
            let hint = if is_one {
                format!("; did you mean `{lower}`?")
            } else {
                String::new()
            };
            self.faults.at(word.span(), format!("{error}{hint}"));
        }
        feature.ok()
    }

    fn who(&mut self, fields: &Fields<'_>) -> Option<Who> {
        let Some(word) = fields.value("who") else {
            return Some(Who::Everybody);
        };
        let words = word.list("[\"engineering\", \"user:bob\"]", self.faults)?;
        if words.is_empty() {
            let message = "an empty `who` names nobody; leave `who` out to mean everybody";
            self.faults.at(word.span(), message);
            return None;
        }
        let mut named = Named::default();
        let mut right = true;
        for (text, span) in words {
            if let Err(error) = named.add(text, self.groups) {
                let hint = who_meant(text, &error, self.groups);
                self.faults.at(span, format!("{error}{hint}"));
                right = false;
            }
        }
        right.then(|| Who::Named(Box::new(named)))
    }
}

/// What a word that names nobody may have been meant to be.
fn who_meant(text: &str, error: &WhoError, groups: &[PolicyGroup]) -> String {
    if text.contains('/') && text.parse::<Network>().is_ok() {
        return format!("; for a network write `network:{text}`");
    }
    match error {
        WhoError::UnknownGroup(name) => {
            let names = groups.iter().map(|group| group.name.as_str());
            match did_you_mean(name, names) {
                hint if hint.is_empty() => format!("; for a user write `user:{}`", shown(name)),
                hint => hint,
            }
        }
        WhoError::UnknownKind(kind) => {
            let near = nearest(kind, ["user", "host", "key", "network"]);
            let rest = text.split_once(':').map_or("", |(_, rest)| rest);
            near.map_or_else(String::new, |near| {
                format!("; did you mean `{near}:{}`?", shown(rest))
            })
        }
        _ => String::new(),
    }
}

fn deny(fields: &Fields<'_>, faults: &mut Faults<'_>) -> Option<Deny> {
    let message = "this denies everything to everybody; expected `feature` or `who`";
    names_something(fields, message, faults);
    let Some(word) = fields.value("reason") else {
        return Some(Deny { reason: None });
    };
    let reason = word.text("\"ask the lab\"", faults)?;
    if reason.is_empty() || reason.len() > limits::REASON_BYTES_MAX {
        let max = limits::REASON_BYTES_MAX;
        let message = format!("a reason has 1 to {max} bytes, not {}", reason.len());
        faults.at(word.span(), message);
    }
    if reason.chars().any(char::is_control) {
        faults.at(
            word.span(),
            "a reason is one line without control characters",
        );
    }
    Some(Deny {
        reason: Some(reason.to_owned()),
    })
}

fn allow(fields: &Fields<'_>, faults: &mut Faults<'_>) -> Option<Allow> {
    let message =
        "this allows everything to everybody, as no rule would; expected `feature` or `who`";
    names_something(fields, message, faults).then_some(Allow)
}

fn names_something(fields: &Fields<'_>, message: &str, faults: &mut Faults<'_>) -> bool {
    let names = fields.value("feature").is_some() || fields.value("who").is_some();
    if !names {
        faults.at(fields.span.clone(), message);
    }
    names
}

fn maximum(fields: &Fields<'_>, faults: &mut Faults<'_>) -> Option<MaximumRule> {
    let seats = seats(fields, " (to admit nobody, write `[[deny]]`)", faults);
    let word = fields.needed("per", "\"user\"", faults);
    let per = match word?.one_of(&["user", "host", "group"], faults)? {
        "user" => Per::User,
        "host" => Per::Host,
        _ => Per::Group,
    };
    if per == Per::Group && fields.value("who").is_none() {
        let message = "`per = \"group\"` counts the seats of all whom `who` names; expected `who`, like `who = [\"students\"]`";
        faults.at(fields.span.clone(), message);
    }
    Some(MaximumRule { seats: seats?, per })
}

fn reserve(fields: &Fields<'_>, faults: &mut Faults<'_>) -> Option<ReserveRule> {
    let feature = fields.needed("feature", "\"acme/solver\"", faults);
    fields.needed("who", "[\"night-shift\"]", faults);
    if let Some(word) = feature.filter(Word::is_pattern) {
        let message = "seats are reserved of one feature; expected its name without `*` and `?`";
        faults.at(word.span(), message);
    }
    let seats = seats(fields, " (to reserve nothing, take the rule out)", faults)?;
    Some(ReserveRule { seats })
}

fn seats(fields: &Fields<'_>, instead_of_none: &str, faults: &mut Faults<'_>) -> Option<u32> {
    let word = fields.needed("seats", "2", faults)?;
    word.count(1..=SEATS_PER_CHECKOUT_MAX, instead_of_none, faults)
}

fn priority(fields: &Fields<'_>, faults: &mut Faults<'_>) -> Option<PriorityRule> {
    let bounds = i64::from(-limits::LEVEL_MAX)..=i64::from(limits::LEVEL_MAX);
    let level = fields
        .needed("level", "10", faults)?
        .number(bounds, "", faults)?;
    let level = i32::try_from(level).ok()?;
    Some(PriorityRule { level })
}

fn lease(fields: &Fields<'_>, faults: &mut Faults<'_>) -> Option<LeaseRule> {
    let word = fields.needed("length", "\"10m\"", faults)?;
    // The shortest of a test license (T8); a live license bounds it further.
    let length = word.length(LEASE_MS_MIN_TEST..=LEASE_MS_MAX, faults)?;
    Some(LeaseRule { length })
}

fn linger(fields: &Fields<'_>, faults: &mut Faults<'_>) -> Option<LingerRule> {
    let word = fields.needed("length", "\"2m\"", faults)?;
    let length = word.length(DurationMs::ZERO..=limits::LINGER_MS_MAX, faults)?;
    Some(LingerRule { length })
}

fn idle(fields: &Fields<'_>, faults: &mut Faults<'_>) -> Option<IdleRule> {
    let word = fields.needed("after", "\"30m\"", faults)?;
    if word.is_text("never") {
        return Some(IdleRule { after: None });
    }
    let after = word.length(limits::IDLE_MS_MIN..=limits::IDLE_MS_MAX, faults)?;
    Some(IdleRule { after: Some(after) })
}

fn borrow(fields: &Fields<'_>, faults: &mut Faults<'_>) -> Option<BorrowRule> {
    let (longest, at_home) = (fields.value("longest"), fields.value("at-home"));
    if longest.is_none() && at_home.is_none() {
        let message = "this says nothing about borrowing; expected `longest` or `at-home`";
        faults.at(fields.span.clone(), message);
        return None;
    }
    let rule = BorrowRule {
        longest: match longest {
            Some(word) => Some(word.length(DurationMs::ZERO..=BORROW_MS_MAX, faults)?),
            None => None,
        },
        at_home: match at_home {
            Some(word) => word.count(0..=SEATS_PER_CHECKOUT_MAX, "", faults)?,
            None => 0,
        },
    };
    if let (Some(DurationMs::ZERO), Some(word)) = (rule.longest, at_home) {
        let message = "`longest = \"0\"` lets nobody borrow, so `at-home` decides nothing; take one of them out";
        faults.at(word.span(), message);
    }
    Some(rule)
}

fn queue(fields: &Fields<'_>, faults: &mut Faults<'_>) -> Option<QueueRule> {
    let word = fields.needed("backfill", "true", faults)?;
    let backfill = word.flag(faults)?;
    Some(QueueRule { backfill })
}
