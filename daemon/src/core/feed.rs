//! What has just become history, for whoever tells it while it is new: after each commit, never before (A2).
//!
//! Bounded, and never waited for: what finds no room is only counted, for the usage log has it. Costs nothing where
//! nobody listens. It must not decide how anything is told.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use tokio::sync::Notify;
use usher_engine::record::{Event, What};

use crate::limits::{FEED_RARE_MAX, FEED_WAITING_MAX};

/// The news of this life, for one listener. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Feed(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    listened_to: AtomicBool,
    waiting: Mutex<Waiting>,
    rung: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<Event>,
    missed: u64,
}

/// What one batch adds to the feed, once it is durable.
#[derive(Debug, Default)]
pub(super) struct Portion {
    /// How many more there is room for; none where nobody listens.
    room: Option<usize>,
    events: Vec<Event>,
    missed: u64,
}

impl Feed {
    /// From now on somebody takes what comes.
    pub fn listen(&self) {
        self.0.listened_to.store(true, Relaxed);
    }

    /// Up to `most` events in their order, once there are any, and how many went by before them for want of room.
    pub async fn next(&self, most: usize) -> (Vec<Event>, u64) {
        loop {
            let (events, missed) = self.take(most);
            if !events.is_empty() || missed > 0 {
                return (events, missed);
            }
            self.0.rung.notified().await;
        }
    }

    /// As [`Feed::next`], without waiting.
    pub fn take(&self, most: usize) -> (Vec<Event>, u64) {
        let mut waiting = self.waiting();
        let count = most.min(waiting.events.len());
        let events = waiting.events.drain(..count).collect();
        (events, std::mem::take(&mut waiting.missed))
    }

    /// For the batch that begins.
    pub(super) fn portion(&self) -> Portion {
        let listened_to = self.0.listened_to.load(Relaxed);
        Portion {
            room: listened_to.then(|| FEED_WAITING_MAX.saturating_sub(self.waiting().events.len())),
            ..Portion::default()
        }
    }

    /// A batch is durable.
    pub(super) fn put(&self, portion: Portion) {
        if portion.events.is_empty() && portion.missed == 0 {
            return;
        }
        let mut waiting = self.waiting();
        waiting.missed += portion.missed;
        for event in portion.events {
            if waiting.events.len() < FEED_RARE_MAX {
                waiting.events.push_back(event);
            } else {
                waiting.missed += 1;
            }
        }
        drop(waiting);
        self.0.rung.notify_one();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Portion {
    /// Takes in one event of the batch.
    pub(super) fn add(&mut self, event: &Event) {
        let Some(room) = self.room else {
            return;
        };
        if matches!(event.what, What::LicenseText(_)) {
            return;
        }
        // A flood of leases must not hide what stops granting.
        if self.events.len() < room || !is_daily(&event.what) {
            self.events.push(event.clone());
        } else {
            self.missed += 1;
        }
    }
}

/// What clients cause, as often as they like.
fn is_daily(what: &What) -> bool {
    matches!(
        what,
        What::Granted(_)
            | What::Changed(_)
            | What::Released(_)
            | What::Reclaimed(_)
            | What::Adopted(_)
            | What::Denied { .. }
            | What::GaveUp { .. }
    )
}

#[cfg(test)]
mod tests {
    use usher_protocol::{
        ids::{Commit, Epoch, LeaseId},
        time::WallMs,
    };

    use super::*;

    fn event(what: What) -> Event {
        Event {
            at: WallMs(1),
            license_time: WallMs(1),
            epoch: Epoch(1),
            actor: "client".to_owned(),
            what,
        }
    }

    fn released(commit: u64) -> Event {
        event(What::Released(LeaseId {
            epoch: Epoch(1),
            commit: Commit(commit),
        }))
    }

    fn batch(feed: &Feed, events: &[Event]) {
        let mut portion = feed.portion();
        for event in events {
            portion.add(event);
        }
        feed.put(portion);
    }

    #[test]
    fn nothing_is_kept_where_nobody_listens() {
        let feed = Feed::default();
        batch(&feed, &[released(1)]);
        assert_eq!(feed.take(9), (Vec::new(), 0));
        feed.listen();
        batch(&feed, &[released(2)]);
        assert_eq!(feed.take(9), (vec![released(2)], 0));
    }

    #[test]
    fn a3_a_flood_is_counted_and_hides_no_trouble() {
        let feed = Feed::default();
        feed.listen();
        let trouble = event(What::Trouble("clone-found: another daemon".to_owned()));
        let mut flood: Vec<_> = (0..FEED_WAITING_MAX as u64 + 3).map(released).collect();
        flood.push(trouble.clone());
        batch(&feed, &flood);
        batch(&feed, &[released(9)]);
        let (events, missed) = feed.take(usize::MAX);
        assert_eq!((events.len(), missed), (FEED_WAITING_MAX + 1, 4));
        assert_eq!(events.last(), Some(&trouble));
        assert_eq!(events[0], flood[0]);
        assert_eq!(feed.take(9), (Vec::new(), 0));
    }

    #[tokio::test]
    async fn what_comes_wakes_the_listener() {
        let feed = Feed::default();
        feed.listen();
        let other = feed.clone();
        let listener = tokio::spawn(async move { other.next(1).await });
        batch(&feed, &[released(1), released(2)]);
        assert_eq!(listener.await.unwrap(), (vec![released(1)], 0));
        assert_eq!(feed.next(9).await, (vec![released(2)], 0));
    }
}
