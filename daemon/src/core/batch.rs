//! One durable step in the making: what the engine wants kept, and who waits for it.

use usher_engine::{
    api::{Answer, Output, ReplyTo},
    record::Record,
};
use usher_protocol::{
    codec::CodecError,
    refusal::{Refusal, RefusalCode},
    wire::Push,
};

use super::item::Outlet;
use crate::{journal, records};

/// Everything between two commits.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Inputs taken so far.
    pub(super) inputs: usize,
    batch: journal::Batch,
    waiting: Vec<(ReplyTo, Outlet)>,
    answers: Vec<(ReplyTo, Answer)>,
    news: Vec<Push>,
    features_changed: bool,
}

impl Pending {
    /// Somebody waits for the answer to the input just handed in.
    pub(super) fn wait(&mut self, reply_to: ReplyTo, outlet: Outlet) {
        self.waiting.push((reply_to, outlet));
    }

    /// Takes in what one input caused.
    ///
    /// # Errors
    /// [`CodecError`] if a record cannot be encoded; nothing of the batch may then be committed.
    pub(super) fn add(&mut self, output: Output) -> Result<(), CodecError> {
        for record in &output.records {
            self.note_news(record);
            self.batch.writes.push(records::write(record)?);
        }
        for event in &output.events {
            self.batch.events.push(records::event_body(event)?);
        }
        self.answers.extend(output.answers);
        Ok(())
    }

    /// News to spread with the answers.
    pub(super) fn spread(&mut self, push: Push) {
        self.news.push(push);
    }

    /// What to commit, when there is anything: a batch without records needs no disk.
    pub(super) fn durable(&self) -> Option<&journal::Batch> {
        let empty = self.batch.writes.is_empty() && self.batch.events.is_empty();
        (!empty || self.batch.restored_settled).then_some(&self.batch)
    }

    /// This batch holds the engine's own record of the hold that L12 asks for.
    pub(super) fn settle_restored(&mut self) {
        self.batch.restored_settled = true;
    }

    /// Lets every answer go, and gives the news to spread. Only after the commit (A2).
    pub(super) fn release(mut self) -> Vec<Push> {
        // The engine answers in the order of inputs, so this is one step each.
        let mut waiting = self.waiting.into_iter();
        for (reply_to, answer) in self.answers {
            let outlet = waiting.find(|(waits_for, _)| *waits_for == reply_to);
            debug_assert!(outlet.is_some(), "an answer to nobody: {reply_to:?}");
            if let Some((_, outlet)) = outlet {
                outlet.release(answer);
            }
        }
        if self.features_changed {
            self.news.push(Push::FeaturesChanged);
        }
        self.news
    }

    /// The commit failed: nobody gets what was meant for them (L13).
    pub(super) fn refuse(self) {
        for (_, outlet) in self.waiting {
            outlet.release(Answer::Refused(storage_trouble()));
        }
    }

    fn note_news(&mut self, record: &Record) {
        match record {
            Record::PutLicense(_) | Record::DropLicense(_) => self.features_changed = true,
            Record::PutLease(lease) => {
                if let Some(reason) = &lease.evicted {
                    self.news.push(Push::Evicted(lease.id, reason.clone()));
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
