//! Which denials are true: the seat was never got.
//!
//! The log counts refusals of one request together and tells of them once it has been quiet for a minute, so a grant
//! may stand before the denial that it undid.

use std::collections::{HashMap, VecDeque};

use usher_protocol::time::{DurationMs, WallMs};

/// Who asked for what: feature, user, host.
pub(super) type Asked = (String, String, String);

/// Denials that may still turn out to be none.
#[derive(Debug)]
pub(super) struct Denials<T> {
    granted: HashMap<Asked, WallMs>,
    granted_max: usize,
    open: HashMap<Asked, VecDeque<(WallMs, T)>>,
    by_age: VecDeque<(WallMs, Asked)>,
}

impl<T> Default for Denials<T> {
    fn default() -> Self {
        Self {
            granted: HashMap::new(),
            granted_max: GRANTED_MIN,
            open: HashMap::new(),
            by_age: VecDeque::new(),
        }
    }
}

impl<T> Denials<T> {
    /// A grant: the denials that it undoes.
    pub(super) fn grant(&mut self, at: WallMs, asked: Asked) -> Vec<(WallMs, T)> {
        if self.granted.len() >= self.granted_max {
            self.granted.retain(|_, last| last.plus(SOON_MS) >= at);
            self.granted_max = GRANTED_MIN.max(self.granted.len() * 2);
        }
        let undone = self.open.remove(&asked).map_or_else(Vec::new, Vec::from);
        self.granted.insert(asked, at);
        undone
    }

    /// A denial of that moment; given back when it is known to be none.
    pub(super) fn deny(&mut self, at: WallMs, asked: Asked, what: T) -> Result<(), T> {
        if self.granted.get(&asked).is_some_and(|last| *last > at) {
            return Err(what);
        }
        self.by_age.push_back((at, asked.clone()));
        self.open.entry(asked).or_default().push_back((at, what));
        Ok(())
    }

    /// The next denial that is true by now; without a moment all are.
    pub(super) fn settled(&mut self, now: Option<WallMs>) -> Option<(WallMs, T)> {
        loop {
            let (at, _) = self.by_age.front()?;
            let is_late = now.is_none_or(|now| at.plus(SOON_MS) < now);
            if !is_late && self.by_age.len() <= OPEN_MAX {
                return None;
            }
            let (at, asked) = self.by_age.pop_front()?;
            // It may have been undone: then its place in the line says nothing.
            let Some(open) = self.open.get_mut(&asked) else {
                continue;
            };
            let is_it = open.front().is_some_and(|(first, _)| *first == at);
            let found = if is_it { open.pop_front() } else { None };
            if open.is_empty() {
                self.open.remove(&asked);
            }
            if found.is_some() {
                return found;
            }
        }
    }
}

/// A seat that is got so soon was not denied.
pub(super) const SOON_MS: DurationMs = DurationMs::minutes(10);
/// The log tells of a refusal when its client has been quiet for so long, or when its life ends.
pub(super) const TOLD_LATE_MS: DurationMs = DurationMs::minutes(1);
const OPEN_MAX: usize = 100_000;
const GRANTED_MIN: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: u64 = 60_000;

    fn asked(user: &str) -> Asked {
        ("acme/solver".to_owned(), user.to_owned(), "ws1".to_owned())
    }

    #[test]
    fn a_denial_is_true_when_no_seat_is_got_soon() {
        let mut denials = Denials::default();
        let at = WallMs(99 * MIN);
        denials.deny(at, asked("anna"), 1).unwrap();
        denials.deny(at, asked("bert"), 2).unwrap();
        assert_eq!(denials.settled(Some(WallMs(109 * MIN))), None);
        assert_eq!(denials.grant(WallMs(105 * MIN), asked("anna")), [(at, 1)]);
        assert_eq!(denials.settled(Some(WallMs(110 * MIN))), Some((at, 2)));
        assert_eq!(denials.settled(None), None);
    }

    #[test]
    fn a_seat_got_before_the_log_tells_of_the_denial_undoes_it_and_an_older_seat_does_not() {
        let mut denials = Denials::default();
        denials.grant(WallMs(99 * MIN + 30_000), asked("anna"));
        denials.grant(WallMs(98 * MIN), asked("bert"));
        let at = WallMs(99 * MIN);
        assert!(denials.deny(at, asked("anna"), 1).is_err());
        assert!(denials.deny(at, asked("bert"), 2).is_ok());
        assert_eq!(denials.settled(None), Some((WallMs(99 * MIN), 2)));
    }
}
