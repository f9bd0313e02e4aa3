//! The usage log tells what happened (S2): every acknowledged event once, in order, chained, and of a
//! batch that was not acknowledged all or nothing.

use super::Violation;
use crate::{storage::Damaged, world::World};

/// At a start: nothing is missing, nothing too many.
pub(crate) fn judge(world: &World) -> Result<(), Violation> {
    let storage = world.server.storage.lock();
    let Some(open) = &storage.open else {
        return Ok(());
    };
    let logged = open.logged.number + open.waiting.len() as u64;
    let happened = storage.witness.events.len() as u64;
    if logged == happened && open.state.events == happened {
        return Ok(());
    }
    let what = format!("{happened} events happened, {logged} are logged or waiting");
    drop(storage);
    Err(Violation::new(world, "log_is_history", what))
}

/// At the end: every entry.
pub(crate) fn judge_all(world: &World) -> Result<(), Violation> {
    judge(world)?;
    let mut storage = world.server.storage.lock();
    let wrong = match storage.carry().map(|()| storage.read_log(true)) {
        Ok(Ok((entries, _))) => entries
            .iter()
            .map(|entry| &entry.body)
            .ne(&storage.witness.events)
            .then(|| "the log tells something else than what happened".to_owned()),
        Ok(Err(Damaged(what))) => Some(what),
        Err(_) => None,
    };
    drop(storage);
    match wrong {
        None => Ok(()),
        Some(what) => Err(Violation::new(world, "log_is_history", what)),
    }
}
