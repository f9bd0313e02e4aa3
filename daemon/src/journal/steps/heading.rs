//! What a file of steps begins with: its version, and the seed of its steps' checksums.

use std::path::Path;

use super::super::JournalError;
use super::record::Seed;

/// The same in both files, and another one in each life.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Heading {
    pub(super) seed: Seed,
}

/// Why a heading does not say what follows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is not what was written.
    Changed,
    /// It was written by a newer usherd, in this version (S7).
    Newer(u8),
}

impl Heading {
    /// A heading that nobody can guess; `store` is for the error.
    pub(super) fn random(store: &Path) -> Result<Self, JournalError> {
        let mut seed = Seed::default();
        getrandom::fill(&mut seed)
            .map_err(std::io::Error::from)
            .map_err(JournalError::io("get random bytes for", store))?;
        Ok(Self { seed })
    }

    pub(super) fn encode(&self) -> [u8; HEADING_LENGTH] {
        let mut bytes = [0; HEADING_LENGTH];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8] = STEPS_VERSION;
        bytes[16..32].copy_from_slice(&self.seed);
        let check = crc32fast::hash(&bytes[..CHECK_AT]);
        bytes[CHECK_AT..CHECK_AT + 4].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// The heading of a file. `None` for a file that no step was ever written to: it is too short, or zeros.
    pub(super) fn read(file: &[u8]) -> Result<Option<Self>, Refused> {
        let Some(bytes) = file.first_chunk::<HEADING_LENGTH>() else {
            return Ok(None);
        };
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let mut seed = Seed::default();
        seed.copy_from_slice(&bytes[16..32]);
        let heading = Self { seed };
        if heading.encode() == *bytes {
            return Ok(Some(heading));
        }
        Err(refused(bytes))
    }
}

fn refused(bytes: &[u8; HEADING_LENGTH]) -> Refused {
    let holds = bytes[CHECK_AT..CHECK_AT + 4] == crc32fast::hash(&bytes[..CHECK_AT]).to_le_bytes();
    if bytes[..8] == MAGIC && holds && bytes[8] > STEPS_VERSION {
        Refused::Newer(bytes[8])
    } else {
        Refused::Changed
    }
}

/// Where the first step of a file stands.
pub(super) const HEADING_BYTES: u64 = HEADING_LENGTH as u64;
pub(super) const HEADING_LENGTH: usize = 40;
const MAGIC: [u8; 8] = *b"USHRSTEP";
const STEPS_VERSION: u8 = 1;
const CHECK_AT: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_is_frozen_and_opens_only_as_it_was_made() {
        let heading = Heading { seed: [7; 16] };
        let bytes = heading.encode();
        insta::assert_snapshot!(data_encoding::HEXLOWER.encode(&bytes), @"555348525354455001000000000000000707070707070707070707070707070757a96f1b00000000");
        assert_eq!(Heading::read(&bytes), Ok(Some(heading)));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Heading::read(&flipped), Err(Refused::Changed));
        }
    }

    #[test]
    fn s7_a_newer_heading_is_named() {
        let mut bytes = Heading { seed: [7; 16] }.encode();
        bytes[8] = 9;
        let check = crc32fast::hash(&bytes[..CHECK_AT]);
        bytes[CHECK_AT..CHECK_AT + 4].copy_from_slice(&check.to_le_bytes());
        assert_eq!(Heading::read(&bytes), Err(Refused::Newer(9)));
    }

    #[test]
    fn a_file_that_was_never_prepared_holds_no_step() {
        for bytes in [&[][..], &[1; HEADING_LENGTH - 1], &[0; 4096]] {
            assert_eq!(Heading::read(bytes), Ok(None));
        }
    }
}
