//! Random histories: requests as they come, and the log that would tell of them.

use proptest::prelude::*;

use super::{DurationMs, HOUR, LeaseRecord, MIN, RefusalCode, What, denied, gave_up, id, lease};

/// One request and what became of it.
#[derive(Debug, Clone)]
pub(super) struct Story {
    pub(super) number: u64,
    pub(super) user: &'static str,
    pub(super) seats: u32,
    pub(super) came: u64,
    pub(super) fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fate {
    /// Granted then, over then, sharing seats with that lease.
    Granted { at: u64, end: u64, share: u64 },
    /// Left the queue then.
    GaveUp { at: u64 },
    /// Refused for want of seats when it came.
    Denied,
}

/// Up to forty requests within three days. No two things happen at one moment, so that their order is known.
pub(super) fn stories() -> impl Strategy<Value = Vec<Story>> {
    let one = (
        prop::sample::select(vec!["anna", "bert", "carl"]),
        1_u32..4,
        0_u64..72 * 60,
        0_u64..4,
        // Seconds to wait, to hold, and whether a seat is shared.
        (prop_oneof![Just(0_u64), 1..7200_u64], 1_u64..100_000),
        any::<prop::sample::Index>(),
    );
    prop::collection::vec(one, 1..40).prop_map(|all| {
        let mut stories: Vec<Story> = Vec::new();
        for (number, (user, seats, minute, kind, (wait, hold), other)) in (1_u64..).zip(all) {
            // Each story has three milliseconds of its own within a second.
            let came = minute * MIN + number * 3;
            let at = if wait == 0 {
                came
            } else {
                came + wait * 1000 + 1
            };
            let end = at + hold * 1000 + 2;
            let fate = match kind {
                0 => Fate::Denied,
                1 if wait > 0 => Fate::GaveUp { at },
                2 if number > 1 => Fate::Granted {
                    at,
                    end,
                    share: stories[other.index(stories.len())].number,
                },
                _ => Fate::Granted {
                    at,
                    end,
                    share: number,
                },
            };
            stories.push(Story {
                number,
                user,
                seats,
                came,
                fate,
            });
        }
        stories
    })
}

/// The log's events, in the order of time.
pub(super) fn log(stories: &[Story]) -> Vec<(u64, What)> {
    let mut events: Vec<(u64, What)> = stories.iter().flat_map(told).collect();
    events.sort_by_key(|(at, _)| *at);
    events
}

fn told(story: &Story) -> Vec<(u64, What)> {
    match story.fate {
        Fate::Denied => vec![(story.came + MIN, denied(story.user, RefusalCode::NoSeat))],
        Fate::GaveUp { at } => {
            let What::GaveUp {
                root,
                feature,
                holder,
                ..
            } = gave_up(story.user, 0)
            else {
                unreachable!()
            };
            let waited_ms = DurationMs(at - story.came);
            vec![(
                at,
                What::GaveUp {
                    root,
                    feature,
                    holder,
                    waited_ms,
                },
            )]
        }
        Fate::Granted { at, end, share } => {
            let lease = LeaseRecord {
                share_since: id(share),
                waited_ms: DurationMs(at - story.came),
                ..lease(story.number, story.user, story.seats)
            };
            vec![
                (at, What::Granted(Box::new(lease))),
                (end, What::Released(id(story.number))),
            ]
        }
    }
}

/// A time that some stories lie within, some across, some without.
pub(super) fn time() -> impl Strategy<Value = (u64, u64)> {
    (0_u64..80, 1_u64..80)
        .prop_map(|(from, hours)| (from * HOUR + 500, (from + hours) * HOUR + 500))
}
