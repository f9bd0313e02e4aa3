//! Every acknowledged grant is known after a restart (L2): whoever believes in a lease when a life
//! begins finds it in the store that life began with.

use std::collections::BTreeSet;

use usher_protocol::ids::LeaseId;

use super::Violation;
use crate::world::World;

pub(crate) fn judge(world: &World) -> Result<(), Violation> {
    let known = known(world);
    for station in &world.stations {
        if station.is_paused() {
            continue;
        }
        let now = world.station_now(station.number);
        let at_home = station.at_home.iter();
        for it in at_home.filter(|it| it.holds(now.wall) && !it.may_be_lost) {
            if !known.contains(&key(it.lease.id)) {
                let what = format!(
                    "station {} has {} at home, and the store does not know it",
                    station.number, it.lease.id
                );
                return Err(Violation::new(world, "known_after_restart", what));
            }
        }
        for (number, seat) in &station.seats {
            let holds = seat.session.state(now).is_some_and(|state| state.holds());
            let lease = seat.session.held().map(|held| held.granted.id);
            // What a restore or a reverted disk lost is held for otherwise (L12).
            let Some(lease) = lease.filter(|_| holds && !seat.may_be_lost) else {
                continue;
            };
            if !known.contains(&key(lease)) {
                let what = format!(
                    "seat {}/{number} believes in {lease}, and the store does not know it",
                    station.number
                );
                return Err(Violation::new(world, "known_after_restart", what));
            }
        }
    }
    Ok(())
}

fn known(world: &World) -> BTreeSet<Vec<u8>> {
    let storage = world.server.storage.lock();
    let live = storage.open.iter().flat_map(|open| open.state.live.keys());
    live.filter(|key| key.first() == Some(&b'L'))
        .cloned()
        .collect()
}

/// As `docs/formats.md` has it.
fn key(lease: LeaseId) -> Vec<u8> {
    let mut key = vec![b'L'];
    key.extend_from_slice(&lease.epoch.0.to_be_bytes());
    key.extend_from_slice(&lease.commit.0.to_be_bytes());
    key
}
