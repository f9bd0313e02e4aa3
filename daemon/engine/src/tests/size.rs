//! A checkout costs the same in a pool of any size: what it looks at is counted, not timed.

use super::*;

/// Records, events and answers of one checkout and one refusal in a pool of so many leases.
fn footprint(seats: u32) -> (usize, usize, usize) {
    let mut world = World::with_seats(seats + 1);
    world.settings.leases_per_client_max = usize::MAX;
    let settings = world.settings.clone();
    world.admin(AdminAsk::Configure(settings)).unwrap();
    for number in 0..seats {
        world.checkout_with(10, numbered(number)).unwrap();
    }
    let events = world.events.len();
    world.checkout_with(11, numbered(seats)).unwrap();
    let of_grant = world.events.len() - events;
    let refusal = refused(
        world.checkout_with(11, numbered(seats + 1)),
        RefusalCode::NoSeat,
    );
    let named = refusal.holders.len();
    assert_eq!(refusal.holders_more as usize + named, seats as usize + 1);
    (of_grant, named, world.last.records.len())
}

fn numbered(number: u32) -> Checkout {
    let mut checkout = wants(0);
    checkout.nonce.0[..4].copy_from_slice(&number.to_le_bytes());
    checkout
}

#[test]
fn a_checkout_yields_as_much_at_ten_as_at_twenty_thousand() {
    assert_eq!(footprint(10), footprint(20_000));
}
