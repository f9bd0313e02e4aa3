//! Durable steps of a daemon's works, without its thread and its network. Decides nothing of what is asked; must not
//! leave out what the core's thread does between a question and its answer.

use std::cell::RefCell;
use std::rc::Rc;

use usher_engine::api::{Answer, ClientAsk};
use usher_protocol::ids::Token;
use usher_protocol::time::Now;
use usher_protocol::wire::{Checkout, Link, Release};
use usherd::core::{Pending, Question, Waiting, Works};

/// Keeps the answers of a step, in their order.
#[derive(Clone, Debug, Default)]
pub struct Kept(Rc<RefCell<Vec<Answer>>>);

impl Waiting for Kept {
    fn release(self, answer: Answer) {
        self.0.borrow_mut().push(answer);
    }
}

/// As the core's thread does it: all inputs, what is due, one durable step, then the answers (A2). `questions` are told
/// who waits for them; `now` is read for each.
pub fn step(
    works: &mut Works,
    now: impl Fn() -> Now,
    questions: impl FnOnce(&Kept) -> Vec<Question<Kept>>,
) -> Vec<Answer> {
    let mut pending = Pending::default();
    let answers = Kept::default();
    for question in questions(&answers) {
        works.take(now(), question, &mut pending).unwrap();
    }
    works.tick_when_due(now(), &mut pending).unwrap();
    works.commit(&pending).unwrap();
    pending.release();
    answers.0.take()
}

/// Gives back what `answer` lent for `checkout`; `next` follows its token (T6).
pub fn release_of(checkout: &Checkout, answer: &Answer, next: Token) -> ClientAsk {
    let Answer::Promised(promise) = answer else {
        panic!("no lease: {answer:?}");
    };
    ClientAsk::Release(Release {
        lease: promise.lease.id,
        nonce: checkout.nonce,
        link: Link {
            previous: checkout.token,
            next,
        },
    })
}
