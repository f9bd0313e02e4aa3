//! `session`: the client's side of a connection: whatever a server answers and pushes, in any order, while both
//! clocks do as they like (L1).

use std::collections::HashMap;

use usher_client::session::{Answer, Ask, Fresh, Granted, Input, Output, Session, State};
use usher_protocol::{
    envelope::{Signature, Signed},
    ids::{Commit, Epoch, LeaseId, Nonce, Token},
    refusal::{Refusal, RefusalCode},
    time::{BootMs, DurationMs, Now, WallMs},
    wire::{Environment, Place},
};

use crate::{
    feed::Feed,
    samples::{holder, public},
};

/// Plays the steps that the bytes name.
pub fn run(data: &[u8]) {
    let mut feed = Feed::new(data);
    let mut holders = Holders::new(&mut feed);
    for _ in 0..STEPS_MAX {
        if feed.is_empty() {
            return;
        }
        holders.step(&mut feed);
    }
}

/// Sessions of one client, and what each was promised.
struct Holders {
    now: Now,
    drawn: u8,
    held: Vec<Holding>,
}

struct Holding {
    session: Session,
    /// When each request left.
    sent: HashMap<u64, Now>,
    /// The latest ends, by both clocks, that any answer can have given.
    ends: Option<(BootMs, WallMs)>,
}

impl Holders {
    fn new(feed: &mut Feed<'_>) -> Self {
        let now = Now {
            boot: BootMs(1_000_000),
            wall: WallMs(1_795_000_000_000),
        };
        let others = (0..feed.byte() % 4).map(|at| ask(at + 1)).collect();
        let fresh = Fresh {
            nonce: Nonce([1; 16]),
            token: Token([1; 16]),
            jitter: 7,
        };
        let session = Session::new(ask(0), now, fresh).together_with(others);
        Self {
            now,
            drawn: 1,
            held: vec![Holding::of(session)],
        }
    }

    fn step(&mut self, feed: &mut Feed<'_>) {
        self.pass(feed);
        let at = usize::from(feed.byte()) % self.held.len();
        let fresh = self.fresh(feed);
        let input = self.held[at].input(feed);
        let companions = self.held[at].handle(self.now, fresh, input);
        self.held.extend(companions);
        self.held.truncate(8);
        let fresh = self.fresh(feed);
        self.held[at].rests(self.now, fresh);
    }

    /// Both clocks go on, or the wall clock steps.
    fn pass(&mut self, feed: &mut Feed<'_>) {
        match feed.byte() % 4 {
            0 => {}
            // Far from where sums of milliseconds end: no right is that long.
            1 => self.now.wall = WallMs(feed.number().min(1 << 62)),
            _ => {
                let length = DurationMs(feed.number().min(1 << 40));
                self.now.boot = self.now.boot.plus(length);
                self.now.wall = WallMs(self.now.wall.plus(length).0.min(1 << 62));
            }
        }
    }

    fn fresh(&mut self, feed: &mut Feed<'_>) -> Fresh {
        self.drawn = self.drawn.wrapping_add(1);
        Fresh {
            nonce: Nonce([self.drawn; 16]),
            token: Token([self.drawn; 16]),
            jitter: u16::from(feed.byte()) * 257,
        }
    }
}

impl Holding {
    fn of(session: Session) -> Self {
        let held = session.held().map(|it| it.right);
        Self {
            ends: held.map(|it| (it.end(), it.since.wall.plus(it.length))),
            session,
            sent: HashMap::new(),
        }
    }

    fn input(&mut self, feed: &mut Feed<'_>) -> Input {
        let nonce = |feed: &mut Feed<'_>, ours: Nonce| {
            if feed.flag() {
                ours
            } else {
                Nonce([feed.byte(); 16])
            }
        };
        let ours = self.session.nonce();
        match feed.byte() % 16 {
            0..7 => {
                let attempt = (self.sent.len() as u64).saturating_sub(u64::from(feed.byte() % 4));
                let answer = answer(feed);
                self.promised(attempt, &answer);
                Input::Answered(attempt, answer)
            }
            7 => Input::Connected(public(3 + feed.byte() % 2)),
            8 => Input::Disconnected,
            9 => Input::Evicted(lease(feed), "because".to_owned()),
            10 => Input::Queued(nonce(feed, ours), place(feed)),
            11 => Input::Offered(nonce(feed, ours)),
            12 => Input::Dismissed(nonce(feed, ours), refusal(feed)),
            13 => Input::FeaturesChanged,
            14 if feed.flag() => Input::Release,
            _ => Input::Tick,
        }
    }

    /// A right is never longer than its length from the send that it answers (L1).
    fn promised(&mut self, attempt: u64, answer: &Answer) {
        let all = match answer {
            Answer::Granted(granted) => std::slice::from_ref(&**granted),
            Answer::GrantedAll(all) => all,
            _ => return,
        };
        let Some(c0) = self.sent.get(&attempt) else {
            return;
        };
        for granted in all {
            let end = (c0.boot.plus(granted.length), c0.wall.plus(granted.length));
            let (boot, wall) = self.ends.unwrap_or(end);
            self.ends = Some((boot.max(end.0), wall.max(end.1)));
        }
    }

    fn handle(&mut self, now: Now, fresh: Fresh, input: Input) -> Vec<Self> {
        let output = self.session.handle(now, fresh, input);
        self.check(now, &output);
        output.companions.into_iter().map(Self::of).collect()
    }

    /// Asked again at once, it has nothing more to send: no server makes it spin.
    fn rests(&mut self, now: Now, fresh: Fresh) {
        let output = self.session.handle(now, fresh, Input::Tick);
        self.check(now, &output);
        let output = self.session.handle(now, fresh, Input::Tick);
        assert!(output.send.is_none() && output.wake.is_none_or(|wake| wake >= now.boot));
    }

    fn check(&mut self, now: Now, output: &Output) {
        if let Some(send) = &output.send {
            self.sent.insert(send.attempt, now);
            assert_eq!(send.request.check(), Ok(()));
        }
        if self.session.state(now).is_some_and(|it: State| it.holds()) {
            let (boot, wall) = self.ends.expect("held without a promise");
            assert!(
                now.boot < boot && now.wall < wall,
                "held beyond its end (L1)"
            );
        }
    }
}

fn ask(number: u8) -> Ask {
    Ask {
        feature: format!("f{number}").parse().unwrap(),
        environment: Environment::Live,
        seats: 1 + u32::from(number),
        version: None,
        length_ms: (number == 0).then_some(DurationMs::minutes(10)),
        holder: holder(),
    }
}

fn answer(feed: &mut Feed<'_>) -> Answer {
    match feed.byte() % 12 {
        0..5 => Answer::Granted(Box::new(granted(feed))),
        5 => {
            let count = feed.byte() % 5;
            Answer::GrantedAll((0..count).map(|_| granted(feed)).collect())
        }
        6 => Answer::Queued(place(feed)),
        7 => Answer::Left,
        8 => Answer::Released,
        9 => Answer::Unusable("no".to_owned(), feed.flag().then(|| lease(feed))),
        10 => {
            let count = feed.byte() % 5;
            let leases = (0..count).map(|_| feed.flag().then(|| lease(feed)));
            Answer::UnusableAll("no".to_owned(), leases.collect())
        }
        _ => Answer::Refused(refusal(feed)),
    }
}

fn granted(feed: &mut Feed<'_>) -> Granted {
    Granted {
        id: lease(feed),
        site: public(3 + feed.byte() % 2),
        signed: Signed {
            body: Vec::new(),
            signature: Signature::from_bytes(&[0; 64]),
        },
        license: "acme-0042".parse().unwrap(),
        length: DurationMs(feed.number()),
        renew_after: DurationMs(feed.number()),
        seats_out: feed.number_32(),
        seats_total: feed.flag().then(|| feed.number_32()),
    }
}

fn refusal(feed: &mut Feed<'_>) -> Box<Refusal> {
    let mut refusal = Refusal::new(*feed.pick(RefusalCode::ALL), "no");
    if feed.flag() {
        refusal.retry_after_ms = Some(DurationMs(feed.number()));
    }
    Box::new(refusal)
}

fn lease(feed: &mut Feed<'_>) -> LeaseId {
    LeaseId {
        epoch: Epoch(u64::from(feed.byte() % 2)),
        commit: Commit(u64::from(feed.byte() % 4)),
    }
}

fn place(feed: &mut Feed<'_>) -> Place {
    Place {
        position: feed.number_32(),
        waiting: feed.number_32(),
        expected_ms: feed.flag().then(|| DurationMs(feed.number())),
    }
}

/// A longer input is a slower one, not a deeper one.
const STEPS_MAX: usize = 64;
