//! Processes of one host that share its seat with what was taken home from there (L7, L10).

use super::*;
use usher_protocol::documents::license::Grouping;

const LEASE: DurationMs = DurationMs::minutes(10);

/// Two hosts work on line and have a seat at home each, and a license with one seat comes: nobody is extended. One
/// returns its borrow. What runs there on line costs a seat of its own again, and there is none; what runs
/// beside the other borrow goes on.
#[test]
fn l7_a_borrow_is_returned_in_a_share_that_goes_on_while_too_many_are_out() {
    for seed in 1..10 {
        let knobs = Knobs {
            terms: shared(2, 1),
            ..Knobs::default()
        };
        let mut world = World::new(seed, knobs);
        let on_line = [0, 1].map(|station| held(&mut world, station));
        let at_home = [0, 1].map(|station| borrow(&mut world, station, DurationMs::days(1)));
        let ticket = world.install(&shared(1, 2));
        assert!(matches!(answer(&mut world, ticket), Answer::Installed(_)));
        // Both ask for more time, and hear that too many seats are out.
        run(&mut world, DurationMs::minutes(5));
        assert!(on_line.iter().all(|seat| world.holds(*seat)), "seed {seed}");
        let ticket = world.give_back(1, &at_home[1], nonce(1), link(&at_home[1], 1));
        assert!(matches!(answer(&mut world, ticket), Answer::Released));
        run(&mut world, LEASE);
        assert!(world.holds(on_line[0]), "seed {seed}: its seat is at home");
        assert!(!world.holds(on_line[1]), "seed {seed}: two use one seat");
    }
}

fn shared(seats: u32, serial: u64) -> Terms {
    Terms {
        serial,
        grouping: Grouping::Host,
        borrow_ms_max: DurationMs::days(7),
        early_return: true,
        ..terms(seats, LEASE)
    }
}
