//! What is new in what was seen. Pure: the same pictures give the same findings.
//!
//! What lasts is told when it begins, and again only after it was over for a while, so that what comes and goes tells little;
//! what is remembered for that outlives the daemon.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use usher_protocol::time::{DurationMs, WallMs};

use super::event::{Finding, Kind, Phase};

/// The daemon at one moment, as far as alerts go.
#[derive(Debug, Clone, Default)]
pub(super) struct Picture {
    pub(super) now: WallMs,
    /// License time (L11).
    pub(super) license_time: WallMs,
    pub(super) standing: Vec<Standing>,
    pub(super) ends: Vec<Ends>,
    pub(super) denied: Vec<Denied>,
}

/// Something that is so.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) kind: Kind,
    pub(super) subject: String,
    pub(super) text: String,
    /// False where it only goes on if it was so before: a full pool that nobody asks of.
    pub(super) begins: bool,
}

/// A license's end.
#[derive(Debug, Clone)]
pub(super) struct Ends {
    pub(super) license: String,
    pub(super) at: WallMs,
}

/// Denials of one feature, new since the last picture.
#[derive(Debug, Clone)]
pub(super) struct Denied {
    pub(super) feature: String,
    pub(super) code: &'static str,
    pub(super) count: u32,
}

/// What was told, for not telling it again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Remembered {
    standing: Vec<Stood>,
    /// Of each license and end, the smallest number of days that was told.
    ends: BTreeMap<String, u64>,
    denied: BTreeMap<String, Count>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stood {
    kind: Kind,
    subject: String,
    /// Not so any more since then.
    over_since: Option<WallMs>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Count {
    told: Option<WallMs>,
    untold: u32,
    codes: BTreeSet<String>,
}

impl Remembered {
    /// What is to be told of this picture, after those before it.
    pub(super) fn look(&mut self, picture: &Picture) -> Vec<Finding> {
        let mut found = self.begun(picture);
        found.extend(self.over(picture));
        found.extend(self.ending(picture));
        found.extend(self.denials(picture));
        found
    }

    fn begun(&mut self, picture: &Picture) -> Vec<Finding> {
        let mut found = Vec::new();
        for it in &picture.standing {
            let mut known = self.standing.iter_mut();
            let known = known.find(|old| old.kind == it.kind && old.subject == it.subject);
            if let Some(known) = known {
                known.over_since = None;
            } else if it.begins {
                self.standing.push(Stood {
                    kind: it.kind,
                    subject: it.subject.clone(),
                    over_since: None,
                });
                found.push(Finding {
                    kind: it.kind,
                    phase: Phase::Begun,
                    subject: it.subject.clone(),
                    text: it.text.clone(),
                });
            }
        }
        found
    }

    fn over(&mut self, picture: &Picture) -> Vec<Finding> {
        let mut found = Vec::new();
        self.standing.retain_mut(|it| {
            let same = |new: &Standing| new.kind == it.kind && new.subject == it.subject;
            if picture.standing.iter().any(same) {
                return true;
            }
            let since = it.over_since.get_or_insert(picture.now);
            // A clock that was set back starts the wait anew.
            *since = (*since).min(picture.now);
            if picture.now < since.plus(QUIET_MS) {
                return true;
            }
            found.push(Finding {
                kind: it.kind,
                phase: Phase::Ended,
                subject: it.subject.clone(),
                text: format!("over for {QUIET_MS}"),
            });
            false
        });
        found
    }

    fn ending(&mut self, picture: &Picture) -> Vec<Finding> {
        let key = |it: &Ends| format!("{} {}", it.license, it.at.0);
        let current: BTreeSet<String> = picture.ends.iter().map(key).collect();
        self.ends.retain(|key, _| current.contains(key));
        let mut found = Vec::new();
        for it in &picture.ends {
            let left = it.at.0.saturating_sub(picture.license_time.0);
            let reached = DAYS
                .iter()
                .filter(|days| left <= DurationMs::days(**days).0);
            let Some(days) = reached.min().copied().filter(|_| left > 0) else {
                continue;
            };
            let told = self.ends.entry(key(it)).or_insert(u64::MAX);
            if days >= *told {
                continue;
            }
            *told = days;
            found.push(Finding {
                kind: Kind::Expiry,
                phase: Phase::Once,
                subject: format!("license {}", it.license),
                text: format!(
                    "it ends at {}, in less than {days} {}",
                    usher_client::clock::utc_rfc3339(it.at),
                    if days == 1 { "day" } else { "days" }
                ),
            });
        }
        found
    }

    fn denials(&mut self, picture: &Picture) -> Vec<Finding> {
        for it in &picture.denied {
            let count = self.denied.entry(it.feature.clone()).or_default();
            count.untold = count.untold.saturating_add(it.count);
            count.codes.insert(it.code.to_owned());
        }
        let mut found = Vec::new();
        self.denied.retain(|feature, count| {
            // A clock that was set back must not silence it.
            let last = count.told.map(|it| it.min(picture.now));
            let is_due = last.is_none_or(|it| picture.now >= it.plus(DENIALS_EVERY_MS));
            if is_due && count.untold > 0 {
                let codes: Vec<_> = std::mem::take(&mut count.codes).into_iter().collect();
                let many = count.untold;
                found.push(Finding {
                    kind: Kind::Denial,
                    phase: Phase::Once,
                    subject: feature.clone(),
                    text: format!(
                        "{many} {} denied since the last such event: {}",
                        if many == 1 {
                            "request was"
                        } else {
                            "requests were"
                        },
                        codes.join(", ")
                    ),
                });
                *count = Count {
                    told: Some(picture.now),
                    ..Count::default()
                };
                return true;
            }
            count.told = last;
            !is_due || count.untold > 0
        });
        found
    }
}

/// What comes back within this time was never over.
const QUIET_MS: DurationMs = DurationMs::minutes(10);
/// Denials of one feature are told at once, and then so often.
const DENIALS_EVERY_MS: DurationMs = DurationMs::hours(1);
/// Before a license's end.
const DAYS: [u64; 3] = [30, 7, 1];

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_795_348_800_000;

    fn at(minute: u64) -> Picture {
        Picture {
            now: WallMs(NOON + minute * 60_000),
            license_time: WallMs(NOON + minute * 60_000),
            ..Picture::default()
        }
    }

    fn full(minute: u64, begins: bool) -> Picture {
        let standing = Standing {
            kind: Kind::Exhaustion,
            subject: "acme/solver".to_owned(),
            text: "full".to_owned(),
            begins,
        };
        Picture {
            standing: vec![standing],
            ..at(minute)
        }
    }

    fn phases(found: &[Finding]) -> Vec<Phase> {
        found.iter().map(|it| it.phase).collect()
    }

    #[test]
    fn a_pool_that_comes_and_goes_is_told_once_and_its_end_after_ten_quiet_minutes() {
        let mut told = Remembered::default();
        assert!(told.look(&full(0, false)).is_empty(), "nobody asks of it");
        assert_eq!(phases(&told.look(&full(1, true))), [Phase::Begun]);
        for minute in 2..60 {
            let picture = if minute % 9 == 0 {
                at(minute)
            } else {
                full(minute, minute % 2 == 0)
            };
            assert!(told.look(&picture).is_empty(), "at {minute}");
        }
        assert!(told.look(&at(60)).is_empty());
        assert!(told.look(&at(69)).is_empty());
        assert_eq!(phases(&told.look(&at(70))), [Phase::Ended]);
        assert_eq!(told, Remembered::default());
        assert_eq!(phases(&told.look(&full(71, true))), [Phase::Begun]);
    }

    #[test]
    fn a_clock_that_is_set_back_only_starts_the_quiet_anew() {
        let mut told = Remembered::default();
        told.look(&full(1000, true));
        told.look(&at(1001));
        assert!(told.look(&at(5)).is_empty());
        assert_eq!(phases(&told.look(&at(15))), [Phase::Ended]);
    }

    #[test]
    fn a_license_that_ends_is_told_three_times_and_a_restart_changes_nothing() {
        let mut told = Remembered::default();
        let day = 24 * 60;
        let mut days = Vec::new();
        for left in (0..=40).rev() {
            let picture = Picture {
                ends: vec![Ends {
                    license: "acme-0001".to_owned(),
                    at: at(40 * day).now,
                }],
                ..at((40 - left) * day)
            };
            // As after a restart.
            let text = serde_json::to_string(&told).unwrap();
            told = serde_json::from_str(&text).unwrap();
            days.extend(told.look(&picture).iter().map(|_| left));
        }
        assert_eq!(days, [30, 7, 1]);
        told.look(&at(0));
        assert_eq!(
            told,
            Remembered::default(),
            "nothing is kept of a license that is gone"
        );
    }

    #[test]
    fn a_license_that_is_new_and_nearly_over_is_told_once() {
        let mut told = Remembered::default();
        let picture = Picture {
            ends: vec![Ends {
                license: "acme-0001".to_owned(),
                at: at(60).now,
            }],
            ..at(0)
        };
        let found = told.look(&picture);
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].text,
            "it ends at 2026-11-22T13:00:00Z, in less than 1 day"
        );
        assert!(told.look(&picture).is_empty());
    }

    #[test]
    fn denials_are_told_at_once_and_then_those_of_an_hour_together() {
        let mut told = Remembered::default();
        let denied = |minute, count| Picture {
            denied: vec![Denied {
                feature: "acme/solver".to_owned(),
                code: "no-seat",
                count,
            }],
            ..at(minute)
        };
        let found = told.look(&denied(0, 1));
        assert_eq!(
            found[0].text,
            "1 request was denied since the last such event: no-seat"
        );
        for minute in 1..60 {
            assert!(told.look(&denied(minute, 2)).is_empty(), "at {minute}");
        }
        let found = told.look(&at(60));
        assert_eq!(
            found[0].text,
            "118 requests were denied since the last such event: no-seat"
        );
        assert!(told.look(&at(120)).is_empty());
        assert_eq!(told, Remembered::default());
    }
}
