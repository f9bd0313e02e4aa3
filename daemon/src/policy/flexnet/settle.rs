//! Puts right what would contradict itself as a policy: who is excluded from all need not be excluded
//! from each, who is excluded cannot be included, nothing is reserved beyond a maximum.

use usher_engine::policy::Per;

use super::{
    Remark,
    gather::{Names, Plan, is_all, of, same},
    remark,
};

impl Plan {
    /// Who is excluded from all is excluded from each.
    pub(super) fn settle_deny(&mut self) {
        let all = self.denied_all();
        for (_, names) in self.deny.iter_mut().filter(|(feature, _)| !is_all(feature)) {
            names.without(&all);
        }
        self.deny.retain(|(_, names)| !names.words.is_empty());
    }

    fn denied_all(&self) -> Names {
        let all = self.deny.iter().find(|(feature, _)| is_all(feature));
        all.map(|(_, names)| names.clone()).unwrap_or_default()
    }

    /// Who is excluded cannot be included; a feature that includes nobody else is shut.
    pub(super) fn settle_allow(&mut self, remarks: &mut Vec<Remark>) {
        let all = self.denied_all();
        let includes_all = self.allow.iter().any(|(feature, _)| is_all(feature));
        let mut shut = Vec::new();
        for (feature, names) in &mut self.allow {
            names.without(&all);
            if let Some((_, denied)) = self.deny.iter().find(|(it, _)| it == feature) {
                names.without(denied);
            }
            if !names.words.is_empty() {
                continue;
            }
            if is_all(feature) {
                for line in &names.lines {
                    remark(
                        remarks,
                        *line,
                        "includes only whom an EXCLUDEALL line excludes; write by hand who may have what",
                    );
                }
            } else if !includes_all {
                shut.push((feature.clone(), names.lines.clone()));
            }
        }
        self.allow.retain(|(_, names)| !names.words.is_empty());
        for (feature, lines) in shut {
            let names = of(&mut self.deny, feature);
            names.words.clear();
            names.lines.extend(lines);
        }
    }

    /// A group cannot use what is reserved for it beyond its own maximum.
    pub(super) fn settle_reserve(&mut self, remarks: &mut Vec<Remark>) {
        for reserve in &mut self.reserve {
            let limits = self.maximum.iter().filter(|maximum| {
                let who = maximum.who.as_ref();
                let is_same = who.is_some_and(|who| same(who, &reserve.who));
                maximum.per == Per::Group && maximum.feature == reserve.feature && is_same
            });
            for maximum in limits {
                if maximum.seats < reserve.seats {
                    let text = format!(
                        "RESERVE: {} seats are reserved and not {}: the MAX of line {} lets them have no more",
                        maximum.seats, reserve.seats, maximum.line
                    );
                    reserve.seats = maximum.seats;
                    for line in &reserve.lines {
                        remark(remarks, *line, text.clone());
                    }
                }
            }
        }
    }
}
