//! Waiting in the queue, and everything that can get lost meanwhile (L9).

use super::*;

impl World {
    /// A waiter in third place, on the connection of site 1.
    fn queued() -> Self {
        let mut world = Self::new();
        world.session = Session::new(ask(), world.now, fresh(0)).waiting();
        let sent = world.sent(Input::Connected(site(1)));
        assert!(waits(&sent.request));
        let output = world.feed(Input::Answered(sent.attempt, Answer::Queued(place(3))));
        assert_eq!((output.place, output.outcome), (Some(place(3)), None));
        assert!(output.send.is_none() && !output.over);
        world
    }

    /// An ex-holder in the queue for another lease.
    fn lapsed_and_queued() -> Self {
        let (mut world, _) = Self::holding();
        let renew = world.run_until_sent();
        let ended = refused(RefusalCode::LeaseEnded);
        world.feed(Input::Answered(renew.attempt, ended));
        let anew = world.run_until_sent();
        assert!(
            waits(&anew.request),
            "L6: only in the queue it has priority"
        );
        let output = world.feed(Input::Answered(anew.attempt, Answer::Queued(place(1))));
        assert_eq!(output.place, Some(place(1)));
        world
    }

    fn offer(&mut self) -> Output {
        self.feed(Input::Offered(self.session.nonce()))
    }

    fn claim(&mut self) -> Send {
        self.offer().send.expect("an offer is claimed at once")
    }
}

fn waits(request: &Request) -> bool {
    match request {
        Request::Checkout(checkout) => checkout.wait,
        other => panic!("no checkout: {other:?}"),
    }
}

#[test]
fn l9_an_offer_is_claimed_by_the_same_checkout_and_the_right_counts_from_the_claim() {
    let mut world = World::queued();
    world.pass(40_000);
    let c0 = world.now;
    let claim = world.claim();
    assert_eq!(nonce(&claim.request), world.session.nonce());
    world.pass(30);
    let output = world.feed(Input::Answered(claim.attempt, granted(1, LENGTH)));
    assert_eq!(output.outcome, Some(Outcome::Granted));
    assert_eq!(world.session.held().unwrap().right.since, c0);
    assert_eq!(world.session.place(), None);
}

#[test]
fn l9_a_place_is_told_when_it_changes_and_not_otherwise() {
    let mut world = World::queued();
    let ours = world.session.nonce();
    let output = world.feed(Input::Queued(ours, place(2)));
    assert_eq!(output.place, Some(place(2)));
    assert_eq!(world.feed(Input::Queued(ours, place(2))).place, None);
    let other = Nonce([99; 16]);
    assert_eq!(world.feed(Input::Queued(other, place(1))).place, None);
    assert_eq!(world.session.place(), Some(place(2)));
}

#[test]
fn l9_a_lost_push_costs_a_minute_because_the_waiter_asks_again() {
    let mut world = World::queued();
    let before = world.now;
    let again = world.run_until_sent();
    assert!((54_000..=66_000).contains(&world.at(before)), "60 s ± 10 %");
    assert!(waits(&again.request));
    let output = world.feed(Input::Answered(again.attempt, Answer::Queued(place(1))));
    assert_eq!(output.place, Some(place(1)));
}

#[test]
fn l9_pushes_that_arrive_save_the_question() {
    let mut world = World::queued();
    let ours = world.session.nonce();
    for at in [3, 2, 1] {
        world.pass(50_000);
        assert!(world.feed(Input::Queued(ours, place(at))).send.is_none());
    }
}

#[test]
fn l9_a_lost_offer_is_claimed_by_the_next_question() {
    let mut world = World::queued();
    world.feed(Input::Disconnected);
    world.pass(3_000);
    // The offer was pushed to a connection that was gone.
    let c0 = world.now;
    let again = world.sent(Input::Connected(site(1)));
    assert!(waits(&again.request));
    let output = world.feed(Input::Answered(again.attempt, granted(1, LENGTH)));
    assert_eq!(output.outcome, Some(Outcome::Granted));
    assert_eq!(world.session.held().unwrap().right.since, c0);
}

#[test]
fn l9_a_second_offer_while_the_first_is_claimed_changes_nothing() {
    let mut world = World::queued();
    let claim = world.claim();
    assert!(world.offer().send.is_none());
    let output = world.feed(Input::Answered(claim.attempt, granted(1, LENGTH)));
    assert_eq!(output.outcome, Some(Outcome::Granted));
    let output = world.offer();
    assert!(output.send.is_none() && world.state() == State::Active);
}

#[test]
fn l9_an_offer_that_overtakes_an_older_answer_is_claimed_and_the_claim_counts() {
    let mut world = World::queued();
    let older = world.run_until_sent();
    world.pass(10);
    let c0 = world.now;
    let claim = world.claim();
    let output = world.feed(Input::Answered(older.attempt, Answer::Queued(place(1))));
    assert!(output.send.is_none(), "the claim is on its way");
    let output = world.feed(Input::Answered(claim.attempt, granted(1, LENGTH)));
    assert_eq!(output.outcome, Some(Outcome::Granted));
    assert_eq!(world.session.held().unwrap().right.since, c0);
}

#[test]
fn l9_offers_without_end_do_not_make_a_waiter_spin() {
    let mut world = World::queued();
    let mut claim = world.claim();
    for _ in 0..5 {
        let before = world.now;
        world.feed(Input::Answered(claim.attempt, Answer::Queued(place(1))));
        claim = match world.offer().send {
            Some(claim) => claim,
            None => world.run_until_sent(),
        };
        assert_eq!(world.at(before), 500);
    }
}

#[test]
fn l9_a_claim_that_comes_too_late_waits_on() {
    let mut world = World::queued();
    let claim = world.claim();
    world.pass(31_000);
    let output = world.feed(Input::Answered(claim.attempt, Answer::Queued(place(5))));
    assert_eq!((output.place, output.outcome), (Some(place(5)), None));
    let claim = world.claim();
    let output = world.feed(Input::Answered(claim.attempt, granted(1, LENGTH)));
    assert_eq!(output.outcome, Some(Outcome::Granted));
}

#[test]
fn l9_a_claim_that_nobody_answers_is_repeated_and_then_made_elsewhere() {
    let mut world = World::queued();
    let claim = world.claim();
    let again = world.run_until_sent();
    assert_eq!(again.request, claim.request);
    while !world.tick().reconnect {}
    world.feed(Input::Disconnected);
    let third = world.sent(Input::Connected(site(1)));
    assert_eq!(third.request, claim.request);
}

#[test]
fn l9_patience_that_ends_leaves_the_queue() {
    let mut world = World::queued();
    let leave = world.sent(Input::Release);
    assert_eq!(leave.request, Request::Leave(world.session.nonce()));
    assert_eq!(world.session.place(), None);
    let output = world.feed(Input::Answered(leave.attempt, Answer::Left));
    assert!(output.over && output.outcome == Some(Outcome::Released));
}

#[test]
fn l9_an_offer_after_leaving_is_left_to_the_next() {
    let mut world = World::queued();
    let leave = world.sent(Input::Release);
    assert!(world.offer().send.is_none());
    let output = world.feed(Input::Answered(leave.attempt, Answer::Left));
    assert!(output.over);
    assert!(world.offer().send.is_none());
}

#[test]
fn l9_a_seat_that_comes_while_leaving_goes_back() {
    let mut world = World::queued();
    let claim = world.claim();
    // The claim is on its way, so that leaving alone could leave a seat behind.
    let output = world.feed(Input::Release);
    assert!(output.send.is_none() && !output.over);
    let output = world.feed(Input::Answered(claim.attempt, granted(1, LENGTH)));
    assert_eq!(output.outcome, None, "nobody waits for it");
    let release = output.send.expect("it goes back");
    assert!(matches!(release.request, Request::Release(_)));
    let output = world.feed(Input::Answered(release.attempt, Answer::Released));
    assert!(output.over && output.outcome == Some(Outcome::Released));
}

#[test]
fn l9_a_claim_in_vain_that_nobody_waits_for_any_more_leaves() {
    let mut world = World::queued();
    let claim = world.claim();
    world.feed(Input::Release);
    let leave = world.sent(Input::Answered(claim.attempt, Answer::Queued(place(4))));
    assert!(matches!(leave.request, Request::Leave(_)));
}

#[test]
fn l9_leaving_is_repeated_over_the_next_connection_and_given_up_with_the_place() {
    let mut world = World::queued();
    let first = world.sent(Input::Release);
    world.feed(Input::Disconnected);
    let second = world.sent(Input::Connected(site(1)));
    assert_eq!(first.request, second.request);
    world.feed(Input::Disconnected);
    let before = world.now;
    let mut output = world.tick();
    while !output.over {
        output = world.tick();
    }
    assert_eq!(output.outcome, Some(Outcome::GaveUp));
    assert_eq!(
        world.at(before),
        60_000,
        "a cut waiter's place is kept so long"
    );
}

#[test]
fn l9_a_claim_lost_with_its_connection_is_found_out_before_it_ends() {
    let mut world = World::queued();
    world.claim();
    world.feed(Input::Disconnected);
    assert!(!world.feed(Input::Release).over);
    let again = world.sent(Input::Connected(site(1)));
    assert!(!waits(&again.request), "it wants no place any more");
    let output = world.feed(Input::Answered(again.attempt, granted(1, LENGTH)));
    assert!(matches!(output.send.unwrap().request, Request::Release(_)));
}

#[test]
fn l9_who_asked_nobody_yet_has_nothing_to_leave() {
    let mut world = World::new();
    let output = world.feed(Input::Release);
    assert!(output.over && output.outcome == Some(Outcome::Released));
}

#[test]
fn l9_a_dismissal_is_the_end_and_says_why() {
    let mut world = World::queued();
    let gone = Box::new(Refusal::new(RefusalCode::Denied, "the policy changed"));
    let ours = world.session.nonce();
    let output = world.feed(Input::Dismissed(ours, gone.clone()));
    assert_eq!(output.outcome, Some(Outcome::Refused(gone)));
    assert!(output.over && output.send.is_none());
}

#[test]
fn l9_an_offer_that_ran_out_unheard_queues_anew() {
    let mut world = World::queued();
    world.pass(45_000);
    let unclaimed = Box::new(Refusal::new(RefusalCode::NoSeat, "not claimed in time"));
    let ours = world.session.nonce();
    let output = world.feed(Input::Dismissed(ours, unclaimed));
    assert_eq!((output.outcome, output.over), (None, false));
    let again = output.send.expect("at once");
    assert!(waits(&again.request));
    let output = world.feed(Input::Answered(again.attempt, Answer::Queued(place(9))));
    assert_eq!(output.place, Some(place(9)));
}

#[test]
fn l9_a_dismissal_of_somebody_else_changes_nothing() {
    let mut world = World::queued();
    let gone = Box::new(Refusal::new(RefusalCode::Denied, "the policy changed"));
    let output = world.feed(Input::Dismissed(Nonce([99; 16]), gone));
    assert!(!output.over && world.session.place() == Some(place(3)));
}

#[test]
fn l9_a_dismissal_that_crosses_a_claim_waits_for_its_answer() {
    let mut world = World::queued();
    let claim = world.claim();
    let gone = Box::new(Refusal::new(RefusalCode::Denied, "the policy changed"));
    let ours = world.session.nonce();
    let output = world.feed(Input::Dismissed(ours, gone));
    assert!(!output.over, "a seat may have come of the claim");
    let output = world.feed(Input::Answered(claim.attempt, granted(1, LENGTH)));
    assert_eq!(output.outcome, Some(Outcome::Granted));
}

#[test]
fn l9_through_a_drain_and_a_restart_it_queues_anew_with_the_same_nonce() {
    let mut world = World::queued();
    let ours = world.session.nonce();
    let draining = Box::new(Refusal::new(RefusalCode::Draining, "stopping"));
    let output = world.feed(Input::Dismissed(ours, draining));
    assert_eq!((output.outcome, output.over), (None, false));
    world.feed(Input::Disconnected);
    world.pass(8_000);
    let again = world.sent(Input::Connected(site(1)));
    assert!(waits(&again.request) && nonce(&again.request) == ours);
    let output = world.feed(Input::Answered(again.attempt, Answer::Queued(place(6))));
    assert_eq!(output.place, Some(place(6)));
}

#[test]
fn l9_what_passes_by_itself_is_waited_out_only_by_who_waits() {
    for code in [RefusalCode::Holding, RefusalCode::StorageTrouble] {
        let mut world = World::queued();
        let again = world.run_until_sent();
        let output = world.feed(Input::Answered(again.attempt, refused(code)));
        assert_eq!((output.outcome, output.over), (None, false), "{code:?}");
        let mut world = World::new();
        let first = world.sent(Input::Connected(site(1)));
        assert!(
            world
                .feed(Input::Answered(first.attempt, refused(code)))
                .over
        );
    }
}

#[test]
fn l9_after_a_suspend_it_asks_where_it_stands_and_finds_another_connection() {
    let mut world = World::queued();
    world.pass(3_600_000);
    let first = world.sent(Input::Tick);
    let second = world.run_until_sent();
    assert_eq!(second.request, first.request);
    while !world.tick().reconnect {}
    world.feed(Input::Disconnected);
    assert!(waits(&world.sent(Input::Connected(site(1))).request));
}

#[test]
fn l6_an_ex_holder_waits_with_priority_and_is_restored_by_its_claim() {
    let mut world = World::lapsed_and_queued();
    assert!(matches!(world.state(), State::Lost(_)));
    let claim = world.claim();
    let output = world.feed(Input::Answered(claim.attempt, granted(2, LENGTH)));
    assert_eq!(output.change, Some(Change::Restored));
    assert_eq!(world.session.place(), None);
}

#[test]
fn l6_an_ex_holder_that_is_done_leaves_the_queue() {
    let mut world = World::lapsed_and_queued();
    let leave = world.sent(Input::Release);
    assert_eq!(leave.request, Request::Leave(world.session.nonce()));
    assert_eq!(world.state(), State::Lost(LostWhy::Released));
    assert!(
        world
            .feed(Input::Answered(leave.attempt, Answer::Left))
            .over
    );
}

#[test]
fn l6_an_ex_holders_claim_lost_with_its_connection_is_found_out() {
    let mut world = World::lapsed_and_queued();
    world.claim();
    world.feed(Input::Disconnected);
    assert!(
        !world.feed(Input::Release).over,
        "a seat may have come of it"
    );
    let again = world.sent(Input::Connected(site(1)));
    let output = world.feed(Input::Answered(again.attempt, granted(2, LENGTH)));
    assert!(matches!(output.send.unwrap().request, Request::Release(_)));
}

#[test]
fn l6_a_dismissed_ex_holder_goes_on_asking_as_before() {
    let mut world = World::lapsed_and_queued();
    let ours = world.session.nonce();
    let gone = Box::new(Refusal::new(RefusalCode::MaximumReached, "two are enough"));
    let output = world.feed(Input::Dismissed(ours, gone));
    assert!(!output.over);
    let why = matches!(world.state(), State::Lost(LostWhy::Refused(no)) if no.code == RefusalCode::MaximumReached);
    assert!(why, "{}", world.state());
    assert!(waits(&world.run_until_sent().request));
}

#[test]
fn l6_changed_features_make_a_refused_ex_holder_ask_soon() {
    let (mut world, _) = World::holding();
    let renew = world.run_until_sent();
    world.feed(Input::Answered(
        renew.attempt,
        refused(RefusalCode::LeaseEnded),
    ));
    for _ in 0..5 {
        let anew = world.run_until_sent();
        let no = refused(RefusalCode::UnknownFeature);
        world.feed(Input::Answered(anew.attempt, no));
    }
    let before = world.now;
    world.feed(Input::FeaturesChanged);
    world.run_until_sent();
    assert!(world.at(before) <= 5_000, "{}", world.at(before));
}
