//! What an options file says about borrowing, feature by feature: four keywords that become rules in
//! which the first that names the subject decides.

use usher_protocol::{limits::BORROW_MS_MAX, time::DurationMs};

use super::{Remark, gather::Names, remark};

/// All lines about borrowing one feature.
#[derive(Debug, Default)]
pub(super) struct Borrowing {
    pub(super) excluded: Names,
    pub(super) included: Names,
    longest: Option<(DurationMs, u32)>,
    at_home: Option<(u32, u32)>,
}

/// One rule to write.
#[derive(Debug)]
pub(super) struct BorrowPlan {
    pub(super) feature: String,
    pub(super) who: Names,
    /// None: as the license allows.
    pub(super) longest: Option<DurationMs>,
    pub(super) at_home: u32,
}

impl Borrowing {
    pub(super) fn longest(
        &mut self,
        longest: DurationMs,
        line: u32,
        remarks: &mut Vec<Remark>,
    ) -> Result<(), String> {
        if longest > BORROW_MS_MAX {
            let max = BORROW_MS_MAX.to_text();
            return Err(format!(
                "MAX_BORROW_HOURS: longer than {max} cannot be said here"
            ));
        }
        if let Some((_, before)) = self.longest.replace((longest, line)) {
            superseded(before, line, remarks);
        }
        Ok(())
    }

    pub(super) fn at_home(&mut self, seats: u32, line: u32, remarks: &mut Vec<Remark>) {
        if let Some((_, before)) = self.at_home.replace((seats, line)) {
            superseded(before, line, remarks);
        }
    }

    /// The rules, in the order that makes them mean what the lines meant.
    pub(super) fn settle(mut self, feature: &str, remarks: &mut Vec<Remark>) -> Vec<BorrowPlan> {
        let forbidden = Some(DurationMs::ZERO);
        let rule = |who: Names, longest, at_home| BorrowPlan {
            feature: feature.to_owned(),
            who,
            longest,
            at_home,
        };
        let longest = self.longest.map(|(longest, _)| longest);
        let at_home = match (self.at_home, longest) {
            (Some((_, line)), longest) if longest == forbidden => {
                remark(
                    remarks,
                    line,
                    "BORROW_LOWWATER: nobody may borrow, so no seat has to stay",
                );
                0
            }
            (at_home, _) => at_home.map_or(0, |(seats, _)| seats),
        };
        let lines = [self.longest.map(|it| it.1), self.at_home.map(|it| it.1)];
        let lines: Vec<u32> = lines.into_iter().flatten().collect();
        let mut rules = Vec::new();
        self.included.without(&self.excluded);
        if !self.excluded.words.is_empty() {
            rules.push(rule(self.excluded, forbidden, 0));
        }
        if self.included.lines.is_empty() {
            if !lines.is_empty() {
                let everybody = Names {
                    lines,
                    ..Names::default()
                };
                rules.push(rule(everybody, longest, at_home));
            }
            return rules;
        }
        let others = Names {
            lines: self.included.lines.clone(),
            ..Names::default()
        };
        if !self.included.words.is_empty() {
            self.included.lines.extend(lines);
            rules.push(rule(self.included, longest, at_home));
        }
        rules.push(rule(others, forbidden, 0));
        rules
    }
}

fn superseded(before: u32, line: u32, remarks: &mut Vec<Remark>) {
    let text = format!("line {line} says otherwise, and the last one counts");
    remark(remarks, before, text);
}
