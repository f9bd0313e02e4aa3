//! What is said of seats that stay home for borrows which the store has lost (L12).

use super::{borrow::lendable, *};
use crate::tests::borrow::{lose_borrows, world};

#[test]
fn l12_seats_that_stay_home_are_told_until_their_borrows_are_known_again() {
    let mut world = world(lendable(1));
    let away = lose_borrows(&mut world, 1);
    let told = |world: &mut World| {
        let said = world.status().degraded;
        said.iter().any(|it| it.starts_with("borrows: "))
    };
    assert!(told(&mut world));
    let shown = world.attach(10, &away[0].lease, 1, link(1, 200));
    refused(shown, RefusalCode::LeaseBorrowed);
    assert!(!told(&mut world));
}
