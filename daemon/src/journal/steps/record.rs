//! One durable step as bytes (`docs/formats.md`): what it changes, what it logs, and its place among the steps.
//!
//! It must not know a file, nor what a key or an event means. Its checksum begins with a seed that nobody knows but the
//! files: what a client has had stored can then never pass for a step, wherever it stands when a crash is read.

use super::super::Batch;
use crate::little_endian::{u32_at, u64_at};

/// A step whose bytes are proven: its checksum holds and its parts fill it exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct StepRecord {
    bytes: Vec<u8>,
    parts: Parts,
}

/// Where a step stands in the history of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Place {
    /// Its number among all durable steps of the store.
    pub(in super::super) sequence: u64,
    /// The epoch that it was committed under.
    pub(in super::super) epoch: u64,
    /// The engine's commit number after it.
    pub(in super::super) head: u64,
    /// The last number given to an event, its own included.
    pub(in super::super) last_number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parts {
    place: Place,
    restored_settled: bool,
    writes: u32,
    events: u32,
}

/// What the checksums of one life's steps begin with.
pub(super) type Seed = [u8; 16];

impl StepRecord {
    /// The step that makes `batch` durable, for the files with this seed; `entries` are its events as the usage log has them, without their hashes.
    /// `None` for more than a step can say: four gigabytes.
    pub(in super::super) fn new(
        seed: &Seed,
        place: Place,
        batch: &Batch,
        entries: &[Vec<u8>],
    ) -> Option<Self> {
        let parts = Parts {
            place,
            restored_settled: batch.restored_settled,
            writes: u32::try_from(batch.writes.len()).ok()?,
            events: u32::try_from(entries.len()).ok()?,
        };
        let mut bytes = vec![0; FIXED_BYTES];
        for write in &batch.writes {
            put(&mut bytes, Some(&write.key))?;
            put(&mut bytes, write.value.as_deref())?;
        }
        for entry in entries {
            put(&mut bytes, Some(entry))?;
        }
        bytes.resize(bytes.len().next_multiple_of(STEP_ALIGN), 0);
        let length = u32::try_from(bytes.len()).ok()?;
        bytes[..FIXED_BYTES].copy_from_slice(&parts.encode(length));
        let check = checksum(seed, &bytes);
        bytes[CHECK_AT..CHECK_AT + 4].copy_from_slice(&check.to_le_bytes());
        Some(Self { bytes, parts })
    }

    /// The step that `bytes` begin with; `None` for none, a torn one and a damaged one.
    pub(super) fn read(seed: &Seed, bytes: &[u8]) -> Option<Self> {
        let fixed = bytes.first_chunk::<FIXED_BYTES>()?;
        // S5: the length is judged before anything is done with it.
        let length = u32_at(fixed, LENGTH_AT) as usize;
        let fits =
            fixed[..4] == MAGIC && length >= FIXED_BYTES && length.is_multiple_of(STEP_ALIGN);
        let step = bytes.get(..length).filter(|_| fits)?;
        let parts = Parts::decode(fixed);
        let holds =
            u32_at(fixed, CHECK_AT) == checksum(seed, step) && parts.fill(&step[FIXED_BYTES..]);
        holds.then(|| Self {
            bytes: step.to_vec(),
            parts,
        })
    }

    /// Bytes with the length and checksum that belong to them: `fixed` from byte 16 on, then `pieces`.
    #[cfg(fuzzing)]
    pub(super) fn sealed(seed: &Seed, fixed: &[u8], pieces: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; FIXED_BYTES];
        let said = fixed.len().min(FIXED_BYTES - 16);
        bytes[16..16 + said].copy_from_slice(&fixed[..said]);
        bytes.extend_from_slice(pieces);
        bytes.resize(bytes.len().next_multiple_of(STEP_ALIGN), 0);
        bytes[..4].copy_from_slice(&MAGIC);
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        bytes[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&length.to_le_bytes());
        let check = checksum(seed, &bytes);
        bytes[CHECK_AT..CHECK_AT + 4].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// How many writes and events it says to have.
    #[cfg(fuzzing)]
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.parts.writes as usize, self.parts.events as usize)
    }

    pub(in super::super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(in super::super) fn place(&self) -> Place {
        self.parts.place
    }

    /// It holds the engine's own record of the hold that L12 asks for.
    pub(in super::super) fn restored_settled(&self) -> bool {
        self.parts.restored_settled
    }

    /// Keys set or removed, in order; of two writes to one key the later counts.
    pub(in super::super) fn writes(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let mut pieces = Pieces(&self.bytes[FIXED_BYTES..]);
        let write = move |_| Some((pieces.next()?.bytes()?, pieces.next()?.bytes()));
        (0..self.parts.writes).map_while(write)
    }

    /// Its events, encoded as the usage log has them, without their hashes.
    pub(in super::super) fn entries(&self) -> impl Iterator<Item = &[u8]> {
        let mut pieces = Pieces(&self.bytes[FIXED_BYTES..]);
        for _ in self.writes() {
            // The key and its value.
            pieces.next();
            pieces.next();
        }
        (0..self.parts.events).map_while(move |_| pieces.next()?.bytes())
    }
}

impl Parts {
    fn encode(self, length: u32) -> [u8; FIXED_BYTES] {
        let mut bytes = [0; FIXED_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = u8::from(self.restored_settled);
        bytes[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&length.to_le_bytes());
        let Place {
            sequence,
            epoch,
            head,
            last_number,
        } = self.place;
        for (at, number) in [(16, sequence), (24, epoch), (32, head), (40, last_number)] {
            bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        bytes[48..52].copy_from_slice(&self.writes.to_le_bytes());
        bytes[52..56].copy_from_slice(&self.events.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; FIXED_BYTES]) -> Self {
        Self {
            place: Place {
                sequence: u64_at(bytes, 16),
                epoch: u64_at(bytes, 24),
                head: u64_at(bytes, 32),
                last_number: u64_at(bytes, 40),
            },
            restored_settled: bytes[4] != 0,
            writes: u32_at(bytes, 48),
            events: u32_at(bytes, 52),
        }
    }

    /// Whether so many writes and events fill `rest`, but for the zeros at its end.
    fn fill(&self, rest: &[u8]) -> bool {
        let mut pieces = Pieces(rest);
        let has_bytes =
            |pieces: &mut Pieces<'_>| pieces.next().is_some_and(|it| it.bytes().is_some());
        let writes = (0..self.writes).all(|_| has_bytes(&mut pieces) && pieces.next().is_some());
        let events = (0..self.events).all(|_| has_bytes(&mut pieces));
        let zeros = pieces.0;
        writes && events && zeros.len() < STEP_ALIGN && zeros.iter().all(|byte| *byte == 0)
    }
}

/// Walks the variable part: each piece has its length before it, more by one; 0 says that there is none.
struct Pieces<'a>(&'a [u8]);

/// A piece, or that there is none where one could be.
#[derive(Clone, Copy)]
struct Piece<'a>(Option<&'a [u8]>);

impl<'a> Pieces<'a> {
    fn next(&mut self) -> Option<Piece<'a>> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let (piece, rest) = rest.split_at_checked(length.saturating_sub(1))?;
        self.0 = rest;
        Some(Piece((length > 0).then_some(piece)))
    }
}

impl<'a> Piece<'a> {
    fn bytes(self) -> Option<&'a [u8]> {
        self.0
    }
}

fn put(bytes: &mut Vec<u8>, piece: Option<&[u8]>) -> Option<()> {
    let length = match piece {
        Some(piece) => u32::try_from(piece.len()).ok()?.checked_add(1)?,
        None => 0,
    };
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(piece.unwrap_or_default());
    Some(())
}

/// Of everything but itself.
fn checksum(seed: &Seed, step: &[u8]) -> u32 {
    let mut check = crc32fast::Hasher::new();
    check.update(seed);
    check.update(&step[..CHECK_AT]);
    check.update(&step[CHECK_AT + 4..]);
    check.finalize()
}

/// Every step begins at a multiple of this many bytes.
pub(super) const STEP_ALIGN: usize = 8;
/// What every step begins with.
pub(super) const MAGIC: [u8; 4] = *b"STEP";
const LENGTH_AT: usize = 8;
const CHECK_AT: usize = 12;
const FIXED_BYTES: usize = 56;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::Write;
    use super::*;

    const SEED: Seed = [7; 16];
    const PLACE: Place = Place {
        sequence: 1,
        epoch: 2,
        head: 3,
        last_number: 4,
    };

    #[test]
    fn a_step_is_frozen() {
        let batch = batch(&[("key", Some("value")), ("gone", None)]);
        let step = StepRecord::new(&SEED, PLACE, &batch, &[b"event".to_vec()]).unwrap();
        insta::assert_snapshot!(data_encoding::HEXLOWER.encode(step.bytes()), @"5354455000000000600000003527503401000000000000000200000000000000030000000000000004000000000000000200000001000000040000006b65790600000076616c756505000000676f6e6500000000060000006576656e74000000");
    }

    #[test]
    fn a_step_of_another_seed_is_none() {
        let step = StepRecord::new(&SEED, PLACE, &batch(&[]), &[]).unwrap();
        assert_eq!(StepRecord::read(&SEED, step.bytes()), Some(step.clone()));
        assert_eq!(StepRecord::read(&[8; 16], step.bytes()), None);
    }

    proptest! {
        #[test]
        fn a_step_opens_only_as_it_was_made(
            writes: Vec<(Vec<u8>, Option<Vec<u8>>)>, entries: Vec<Vec<u8>>, restored_settled: bool,
            bit: prop::sample::Index, cut: prop::sample::Index,
        ) {
            let batch = Batch {
                writes: writes.iter().map(|(key, value)| Write { key: key.clone(), value: value.clone() }).collect(),
                restored_settled,
                ..Batch::default()
            };
            let step = StepRecord::new(&SEED, PLACE, &batch, &entries).unwrap();
            let mut bytes = step.bytes().to_vec();
            prop_assert_eq!(StepRecord::read(&SEED, &bytes), Some(step.clone()));
            let found: Vec<_> = step.writes().map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))).collect();
            prop_assert_eq!(found, writes);
            let found: Vec<_> = step.entries().map(<[u8]>::to_vec).collect();
            prop_assert_eq!(found, entries);
            prop_assert_eq!(StepRecord::read(&SEED, &bytes[..cut.index(bytes.len())]), None);
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(StepRecord::read(&SEED, &bytes), None);
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
            prop_assert_eq!(StepRecord::read(&SEED, &bytes), None);
        }
    }

    fn batch(writes: &[(&str, Option<&str>)]) -> Batch {
        let write = |(key, value): &(&str, Option<&str>)| Write {
            key: key.as_bytes().to_vec(),
            value: value.map(|it| it.as_bytes().to_vec()),
        };
        Batch {
            writes: writes.iter().map(write).collect(),
            ..Batch::default()
        }
    }
}
