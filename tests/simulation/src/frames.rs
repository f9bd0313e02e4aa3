//! The bytes of the simulated store and usage log: framed, checked, read back up to a torn tail.
//! Knows nothing of what a record says.

use usherd::{
    journal::{Batch, RestoreSource, Restored, Write},
    usage::{Entry, LogHead},
};

/// One thing in the store's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// An epoch was taken (L12).
    Epoch(u64),
    /// One committed batch, under that commit number.
    Batch(u64, Batch),
    /// Everything at once: what a restore begins with.
    State(State),
}

/// All that a store knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) epoch: u64,
    pub(crate) head: u64,
    pub(crate) committed: bool,
    pub(crate) live: std::collections::BTreeMap<Vec<u8>, Vec<u8>>,
    /// The number of the last event ever committed.
    pub(crate) events: u64,
    pub(crate) restored: Option<Restored>,
}

/// The frame's bytes: length, checksum, payload.
pub(crate) fn encode(frame: &Frame) -> Vec<u8> {
    let mut payload = Vec::with_capacity(256);
    match frame {
        Frame::Epoch(epoch) => {
            payload.push(b'E');
            number(&mut payload, *epoch);
        }
        Frame::Batch(head, batch) => {
            payload.push(b'B');
            number(&mut payload, *head);
            payload.push(u8::from(batch.restored_settled));
            number(&mut payload, batch.writes.len() as u64);
            for write in &batch.writes {
                bytes(&mut payload, &write.key);
                payload.push(u8::from(write.value.is_some()));
                bytes(&mut payload, write.value.as_deref().unwrap_or_default());
            }
            number(&mut payload, batch.events.len() as u64);
            for event in &batch.events {
                bytes(&mut payload, &event.body);
            }
        }
        Frame::State(state) => encode_state(&mut payload, state),
    }
    framed(&payload)
}

fn encode_state(payload: &mut Vec<u8>, state: &State) {
    payload.push(b'S');
    number(payload, state.epoch);
    number(payload, state.head);
    number(payload, state.events);
    payload.push(u8::from(state.committed));
    match &state.restored {
        None => payload.push(0),
        Some(restored) => {
            payload.push(1);
            payload.push(u8::from(restored.complete));
            number(payload, restored.copy_head);
            number(payload, restored.replayed_number);
        }
    }
    number(payload, state.live.len() as u64);
    for (key, value) in &state.live {
        bytes(payload, key);
        bytes(payload, value);
    }
}

/// Every whole frame, and how many bytes they are; what comes after is a torn tail.
pub(crate) fn decode(file: &[u8]) -> (Vec<Frame>, usize) {
    let mut frames = Vec::new();
    let mut at = 0;
    while let Some((frame, length)) = payload(&file[at..])
        .and_then(|(payload, length)| Some((decode_frame(&mut Reader(payload))?, length)))
    {
        frames.push(frame);
        at += length;
    }
    (frames, at)
}

fn decode_frame(reader: &mut Reader<'_>) -> Option<Frame> {
    Some(match reader.byte()? {
        b'E' => Frame::Epoch(reader.number()?),
        b'B' => {
            let head = reader.number()?;
            let restored_settled = reader.byte()? == 1;
            let mut batch = Batch {
                restored_settled,
                ..Batch::default()
            };
            for _ in 0..reader.number()? {
                let key = reader.bytes()?;
                let is_put = reader.byte()? == 1;
                let value = Some(reader.bytes()?).filter(|_| is_put);
                batch.writes.push(Write { key, value });
            }
            for _ in 0..reader.number()? {
                let body = reader.bytes()?;
                batch.events.push(usherd::journal::Event { body });
            }
            Frame::Batch(head, batch)
        }
        b'S' => Frame::State(decode_state(reader)?),
        _ => return None,
    })
}

fn decode_state(reader: &mut Reader<'_>) -> Option<State> {
    let mut state = State {
        epoch: reader.number()?,
        head: reader.number()?,
        events: reader.number()?,
        committed: reader.byte()? == 1,
        ..State::default()
    };
    if reader.byte()? == 1 {
        state.restored = Some(Restored {
            source: RestoreSource::Snapshot,
            complete: reader.byte()? == 1,
            copy_head: reader.number()?,
            replayed_number: reader.number()?,
        });
    }
    for _ in 0..reader.number()? {
        let key = reader.bytes()?;
        state.live.insert(key, reader.bytes()?);
    }
    Some(state)
}

/// A log entry's bytes: its parts and the hash that chains it.
pub(crate) fn encode_entry(entry: &Entry, chained: &LogHead) -> Vec<u8> {
    let mut payload = Vec::with_capacity(entry.body.len() + 64);
    number(&mut payload, entry.number);
    number(&mut payload, entry.epoch);
    number(&mut payload, entry.head);
    bytes(&mut payload, &entry.body);
    payload.extend_from_slice(&chained.hash);
    framed(&payload)
}

/// Every whole entry with its hash, and how many bytes they are.
pub(crate) fn decode_entries(file: &[u8]) -> (Vec<(Entry, [u8; 32])>, usize) {
    let mut entries = Vec::new();
    let mut at = 0;
    while let Some((entry, length)) = payload(&file[at..])
        .and_then(|(payload, length)| Some((decode_entry(&mut Reader(payload))?, length)))
    {
        entries.push(entry);
        at += length;
    }
    (entries, at)
}

fn decode_entry(reader: &mut Reader<'_>) -> Option<(Entry, [u8; 32])> {
    let entry = Entry {
        number: reader.number()?,
        epoch: reader.number()?,
        head: reader.number()?,
        body: reader.bytes()?,
    };
    Some((entry, reader.0.try_into().ok()?))
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(payload.len() + 12);
    number(&mut framed, payload.len() as u64);
    framed.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    framed.extend_from_slice(payload);
    framed
}

fn payload(file: &[u8]) -> Option<(&[u8], usize)> {
    let length = usize::try_from(u64::from_le_bytes(*file.first_chunk()?)).ok()?;
    let crc = u32::from_le_bytes(*file.get(8..)?.first_chunk()?);
    let end = length.checked_add(12)?;
    let payload = file.get(12..end)?;
    // Zeros where a length should be are no frame.
    (length > 0 && crc32fast::hash(payload) == crc).then_some((payload, end))
}

fn number(payload: &mut Vec<u8>, number: u64) {
    payload.extend_from_slice(&number.to_le_bytes());
}

fn bytes(payload: &mut Vec<u8>, bytes: &[u8]) {
    number(payload, bytes.len() as u64);
    payload.extend_from_slice(bytes);
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*first))
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_what_is_written_reads_back_and_a_torn_tail_is_cut() {
        let batch = Batch {
            writes: vec![
                Write {
                    key: b"a".to_vec(),
                    value: Some(b"1".to_vec()),
                },
                Write {
                    key: b"b".to_vec(),
                    value: None,
                },
            ],
            restored_settled: true,
            ..Batch::default()
        };
        let mut state = State {
            epoch: 3,
            ..State::default()
        };
        state.live.insert(b"k".to_vec(), b"v".to_vec());
        let frames = vec![Frame::Epoch(7), Frame::Batch(9, batch), Frame::State(state)];
        let mut file: Vec<u8> = frames.iter().flat_map(encode).collect();
        let whole = file.len();
        file.extend_from_slice(&encode(&Frame::Epoch(8))[..9]);
        assert_eq!(decode(&file), (frames, whole));
        assert_eq!(decode(&[0; 64]), (Vec::new(), 0));
    }
}
