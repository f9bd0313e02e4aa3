//! Grouping: leases that share seats, and what they cost (L2, L7, L10).

use super::*;
use crate::record::What;

const GROUPS: [Grouping; 4] = [
    Grouping::Host,
    Grouping::UserHost,
    Grouping::User,
    Grouping::Display,
];

fn grouped(grouping: Grouping, seats: u32, serial: u64) -> Arc<VerifiedLicense> {
    let mut solver = feature("solver", Some(seats));
    solver.grouping = grouping;
    solver.claimed_user = grouping == Grouping::User;
    signed(&license("acme-1", serial, vec![solver]))
}

fn world_of(grouping: Grouping, seats: u32) -> World {
    let mut world = World::new();
    world.install(&grouped(grouping, seats, 1)).unwrap();
    world
}

fn asks(nonce: u8, user: &str, seats: u32) -> Checkout {
    let mut checkout = wants(nonce);
    checkout.seats = seats;
    checkout.holder.user = user.to_owned();
    checkout.holder.process = u32::from(nonce);
    checkout
}

fn release(world: &mut World, client: u8, lease: &Lease, nonce: u8) {
    world
        .release(client, lease, nonce, link(nonce, nonce + 100))
        .unwrap();
}

#[test]
fn processes_of_a_group_have_leases_of_their_own_and_one_seat() {
    for grouping in GROUPS {
        let mut world = world_of(grouping, 1);
        let first = world.checkout(10, 1).unwrap();
        let second = world.checkout(10, 2).unwrap();
        assert_ne!(first.lease.id, second.lease.id);
        assert_eq!(second.lease.grouping, grouping);
        assert_eq!(
            (second.seats_out, world.seats_out()),
            (1, 1),
            "{grouping:?}"
        );
        refused(
            world.checkout_with(11, asks(3, "bob", 1)),
            RefusalCode::NoSeat,
        );
        release(&mut world, 10, &first.lease, 1);
        assert_eq!(world.seats_out(), 1, "its last lease is out");
        release(&mut world, 10, &second.lease, 2);
        assert_eq!(world.seats_out(), 0);
        world.checkout_with(11, asks(3, "bob", 1)).unwrap();
    }
}

#[test]
fn without_grouping_each_process_has_its_own_seat() {
    let mut world = world_of(Grouping::Process, 1);
    world.checkout(10, 1).unwrap();
    refused(world.checkout(10, 2), RefusalCode::NoSeat);
}

#[test]
fn a_user_shares_across_hosts_where_the_vendor_signed_for_that_alone() {
    let mut world = world_of(Grouping::User, 1);
    world.checkout(10, 1).unwrap();
    world.checkout(11, 2).unwrap();
    world.checkout_with(12, asks(3, "ADA", 1)).unwrap();
    assert_eq!(world.seats_out(), 1);
    let mut world = world_of(Grouping::UserHost, 1);
    world.checkout(10, 1).unwrap();
    refused(world.checkout(11, 2), RefusalCode::NoSeat);
    refused(
        world.checkout_with(10, asks(3, "bob", 1)),
        RefusalCode::NoSeat,
    );
}

#[test]
fn a_share_costs_the_largest_of_its_leases_once() {
    let mut world = world_of(Grouping::Host, 5);
    let three = world.checkout_with(10, asks(1, "ada", 3)).unwrap().lease;
    world.checkout_with(10, asks(2, "ada", 2)).unwrap();
    assert_eq!(world.seats_out(), 3);
    // More than the share has costs the difference.
    world.checkout_with(11, asks(3, "bob", 1)).unwrap();
    refused(
        world.checkout_with(10, asks(4, "ada", 5)),
        RefusalCode::NoSeat,
    );
    let four = world.checkout_with(10, asks(5, "ada", 4)).unwrap().lease;
    assert_eq!(world.seats_out(), 5);
    release(&mut world, 10, &four, 5);
    assert_eq!(world.seats_out(), 4);
    release(&mut world, 10, &three, 1);
    assert_eq!(world.seats_out(), 3);
    assert_eq!(
        world.checkout_with(10, asks(6, "ada", 6)).unwrap_err().code,
        RefusalCode::TooManySeats
    );
}

#[test]
fn shares_are_the_same_after_a_restart() {
    for grouping in GROUPS {
        let mut world = world_of(grouping, 4);
        let first = world.checkout_with(10, asks(1, "ada", 2)).unwrap().lease;
        world.checkout_with(10, asks(2, "ada", 1)).unwrap();
        world.checkout_with(11, asks(3, "bob", 1)).unwrap();
        for lived in [3, 2] {
            assert_eq!(world.seats_out(), lived);
            let sharing = |world: &mut World| {
                let ask = AdminAsk::Leases {
                    after: None,
                    count_max: 9,
                };
                match world.admin(ask) {
                    Ok(Answer::Leases(views)) => {
                        views.iter().map(|it| it.sharing).collect::<Vec<_>>()
                    }
                    other => panic!("{other:?}"),
                }
            };
            let before = sharing(&mut world);
            world.restart();
            assert_eq!(world.seats_out(), lived, "{grouping:?}");
            assert_eq!(sharing(&mut world), before);
            // It fits in, although the holder is not heard of yet.
            let held = world.checkout_with(10, asks(4, "ada", 1)).unwrap().lease;
            assert_eq!(world.seats_out(), lived);
            release(&mut world, 10, &held, 4);
            if lived == 3 {
                release(&mut world, 10, &first, 1);
            }
            world.pass(61_000);
        }
    }
}

#[test]
fn leases_do_not_move_when_a_license_changes_its_grouping() {
    let mut world = world_of(Grouping::Process, 4);
    world.checkout(10, 1).unwrap();
    world.checkout(10, 2).unwrap();
    world.install(&grouped(Grouping::Host, 4, 2)).unwrap();
    assert_eq!(world.seats_out(), 2);
    world.checkout(10, 3).unwrap();
    world.checkout(10, 4).unwrap();
    assert_eq!(world.seats_out(), 3);
    world.install(&grouped(Grouping::UserHost, 4, 3)).unwrap();
    world.checkout(10, 5).unwrap();
    assert_eq!(world.seats_out(), 4);
    world.restart();
    assert_eq!(world.seats_out(), 4);
}

#[test]
fn a_share_is_joined_in_its_own_pool() {
    let mut world = World::new();
    let mut early = feature("solver", Some(1));
    early.grouping = Grouping::Host;
    let mut late = early.clone();
    early.expires = Some(WallMs(ISSUED.0 + 30 * DAY));
    late.seats = Some(2);
    let late = license("b-late", 1, vec![late]);
    world
        .install(&signed(&license("a-early", 1, vec![early])))
        .unwrap();
    world.install(&signed(&late)).unwrap();
    let drawn = |world: &mut World, client, nonce, seats| {
        let promise = world.checkout_with(client, asks(nonce, "ada", seats));
        promise.unwrap().lease
    };
    let first = drawn(&mut world, 10, 1, 1);
    assert_eq!(drawn(&mut world, 11, 2, 1).license.as_str(), "b-late");
    release(&mut world, 10, &first, 1);
    // Another pool would come first; the share needs no seat.
    assert_eq!(drawn(&mut world, 11, 3, 1).license.as_str(), "b-late");
    assert_eq!(drawn(&mut world, 11, 4, 2).license.as_str(), "b-late");
    assert_eq!(world.seats_out(), 2);
}

#[test]
fn l7_an_overcommitted_pool_refuses_the_newest_shares_as_a_whole() {
    let mut world = world_of(Grouping::Host, 3);
    let old = world.checkout(10, 1).unwrap().lease;
    let middle = world.checkout(11, 2).unwrap().lease;
    let new = world.checkout(12, 3).unwrap().lease;
    // The newest lease of all, in the oldest share.
    let newest = world.checkout(10, 4).unwrap().lease;
    let middle_too = world.checkout(11, 5).unwrap().lease;
    world.install(&grouped(Grouping::Host, 1, 2)).unwrap();
    world.renew(10, &old, 1, link(1, 9)).unwrap();
    world.renew(10, &newest, 4, link(4, 9)).unwrap();
    for (client, lease, nonce) in [(11, &middle, 2), (12, &new, 3), (11, &middle_too, 5)] {
        refused(
            world.renew(client, lease, nonce, link(nonce, 9)),
            RefusalCode::Overcommitted,
        );
    }
    // What fits into a share that stays takes no seat; one that is to go takes nobody in.
    let joined = world.checkout(10, 6).unwrap().lease;
    refused(world.checkout(11, 7), RefusalCode::Overcommitted);
    refused(world.checkout(13, 8), RefusalCode::Overcommitted);
    assert_eq!(world.seats_out(), 3, "nothing is cut");
    world.restart();
    refused(
        world.renew(11, &middle_too, 5, link(5, 9)),
        RefusalCode::Overcommitted,
    );
    // The oldest lease of the oldest share ends, and the share is as old as ever: those who were
    // renewed go on to be, or two shares could believe in one seat.
    release(&mut world, 10, &old, 1);
    world.renew(10, &newest, 4, link(9, 8)).unwrap();
    release(&mut world, 12, &new, 3);
    refused(
        world.renew(11, &middle, 2, link(2, 9)),
        RefusalCode::Overcommitted,
    );
    world.restart();
    world.renew(10, &newest, 4, link(8, 7)).unwrap();
    world.release(10, &newest, 4, link(7, 6)).unwrap();
    release(&mut world, 10, &joined, 6);
    world.renew(11, &middle, 2, link(2, 9)).unwrap();
    world.renew(11, &middle_too, 5, link(5, 9)).unwrap();
}

/// The other host was shown after the first lease and before the second of the share, all of them lost.
#[test]
fn l7_a_lost_lease_of_a_known_share_is_as_old_as_the_share() {
    let mut world = world_of(Grouping::Host, 3);
    let (store, head) = (world.store.clone(), world.engine.head());
    let [first, other, second] =
        [(10, 1), (11, 2), (10, 3)].map(|(client, n)| world.checkout(client, n).unwrap().lease);
    world.store = store;
    world.restart_as(Life {
        epoch: Epoch(101),
        life: LifeId([2; 16]),
        hold_all: true,
        head,
        ..world.life
    });
    world.attach(10, &first, 1, link(1, 4)).unwrap();
    world.attach(11, &other, 2, link(2, 4)).unwrap();
    world.attach(10, &second, 3, link(3, 4)).unwrap();
    let all = [(10, &first, 1), (11, &other, 2), (10, &second, 3)];
    let last = super::trouble::outlast_the_hold(&mut world, &all, 4);
    world.install(&grouped(Grouping::Host, 1, 2)).unwrap();
    world.renew(10, &second, 3, link(last, 250)).unwrap();
    world.release(10, &first, 1, link(last, 250)).unwrap();
    refused(
        world.renew(11, &other, 2, link(last, 250)),
        RefusalCode::Overcommitted,
    );
    world.renew(10, &second, 3, link(250, 251)).unwrap();
}

#[test]
fn l7_an_evicted_share_is_out_until_all_its_leases_are_acknowledged() {
    let mut world = world_of(Grouping::Host, 1);
    let first = world.checkout(10, 1).unwrap().lease;
    let second = world.checkout(10, 2).unwrap().lease;
    world
        .admin(AdminAsk::Evict {
            lease: second.id,
            reason: "needed by ops".to_owned(),
            cool_down_ms: Some(DurationMs::ZERO),
        })
        .unwrap();
    let flagged = world.events.iter().rev().take(2).map(|it| match &it.what {
        What::Changed(lease) => lease.evicted.clone(),
        other => panic!("{other:?}"),
    });
    assert!(flagged.flatten().eq(["needed by ops", "needed by ops"]));
    for (lease, nonce) in [(&first, 1), (&second, 2)] {
        refused(
            world.renew(10, lease, nonce, link(nonce, 9)),
            RefusalCode::Evicted,
        );
    }
    // Else a share would never end.
    refused(world.checkout(10, 3), RefusalCode::Evicted);
    world.restart();
    release(&mut world, 10, &second, 2);
    refused(world.checkout(11, 4), RefusalCode::NoSeat);
    refused(world.checkout(10, 5), RefusalCode::Evicted);
    release(&mut world, 10, &first, 1);
    world.checkout(11, 6).unwrap();
}

#[test]
fn a4_the_earliest_free_seat_is_the_last_of_its_shares_leases() {
    let mut world = world_of(Grouping::Host, 1);
    world.checkout(10, 1).unwrap();
    world.pass(60_000);
    world.checkout(10, 2).unwrap();
    let refusal = refused(world.checkout(11, 3), RefusalCode::NoSeat);
    assert_eq!(refusal.earliest_free_ms, Some(DurationMs(R + G)));
    world.run(R + G - 1);
    refused(world.checkout(11, 4), RefusalCode::NoSeat);
    world.run(1);
    world.checkout(11, 5).unwrap();
}

#[test]
fn overdraft_is_lent_counted_and_logged_apart() {
    let mut world = World::new();
    let mut solver = feature("solver", Some(2));
    solver.overdraft = 2;
    world
        .install(&signed(&license("acme-1", 1, vec![solver.clone()])))
        .unwrap();
    let overdraft = |world: &World| match &world.events.last().unwrap().what {
        What::Granted(lease) => lease.overdraft_seats,
        other => panic!("{other:?}"),
    };
    world.checkout(10, 1).unwrap();
    assert_eq!(overdraft(&world), 0);
    let across = world.checkout_with(11, asks(2, "ada", 2)).unwrap().lease;
    assert_eq!(overdraft(&world), 1);
    world.checkout(12, 3).unwrap();
    assert_eq!(overdraft(&world), 1);
    let pool = world.status().pools.remove(0);
    assert_eq!((pool.overdraft_used, pool.view.out), (2, 4));
    assert!(!pool.overcommitted, "as signed");
    refused(world.checkout(13, 4), RefusalCode::NoSeat);
    refused(
        world.checkout_with(13, asks(5, "ada", 5)),
        RefusalCode::TooManySeats,
    );
    world.restart();
    world.renew(11, &across, 2, link(2, 9)).unwrap();
    assert_eq!(world.status().pools[0].overdraft_used, 2);
    // L7: beyond seats and overdraft, and no sooner.
    solver.overdraft = 1;
    world
        .install(&signed(&license("acme-1", 2, vec![solver])))
        .unwrap();
    assert!(world.status().pools[0].overcommitted);
    world.release(11, &across, 2, link(9, 8)).unwrap();
    let pool = world.status().pools.remove(0);
    assert_eq!((pool.overdraft_used, pool.overcommitted), (0, false));
}

#[test]
fn l6_a_share_that_lapses_gives_priority_for_its_seats_once() {
    let mut world = world_of(Grouping::Host, 4);
    for nonce in 1..=3 {
        world.checkout(10, nonce).unwrap();
    }
    world.run(R + G);
    assert_eq!(world.seats_out(), 0);
    let client = PublicKey::from(&key(10));
    let (_, pool) = world.engine.state.pools().next().unwrap();
    let covered = |seats| {
        let feature = pool.key.feature_key();
        let lapses = &world.engine.lapses;
        lapses.cover(world.now.boot, client, &feature, seats)
    };
    assert!(covered(1), "the seat that its processes shared");
    assert!(!covered(2), "and no seat that nobody had");
}

/// Counted by host, and lent to take home.
fn lendable(seats: u32, serial: u64) -> Arc<VerifiedLicense> {
    lendable_until(false, seats, serial)
}

/// The same, for as long as was asked for or until it is returned `early`.
fn lendable_until(early: bool, seats: u32, serial: u64) -> Arc<VerifiedLicense> {
    let mut solver = feature("solver", Some(seats));
    solver.grouping = Grouping::Host;
    solver.borrow_ms_max = DurationMs::days(7);
    solver.early_return = early;
    signed(&license("acme-1", serial, vec![solver]))
}

fn borrow_a_day(world: &mut World, client: u8, nonce: u8) -> Lease {
    let mut checkout = wants(nonce);
    checkout.length_ms = Some(DurationMs::days(1));
    let wall = world.now.wall;
    let borrow = ClientAsk::Borrow(usher_protocol::wire::Borrow { checkout, wall });
    promised(world.client(client, borrow)).unwrap().lease
}

/// Two hosts have borrowed, and a license with one seat comes. On line a process of either costs no seat of its own,
/// as its host's share is out anyhow; renewed or let in, both would believe by the one seat. Found by the simulator.
#[test]
fn l7_where_more_is_borrowed_than_there_is_no_process_is_extended_or_let_in() {
    let mut world = World::new();
    world.install(&lendable(2, 1)).unwrap();
    for client in [10, 11] {
        borrow_a_day(&mut world, client, client);
    }
    let on_line = world.checkout(10, 1).unwrap().lease;
    assert_eq!(world.seats_out(), 2);
    world.install(&lendable(1, 2)).unwrap();
    refused(
        world.renew(10, &on_line, 1, link(1, 2)),
        RefusalCode::Overcommitted,
    );
    refused(world.checkout(11, 2), RefusalCode::Overcommitted);
    // With seats for all that is borrowed, both again.
    world.install(&lendable(2, 3)).unwrap();
    world.renew(10, &on_line, 1, link(1, 2)).unwrap();
    world.checkout(11, 2).unwrap();
}

/// Every seat is borrowed, and one more is out on line: that one goes. A process on line in a share that is borrowed
/// takes nothing from anybody, and stays.
#[test]
fn l7_where_no_more_is_borrowed_than_there_is_a_borrowed_share_goes_on() {
    let mut world = World::new();
    world.install(&lendable(2, 1)).unwrap();
    borrow_a_day(&mut world, 10, 9);
    let shares = world.checkout(10, 1).unwrap().lease;
    let newest = world.checkout(11, 2).unwrap().lease;
    assert_eq!(world.seats_out(), 2);
    world.install(&lendable(1, 2)).unwrap();
    refused(
        world.renew(11, &newest, 2, link(2, 3)),
        RefusalCode::Overcommitted,
    );
    world.renew(10, &shares, 1, link(1, 2)).unwrap();
}

/// A host's borrow is returned, and what runs there on line costs a seat of its own again: one more than there is.
#[test]
fn l7_a_share_whose_borrow_is_returned_is_extended_only_where_there_are_seats() {
    let mut world = World::new();
    world.install(&lendable_until(true, 2, 1)).unwrap();
    let on_line = world.checkout(10, 1).unwrap().lease;
    let away = borrow_a_day(&mut world, 10, 9);
    borrow_a_day(&mut world, 11, 11);
    world.install(&lendable_until(true, 1, 2)).unwrap();
    refused(
        world.renew(10, &on_line, 1, link(1, 2)),
        RefusalCode::Overcommitted,
    );
    release(&mut world, 10, &away, 9);
    assert_eq!(world.seats_out(), 2);
    refused(
        world.renew(10, &on_line, 1, link(1, 2)),
        RefusalCode::Overcommitted,
    );
}

/// Somebody waits for two seats of one, as the share of its host, which still has two, is to go. It goes, and there
/// are no two seats any more: whoever waited is told so, and keeps nobody from the one. Found by the simulator.
#[test]
fn l9_who_waited_for_the_share_of_its_host_is_told_once_that_is_over() {
    let mut world = world_of(Grouping::Host, 2);
    let both = world.checkout_with(10, asks(1, "ada", 2)).unwrap().lease;
    world.install(&grouped(Grouping::Host, 1, 2)).unwrap();
    let waits = world.wait_with(10, asks(2, "bob", 2));
    assert!(matches!(waits, Answer::Queued(_)), "{waits:?}");
    release(&mut world, 10, &both, 1);
    let told = world.wait_with(10, asks(2, "bob", 2));
    refused(promised(told), RefusalCode::TooManySeats);
    world.checkout(11, 3).unwrap();
}
