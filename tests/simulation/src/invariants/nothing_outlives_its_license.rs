//! No lease outlives its license (L8): neither the length that a client is promised, counted from the
//! daemon's own date, nor the end it may show goes beyond the license's.

use usher_protocol::documents::lease::Lease;

use super::Violation;
use crate::world::{Extended, World};

/// Of one promise, as it comes to its client.
pub(crate) fn judge(world: &World, lease: &Lease, by: &Extended) -> Result<(), Violation> {
    let Some(expires) = by.expires else {
        return Ok(());
    };
    let end = lease.issued.plus(lease.length_ms).max(lease.not_after);
    if end <= expires {
        return Ok(());
    }
    let what = format!("{} ends at {end:?}, its license at {expires:?}", lease.id);
    Err(Violation::new(world, "nothing_outlives_its_license", what))
}
