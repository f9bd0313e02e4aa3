//! Writes what was gathered as a policy file, each rule with the lines it comes from.

use usher_engine::policy::Per;
use usher_protocol::{printable::printable, time::DurationMs};

use super::{
    Remark,
    borrow::BorrowPlan,
    gather::{Group, Names, Plan},
};

/// The whole file.
pub(super) fn text(plan: &Plan, lines: usize, remarks: &[Remark]) -> String {
    let mut out = Out(String::new());
    let not = match remarks.len() {
        0 => String::new(),
        count => format!("; what is not, is told at the end ({count})"),
    };
    out.comment(&format!(
        "Converted from a FlexNet options file: {lines} lines{not}."
    ));
    plan.groups.iter().for_each(|group| out.group(group));
    for (feature, names) in &plan.deny {
        out.rule("deny", &names.lines, feature);
        out.who(&names.words);
    }
    for (feature, names) in &plan.allow {
        out.rule("allow", &names.lines, feature);
        out.who(&names.words);
    }
    for maximum in &plan.maximum {
        out.rule("maximum", &[maximum.line], &maximum.feature);
        out.who(maximum.who.as_slice());
        out.field("per", &quoted(per_word(maximum.per)));
        out.field("seats", &maximum.seats.to_string());
    }
    for reserve in &plan.reserve {
        out.rule("reserve", &reserve.lines, &reserve.feature);
        out.who(std::slice::from_ref(&reserve.who));
        out.field("seats", &reserve.seats.to_string());
    }
    for (feature, after, line) in &plan.idle {
        out.rule("idle", &[*line], feature);
        let after = after.map_or_else(|| "never".to_owned(), DurationMs::to_text);
        out.field("after", &quoted(&after));
    }
    for (feature, length, line) in &plan.linger {
        out.rule("linger", &[*line], feature);
        out.field("length", &quoted(&length.to_text()));
    }
    plan.borrow.iter().for_each(|rule| out.borrow(rule));
    out.remarks(remarks);
    out.0
}

struct Out(String);

impl Out {
    fn comment(&mut self, text: &str) {
        self.0.extend(["# ", &printable(text), "\n"]);
    }

    /// The header, the lines it comes from, the feature.
    fn rule(&mut self, word: &str, lines: &[u32], feature: &str) {
        self.0.push('\n');
        self.comment(&listed(lines));
        self.0.extend(["[[", word, "]]\n"]);
        self.field("feature", &quoted(feature));
    }

    fn who(&mut self, words: &[String]) {
        if !words.is_empty() {
            self.field("who", &list(words));
        }
    }

    fn field(&mut self, word: &str, value: &str) {
        self.0.extend([word, " = ", value, "\n"]);
    }

    fn group(&mut self, group: &Group) {
        self.0.push('\n');
        self.comment(&listed(&group.lines));
        self.0.extend(["[groups.", &quoted(&group.name), "]\n"]);
        let networks: Vec<String> = group.networks.iter().map(ToString::to_string).collect();
        let is_empty = group.hosts.is_empty() && networks.is_empty();
        if is_empty || !group.users.is_empty() {
            self.field("users", &list(&group.users));
        }
        if !group.hosts.is_empty() {
            self.field("hosts", &list(&group.hosts));
        }
        if !networks.is_empty() {
            self.field("networks", &list(&networks));
        }
    }

    fn borrow(&mut self, rule: &BorrowPlan) {
        let Names { words, lines } = &rule.who;
        self.rule("borrow", lines, &rule.feature);
        self.who(words);
        if let Some(longest) = rule.longest {
            self.field("longest", &quoted(&longest.to_text()));
        }
        if rule.longest.is_none() || rule.at_home > 0 {
            self.field("at-home", &rule.at_home.to_string());
        }
    }

    fn remarks(&mut self, remarks: &[Remark]) {
        if !remarks.is_empty() {
            self.0.push('\n');
            self.comment("Not converted, or not wholly:");
        }
        for remark in remarks {
            self.comment(&format!("line {}: {}", remark.line, remark.text));
        }
    }
}

fn per_word(per: Per) -> &'static str {
    match per {
        Per::User => "user",
        Per::Host => "host",
        Per::Group => "group",
    }
}

fn listed(lines: &[u32]) -> String {
    let shown: Vec<String> = lines.iter().take(LINES_SHOWN).map(u32::to_string).collect();
    let word = if lines.len() == 1 { "line" } else { "lines" };
    let more = match lines.len().saturating_sub(LINES_SHOWN) {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    format!("from {word} {}{more}", shown.join(", "))
}

fn list(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    if words.iter().map(String::len).sum::<usize>() < COLUMNS {
        return format!("[{}]", words.join(", "));
    }
    format!("[\n    {},\n]", words.join(",\n    "))
}

/// A basic string of TOML; names hold no control characters.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

const LINES_SHOWN: usize = 12;
const COLUMNS: usize = 88;
