//! What a checkout would get, and why (A4): the very questions of `decide.rs`, asked for somebody else.
//!
//! It grants nothing, counts nothing and writes nothing; it takes back what is over, as any input does.

use usher_protocol::{
    ids::Fingerprint,
    names::FeatureName,
    refusal::{Refusal, RefusalCode},
    time::DurationMs,
    wire::Holder,
};

use crate::{
    api::{Answer, Explanation, Question},
    decide::{Asker, Verdict, Wish},
    engine::Engine,
    pool::{FeatureKey, PoolIndex},
    queue::Rank,
    step::{Asked, Step, no},
};

impl Engine {
    /// The answer a checkout would get, without waiting.
    pub(crate) fn explain_to_admin(&mut self, step: &mut Step, question: &Question) -> Asked {
        let (root, feature) = self.named(&question.feature)?;
        let holder = Holder {
            user: question.user.clone(),
            host: question.host.clone(),
            display: None,
            process: 0,
        };
        let asker = Asker {
            root,
            client: question.client,
            address: question.address,
            holder: &holder,
        };
        let key = FeatureKey {
            root,
            environment: question.environment,
            feature,
        };
        // As `rank_of` has it: an ex-holder is before everybody (L6).
        let seats = question.seats;
        let lapsed = |client| self.lapses.cover(step.now.boot, client, &key, seats);
        let rank = Rank {
            is_newcomer: !question.client.is_some_and(lapsed),
            ..Rank::last(self.priority(&asker, &key))
        };
        let wish = Wish {
            rank,
            key,
            seats: question.seats,
            version: question.version,
            borrow_ms: question.borrow_ms,
        };
        let explanation = match self.decide_fresh(step, &asker, &wish) {
            Ok(Verdict::Seats(pool)) => Explanation {
                refusal: None,
                detail: self.tell_grant(step, &asker, &wish, pool),
            },
            Ok(Verdict::Wait(reasons)) => {
                let refusal = self.explain(step, &asker, &wish, &reasons);
                Explanation {
                    detail: self.tell_wait(&wish, &refusal),
                    refusal: Some(*refusal),
                }
            }
            Err(refusal) => Explanation {
                detail: "waiting would not help".to_owned(),
                refusal: Some(*refusal),
            },
        };
        Ok(Answer::Explained(Box::new(explanation)))
    }

    /// Vendor and feature of `vendor/feature`, or of the feature alone where one vendor is served.
    fn named(&self, text: &str) -> Result<(Fingerprint, FeatureName), Box<Refusal>> {
        let vendors = &self.state.vendor_names;
        let (root, feature) = if let Some((vendor, feature)) = text.split_once('/') {
            let mut known = vendors.iter().filter(|(_, name)| *name == vendor);
            (known.next().map(|(root, _)| *root), feature)
        } else {
            let licenses = self.state.licenses.values();
            let mut served = licenses.map(|license| license.vendor_root());
            let first = served.next();
            let is_one = served.all(|root| Some(root) == first);
            (first.filter(|_| is_one), text)
        };
        match (root, feature.parse()) {
            (Some(root), Ok(feature)) => Ok((root, feature)),
            (None, Ok(_)) => {
                let names: Vec<&str> = vendors.values().map(String::as_str).collect();
                let detail = match names.as_slice() {
                    [] => {
                        "no license is installed here; add one with `usherd license add`".to_owned()
                    }
                    _ => format!(
                        "whose feature is `{text}`? say `vendor/feature`; vendors known here: {}",
                        names.join(", ")
                    ),
                };
                Err(no(RefusalCode::UnknownVendor, detail))
            }
            (_, Err(error)) => Err(no(RefusalCode::BadRequest, error.to_string())),
        }
    }

    /// `1 seat of acme/solver from the license acme-1, of those reserved for …, for 10m`.
    fn tell_grant(&self, step: &Step, asker: &Asker<'_>, wish: &Wish, index: PoolIndex) -> String {
        let pool = self.state.pool(index);
        let seats = match wish.seats {
            1 => "1 seat".to_owned(),
            count => format!("{count} seats"),
        };
        let feature = self.state.feature_path(&wish.key);
        let length = match wish.borrow_ms {
            Some(length) => format!("borrowed for {length}"),
            None => self.tell_length(step, asker, index),
        };
        format!(
            "{seats} of {feature} from the license {}: {}, {length}",
            pool.key.license,
            self.tell_source(asker, wish, index)
        )
    }

    /// Which seats these would be.
    fn tell_source(&self, asker: &Asker<'_>, wish: &Wish, index: PoolIndex) -> String {
        let pool = self.state.pool(index);
        let seats_new = u64::from(self.seats_new_in(asker, index, wish.seats));
        if seats_new == 0 {
            return "shared with its other processes, none new".to_owned();
        }
        if self.lingering_with(asker, index) >= seats_new {
            return "those that it gave back a moment ago".to_owned();
        }
        if let Some(own) = self.own_reservation(asker, &wish.key) {
            let rule = self.policy.rule_of_reservation(own.index);
            return format!("reserved ({} in {}:{})", rule.text, rule.file, rule.line);
        }
        let total = pool.seats().map(u64::from);
        match total {
            Some(total) if pool.out + seats_new > total => "overdraft".to_owned(),
            Some(total) => format!("free ones, {} of {total} out", pool.out),
            None => "of an unlimited number".to_owned(),
        }
    }

    fn tell_length(&self, step: &Step, asker: &Asker<'_>, index: PoolIndex) -> String {
        let pool = self.state.pool(index);
        let right: DurationMs = self.right_in(step, asker, index, None);
        let by = match self.length_by_policy(pool, || asker.subject()) {
            Some(_) => "by the policy",
            None => "by the license",
        };
        format!("for {right} at a time {by}")
    }

    fn tell_wait(&self, wish: &Wish, refusal: &Refusal) -> String {
        let waiting = self.waiting_for(&wish.key);
        let because = refusal.earliest_because.as_deref();
        let because = because.map_or_else(String::new, |it| format!("; {it}"));
        format!("with --wait it would stand in the queue, {waiting} wait now{because}")
    }
}
