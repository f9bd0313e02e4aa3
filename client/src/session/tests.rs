//! The session by rule, on virtual clocks.

mod disbelief;
mod idle;
mod queue;
mod retry;
mod set;

use super::*;
use usher_protocol::{
    envelope::Signed,
    ids::{Commit, Epoch, Token},
    refusal::RefusalCode,
    time::WallMs,
    wire::{Environment, Holder, Link, Place},
};

pub(super) const LENGTH: DurationMs = DurationMs::minutes(10);

pub(super) fn ask() -> Ask {
    Ask {
        feature: "solver".parse().unwrap(),
        environment: Environment::Live,
        seats: 1,
        version: None,
        length_ms: None,
        holder: Holder {
            user: "ann".to_owned(),
            host: "ws1".to_owned(),
            display: None,
            process: 7,
        },
    }
}

pub(super) fn site(seed: u8) -> PublicKey {
    PublicKey::from(&ed25519_dalek::SigningKey::from_bytes(&[seed; 32]))
}

pub(super) fn granted(commit: u64, length: DurationMs) -> Answer {
    let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    let kind = usher_protocol::envelope::DocumentType::LEASE;
    Answer::Granted(Box::new(Granted {
        id: LeaseId {
            epoch: Epoch(1),
            commit: Commit(commit),
        },
        site: site(1),
        signed: Signed::new(kind, vec![1, 2, 3], &key),
        license: "acme-1".parse().unwrap(),
        length,
        renew_after: DurationMs(length.0 / 3),
        seats_out: 1,
        seats_total: Some(10),
    }))
}

pub(super) fn refused(code: RefusalCode) -> Answer {
    Answer::Refused(Box::new(Refusal::new(code, "because")))
}

pub(super) fn place(position: u32) -> Place {
    Place {
        position,
        waiting: 7,
        expected_ms: None,
    }
}

/// An answer that is not believed, with the commit number in the name of the lease it brought.
pub(super) fn unusable(commit: Option<u64>) -> Answer {
    let lease = commit.map(|commit| LeaseId {
        epoch: Epoch(1),
        commit: Commit(commit),
    });
    Answer::Unusable("forged".to_owned(), lease)
}

/// A session with clocks that move only when told to, and randomness that counts.
struct World {
    now: Now,
    drawn: u8,
    session: Session,
    wake: Option<BootMs>,
}

impl World {
    fn new() -> Self {
        let now = Now {
            boot: BootMs(5_000_000),
            wall: WallMs(1_795_000_000_000),
        };
        Self {
            now,
            drawn: 0,
            session: Session::new(ask(), now, fresh(0)),
            wake: None,
        }
    }

    /// A session that holds a lease, and the moment its checkout was sent.
    fn holding() -> (Self, Now) {
        let mut world = Self::new();
        let c0 = world.now;
        let attempt = world.sent(Input::Connected(site(1))).attempt;
        world.pass(40);
        let output = world.feed(Input::Answered(attempt, granted(1, LENGTH)));
        assert_eq!(output.outcome, Some(Outcome::Granted));
        assert_eq!(world.state(), State::Active);
        (world, c0)
    }

    fn feed(&mut self, input: Input) -> Output {
        self.drawn += 1;
        let output = self.session.handle(self.now, fresh(self.drawn), input);
        self.wake = output.wake;
        output
    }

    fn sent(&mut self, input: Input) -> Send {
        self.feed(input).send.expect("something is sent")
    }

    /// Both clocks go on, and nobody does anything.
    fn pass(&mut self, ms: u64) {
        self.now.boot = self.now.boot.plus(DurationMs(ms));
        self.now.wall = self.now.wall.plus(DurationMs(ms));
    }

    /// Ticks at each wake-up, until something is sent.
    fn run_until_sent(&mut self) -> Send {
        for _ in 0..1000 {
            if let Some(send) = self.tick().send {
                return send;
            }
        }
        panic!("nothing was sent");
    }

    fn tick(&mut self) -> Output {
        let wake = self.wake.expect("it wants to be woken");
        assert!(wake > self.now.boot, "it would spin");
        self.pass(wake.since(self.now.boot).0);
        self.feed(Input::Tick)
    }

    fn state(&self) -> State {
        self.session.state(self.now).unwrap()
    }

    fn at(&self, c0: Now) -> u64 {
        self.now.boot.since(c0.boot).0
    }
}

fn fresh(drawn: u8) -> Fresh {
    Fresh {
        nonce: Nonce([drawn; 16]),
        token: Token([drawn; 16]),
        jitter: 1 << 15,
    }
}

fn link(request: &Request) -> Link {
    match request {
        Request::Renew(renew) => renew.link,
        Request::Attach(attach) => attach.link,
        other => panic!("no step of the chain: {other:?}"),
    }
}

fn nonce(request: &Request) -> Nonce {
    match request {
        Request::Checkout(checkout) => checkout.nonce,
        other => panic!("no checkout: {other:?}"),
    }
}

#[test]
fn l1_the_right_counts_from_before_the_send_and_not_from_the_answer() {
    let mut world = World::new();
    let c0 = world.now;
    let attempt = world.sent(Input::Connected(site(1))).attempt;
    world.pass(30_000);
    world.feed(Input::Answered(attempt, granted(1, LENGTH)));
    let end = world.session.held().unwrap().right.end();
    assert_eq!(end, c0.boot.plus(LENGTH));
}

#[test]
fn l1_stopped_beyond_its_lease_it_says_lost_at_the_first_read() {
    let (mut world, c0) = World::holding();
    world.pass(LENGTH.0 - world.at(c0) - 1);
    assert_eq!(world.state(), State::Active);
    world.pass(1);
    assert_eq!(world.state(), State::Lost(LostWhy::TimedOut));
    let output = world.feed(Input::Tick);
    assert_eq!(output.change, Some(Change::Lost(LostWhy::TimedOut)));
    assert!(
        matches!(output.send.unwrap().request, Request::Attach(_)),
        "L6: it tries again"
    );
}

#[test]
fn l1_a_wall_clock_that_shows_the_length_ends_it_and_stepping_back_does_not_undo_that() {
    let (mut world, _) = World::holding();
    world.now.wall = world.now.wall.plus(LENGTH);
    assert_eq!(
        world.session.observe(world.now),
        Some(State::Lost(LostWhy::TimedOut))
    );
    world.now.wall = WallMs(world.now.wall.0 - LENGTH.0);
    assert_eq!(world.state(), State::Lost(LostWhy::TimedOut));
}

#[test]
fn l1_after_a_pause_it_is_not_active_until_the_server_confirms() {
    let (mut world, _) = World::holding();
    world.pass(1_000);
    world.now.wall = world.now.wall.plus(DurationMs(1_500));
    let doubt = State::Renewing(Trouble::Clocks);
    assert_eq!(world.session.observe(world.now), Some(doubt.clone()));
    // What was seen stays, even if the clocks agree again.
    world.now.wall = WallMs(world.now.wall.0 - 1_500);
    assert_eq!(world.state(), doubt);
    let output = world.feed(Input::Tick);
    assert_eq!(output.change, Some(Change::Renewing(Trouble::Clocks)));
    let send = output.send.expect("the server is asked at once");
    let output = world.feed(Input::Answered(send.attempt, granted(1, LENGTH)));
    assert_eq!(output.change, Some(Change::Active));
    assert_eq!(world.state(), State::Active);
}

#[test]
fn l1_a_pause_is_noticed_within_seconds_although_walls_ring_nobody() {
    let (mut world, _) = World::holding();
    world.now.wall = world.now.wall.plus(LENGTH);
    let before = world.now.boot;
    let output = world.tick();
    assert_eq!(output.change, Some(Change::Lost(LostWhy::TimedOut)));
    assert!(world.now.boot.since(before) <= DurationMs::seconds(5));
}

#[test]
fn l1_an_answer_that_took_longer_than_its_length_gives_nothing() {
    let (mut world, _) = World::holding();
    let send = world.run_until_sent();
    world.pass(LENGTH.0);
    world.feed(Input::Answered(send.attempt, granted(1, LENGTH)));
    assert_eq!(world.state(), State::Lost(LostWhy::TimedOut));
}

#[test]
fn l2_it_renews_at_a_third_and_stays_active_without_a_word() {
    let (mut world, mut c0) = World::holding();
    for round in 0..5 {
        let send = world.run_until_sent();
        assert_eq!(world.at(c0), LENGTH.0 / 3, "round {round}");
        assert!(matches!(send.request, Request::Renew(_)));
        c0 = world.now;
        world.pass(3);
        let output = world.feed(Input::Answered(send.attempt, granted(1, LENGTH)));
        assert_eq!((output.change, world.state()), (None, State::Active));
    }
}

#[test]
fn l2_retries_come_after_5_10_20_and_then_every_30_seconds() {
    let (mut world, _) = World::holding();
    world.run_until_sent();
    let mut last = world.now;
    let mut gaps = Vec::new();
    for _ in 0..2 {
        let output = loop {
            let output = world.tick();
            if output.send.is_some() || output.reconnect {
                break output;
            }
        };
        gaps.push(world.at(last));
        last = world.now;
        // Twice unanswered, it wants another connection, and gets none.
        if output.reconnect {
            world.feed(Input::Disconnected);
        }
    }
    assert_eq!(gaps, [5_000, 10_000]);
    assert_eq!(world.state(), State::Renewing(Trouble::NoAnswer));
}

#[test]
fn l5_a_lost_reply_is_asked_for_with_the_same_nonce_and_token() {
    let mut world = World::new();
    let first = world.sent(Input::Connected(site(1)));
    world.pass(200);
    world.feed(Input::Disconnected);
    world.pass(200);
    let c0 = world.now;
    let second = world.sent(Input::Connected(site(1)));
    assert_eq!(first.request, second.request);
    // The late answer of the old connection belongs to nothing any more.
    assert_eq!(
        world
            .feed(Input::Answered(first.attempt, granted(1, LENGTH)))
            .outcome,
        None
    );
    world.feed(Input::Answered(second.attempt, granted(1, LENGTH)));
    assert_eq!(world.session.held().unwrap().right.since, c0);
}

#[test]
fn l5_a_repeat_that_comes_too_late_becomes_another_checkout() {
    let mut world = World::new();
    let first = world.sent(Input::Connected(site(1)));
    let second = world.run_until_sent();
    assert_eq!(nonce(&first.request), nonce(&second.request));
    world.pass(10);
    let ended = refused(RefusalCode::LeaseEnded);
    let output = world.feed(Input::Answered(second.attempt, ended));
    assert_eq!(output.outcome, None);
    let third = world.run_until_sent();
    assert_ne!(nonce(&third.request), nonce(&first.request));
}

#[test]
fn l5_a_checkout_given_up_is_pursued_until_its_seat_is_back() {
    let mut world = World::new();
    let first = world.sent(Input::Connected(site(1)));
    assert!(!world.feed(Input::Release).over);
    world.feed(Input::Disconnected);
    let again = world.sent(Input::Connected(site(1)));
    assert_eq!(again.request, first.request);
    let output = world.feed(Input::Answered(again.attempt, granted(1, LENGTH)));
    assert_eq!(output.outcome, None, "nobody waits for it");
    let release = output.send.expect("the seat goes back");
    assert!(matches!(release.request, Request::Release(_)));
    let output = world.feed(Input::Answered(release.attempt, Answer::Released));
    assert!(output.over && output.outcome == Some(Outcome::Released));
}

#[test]
fn l5_a_checkout_given_up_without_a_server_ends_after_a_minute() {
    let mut world = World::new();
    world.sent(Input::Connected(site(1)));
    world.feed(Input::Disconnected);
    world.feed(Input::Release);
    let start = world.now;
    while !world.tick().over {}
    assert_eq!(world.at(start), 60_000);
}

#[test]
fn t6_a_retry_shows_the_same_step_whatever_carries_it() {
    let (mut world, _) = World::holding();
    let renew = world.run_until_sent();
    let step = link(&renew.request);
    let again = world.run_until_sent();
    assert_eq!(link(&again.request), step);
    world.feed(Input::Disconnected);
    let attach = world.sent(Input::Connected(site(1)));
    assert!(matches!(attach.request, Request::Attach(_)));
    assert_eq!(link(&attach.request), step);
    world.feed(Input::Answered(attach.attempt, granted(1, LENGTH)));
    let next = world.run_until_sent();
    assert_eq!(link(&next.request).previous, step.next);
    assert_ne!(link(&next.request).next, step.next);
}

#[test]
fn t6_a_fork_ends_it_for_good() {
    let (mut world, _) = World::holding();
    let send = world.run_until_sent();
    let forked = refused(RefusalCode::LeaseForked);
    let output = world.feed(Input::Answered(send.attempt, forked));
    assert_eq!(output.change, Some(Change::Lost(LostWhy::Forked)));
    assert!(output.over && output.send.is_none() && output.wake.is_none());
    assert_eq!(
        world
            .feed(Input::Connected(site(1)))
            .send
            .map(|send| send.request),
        None
    );
}

#[test]
fn t6_a_lease_of_another_key_is_lost_and_not_asked_for_again() {
    let (mut world, _) = World::holding();
    let send = world.run_until_sent();
    let output = world.feed(Input::Answered(
        send.attempt,
        refused(RefusalCode::WrongDevice),
    ));
    assert_eq!(output.change, Some(Change::Lost(LostWhy::WrongDevice)));
    assert!(output.over);
}

#[test]
fn l6_a_lost_connection_frees_nothing_and_is_attached_again() {
    let (mut world, _) = World::holding();
    world.feed(Input::Disconnected);
    world.pass(60_000);
    assert_eq!(world.state(), State::Active);
    let send = world.sent(Input::Connected(site(1)));
    let Request::Attach(attach) = &send.request else {
        panic!("{:?}", send.request)
    };
    assert_eq!(attach.lease, world.session.held().unwrap().granted.signed);
    let output = world.feed(Input::Answered(send.attempt, granted(1, LENGTH)));
    assert_eq!((output.change, world.state()), (None, State::Active));
}

#[test]
fn l6_without_a_server_it_says_renewing_and_then_lost_each_once() {
    let (mut world, c0) = World::holding();
    world.feed(Input::Disconnected);
    let mut changes = Vec::new();
    while let Some(wake) = world.wake {
        world.pass(wake.since(world.now.boot).0);
        let output = world.feed(Input::Tick);
        changes.extend(output.change.map(|change| (world.at(c0), change)));
    }
    let renewing = Change::Renewing(Trouble::NoAnswer);
    let lost = Change::Lost(LostWhy::TimedOut);
    assert_eq!(changes, [(LENGTH.0 / 3, renewing), (LENGTH.0, lost)]);
}

#[test]
fn l6_after_a_lapse_it_attaches_and_says_restored() {
    let (mut world, _) = World::holding();
    world.feed(Input::Disconnected);
    world.pass(LENGTH.0);
    world.feed(Input::Tick);
    let send = world.sent(Input::Connected(site(1)));
    assert!(matches!(send.request, Request::Attach(_)));
    let output = world.feed(Input::Answered(send.attempt, granted(1, LENGTH)));
    assert_eq!(
        (output.change, world.state()),
        (Some(Change::Restored), State::Active)
    );
}

#[test]
fn l6_a_lease_that_is_over_gives_way_to_a_new_checkout() {
    let (mut world, _) = World::holding();
    let renew = world.run_until_sent();
    let old = world.session.nonce;
    let output = world.feed(Input::Answered(
        renew.attempt,
        refused(RefusalCode::LeaseEnded),
    ));
    assert_eq!(output.change, Some(Change::Lost(LostWhy::Ended)));
    let send = output.send.unwrap_or_else(|| world.run_until_sent());
    assert_ne!(nonce(&send.request), old);
    let output = world.feed(Input::Answered(send.attempt, granted(2, LENGTH)));
    assert_eq!(output.change, Some(Change::Restored));
    assert_eq!(world.session.held().unwrap().granted.id.commit, Commit(2));
}

#[test]
fn l6_while_all_seats_are_out_it_goes_on_asking_for_one() {
    let (mut world, _) = World::holding();
    let renew = world.run_until_sent();
    world.feed(Input::Answered(
        renew.attempt,
        refused(RefusalCode::LeaseEnded),
    ));
    let mut send = world.run_until_sent();
    for _ in 0..4 {
        let output = world.feed(Input::Answered(send.attempt, refused(RefusalCode::NoSeat)));
        assert_eq!((output.change, output.over), (None, false));
        let why = matches!(world.state(), State::Lost(LostWhy::Refused(no)) if no.code == RefusalCode::NoSeat);
        assert!(why, "it says why: {}", world.state());
        let before = world.now;
        send = world.run_until_sent();
        assert!((5_000..=30_000).contains(&world.at(before)));
    }
    world.feed(Input::Answered(send.attempt, granted(3, LENGTH)));
    assert_eq!(world.state(), State::Active);
}

#[test]
fn l6_another_site_cannot_extend_a_lease_but_lends_anew_after_it_lapsed() {
    let (mut world, c0) = World::holding();
    world.feed(Input::Disconnected);
    assert!(world.feed(Input::Connected(site(2))).send.is_none());
    assert_eq!(world.session.site_needed(), Some(site(1)));
    world.pass(LENGTH.0 - world.at(c0));
    world.feed(Input::Tick);
    assert_eq!(world.session.site_needed(), None);
    world.feed(Input::Disconnected);
    let send = world.feed(Input::Connected(site(2))).send;
    let send = send.unwrap_or_else(|| world.run_until_sent());
    assert!(matches!(send.request, Request::Checkout(_)));
}

#[test]
fn l7_an_evicted_lease_runs_to_its_end_and_is_acknowledged_then() {
    let (mut world, c0) = World::holding();
    let id = world.session.held().unwrap().granted.id;
    let output = world.feed(Input::Evicted(id, "maintenance".to_owned()));
    let evicted = Trouble::Evicted("maintenance".to_owned());
    assert_eq!(output.change, Some(Change::Renewing(evicted.clone())));
    let release = world.run_until_sent();
    assert_eq!(
        world.at(c0),
        LENGTH.0,
        "nothing is sent before, and nothing is cut"
    );
    assert!(matches!(release.request, Request::Release(_)));
    let why = LostWhy::Evicted("maintenance".to_owned());
    assert_eq!(world.state(), State::Lost(why));
    assert!(
        world
            .feed(Input::Answered(release.attempt, Answer::Released))
            .over
    );
}

#[test]
fn l7_an_evicted_holder_may_acknowledge_early() {
    let (mut world, _) = World::holding();
    let id = world.session.held().unwrap().granted.id;
    world.feed(Input::Evicted(id, "maintenance".to_owned()));
    let release = world.sent(Input::Release);
    assert!(matches!(release.request, Request::Release(_)));
    assert_eq!(world.state(), State::Lost(LostWhy::Released));
}

#[test]
fn somebody_elses_eviction_changes_nothing() {
    let (mut world, _) = World::holding();
    let other = LeaseId {
        epoch: Epoch(1),
        commit: Commit(99),
    };
    assert_eq!(
        world.feed(Input::Evicted(other, String::new())).change,
        None
    );
    assert_eq!(world.state(), State::Active);
}

#[test]
fn a_release_ends_the_right_at_once_and_is_repeated_until_acknowledged() {
    let (mut world, _) = World::holding();
    let first = world.sent(Input::Release);
    assert_eq!(world.state(), State::Lost(LostWhy::Released));
    world.feed(Input::Disconnected);
    let second = world.sent(Input::Connected(site(1)));
    assert_eq!(first.request, second.request);
    let output = world.feed(Input::Answered(
        second.attempt,
        refused(RefusalCode::LeaseUnknown),
    ));
    assert!(output.over && output.outcome == Some(Outcome::Released));
}

#[test]
fn a_release_nobody_answers_is_given_up_at_the_leases_end() {
    let (mut world, c0) = World::holding();
    world.sent(Input::Release);
    world.feed(Input::Disconnected);
    let mut output = world.tick();
    while !output.over {
        output = world.tick();
    }
    assert_eq!(output.outcome, Some(Outcome::GaveUp));
    assert_eq!(world.at(c0), LENGTH.0);
}

#[test]
fn a_refused_checkout_is_over_but_a_busy_server_is_asked_again() {
    let mut world = World::new();
    let first = world.sent(Input::Connected(site(1)));
    let output = world.feed(Input::Answered(
        first.attempt,
        refused(RefusalCode::Draining),
    ));
    assert_eq!((output.outcome, output.over), (None, false));
    assert_eq!(world.session.last_no().unwrap().code, RefusalCode::Draining);
    let second = world.run_until_sent();
    assert_eq!(second.request, first.request);
    let output = world.feed(Input::Answered(
        second.attempt,
        refused(RefusalCode::NoSeat),
    ));
    assert!(matches!(output.outcome, Some(Outcome::Refused(_))) && output.over);
}
