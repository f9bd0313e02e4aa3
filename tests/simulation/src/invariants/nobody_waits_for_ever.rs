//! Nobody waits for ever while seats are free (L9): after the calm every wish was met, or given up by
//! who had it.

use super::Violation;
use crate::world::World;

pub(crate) fn judge(world: &World) -> Result<(), Violation> {
    let waiting: Vec<_> = (0..world.stations.len())
        .flat_map(|station| world.seats_of(station))
        .filter(|seat| !world.holds(*seat))
        .collect();
    let Some(first) = waiting.first() else {
        return Ok(());
    };
    let session = world.session(*first).map(|session| format!("{session:?}"));
    let what = format!(
        "{first} and {} more still wait: {}",
        waiting.len() - 1,
        session.unwrap_or_default()
    );
    Err(Violation::new(world, "nobody_waits_for_ever", what))
}
