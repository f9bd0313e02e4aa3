//! A set is lent whole or not at all: when its client hears a "no" to its only question, the store knows
//! none of it.

use usher_engine::record::Record;
use usher_protocol::{ids::Nonce, refusal::RefusalCode};
use usherd::records;

use super::Violation;
use crate::world::World;

/// Of a set that was refused.
pub(crate) fn judge(
    world: &World,
    station: usize,
    set: &[Nonce],
    code: RefusalCode,
) -> Result<(), Violation> {
    let client = world.stations[station].key;
    let live = world.server.storage.lock().state().live;
    let lent = live.iter().filter(|(key, value)| {
        let record = (key.first() == Some(&b'L')).then(|| records::read(key, value));
        let Some(Ok(Record::PutLease(lease))) = record else {
            return false;
        };
        lease.client == client && set.contains(&lease.nonce)
    });
    let count = lent.count();
    // A write that failed may have reached the disk (L13): then all of it did.
    let may_be_whole = code == RefusalCode::StorageTrouble && count == set.len();
    if count == 0 || may_be_whole {
        return Ok(());
    }
    let what = format!("{count} of a set that station {station} was refused are lent");
    Err(Violation::new(world, "sets_are_whole", what))
}
