//! What a promise is worth that somebody did not hear, that another license shortened, or that clocks
//! measure differently (L1, L2, L4, L5).

use super::*;
use usher_simulation::{Crash, Machine};

const MINUTE: DurationMs = DurationMs::minutes(1);

/// A grant is made and its reply lost; at nine tenths of its length it is asked for again. It is the same
/// lease, and its time counts from the second send, for both ends (L1, L5).
#[test]
fn l5_a_lost_grant_is_sent_again_at_nine_tenths_of_its_length() {
    for seed in 1..20 {
        let mut world = world(seed, 1, MINUTE);
        world.deafen(0, true);
        let late = world.check_out(0, &Wish::default());
        // The welcome is heard; then the station sleeps over its answer.
        world.deafen(0, false);
        let asked = |it: &World| {
            it.session(late)
                .is_some_and(usher_client::session::Session::has_asked)
        };
        assert!(comes(&mut world, MINUTE, asked));
        world.deafen(0, true);
        run(&mut world, DurationMs::seconds(1));
        world.suspend(Machine::Station(0), DurationMs::seconds(53));
        let heir = world.check_out(1, &waits());
        run(&mut world, DurationMs(52_900));
        assert!(!world.holds(late) && !world.holds(heir));
        world.deafen(0, false);
        assert!(comes(&mut world, DurationMs::seconds(10), |it| it.holds(late)));
        assert_eq!(world.figures.grants, 1, "seed {seed}");
        lose(&mut world, 0);
        // The first deadline passes and frees nothing.
        run(&mut world, DurationMs::seconds(30));
        assert!(!world.holds(heir), "seed {seed}");
        inherits(&mut world, heir, late, DurationMs::minutes(2));
    }
}

/// A promise of an hour; then a serial with leases of a minute, a renewal whose reply is lost, and a crash.
/// The hour is what counts (L2, L4).
#[test]
fn l4_a_long_promise_outlives_a_shorter_serial_a_lost_renewal_and_a_crash() {
    for (seed, crash) in (1..).zip([Crash::Process, Crash::Power, Crash::Disk]) {
        let hour = DurationMs::hours(1);
        let mut world = world(seed, 1, hour);
        let first = held(&mut world, 0);
        let heir = world.check_out(1, &waits());
        let shorter = Terms {
            serial: 2,
            ..terms(1, MINUTE)
        };
        world.install(&shorter);
        world.deafen(0, true);
        // Past its renewal, which the daemon takes in and the client does not hear of.
        run(&mut world, DurationMs::minutes(24));
        lose(&mut world, 0);
        assert!(world.holds(first), "the first promise stands");
        world.crash(crash);
        run(&mut world, DurationMs::minutes(30));
        assert!(world.holds(first) && !world.holds(heir), "{crash:?}");
        inherits(&mut world, heir, first, DurationMs::hours(2));
    }
}

/// The daemon's clock is fast by a hundredth and the client's slow by one, or the other way round: the
/// guard time covers it, and little more (L2).
#[test]
fn l2_both_ends_are_at_the_limits_of_their_drift() {
    for (seed, length) in (1..).zip([MINUTE, DurationMs::hours(1), DurationMs::hours(24)]) {
        for drift_ppm_max in [10_000, -10_000] {
            let mut world = World::new(
                seed,
                Knobs {
                    drift_ppm_max,
                    drifts_apart: true,
                    ..knobs(1, length)
                },
            );
            let first = held(&mut world, 0);
            let heir = world.check_out(1, &waits());
            // Through some renewals, and away.
            run(&mut world, DurationMs(length.0 * 2));
            assert!(world.holds(first), "renewals work");
            lose(&mut world, 0);
            assert!(comes(&mut world, DurationMs(length.0 * 2), |it| !it.holds(first)));
            let gap = world.now();
            let patience = DurationMs(length.0 / 10 + 120_000);
            assert!(comes(&mut world, patience, |it| it.holds(heir)));
            println!(
                "{length}, {drift_ppm_max} ppm: free {} later",
                world.now().since(gap)
            );
        }
    }
}
