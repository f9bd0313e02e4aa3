//! One segment file of the usage log, to the byte (`docs/formats.md`). Knows nothing of other segments.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{LogHead, UsageError};
use crate::little_endian::{u32_at, u64_at};

/// Longest body of one entry in bytes: 64 KiB.
pub const BODY_BYTES_MAX: usize = 64 << 10;

/// One entry of the usage log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place: 1, 2, 3 … without a gap, across daemon lives.
    pub number: u64,
    /// Epoch of the daemon life that committed it.
    pub epoch: u64,
    /// Commit number of the batch it rode in.
    pub head: u64,
    /// Opaque to the log.
    pub body: Vec<u8>,
}

impl Entry {
    /// The entry's bytes without its hash; the outbox stores exactly these.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(ENTRY_FIXED_BYTES + self.body.len() + HASH_BYTES);
        // The journal refuses longer bodies before an entry is made.
        let length = u32::try_from(self.body.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&[ENTRY_VERSION, ENTRY_TYPE, 0, 0]);
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.epoch.to_le_bytes());
        bytes.extend_from_slice(&self.head.to_le_bytes());
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// The inverse of `encode`; `None` unless the bytes are exactly one entry.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let fixed = bytes.first_chunk::<ENTRY_FIXED_BYTES>()?;
        let (length, entry) = Self::decode_fixed(fixed).ok()?;
        let body = &bytes[ENTRY_FIXED_BYTES..];
        (body.len() == length).then(|| Self {
            body: body.to_vec(),
            ..entry
        })
    }

    fn decode_fixed(fixed: &[u8; ENTRY_FIXED_BYTES]) -> Result<(usize, Self), String> {
        let length = u32_at(fixed, 0) as usize;
        if fixed[4] > ENTRY_VERSION {
            return Err(format!(
                "written by a newer usherd (entry version {})",
                fixed[4]
            ));
        }
        // S5: a length is judged before anything is allocated for it.
        if fixed[4..8] != [ENTRY_VERSION, ENTRY_TYPE, 0, 0] || length > BODY_BYTES_MAX {
            return Err("these bytes are no entry: they were changed".to_owned());
        }
        let entry = Self {
            number: u64_at(fixed, 8),
            epoch: u64_at(fixed, 16),
            head: u64_at(fixed, 24),
            body: Vec::new(),
        };
        Ok((length, entry))
    }
}

/// The place in the chain after the entry with this number and these encoded bytes.
pub(super) fn link(before: &LogHead, number: u64, encoded: &[u8]) -> LogHead {
    let mut digest = Sha256::new();
    digest.update(DOMAIN);
    digest.update(before.hash);
    digest.update(encoded);
    LogHead {
        number,
        hash: digest.finalize().into(),
    }
}

/// How a segment stands to what came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// It goes on where another segment of the same directory ends.
    Continues = 0,
    /// It is the first one there ever was.
    Begins = 1,
    /// It begins after a restore or repair; what came before is elsewhere.
    BeginsAfterRestore = 2,
}

/// The fixed start of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) origin: Origin,
    /// The place in the chain just before the segment's first entry.
    pub(super) after: LogHead,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8] = SEGMENT_VERSION;
        bytes[9] = self.origin as u8;
        bytes[16..24].copy_from_slice(&(self.after.number + 1).to_le_bytes());
        bytes[24..56].copy_from_slice(&self.after.hash);
        let check = crc32fast::hash(&bytes[..56]);
        bytes[56..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, String> {
        if bytes[..8] != MAGIC {
            return Err("this is not a segment of the usage log".to_owned());
        }
        if bytes[8] != SEGMENT_VERSION {
            return Err(format!(
                "segment version {}, this usherd reads {SEGMENT_VERSION}",
                bytes[8]
            ));
        }
        let first = u64_at(bytes, 16);
        let origin = match bytes[9] {
            0 => Some(Origin::Continues),
            1 => Some(Origin::Begins),
            2 => Some(Origin::BeginsAfterRestore),
            _ => None,
        };
        match origin {
            Some(origin)
                if (1..=NUMBER_MAX).contains(&first)
                    && u32_at(bytes, 56) == crc32fast::hash(&bytes[..56]) =>
            {
                let mut hash = [0; HASH_BYTES];
                hash.copy_from_slice(&bytes[24..56]);
                Ok(Self {
                    origin,
                    after: LogHead {
                        number: first - 1,
                        hash,
                    },
                })
            }
            _ => Err("the segment's header was changed".to_owned()),
        }
    }
}

/// Reads one segment forward, in constant memory, and checks each link of the chain.
pub(super) struct SegmentReader<R = BufReader<File>> {
    pub(super) path: PathBuf,
    pub(super) header: Header,
    /// The last entry that was read and proven.
    pub(super) at: LogHead,
    /// Length in bytes of what was read and proven.
    pub(super) offset: u64,
    file: R,
}

/// What stands at a place of a segment.
pub(super) enum Found {
    Entry(Entry),
    /// The end, exactly after an entry.
    End,
    /// Fewer bytes than the entry or header needs: a write that a crash cut short, or a cut-off file.
    Torn,
    /// Bytes that are not what was written.
    Damaged {
        number: u64,
        detail: String,
    },
}

impl SegmentReader {
    /// Opens a segment and reads its header; `Err` is what stands there instead of one.
    pub(super) fn open(path: &Path) -> Result<Result<Self, Found>, UsageError> {
        let file = File::open(path).map_err(UsageError::io("open the usage log", path))?;
        Self::of(path, BufReader::with_capacity(READ_BYTES, file))
    }
}

impl<R: Read> SegmentReader<R> {
    /// The same of bytes that are read already; the path is for messages.
    pub(super) fn of(path: &Path, mut file: R) -> Result<Result<Self, Found>, UsageError> {
        let mut bytes = [0; HEADER_BYTES];
        let got = read_fully(&mut file, &mut bytes).map_err(UsageError::io("read", path))?;
        if got < HEADER_BYTES {
            return Ok(Err(Found::Torn));
        }
        Ok(match Header::decode(&bytes) {
            Ok(header) => Ok(Self {
                path: path.to_owned(),
                header,
                at: header.after,
                offset: HEADER_BYTES as u64,
                file,
            }),
            Err(detail) => Err(Found::Damaged {
                number: first_number(path).unwrap_or(0),
                detail,
            }),
        })
    }

    /// The next entry; after anything but `Found::Entry` there is nothing more to read.
    pub(super) fn next(&mut self) -> Result<Found, UsageError> {
        let mut encoded = vec![0; ENTRY_FIXED_BYTES];
        match self.fill(&mut encoded)? {
            0 => return Ok(Found::End),
            ENTRY_FIXED_BYTES => {}
            _ => return Ok(Found::Torn),
        }
        let due = self.at.number + 1;
        let fixed = encoded
            .first_chunk::<ENTRY_FIXED_BYTES>()
            .copied()
            .unwrap_or_default();
        let (length, mut entry) = match Entry::decode_fixed(&fixed) {
            Ok(decoded) => decoded,
            Err(detail) => {
                return Ok(Found::Damaged {
                    number: due,
                    detail,
                });
            }
        };
        encoded.resize(ENTRY_FIXED_BYTES + length, 0);
        let mut hash = [0; HASH_BYTES];
        if self.fill(&mut encoded[ENTRY_FIXED_BYTES..])? < length
            || self.fill(&mut hash)? < HASH_BYTES
        {
            return Ok(Found::Torn);
        }
        let fault = self.judge(&encoded, entry.number, hash);
        entry.body = encoded.split_off(ENTRY_FIXED_BYTES);
        Ok(fault.unwrap_or(Found::Entry(entry)))
    }

    /// Moves on over these bytes if they are the next link of the chain; else says what is wrong.
    fn judge(&mut self, encoded: &[u8], number: u64, hash: [u8; HASH_BYTES]) -> Option<Found> {
        let due = self.at.number + 1;
        // Past the bound the next number would be none.
        if number != due || due > NUMBER_MAX {
            let detail = format!("entry {number} stands in its place: removed or reordered");
            return Some(Found::Damaged {
                number: due,
                detail,
            });
        }
        let after = link(&self.at, due, encoded);
        if after.hash != hash {
            let detail = "its hash does not match: it or its hash was edited".to_owned();
            return Some(Found::Damaged {
                number: due,
                detail,
            });
        }
        self.at = after;
        self.offset += (encoded.len() + HASH_BYTES) as u64;
        None
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<usize, UsageError> {
        read_fully(&mut self.file, bytes).map_err(UsageError::io("read", &self.path))
    }
}

/// The name of the segment whose first entry has this number.
pub(super) fn file_name(first_number: u64) -> String {
    format!("usage-{first_number:020}.log")
}

/// The number in a segment's name; `None` for any other file.
pub(super) fn first_number(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    let digits = name.strip_prefix("usage-")?.strip_suffix(".log")?;
    (digits.len() == 20).then(|| digits.parse().ok())?
}

/// The log's segments in order.
pub(super) fn list(directory: &Path) -> Result<Vec<PathBuf>, UsageError> {
    let failed = || UsageError::io("list", directory);
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed())? {
        let path = entry.map_err(failed())?.path();
        segments.extend(first_number(&path).map(|first| (first, path)));
    }
    segments.sort();
    Ok(segments.into_iter().map(|(_, path)| path).collect())
}

/// Reads until `bytes` is full or the file ends; gives how many came.
pub(super) fn read_fully(file: &mut impl Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < bytes.len() {
        match file.read(&mut bytes[got..]) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

pub(super) const HEADER_BYTES: usize = 60;
pub(super) const HASH_BYTES: usize = 32;
const ENTRY_FIXED_BYTES: usize = 32;
/// No log comes that far, and what says so was forged.
pub(super) const NUMBER_MAX: u64 = u64::MAX >> 1;
const MAGIC: [u8; 8] = *b"USHERLOG";
const SEGMENT_VERSION: u8 = 1;
const ENTRY_VERSION: u8 = 1;
const ENTRY_TYPE: u8 = 1;
const DOMAIN: &[u8] = b"usher usage log v1\0";
const READ_BYTES: usize = 64 << 10;
