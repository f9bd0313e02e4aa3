//! What must hold whatever happens in whatever order.

use super::tests::{LENGTH, ask, granted, place, refused, site, unusable};
use super::*;
use proptest::prelude::*;
use usher_protocol::{
    ids::{Commit, Epoch, Token},
    refusal::RefusalCode,
    time::WallMs,
};

/// One step of a world that knows nothing of sessions.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Both clocks go on.
    Pass(u64),
    /// The wall clock alone steps.
    WallSteps(i64),
    Tick,
    Connected(u8),
    Disconnected,
    /// Answers the send that many before the last.
    Granted(u8, u64),
    Refused(u8, RefusalCode),
    Unusable(u8, Option<u64>),
    Evicted,
    /// Answers and pushes of the queue; those for the waiter of another nonce too.
    Queued(u8, u32),
    Left(u8),
    PlacePushed(bool, u32),
    Offered(bool),
    Dismissed(bool, RefusalCode),
    FeaturesChanged,
    Release,
}

fn step() -> impl Strategy<Value = Step> {
    let lengths = prop_oneof![1..5_000_u64, 100_000..700_000_u64];
    prop_oneof![
        4 => prop_oneof![0..3_000_u64, 0..700_000_u64].prop_map(Step::Pass),
        1 => (-900_000..900_000_i64).prop_map(Step::WallSteps),
        4 => Just(Step::Tick),
        2 => (1..3_u8).prop_map(Step::Connected),
        1 => Just(Step::Disconnected),
        4 => (0..3_u8, lengths).prop_map(|(back, length)| Step::Granted(back, length)),
        1 => (0..3_u8, prop::sample::select(RefusalCode::ALL))
            .prop_map(|(back, code)| Step::Refused(back, code)),
        1 => (0..3_u8, prop::option::of(1..3_u64))
            .prop_map(|(back, commit)| Step::Unusable(back, commit)),
        1 => Just(Step::Evicted),
        2 => (0..3_u8, 1..9_u32).prop_map(|(back, at)| Step::Queued(back, at)),
        1 => (0..3_u8).prop_map(Step::Left),
        1 => (any::<bool>(), 1..9_u32).prop_map(|(ours, at)| Step::PlacePushed(ours, at)),
        2 => any::<bool>().prop_map(Step::Offered),
        1 => (any::<bool>(), prop::sample::select(RefusalCode::ALL))
            .prop_map(|(ours, code)| Step::Dismissed(ours, code)),
        1 => Just(Step::FeaturesChanged),
        1 => Just(Step::Release),
    ]
}

/// What a judge outside knows: when each send was made, and what was promised for it.
struct Judge {
    now: Now,
    session: Session,
    drawn: u8,
    sends: Vec<(u64, Now, Request)>,
    /// The latest end that any answered send can give, by boot clock.
    end: BootMs,
    released: bool,
    sends_at_release: usize,
}

impl Judge {
    fn new() -> Self {
        let now = Now {
            boot: BootMs(5_000_000),
            wall: WallMs(1_795_000_000_000),
        };
        Self {
            now,
            session: Session::new(ask(), now, fresh(0)).waiting(),
            drawn: 0,
            sends: Vec::new(),
            end: BootMs(0),
            released: false,
            sends_at_release: 0,
        }
    }

    fn play(&mut self, step: Step) {
        match step {
            Step::Pass(ms) => {
                self.now.boot = self.now.boot.plus(DurationMs(ms));
                self.now.wall = self.now.wall.plus(DurationMs(ms));
            }
            Step::WallSteps(ms) => {
                self.now.wall = WallMs(self.now.wall.0.saturating_add_signed(ms));
            }
            Step::Tick => self.feed(Input::Tick),
            Step::Connected(seed) => self.feed(Input::Connected(site(seed))),
            Step::Disconnected => self.feed(Input::Disconnected),
            Step::Granted(back, length) => {
                let length = DurationMs(length).min(LENGTH);
                if let Some((attempt, c0, _)) = self.send_before(back) {
                    self.end = self.end.max(c0.boot.plus(length));
                    self.feed(Input::Answered(attempt, granted(1, length)));
                }
            }
            Step::Refused(back, code) => self.answer(back, refused(code)),
            Step::Unusable(back, commit) => self.answer(back, unusable(commit)),
            Step::Evicted => {
                let lease = LeaseId {
                    epoch: Epoch(1),
                    commit: Commit(1),
                };
                self.feed(Input::Evicted(lease, "maintenance".to_owned()));
            }
            Step::Queued(back, at) => self.answer(back, Answer::Queued(place(at))),
            Step::Left(back) => self.answer(back, Answer::Left),
            Step::PlacePushed(ours, at) => {
                self.feed(Input::Queued(self.nonce(ours), place(at)));
            }
            Step::Offered(ours) => self.feed(Input::Offered(self.nonce(ours))),
            Step::Dismissed(ours, code) => {
                let refusal = Box::new(Refusal::new(code, "because"));
                self.feed(Input::Dismissed(self.nonce(ours), refusal));
            }
            Step::FeaturesChanged => self.feed(Input::FeaturesChanged),
            Step::Release => {
                if !self.released {
                    self.sends_at_release = self.sends.len();
                }
                self.released = true;
                self.feed(Input::Release);
            }
        }
    }

    fn nonce(&self, ours: bool) -> Nonce {
        if ours {
            self.session.nonce()
        } else {
            Nonce([255; 16])
        }
    }

    fn send_before(&self, back: u8) -> Option<(u64, Now, Request)> {
        self.sends.iter().rev().nth(usize::from(back)).cloned()
    }

    fn answer(&mut self, back: u8, answer: Answer) {
        if let Some((attempt, ..)) = self.send_before(back) {
            self.feed(Input::Answered(attempt, answer));
        }
    }

    fn feed(&mut self, input: Input) {
        self.drawn = self.drawn.wrapping_add(1);
        let output = self.session.handle(self.now, fresh(self.drawn), input);
        if let Some(wake) = output.wake {
            assert!(
                wake > self.now.boot,
                "a wake-up that is not in the future would spin"
            );
        }
        if output.over {
            assert_eq!(output.wake, None);
        }
        if let Some(send) = output.send {
            assert!(
                self.session.connected.is_some(),
                "a send without a connection"
            );
            self.sends.push((send.attempt, self.now, send.request));
        }
    }
}

fn fresh(drawn: u8) -> Fresh {
    Fresh {
        nonce: Nonce([drawn; 16]),
        token: Token([drawn; 16]),
        jitter: u16::from(drawn) * 257,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// L9: a place is told only while a seat is wanted, and nothing asks for one after the release.
    #[test]
    fn l9_who_gave_up_neither_waits_nor_holds(steps in prop::collection::vec(step(), 1..60)) {
        let mut judge = Judge::new();
        for step in steps {
            judge.play(step);
            if judge.released {
                prop_assert_eq!(judge.session.place(), None);
                if let Some((_, _, Request::Checkout(checkout))) = judge.sends.last() {
                    let since = judge.sends.len() > judge.sends_at_release;
                    prop_assert!(!since || !checkout.wait, "it queues although nobody waits");
                }
            }
        }
    }

    /// L1: no order of events makes a seat ours past `c0 + R`, nor after its release.
    #[test]
    fn l1_never_ours_past_its_right(steps in prop::collection::vec(step(), 1..60)) {
        let mut judge = Judge::new();
        for step in steps {
            judge.play(step);
            let holds = judge.session.state(judge.now).is_some_and(|state| state.holds());
            if holds {
                prop_assert!(judge.now.boot < judge.end, "held past its end");
                prop_assert!(!judge.released, "held after its release");
            }
        }
    }

    /// L1: when the wall clock shows the length too, or clocks disagree, it is never `Active`.
    #[test]
    fn l1_never_active_when_the_clocks_disagree(
        steps in prop::collection::vec(step(), 1..60),
        jump in prop_oneof![-900_000..-1_001_i64, 1_001..900_000_i64],
    ) {
        let mut judge = Judge::new();
        for step in steps {
            judge.play(step);
        }
        let held = judge.session.held().cloned();
        let mut now = judge.now;
        if let Some(held) = held {
            let aligned = held.right.since.wall.0 + now.boot.since(held.right.since.boot).0;
            now.wall = WallMs(aligned.saturating_add_signed(jump));
            prop_assert_ne!(judge.session.state(now), Some(State::Active));
        }
    }

    /// L5, T6: one nonce always carries one checkout; a step under way is not replaced by another
    /// until it is answered.
    #[test]
    fn l5_one_nonce_is_one_checkout(steps in prop::collection::vec(step(), 1..60)) {
        let mut judge = Judge::new();
        for step in steps {
            judge.play(step);
        }
        let mut checkouts: Vec<&Checkout> = Vec::new();
        for (_, _, request) in &judge.sends {
            if let Request::Checkout(checkout) = request {
                for known in &checkouts {
                    // Whether it waits is no part of what a repeat must match (L9).
                    let again = Checkout { wait: checkout.wait, ..(*known).clone() };
                    prop_assert!(known.nonce != checkout.nonce || again == *checkout);
                }
                checkouts.push(checkout);
            }
        }
    }
}
