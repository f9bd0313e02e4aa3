//! How one record stands in sled: version, type, checksum, pieces (S3, S5), and under which key.
//!
//! It must not know what a record means.

/// The version of stored records that this usherd writes.
pub const STORE_VERSION: u8 = 1;

/// What a record is. The number is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A key's value, or its first piece.
    Value = 1,
    /// A further piece of a long value.
    Piece = 2,
    /// The journal's own numbers.
    Meta = 3,
    /// A usage-log entry that waits for the log.
    Outbox = 4,
}

/// A record that passed its checksum.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Framed<'a> {
    pub(super) version: u8,
    /// How many pieces the value has; 1 for most.
    pub(super) pieces: u16,
    pub(super) payload: &'a [u8],
}

/// Frames `payload` for `key`: a record under a foreign key does not pass either.
pub(super) fn frame(version: u8, kind: Kind, pieces: u16, key: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FRAME_BYTES + payload.len());
    bytes.extend_from_slice(&[version, kind as u8]);
    bytes.extend_from_slice(&pieces.to_le_bytes());
    let check = checksum(&bytes, key, payload);
    bytes.extend_from_slice(&check.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// The inverse of `frame`; `None` unless the bytes are what was framed as this kind for this key.
pub(super) fn unframe<'a>(kind: Kind, key: &[u8], bytes: &'a [u8]) -> Option<Framed<'a>> {
    let (fixed, payload) = bytes.split_first_chunk::<FRAME_BYTES>()?;
    let [version, found_kind, low, high, check @ ..] = *fixed;
    let holds = found_kind == kind as u8
        && u32::from_le_bytes(check) == checksum(&fixed[..4], key, payload);
    holds.then_some(Framed {
        version,
        pieces: u16::from_le_bytes([low, high]),
        payload,
    })
}

/// A value's records: its pieces, each short enough to stay in sled's log.
///
/// sled moves a page of over 128 KiB into a file of its own that it never syncs (measured on 0.34.7), and
/// a page holds up to 17 records: hence [`PIECE_BYTES_MAX`].
pub(super) fn value_records(version: u8, key: &[u8], value: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut chunks: Vec<&[u8]> = value.chunks(PIECE_BYTES_MAX).collect();
    if chunks.is_empty() {
        chunks.push(&[]);
    }
    // VALUE_BYTES_MAX bounds the count far below this type's end.
    let pieces = u16::try_from(chunks.len()).unwrap_or(u16::MAX);
    let framed = |(index, chunk): (u16, &[u8])| {
        let kind = if index == 0 { Kind::Value } else { Kind::Piece };
        let place = value_key(key, index);
        let bytes = frame(version, kind, pieces, &place, chunk);
        (place, bytes)
    };
    (0..pieces).zip(chunks).map(framed).collect()
}

/// Where piece `index` of the value of `key` stands.
pub(super) fn value_key(key: &[u8], index: u16) -> Vec<u8> {
    let mut place = Vec::with_capacity(key.len() + 3);
    if index == 0 {
        place.push(VALUE_PREFIX);
        place.extend_from_slice(key);
    } else {
        // Equal places have equally long keys, so no two keys can meet here.
        place.push(PIECE_PREFIX);
        place.extend_from_slice(key);
        place.extend_from_slice(&index.to_be_bytes());
    }
    place
}

/// Where the event with this number waits for the log.
pub(super) fn outbox_key(number: u64) -> Vec<u8> {
    [OUTBOX_PREFIX, &number.to_be_bytes()].concat()
}

/// A record's share in the store's sum. The sum over all live records is stored with every batch, so
/// that a record that vanished, came back or is older than it should be is noticed (S3): sled mends a
/// damaged log by dropping what it cannot read.
pub(super) fn share(key: &[u8], bytes: &[u8]) -> u64 {
    let lengths = (key.len() as u64).rotate_left(32) ^ bytes.len() as u64;
    let mixed = mix_in(mix_in(mix(SEED ^ lengths), key), bytes);
    // The last words' low bits have not yet reached every bit; a sum needs all of them.
    mix(mix(mixed))
}

/// Eight bytes at a time: a start reads every live record.
fn mix_in(hash: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    words
        .iter()
        .chain([&last])
        .fold(hash, |hash, word| mix(hash ^ u64::from_le_bytes(*word)))
}

fn mix(hash: u64) -> u64 {
    let hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ (hash >> 32)
}

fn checksum(fixed: &[u8], key: &[u8], payload: &[u8]) -> u32 {
    let mut check = crc32fast::Hasher::new();
    check.update(fixed);
    check.update(&(key.len() as u64).to_le_bytes());
    check.update(key);
    check.update(payload);
    check.finalize()
}

/// First byte of the places of values.
pub(super) const VALUE_PREFIX: u8 = b'e';
/// First byte of the places of further pieces.
pub(super) const PIECE_PREFIX: u8 = b'p';
/// The journal's own numbers.
pub(super) const META_KEY: &[u8] = b"j/meta";
/// Begins the places of waiting events.
pub(super) const OUTBOX_PREFIX: &[u8] = b"j/outbox/";
/// Longest piece of a value in bytes.
pub(super) const PIECE_BYTES_MAX: usize = 6 << 10;
const FRAME_BYTES: usize = 8;
/// Any odd number would do; it is on disk.
const SEED: u64 = 0xcbf2_9ce4_8422_2325;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_frame_is_frozen() {
        let records = value_records(1, b"lease/7", b"seat");
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].0, b"elease/7");
        insta::assert_snapshot!(data_encoding::HEXLOWER.encode(&records[0].1), @"01010100ab7d3fa773656174");
        insta::assert_snapshot!(share(b"elease/7", &records[0].1).to_string(), @"9893650190486887029");
    }

    proptest! {
        #[test]
        fn a_frame_opens_only_as_it_was_made(
            key: Vec<u8>, other_key: Vec<u8>, payload: Vec<u8>, pieces: u16, bit: prop::sample::Index,
        ) {
            let bytes = frame(1, Kind::Value, pieces, &key, &payload);
            let framed = Framed { version: 1, pieces, payload: &payload };
            prop_assert_eq!(unframe(Kind::Value, &key, &bytes), Some(framed));
            prop_assert_eq!(unframe(Kind::Piece, &key, &bytes), None);
            if other_key != key {
                prop_assert_eq!(unframe(Kind::Value, &other_key, &bytes), None);
            }
            let mut flipped = bytes.clone();
            let bit = bit.index(bytes.len() * 8);
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(unframe(Kind::Value, &key, &flipped), None);
        }

        #[test]
        fn pieces_make_the_value(key: Vec<u8>, length in 0_usize..40_000) {
            let value: Vec<u8> = (0..=250).cycle().take(length).collect();
            let mut joined = Vec::new();
            for (index, (place, bytes)) in value_records(1, &key, &value).into_iter().enumerate() {
                let kind = if index == 0 { Kind::Value } else { Kind::Piece };
                prop_assert!(bytes.len() <= PIECE_BYTES_MAX + FRAME_BYTES);
                joined.extend_from_slice(unframe(kind, &place, &bytes).unwrap().payload);
            }
            prop_assert_eq!(joined, value);
        }
    }
}
