//! A line by itself (L9): who stands where, and what those in front keep. Bookkeeping, and no situation of
//! anybody: none of these is in docs/semantics.md.

use std::cmp::Reverse;

use super::*;
use crate::{
    line::Line,
    pool::{FeatureKey, PoolIndex},
    queue::Rank,
};

const POOL: PoolIndex = PoolIndex(0);

fn rank(number: u64) -> Rank {
    Rank {
        number,
        ..Rank::last(0)
    }
}

fn line() -> Line {
    Line::new(FeatureKey::of(root(), &wants(1)))
}

/// A line that was looked at to its end: these stand in it, of the reservation 7 where it says so.
fn seen(standing: &[(u64, Option<usize>)]) -> Line {
    let mut line = line();
    for (number, reservation) in standing {
        line.insert(rank(*number), 1, *reservation);
    }
    line
}

#[test]
fn only_who_stands_before_others_moves_them() {
    let mut line = line();
    assert!(line.is_empty());
    assert!(!line.insert(rank(5), 1, None), "the first");
    assert!(!line.is_empty());
    assert!(!line.insert(rank(6), 1, None), "the last");
    assert!(line.insert(rank(4), 1, None));
    let vip = Rank {
        priority: Reverse(9),
        ..rank(7)
    };
    assert!(line.insert(vip, 1, None));
    assert_eq!(line.len(), 4);
    assert!(!line.insert(rank(6), 1, None), "it stands there");
}

#[test]
fn the_fewest_seats_are_of_those_who_stand_there() {
    let mut line = line();
    assert_eq!(line.fewest_seats(), 0);
    for (number, seats) in [(1, 5), (2, 3), (3, 3), (4, 9)] {
        line.insert(rank(number), seats, None);
    }
    assert_eq!(line.fewest_seats(), 3);
    line.remove(rank(2), 3, None);
    line.remove(rank(2), 3, None);
    assert_eq!(line.fewest_seats(), 3, "one of them is left");
    line.remove(rank(3), 3, None);
    assert_eq!(line.fewest_seats(), 5);
}

#[test]
fn a_pool_is_kept_from_those_behind_and_from_nobody_else() {
    let mut line = seen(&[(3, None), (5, None)]);
    line.block(POOL, rank(5));
    line.block(POOL, rank(3));
    line.block(POOL, rank(4));
    for (number, kept) in [(2, false), (3, false), (4, true)] {
        assert_eq!(
            line.is_kept_from(POOL, rank(number), false),
            kept,
            "{number}"
        );
        assert!(!line.is_kept_from(PoolIndex(1), rank(number), false));
    }
    assert!(line.is_blocked(POOL) && !line.is_blocked(PoolIndex(1)));
}

#[test]
fn who_was_not_looked_at_keeps_all_from_those_behind() {
    let mut line = seen(&[(3, None), (5, None)]);
    assert!(!line.is_kept_from(POOL, rank(9), false), "looked at");
    assert!(line.touch(false));
    for (number, kept) in [(2, false), (3, false), (4, true)] {
        assert_eq!(
            line.is_kept_from(POOL, rank(number), false),
            kept,
            "{number}"
        );
    }
    line.begin_look();
    line.look_on(rank(4), false);
    assert!(!line.is_kept_from(POOL, rank(5), true));
    assert!(line.is_kept_from(POOL, rank(6), true));
    // Where smaller ones may pass, who was asked keeps nothing.
    assert!(!line.end_look(Some(rank(4))));
    assert!(line.is_kept_from(POOL, rank(6), false));
    assert!(!line.is_kept_from(POOL, rank(6), true));
}

#[test]
fn a_reservation_is_kept_from_those_of_it_who_stand_behind() {
    let mut line = seen(&[(3, Some(7)), (5, Some(7)), (6, None)]);
    assert!(!line.is_reservation_kept_from(7, rank(9)), "looked at");
    line.block_reservation(7, rank(5));
    line.block_reservation(7, rank(3));
    line.block_reservation(7, rank(4));
    for (number, kept) in [(2, false), (3, false), (4, true)] {
        assert_eq!(
            line.is_reservation_kept_from(7, rank(number)),
            kept,
            "{number}"
        );
        assert!(!line.is_reservation_kept_from(8, rank(number)));
    }
}

#[test]
fn who_was_not_looked_at_keeps_its_reservation_too() {
    let mut line = seen(&[(3, Some(7)), (5, Some(7)), (6, None)]);
    line.touch(false);
    for (number, kept) in [(3, false), (4, true)] {
        assert_eq!(
            line.is_reservation_kept_from(7, rank(number)),
            kept,
            "{number}"
        );
        assert!(!line.is_reservation_kept_from(8, rank(number)));
    }
    line.begin_look();
    line.look_on(rank(5), false);
    assert!(!line.is_reservation_kept_from(7, rank(4)), "looked at");
    assert!(!line.is_reservation_kept_from(7, rank(5)));
    assert!(line.is_reservation_kept_from(7, rank(6)));
    line.end_look(Some(rank(5)));
    assert!(
        !line.is_reservation_kept_from(7, rank(6)),
        "its reservation had none"
    );
}

#[test]
fn the_reservations_of_a_line_are_those_of_who_stands_there() {
    let mut line = seen(&[(3, Some(7)), (5, Some(7)), (6, None), (8, Some(2))]);
    assert_eq!(line.reservations(), [2, 7]);
    assert_eq!(line.member_from(7, rank(4)), Some(rank(5)));
    line.remove(rank(3), 1, Some(7));
    assert_eq!(line.reservations(), [2, 7]);
    line.remove(rank(5), 1, Some(7));
    assert_eq!(line.reservations(), [2]);
    assert_eq!(line.member_from(7, rank(0)), None);
}

#[test]
fn seats_offered_to_a_reservation_are_counted_until_they_are_taken_back() {
    let mut line = line();
    line.offer_to(7, 3);
    line.offer_to(7, 2);
    line.offer_to(8, 1);
    line.withdraw_from(7, 2);
    assert_eq!([7, 8, 9].map(|it| line.offered_to(it)), [3, 1, 0]);
    line.withdraw_from(7, 3);
    assert_eq!(line.offered_to(7), 0);
    line.offer_to(7, 1);
    assert_eq!(line.offered_to(7), 1);
}

#[test]
fn nobody_left_keeps_nothing() {
    let mut line = seen(&[(3, Some(7))]);
    line.block(POOL, rank(3));
    line.block_reservation(7, rank(3));
    line.touch(false);
    line.remove(rank(3), 1, Some(7));
    assert!(line.is_empty() && !line.is_blocked(POOL));
    line.insert(rank(9), 1, None);
    assert!(!line.is_kept_from(POOL, rank(10), false));
}

#[test]
fn what_changes_during_a_look_has_the_line_looked_at_again() {
    let mut line = seen(&[(3, None)]);
    assert!(line.touch(true));
    assert!(!line.touch(false), "it is due already");
    assert_eq!(line.begin_look(), (Rank::FIRST, true));
    assert!(!line.end_look(None), "nothing changed");
    line.touch(false);
    assert_eq!(line.begin_look(), (Rank::FIRST, false));
    line.look_on(rank(3), false);
    assert!(!line.touch(true));
    assert_eq!(line.begin_look(), (rank(3), false), "goes on");
    assert!(line.end_look(None));
    assert_eq!(line.begin_look(), (Rank::FIRST, true));
    // Nobody is left to look at.
    line.touch(false);
    line.remove(rank(3), 1, None);
    assert!(!line.end_look(None));
}
