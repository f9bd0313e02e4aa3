//! Rules in words, as refusals and listings repeat them (A4). Decides wording alone.

use usher_protocol::{printable::printable, refusal::RuleRef};

use super::{
    Policy,
    limits::WHO_BYTES_SHOWN,
    rules::{
        Allow, BorrowRule, Deny, IdleRule, LeaseRule, LingerRule, MaximumRule, Per, PriorityRule,
        QueueRule, ReserveRule, Rule,
    },
    who::Who,
};

impl Policy {
    /// A rule as a refusal names it: in words, with file and line.
    pub fn reference<T>(&self, rule: &Rule<T>) -> RuleRef
    where
        Rule<T>: Words,
    {
        self.at_line(&rule.words(), rule.line)
    }

    /// What it holds, in one line: `3 groups; 2 deny, 1 reserve; enroll = required`.
    pub fn summary(&self) -> String {
        let kinds = [
            ("deny", self.deny.len()),
            ("allow", self.allow.len()),
            ("maximum", self.maximum.len()),
            ("reserve", self.reserve.len()),
            ("priority", self.priority.len()),
            ("lease", self.lease.len()),
            ("linger", self.linger.len()),
            ("idle", self.idle.len()),
            ("borrow", self.borrow.len()),
            ("queue", self.queue.len()),
        ];
        let present = kinds.iter().filter(|(_, count)| *count > 0);
        let rules: Vec<String> = present
            .map(|(word, count)| format!("{count} {word}"))
            .collect();
        let groups = match self.groups.len() {
            0 => None,
            1 => Some("1 group".to_owned()),
            count => Some(format!("{count} groups")),
        };
        let rules = if rules.is_empty() {
            "no rules".to_owned()
        } else {
            rules.join(", ")
        };
        let mut parts: Vec<String> = groups.into_iter().chain([rules]).collect();
        if self.enroll.is_some() {
            parts.push(ENROLL_REQUIRED.to_owned());
        }
        parts.join("; ")
    }

    pub(super) fn at_line(&self, text: &str, line: u32) -> RuleRef {
        RuleRef {
            text: printable(text),
            file: self.file.clone(),
            line,
        }
    }
}

/// The line that makes client keys wait for an administrator.
pub(super) const ENROLL_REQUIRED: &str = "enroll = required";

/// Whatever can be said in one line.
pub trait Words {
    /// The line.
    fn words(&self) -> String;
}

impl Words for Rule<Deny> {
    fn words(&self) -> String {
        format!("deny {} to {}", self.feature, self.who.words())
    }
}

impl Words for Rule<Allow> {
    fn words(&self) -> String {
        format!("allow {} to {}", self.feature, self.who.words())
    }
}

impl Words for Rule<MaximumRule> {
    fn words(&self) -> String {
        let per = match self.says.per {
            Per::User => "per user among",
            Per::Host => "per host among",
            Per::Group => "in all for",
        };
        let (seats, who) = (seats(self.says.seats), self.who.words());
        format!("maximum of {seats} of {} {per} {who}", self.feature)
    }
}

impl Words for Rule<ReserveRule> {
    fn words(&self) -> String {
        let (seats, who) = (seats(self.says.seats), self.who.words());
        format!("reserve {seats} of {} for {who}", self.feature)
    }
}

impl Words for Rule<PriorityRule> {
    fn words(&self) -> String {
        let (level, who) = (self.says.level, self.who.words());
        format!("priority {level} for {} for {who}", self.feature)
    }
}

impl Words for Rule<LeaseRule> {
    fn words(&self) -> String {
        let (length, who) = (self.says.length.to_text(), self.who.words());
        format!("leases of {} of {length} for {who}", self.feature)
    }
}

impl Words for Rule<LingerRule> {
    fn words(&self) -> String {
        let (length, who) = (self.says.length.to_text(), self.who.words());
        format!("{} lingers {length} for {who}", self.feature)
    }
}

impl Words for Rule<IdleRule> {
    fn words(&self) -> String {
        let (feature, who) = (&self.feature, self.who.words());
        match self.says.after {
            Some(after) => format!("reclaim {feature} idle for {} from {who}", after.to_text()),
            None => format!("reclaim {feature} never from {who}"),
        }
    }
}

impl Words for Rule<BorrowRule> {
    fn words(&self) -> String {
        let (feature, who) = (&self.feature, self.who.words());
        let longest = match self.says.longest {
            Some(length) if length.0 == 0 => return format!("{feature} is not borrowed by {who}"),
            Some(length) => format!("for {} at the longest", length.to_text()),
            None => "as the license allows".to_owned(),
        };
        let at_home = match self.says.at_home {
            0 => String::new(),
            count => format!(", {} stay", seats(count)),
        };
        format!("{feature} is borrowed by {who} {longest}{at_home}")
    }
}

impl Words for Rule<QueueRule> {
    fn words(&self) -> String {
        let may = if self.says.backfill { "may" } else { "may not" };
        format!(
            "smaller requests {may} pass in the queue for {}",
            self.feature
        )
    }
}

impl Who {
    /// Whom, in words; a long list is cut and what is left out counted.
    pub fn words(&self) -> String {
        let Self::Named(named) = self else {
            return "everybody".to_owned();
        };
        let mut text = String::new();
        for (shown, word) in named.words().enumerate() {
            if shown > 0 && text.len() + word.len() > WHO_BYTES_SHOWN {
                let left = named.words().len() - shown;
                return format!("{text} and {left} more");
            }
            if shown > 0 {
                text.push_str(", ");
            }
            text.push_str(word);
        }
        if text.is_empty() {
            "nobody".to_owned()
        } else {
            text
        }
    }
}

fn seats(count: u32) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} seat{ending}")
}

#[cfg(test)]
mod tests {
    use usher_protocol::time::DurationMs;

    use super::*;
    use crate::{policy::PolicyGroup, tests::rule};

    #[test]
    fn a4_every_kind_of_rule_says_itself_in_one_line() {
        let who = &["user:ann"][..];
        let length = DurationMs::minutes(5);
        assert_eq!(
            rule(1, who, PriorityRule { level: 3 }).words(),
            "priority 3 for acme/solver for user:ann"
        );
        assert_eq!(
            rule(1, who, LeaseRule { length }).words(),
            "leases of acme/solver of 5m for user:ann"
        );
        assert_eq!(
            rule(1, who, LingerRule { length }).words(),
            "acme/solver lingers 5m for user:ann"
        );
        assert_eq!(
            rule(1, &[], QueueRule { backfill: true }).words(),
            "smaller requests may pass in the queue for acme/solver"
        );
        assert_eq!(
            rule(1, &[], QueueRule { backfill: false }).words(),
            "smaller requests may not pass in the queue for acme/solver"
        );
    }

    #[test]
    fn a4_a_long_list_is_cut_and_what_is_left_out_counted() {
        let names: Vec<_> = (10..99).map(|number| format!("user:n{number}")).collect();
        let words: Vec<_> = names.iter().map(String::as_str).collect();
        let text = Who::of(&words, &[]).unwrap().words();
        let (shown, left) = text.rsplit_once(" and ").unwrap();
        let shown_count = shown.split(", ").count();
        assert_eq!(left, format!("{} more", names.len() - shown_count));
        assert!(shown.starts_with("user:n10, user:n11"), "{text}");
    }

    /// `user:` and so many more letters.
    fn words_of(bytes: &[usize]) -> String {
        let names = (b'a'..).map(char::from).zip(bytes);
        let names = names.map(|(letter, bytes)| {
            format!("user:{}", letter.to_string().repeat(bytes - "user:".len()))
        });
        let names: Vec<_> = names.collect();
        let words: Vec<_> = names.iter().map(String::as_str).collect();
        Who::of(&words, &[]).unwrap().words()
    }

    #[test]
    fn a4_a_list_is_shown_as_far_as_it_fits() {
        let half = WHO_BYTES_SHOWN / 2;
        assert!(!words_of(&[half, half]).contains("more"));
        assert!(words_of(&[half, half + 1]).ends_with("a and 1 more"));
        assert!(words_of(&[half - 1, half - 1, half]).ends_with("b and 1 more"));
    }

    #[test]
    fn a4_the_first_of_a_list_is_shown_however_long_it_is() {
        let name = "g".repeat(WHO_BYTES_SHOWN + 1);
        let group = PolicyGroup {
            name: name.clone(),
            ..PolicyGroup::default()
        };
        let who = Who::of(&[&name, "user:ann"], &[group]).unwrap();
        assert_eq!(who.words(), format!("{name} and 1 more"));
    }
}
