//! The journal's own numbers: one small record that rides in every batch.

use super::frame::{self, Kind, META_KEY};
use super::{RestoreSource, Restored};
use crate::little_endian::u64_at;
use crate::usage::{Known, LogHead};

/// What a store knows about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Meta {
    /// The epoch last acquired.
    pub(super) epoch: u64,
    /// Counts every durable step, acquisitions included.
    pub(super) sequence: u64,
    /// The engine's commit number.
    pub(super) head: u64,
    /// The last number given to an event.
    pub(super) last_number: u64,
    /// Up to here events are in the usage log and no longer in the outbox.
    pub(super) logged: LogHead,
    /// Number of live records (pieces count), and the sum of their shares.
    pub(super) records: u64,
    pub(super) sum: u64,
    /// A batch was committed, ever.
    pub(super) committed: bool,
    /// L12: until the engine settles it.
    pub(super) restored: Option<Restored>,
}

impl Meta {
    /// What the usage log's writer is told of it.
    pub(super) fn known(&self) -> Known {
        Known {
            logged: self.logged,
            last_number: self.last_number,
        }
    }

    pub(super) fn encode(&self, version: u8) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(META_BYTES);
        for number in [
            self.epoch,
            self.sequence,
            self.head,
            self.last_number,
            self.logged.number,
            self.records,
            self.sum,
        ] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.logged.hash);
        bytes.push(u8::from(self.committed));
        let (source, copy_head, replayed_number, complete) = match &self.restored {
            None => (0, 0, 0, false),
            Some(mark) => (
                source_byte(mark.source),
                mark.copy_head,
                mark.replayed_number,
                mark.complete,
            ),
        };
        bytes.extend_from_slice(&[source, u8::from(complete)]);
        bytes.extend_from_slice(&copy_head.to_le_bytes());
        bytes.extend_from_slice(&replayed_number.to_le_bytes());
        frame::frame(version, Kind::Meta, 1, META_KEY, &bytes)
    }

    /// The version it was written with, and the numbers unless that version is another one.
    pub(super) fn decode(bytes: &[u8]) -> Option<(u8, Self)> {
        let framed = frame::unframe(Kind::Meta, META_KEY, bytes)?;
        let payload: &[u8; META_BYTES] = framed.payload.try_into().ok()?;
        let number = |at: usize| u64_at(payload, at);
        let mut hash = [0; 32];
        hash.copy_from_slice(&payload[56..88]);
        let restored = match payload[89] {
            0 => None,
            byte => Some(Restored {
                source: source_of(byte)?,
                copy_head: number(91),
                replayed_number: number(99),
                complete: payload[90] != 0,
            }),
        };
        let meta = Self {
            epoch: number(0),
            sequence: number(8),
            head: number(16),
            last_number: number(24),
            logged: LogHead {
                number: number(32),
                hash,
            },
            records: number(40),
            sum: number(48),
            committed: payload[88] != 0,
            restored,
        };
        Some((framed.version, meta))
    }
}

/// The version byte of a meta record that passes its checksum, whatever its layout is.
pub(super) fn version_of(bytes: &[u8]) -> Option<u8> {
    frame::unframe(Kind::Meta, META_KEY, bytes).map(|framed| framed.version)
}

fn source_byte(source: RestoreSource) -> u8 {
    match source {
        RestoreSource::Snapshot => 1,
        RestoreSource::UsageLog => 2,
        RestoreSource::Nothing => 3,
    }
}

fn source_of(byte: u8) -> Option<RestoreSource> {
    match byte {
        1 => Some(RestoreSource::Snapshot),
        2 => Some(RestoreSource::UsageLog),
        3 => Some(RestoreSource::Nothing),
        _ => None,
    }
}

const META_BYTES: usize = 7 * 8 + 32 + 3 + 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_is_frozen_and_round_trips() {
        let restored = Restored {
            source: RestoreSource::Snapshot,
            copy_head: 8,
            replayed_number: 9,
            complete: true,
        };
        let meta = Meta {
            epoch: 1,
            sequence: 2,
            head: 3,
            last_number: 4,
            logged: LogHead {
                number: 5,
                hash: [6; 32],
            },
            records: 7,
            sum: 10,
            committed: true,
            restored: Some(restored),
        };
        let bytes = meta.encode(1);
        assert_eq!(Meta::decode(&bytes), Some((1, meta.clone())));
        assert_eq!(version_of(&bytes), Some(1));
        insta::assert_snapshot!(data_encoding::HEXLOWER.encode(&bytes), @"01030100f44d72aa0100000000000000020000000000000003000000000000000400000000000000050000000000000007000000000000000a00000000000000060606060606060606060606060606060606060606060606060606060606060601010108000000000000000900000000000000");
        let plain = Meta {
            restored: None,
            committed: false,
            ..meta
        };
        assert_eq!(Meta::decode(&plain.encode(1)), Some((1, plain)));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Meta::decode(&flipped), None, "bit {bit}");
        }
    }
}
