//! What was used in the last day, week, month and year: reckoned from the whole usage log, as `usherd report` does.
//!
//! The log is read on a thread of its own, once for all that is asked, its chain proved on the way. What was read is kept
//! for a while, the longer the more work it was; meanwhile it is told as of then. Memory grows with names and live
//! leases, never with the log.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use tokio::sync::watch;
use usher_client::clock::Clock;
use usher_engine::{policy::Policy, record::Event};
use usher_protocol::time::{BootMs, DurationMs, WallMs};

use super::heat::Heat;
use crate::{
    limits, records,
    report::{By, Names, Reckoning, Report, SLICES_MAX, Scope},
    usage::{LogHead, Reader},
};

/// A length of time that ends now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period {
    /// As in an address.
    pub(super) word: &'static str,
    pub(super) length: DurationMs,
}

/// All that can be asked for.
pub(super) const PERIODS: [Period; 4] = [
    period("day", 1),
    period("week", 7),
    period("month", 30),
    period("year", 365),
];

/// What was read.
#[derive(Debug)]
pub(super) struct Past {
    /// Until then.
    pub(super) at: WallMs,
    /// By the place of its period in [`PERIODS`].
    pub(super) reports: Vec<Report>,
    pub(super) heat: Heat,
}

/// How the reading is.
#[derive(Debug)]
pub(super) enum Told {
    /// As of a moment ago, or of a while.
    Past(Arc<Past>),
    /// It takes longer: so many entries of so many are read.
    Reading(u64, u64),
    /// It failed, and why.
    Failed(String),
}

/// Reads when somebody asks.
#[derive(Debug)]
pub(super) struct History {
    state: Mutex<State>,
    /// Counts readings that have ended.
    ended: watch::Sender<u64>,
    entries: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    last: Option<Result<Arc<Past>, String>>,
    /// What was read is told until then without another look.
    fresh_until: BootMs,
    is_reading: bool,
}

impl Default for History {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            ended: watch::Sender::new(0),
            entries: AtomicU64::new(0),
        }
    }
}

impl History {
    /// What is known; begins to read where that is old. Waits a moment for a first reading, and no longer.
    pub(super) async fn tell(self: &Arc<Self>, log: PathBuf, head: LogHead) -> Told {
        let mut ended = self.ended.subscribe();
        self.begin(log, head);
        let patience = limits::HTTP_HISTORY_WAIT_MS_MAX.to_std();
        if self.state().last.is_none() {
            let _ = tokio::time::timeout(patience, ended.changed()).await;
        }
        match &self.state().last {
            Some(Ok(past)) => Told::Past(Arc::clone(past)),
            Some(Err(why)) => Told::Failed(why.clone()),
            None => Told::Reading(self.entries.load(Relaxed), head.number),
        }
    }

    fn begin(self: &Arc<Self>, log: PathBuf, head: LogHead) {
        let now = Clock::new().now();
        let mut state = self.state();
        if state.is_reading || (state.last.is_some() && now.boot < state.fresh_until) {
            return;
        }
        self.entries.store(0, Relaxed);
        let history = Arc::clone(self);
        // Not of the runtime's threads: its end waits for nobody who reads.
        let reader = thread::Builder::new().name("usage-history".to_owned());
        let begun = reader.spawn(move || {
            let past = past(&log, head, now.wall, &history.entries);
            history.end(past, now.boot);
        });
        match begun {
            Ok(_) => state.is_reading = true,
            Err(error) => state.last = Some(Err(format!("cannot begin to read: {error}"))),
        }
    }

    fn end(&self, past: Result<Past, String>, began: BootMs) {
        let now = Clock::new().boot();
        let mut state = self.state();
        state.fresh_until = now.plus(kept(now.since(began)));
        state.last = Some(past.map(Arc::new));
        state.is_reading = false;
        drop(state);
        self.ended.send_modify(|count| *count += 1);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reading takes a twentieth of one processor's time at most, however large the log and however often one looks.
fn kept(took: DurationMs) -> DurationMs {
    let kept = took.0.saturating_mul(20);
    DurationMs(kept.max(limits::HTTP_HISTORY_KEPT_MS_MIN.0))
}

fn past(log: &Path, head: LogHead, now: WallMs, read: &AtomicU64) -> Result<Past, String> {
    let scope = |from: WallMs, slices_max| Scope {
        from: Some(from),
        to: now,
        by: By::Feature,
        feature: None,
        policy: Policy::default(),
        names: Names::default(),
        slices_max,
    };
    let ago = |length: DurationMs| WallMs(now.0.saturating_sub(length.0));
    let periods = PERIODS.iter();
    let mut periods: Vec<_> = periods
        .map(|it| Reckoning::new(scope(ago(it.length), SLICES_MAX)))
        .collect();
    let (begin, hours) = Heat::span(now);
    let mut heat = Reckoning::new(scope(begin, hours));
    let known = records::told_by_base(log);
    for reckoning in periods.iter_mut().chain([&mut heat]) {
        reckoning.know(&known);
    }
    let mut first = None;
    each(log, head, |event| {
        first.get_or_insert(event.at);
        heat.take(event);
        for reckoning in &mut periods {
            reckoning.take(event);
        }
        read.fetch_add(1, Relaxed);
    })?;
    let mut reports: Vec<_> = periods.into_iter().map(Reckoning::end).collect();
    for report in &mut reports {
        report.users.truncate(USERS_MAX);
        report.users.shrink_to_fit();
        report.refusals.truncate(REFUSALS_MAX);
    }
    Ok(Past {
        at: now,
        reports,
        heat: Heat::of(&heat.end(), first.unwrap_or(now)),
    })
}

fn each(log: &Path, head: LogHead, mut take: impl FnMut(&Event)) -> Result<(), String> {
    let wrong = |error: String| format!("{error}; see: usherd usage verify");
    for entry in Reader::open(log, Some(head)).map_err(|error| wrong(error.to_string()))? {
        let entry = entry.map_err(|error| wrong(error.to_string()))?;
        let event = records::read_event(&entry.body);
        take(&event.map_err(|error| wrong(format!("entry {}: {error}", entry.number)))?);
    }
    Ok(())
}

const fn period(word: &'static str, days: u64) -> Period {
    Period {
        word,
        length: DurationMs::days(days),
    }
}

/// The rest is in `usherd report`.
pub(super) const USERS_MAX: usize = 20;
const REFUSALS_MAX: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_takes_a_small_share_of_the_time() {
        assert_eq!(kept(DurationMs(3)), limits::HTTP_HISTORY_KEPT_MS_MIN);
        assert_eq!(kept(DurationMs::minutes(1)), DurationMs::minutes(20));
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_said_with_the_next_step() {
        let history = Arc::new(History::default());
        let told = history.tell("/nowhere/usage".into(), LogHead::default());
        match told.await {
            Told::Failed(why) => assert!(why.contains("usherd usage verify"), "{why}"),
            other => panic!("{other:?}"),
        }
        assert!(!history.state().is_reading);
    }

    #[tokio::test]
    async fn a_reading_under_way_is_waited_for_and_not_begun_again() {
        let history = Arc::new(History::default());
        history.state().is_reading = true;
        let waiting = Arc::clone(&history);
        let waiting =
            tokio::spawn(async move { waiting.tell("/nowhere".into(), LogHead::default()).await });
        tokio::task::yield_now().await;
        history.end(Err("as told by the first".to_owned()), BootMs(0));
        match waiting.await.unwrap() {
            Told::Failed(why) => assert_eq!(why, "as told by the first"),
            other => panic!("{other:?}"),
        }
    }
}
