//! Applications that report their activity, and those that do not.

use super::*;

fn idle_ms(request: &Request) -> Option<DurationMs> {
    match request {
        Request::Renew(renew) => renew.idle_ms,
        other => panic!("no renewal: {other:?}"),
    }
}

/// A holder that reported activity once and is refused for being idle since.
fn found_idle() -> (World, Now) {
    let (mut world, c0) = World::holding();
    world.session.report_activity(world.now);
    let renew = world.run_until_sent();
    let output = world.feed(Input::Answered(renew.attempt, refused(RefusalCode::Idle)));
    assert!(matches!(
        output.change,
        Some(Change::Renewing(Trouble::Idle(_)))
    ));
    (world, c0)
}

#[test]
fn only_who_reports_activity_is_measured_by_it() {
    let (mut world, _) = World::holding();
    let renew = world.run_until_sent();
    assert_eq!(idle_ms(&renew.request), None);
    world.feed(Input::Answered(renew.attempt, granted(1, LENGTH)));
    world.session.report_activity(world.now);
    let before = world.now;
    let renew = world.run_until_sent();
    assert_eq!(
        idle_ms(&renew.request),
        Some(world.now.boot.since(before.boot))
    );
}

#[test]
fn idle_time_counts_suspend() {
    let (mut world, _) = World::holding();
    world.session.report_activity(world.now);
    // The boot clock went on while the machine slept.
    world.pass(LENGTH.0 / 2);
    let renew = world.sent(Input::Tick);
    assert_eq!(idle_ms(&renew.request), Some(DurationMs(LENGTH.0 / 2)));
}

#[test]
fn an_idle_seat_runs_to_its_end_and_goes_back_for_good() {
    let (mut world, c0) = found_idle();
    let release = world.run_until_sent();
    assert_eq!(
        world.at(c0),
        LENGTH.0,
        "nothing is sent before, and nothing is cut (L7)"
    );
    assert!(matches!(release.request, Request::Release(_)));
    assert!(matches!(world.state(), State::Lost(LostWhy::Idle(_))));
    assert!(
        world
            .feed(Input::Answered(release.attempt, Answer::Released))
            .over
    );
    assert!(!LostWhy::Idle(Box::new(Refusal::new(RefusalCode::Idle, ""))).is_pursued());
}

#[test]
fn an_idle_seat_may_be_given_back_before_its_end() {
    let (mut world, _) = found_idle();
    let release = world.sent(Input::Release);
    assert!(matches!(release.request, Request::Release(_)));
    assert_eq!(world.state(), State::Lost(LostWhy::Released));
}
