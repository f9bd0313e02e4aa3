//! Rules that are right by themselves and not together: one that can never decide, one that another
//! makes void. What needs the licenses to be found out is the engine's to find.

use usher_engine::policy::{Per, Rule, Words};

use super::{
    error::Faults,
    rules::{Placed, Rules},
};

impl Rules {
    /// Tells every rule that can have no effect beside those before it.
    pub(super) fn contradictions(&self, faults: &mut Faults<'_>) {
        never_first(&self.deny, faults);
        never_first(&self.reserve, faults);
        never_first(&self.priority, faults);
        never_first(&self.lease, faults);
        never_first(&self.linger, faults);
        never_first(&self.idle, faults);
        never_first(&self.borrow, faults);
        never_first(&self.queue, faults);
        self.maxima_said_twice(faults);
        self.allowed_and_allowed_again(faults);
        self.allowed_though_denied(faults);
        self.reserved_beyond_a_maximum(faults);
    }

    /// Per user and per host the first maximum counts; of groups all do, so only the same is void.
    fn maxima_said_twice(&self, faults: &mut Faults<'_>) {
        for (index, later) in self.maximum.iter().enumerate() {
            let (rule, per) = (&later.rule, later.rule.says.per);
            let voids = |earlier: &&Placed<_>| {
                let earlier: &Rule<usher_engine::policy::MaximumRule> = &earlier.rule;
                let covers = earlier.covers(rule) && (per != Per::Group || rule.covers(earlier));
                earlier.says.per == per && covers
            };
            if let Some(earlier) = self.maximum[..index].iter().find(voids) {
                faults.at(later.span.clone(), never(&earlier.rule));
            }
        }
    }

    fn allowed_and_allowed_again(&self, faults: &mut Faults<'_>) {
        for (index, later) in self.allow.iter().enumerate() {
            let same = |earlier: &&Placed<_>| {
                earlier.rule.covers(&later.rule) && later.rule.covers(&earlier.rule)
            };
            if let Some(earlier) = self.allow[..index].iter().find(same) {
                let message = format!("line {} says the same; take one out", earlier.rule.line);
                faults.at(later.span.clone(), message);
            }
        }
    }

    fn allowed_though_denied(&self, faults: &mut Faults<'_>) {
        for allow in &self.allow {
            let denies = |deny: &&Placed<_>| deny.rule.covers(&allow.rule);
            if let Some(deny) = self.deny.iter().find(denies) {
                let message = format!(
                    "this admits nobody: the deny of line {} (`{}`) goes before every allow; an allow alone keeps out whom it does not name",
                    deny.rule.line,
                    deny.rule.words()
                );
                faults.at(allow.span.clone(), message);
            }
        }
    }

    fn reserved_beyond_a_maximum(&self, faults: &mut Faults<'_>) {
        for reserve in &self.reserve {
            let seats = reserve.rule.says.seats;
            let bars = |maximum: &&Placed<usher_engine::policy::MaximumRule>| {
                let says = maximum.rule.says;
                says.per == Per::Group && says.seats < seats && maximum.rule.covers(&reserve.rule)
            };
            if let Some(maximum) = self.maximum.iter().find(bars) {
                let message = format!(
                    "{seats} seats are reserved, but line {} lets these have {} in all; reserve no more than that",
                    maximum.rule.line, maximum.rule.says.seats
                );
                faults.at(reserve.span.clone(), message);
            }
        }
    }
}

/// Of most kinds the first rule that names feature and subject decides.
fn never_first<T>(rules: &[Placed<T>], faults: &mut Faults<'_>)
where
    Rule<T>: Words,
{
    for (index, later) in rules.iter().enumerate() {
        let voids = |earlier: &&Placed<T>| earlier.rule.covers(&later.rule);
        if let Some(earlier) = rules[..index].iter().find(voids) {
            faults.at(later.span.clone(), never(&earlier.rule));
        }
    }
}

fn never<T>(earlier: &Rule<T>) -> String
where
    Rule<T>: Words,
{
    format!(
        "this rule never decides: line {} comes first and names all that it names (`{}`); put the narrower one first, or take one out",
        earlier.line,
        earlier.words()
    )
}
