//! What is replayed equals what lived (A1, L12): the usage log played from the beginning gives the
//! leases of the store, and an engine that starts from the store sees what the running one sees.

use std::collections::BTreeMap;

use usher_engine::api::{AdminAsk, Answer, LeaseView};

use super::Violation;
use crate::{storage, world::World};

/// Records by key.
type Live = BTreeMap<Vec<u8>, Vec<u8>>;

/// The leases that were there after the event of that number.
#[derive(Debug, Default, Clone)]
pub(crate) struct Base {
    pub(crate) number: u64,
    pub(crate) leases: Live,
}

impl Base {
    /// A restore, or a reverted disk: from here on the log tells the changes anew.
    pub(crate) fn of(state: &crate::frames::State) -> Self {
        Self {
            number: state.events,
            leases: leases(state.live.clone()),
        }
    }
}

pub(crate) fn judge(world: &mut World) -> Result<(), Violation> {
    log_replayed(world)?;
    engine_replayed(world)
}

fn log_replayed(world: &World) -> Result<(), Violation> {
    let mut storage = world.server.storage.lock();
    let base = &world.watch.told_from;
    let mut told = base.leases.clone();
    let Ok((entries, _)) = storage.read_log(true) else {
        return Ok(());
    };
    let mut since = entries.iter().filter(|entry| entry.number > base.number);
    let played = since.try_for_each(|entry| storage::replay(&mut told, entry));
    let live = leases(storage.state().live);
    drop(storage);
    if played.is_ok() && leases(told.clone()) == live {
        return Ok(());
    }
    let what = format!(
        "the log gives {} leases, the store has {}",
        leases(told).len(),
        live.len()
    );
    Err(Violation::new(world, "replay_equals_live", what))
}

fn leases(mut live: Live) -> Live {
    live.retain(|key, _| key.first() == Some(&b'L'));
    live
}

/// Asks the running daemon, and one that starts from a copy of its disk, for their leases.
fn engine_replayed(world: &mut World) -> Result<(), Violation> {
    let ask = AdminAsk::Leases {
        after: None,
        count_max: 1000,
    };
    let Some(lives) = world.look_at(ask.clone()) else {
        return Ok(());
    };
    let Some(replayed) = world.look_replayed(ask) else {
        let what = "a copy of the disk does not start".to_owned();
        return Err(Violation::new(world, "replay_equals_live", what));
    };
    let (lives, replayed) = (views(lives), views(replayed));
    if lives == replayed {
        return Ok(());
    }
    let what = format!("live {lives:?}, replayed {replayed:?}");
    Err(Violation::new(world, "replay_equals_live", what))
}

/// Without what a restart may change: how long each is held, and that it is.
fn views(answer: Answer) -> Vec<LeaseView> {
    let Answer::Leases(mut leases) = answer else {
        return Vec::new();
    };
    for lease in &mut leases {
        lease.free_in_ms = usher_protocol::time::DurationMs::ZERO;
        lease.note = lease.note.take().filter(|note| !note.starts_with("held"));
    }
    leases
}
