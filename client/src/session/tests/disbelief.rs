//! Leases that are not believed: asked for once more, then given back.

use super::*;

fn release(request: &Request) -> &Release {
    match request {
        Request::Release(release) => release,
        other => panic!("no release: {other:?}"),
    }
}

/// A session whose checkout was answered twice with lease 1, believed neither time, and what it
/// sent then.
fn twice_unbelieved() -> (World, Send, Send) {
    let mut world = World::new();
    let first = world.sent(Input::Connected(site(1)));
    let output = world.feed(Input::Answered(first.attempt, unusable(Some(1))));
    assert_eq!((output.outcome, output.over), (None, false));
    let again = output.send.expect("it asks once more");
    assert_eq!(again.request, first.request, "L5: the same lease");
    let output = world.feed(Input::Answered(again.attempt, unusable(Some(1))));
    assert_eq!(output.outcome, None, "not told before it is given back");
    (world, first, output.send.expect("it gives it back"))
}

#[test]
fn t2_a_license_replaced_meanwhile_costs_one_more_question() {
    let mut world = World::new();
    let first = world.sent(Input::Connected(site(1)));
    let again = world.sent(Input::Answered(first.attempt, unusable(Some(1))));
    let c0 = world.now;
    let output = world.feed(Input::Answered(again.attempt, granted(1, LENGTH)));
    assert_eq!(output.outcome, Some(Outcome::Granted));
    assert_eq!(world.state(), State::Active);
    assert_eq!(world.session.held().unwrap().right.since, c0);
    assert_eq!(world.session.unbelieved(), None);
}

#[test]
fn t2_what_is_not_believed_twice_is_given_back_before_that_is_told() {
    let (mut world, first, sent) = twice_unbelieved();
    let Request::Checkout(checkout) = &first.request else {
        panic!("{:?}", first.request);
    };
    let given = release(&sent.request);
    assert_eq!(given.lease.commit, Commit(1));
    assert_eq!(given.nonce, checkout.nonce);
    assert_eq!(given.link.previous, checkout.token);
    assert_eq!(world.state(), State::Lost(LostWhy::Ended));
    let output = world.feed(Input::Answered(sent.attempt, Answer::Released));
    let told = Outcome::Unusable("forged".to_owned());
    assert!(output.over && output.outcome == Some(told));
}

#[test]
fn t2_a_release_of_it_that_nobody_answers_is_told_all_the_same() {
    let (mut world, ..) = twice_unbelieved();
    world.feed(Input::Disconnected);
    assert_eq!(world.session.site_needed(), Some(site(1)));
    let mut output = world.tick();
    while !output.over {
        output = world.tick();
    }
    let told = Outcome::Unusable("forged".to_owned());
    assert_eq!(output.outcome, Some(told));
}

#[test]
fn t2_an_answer_that_names_no_lease_leaves_nothing_to_give_back() {
    let mut world = World::new();
    let first = world.sent(Input::Connected(site(1)));
    let again = world.sent(Input::Answered(first.attempt, unusable(None)));
    let output = world.feed(Input::Answered(again.attempt, unusable(None)));
    let told = Outcome::Unusable("forged".to_owned());
    assert!(output.over && output.send.is_none() && output.outcome == Some(told));
}

#[test]
fn l5_a_checkout_given_up_gives_back_what_it_does_not_believe() {
    let mut world = World::new();
    let first = world.sent(Input::Connected(site(1)));
    world.feed(Input::Release);
    let sent = world.sent(Input::Answered(first.attempt, unusable(Some(1))));
    assert_eq!(release(&sent.request).lease.commit, Commit(1));
    let output = world.feed(Input::Answered(sent.attempt, Answer::Released));
    assert!(output.over && output.outcome == Some(Outcome::Released));
}

#[test]
fn l6_another_checkout_that_is_not_believed_is_given_back_with_the_seat() {
    let (mut world, _) = World::holding();
    let renew = world.run_until_sent();
    world.feed(Input::Answered(
        renew.attempt,
        refused(RefusalCode::LeaseEnded),
    ));
    let anew = world.run_until_sent();
    let first = nonce(&anew.request);
    let output = world.feed(Input::Answered(anew.attempt, unusable(Some(2))));
    assert!(output.send.is_none() && !output.over);
    let sent = world.sent(Input::Release);
    let given = release(&sent.request);
    assert_eq!((given.lease.commit, given.nonce), (Commit(2), first));
}

#[test]
fn what_cannot_be_believed_extends_nothing() {
    let (mut world, _) = World::holding();
    let end = world.session.held().unwrap().right.end();
    let send = world.run_until_sent();
    let output = world.feed(Input::Answered(send.attempt, unusable(Some(1))));
    assert_eq!(output.change, Some(Change::Renewing(Trouble::NoAnswer)));
    assert_eq!(world.session.held().unwrap().right.end(), end);
}
