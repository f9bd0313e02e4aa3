//! A part of the usage log is retired (S2).

use super::*;
use crate::record::{Retirement, What};

/// Whoever asked moves files away once this is answered.
#[test]
fn s2_a_retirement_waits_for_the_log_and_changes_nothing_else() {
    let mut world = World::with_seats(1);
    let retirement = Retirement {
        through: 3,
        hash: [1; 32],
        base: 5,
        base_digest: [2; 32],
    };
    let before = format!("{:?}", world.store);
    world.admin(AdminAsk::RetireLog(retirement)).unwrap();
    assert!(world.last.wait_for_log);
    assert_eq!(format!("{:?}", world.store), before);
    let told = world.events.last().map(|it| &it.what);
    assert_eq!(told, Some(&What::LogRetired(retirement)));
}
