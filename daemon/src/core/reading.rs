//! Brings what a store holds to the engine. Of a large store the journal reads, a second thread decodes and the
//! caller's takes in, all at once: a start waits for the slowest of them and not for their sum.
//!
//! It decides neither what a record means nor what a damaged store leads to.

use std::{panic, sync::mpsc, thread};

use usher_engine::record::Record;

use super::StartError;
use crate::{
    journal::{Journal, JournalError},
    records::{self, RecordError},
};

/// Gives `take` every record in the order of the keys. About `count` of them are to be expected.
///
/// # Errors
/// The journal's, or that of the first record that cannot be read: whatever `take` made of those before it is not to
/// be believed (S3).
pub(super) fn read<T>(
    journal: &mut dyn Journal,
    epoch: u64,
    count: u64,
    take: impl FnOnce(&mut dyn Iterator<Item = Record>) -> T,
) -> Result<T, StartError> {
    if count <= PIECE_RECORDS as u64 {
        at_once(journal, epoch, take)
    } else {
        side_by_side(journal, epoch, take)
    }
}

fn at_once<T>(
    journal: &mut dyn Journal,
    epoch: u64,
    take: impl FnOnce(&mut dyn Iterator<Item = Record>) -> T,
) -> Result<T, StartError> {
    let stored = journal.all_records(epoch)?;
    let read = stored.iter().map(|(key, value)| records::read(key, value));
    Ok(until_damage(read, take)?)
}

fn side_by_side<T>(
    journal: &mut dyn Journal,
    epoch: u64,
    take: impl FnOnce(&mut dyn Iterator<Item = Record>) -> T,
) -> Result<T, StartError> {
    let (pieces, to_decode) = mpsc::sync_channel(PIECES_AHEAD);
    let (decoded, came) = mpsc::sync_channel(PIECES_AHEAD);
    thread::scope(|scope| {
        let scanning = scope.spawn(move || scan(journal, epoch, &pieces));
        scope.spawn(move || decode(&to_decode, &decoded));
        // The receiver ends with this call, and with it whoever still waits to send.
        let taken = until_damage(came.into_iter().flatten(), take);
        match scanning.join() {
            Ok(scanned) => scanned?,
            Err(panicked) => panic::resume_unwind(panicked),
        }
        Ok(taken?)
    })
}

fn scan(
    journal: &mut dyn Journal,
    epoch: u64,
    pieces: &mpsc::SyncSender<Piece>,
) -> Result<(), JournalError> {
    let mut piece = Piece::default();
    journal.records(epoch, &mut |key, value| {
        piece.push(key, value);
        if piece.lengths.len() == PIECE_RECORDS {
            // Nobody takes more after a damaged one.
            drop(pieces.send(std::mem::take(&mut piece)));
        }
    })?;
    drop(pieces.send(piece));
    Ok(())
}

fn decode(pieces: &mpsc::Receiver<Piece>, decoded: &mpsc::SyncSender<Vec<Read>>) {
    for piece in pieces {
        if decoded.send(piece.read()).is_err() {
            return;
        }
    }
}

fn until_damage<T>(
    read: impl Iterator<Item = Read>,
    take: impl FnOnce(&mut dyn Iterator<Item = Record>) -> T,
) -> Result<T, RecordError> {
    let mut damaged = None;
    let taken = take(&mut read.map_while(|it| it.map_err(|error| damaged = Some(error)).ok()));
    damaged.map_or(Ok(taken), Err)
}

/// Stored records in one buffer: for each of a million a buffer of its own costs more than to read it.
#[derive(Default)]
struct Piece {
    bytes: Vec<u8>,
    /// Of each key and its value, in order.
    lengths: Vec<(usize, usize)>,
}

impl Piece {
    fn push(&mut self, key: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        self.lengths.push((key.len(), value.len()));
    }

    fn read(&self) -> Vec<Read> {
        let mut rest = self.bytes.as_slice();
        let each = |(key, value): &(usize, usize)| {
            let (key, after) = rest.split_at(*key);
            let (value, after) = after.split_at(*value);
            rest = after;
            records::read(key, value)
        };
        self.lengths.iter().map(each).collect()
    }
}

type Read = Result<Record, RecordError>;

const PIECE_RECORDS: usize = 4096;
const PIECES_AHEAD: usize = 4;

#[cfg(test)]
mod tests {
    use usher_engine::record::SuspensionKey;

    use super::*;
    use crate::journal::{Batch, MemoryJournal, MemoryStore, Write};

    const COUNT: u64 = 3 * PIECE_RECORDS as u64 + 7;

    fn key(number: u64) -> SuspensionKey {
        SuspensionKey::License(format!("acme-{number:06}").parse().unwrap())
    }

    /// As many records, and one that is none in the place of `damaged`.
    fn journal(damaged: Option<u64>) -> (MemoryJournal, u64) {
        let mut journal = MemoryJournal::open(&MemoryStore::default());
        let epoch = journal.acquire(0).unwrap();
        let write = |number| {
            let record = Record::PutSuspension(usher_engine::record::Suspension {
                key: key(number),
                reason: "audit".to_owned(),
                since: usher_protocol::time::WallMs(number),
            });
            let write = records::write(&record).unwrap();
            let value = write.value.map(|value| {
                if damaged == Some(number) {
                    b"?".to_vec()
                } else {
                    value
                }
            });
            Write { value, ..write }
        };
        let batch = Batch {
            writes: (0..COUNT).map(write).collect(),
            ..Batch::default()
        };
        journal.commit(epoch, 1, &batch).unwrap();
        (journal, epoch)
    }

    fn numbers(records: &mut dyn Iterator<Item = Record>) -> Vec<u64> {
        let number = |record| match record {
            Record::PutSuspension(it) => it.since.0,
            other => panic!("{other:?}"),
        };
        records.map(number).collect()
    }

    #[test]
    fn s3_many_records_come_in_order_as_few_do() {
        let (mut journal, epoch) = journal(None);
        let all: Vec<u64> = (0..COUNT).collect();
        for count in [0, COUNT] {
            assert_eq!(read(&mut journal, epoch, count, numbers).unwrap(), all);
        }
    }

    #[test]
    fn s3_a_damaged_record_ends_it_wherever_it_stands() {
        for damaged in [0, 5000, COUNT - 1] {
            let (mut journal, epoch) = journal(Some(damaged));
            for count in [0, COUNT] {
                let mut before = 0;
                let error = read(&mut journal, epoch, count, |records| {
                    before = numbers(records).len();
                });
                assert!(matches!(error, Err(StartError::Record(_))), "{error:?}");
                assert_eq!(before as u64, damaged);
            }
        }
    }

    #[test]
    fn l12_a_foreign_epoch_is_the_journals_error() {
        let (mut journal, epoch) = journal(None);
        let error = read(&mut journal, epoch + 1, COUNT, numbers);
        assert!(matches!(error, Err(StartError::Journal(_))), "{error:?}");
    }

    #[test]
    fn whoever_takes_no_more_keeps_nobody_waiting() {
        let (mut journal, epoch) = journal(None);
        let first = read(&mut journal, epoch, COUNT, |records| records.next());
        assert!(first.unwrap().is_some());
    }
}
