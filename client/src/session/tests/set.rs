//! Several features at once: all or nothing, and each on its own afterwards.

use super::*;

fn asks() -> [Ask; 2] {
    ["mesher", "viewer"].map(|name| Ask {
        feature: name.parse().unwrap(),
        ..ask()
    })
}

/// A set of three whose checkout is sent.
fn asked() -> (World, Send) {
    let mut world = World::new();
    world.session = Session::new(ask(), world.now, fresh(0))
        .waiting()
        .together_with(asks().into());
    let sent = world.sent(Input::Connected(site(1)));
    (world, sent)
}

fn checkouts(request: &Request) -> &[Checkout] {
    match request {
        Request::CheckoutAll(all) => all,
        other => panic!("no set: {other:?}"),
    }
}

fn grants() -> Answer {
    let grants = (1..4).map(|commit| match granted(commit, LENGTH) {
        Answer::Granted(granted) => *granted,
        other => panic!("{other:?}"),
    });
    Answer::GrantedAll(grants.collect())
}

#[test]
fn a_set_is_one_request_with_a_nonce_for_each_and_the_same_in_every_repeat() {
    let (mut world, first) = asked();
    let all = checkouts(&first.request);
    let features: Vec<_> = all.iter().map(|it| it.feature.as_str()).collect();
    assert_eq!(features, ["solver", "mesher", "viewer"]);
    for (at, one) in all.iter().enumerate() {
        let before = &all[..at];
        assert!(
            before
                .iter()
                .all(|it| it.nonce != one.nonce && it.token != one.token)
        );
    }
    assert_eq!(first.request.check(), Ok(()));
    assert_eq!(
        all[0].nonce,
        world.session.nonce(),
        "it names the set in the queue"
    );
    world.feed(Input::Disconnected);
    let again = world.sent(Input::Connected(site(1)));
    assert_eq!(again.request, first.request);
}

#[test]
fn each_lease_of_a_set_goes_on_as_a_session_of_its_own() {
    let (mut world, sent) = asked();
    let c0 = world.now;
    let all = checkouts(&sent.request).to_vec();
    world.pass(20);
    let mut output = world.feed(Input::Answered(sent.attempt, grants()));
    assert_eq!(output.outcome, Some(Outcome::Granted));
    assert_eq!(output.companions.len(), 2);
    for (at, companion) in output.companions.iter_mut().enumerate() {
        let asked = &all[at + 1];
        assert_eq!(companion.state(world.now), Some(State::Active));
        assert_eq!(companion.ask().feature, asked.feature);
        assert_eq!(companion.held().unwrap().right.since, c0, "L1");
        let due = companion
            .handle(world.now, fresh(9), Input::Tick)
            .wake
            .unwrap();
        assert!(due > world.now.boot);
        let later = Now {
            boot: c0.boot.plus(DurationMs(LENGTH.0 / 3)),
            wall: c0.wall.plus(DurationMs(LENGTH.0 / 3)),
        };
        let renew = companion.handle(later, fresh(9), Input::Tick).send.unwrap();
        let Request::Renew(renew) = renew.request else {
            panic!("{renew:?}")
        };
        assert_eq!(
            (renew.nonce, renew.link.previous),
            (asked.nonce, asked.token)
        );
    }
    let renew = world.run_until_sent();
    assert!(
        matches!(renew.request, Request::Renew(_)),
        "it is a set no more"
    );
}

#[test]
fn l9_a_set_waits_as_one_and_claims_as_one() {
    let (mut world, sent) = asked();
    let output = world.feed(Input::Answered(sent.attempt, Answer::Queued(place(2))));
    assert_eq!(output.place, Some(place(2)));
    world.pass(9_000);
    let claim = world.sent(Input::Offered(world.session.nonce()));
    assert_eq!(claim.request, sent.request);
    let output = world.feed(Input::Answered(claim.attempt, grants()));
    assert_eq!(output.companions.len(), 2);
}

#[test]
fn l9_a_set_leaves_by_its_first_nonce() {
    let (mut world, sent) = asked();
    let first = checkouts(&sent.request)[0].nonce;
    world.feed(Input::Answered(sent.attempt, Answer::Queued(place(2))));
    assert_eq!(world.sent(Input::Release).request, Request::Leave(first));
}

#[test]
fn l5_a_set_that_nobody_waits_for_any_more_goes_back_whole() {
    let (mut world, sent) = asked();
    world.feed(Input::Release);
    let output = world.feed(Input::Answered(sent.attempt, grants()));
    assert_eq!(output.outcome, None);
    assert!(matches!(output.send.unwrap().request, Request::Release(_)));
    assert_eq!(output.companions.len(), 2);
    for mut companion in output.companions {
        let output = companion.handle(world.now, fresh(9), Input::Release);
        assert!(matches!(output.send.unwrap().request, Request::Release(_)));
    }
}

#[test]
fn t2_a_set_with_one_lease_that_is_not_believed_goes_back_whole() {
    let (mut world, first) = asked();
    let id = |commit| LeaseId {
        epoch: Epoch(1),
        commit: Commit(commit),
    };
    let named = vec![Some(id(1)), None, Some(id(3))];
    let forged = || Answer::UnusableAll("forged".to_owned(), named.clone());
    let again = world.sent(Input::Answered(first.attempt, forged()));
    assert_eq!(again.request, first.request, "it asks once more");
    let output = world.feed(Input::Answered(again.attempt, forged()));
    let Request::Release(release) = output.send.unwrap().request else {
        panic!("the first goes back")
    };
    assert_eq!(release.lease, id(1));
    let [mut third] = <[Session; 1]>::try_from(output.companions).unwrap();
    let output = third.handle(world.now, fresh(9), Input::Tick);
    let Request::Release(release) = output.send.unwrap().request else {
        panic!("the third goes back")
    };
    let asked = &checkouts(&first.request)[2];
    assert_eq!((release.lease, release.nonce), (id(3), asked.nonce));
    assert_eq!(release.link.previous, asked.token);
}
