//! What the administrator's policy says: may this subject have this feature, how many seats, whose
//! are reserved, how long, how soon.
//!
//! It answers one question at a time and keeps nothing; seats are counted and the order of the
//! questions is decided by the engine. It must not fail: whoever builds a policy has checked it,
//! and a policy nobody checked (a cycle of groups) still gets an answer, always the same one.
//!
//! Rules stand in file order. Of a kind, the first that names feature and subject decides; only
//! `[[maximum]]` rules of different kinds (`per`) and of different groups hold side by side.

mod answers;
pub mod limits;
mod network;
mod pattern;
mod rules;
mod who;
mod words;

pub use answers::{Barred, BarredKind, BorrowTerms, Counted, Maximum, Reservation};
pub use network::{Network, NetworkError};
pub use pattern::{FeaturePattern, Names, PatternError, fold};
pub use rules::{
    Allow, BorrowRule, Deny, IdleRule, LeaseRule, Line, LingerRule, MaximumRule, Per, PriorityRule,
    QueueRule, ReserveRule, Rule,
};
use usher_protocol::{refusal::RuleRef, time::DurationMs};
use who::Folded;
pub use who::{Members, Named, PolicyGroup, Subject, SubjectKey, Who, WhoError, client_key};
pub use words::Words;

/// The administrator's policy. The default says nothing: everybody gets what the license gives.
///
/// In all questions `feature` is `vendor/feature`, by the vendor's display name.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The file it was read from, as refusals name it.
    pub file: String,
    /// Where it says that client keys must be accepted first, when it does.
    pub enroll: Option<Line>,
    /// The groups that rules name.
    pub groups: Vec<PolicyGroup>,
    /// `[[deny]]`.
    pub deny: Vec<Rule<Deny>>,
    /// `[[allow]]`.
    pub allow: Vec<Rule<Allow>>,
    /// `[[maximum]]`.
    pub maximum: Vec<Rule<MaximumRule>>,
    /// `[[reserve]]`.
    pub reserve: Vec<Rule<ReserveRule>>,
    /// `[[priority]]`.
    pub priority: Vec<Rule<PriorityRule>>,
    /// `[[lease]]`.
    pub lease: Vec<Rule<LeaseRule>>,
    /// `[[linger]]`.
    pub linger: Vec<Rule<LingerRule>>,
    /// `[[idle]]`.
    pub idle: Vec<Rule<IdleRule>>,
    /// `[[borrow]]`.
    pub borrow: Vec<Rule<BorrowRule>>,
    /// `[[queue]]`.
    pub queue: Vec<Rule<QueueRule>>,
}

impl Policy {
    /// It has no rule: every answer is the default. Groups alone decide nothing.
    pub fn is_empty(&self) -> bool {
        self.enroll.is_none() && self.rules() == 0
    }

    /// Rules of all kinds.
    pub fn rules(&self) -> usize {
        [
            self.deny.len(),
            self.allow.len(),
            self.maximum.len(),
            self.reserve.len(),
            self.priority.len(),
            self.lease.len(),
            self.linger.len(),
            self.idle.len(),
            self.borrow.len(),
            self.queue.len(),
        ]
        .iter()
        .sum()
    }

    /// The names of the groups that the subject is in, by itself or through a group within, in the order
    /// of the file.
    pub fn groups_of(&self, who: &Subject<'_>) -> Vec<&str> {
        let who = Folded::of(who);
        let holds = |group: &&PolicyGroup| {
            let named = Who::of(&[&group.name], &self.groups);
            named.is_ok_and(|named| named.names(&who, &self.groups))
        };
        let groups = self.groups.iter().filter(holds);
        groups.map(|group| group.name.as_str()).collect()
    }

    /// Whether the subject may have the feature at all: deny, then allow.
    ///
    /// # Errors
    /// [`Barred`] with the rule: the first `[[deny]]` that names the subject, or the feature's first
    /// `[[allow]]` when it has some and none names the subject.
    pub fn admits(&self, feature: &str, who: &Subject<'_>) -> Result<(), Barred> {
        if self.deny.is_empty() && self.allow.is_empty() {
            return Ok(());
        }
        let who = Folded::of(who);
        if let Some(rule) = self.first(&self.deny, feature, &who) {
            return Err(Barred {
                rule: self.reference(rule),
                reason: rule.says.reason.clone(),
                kind: BarredKind::Denied,
            });
        }
        let mut allows = self.allow.iter().filter(|it| it.feature.matches(feature));
        let Some(first) = allows.next() else {
            return Ok(());
        };
        let names = |rule: &Rule<Allow>| rule.who.names(&who, &self.groups);
        if names(first) || allows.any(names) {
            return Ok(());
        }
        Err(Barred {
            rule: self.reference(first),
            reason: None,
            kind: BarredKind::NotAllowed,
        })
    }

    /// The maxima that hold for the subject, each for this feature apart: the first per user that
    /// names it, the first per host, and every one of a group that it is in.
    pub fn maxima(&self, feature: &str, who: &Subject<'_>) -> Vec<Maximum> {
        let mut found: Vec<Maximum> = Vec::new();
        if self.maximum.is_empty() {
            return found;
        }
        let folded = Folded::of(who);
        let (mut user_done, mut host_done) = (false, false);
        for (index, rule) in self.maximum.iter().enumerate() {
            let done = match rule.says.per {
                Per::User => user_done,
                Per::Host => host_done,
                Per::Group => false,
            };
            if done || !self.is_about(rule, feature, &folded) {
                continue;
            }
            let counted = match rule.says.per {
                Per::User => {
                    user_done = true;
                    Counted::User(fold(who.user).into_owned())
                }
                Per::Host => {
                    host_done = true;
                    Counted::Host(fold(who.host).into_owned())
                }
                Per::Group => Counted::Group,
            };
            found.push(Maximum {
                rule: index,
                seats: rule.says.seats,
                counted,
            });
        }
        found
    }

    /// Whether the maximum at this place of [`Self::maximum`] names the subject: whether its seats
    /// count to [`Counted::Group`].
    pub fn maximum_names(&self, index: usize, who: &Subject<'_>) -> bool {
        let rule = self.maximum.get(index);
        rule.is_some_and(|rule| rule.who.names(&Folded::of(who), &self.groups))
    }

    /// The reservation that a holder belongs to: the first that names it, by its place in
    /// [`Self::reserve`].
    pub fn reservation_of(&self, feature: &str, who: &Subject<'_>) -> Option<usize> {
        if self.reserve.is_empty() {
            return None;
        }
        let who = Folded::of(who);
        let mut rules = self.reserve.iter();
        rules.position(|rule| self.is_about(rule, feature, &who))
    }

    /// All reservations of a feature, in file order.
    pub fn reservations(&self, feature: &str) -> Vec<Reservation> {
        let rules = self.reserve.iter().enumerate();
        rules
            .filter(|(_, rule)| rule.feature.matches(feature))
            .map(|(index, rule)| Reservation {
                index,
                seats: rule.says.seats,
                who: rule.who.words(),
            })
            .collect()
    }

    /// Who waits, waits before those of a lower priority.
    pub fn priority(&self, feature: &str, who: &Subject<'_>) -> i32 {
        let rule = self.decides(&self.priority, feature, who);
        rule.map_or(0, |rule| rule.says.level)
    }

    /// The usual and longest lease length, still to be bounded by the license.
    pub fn length(&self, feature: &str, who: &Subject<'_>) -> Option<DurationMs> {
        let rule = self.decides(&self.lease, feature, who);
        rule.map(|rule| rule.says.length)
    }

    /// How long a released seat stays with its holder.
    pub fn linger(&self, feature: &str, who: &Subject<'_>) -> DurationMs {
        let rule = self.decides(&self.linger, feature, who);
        rule.map_or(DurationMs::ZERO, |rule| rule.says.length)
    }

    /// After how long a seat is taken back from an application that reports itself idle, and by
    /// which rule.
    pub fn idle_after(&self, feature: &str, who: &Subject<'_>) -> Option<(DurationMs, RuleRef)> {
        let rule = self.decides(&self.idle, feature, who)?;
        rule.says.after.map(|after| (after, self.reference(rule)))
    }

    /// How the subject may borrow.
    pub fn borrow(&self, feature: &str, who: &Subject<'_>) -> BorrowTerms {
        let rule = self.decides(&self.borrow, feature, who);
        rule.map_or_else(BorrowTerms::default, |rule| BorrowTerms {
            longest: rule.says.longest,
            at_home: rule.says.at_home,
            rule: Some(self.reference(rule)),
        })
    }

    /// Rules about features of which none is among `served`: their lines and what they name. A name with
    /// a typing error must not rule nothing in silence. Reservations are not among them.
    pub fn aimless(&self, served: &[String]) -> Vec<(u32, String)> {
        let mut found = Vec::new();
        let mut look = |line: u32, feature: &FeaturePattern| {
            let aims = matches!(feature, FeaturePattern::Every)
                || served.iter().any(|it| feature.matches(it));
            if !aims {
                found.push((line, feature.to_string()));
            }
        };
        self.deny.iter().for_each(|it| look(it.line, &it.feature));
        self.allow.iter().for_each(|it| look(it.line, &it.feature));
        self.maximum
            .iter()
            .for_each(|it| look(it.line, &it.feature));
        self.priority
            .iter()
            .for_each(|it| look(it.line, &it.feature));
        self.lease.iter().for_each(|it| look(it.line, &it.feature));
        self.linger.iter().for_each(|it| look(it.line, &it.feature));
        self.idle.iter().for_each(|it| look(it.line, &it.feature));
        self.borrow.iter().for_each(|it| look(it.line, &it.feature));
        self.queue.iter().for_each(|it| look(it.line, &it.feature));
        found.sort_unstable();
        found
    }

    /// Whether smaller requests may pass a larger one that waits at the head of the queue.
    pub fn backfill(&self, feature: &str) -> bool {
        let mut rules = self.queue.iter();
        rules
            .find(|rule| rule.feature.matches(feature))
            .is_some_and(|rule| rule.says.backfill)
    }

    /// The rule that refuses client keys which no administrator accepted, when there is one.
    pub fn enroll_required(&self) -> Option<RuleRef> {
        self.enroll
            .map(|Line(line)| self.at_line(words::ENROLL_REQUIRED, line))
    }

    /// The maximum at this place of [`Self::maximum`], for a refusal.
    pub fn rule_of_maximum(&self, index: usize) -> RuleRef {
        self.rule_at(&self.maximum, index)
    }

    /// The reservation at this place of [`Self::reserve`], for a refusal.
    pub fn rule_of_reservation(&self, index: usize) -> RuleRef {
        self.rule_at(&self.reserve, index)
    }

    /// A place that this policy does not have is one of an older policy: it is gone.
    fn rule_at<T>(&self, rules: &[Rule<T>], index: usize) -> RuleRef
    where
        Rule<T>: Words,
    {
        let gone = || self.at_line("a rule that is gone", 0);
        rules
            .get(index)
            .map_or_else(gone, |rule| self.reference(rule))
    }

    fn decides<'a, T>(
        &self,
        rules: &'a [Rule<T>],
        feature: &str,
        who: &Subject<'_>,
    ) -> Option<&'a Rule<T>> {
        if rules.is_empty() {
            return None;
        }
        self.first(rules, feature, &Folded::of(who))
    }

    fn first<'a, T>(
        &self,
        rules: &'a [Rule<T>],
        feature: &str,
        who: &Folded<'_>,
    ) -> Option<&'a Rule<T>> {
        rules.iter().find(|rule| self.is_about(rule, feature, who))
    }

    fn is_about<T>(&self, rule: &Rule<T>, feature: &str, who: &Folded<'_>) -> bool {
        rule.feature.matches(feature) && rule.who.names(who, &self.groups)
    }
}

#[cfg(test)]
mod tests;
