//! What a file of steps begins with: its version, and the seed of its steps' checksums.

use std::io;
use std::os::unix::fs::FileExt;
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

    /// Writes it to the beginning of a file whose steps nobody needs any more, its first word last: wherever this ends
    /// early, the file reads as one without steps.
    pub(super) fn write(&self, file: &impl FileExt) -> io::Result<()> {
        let bytes = self.encode();
        let (name, rest) = bytes.split_at(MAGIC.len());
        file.write_all_at(&[0; MAGIC.len()], 0)?;
        file.write_all_at(rest, MAGIC.len() as u64)?;
        file.write_all_at(name, 0)
    }

    /// The heading of a file. `None` for one without steps: it is too short, or its first word is missing or half
    /// written. That one of a life's own was lost so, the witness tells (S3).
    pub(super) fn read(file: &[u8]) -> Result<Option<Self>, Refused> {
        let Some(bytes) = file.first_chunk::<HEADING_LENGTH>() else {
            return Ok(None);
        };
        if is_unfinished(&bytes[..MAGIC.len()]) {
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

/// Some of it is there, in its place, and the rest zeros.
fn is_unfinished(name: &[u8]) -> bool {
    let mut pairs = name.iter().zip(&MAGIC);
    name != MAGIC && pairs.all(|(byte, due)| *byte == 0 || byte == due)
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
    use std::cell::Cell;
    use std::fs::File;

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

    /// Wherever a full disk or the end of the process cuts it short, byte by byte.
    #[test]
    fn s3_a_heading_that_is_half_written_is_no_damage() {
        let [old, new] = [[7; 16], [9; 16]].map(|seed| Heading { seed });
        for length in 0..=2 * MAGIC.len() + HEADING_LENGTH - MAGIC.len() {
            let file = tempfile::tempfile().unwrap();
            file.write_all_at(&old.encode(), 0).unwrap();
            file.write_all_at(&[5; 100], HEADING_BYTES).unwrap();
            let outcome = new.write(&Short {
                file: &file,
                left: Cell::new(length),
            });
            let mut bytes = [0; 140];
            file.read_exact_at(&mut bytes, 0).unwrap();
            let found = Heading::read(&bytes).unwrap();
            match outcome {
                Ok(()) => assert_eq!(found.as_ref(), Some(&new)),
                Err(_) if length == 0 => assert_eq!(found.as_ref(), Some(&old)),
                Err(_) => assert_eq!(found, None, "after {length} bytes"),
            }
        }
    }

    /// A disk with room for so many bytes more.
    struct Short<'a> {
        file: &'a File,
        left: Cell<usize>,
    }

    impl FileExt for Short<'_> {
        fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
            self.file.read_at(bytes, at)
        }

        fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
            let taken = bytes.len().min(self.left.get());
            self.left.set(self.left.get() - taken);
            self.file.write_at(&bytes[..taken], at)
        }
    }

    #[test]
    fn a_file_that_was_never_prepared_holds_no_step() {
        for bytes in [&[][..], &[1; HEADING_LENGTH - 1], &[0; 4096]] {
            assert_eq!(Heading::read(bytes), Ok(None));
        }
    }
}
