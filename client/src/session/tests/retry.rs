//! What is sent again, and how soon.

use super::*;

#[test]
fn l5_a_lease_that_ran_out_unseen_is_asked_for_anew_over_whatever_connection() {
    let mut world = World::new();
    world.sent(Input::Connected(site(1)));
    world.feed(Input::Disconnected);
    world.pass(60_000);
    let again = world.sent(Input::Connected(site(1)));
    let over = refused(RefusalCode::LeaseEnded);
    let output = world.feed(Input::Answered(again.attempt, over));
    assert_eq!(output.outcome, None);
    let anew = world.run_until_sent();
    match (anew.request, again.request) {
        (Request::Checkout(anew), Request::Checkout(before)) => {
            assert_ne!(anew.nonce, before.nonce);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_server_makes_a_holder_spin() {
    let mut world = World::new();
    let mut send = world.sent(Input::Connected(site(1)));
    for _ in 0..5 {
        let before = world.now;
        let Answer::Granted(mut grant) = granted(1, LENGTH) else {
            unreachable!()
        };
        grant.renew_after = DurationMs::ZERO;
        world.feed(Input::Answered(send.attempt, Answer::Granted(grant)));
        send = world.run_until_sent();
        assert!(world.at(before) >= 500, "{}", world.at(before));
    }
}

#[test]
fn l2_a_busy_server_is_asked_later_and_not_sooner_than_it_said() {
    let (mut world, _) = World::holding();
    let send = world.run_until_sent();
    let mut refusal = Refusal::new(RefusalCode::Busy, "later");
    refusal.retry_after_ms = Some(DurationMs::seconds(17));
    let before = world.now;
    let busy = Answer::Refused(Box::new(refusal));
    let output = world.feed(Input::Answered(send.attempt, busy));
    assert!(matches!(
        output.change,
        Some(Change::Renewing(Trouble::Refused(_)))
    ));
    let again = world.run_until_sent();
    assert_eq!(world.at(before), 17_000);
    let output = world.feed(Input::Answered(again.attempt, granted(1, LENGTH)));
    assert_eq!(output.change, Some(Change::Active));
}
