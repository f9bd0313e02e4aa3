//! A step's changes as one record, so that a step cut short can be finished (S1).
//!
//! sled writes a batch in two goes, of which the first holds its 24-byte heading alone; single changes leave in one. A
//! crash keeps a beginning of them: never a later one without all before it. So a small step puts this record first,
//! then its changes, and the journal's own numbers last; a start that finds this record ahead of the numbers makes all
//! the changes again. What the record says is final values: it may be done any number of times.
//!
//! It must not know what a change means.

use super::frame::{self, Kind, PIECE_BYTES_MAX, STEP_KEY};

/// Places and what is to stand there, `None` for nothing.
pub(super) type Changes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// The record of step `sequence`, unless it would be longer than a record of a page may be.
pub(super) fn encode(
    version: u8,
    sequence: u64,
    changes: &[(Vec<u8>, Option<Vec<u8>>)],
) -> Option<Vec<u8>> {
    let long = |(place, bytes): &(Vec<u8>, Option<Vec<u8>>)| {
        LENGTHS_BYTES + place.len() + bytes.as_ref().map_or(0, Vec::len)
    };
    let length = SEQUENCE_BYTES + changes.iter().map(long).sum::<usize>();
    if length > PIECE_BYTES_MAX {
        return None;
    }
    let mut payload = Vec::with_capacity(length);
    payload.extend_from_slice(&sequence.to_le_bytes());
    for (place, bytes) in changes {
        // All of it is shorter than a piece.
        payload.extend_from_slice(&u16::try_from(place.len()).ok()?.to_le_bytes());
        let length = match bytes {
            Some(bytes) => u16::try_from(bytes.len()).ok()?,
            None => REMOVED,
        };
        payload.extend_from_slice(&length.to_le_bytes());
        payload.extend_from_slice(place);
        payload.extend_from_slice(bytes.as_deref().unwrap_or_default());
    }
    Some(frame::frame(version, Kind::Step, 1, STEP_KEY, &payload))
}

/// The inverse: which step it is, and its changes.
pub(super) fn decode(bytes: &[u8]) -> Option<(u64, Changes)> {
    let framed = frame::unframe(Kind::Step, STEP_KEY, bytes)?;
    let (sequence, mut rest) = framed.payload.split_first_chunk::<SEQUENCE_BYTES>()?;
    let mut changes = Changes::new();
    while let Some((lengths, after)) = rest.split_first_chunk::<LENGTHS_BYTES>() {
        let [place_low, place_high, low, high] = *lengths;
        let length = u16::from_le_bytes([low, high]);
        let (place, after) =
            after.split_at_checked(usize::from(u16::from_le_bytes([place_low, place_high])))?;
        let stays = length != REMOVED;
        let (bytes, after) = after.split_at_checked(if stays { length.into() } else { 0 })?;
        changes.push((place.to_vec(), stays.then(|| bytes.to_vec())));
        rest = after;
    }
    rest.is_empty()
        .then(|| (u64::from_le_bytes(*sequence), changes))
}

const SEQUENCE_BYTES: usize = 8;
/// Of a place and of what stands there, two bytes each.
const LENGTHS_BYTES: usize = 4;
/// Instead of a length: nothing stands there any more.
const REMOVED: u16 = u16::MAX;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_record_of_a_step_is_frozen() {
        let changes = [
            (b"ekey".to_vec(), Some(b"seat".to_vec())),
            (b"j/outbox/".to_vec(), None),
            (b"j/meta".to_vec(), Some(Vec::new())),
        ];
        let bytes = encode(1, 7, &changes).unwrap();
        assert_eq!(decode(&bytes), Some((7, changes.to_vec())));
        insta::assert_snapshot!(data_encoding::HEXLOWER.encode(&bytes), @"0105010060b25c82070000000000000004000400656b6579736561740900ffff6a2f6f7574626f782f060000006a2f6d657461");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn a_step_longer_than_a_piece_has_no_record() {
        let room = PIECE_BYTES_MAX - SEQUENCE_BYTES - LENGTHS_BYTES - 1;
        let step = |length| encode(1, 1, &[(vec![b'e'], Some(vec![0; length]))]);
        assert!(step(room).is_some());
        assert!(step(room + 1).is_none());
    }

    proptest! {
        #[test]
        fn a_step_reads_back_and_nothing_torn_does(
            sequence: u64,
            changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
            cut: prop::sample::Index,
        ) {
            let Some(bytes) = encode(1, sequence, &changes) else {
                return Ok(());
            };
            prop_assert_eq!(decode(&bytes), Some((sequence, changes)));
            prop_assert_eq!(decode(&bytes[..cut.index(bytes.len())]), None);
        }
    }
}
