//! One durable step in the making: what the engine wants kept, and who waits for it.

use usher_engine::{
    api::{Answer, ConnectionId, Output, ReplyTo},
    record::Record,
};
use usher_protocol::{
    codec::CodecError,
    refusal::{Refusal, RefusalCode},
    wire::Push,
};

use super::{feed::Portion, meter::Counted};
use crate::{journal, records};

/// The waiting side of one question.
pub trait Waiting {
    /// Lets the answer go. Nobody there any more is no error: losing a connection frees nothing (L6).
    fn release(self, answer: Answer);
}

/// Everything between two commits; `W` waits for the answers.
#[derive(Debug)]
pub struct Pending<W> {
    /// Inputs taken so far.
    pub(super) inputs: usize,
    batch: journal::Batch,
    waiting: Vec<(ReplyTo, W)>,
    answers: Vec<(ReplyTo, Answer)>,
    news: News,
    features_changed: bool,
    /// For the meter, once this is durable.
    pub(super) counted: Counted,
    /// For the feed, once this is durable.
    pub(super) portion: Portion,
}

/// What is to be told after the answers.
#[derive(Debug, Default)]
pub struct News {
    /// To single connections, in order.
    pub pushes: Vec<(ConnectionId, Push)>,
    /// To all of them.
    pub for_all: Vec<Push>,
}

impl<W> Default for Pending<W> {
    fn default() -> Self {
        Self {
            inputs: 0,
            batch: journal::Batch::default(),
            waiting: Vec::new(),
            answers: Vec::new(),
            news: News::default(),
            features_changed: false,
            counted: Counted::default(),
            portion: Portion::default(),
        }
    }
}

impl<W: Waiting> Pending<W> {
    /// Of a life whose news somebody may listen to.
    pub(super) fn feeding(portion: Portion) -> Self {
        Self {
            portion,
            ..Self::default()
        }
    }

    /// Somebody waits for the answer to the input just handed in.
    pub(super) fn wait(&mut self, reply_to: ReplyTo, waiting: W) {
        self.waiting.push((reply_to, waiting));
    }

    /// Takes in what one input caused.
    ///
    /// # Errors
    /// [`CodecError`] if a record cannot be encoded; nothing of the batch may then be committed.
    pub(super) fn add(&mut self, output: Output) -> Result<(), CodecError> {
        self.counted.add(&output);
        for record in &output.records {
            self.note_news(record);
            self.batch.writes.push(records::write(record)?);
        }
        for event in &output.events {
            self.portion.add(event);
            self.batch.events.push(records::event_body(event)?);
        }
        self.batch.wait_for_log |= output.wait_for_log;
        self.answers.extend(output.answers);
        self.news.pushes.extend(output.pushes);
        Ok(())
    }

    /// Inputs taken so far.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Somebody waits for an answer of this batch.
    pub(super) fn is_awaited(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// News for every connection, to go with the answers.
    pub(super) fn spread(&mut self, push: Push) {
        self.news.for_all.push(push);
    }

    /// What to commit, when there is anything: a batch without records needs no disk.
    pub fn durable(&self) -> Option<&journal::Batch> {
        let empty = self.batch.writes.is_empty() && self.batch.events.is_empty();
        (!empty || self.batch.restored_settled).then_some(&self.batch)
    }

    /// This batch holds the engine's own record of the hold that L12 asks for.
    pub(super) fn settle_restored(&mut self) {
        self.batch.restored_settled = true;
    }

    /// Lets every answer go, and gives the news to spread. Only after the commit (A2).
    pub fn release(mut self) -> News {
        // The engine answers in the order of inputs, so this is one step each.
        let mut waiting = self.waiting.into_iter();
        for (reply_to, answer) in self.answers {
            let asker = waiting.find(|(waits_for, _)| *waits_for == reply_to);
            debug_assert!(asker.is_some(), "an answer to nobody: {reply_to:?}");
            if let Some((_, asker)) = asker {
                asker.release(answer);
            }
        }
        if self.features_changed {
            self.news.for_all.push(Push::FeaturesChanged);
        }
        self.news
    }

    /// The commit failed: nobody gets what was meant for them (L13).
    pub fn refuse(self) {
        for (_, asker) in self.waiting {
            asker.release(Answer::Refused(storage_trouble()));
        }
    }

    fn note_news(&mut self, record: &Record) {
        match record {
            Record::PutLicense(_)
            | Record::DropLicense(_)
            | Record::PutSuspension(_)
            | Record::DropSuspension(_) => self.features_changed = true,
            Record::PutLease(lease) => {
                if let Some(reason) = &lease.evicted {
                    let push = Push::Evicted(lease.id, reason.clone());
                    self.news.for_all.push(push);
                }
            }
            _ => {}
        }
    }
}

/// What a client is told; the journal's own words stay in the log (A4).
pub(super) fn storage_trouble() -> Box<Refusal> {
    let detail =
        "the server cannot store a grant and stops; its administrator finds the reason in its log";
    Box::new(Refusal::new(RefusalCode::StorageTrouble, detail))
}

#[cfg(test)]
mod tests {
    use usher_protocol::{ids::Nonce, time::DurationMs};

    use super::*;
    use crate::core::{
        connections::{Connections, Outgoing},
        item::Outlet,
    };

    #[test]
    fn s2_one_output_that_waits_for_the_log_makes_its_batch_wait() {
        let mut pending = Pending::<Outlet>::default();
        pending.add(Output::default()).unwrap();
        assert!(!pending.batch.wait_for_log);
        pending.add(waiting()).unwrap();
        pending.add(Output::default()).unwrap();
        assert!(pending.batch.wait_for_log);
    }

    /// A waiter learns that it waits before it learns that a seat is offered.
    #[test]
    fn l9_what_is_pushed_follows_the_answers_of_its_batch() {
        let connections = Connections::default();
        let connection = connections.next_id();
        let (mut line, _overrun) = connections.register(connection);
        let mut pending = Pending::default();
        let offer = Push::Offered(Nonce([1; 16]), DurationMs::seconds(30));
        pending
            .add(Output {
                pushes: vec![(connection, offer)],
                ..Output::default()
            })
            .unwrap();
        pending.wait(ReplyTo(1), Outlet::Connection(line.sink.clone(), 7, None));
        pending
            .add(Output {
                answers: vec![(ReplyTo(1), Answer::Left)],
                ..Output::default()
            })
            .unwrap();
        for (connection, push) in pending.release().pushes {
            connections.push(connection, push);
        }
        let first = line.outgoing.try_recv();
        assert!(matches!(first, Ok(Outgoing::Answered { number: 7, .. })));
        let second = line.outgoing.try_recv();
        assert!(matches!(second, Ok(Outgoing::Pushed(push)) if matches!(*push, Push::Offered(..))));
    }

    /// L13: what was not made durable is neither answered nor told.
    #[test]
    fn a_batch_that_failed_pushes_nothing() {
        let connections = Connections::default();
        let connection = connections.next_id();
        let (mut line, _overrun) = connections.register(connection);
        let mut pending = Pending::default();
        pending.wait(ReplyTo(1), Outlet::Connection(line.sink.clone(), 7, None));
        let output = Output {
            pushes: vec![(connection, Push::FeaturesChanged)],
            answers: vec![(ReplyTo(1), Answer::Left)],
            ..Output::default()
        };
        pending.add(output).unwrap();
        pending.refuse();
        match line.outgoing.try_recv() {
            Ok(Outgoing::Answered {
                answer: Answer::Refused(refusal),
                ..
            }) => assert_eq!(refusal.code, RefusalCode::StorageTrouble),
            other => panic!("{other:?}"),
        }
        assert!(line.outgoing.try_recv().is_err());
    }

    fn waiting() -> Output {
        Output {
            wait_for_log: true,
            ..Output::default()
        }
    }
}
