//! When leases that end together are taken back, beside those who ask.

use std::sync::Arc;

use usher_engine::api::{AdminAsk, Answer, ClientAsk};
use usher_engine::record::What;
use usher_protocol::ids::{LifeId, PublicKey};
use usher_protocol::time::{BootMs, DurationMs, Now};

use super::{Beginning, Pending, Question, Waiting, Works};
use crate::journal::{MemoryJournal, MemoryStore};
use crate::limits::{TICK_REST_MS, TICKS_PUT_OFF_MAX};
use crate::{records, testing};

/// Somebody who waits, and for whom any answer will do.
struct Anybody;

impl Waiting for Anybody {
    fn release(self, _: Answer) {}
}

struct Life {
    works: Works,
    store: MemoryStore,
}

impl Life {
    /// All leases of a life just begun, over at [`END`].
    fn with_leases() -> Self {
        let store = MemoryStore::default();
        let beginning = Beginning {
            site: PublicKey::from(&testing::site_key()),
            site_is_older: false,
            life: LifeId([1; 16]),
            settings: testing::settings(),
            policy: Arc::default(),
        };
        let journal = Box::new(MemoryJournal::open(&store));
        let works = Works::begin(journal, beginning, &mut || now(BEGIN)).unwrap();
        let mut life = Self { works, store };
        let license = testing::license(LEASES.into(), DurationMs::seconds(2));
        let root_confirmed = Some(license.root().fingerprint());
        let install = AdminAsk::InstallLicense {
            license,
            root_confirmed,
        };
        let mut questions = vec![Question::Admin("root(0)".to_owned(), install, Anybody)];
        questions.extend((0..LEASES).map(|nonce| ask(testing::ask_seat(nonce))));
        life.batch(BEGIN, questions);
        life
    }

    /// One batch as the core's thread makes it; how many leases it took back.
    fn batch(&mut self, at: BootMs, questions: Vec<Question<Anybody>>) -> usize {
        let before = self.reclaimed();
        let mut pending = Pending::default();
        for question in questions {
            self.works.take(now(at), question, &mut pending).unwrap();
        }
        self.works.tick_when_due(now(at), &mut pending).unwrap();
        self.works.commit(&pending).unwrap();
        pending.release();
        self.reclaimed() - before
    }

    fn reclaimed(&self) -> usize {
        let events = self.store.events();
        let events = events.iter().map(|body| records::read_event(body).unwrap());
        events
            .filter(|event| matches!(event.what, What::Reclaimed(_)))
            .count()
    }
}

fn ask(ask: ClientAsk) -> Question<Anybody> {
    Question::Client(testing::caller(), ask, Anybody)
}

fn now(boot: BootMs) -> Now {
    Now {
        boot,
        wall: usher_protocol::time::WallMs(1_790_000_000_000 + boot.0),
    }
}

const LEASES: u8 = 250;
const BEGIN: BootMs = BootMs(1_000);
/// After R and G of all of them.
const END: BootMs = BootMs(1_000 + 60_000);

#[test]
fn a2_between_two_ticks_the_core_is_left_to_others() {
    let mut life = Life::with_leases();
    let first = life.batch(END, vec![Question::Ring]);
    assert!((1..usize::from(LEASES)).contains(&first), "{first} at once");
    let next = END.plus(TICK_REST_MS);
    assert_eq!(life.works.wake(), Some(next), "the rest is due, and rests");
    let early = BootMs(next.0 - 1);
    assert_eq!(life.batch(early, vec![Question::Ring]), 0);
    assert_eq!(life.batch(next, vec![Question::Ring]), first);
}

#[test]
fn a2_who_waits_for_an_answer_goes_before_a_tick_but_not_for_ever() {
    let mut life = Life::with_leases();
    let features = || vec![ask(ClientAsk::Features)];
    let beside = life.batch(END, features());
    assert!(beside > 0, "a question takes back some of what is due");
    for _ in 1..TICKS_PUT_OFF_MAX {
        assert_eq!(life.batch(END, features()), beside);
    }
    assert_eq!(
        life.works.wake().filter(|wake| *wake > END),
        None,
        "still due"
    );
    let with_tick = life.batch(END, features());
    assert!(with_tick > beside, "{with_tick} with the tick at last");
}

#[test]
fn l1_all_that_ended_is_taken_back_in_the_end() {
    let mut life = Life::with_leases();
    let mut at = END;
    for _ in 0..LEASES {
        life.batch(at, vec![Question::Ring]);
        at = at.plus(TICK_REST_MS);
    }
    assert_eq!(life.reclaimed(), usize::from(LEASES));
}
