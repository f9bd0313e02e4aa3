//! One workstation: what it asks for next, and what it makes of the answer.
//!
//! As the library's sessions do it notes what it asks before it sends, and repeats it over the next connection until
//! it is answered (L5, T6); unlike them it never pauses. Must not judge the daemon beyond single answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use usher_client::clock::Clock;
use usher_client::connection::{Connection, Dialer, Wanted};
use usher_client::marks::Marks;
use usher_client::session::{Answer, Ask, Granted};
use usher_protocol::ids::{Nonce, Token};
use usher_protocol::refusal::RefusalCode;
use usher_protocol::time::DurationMs;
use usher_protocol::wire::{
    Attach, Borrow, Checkout, Environment, Holder, Link, Release, Renew, Request,
};

use super::memory::{Belief, Book, Fate, Proof, Stage};
use super::{POOLS, key};
use crate::proof::Dice;

pub(super) struct Workstation {
    number: u32,
    dialer: Dialer,
    wanted: Wanted,
    marks: Marks,
    book: Book,
    dice: Dice,
    tags: u32,
    /// What it holds and means to keep.
    held: Vec<u32>,
    unanswered: Option<Question>,
    /// How many answers to it could not be believed, one after the other.
    unusable: u32,
    /// Has a copy while it works.
    working: Arc<()>,
}

/// What all workstations of a site share.
pub(super) struct Site {
    pub(super) wanted: Wanted,
    pub(super) marks: Marks,
    pub(super) book: Book,
    pub(super) working: Arc<()>,
}

/// What is sent until it is answered.
#[derive(Clone)]
struct Question {
    tag: u32,
    pool: usize,
    request: Request,
}

impl Workstation {
    /// Must be called within a runtime.
    pub(super) fn new(number: u32, site: &Site, seed: u64) -> Self {
        Self {
            number,
            dialer: Dialer::new(key(number)).unwrap(),
            wanted: site.wanted.clone(),
            marks: site.marks.clone(),
            book: site.book.clone(),
            dice: Dice::new(seed << 8 | u64::from(number)),
            tags: 0,
            held: Vec::new(),
            unanswered: None,
            unusable: 0,
            working: Arc::clone(&site.working),
        }
    }

    /// Works whenever the gate is open, until there is no gate any more.
    pub(super) async fn run(mut self, mut gate: watch::Receiver<Option<SocketAddr>>) {
        loop {
            let address = match gate.wait_for(Option::is_some).await {
                Ok(open) => open.unwrap(),
                Err(_) => return,
            };
            let working = Arc::clone(&self.working);
            tokio::select! {
                biased;
                () = self.work(address) => sleep(PAUSE).await,
                () = closed(&mut gate) => {}
            }
            drop(working);
        }
    }

    async fn work(&mut self, address: SocketAddr) {
        let opened = Connection::open(&self.dialer, address, &self.wanted, &self.marks).await;
        let Ok((connection, _pushes)) = opened else {
            return;
        };
        loop {
            let question = match self.unanswered.take() {
                Some(question) => question,
                None => self.question(),
            };
            self.unanswered = Some(question.clone());
            let c0 = Clock::new().boot().0;
            let ask = ask(self.number, question.tag, question.pool);
            let Ok(answer) = connection.ask(&ask, question.request.clone()).await else {
                return;
            };
            // As if no answer had come, and asked anew: its license may just have been replaced by a higher serial.
            if let Answer::Unusable(why, _) = &answer
                && self.unusable < UNUSABLE_MAX
            {
                self.unusable += 1;
                println!("workstation {}: {why}", self.number);
                continue;
            }
            (self.unanswered, self.unusable) = (None, 0);
            self.hear(&question, c0, answer);
            sleep(Duration::from_micros(self.dice.below(REST_US))).await;
        }
    }

    /// What to ask next, noted before it is sent.
    fn question(&mut self) -> Question {
        let chosen = (self.held.len() as u64 > self.dice.below(HELD_MAX))
            .then(|| usize::try_from(self.dice.below(self.held.len() as u64)).unwrap());
        let Some(index) = chosen else {
            return self.checkout();
        };
        let tag = self.held[index];
        let (proof, evicted, pool) = self.book.note(|memory| {
            let seat = &memory.seats[&tag];
            (seat.proof.clone().unwrap(), seat.evicted, seat.pool)
        });
        let roll = self.dice.below(100);
        let request = match (POOLS[pool].feature, roll) {
            // Nobody hears of it again: the daemon may take it back when its right has ended.
            ("short", 0..30) => {
                self.held.remove(index);
                return self.checkout();
            }
            // A borrowed lease is not renewed (L10).
            ("home", 0..60) => return self.checkout(),
            (_, 0..35) if evicted != Fate::Yes => self.renew(&proof),
            (_, 35..60) if evicted != Fate::Yes => self.attach(&proof),
            _ => {
                self.held.remove(index);
                let now = Clock::new().boot().0;
                self.book.note(|memory| memory.releasing(tag, now));
                self.release(&proof)
            }
        };
        Question { tag, pool, request }
    }

    fn checkout(&mut self) -> Question {
        self.tags += 1;
        let tag = self.number * TAGS + self.tags;
        let pool = match self.dice.below(100) {
            0..45 => 0,
            45..80 => 1,
            80..90 => 2,
            _ => 3,
        };
        self.book
            .note(|memory| memory.asked(tag, self.number, pool));
        let is_borrow = POOLS[pool].feature == "home";
        let ask = ask(self.number, tag, pool);
        let checkout = Checkout {
            nonce: Nonce(self.secret()),
            token: Token(self.secret()),
            feature: ask.feature,
            environment: ask.environment,
            seats: ask.seats,
            version: None,
            length_ms: is_borrow.then_some(BORROW),
            holder: ask.holder,
            wait: false,
        };
        let wall = Clock::new().now().wall;
        let request = if is_borrow {
            Request::Borrow(Borrow { checkout, wall })
        } else {
            Request::Checkout(checkout)
        };
        Question { tag, pool, request }
    }

    fn renew(&mut self, proof: &Proof) -> Request {
        Request::Renew(Renew {
            lease: proof.lease,
            nonce: proof.nonce,
            link: self.link(proof),
            length_ms: None,
            idle_ms: None,
        })
    }

    fn attach(&mut self, proof: &Proof) -> Request {
        Request::Attach(Attach {
            lease: proof.signed.clone(),
            nonce: proof.nonce,
            link: self.link(proof),
            length_ms: None,
        })
    }

    fn release(&mut self, proof: &Proof) -> Request {
        Request::Release(Release {
            lease: proof.lease,
            nonce: proof.nonce,
            link: self.link(proof),
        })
    }

    fn link(&mut self, proof: &Proof) -> Link {
        Link {
            previous: proof.token,
            next: Token(self.secret()),
        }
    }

    /// Secret enough for a test, and the same for one seed.
    fn secret(&mut self) -> [u8; 16] {
        let halves = [self.dice.roll(), self.dice.roll()].map(u64::to_be_bytes);
        halves.concat().try_into().unwrap()
    }

    fn hear(&mut self, question: &Question, c0: u64, answer: Answer) {
        let tag = question.tag;
        match answer {
            Answer::Granted(granted) => self.granted(question, c0, *granted),
            Answer::Released => self.book.note(|memory| memory.ended(tag, Stage::Over)),
            Answer::Refused(refusal) => {
                let said = format!("{}: {}", refusal.code.name(), refusal.detail);
                if !self.refused(question, refusal.code) {
                    self.fault(question, &said);
                }
            }
            other => self.fault(question, &format!("{other:?}")),
        }
    }

    fn granted(&mut self, question: &Question, c0: u64, granted: Granted) {
        let (tag, now) = (question.tag, Clock::new().boot().0);
        let belief = Belief {
            from: now,
            to: c0 + granted.length.0,
        };
        let (nonce, token) = secrets(&question.request);
        let proof = Proof {
            lease: granted.id,
            signed: granted.signed,
            nonce,
            token,
        };
        self.book.note(|memory| memory.told(tag, proof, belief, c0));
        if !self.held.contains(&tag) {
            self.held.push(tag);
        }
    }

    /// False for a refusal that must not be.
    fn refused(&mut self, question: &Question, code: RefusalCode) -> bool {
        use RefusalCode as No;
        let (tag, now) = (question.tag, Clock::new().boot().0);
        match &question.request {
            // The write that failed may have reached the disk all the same: it is out, or it is not (L13).
            Request::Checkout(_) | Request::Borrow(_) if code == No::StorageTrouble => false,
            Request::Checkout(_) | Request::Borrow(_) => {
                self.book.note(|memory| memory.ended(tag, Stage::Refused));
                let usual = [No::NoSeat, No::KeptAtHome, No::LeaseEnded, No::CoolingDown];
                usual.contains(&code)
            }
            Request::Renew(_) | Request::Attach(_) => match code {
                No::Evicted => true,
                // No renewal of a lease that is over: its right had ended, or it is lost.
                No::LeaseEnded => {
                    self.held.retain(|held| *held != tag);
                    self.book.note(|memory| {
                        memory.ended(tag, Stage::Over);
                        !memory.is_believed(tag, now)
                    })
                }
                _ => false,
            },
            _ => false,
        }
    }

    fn fault(&self, question: &Question, what: &str) {
        let (tag, feature) = (question.tag, POOLS[question.pool].feature);
        let fault = format!("{tag}, a question about {feature}: {what}");
        self.book.note(|memory| memory.faults.push(fault));
    }
}

/// Waits until the gate is closed, or gone.
async fn closed(gate: &mut watch::Receiver<Option<SocketAddr>>) {
    drop(gate.wait_for(Option::is_none).await);
}

/// Who asks, and for what; the tag tells the daemon's leases apart.
pub(super) fn ask(workstation: u32, tag: u32, pool: usize) -> Ask {
    Ask {
        feature: POOLS[pool].feature.parse().unwrap(),
        environment: Environment::Test,
        seats: 1,
        version: None,
        length_ms: None,
        holder: Holder {
            user: "anna".to_owned(),
            host: format!("ws{workstation}"),
            display: None,
            process: tag,
        },
    }
}

/// The secret of the checkout, and the step that the answer acknowledges.
fn secrets(request: &Request) -> (Nonce, Token) {
    match request {
        Request::Checkout(checkout) | Request::Borrow(Borrow { checkout, .. }) => {
            (checkout.nonce, checkout.token)
        }
        Request::Renew(renew) => (renew.nonce, renew.link.next),
        Request::Attach(attach) => (attach.nonce, attach.link.next),
        other => panic!("no lease answers {other:?}"),
    }
}

/// Tags of one workstation; the daemon sees them as process numbers.
const TAGS: u32 = 10_000_000;
/// It holds about half as many at once.
const HELD_MAX: u64 = 12;
const BORROW: DurationMs = DurationMs::hours(5);
const PAUSE: Duration = Duration::from_millis(10);
/// More than this is no accident.
const UNUSABLE_MAX: u32 = 3;
const REST_US: u64 = 4000;
